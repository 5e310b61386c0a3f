import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule } from "effect"
import { Redis } from "effect/persistence"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { drop, kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { driver, intercepted, store } from "./support/redis.ts"

/** Commits again until it succeeds, as a session does. */
const insist = (handle: SessionStore.SessionStoreHandle, sequence: number) =>
  Effect.retry(handle.commit([put(outbound(sequence))]), Schedule.spaced(50))

const impatient = { commandTimeout: "2 seconds" } as const

describe.skipIf(!RedisServer.isPresent())("a Redis that fails", () => {
  it.live(
    "kill -9 under commits: every accepted one is there, and the same store continues",
    () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
        const handle = yield* (yield* store(server, impatient)).open("plant")
        assert.strictEqual(handle.durability, "power")
        yield* handle.load
        const accepted: Array<number> = []
        const committer = { isStopped: false }
        const committing = yield* Effect.forkChild(Effect.gen(function*() {
          for (let i = 0; !committer.isStopped; i++) {
            const exit = yield* Effect.exit(handle.commit([put(outbound(2 * i)), put(outbound(2 * i + 1))]))
            if (Exit.isSuccess(exit)) accepted.push(2 * i, 2 * i + 1)
          }
        }))
        for (let round = 1; round <= 3; round++) {
          const before = accepted.length
          yield* Effect.repeat(Effect.sleep(10), { until: () => accepted.length > before + 100 })
          yield* server.kill
          yield* server.start
        }
        const before = accepted.length
        yield* Effect.repeat(Effect.sleep(10), { until: () => accepted.length > before + 100 })
        committer.isStopped = true
        yield* Fiber.join(committing)
        yield* server.kill
        yield* server.start
        const held = new Set(sequencesOf(yield* Effect.retry(handle.load, Schedule.spaced(50))))
        assert.deepStrictEqual(accepted.filter((sequence) => !held.has(sequence)), [])
        // All or none, whether a failed one was applied or not.
        for (const sequence of held) assert.isTrue(held.has(sequence ^ 1), `${sequence} is without its other half`)
      }),
    180_000
  )

  it.live("away for a while: commits fail in bounded time with a type, keep nothing in the driver, and succeed later", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ appendonly: true })
      const handle = yield* (yield* store(server, impatient)).open("plant")
      yield* handle.load
      yield* handle.commit([put(outbound(1))])
      yield* server.stop
      for (let i = 0; i < 5; i++) {
        const error = yield* Effect.flip(handle.commit([put(outbound(100 + i))]))
        assert.strictEqual((error.reason as MqttError.StorageFailed).kind, "unavailable")
        if (i > 0) assert.include(error.message, "ECONNREFUSED")
      }
      yield* server.start
      yield* server.command("CONFIG", "RESETSTAT")
      yield* insist(handle, 2)
      const loaded = sequencesOf(yield* handle.load)
      assert.includeMembers([...loaded], [1, 2])
      const stats = String(yield* server.command("INFO", "commandstats"))
      const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])
      assert.isBelow(calls, 12, "what was given up five times is sent once")
    }))

  it.live("a hung Redis is a timeout, and an abandoned commit never undoes a later one", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const handle = yield* (yield* store(server, impatient)).open("plant")
      yield* handle.load
      yield* server.command("CLIENT", "PAUSE", "6000", "ALL")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1)), put(outbound(2))])), "unavailable")
      yield* Effect.retry(handle.commit([drop(1), put(outbound(3))]), Schedule.spaced(50))
      assert.deepStrictEqual(sequencesOf(yield* handle.load).filter((sequence) => sequence !== 2), [3])
    }))

  it.live("a commit that the network delivers late changes nothing, neither behind a newer one nor for a newer owner", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* driver(server)
      const late: Array<ReadonlyArray<string>> = []
      let isCut = false
      const cutting = intercepted(redis, (send) => (command, ...args) =>
        Effect.suspend(() => {
          if (!isCut) return send(command, ...args)
          late.push([command, ...args])
          return Effect.fail(new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") }))
        }))
      const one = yield* Effect.provideService(RedisStore.make(), Redis.Redis, cutting)
      const deliver = Effect.suspend(() => Effect.forEach(late, ([command, ...args]) => redis.send(command!, ...args)))
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* one.open("plant")
        // Redis knows the scripts by now.
        yield* handle.clear
        yield* handle.commit([put(outbound(1))])
        isCut = true
        assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2)), drop(1)])), "unavailable")
        assert.strictEqual(yield* kindOf(handle.clear), "unavailable")
        isCut = false
        yield* handle.commit([put(outbound(3))])
        const stored = server.command("HGETALL", "mqttx:session:{plant}:records")
        const before = yield* stored
        assert.isAtLeast((yield* deliver).length, 2)
        assert.deepStrictEqual(yield* stored, before)
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 3])
        isCut = true
        assert.strictEqual(yield* kindOf(handle.commit([put(outbound(4))])), "unavailable")
        isCut = false
      }))
      yield* deliver
      assert.strictEqual(yield* server.command("EXISTS", "mqttx:session:{plant}:lease"), 0)
      const next = yield* one.open("plant")
      yield* deliver
      assert.deepStrictEqual(sequencesOf(yield* next.load), [1, 3])
    }))

  it.live("restarted without its memory: what it had accepted is written again", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const handle = yield* (yield* store(server, impatient)).open("plant")
      assert.strictEqual(handle.durability, "session")
      yield* handle.load
      const payload = new Uint8Array(20_000).fill(200)
      for (let i = 1; i <= 100; i++) yield* handle.commit([put(outbound(i, { payload }))])
      yield* handle.commit([drop(1)])
      yield* server.kill
      yield* server.start
      yield* insist(handle, 101)
      assert.deepStrictEqual(sequencesOf(yield* handle.load), Array.from({ length: 100 }, (_, i) => i + 2))
      assert.strictEqual(yield* server.command("EXISTS", "mqttx:session:{plant}:rewrite"), 0)
      const other = yield* store(server, { acquireTimeout: 0 })
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("plant"))), "owned")
    }))

  it.live("an idle owner finds that out by its renewals, before another process opens the session", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const handle = yield* (yield* store(server, { ...impatient, leaseDuration: "3 seconds" })).open("plant")
      yield* handle.load
      yield* handle.commit([put(outbound(1))])
      yield* server.command("FLUSHALL")
      yield* Effect.repeat(server.command("EXISTS", "mqttx:session:{plant}:lease"), { until: (reply) => reply === 1 })
      const other = yield* store(server, { acquireTimeout: 0 })
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("plant"))), "owned")
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
    }))

  it.live("restarted without its memory and opened by another process: the old owner is fenced", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      // It renews too seldom to notice.
      const handle = yield* (yield* store(server, { leaseDuration: "1 hour" })).open("plant")
      yield* handle.load
      yield* handle.commit([put(outbound(1))])
      yield* server.command("FLUSHALL")
      const next = yield* (yield* store(server)).open("plant")
      yield* next.commit([put(outbound(2))])
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(3))])), "fenced")
      assert.deepStrictEqual(sequencesOf(yield* next.load), [2])
    }))

  it.live("rolled back to an older state: the newer one is written again", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["enable-debug-command yes"] })
      yield* Effect.scoped(Effect.flatMap((yield* store(server)).open("plant"), (handle) => handle.commit([])))
      const older = yield* (yield* store(server, impatient)).open("plant")
      yield* older.load
      yield* older.commit([put(outbound(1)), put(outbound(2))])
      yield* server.command("SAVE")
      yield* older.commit([drop(1), put(outbound(3))])
      yield* server.command("DEBUG", "RELOAD", "NOSAVE")
      yield* insist(older, 4)
      assert.deepStrictEqual(sequencesOf(yield* older.load), [2, 3, 4])
    }))

  it.live("out of memory: full, while deletes and PUBREL still pass, and it recovers", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["maxmemory-policy noeviction"] })
      const handle = yield* (yield* store(server, { leaseDuration: "3 seconds" })).open("plant")
      yield* handle.load
      const sent = { state: "publishing", qos: 2, packetIdentifier: 2 } as const
      yield* handle.commit([put(outbound(1)), put(outbound(2, sent))])
      yield* server.config("maxmemory", "1mb")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(3))])), "full")
      assert.strictEqual(yield* kindOf(handle.commit([drop(1), put(outbound(3))])), "full")
      // What is sent gets an identifier, what is received is released: records as large as before.
      yield* handle.commit([put(outbound(1, { state: "publishing", packetIdentifier: 1 }))])
      yield* handle.commit([put(outbound(2, { ...sent, state: "releasing", payload: new Uint8Array(0) }))])
      yield* handle.commit([drop(1)])
      const other = yield* store(server, { acquireTimeout: "5 seconds" })
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("plant"))), "owned", "the lease is renewed")
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("another"))), "full")
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [2])
      yield* server.config("maxmemory", "0")
      yield* handle.commit([put(outbound(3))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [2, 3])
    }))

  it.live("a commit for which memory ends is applied in full or not at all", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["maxmemory-policy noeviction"] })
      const handle = yield* (yield* store(server)).open("plant")
      yield* handle.load
      yield* server.config("maxmemory", "8mb")
      const payload = new Uint8Array(2_000)
      let next = 0
      let failure: string | undefined
      while (failure === undefined) {
        const first = next
        const changes = Array.from({ length: 500 }, (_, i) => put(outbound(first + i, { payload })))
        const exit = yield* Effect.exit(handle.commit(changes))
        if (Exit.isSuccess(exit)) next += 500
        else failure = yield* kindOf(exit)
      }
      assert.strictEqual(failure, "full")
      assert.strictEqual((yield* handle.load).records.length, next)
    }))

  it.live("a replica: readOnly, until it is a primary", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const handle = yield* (yield* store(server)).open("plant")
      yield* handle.load
      yield* server.command("REPLICAOF", "127.0.0.1", "1")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "readOnly")
      yield* server.command("REPLICAOF", "NO", "ONE")
      yield* handle.commit([put(outbound(1))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1])
    }))

  it.live("a disk that takes no snapshot: readOnly, until one succeeds", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["save 3600 1000"] })
      const handle = yield* (yield* store(server)).open("plant")
      yield* handle.load
      const [, directory] = (yield* server.command("CONFIG", "GET", "dir")) as ReadonlyArray<string>
      const snapshot = Path.join(directory!, "dump.rdb")
      const save = (status: string) =>
        Effect.andThen(
          server.command("BGSAVE"),
          Effect.repeat(server.command("INFO", "persistence"), {
            until: (info) =>
              String(info).includes(`rdb_last_bgsave_status:${status}`) &&
              String(info).includes("rdb_bgsave_in_progress:0")
          })
        )
      Fs.mkdirSync(snapshot)
      yield* save("err")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "readOnly")
      Fs.rmdirSync(snapshot)
      yield* save("ok")
      yield* handle.commit([put(outbound(1))])
    }))

  it.live("permissions that are taken away: refused, and it continues when they are back", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ users: { ann: "on >secret ~mqttx:* +@all" } })
      const credentials = { username: "ann", password: "secret" }
      const handle = yield* (yield* store(server, {}, credentials)).open("plant")
      yield* handle.load
      yield* server.command("ACL", "SETUSER", "ann", "-evalsha", "-eval")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(1))])), "refused")
      yield* server.command("ACL", "SETUSER", "ann", "+evalsha", "+eval")
      yield* handle.commit([put(outbound(1))])
      // A key outside of what the user may touch.
      const other = yield* store(server, { keyPrefix: "other:" }, credentials)
      assert.strictEqual(yield* Effect.scoped(kindOf(other.open("plant"))), "refused")
    }))

  it.live("a password that is demanded from now on: refused, although the driver only connects again and again", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ appendonly: true })
      const handle = yield* (yield* store(server, impatient)).open("plant")
      yield* handle.load
      yield* handle.commit([put(outbound(1))])
      yield* server.config("requirepass", "secret")
      yield* server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      // First of all the connection is gone.
      yield* Effect.repeat(kindOf(handle.commit([put(outbound(2))])), { until: (kind) => kind === "refused" })
      yield* server.config("requirepass", "")
      yield* insist(handle, 3)
      assert.includeMembers([...sequencesOf(yield* handle.load)], [1, 3])
    }))
})
