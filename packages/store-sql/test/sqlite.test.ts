/**
 * What is particular to SQLite: the driver over `node:sqlite`, what a commit survives, and files that are locked, full
 * or damaged.
 */
import { StoreRecord } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import * as SqliteClient from "@effect-mqttx/store-sql/SqliteClient"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { writeFileSync } from "node:fs"
import { kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { file, hasSqlite, sqliteClient } from "./support/databases.ts"

const storeOf = (sql: SqlClient.SqlClient, options?: SqlStore.SqlStoreInput) =>
  Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, sql)

describe.skipIf(hasSqlite)("a version of Node without node:sqlite", () => {
  it.live("fails with a type that says which one is needed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(SqliteClient.layer({ filename: yield* file })))
      assert.strictEqual(error._tag, "SqlError")
      assert.match(error.message, /has no node:sqlite: it needs 22\.19 or newer/)
    }))
})

describe("options of SQLite that are wrong", () => {
  it.live("are refused with InvalidOptions", () =>
    Effect.gen(function*() {
      for (const filename of [undefined, null, 5, "", "a\0b"]) {
        const error = yield* Effect.flip(Layer.build(SqliteClient.layer({ filename: filename as string })))
        assert.strictEqual(error._tag === "MqttError" && error.reason._tag, "InvalidOptions")
      }
    }))
})

