import { MqttSession, SessionStore, Transport } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { deliver, record } from "../storage/meter.ts"

// Network and store of the program under test: both in memory, so that its time is the test's.
const Test = Layer.mergeAll(ScriptedBroker.layerMemory(), SessionStore.layerMemory)
const Meter = MqttSession.layerDurable({
  name: "meter",
  servers: [ScriptedBroker.memoryUrl],
  drainTimeout: "1 second"
})

// A test that forgets its broker fails, instead of looking for one in the network.
layer(Transport.layerForbidden, { excludeTestServices: true })("the meter", (it) => {
  it.effect("delivers after a restart what it recorded without a network", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      yield* broker.refuseNetwork
      yield* Effect.provide(record([1, 2]), Meter, { local: true })
      assert.deepStrictEqual(broker.published, [])
      yield* broker.acceptNetwork
      yield* Effect.provide(deliver, Meter, { local: true })
      assert.deepStrictEqual(
        broker.published.map(({ payload }) => new TextDecoder().decode(payload)),
        ["1", "2", "end of report"]
      )
    }).pipe(Effect.provide(Test)), 180_000)
})
