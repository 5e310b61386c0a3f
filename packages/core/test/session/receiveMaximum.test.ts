import { MqttSession, Properties, SessionStore } from "@effect-mqttx/core"
import { MosquittoBroker, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { realServer } from "../../../../test/support/servers.ts"

describe("a server that sends more than our Receive Maximum", () => {
  it.live("is accepted as long as there is memory: nothing is sent twice, and the excess is reported once", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const session = yield* MqttSession.make({
        name: "plant",
        servers: [ScriptedBroker.memoryUrl],
        clientId: "plant",
        receiveMaximum: 2,
        reconnect: { initialDelay: 1 }
      })
      const told = yield* session.events.pipe(
        Stream.filter(({ _tag }) => _tag === "ReceiveMaximumExceeded"),
        Stream.take(1),
        Stream.runCollect,
        Effect.forkScoped
      )
      const { messages } = yield* session.subscription("a", { qos: 1 })
      for (const packetIdentifier of [101, 102, 103, 104]) {
        yield* broker.sendPacket("plant", {
          _tag: "Publish",
          topic: "a",
          payload: new Uint8Array(),
          qos: 1,
          retain: false,
          dup: false,
          packetIdentifier,
          properties: Properties.none
        })
      }
      const [event] = yield* Fiber.join(told)
      assert.deepInclude(event, { _tag: "ReceiveMaximumExceeded", receiveMaximum: 2 })
      assert.lengthOf(yield* messages.pipe(Stream.take(4), Stream.runCollect), 4)
      yield* broker.awaitUntil(() => broker.received("Puback").length === 4)
      assert.lengthOf(broker.received("Connect"), 1)
      assert.lengthOf(broker.received("Disconnect"), 0)
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layerMemory())))

  const mosquitto = realServer("mosquitto")

  it.live.skipIf(mosquitto === undefined)(
    "delivers all of a backlog all the same: mosquitto 2.0 is such a server",
    () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const make = MqttSession.makeDurable({
          name: "plant",
          clientId: "plant",
          servers: [url],
          receiveMaximum: 10,
          reconnect: { initialDelay: 1 }
        })
        yield* Effect.scoped(Effect.flatMap(make, (session) => session.subscription("backlog", { qos: 1 })))
        const publisher = yield* MqttSession.make({ name: "publisher", servers: [url] })
        yield* publisher.publishAll(
          Stream.range(1, 200).pipe(Stream.map((i) => ({ topic: "backlog", payload: `${i}`, options: { qos: 1 } })))
        )
        const session = yield* make
        const seen = new Set<string>()
        const receiving = yield* session.subscribe("backlog", { qos: 1 }).pipe(
          Stream.takeUntil(({ text }) => seen.add(text).size === 200),
          Stream.runDrain,
          Effect.forkChild
        )
        yield* Fiber.join(receiving)
      }).pipe(Effect.scoped, Effect.provide([MosquittoBroker.layer().pipe(Layer.orDie), SessionStore.layerMemory])),
    180_000
  )
})
