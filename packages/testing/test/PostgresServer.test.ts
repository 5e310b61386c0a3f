import * as PostgresServer from "@effect-mqttx/testing/PostgresServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { existsSync } from "node:fs"

const withoutSync = { settings: { fsync: "off" } }

describe.skipIf(!PostgresServer.isPresent())("postgres", () => {
  it.live("runs statements, and says why it does not", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      assert.match(server.version, /^\d+\.\d+/)
      assert.strictEqual(server.url, `postgres://${server.username}@127.0.0.1:${server.port}/${server.database}`)
      assert.deepStrictEqual(yield* server.query("SELECT 1 AS one, NULL AS none, '\u00fc' AS text, '' AS empty"), [
        { one: "1", none: null, text: "\u00fc", empty: "" }
      ])
      const large = yield* server.query("SELECT repeat('a', 300000) AS text FROM generate_series(1, 3)")
      assert.deepStrictEqual(large.map(({ text }) => text?.length), [300_000, 300_000, 300_000])
      assert.deepStrictEqual(yield* server.query("CREATE TABLE a (b int); INSERT INTO a VALUES (1)"), [])
      assert.match(yield* Effect.flip(server.query("SELECT * FROM no_such_table")), /"no_such_table" does not exist/)
    }).pipe(Effect.provide(PostgresServer.layer(withoutSync))), 180_000)

  it.live("keeps what was committed over a kill, a restart and a freeze", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.make(withoutSync)
      yield* server.query("CREATE TABLE a (b int)")
      for (const again of [Effect.andThen(server.kill, server.start), server.restart]) {
        yield* server.query("INSERT INTO a VALUES (1)")
        yield* again
      }
      yield* server.freeze
      const waiting = yield* Effect.forkChild(server.query("SELECT count(*) AS n FROM a"), { startImmediately: true })
      assert.deepStrictEqual(yield* Effect.timeoutOption(Fiber.await(waiting), "100 millis"), yield* Effect.succeedNone)
      yield* server.thaw
      assert.deepStrictEqual(yield* Fiber.join(waiting), [{ n: "2" }])
    }), 180_000)

  it.live("ends with its scope, frozen too, and leaves no files", () =>
    Effect.gen(function*() {
      const [directory, query] = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* PostgresServer.make(withoutSync)
        const [row] = yield* server.query("SHOW data_directory")
        yield* server.freeze
        return [row!["data_directory"]!, server.query] as const
      }))
      assert.isFalse(existsSync(directory))
      assert.include(yield* Effect.flip(query("SELECT 1")), "ECONNREFUSED")
    }), 180_000)

  it.live("says why it does not start", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PostgresServer.make({ settings: { no_such_setting: "on" } }))
      assert.include(error.detail, "no_such_setting")
    }), 180_000)
})
