import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionMap from "@effect-mqttx/core/SessionMap"
import * as Transport from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { reasonOf } from "../../../../test/support/managers.ts"

const lookup = (tenant: string) => ({ name: tenant, servers: ["mqtt://memory"], clientId: tenant })

describe("SessionMap", () => {
  it.effect("opens a session at the first use, shares it, and closes it when it was idle for a while", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const tenants = yield* SessionMap.make({ lookup, idleTimeToLive: "1 minute" })
      assert.strictEqual(broker.connections.length, 0)
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(tenants.get("acme"), scope)
      const second = yield* Scope.provide(tenants.get("acme"), scope)
      assert.strictEqual(first, second)
      yield* first.awaitReady
      yield* tenants.use("acme", (session) => session.publish("t", "1", { qos: 1 }))
      assert.strictEqual(broker.connections.length, 1)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* tenants.open, ["acme"])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* tenants.open, ["acme"])
      yield* TestClock.adjust("2 seconds")
      yield* broker.awaitNoConnections
      assert.deepStrictEqual(yield* tenants.open, [])
      yield* tenants.use("acme", (session) => session.awaitReady)
      assert.strictEqual(broker.connections.length, 2)
    }).pipe(Effect.provide(ScriptedBroker.layerMemory())))

  it.effect("a lookup that fails is tried again by the next get", () =>
    Effect.gen(function*() {
      let lookups = 0
      const tenants = yield* SessionMap.make({
        lookup: (tenant: string) =>
          ++lookups === 1
            ? Effect.fail(new MqttError({ reason: new ConnectionRefused({ reasonString: "no directory" }) }))
            : Effect.succeed(lookup(tenant))
      })
      assert.strictEqual((yield* reasonOf(tenants.use("acme", () => Effect.void)))._tag, "ConnectionRefused")
      yield* tenants.use("acme", (session) => session.awaitReady)
      assert.strictEqual((yield* reasonOf(tenants.use("", () => Effect.void)))._tag, "InvalidOptions")
    }).pipe(Effect.provide(ScriptedBroker.layerMemory())))

  it.effect("invalidate gives the next one a new session and leaves those who have the old one alone", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* Effect.gen(function*() {
        const tenants = yield* SessionMap.make({ lookup: (tenant: string) => ({ name: tenant, servers: broker.url }) })
        const old = yield* tenants.get("acme")
        yield* tenants.invalidate("acme")
        const fresh = yield* tenants.get("acme")
        assert.notStrictEqual(old, fresh)
        yield* Effect.all([old.awaitReady, fresh.awaitReady])
        assert.isTrue((yield* old.status).ready)
      }).pipe(Effect.provideService(Transport.Transport, broker.transport))
    }))

  it.effect("the end of the scope closes all sessions", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      yield* Effect.scoped(Effect.gen(function*() {
        const tenants = yield* SessionMap.make({ lookup, idleTimeToLive: "Infinity" })
        for (const tenant of ["a", "b", "c"]) yield* tenants.use(tenant, (session) => session.awaitReady)
        assert.deepStrictEqual(yield* tenants.open, ["a", "b", "c"])
      }))
      yield* broker.awaitNoConnections
    }).pipe(Effect.provide(ScriptedBroker.layerMemory())))
})
