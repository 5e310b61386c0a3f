import { SqlStore } from "@effect-mqttx/store-sql"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { testOwnership } from "../../../test/support/storeOwnership.ts"
import { drop, kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { Database, databases, intercepted, type Service, store } from "./support/databases.ts"

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
      testOwnership(it, {
        store: (options) => Effect.flatMap(Database, (server) => store(server, options)),
        pausable: (options) => Effect.flatMap(Database, (server) => pausable(server, options)),
        endLease: (session) =>
          Effect.flatMap(
            Database,
            ({ hoursBefore, query }) =>
              query(`UPDATE mqttx_sessions SET lease_until = ${hoursBefore("now", 1)} WHERE name = '${session}'`)
          )
      })

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
          const options = { ...patient, statementTimeout: "500 millis" } as const
          const one = yield* Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, slow)
          const handle = yield* Effect.retry(one.open("overtaken"), { times: 50 })
          isHolding = true
          assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "unavailable")
          isHolding = false
          const tried = held.length
          assert.isAbove(tried, 1)
          const later = Effect.retry(handle.commit([put(outbound(2)), drop(1)]), { times: 50 })
          yield* later
          yield* latch.open
          for (const arrived of held) assert.isTrue(yield* Deferred.await(arrived))
          assert.deepStrictEqual(sequencesOf(yield* Effect.retry(handle.load, { times: 50 })), [2])
        }))
    })
  })
}
