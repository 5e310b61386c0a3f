/**
 * What the tables hold, and what the store makes of tables that others have changed.
 */
import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import { PostgresServer } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import { kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { client, intercepted, store, withoutSync } from "./support/postgres.ts"

/** A record of the next format, as hexadecimal digits. */
const newerRecord = (key: string): string => {
  const body = Uint8Array.of(StoreRecordCodec.format + 1, 200, 1, 2, 3)
  const bytes = Buffer.alloc(body.length + 4)
  bytes.set(body)
  bytes.writeUInt32BE(StoreRecordCodec.checksum(Buffer.concat([Buffer.from(key), body])), body.length)
  return bytes.toString("hex")
}

describe("a client of another database", () => {
  it.effect("is refused with InvalidOptions that names the dialect", () =>
    Effect.gen(function*() {
      const other = yield* SqlClient.make({
        acquirer: Effect.die("no statement is sent"),
        compiler: Statement.makeCompiler({
          dialect: "mysql",
          placeholder: () => "?",
          onIdentifier: (name) => name,
          onCustom: () => ["", []],
          onRecordUpdate: () => ["", []]
        }),
        driver: "mysql",
        spanAttributes: []
      } as SqlClient.SqlClient.MakeOptions)
      const error = yield* Effect.flip(
        Effect.scoped(Effect.provideService(SqlStore.make(), SqlClient.SqlClient, other))
      )
      assert.strictEqual(error.reason._tag, "InvalidOptions")
      assert.match(error.message, /needs PostgreSQL or SQLite/)
    }).pipe(Effect.provide(Reactivity.layer as Layer.Layer<Reactivity.Reactivity>)))
})

describe.skipIf(!PostgresServer.isPresent())("records in PostgreSQL", () => {
  layer(PostgresServer.layer(withoutSync), { excludeTestServices: true })((it) => {
    it.effect("a message of 40 MB comes back, although the driver takes 16 MB at a time", () =>
      Effect.gen(function*() {
        const handle = yield* (yield* store(yield* PostgresServer.PostgresServer)).open("large")
        const payload = new Uint8Array(40 * 1_048_576).map((_, i) => i * 31)
        yield* handle.commit([put(outbound(1, { payload })), put(outbound(2))])
        const { damage, records } = yield* handle.load
        assert.isUndefined(damage)
        assert.strictEqual(records.length, 2)
        const [first] = records
        assert.isTrue(first?._tag === "Outbound" && Buffer.compare(first.payload, payload) === 0)
      }), 180_000)

    it.effect("a row that was altered is removed, counted and reported once", () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const handle = yield* (yield* store(server, { tablePrefix: "altered" })).open("altered")
        yield* handle.commit([1, 2, 3].map((sequence) => put(outbound(sequence))))
        yield* server.query(
          "UPDATE altered_records SET value = value || '\\x00'::bytea WHERE key = 'outbound/0000000000000002'"
        )
        yield* server.query("UPDATE altered_records SET key = 'other' WHERE key = 'outbound/0000000000000003'")
        const loaded = yield* handle.load
        assert.deepStrictEqual(sequencesOf(loaded), [1])
        assert.strictEqual(loaded.damage?.lost, 2)
        const again = yield* handle.load
        assert.deepStrictEqual(sequencesOf(again), [1])
        assert.isUndefined(again.damage)
      }))

    it.effect("records of a newer format are refused, and nothing is changed", () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const one = yield* store(server, { tablePrefix: "newer" })
        const handle = yield* one.open("newer")
        yield* handle.commit([put(outbound(1)), put(outbound(2))])
        const hex = newerRecord(StoreRecord.outboundKey(1))
        yield* server.query(
          `UPDATE newer_records SET value = '\\x${hex}'::bytea WHERE key = 'outbound/0000000000000001'`
        )
        assert.strictEqual(yield* kindOf(handle.load), "newerFormat")
        assert.strictEqual((yield* server.query("SELECT key FROM newer_records")).length, 2)
      }))

    it.effect("a user without the right to make tables uses those that are there, and is refused without them", () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const limited = { username: "limited" }
        yield* server.query("CREATE ROLE limited LOGIN")
        const refused = yield* store(server, { tablePrefix: "granted" }, limited)
        assert.strictEqual(yield* kindOf(Effect.scoped(refused.open("plant"))), "refused")
        yield* Effect.scoped((yield* store(server, { tablePrefix: "granted" })).open("other"))
        yield* server.query("GRANT SELECT, INSERT, UPDATE, DELETE ON granted_sessions, granted_records TO limited")
        const handle = yield* refused.open("plant")
        yield* handle.commit([put(outbound(1))])
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
      }))

    it.effect("a database that takes no changes fails with the kind readOnly, until it does", () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        // A driver that reads the setting again with each connection.
        const one = yield* store(server, { tablePrefix: "readonly" }, { username: "reader", maxConnections: 1 })
        yield* server.query("CREATE ROLE reader LOGIN SUPERUSER")
        const handle = yield* one.open("plant")
        yield* handle.commit([put(outbound(1))])
        const reconnect = server.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'"
        )
        yield* server.query("ALTER ROLE reader SET default_transaction_read_only = on")
        yield* reconnect
        assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2))])), "readOnly")
        yield* server.query("ALTER ROLE reader SET default_transaction_read_only = off")
        yield* reconnect
        yield* handle.commit([put(outbound(2))])
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
      }))

    it.effect(
      "a commit of several statements whose connection is lost between two of them is made over another one",
      () =>
        Effect.gen(function*() {
          const server = yield* PostgresServer.PostgresServer
          yield* server.query("CREATE ROLE cut LOGIN SUPERUSER")
          let left = Number.POSITIVE_INFINITY
          const cutting = intercepted(yield* client(server, { username: "cut" }), (statement) =>
            Effect.suspend(() => {
              left--
              const cut = server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cut'")
              return left === 0 ? Effect.andThen(Effect.orDie(cut), statement) : statement
            }))
          const one = yield* Effect.provideService(SqlStore.make(), SqlClient.SqlClient, cutting)
          const handle = yield* one.open("cut")
          const payload = new Uint8Array(5 * 1_048_576)
          // The second of three statements.
          left = 2
          yield* handle.commit([1, 2, 3].map((sequence) => put(outbound(sequence, { payload }))))
          assert.isBelow(left, 0)
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2, 3])
        }),
      180_000
    )

    it.effect("a commit stays when a transaction around its call is rolled back", () =>
      Effect.gen(function*() {
        const sql = yield* client(yield* PostgresServer.PostgresServer)
        const one = yield* Effect.provideService(SqlStore.make(), SqlClient.SqlClient, sql)
        const handle = yield* one.open("rolled back")
        const failed = yield* Effect.flip(
          sql.withTransaction(Effect.andThen(handle.commit([put(outbound(1))]), Effect.fail("as planned")))
        )
        assert.strictEqual(failed, "as planned")
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
      }))
  })

  for (
    const [durability, settings] of [
      ["power", {}],
      ["power", { synchronous_commit: "local" }],
      ["process", { fsync: "off" }],
      ["process", { full_page_writes: "off" }],
      ["session", { synchronous_commit: "off" }]
    ] as const
  ) {
    it.live(`the durability is ${durability} with the settings ${JSON.stringify(settings)}`, () =>
      Effect.gen(function*() {
        const handle = yield* (yield* store(yield* PostgresServer.PostgresServer)).open("plant")
        assert.strictEqual(handle.durability, durability)
      }).pipe(Effect.scoped, Effect.provide(PostgresServer.layer({ settings }))))
  }
})
