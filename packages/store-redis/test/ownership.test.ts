import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Redis } from "effect/persistence"
import { testOwnership } from "../../../test/support/storeOwnership.ts"
import { outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { driver, intercepted, store } from "./support/redis.ts"

/**
 * A store whose process can be paused: while it is, nothing that it sends reaches Redis before it goes on.
 */
const pausable = Effect.fnUntraced(function*(server: RedisServer.Service, options: RedisStore.RedisStoreInput) {
  const redis = yield* driver(server)
  let isPaused = false
  const pausing = intercepted(redis, (real) => {
    const send: typeof real = (command, ...args) =>
      Effect.suspend(() => isPaused ? Effect.delay(send(command, ...args), 10) : real(command, ...args))
    return send
  })
  const paused = yield* Effect.provideService(RedisStore.make(options), Redis.Redis, pausing)
  return {
    store: paused,
    pause: Effect.sync(() => {
      isPaused = true
    }),
    resume: Effect.sync(() => {
      isPaused = false
    })
  }
})

describe.skipIf(!RedisServer.isPresent())("ownership", () => {
  layer(RedisServer.layer(), { excludeTestServices: true })((it) => {
    testOwnership(it, {
      store: (options) => Effect.flatMap(RedisServer.RedisServer, (server) => store(server, options)),
      pausable: (options) => Effect.flatMap(RedisServer.RedisServer, (server) => pausable(server, options)),
      endLease: Effect.fnUntraced(function*(session) {
        const server = yield* RedisServer.RedisServer
        assert.strictEqual(yield* server.command("DEL", `mqttx:session:{${session}}:lease`), 1)
      })
    })

    it.effect("a cleared session leaves no more than its epoch for a day, one with records its records", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const one = yield* store(server)
        yield* Effect.scoped(Effect.gen(function*() {
          const cleared = yield* one.open("cleared")
          yield* cleared.commit([put(outbound(1))])
          yield* cleared.clear
          const kept = yield* one.open("kept")
          yield* kept.commit([put(outbound(1))])
        }))
        assert.strictEqual(yield* server.command("EXISTS", "mqttx:session:{cleared}:records"), 0)
        const ttl = Number(yield* server.command("TTL", "mqttx:session:{cleared}:owner"))
        assert.isTrue(ttl > 86_000 && ttl <= 86_400, `${ttl}`)
        assert.strictEqual(yield* server.command("TTL", "mqttx:session:{kept}:records"), -1)
        assert.strictEqual(yield* server.command("TTL", "mqttx:session:{kept}:owner"), -1)
        assert.strictEqual(yield* server.command("EXISTS", "mqttx:session:{kept}:lease"), 0)
      }))

    it.effect("an idle session's state disappears, and a used one's never", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const one = yield* store(server, { expiry: "4 seconds", leaseDuration: "3 seconds" })
        yield* Effect.scoped(Effect.flatMap(one.open("unused"), (handle) => handle.commit([put(outbound(1))])))
        const used = yield* one.open("used")
        yield* used.commit([put(outbound(1))])
        yield* used.clear
        yield* used.commit([put(outbound(2))])
        yield* Effect.repeat(server.command("KEYS", "mqttx:session:{unused}:*"), {
          schedule: Schedule.spaced(50),
          until: (keys) => (keys as ReadonlyArray<string>).length === 0
        })
        // Without its renewals it would be gone by now.
        yield* Effect.sleep("4 seconds")
        assert.deepStrictEqual(sequencesOf(yield* used.load), [2])
      }))
  })
})
