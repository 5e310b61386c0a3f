import * as RedisServer from "@effect-mqttx/testing/RedisServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

describe.skipIf(!RedisServer.isPresent())("redis-server", () => {
  it.live("answers commands, and says why it does not", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.RedisServer
      assert.match(server.version, /^\d+\.\d+/)
      assert.strictEqual(yield* server.command("SET", "a", "\u00fc"), "OK")
      assert.strictEqual(yield* server.command("GET", "a"), "\u00c3\u00bc")
      assert.strictEqual(yield* server.command("GET", "b"), null)
      assert.deepStrictEqual(yield* server.command("MGET", "a", "b"), ["\u00c3\u00bc", null])
      assert.strictEqual(yield* server.command("EXISTS", "a"), 1)
      assert.match(yield* Effect.flip(server.command("NO_SUCH_COMMAND")), /^ERR unknown command/)
    }).pipe(Effect.provide(RedisServer.layer())))

  it.live("keeps what its append-only file holds over a kill and a restart, and nothing without one", () =>
    Effect.gen(function*() {
      const keeper = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
      const forgetter = yield* RedisServer.make()
      for (const server of [keeper, forgetter]) {
        for (const again of [Effect.andThen(server.kill, server.start), server.restart]) {
          yield* server.command("INCR", "count")
          yield* again
        }
      }
      assert.strictEqual(yield* keeper.command("GET", "count"), "2")
      assert.strictEqual(yield* forgetter.command("GET", "count"), null)
    }))

  it.live("takes settings while it runs, and demands a password", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ requirepass: "secret" })
      yield* server.config("maxmemory", "3mb")
      assert.deepStrictEqual(yield* server.command("CONFIG", "GET", "maxmemory"), ["maxmemory", "3145728"])
      yield* server.config("requirepass", "other")
      assert.strictEqual(yield* server.command("PING"), "PONG")
      yield* server.restart
      assert.strictEqual(yield* server.command("PING"), "PONG")
    }))

  it.live("says why it does not start", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(RedisServer.make({ config: ["no-such-option true"] }))
      assert.include(error.detail, "no-such-option")
    }))
})
