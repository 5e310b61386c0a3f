/**
 * How much a durable session holds while its store hangs, whatever is published to it and by it.
 */
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as process from "node:process"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { makeBroker, type Options, readySession, settle } from "./support.ts"

v8.setFlagsFromString("--expose-gc")
const collect = vm.runInNewContext("gc") as () => void

// What one collection lets go is swept by the next.
const held: Effect.Effect<number> = Effect.gen(function*() {
  for (let i = 0; i < 3; i++) {
    collect()
    yield* settle
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

const payload = "x".repeat(1024)
/** Unbounded it would be 50 MiB at the least. */
const bound = 32 * 1024 * 1024

const hanging = Effect.fnUntraced(function*(options: Options) {
  const broker = yield* makeBroker("memory", { record: 1000 })
  const faulty = Faulty.make()
  const session = yield* readySession(broker, {
    name: "plant",
    persistence: "durable",
    drainTimeout: "10 millis",
    ...options
  }).pipe(Effect.provideService(SessionStore, faulty.store))
  return { broker, faulty, session }
})

describe("while a store hangs", () => {
  for (
    const [policy, total] of [
      ["suspend", 200_000],
      ["dropOldest", 200_000],
      ["latestPerTopic", 50_000],
      ["dropNewest", 50_000],
      ["fail", 50_000]
    ] as const
  ) {
    it.live(
      `${total} messages that are published with policy ${policy} take no more memory than the queue`,
      () =>
        Effect.gen(function*() {
          const { faulty, session } = yield* hanging({ queue: { messages: 1000, policy } })
          faulty.hang()
          const before = yield* held
          const fates: Record<string, number> = {}
          const one = (n: number) =>
            session.enqueue(`t/${n % 5000}`, payload, { qos: 1 }).pipe(
              Effect.match({ onSuccess: () => "Accepted", onFailure: ({ reason }) => reason._tag }),
              Effect.tap((fate) =>
                Effect.sync(() => {
                  fates[fate] = (fates[fate] ?? 0) + 1
                })
              )
            )
          const fibers: Array<Fiber.Fiber<unknown>> = []
          if (policy === "suspend") {
            const messages = Stream.range(1, total).pipe(
              Stream.map((n) => ({ topic: `t/${n}`, payload, options: { qos: 1 } as const }))
            )
            fibers.push(yield* Effect.forkChild(Effect.exit(session.publishAll(messages)), { startImmediately: true }))
          } else {
            for (let n = 0; n < total; n += 1000) {
              yield* Effect.forEach(
                Array.from({ length: 1000 }, (_, i) => n + i),
                (each) => Effect.forkChild(one(each), { startImmediately: true }),
                { discard: true }
              )
              yield* Effect.yieldNow
              if (n % 20_000 === 0) yield* settle
            }
          }
          yield* settle
          assert.isBelow((yield* held) - before, bound)
          const { dropped, queuedMessages } = yield* session.metrics
          assert.isAtMost(queuedMessages, 1000)
          const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0)
          if (policy === "suspend") assert.deepStrictEqual([fates, drops], [{}, 0])
          else if (policy === "fail") assert.isAtLeast(fates["QueueFull"]!, total - 4000)
          else assert.strictEqual(fates["Dropped"], drops)
          // Nothing was accepted that is not in the store, and all that was not dropped is accepted when it is back.
          assert.isUndefined(fates["Accepted"])
          faulty.mend()
          yield* settle
          if (policy !== "suspend") {
            const accepted = fates["Accepted"]!
            assert.strictEqual(accepted + (fates["Dropped"] ?? 0) + (fates["QueueFull"] ?? 0), total)
          }
          yield* Effect.forEach(fibers, Fiber.interrupt)
        }),
      180_000
    )
  }

  it.live(
    "what is received takes no more than the stream's buffer and the Receive Maximum",
    () =>
      Effect.gen(function*() {
        const { broker, faulty, session } = yield* hanging({ receiveMaximum: 50, streamBuffer: 100 })
        const subscription = yield* session.subscription("t/#", { qos: 2 })
        faulty.hang()
        yield* Effect.forkScoped(Effect.exit(session.enqueue("x", "", { qos: 1 })))
        const before = yield* held
        for (let n = 0; n < 500; n++) {
          for (const qos of [1, 2] as const) yield* broker.publish(`t/${qos}`, payload, { qos })
        }
        for (let n = 0; n < 50_000; n++) {
          yield* broker.publish("t/0", payload, { qos: 0 })
          if (n % 500 === 0) yield* settle
        }
        yield* settle
        const { dropped, messages } = yield* subscription.pending
        assert.isAtMost(messages, 150)
        assert.strictEqual(dropped, 50_000 - 100)
        assert.isBelow((yield* held) - before, bound)
        assert.deepStrictEqual(broker.violations, [])
      }),
    180_000
  )
})
