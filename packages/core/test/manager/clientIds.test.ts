/**
 * Client identifiers in a manager: two sessions with one of them at one server would take each other over for ever.
 */
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionPool from "@effect-mqttx/core/SessionPool"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { addSession } from "../../../../test/support/anySession.ts"
import { logOf, makeWorld, type Options, reasonOf } from "../../../../test/support/managers.ts"
import { settle } from "../session/support.ts"

const conflictOf = (reason: { readonly _tag: string }): string => {
  assert.strictEqual(reason._tag, "InvalidOptions")
  const [issue] = (reason as { readonly issues?: ReadonlyArray<{ readonly path: string; readonly message: string }> })
    .issues!
  assert.strictEqual(issue!.path, "clientId")
  return issue!.message
}

const durable = { persistence: "durable" } as const

/** Two sessions that cannot live beside each other at one server. */
const pairs: ReadonlyArray<readonly [string, readonly [string, Options], readonly [string, Options]]> = [
  ["given to both", ["a", { clientId: "plant" }], ["b", { clientId: "plant" }]],
  ["derived from names that differ only in what an identifier cannot hold", ["a b", durable], ["a-b", durable]],
  ["given to one, and derived for the other", ["a", durable], ["b", { clientId: "mqttx-a" }]],
  ["derived, of a session that is not durable, given as it is", ["x", { clientId: "mqttx-a-b" }], ["a.b", durable]]
]

describe("a client identifier", () => {
  it.effect.each(pairs)(
    "%s is refused at add, and the first session continues",
    ([, [firstName, first], [name, second]]) =>
      Effect.gen(function*() {
        const { broker, manager, options, ready } = yield* makeWorld()
        const log = yield* logOf(manager)
        const session = yield* ready(firstName, first)
        const message = conflictOf(yield* reasonOf(addSession(manager, options(name, second))))
        assert.include(message, JSON.stringify(firstName))
        assert.deepStrictEqual(yield* manager.list, [firstName])
        yield* settle
        assert.deepStrictEqual(log.tags(name), [])
        yield* session.publish("a", "1", { qos: 1 })
        assert.lengthOf(broker.received("Connect"), 1)
        // The name is free, for a session with another identifier.
        yield* ready(name, { ...second, clientId: "other" })
      }).pipe(Effect.provide(SessionStore.layerMemory))
  )

  it.effect("of sessions that are added at the same time is given to one of them", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      const adds = Array.from(
        { length: 10 },
        (_, i) => manager.addDurable(options(`s${i}`, { clientId: "plant", ...durable }))
      )
      const results = yield* Effect.all(adds.map(Effect.result), { concurrency: "unbounded" })
      assert.lengthOf(results.filter(Result.isSuccess), 1)
      yield* Effect.flatMap(manager.get((yield* manager.list)[0]!), (session) => session.awaitReady)
      assert.lengthOf(broker.received("Connect"), 1)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("is compared at the servers that two sessions share, be it one of several", () =>
    Effect.gen(function*() {
      const { broker, manager } = yield* makeWorld()
      const add = (name: string, ...servers: ReadonlyArray<string>) => manager.add({ name, servers, clientId: "plant" })
      yield* add("a", broker.url, "mqtt://standby.invalid")
      yield* add("elsewhere", "mqtt://elsewhere.invalid", "mqtt://elsewhere.invalid:1884")
      conflictOf(yield* reasonOf(add("b", "mqtt://other.invalid", "standby.invalid")))
      conflictOf(yield* reasonOf(add("c", broker.url)))
      const other = yield* ScriptedBroker.makeMemory()
      const transport: Transport.Transport = other.transport
      // Another network: what is called the same there is another server.
      yield* manager.add({ name: "d", servers: broker.url, clientId: "plant" }, { transport })
    }))

  it.effect("of a session that was removed is free, and that of one that is disconnected is not", () =>
    Effect.gen(function*() {
      const { manager, options, ready } = yield* makeWorld()
      yield* ready("a", { clientId: "plant" })
      yield* manager.disconnect("a")
      conflictOf(yield* reasonOf(manager.add(options("b", { clientId: "plant" }))))
      yield* manager.remove("a")
      yield* ready("b", { clientId: "plant" })
      conflictOf(yield* reasonOf(manager.add(options("a", { clientId: "plant" }))))
    }))

  it.effect("that a store remembers counts, not the one that the name would give", () =>
    Effect.gen(function*() {
      const { manager, options, ready } = yield* makeWorld()
      yield* ready("a", { ...durable, clientId: "remembered" })
      yield* manager.remove("a")
      yield* ready("b", { clientId: "remembered" })
      conflictOf(yield* reasonOf(manager.addDurable(options("a", durable))))
      yield* ready("c", { clientId: "mqttx-a" })
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("is made for each member of a pool", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const pools = [
        SessionPool.make({ name: "w", size: 3, servers: broker.url, clientId: "worker" }),
        SessionPool.makeDurable({ name: "w", size: 3, servers: broker.url }),
        SessionPool.make({ name: "w", size: 3, servers: broker.url })
      ]
      for (const make of pools) {
        const pool = yield* make.pipe(
          Effect.provideService(Transport.Transport, broker.transport),
          Effect.provide(SessionStore.layerMemory)
        )
        assert.lengthOf(pool.sessions, 3)
      }
    }))

  it.effect("that two of the first sessions of a manager share is a mistake in its options", () =>
    Effect.gen(function*() {
      const sessions = ["a", "b"].map((name) => ({ name, servers: "a.invalid", clientId: "plant" }))
      conflictOf(yield* reasonOf(SessionManager.make({ sessions })))
    }))
})
