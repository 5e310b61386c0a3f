/**
 * A wall clock that is set while sessions run: durations do not follow it.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { OutboundRecord, StoreRecord } from "@effect-mqttx/core/StoreRecord"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeBroker, makeSession, readySession, settle } from "./support.ts"

const hour = 3_600_000

/** The clock of the test or of the machine, with a wall clock that can be set. */
const settable = Effect.map(Clock.Clock, (real) => {
  let offset = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + offset,
    currentTimeMillis: Effect.suspend(() => Effect.map(real.currentTimeMillis, (now) => now + offset)),
    currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n,
    currentTimeNanos: Effect.suspend(() =>
      Effect.map(real.currentTimeNanos, (now) => now + BigInt(offset) * 1_000_000n)
    ),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  }
  return {
    clock,
    set: (millis: number) => {
      offset += millis
    },
    /** Lets time pass for a clock of the test. */
    pass: (millis: number) => Effect.provideService(TestClock.adjust(millis), Clock.Clock, real)
  }
})

describe("a wall clock that is set", () => {
  for (const jump of [hour, -hour]) {
    const direction = jump > 0 ? "forward" : "back"

    it.live(`one hour ${direction} expires no queued message, and what expires does in its time`, () =>
      Effect.gen(function*() {
        const { clock, set } = yield* settable
        const broker = yield* makeBroker("memory")
        yield* Effect.gen(function*() {
          const session = yield* readySession(broker)
          yield* broker.refuseNetwork
          yield* broker.cut(broker.sessions[0]!.clientId)
          for (let i = 0; i < 50; i++) yield* session.enqueue("t", `${i}`, { qos: 1, expiresAfter: "30 minutes" })
          const short = yield* session.enqueue("t", "short", { qos: 1, expiresAfter: "20 millis" })
          set(jump)
          const error = yield* Effect.flip(short.acknowledged)
          assert.strictEqual(error.reason._tag, "Expired")
          yield* settle
          assert.strictEqual((yield* session.metrics).dropped.expired, 1)
          assert.strictEqual((yield* session.metrics).queuedMessages, 50)
          yield* broker.acceptNetwork
          yield* broker.awaitUntil(() => broker.published.length === 50)
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }))

    it.effect(`one hour ${direction} neither drops what is held for a consumer, nor holds it longer`, () =>
      Effect.gen(function*() {
        const { clock, pass, set } = yield* settable
        const broker = yield* makeBroker("memory")
        yield* Effect.gen(function*() {
          const options = { persistence: "durable", unclaimed: { hold: "1 second" } } as const
          const session = yield* readySession(broker, { ...options, name: "held" })
          yield* Effect.scoped(session.subscription("t", { qos: 1 }))
          const before = yield* session.metrics
          yield* broker.publish("t", "1", { qos: 1 })
          yield* Effect.repeat(session.metrics, { until: ({ unclaimed }) => unclaimed === 1 })
          set(jump)
          // Something happens in the session: it looks at its deadlines.
          yield* session.publish("other", "", { qos: 0 })
          assert.strictEqual((yield* session.metrics).unclaimed, 1)
          yield* pass(999)
          yield* settle
          assert.strictEqual((yield* session.metrics).unclaimed, 1)
          yield* pass(2)
          // The drop is counted when it is stored.
          const after = yield* Effect.repeat(session.metrics, { until: ({ dropped }) => dropped.unclaimed === 1 })
          assert.strictEqual(after.unclaimed, 0)
          assert.isBelow(after.uptime - before.uptime, hour / 2)
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))
  }

  it.live("is the time in records: a message that was stored before expires by it after a restart", () =>
    Effect.gen(function*() {
      const { clock, set } = yield* settable
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const records: Array<StoreRecord> = []
      const memory = yield* SessionStore.SessionStore
      const store: SessionStore.SessionStore["Service"] = {
        open: (name) =>
          Effect.map(memory.open(name), (handle) => ({
            ...handle,
            commit: (changes) => {
              for (const change of changes) if (change._tag === "Put") records.push(change.record)
              return handle.commit(changes)
            }
          }))
      }
      const options = { name: "kept", persistence: "durable", drainTimeout: "1 millis" } as const
      const live = <A, E>(body: Effect.Effect<A, E, Scope.Scope | SessionStore.SessionStore>) =>
        Effect.scoped(body).pipe(
          Effect.provideService(Clock.Clock, clock),
          Effect.provideService(SessionStore.SessionStore, store)
        )
      yield* live(Effect.gen(function*() {
        const session = yield* makeSession(broker, options)
        yield* session.enqueue("t", "1", { qos: 1, expiresAfter: "30 minutes" })
        yield* session.enqueue("t", "2", { qos: 1, expiresAfter: "90 minutes" })
      }))
      const first = records.find((record): record is OutboundRecord => record._tag === "Outbound")
      assert.closeTo(first!.acceptedAt, clock.currentTimeMillisUnsafe(), 10_000)
      assert.strictEqual(first!.expiresAt! - first!.acceptedAt, 30 * 60_000)
      // An hour passes without the process.
      set(hour)
      yield* broker.acceptNetwork
      yield* live(Effect.gen(function*() {
        yield* makeSession(broker, options)
        yield* broker.awaitUntil(() => broker.published.length === 1)
        yield* broker.awaitIdle
      }))
      assert.deepStrictEqual(broker.published.map(({ payload }) => new TextDecoder().decode(payload)), ["2"])
    }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))
})
