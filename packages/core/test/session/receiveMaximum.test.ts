import { MqttSession, Properties } from "@effect-mqttx/core"
import { MosquittoBroker, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { realServer } from "../../../../test/support/servers.ts"

describe("a server that sends more than our Receive Maximum", () => {
  it.live("is disconnected with 0x93, and is told the largest Receive Maximum when it is met again", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const session = yield* MqttSession.make({
        name: "plant",
        servers: [ScriptedBroker.memoryUrl],
        clientId: "plant",
        receiveMaximum: 2,
        reconnect: { initialDelay: 1 }
      })
      const { messages } = yield* session.subscription("a", { qos: 1 })
      for (const packetIdentifier of [101, 102, 103]) {
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
      yield* broker.awaitConnections(2)
      assert.deepStrictEqual(broker.received("Disconnect").map(({ packet }) => packet.reasonCode), [0x93])
      assert.deepStrictEqual(
        broker.received("Connect").map(({ packet }) => packet.properties.receiveMaximum),
        [2, 65_535]
      )
      yield* broker.publish("a", "after", { qos: 1 })
      const [message] = yield* messages.pipe(
        Stream.filter(({ text }) => text === "after"),
        Stream.take(1),
        Stream.runCollect
      )
      assert.strictEqual(message!.text, "after")
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layerMemory())))

  const mosquitto = realServer("mosquitto")

  it.live.skipIf(mosquitto === undefined)(
    "delivers all of a backlog all the same: mosquitto 2.0 is such a server",
    () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const make = MqttSession.make({
          name: "plant",
          clientId: "plant",
          servers: [url],
          persistence: "durable",
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
      }).pipe(Effect.scoped, Effect.provide(MosquittoBroker.layer().pipe(Layer.orDie))),
    30_000
  )
})
