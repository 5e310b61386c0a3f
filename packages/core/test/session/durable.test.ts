import { MqttSession, SessionStore } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"

const connects = (broker: ScriptedBroker.Service) => broker.received("Connect").map(({ packet }) => packet.cleanStart)

for (const protocolVersion of [4, 5] as const) {
  const open = MqttSession.makeDurable({
    name: "plant",
    servers: [ScriptedBroker.memoryUrl],
    protocolVersion,
    reconnect: { initialDelay: 1 }
  })

  describe(`a durable session, version ${protocolVersion}`, () => {
    it.live("resumes its session at the server, with only its client identifier in the store [MQTT3-3.1.3-2] [MQTT5-3.1.3-2]", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.ScriptedBroker
        yield* Effect.scoped(Effect.flatMap(open, (session) => session.awaitReady))
        yield* Effect.scoped(Effect.flatMap(open, (session) => session.awaitReady))
        assert.deepStrictEqual(connects(broker), [false, false])
        assert.deepStrictEqual(broker.sent("Connack").map(({ packet }) => packet.sessionPresent), [false, true])
      }).pipe(Effect.provide(Layer.mergeAll(ScriptedBroker.layerMemory(), SessionStore.layerMemory))))

    it.live("starts again, with an event, when the server has a session of which the store knows nothing", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.ScriptedBroker
        yield* Effect.scoped(Effect.flatMap(open, (session) => session.awaitReady)).pipe(
          Effect.provide(SessionStore.layerMemory, { local: true })
        )
        yield* Effect.gen(function*() {
          const session = yield* open
          yield* session.awaitReady
          const lost = yield* session.events.pipe(
            Stream.filter((event) => event._tag === "SessionLost"),
            Stream.take(1),
            Stream.runCollect
          )
          assert.strictEqual(lost.length, 1)
        }).pipe(Effect.scoped, Effect.provide(SessionStore.layerMemory, { local: true }))
        // On 3.1.1 a clean connect of its own discards it, since the session would end with its connection otherwise.
        assert.deepStrictEqual(
          connects(broker),
          protocolVersion === 5 ? [false, false, true] : [false, false, true, false]
        )
      }).pipe(Effect.provide(ScriptedBroker.layerMemory())))
  })
}
