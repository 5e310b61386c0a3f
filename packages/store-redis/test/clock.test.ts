import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { store } from "./support/redis.ts"

const hour = 3_600_000

/** The real clock, with a time of day that jumps when told. */
const jumpingClock = Effect.map(Clock.Clock, (real) => {
  let offset = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + offset,
    currentTimeMillis: Effect.map(real.currentTimeMillis, (now) => now + offset),
    currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n,
    currentTimeNanos: Effect.map(real.currentTimeNanos, (now) => now + BigInt(offset) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  }
  return {
    clock,
    jump: (milliseconds: number) =>
      Effect.sync(() => {
        offset += milliseconds
      })
  }
})

describe.skipIf(!RedisServer.isPresent())("a time of day that jumps", () => {
  for (
    const [name, jump] of [["an hour forward", hour], ["an hour back", -hour], [
      "ten days forward",
      240 * hour
    ]] as const
  ) {
    it.live(`${name}: an owner keeps its session, and no other process gets it before`, () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make()
        const time = yield* jumpingClock
        const with_ = Effect.provideService(Clock.Clock, time.clock)
        yield* Effect.gen(function*() {
          const options = { leaseDuration: "2 seconds", commandTimeout: "5 seconds" } as const
          const handle = yield* (yield* store(server, options)).open("plant")
          yield* handle.load
          yield* handle.commit([put(outbound(1))])
          const other = yield* store(server, { ...options, acquireTimeout: "4 seconds" })
          const before = yield* Clock.monotonicTimeNanos
          const waiting = yield* Effect.forkChild(Effect.scoped(kindOf(other.open("plant"))), {
            startImmediately: true
          })
          yield* Effect.repeat(Effect.map(server.command("INFO", "commandstats"), String), {
            until: (stats) => Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]) > 3
          })
          yield* time.jump(jump)
          yield* handle.commit([put(outbound(2))])
          // It waits as long as it was told to, neither an hour more nor less.
          assert.strictEqual(yield* Fiber.join(waiting), "owned")
          const waited = Number((yield* Clock.monotonicTimeNanos) - before) / 1e6
          assert.isAtLeast(waited, 3900)
          assert.isBelow(waited, 20_000)
          yield* handle.commit([put(outbound(3))])
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2, 3])
        }).pipe(with_)
      }))

    it.live(`${name}: an owner whose Redis has lost everything writes it again`, () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make()
        const time = yield* jumpingClock
        yield* Effect.gen(function*() {
          const handle = yield* (yield* store(server, { leaseDuration: "1 hour" })).open("plant")
          yield* handle.load
          yield* handle.commit([put(outbound(1))])
          yield* time.jump(jump)
          yield* server.command("FLUSHALL")
          yield* handle.commit([put(outbound(2))])
          assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
        }).pipe(Effect.provideService(Clock.Clock, time.clock))
      }))
  }
})