describe.skipIf(!hasSqlite)("SQLite", () => {
  it.live("commits are synced: the durability is power, session in memory, and less where a setting says less", () =>
    Effect.gen(function*() {
      const sql = yield* sqliteClient(yield* file)
      const one = yield* storeOf(sql)
      const durability = Effect.scoped(Effect.map(one.open("plant"), (handle) => handle.durability))
      assert.strictEqual(yield* durability, "power")
      for (
        const [setting, expected] of [
          ["synchronous = NORMAL", "process"],
          ["synchronous = OFF", "process"],
          ["journal_mode = DELETE", "process"],
          ["synchronous = FULL", "process"],
          ["synchronous = EXTRA", "power"],
          ["journal_mode = MEMORY", "session"]
        ] as const
      ) {
        yield* sql.unsafe(`PRAGMA ${setting}`)
        assert.strictEqual(yield* durability, expected, setting)
      }
      const memory = yield* storeOf(yield* sqliteClient(":memory:"))
      assert.strictEqual((yield* memory.open("plant")).durability, "session")
    }))

  it.live("a statement waits for another process that writes, without blocking this one, and for a bounded time", () =>
    Effect.gen(function*() {
      const path = yield* file
      const [one, other] = [yield* sqliteClient(path), yield* sqliteClient(path, { busyTimeout: "300 millis" })]
      yield* one.unsafe("CREATE TABLE a (b)")
      const writing = yield* Deferred.make<void>()
      const end = yield* Deferred.make<void>()
      const transaction = yield* Effect.forkChild(
        one.withTransaction(
          Effect.andThen(
            one.unsafe("INSERT INTO a VALUES (1)"),
            () => Effect.andThen(Deferred.succeed(writing, undefined), Deferred.await(end))
          )
        ),
        { startImmediately: true }
      )
      yield* Deferred.await(writing)
      const begin = yield* Clock.currentTimeMillis
      let ticks = 0
      const ticking = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sleep(10), Effect.sync(() => ticks++)))
      )
      for (const statement of [other.unsafe("INSERT INTO a VALUES (2)"), other.withTransaction(Effect.void)]) {
        const error = yield* Effect.flip(statement)
        assert.strictEqual(error.reason._tag, "LockTimeoutError")
      }
      assert.isBelow((yield* Clock.currentTimeMillis) - begin, 10_000)
      assert.isAbove(ticks, 3)
      yield* Fiber.interrupt(ticking)
      // What reads does not wait.
      assert.lengthOf(yield* other.unsafe("SELECT b FROM a"), 0)
      const patient = yield* sqliteClient(path)
      const waiting = yield* Effect.forkChild(patient.unsafe("INSERT INTO a VALUES (3)"), { startImmediately: true })
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(transaction)
      yield* Fiber.join(waiting)
      assert.lengthOf(yield* other.unsafe("SELECT b FROM a"), 2)
    }))

  it.live("a statement that is interrupted while it waits takes no turn", () =>
    Effect.gen(function*() {
      const sql = yield* sqliteClient(yield* file)
      const end = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(sql.withTransaction(Deferred.await(end)), { startImmediately: true })
      const second = yield* Effect.forkChild(sql.unsafe("SELECT 1"), { startImmediately: true })
      const third = yield* Effect.forkChild(sql.unsafe<{ n: number }>("SELECT 3 AS n"), { startImmediately: true })
      yield* Effect.sleep(20)
      // Granted and interrupted in the same turn of the event loop.
      yield* Effect.all([Deferred.succeed(end, undefined), Fiber.interrupt(second)], { discard: true })
      yield* Fiber.join(first)
      assert.deepStrictEqual((yield* Fiber.join(third)).map(({ n }) => n), [3])
      yield* sql.withTransaction(Effect.void)
    }))

  it.live("a row that was altered is removed and counted, and a file that is no database is corrupt", () =>
    Effect.gen(function*() {
      const path = yield* file
      const sql = yield* sqliteClient(path)
      const handle = yield* (yield* storeOf(sql)).open("altered")
      yield* handle.commit([1, 2, 3].map((sequence) => put(outbound(sequence))))
      yield* sql`UPDATE mqttx_records SET value = CAST(value || x'00' AS BLOB) WHERE key = ${
        StoreRecord.outboundKey(2)
      }`
      const loaded = yield* handle.load
      assert.deepStrictEqual(sequencesOf(loaded), [1, 3])
      assert.strictEqual(loaded.damage?.lost, 1)
      const other = yield* file
      writeFileSync(other, "not a database".repeat(100))
      const error = yield* Effect.flip(sqliteClient(other))
      assert.match(error.message, /SQLite has refused a statement|cannot be opened/)
    }))

  it.live("a message of 40 MB comes back", () =>
    Effect.gen(function*() {
      const handle = yield* (yield* storeOf(yield* sqliteClient(yield* file))).open("large")
      const payload = new Uint8Array(40 * 1_048_576).map((_, i) => i * 31)
      yield* handle.commit([put(outbound(1, { payload })), put(outbound(2))])
      const { records } = yield* handle.load
      const [first] = records
      assert.isTrue(first?._tag === "Outbound" && Buffer.compare(first.payload, payload) === 0)
    }), 180_000)

  it.live("a database that takes no changes fails with the kind readOnly, until it does", () =>
    Effect.gen(function*() {
      const sql = yield* sqliteClient(yield* file)
      const handle = yield* (yield* storeOf(sql)).open("plant")
      yield* handle.commit([put(outbound(1))])
      yield* sql.unsafe("PRAGMA query_only = ON")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2))])), "readOnly")
      yield* sql.unsafe("PRAGMA query_only = OFF")
      yield* handle.commit([put(outbound(2))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
    }))

  it.live("a full one fails with the kind full, until there is room", () =>
    Effect.gen(function*() {
      const sql = yield* sqliteClient(yield* file)
      const handle = yield* (yield* storeOf(sql)).open("plant")
      yield* handle.commit([put(outbound(1))])
      const [row] = yield* sql.unsafe<{ page_count: number }>("PRAGMA page_count")
      yield* sql.unsafe(`PRAGMA max_page_count = ${row!.page_count}`)
      const large = put(outbound(2, { payload: new Uint8Array(100_000) }))
      assert.strictEqual(yield* kindOf(handle.commit([large])), "full")
      yield* sql.unsafe("PRAGMA max_page_count = 1000000")
      yield* handle.commit([large])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
    }))
})
