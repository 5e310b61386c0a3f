import { SqlStore } from "@effect-mqttx/store-sql"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { Database, databases, intercepted, type Service, store } from "./support/databases.ts"
import { drop, kindOf, outbound, put, sequencesOf } from "./support/records.ts"

/** A lease that no test waits for, and no time to wait for another owner. */
const patient = { leaseDuration: "1 minute", acquireTimeout: 0 } as const

/** A store whose process can be paused: while it is, no statement of it reaches the database. */
const pausable = Effect.fnUntraced(function*(server: Service, options: SqlStore.SqlStoreInput) {
  const latch = Latch.makeUnsafe(true)
  const pausing = intercepted(yield* server.client, latch.whenOpen)
  const paused = yield* Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, pausing)
  return { store: paused, pause: latch.close, resume: latch.open }
})

for (const { database, isPresent, name } of databases) {
  describe.skipIf(!isPresent())(`ownership in ${name}`, () => {
    layer(database, { excludeTestServices: true })((it) => {
      it.effect("a second process learns how long it would have to wait", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const [first, second] = [yield* store(server, patient), yield* store(server, patient)]
          const handle = yield* first.open("told")
          const error = yield* Effect.flip(Effect.scoped(second.open("told")))
          assert.match(error.message, /\(owned\): another owner has the session, with a lease for \d+s/)
          assert.strictEqual(error.session, "told")
          yield* handle.commit([put(outbound(1))])
        }))

      it.effect("a second process waits for an owner that leaves", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const first = yield* store(server, patient)
          const second = yield* store(server, { acquireTimeout: "1 minute" })
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(first.open("leaving"), scope)
          yield* handle.commit([put(outbound(1))])
          const waiting = yield* Effect.forkChild(second.open("leaving"), { startImmediately: true })
          yield* Scope.close(scope, Exit.void)
          const next = yield* Fiber.join(waiting)
          assert.deepStrictEqual(sequencesOf(yield* next.load), [1])
        }))

      it.effect("an idle owner keeps its lease by renewing it", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const first = yield* store(server, { leaseDuration: "900 millis" })
          yield* first.open("idle")
          const second = yield* store(server, { leaseDuration: "900 millis", acquireTimeout: "2 seconds" })
          assert.strictEqual(yield* Effect.scoped(kindOf(second.open("idle"))), "owned")
        }))

      it.effect("many idle owners keep their leases by few statements, but for one that is fenced", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const seen = { statements: 0 }
          const counting = intercepted(yield* server.client, (statement) =>
            Effect.suspend(() => {
              seen.statements++
              return statement
            }))
          const options = { leaseDuration: "3 seconds", tablePrefix: "many" } as const
          const many = yield* Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, counting)
          const handles = yield* Effect.forEach(Array.from({ length: 100 }, (_, n) => `many-${n}`), many.open)
          yield* server.query("UPDATE many_sessions SET epoch = epoch + 1 WHERE name = 'many-7'")
          yield* server.query(`UPDATE many_sessions SET lease_until = ${server.hoursBefore("now", 2)}`)
          seen.statements = 0
          const ended = `SELECT name FROM many_sessions WHERE lease_until < ${server.hoursBefore("now", 1)}`
          const left = yield* server.query(ended).pipe(
            Effect.delay("50 millis"),
            Effect.repeat({ until: (rows) => rows.length <= 1 })
          )
          assert.deepStrictEqual(left, [{ name: "many-7" }])
          assert.isBelow(seen.statements, 50)
          assert.strictEqual(yield* kindOf(handles[7]!.commit([put(outbound(1))])), "fenced")
          yield* handles[8]!.commit([put(outbound(1))])
        }))

      it.effect("one of many processes that open the first session of an empty database gets it", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const options = { ...patient, tablePrefix: "wanted" }
          const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => store(server, options))
          const exits = yield* Effect.forEach(stores, (one) => Effect.exit(one.open("wanted")), {
            concurrency: "unbounded"
          })
          assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
          for (const exit of exits.filter(Exit.isFailure)) {
            assert.strictEqual(yield* kindOf(exit), "owned")
          }
        }))

      it.effect("an owner that paused while another one took over is fenced, and writes nothing", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const options = { leaseDuration: "500 millis" } as const
          const old = yield* pausable(server, options)
          const oldScope = yield* Scope.make()
          const oldHandle = yield* Scope.provide(old.store.open("fought"), oldScope)
          yield* oldHandle.load
          yield* oldHandle.commit([put(outbound(1)), put(outbound(2))])
          yield* old.pause
          const late = yield* Effect.forkChild(Effect.exit(oldHandle.commit([put(outbound(99)), drop(1)])), {
            startImmediately: true
          })
          const next = yield* (yield* store(server, options)).open("fought")
          assert.deepStrictEqual(sequencesOf(yield* next.load), [1, 2])
          yield* next.commit([drop(2), put(outbound(3))])
          yield* old.resume
          assert.strictEqual(yield* kindOf(yield* Fiber.join(late)), "fenced")
          for (const attempt of [oldHandle.commit([put(outbound(98))]), oldHandle.clear, oldHandle.load]) {
            assert.strictEqual(yield* kindOf(Effect.asVoid(attempt)), "fenced")
          }
          assert.deepStrictEqual(sequencesOf(yield* next.load), [1, 3])
          // Its end does not end the lease of the other one.
          yield* Scope.close(oldScope, Exit.void)
          const third = yield* store(server, { ...options, acquireTimeout: 0 })
          assert.strictEqual(yield* Effect.scoped(kindOf(third.open("fought"))), "owned")
          yield* next.commit([put(outbound(4))])
          assert.deepStrictEqual(sequencesOf(yield* next.load), [1, 3, 4])
        }))

      it.effect("it is fenced when the other one has left again, too", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const options = { leaseDuration: "500 millis" } as const
          const old = yield* pausable(server, options)
          const oldHandle = yield* old.store.open("left")
          yield* oldHandle.commit([put(outbound(1))])
          yield* old.pause
          const other = yield* store(server, options)
          yield* Effect.scoped(Effect.flatMap(other.open("left"), (handle) => handle.clear))
          yield* old.resume
          assert.strictEqual(yield* kindOf(oldHandle.commit([put(outbound(9))])), "fenced")
          assert.deepStrictEqual(sequencesOf(yield* (yield* other.open("left")).load), [])
        }))

      it.effect("an owner whose lease ended while no other one took the session continues, and has its lease again", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const first = yield* store(server, patient)
          const handle = yield* first.open("late")
          yield* handle.commit([put(outbound(1))])
          yield* server.query(
            `UPDATE mqttx_sessions SET lease_until = ${server.hoursBefore("now", 1)} WHERE name = 'late'`
          )
          yield* handle.commit([put(outbound(2))])
          const second = yield* store(server, patient)
          assert.strictEqual(yield* Effect.scoped(kindOf(second.open("late"))), "owned")
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
        }))

      it.effect("a commit that reaches the database after a later one of the same owner changes nothing", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const sql = yield* server.client
          const held: Array<Deferred.Deferred<boolean>> = []
          const latch = Latch.makeUnsafe(false)
          let isHolding = false
          // A network that keeps statements, and delivers them although they were given up.
          const slow = intercepted(sql, (statement) =>
            Effect.suspend(() => {
              if (!isHolding) return statement
              const arrived = Deferred.makeUnsafe<boolean>()
              held.push(arrived)
              return Effect.uninterruptible(
                Effect.onExit(latch.whenOpen(statement), (exit) => Deferred.succeed(arrived, Exit.isSuccess(exit)))
              )
            }))
          const options = { ...patient, statementTimeout: "100 millis" } as const
          const one = yield* Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, slow)
          const handle = yield* Effect.retry(one.open("overtaken"), { times: 20 })
          isHolding = true
          assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "unavailable")
          isHolding = false
          const tried = held.length
          assert.isAbove(tried, 1)
          const later = Effect.retry(handle.commit([put(outbound(2)), drop(1)]), { times: 20 })
          yield* later
          yield* latch.open
          for (const arrived of held) assert.isTrue(yield* Deferred.await(arrived))
          assert.deepStrictEqual(sequencesOf(yield* Effect.retry(handle.load, { times: 20 })), [2])
        }))
    })
  })
}
