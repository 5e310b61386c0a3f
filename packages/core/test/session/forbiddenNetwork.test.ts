/**
 * The guard of tests against the real network.
 */
import { MqttError, MqttSession, SessionManager, Transport } from "@effect-mqttx/core"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References } from "effect"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const expectForbidden = ({ isRetryable, reason, severity }: MqttError.MqttError, server: string): void => {
  assert.instanceOf(reason, MqttError.ConnectionRefused)
  assert.deepInclude(reason, { code: "ERR_NETWORK_FORBIDDEN", server })
  assert.strictEqual(
    reason.message,
    `no connection to ${server}: Transport.layerForbidden forbids the network here: provide the Transport of a test broker`
  )
  assert.deepStrictEqual([isRetryable, severity], [false, "critical"])
}

layer(Transport.layerForbidden)("where the network is forbidden", (it) => {
  it.effect("a session reaches no server, although there is one, and a caller that awaits it learns so at once", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make()
      const session = yield* MqttSession.make({ name: "plant", servers: broker.url })
      // On the test's clock, which stands still.
      expectForbidden(yield* Effect.flip(session.awaitReady), broker.url)
      assert.strictEqual((yield* session.status).failure?.reason._tag, "ConnectionRefused")
      assert.lengthOf(broker.received("Connect"), 0)
    }).pipe(quietly))

  it.effect("a manager of sessions reaches none either, unless a session has a network of its own", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const manager = yield* SessionManager.make({ sessions: [{ name: "plant", servers: "plant.invalid" }] })
      expectForbidden(yield* Effect.flip(manager.awaitReady("plant")), "mqtt://plant.invalid:1883")
      yield* manager.add({ name: "own", servers: broker.url }, { transport: broker.transport })
      yield* manager.awaitReady("own")
    }).pipe(quietly))

  it.effect("a network that is provided closer to the session is used", () =>
    Effect.gen(function*() {
      const session = yield* MqttSession.MqttSession
      yield* session.publish("a/b", "1", { qos: 1 })
      const broker = yield* ScriptedBroker.ScriptedBroker
      assert.lengthOf(broker.published, 1)
    }).pipe(
      Effect.provide(
        MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] }).pipe(
          Layer.provideMerge(ScriptedBroker.layerMemory())
        )
      )
    ))
})
