import type { QueuePolicy } from "@effect-mqttx/core/SessionOptions"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { bundle } from "./bundled.ts"
import type { Flood } from "./offlineProgram.ts"
import { makeBroker, makeSession, reasonOf, settle } from "./support.ts"

const text = new TextDecoder()

// V8 lets garbage pile up, to four times of what is in use and more, as long as nobody tells it that memory is scarce.
// With a heap that small a session that holds more than its queue would not get through at all.
const smallHeap = ["--expose-gc", "--max-old-space-size=40", "--max-semi-space-size=2"]

describe("200,000 publishes into a queue of 10,000 without a connection, from one fiber and from 1,000", () => {
  const total = 200_000
  const expected: Record<QueuePolicy, Partial<Flood>> = {
    suspend: { accepted: 10_000, failed: {}, dropped: 0 },
    fail: { accepted: 10_000, failed: { QueueFull: 190_000 }, dropped: 0 },
    dropOldest: { accepted: 200_000, failed: {}, dropped: 190_000 },
    dropNewest: { accepted: 10_000, failed: { Dropped: 190_000 }, dropped: 190_000 },
    latestPerTopic: { accepted: 200_000, failed: {}, dropped: 190_000 }
  }
  for (const policy of Object.keys(expected) as ReadonlyArray<QueuePolicy>) {
    it.live(
      `${policy}: in a small heap the memory grows by less than 50 MB, and every message is accounted for`,
      () =>
        Effect.gen(function*() {
          const program = yield* bundle("offlineProgram", smallHeap)
          const floods = yield* Effect.forEach([1, 1000], (fibers) => program.run(policy, total, fibers), {
            concurrency: 2
          })
          for (
            const [i, { growth, queued, retained, suspended, ...counts }] of (floods as ReadonlyArray<Flood>).entries()
          ) {
            assert.isBelow(growth, 50_000_000)
            assert.isBelow(retained, 20_000_000)
            assert.deepInclude(counts, expected[policy])
            assert.strictEqual(queued, 10_000)
            const fibers = i === 0 ? 1 : 1000
            assert.strictEqual(suspended, policy === "suspend" ? fibers : 0)
            // Nothing is counted twice, and nothing is missing: under `suspend` the rest has not been published yet.
            const { QueueFull = 0 } = counts.failed
            const settled = queued + counts.dropped + QueueFull
            if (policy !== "suspend") assert.strictEqual(settled, total)
          }
        }),
      240_000
    )
  }
})

const messages = Array.from({ length: 250 }, (_, i) => String(i + 1))

describe("a full queue", () => {
  const arriving: Record<QueuePolicy, ReadonlyArray<string>> = {
    suspend: messages,
    fail: messages.slice(0, 100),
    dropOldest: messages.slice(150),
    dropNewest: messages.slice(0, 100),
    // Three topics.
    latestPerTopic: messages.slice(247)
  }
  for (const policy of Object.keys(arriving) as ReadonlyArray<QueuePolicy>) {
    for (const method of ["publish", "enqueue"] as const) {
      it.live(`${policy}: the messages in the queue arrive in order after the connect, and every other ${method} fails`, () =>
        Effect.gen(function*() {
          const broker = yield* makeBroker("memory")
          yield* broker.refuseNetwork
          const session = yield* makeSession(broker, { queue: { messages: 100, policy } })
          const topicOf = (message: string) => policy === "latestPerTopic" ? `t/${Number(message) % 3}` : "t"
          const outcomes: Record<string, Array<string>> = { success: [], QueueFull: [], Dropped: [] }
          const all = yield* Effect.forEach(messages, (message) =>
            Effect.forkScoped(
              (method === "publish"
                ? session.publish(topicOf(message), message, { qos: 1 })
                : Effect.flatMap(session.enqueue(topicOf(message), message, { qos: 1 }), (each) => each.acknowledged))
                .pipe(
                  Effect.match({
                    onSuccess: () => outcomes["success"]!.push(message),
                    onFailure: ({ reason }) => outcomes[reason._tag]!.push(message)
                  })
                ),
              { startImmediately: true }
            ))
          yield* settle
          assert.strictEqual((yield* session.metrics).queuedMessages, Math.min(100, arriving[policy].length))
          yield* broker.acceptNetwork
          yield* Effect.forEach(all, Fiber.join, { discard: true })
          const others = messages.filter((message) => !arriving[policy].includes(message))
          assert.deepStrictEqual(broker.published.map(({ payload }) => text.decode(payload)), arriving[policy])
          assert.deepStrictEqual(outcomes["success"], arriving[policy])
          assert.deepStrictEqual(outcomes[policy === "fail" ? "QueueFull" : "Dropped"], others)
        }))
    }
  }

  it.live("is bounded by bytes too", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { queue: { bytes: 10_000, policy: "fail" } })
      for (let i = 0; i < 9; i++) yield* session.enqueue("topic", "x".repeat(1000))
      assert.strictEqual((yield* reasonOf(session.enqueue("topic", "x".repeat(1000))))._tag, "QueueFull")
      assert.strictEqual((yield* session.metrics).queuedBytes, 9 * 1005)
    }))

  it.live("loses messages that are interrupted, queued or waiting for room, and the count stays right", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { queue: { messages: 100 } })
      const fibers = yield* Effect.forEach(
        messages,
        (message) => Effect.forkScoped(session.publish("t", message, { qos: 1 }), { startImmediately: true })
      )
      assert.strictEqual((yield* session.metrics).queuedMessages, 100)
      const isStaying = (i: number): boolean => i % 5 === 0
      // Those that wait for room first: each place that is freed is not for them any more.
      yield* Fiber.interruptAll(fibers.filter((_, i) => i >= 100 && !isStaying(i)))
      yield* settle
      assert.strictEqual((yield* session.metrics).queuedMessages, 100)
      yield* Fiber.interruptAll(fibers.filter((_, i) => i < 100 && !isStaying(i)))
      yield* settle
      assert.strictEqual((yield* session.metrics).queuedMessages, 50)
      yield* broker.acceptNetwork
      yield* Effect.forEach(fibers.filter((_, i) => isStaying(i)), Fiber.join)
      assert.deepStrictEqual(
        broker.published.map(({ payload }) => text.decode(payload)),
        messages.filter((_, i) => isStaying(i))
      )
    }))

  it.live("loses a publish that timed out", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker)
      const reason = yield* reasonOf(session.publish("t", "late", { timeout: "20 millis" }))
      assert.strictEqual(reason._tag, "Timeout")
      assert.strictEqual((yield* session.metrics).queuedMessages, 0)
      yield* broker.acceptNetwork
      yield* session.publish("t", "in time", { qos: 1 })
      assert.deepStrictEqual(broker.published.map(({ payload }) => text.decode(payload)), ["in time"])
    }))
})
