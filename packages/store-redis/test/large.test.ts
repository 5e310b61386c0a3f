import type { SessionStore } from "@effect-mqttx/core"
import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Redis } from "effect/persistence"
import { drop, kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { driver, intercepted, store } from "./support/redis.ts"

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/**
 * A store whose process stops at the n-th command that changes something: that one is lost, or its answer is, and
 * nothing follows.
 */
const stopping = Effect.fnUntraced(function*(server: RedisServer.Service, options: RedisStore.RedisStoreInput) {
  const redis = yield* driver(server)
  let left = Infinity
  let isAnswerLost = false
  const stops = intercepted(redis, (send) => (command, ...args) =>
    Effect.suspend(() => {
      if (!command.startsWith("EVAL")) return send(command, ...args)
      left--
      const stopped = Effect.fail(new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") }))
      if (left >= 0) return send(command, ...args)
      return left === -1 && isAnswerLost ? Effect.andThen(send(command, ...args), stopped) : stopped
    }))
  return {
    store: yield* Effect.provideService(RedisStore.make(options), Redis.Redis, stops),
    stopAfter: (count: number, lost: "command" | "answer") => {
      left = count
      isAnswerLost = lost === "answer"
    },
    goOn: () => {
      left = Infinity
    }
  }
})

describe.skipIf(!RedisServer.isPresent())("a commit that is too large for one script", () => {
  layer(RedisServer.layer(), { excludeTestServices: true })((it) => {
    const before = numbers(0, 3000)
    // Deletes all but ten, and puts more than one part of new ones.
    const changes = [
      ...numbers(0, 2990).map(drop),
      ...numbers(5000, 9500).map((sequence) => put(outbound(sequence)))
    ]
    const after = [...numbers(2990, 3000), ...numbers(5000, 9500)]

    /** All or none, by what the next owner finds: whether it loads first, or commits first. */
    const expectWhole = Effect.fnUntraced(function*(
      server: RedisServer.Service,
      name: string,
      when: string,
      first: "load" | "commit"
    ) {
      const handle = yield* (yield* store(server)).open(name)
      if (first === "commit") yield* handle.commit([put(outbound(20_000))])
      const loaded = yield* handle.load
      assert.isUndefined(loaded.damage, when)
      const found = sequencesOf(loaded).filter((sequence) => sequence !== 20_000)
      assert.deepStrictEqual(found, found.length === before.length ? before : after, when)
      assert.strictEqual(yield* server.command("EXISTS", `mqttx:session:{${name}}:staged`), 0)
      return found.length === after.length
    })

    for (const lost of ["command", "answer"] as const) {
      it.effect(
        `a process that ends after any ${lost} of it leaves all of it or nothing`,
        () =>
          Effect.gen(function*() {
            const server = yield* RedisServer.RedisServer
            const outcomes: Array<boolean> = []
            let isDone = false
            for (let count = 0; count < 18; count++) {
              const name = `${lost}-${count}`
              const when = `${lost} ${count} is lost`
              yield* Effect.scoped(Effect.gen(function*() {
                const { stopAfter, store } = yield* stopping(server, { leaseDuration: "100 millis" })
                const handle = yield* store.open(name)
                yield* handle.load
                yield* handle.commit(before.map((sequence) => put(outbound(sequence))))
                stopAfter(count, lost)
                const exit = yield* Effect.exit(handle.commit(changes))
                const isWhole = yield* Effect.scoped(
                  expectWhole(server, name, when, count % 2 === 0 ? "load" : "commit")
                )
                if (Exit.isSuccess(exit)) assert.isTrue(isWhole, when)
                outcomes.push(isWhole)
                // Everything was asked for, and nothing is left to stop at.
                stopAfter(1000, lost)
                isDone = Exit.isSuccess(exit)
              }))
            }
            assert.isTrue(isDone)
            assert.include(outcomes, false)
            assert.include(outcomes, true)
          }),
        180_000
      )
    }

    it.effect(
      "committed again after a failure at any point, by the same owner, has the same effect",
      () =>
        Effect.gen(function*() {
          const server = yield* RedisServer.RedisServer
          const { goOn, stopAfter, store } = yield* stopping(server, { leaseDuration: "1 hour" })
          const handle = yield* store.open("again")
          yield* handle.load
          for (let count = 0; count < 10; count++) {
            yield* handle.clear
            yield* handle.commit(before.map((sequence) => put(outbound(sequence))))
            stopAfter(count, count % 2 === 0 ? "command" : "answer")
            yield* Effect.exit(handle.commit(changes))
            goOn()
            yield* handle.commit(changes)
            yield* handle.commit([put(outbound(20_000))])
            assert.deepStrictEqual(sequencesOf(yield* handle.load), [...after, 20_000], `stopped after ${count}`)
          }
        }),
      180_000
    )

    it.effect("no script of it is longer than some thousand changes", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const redis = yield* driver(server)
        let most = 0
        let largest = 0
        const measured = intercepted(redis, (send) => (command, ...args) => {
          most = Math.max(most, args.length)
          largest = Math.max(largest, args.reduce((bytes, arg) => bytes + arg.length, 0))
          return send(command, ...args)
        })
        const handle = yield* (yield* Effect.provideService(RedisStore.make(), Redis.Redis, measured)).open("bounded")
        yield* handle.load
        yield* handle.commit(numbers(0, 70_000).map((sequence) => put(outbound(sequence))))
        yield* handle.commit(
          numbers(0, 100).map((sequence) => put(outbound(100_000 + sequence, { payload: new Uint8Array(100_000) })))
        )
        yield* handle.commit(numbers(0, 70_000).map(drop))
        assert.isBelow(most, 4100)
        assert.isBelow(largest, 1_300_000)
        assert.strictEqual((yield* handle.load).records.length, 100)
      }), 180_000)
  })

  it.live("Redis that loses it in the middle: it is there afterwards all the same", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* driver(server)
      for (let at = 0; at < 8; at++) {
        let count = 0
        let isArmed = false
        const losing = intercepted(redis, (send) => (command, ...args) =>
          Effect.andThen(
            isArmed && command.startsWith("EVAL") && count++ === at
              ? Effect.orDie(server.command("FLUSHALL"))
              : Effect.void,
            send<never>(command, ...args)
          ))
        const one = yield* Effect.provideService(RedisStore.make(), Redis.Redis, losing)
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* one.open("plant")
          yield* handle.load
          yield* handle.commit([put(outbound(1)), put(outbound(2))])
          isArmed = true
          yield* handle.commit([drop(1), ...numbers(10, 5000).map((sequence) => put(outbound(sequence)))])
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [2, ...numbers(10, 5000)], `at script ${at}`)
          yield* handle.clear
        }))
      }
    }), 180_000)

  it.live("out of memory: fails as full and takes no room; the deletion of many messages passes", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["maxmemory-policy noeviction"] })
      const handle = yield* (yield* store(server)).open("plant")
      yield* handle.load
      yield* handle.commit(numbers(0, 6000).map((sequence) => put(outbound(sequence))))
      const used = Number(/used_memory:(\d+)/.exec(String(yield* server.command("INFO", "memory")))?.[1])
      yield* server.config("maxmemory", `${used + 300_000}`)
      assert.strictEqual(
        yield* kindOf(handle.commit(numbers(6000, 20_000).map((sequence) => put(outbound(sequence))))),
        "full"
      )
      assert.strictEqual(yield* server.command("EXISTS", "mqttx:session:{plant}:staged"), 0)
      yield* server.config("maxmemory", "1mb")
      assert.strictEqual(yield* kindOf(handle.commit([put(outbound(7000))])), "full")
      yield* handle.commit(numbers(1, 6000).map(drop))
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [0])
    }))
})

