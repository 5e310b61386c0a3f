/**
 * Event logs of devices that are synchronized through a broker: Effect's `EventLog` over the protocols of this package.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MqttRpcClient, MqttRpcServer } from "@effect-mqttx/rpc"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schema } from "effect"
import {
  EventGroup,
  EventJournal,
  EventLog,
  EventLogEncryption,
  EventLogRemote,
  EventLogServerEncrypted
} from "effect/eventlog"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"

const Readings = EventGroup.empty.add({
  tag: "Measured",
  primaryKey: (payload) => payload.sensor,
  payload: Schema.Struct({ sensor: Schema.String, celsius: Schema.Number })
})

const schema = EventLog.schema(Readings)

const prefix = "event-log"

describe.skipIf(!MosquittoBroker.isPresent())("event logs behind a broker", () => {
  it.live(
    "what one device writes reaches the other one, encrypted, and also what it wrote without a connection",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const connect = (name: string) => MqttSession.make({ name, clientId: name, servers: [url], log: "off" })
        yield* Layer.build(
          EventLogServerEncrypted.layer.pipe(
            Layer.provide(EventLogServerEncrypted.layerStorageMemory),
            Layer.provide(
              Layer.effect(
                RpcServer.Protocol,
                Effect.flatMap(connect("server"), (session) => MqttRpcServer.make(session, { prefix }))
              )
            ),
            Layer.provide(RpcSerialization.layerSchemaBinary())
          )
        )
        // Devices of one identity share a log, which the server cannot read.
        const identity = yield* Effect.provide(EventLog.makeIdentity, EventLogEncryption.layerSubtle)
        const device = Effect.fnUntraced(function*(name: string) {
          const seen = yield* Queue.unbounded<string>()
          const handlers = EventLog.group(Readings, (handlers) =>
            handlers.handle(
              "Measured",
              ({ payload }) => Effect.asVoid(Queue.offer(seen, `${payload.sensor}: ${payload.celsius}`))
            ))
          const context = yield* Layer.build(
            EventLog.layer(schema, handlers).pipe(
              Layer.provide(EventJournal.layerMemory),
              Layer.provide(Layer.succeed(EventLog.Identity, identity))
            )
          )
          const write = yield* Effect.provideContext(EventLog.makeClient(schema), context)
          const remote = EventLogRemote.layerEncrypted.pipe(
            Layer.provide(
              Layer.effect(
                RpcClient.Protocol,
                Effect.flatMap(connect(name), (session) => MqttRpcClient.make(session, { prefix }))
              )
            ),
            Layer.provide(RpcSerialization.layerSchemaBinary()),
            Layer.provide(Layer.succeedContext(context))
          )
          return { seen, write, synchronize: Layer.build(remote) }
        })
        const [one, other] = [yield* device("one"), yield* device("other")]
        yield* one.write({ event: "Measured", payload: { sensor: "a", celsius: 20 } })
        assert.strictEqual(yield* Queue.take(one.seen), "a: 20")
        yield* one.synchronize
        yield* other.synchronize
        assert.strictEqual(yield* Queue.take(other.seen), "a: 20")
        yield* other.write({ event: "Measured", payload: { sensor: "b", celsius: 30 } })
        assert.strictEqual(yield* Queue.take(one.seen), "b: 30")
      })).pipe(Effect.provide(MosquittoBroker.layer())),
    180_000
  )
})
