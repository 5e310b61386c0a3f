/**
 * The thermostat of the example, tested without a network: the broker is in memory, and ten minutes pass at once.
 */
import { MqttSession, Transport } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { run } from "../testing/thermostat.ts"

const Home = MqttSession.layer({ name: "home", servers: [ScriptedBroker.memoryUrl] }).pipe(
  Layer.provideMerge(ScriptedBroker.layerMemory())
)

/** A room tells its temperature, as a client of its own would. */
const tell = (celsius: number) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.ScriptedBroker
    yield* broker.publish("rooms/kitchen/temperature", JSON.stringify({ celsius }), { qos: 1 })
  })

/** What the thermostat has published, when there are so many. */
const switches = (count: number) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.ScriptedBroker
    const published = () => broker.published.filter(({ topic }) => topic === "rooms/kitchen/heating/set")
    yield* broker.awaitUntil(() => published().length >= count)
    return published().map(({ payload }) => (JSON.parse(new TextDecoder().decode(payload)) as { on: boolean }).on)
  })

const started = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.ScriptedBroker
  yield* Effect.forkScoped(run({ target: 21 }))
  yield* broker.awaitPacket({ direction: "sent", packet: "Suback" })
  return broker
})

layer(Transport.layerForbidden)("the thermostat", (it) => {
  it.effect("switches on below its target, and off above, once each", () =>
    Effect.gen(function*() {
      yield* started
      for (const celsius of [19, 20, 22, 23]) yield* tell(celsius)
      assert.deepStrictEqual(yield* switches(2), [true, false])
    }).pipe(Effect.scoped, Effect.provide(Home)))

  it.effect("switches off when the room is silent for ten minutes", () =>
    Effect.gen(function*() {
      const broker = yield* started
      yield* tell(19)
      assert.deepStrictEqual(yield* switches(1), [true])
      yield* broker.awaitIdle
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* switches(2), [true, false])
    }).pipe(Effect.scoped, Effect.provide(Home)))

  it.effect("skips what it cannot read, and continues", () =>
    Effect.gen(function*() {
      const broker = yield* started
      yield* broker.publish("rooms/kitchen/temperature", "warm", { qos: 1 })
      yield* tell(19)
      assert.deepStrictEqual(yield* switches(1), [true])
    }).pipe(Effect.scoped, Effect.provide(Home)))

  it.effect("loses no switch when the connection is cut", () =>
    Effect.gen(function*() {
      const broker = yield* started
      const { clientId } = broker.connections[0]!
      yield* broker.refuseNetwork
      yield* broker.cut(clientId)
      yield* broker.acceptNetwork
      yield* tell(19)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* switches(1), [true])
    }).pipe(Effect.scoped, Effect.provide(Home)))
})
