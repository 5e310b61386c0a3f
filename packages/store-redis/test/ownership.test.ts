import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Redis } from "effect/persistence"
import { driver, drop, intercepted, kindOf, outbound, put, sequencesOf, store } from "./support/redis.ts"

/** Time without end for those that a test has to keep waiting. */
const patient = { leaseDuration: "10 seconds", acquireTimeout: 0 } as const

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
    it.effect("a second process is told how long it would have to wait", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const [first, second] = [yield* store(server, patient), yield* store(server, patient)]
        const handle = yield* first.open("told")
        const error = yield* Effect.flip(Effect.scoped(second.open("told")))
        assert.match(error.message, /\(owned\): another owner has the session, with a lease for \d+s/)
        assert.strictEqual(error.session, "told")
        yield* handle.commit([put(outbound(1))])
      }))

    it.effect("a second process waits for an owner that leaves", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const first = yield* store(server)
        const second = yield* store(server, { acquireTimeout: "1 minute" })
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(first.open("leaving"), scope)
        yield* handle.commit([put(outbound(1))])
        const waiting = yield* Effect.forkChild(second.open("leaving"), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        const next = yield* Fiber.join(waiting)
        assert.deepStrictEqual(sequencesOf(yield* next.load), [1])
      }))

    it.effect("a session whose owner was killed is opened when its lease ends, without more than the defaults", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        // The killed one: it neither renews nor releases any more.
        const killed = yield* pausable(server, { leaseDuration: "1 second" })
        const handle = yield* killed.store.open("killed")
        yield* handle.commit([put(outbound(1))])
        yield* killed.pause
        const next = yield* (yield* store(server, { leaseDuration: "1 second" })).open("killed")
        assert.deepStrictEqual(sequencesOf(yield* next.load), [1])
        yield* killed.resume
      }))

    it.effect("an idle owner keeps its lease by renewing it", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const first = yield* store(server, { leaseDuration: "600 millis" })
        yield* first.open("idle")
        const second = yield* store(server, { leaseDuration: "600 millis", acquireTimeout: "2 seconds" })
        assert.strictEqual(yield* Effect.scoped(kindOf(second.open("idle"))), "owned")
      }))

    it.effect("one of many processes that want a session gets it", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => store(server, patient))
        const exits = yield* Effect.forEach(stores, (one) => Effect.exit(one.open("wanted")), {
          concurrency: "unbounded"
        })
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      }))

    it.effect("an owner that paused while another one took over is fenced, and writes nothing", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
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
        yield* next.load
        yield* next.commit([drop(2), put(outbound(3))])
        yield* old.resume
        const exit = yield* Fiber.join(late)
        assert.isTrue(Exit.isFailure(exit))
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

    it.effect("it is fenced when the other one has left again, too, with or without records", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const options = { leaseDuration: "500 millis" } as const
        for (const leavesRecords of [true, false]) {
          const name = `left ${leavesRecords}`
          const old = yield* pausable(server, options)
          const oldHandle = yield* old.store.open(name)
          yield* oldHandle.load
          yield* oldHandle.commit([put(outbound(1))])
          yield* old.pause
          const other = yield* store(server, options)
          yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* other.open(name)
            yield* leavesRecords ? handle.commit([put(outbound(2))]) : handle.clear
          }))
          yield* old.resume
          assert.strictEqual(yield* kindOf(oldHandle.commit([put(outbound(9))])), "fenced")
          const last = yield* other.open(name)
          assert.deepStrictEqual(sequencesOf(yield* last.load), leavesRecords ? [1, 2] : [])
        }
      }))

    it.effect("an owner whose lease ended while no other process took the session continues, and has its lease again", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const first = yield* store(server, patient)
        const handle = yield* first.open("late")
        yield* handle.commit([put(outbound(1))])
        assert.strictEqual(yield* server.command("DEL", "mqttx:session:{late}:lease"), 1)
        yield* handle.commit([put(outbound(2))])
        const second = yield* store(server, patient)
        assert.strictEqual(yield* Effect.scoped(kindOf(second.open("late"))), "owned")
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
      }))

    it.effect("a failed attempt to open leaves nothing behind, in a scope that continues", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const [first, second] = [yield* store(server, patient), yield* store(server, patient)]
        const scope = yield* Scope.make()
        yield* Scope.provide(first.open("again"), scope)
        assert.strictEqual(yield* kindOf(second.open("again")), "owned")
        yield* Scope.close(scope, Exit.void)
        yield* second.open("again")
      }))

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
        const one = yield* store(server, { expiry: "1500 millis", leaseDuration: "900 millis" })
        yield* Effect.scoped(Effect.flatMap(one.open("unused"), (handle) => handle.commit([put(outbound(1))])))
        const used = yield* one.open("used")
        yield* used.commit([put(outbound(1))])
        yield* used.clear
        yield* used.commit([put(outbound(2))])
        yield* Effect.sleep("3 seconds")
        const keys = yield* server.command("KEYS", "mqttx:session:{u*used}:*")
        assert.isFalse((keys as ReadonlyArray<string>).some((key) => key.includes("unused")), `${keys}`)
        assert.deepStrictEqual(sequencesOf(yield* used.load), [2])
      }))
  })
})