describe.skipIf(!RedisServer.isPresent())("a large store", () => {
  it.live(
    "150,000 fields that are no records are removed in steps, counted, and reported once",
    () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make()
        const redis = yield* driver(server)
        let most = 0
        const measured = intercepted(redis, (send) => (command, ...args) =>
          Effect.tap(send(command, ...args), (reply) =>
            Effect.sync(() => {
              most = Math.max(most, args.length, Array.isArray(reply) && Array.isArray(reply[1]) ? reply[1].length : 0)
            })))
        const handle = yield* (yield* Effect.provideService(RedisStore.make(), Redis.Redis, measured)).open("plant")
        yield* handle.commit([put(outbound(1))])
        const key = "mqttx:session:{plant}:records"
        const names = [
          ...numbers(0, 149_997).map((i) =>
            `foreign ${i}`
          )
        ]
        for (let i = 0; i < names.length; i += 3000) {
          yield* server.command("HSET", key, ...names.slice(i, i + 3000).flatMap((name) => [name, "x"]))
        }
        // The name of a record, in another way than it is written; a huge name; and a text of a database that is not
        // ours.
        const copied = (yield* server.command("HGETALL", key)) as ReadonlyArray<string>
        const value = copied[
          copied.findIndex((text, i) => i % 2 === 0 && text.startsWith("outbound/")) + 1
        ]!
        yield* server.command("HSET", key, "outbound/%0030000000000000001", value)
        yield* server.command("HSET", key, "x".repeat(1_000_000), "")
        yield* server.command("HSET", key, "outbound/x", "=////")
        const loaded = yield* handle.load
        assert.strictEqual(loaded.damage?.lost, 150_000)
        assert.isBelow(loaded.damage!.detail.length, 300)
        assert.deepStrictEqual(sequencesOf(loaded), [1])
        assert.strictEqual(yield* server.command("HLEN", key), 2)
        assert.isBelow(most, 4100)
        assert.isUndefined((yield* handle.load).damage)
      }),
    180_000
  )

  it.live(
    "a message that takes longer than the time limit of a command to send is stored all the same",
    () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make()
        const short = yield* store(server, { commandTimeout: "200 millis", leaseDuration: "1 minute" })
        // Another command may take longer than that once, on a machine with other work.
        const again = { times: 5 } as const
        const handle = yield* Effect.retry(short.open("plant"), again)
        const payload = new Uint8Array(50_000_000).map((_, i) => i)
        yield* Effect.retry(handle.commit([put(outbound(1, { payload }))]), again)
        const [record] = (yield* Effect.retry(handle.load, again)).records
        assert.strictEqual(Buffer.compare((record as typeof record & { payload: Uint8Array }).payload, payload), 0)
      }),
    180_000
  )

  it.live("a record that this Redis never takes is refused finally, and nothing else is", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ config: ["proto-max-bulk-len 1mb"] })
      const handle = yield* (yield* store(server)).open("plant")
      yield* handle.load
      const large = put(outbound(1, { payload: new Uint8Array(600_000).fill(200) }))
      const error = yield* Effect.flip(handle.commit([put(outbound(2)), large]))
      assert.deepInclude(error.reason, { _tag: "StorageFailed", kind: "invalid", isRetryable: false })
      yield* handle.commit([put(outbound(2)), put(outbound(3, { payload: new Uint8Array(900_000).fill(65) }))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [2, 3])
    }))

  it.live("pages are small, however large single records are", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* driver(server)
      const pages: Array<number> = []
      const measured = intercepted(redis, (send) => (command, ...args) =>
        Effect.tap(send(command, ...args), (reply) =>
          Effect.sync(() => {
            if (command !== "HSCAN") {
              return
            }
            const [, entries] = reply as unknown as readonly [string, ReadonlyArray<string>]
            pages.push(entries.reduce((bytes, entry) =>
              bytes + entry.length, 0))
          })))
      const open = Effect.provideService(RedisStore.make(), Redis.Redis, measured)
      const handle: SessionStore.SessionStoreHandle = yield* (yield* open).open("plant")
      const payload = new Uint8Array(500_000).fill(65)
      yield* handle.commit(
        numbers(0, 100).map((sequence) =>
          put(outbound(sequence, { payload }))
        )
      )
      assert.strictEqual((yield* handle.load).records.length, 100)
      assert.isBelow(Math.max(...pages), 8_000_000)
    }))
})
