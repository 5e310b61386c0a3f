/**
 * The figures of one session.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import { MqttSession } from "@effect-mqttx/core/MqttSession"
import type { SessionMetrics } from "@effect-mqttx/core/SessionStatus"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as SessionStoreModule from "@effect-mqttx/core/SessionStore"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as MqttSnapshot from "@effect-mqttx/metrics/MqttSnapshot"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Metric, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { makeBroker, pass, readySession, settle } from "../../../test/support/sessions.ts"
import { makeWatchedWorld } from "./support.ts"

/** Buckets with something in them, by their upper bound. */
const filled = ({ bounds, buckets }: SessionMetrics["acknowledgement"]) =>
  Object.fromEntries(buckets.flatMap((count, index) => count === 0 ? [] : [[bounds[index] ?? Infinity, count]]))

describe("figures of a session", () => {
  it.effect("rates look back ten seconds, and at the whole life", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { keepAlive: 0 })
      const rates = Effect.map(session.metrics, ({ averageMessageRate, bytesRate, messageRate }) => ({
        messageRate: Math.round(messageRate * 10) / 10,
        averageMessageRate: Math.round(averageMessageRate * 10) / 10,
        bytesRate
      }))
      // Five messages a second for twenty seconds.
      for (let n = 0; n < 100; n++) {
        yield* session.publish("t", "0123456789")
        yield* pass(200, 200)
      }
      const busy = yield* rates
      assert.strictEqual(busy.messageRate, 5)
      assert.closeTo(busy.averageMessageRate, 5, 0.1)
      // Fixed header, length, topic with its length, no properties (1 byte), payload.
      assert.closeTo(busy.bytesRate, 5 * (2 + 3 + 1 + 10), 1)
      yield* TestClock.adjust("5 seconds")
      assert.closeTo((yield* rates).messageRate, 2.5, 0.5)
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual([(yield* rates).messageRate, (yield* rates).bytesRate], [0, 0])
      yield* TestClock.adjust("9 seconds")
      assert.closeTo((yield* rates).averageMessageRate, 2.5, 0.1)
      assert.strictEqual((yield* session.metrics).uptime, 40_000)
      // After a pause what comes now is not taken for what was then.
      for (let n = 0; n < 10; n++) yield* session.publish("t", "0123456789")
      // Until the turn has written them.
      yield* settle
      assert.strictEqual((yield* rates).messageRate, 1)
    }))

  it.effect("the latency of acknowledgements, time in the queue included", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { keepAlive: 0 })
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
      yield* session.publish("t", "0")
      const receipt = yield* session.enqueue("t", "1", { qos: 1 })
      yield* settle
      const waiting = yield* session.metrics
      assert.strictEqual(waiting.acknowledgement.count, 0)
      assert.strictEqual(waiting.published.pending, 1)
      yield* TestClock.adjust("40 millis")
      yield* broker.release(1)
      yield* settle
      yield* receipt.acknowledged
      const { acknowledgement, lastMessageAt } = yield* session.metrics
      assert.deepStrictEqual(filled(acknowledgement), { 50: 1 })
      assert.deepStrictEqual([acknowledgement.total, acknowledgement.min, acknowledgement.max], [40, 40, 40])
      assert.strictEqual(lastMessageAt, 40)
    }))

  it.effect("the age of the oldest message in the queue", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { keepAlive: 0, reconnect: { initialDelay: "1 minutes" } })
      assert.strictEqual((yield* session.metrics).oldestQueuedAge, 0)
      yield* broker.crash
      yield* settle
      yield* session.enqueue("t", "1", { qos: 1 })
      yield* TestClock.adjust("3 seconds")
      yield* session.enqueue("t", "2", { qos: 1 })
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* session.metrics).oldestQueuedAge, 4000)
    }))

  it.live("what the queue refuses and drops, by reason", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      for (
        const [policy, expected] of [
          ["fail", { failed: {}, refused: { QueueFull: 2 }, drops: 0 }],
          ["dropNewest", { failed: {}, refused: { Dropped: 2 }, drops: 2 }],
          ["dropOldest", { failed: { Dropped: 2 }, refused: {}, drops: 2 }]
        ] as const
      ) {
        const session = yield* readySession(broker, { queue: { messages: 3, policy } })
        yield* broker.crash
        yield* session.statusChanges.pipe(Stream.takeUntil(({ state }) => state !== "connected"), Stream.runDrain)
        for (let n = 0; n < 5; n++) yield* Effect.exit(session.enqueue("t", `${n}`, { qos: 1 }))
        yield* settle
        const { dropped, published } = yield* session.metrics
        assert.deepStrictEqual(published.failed, expected.failed)
        assert.deepStrictEqual(published.refused, expected.refused)
        assert.strictEqual(published.pending, 3)
        assert.strictEqual(dropped.dropOldest + dropped.dropNewest, expected.drops)
        yield* broker.start
      }
    }))

  it.live("the error with which a session ends its attempts", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWatchedWorld()
      yield* broker.refuseConnect(0x86)
      const session = yield* manager.add(options("plant", { reconnect: { enabled: false } }))
      yield* Effect.exit(session.awaitReady)
      const { errors, errorsByReason, lastErrorAt } = yield* session.metrics
      assert.deepStrictEqual([errors, errorsByReason], [1, { BadCredentials: 1 }])
      assert.isDefined(lastErrorAt)
    }))

  it.live("the high-water mark of its streams' buffers, those that have ended included", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* session.subscription("t", { qos: 1 })
        for (let n = 0; n < 7; n++) yield* broker.publish("t", `${n}`, { qos: 1 })
        yield* settle
        assert.deepStrictEqual((yield* session.metrics).buffered, { messages: 7, highWater: 7 })
      }))
      assert.deepStrictEqual((yield* session.metrics).buffered, { messages: 0, highWater: 7 })
    }))

  it.live("the commits of its store, and those that were refused", () =>
    Effect.gen(function*() {
      const memory = yield* SessionStore
      let refusals = 2
      const refusal = new MqttError({ reason: new StorageFailed({ kind: "unavailable" }) })
      const store: SessionStore["Service"] = {
        open: (session) =>
          Effect.map(memory.open(session), (handle) => ({
            ...handle,
            commit: (changes) => Effect.suspend(() => refusals-- > 0 ? Effect.fail(refusal) : handle.commit(changes))
          }))
      }
      const broker = yield* makeBroker("memory")
      const session = yield* Effect.provideService(
        readySession(broker, { persistence: "durable" }),
        SessionStore,
        store
      )
      yield* session.publish("t", "1", { qos: 1 })
      const { commits, errorsByReason } = yield* session.metrics
      assert.strictEqual(commits.failures, 2)
      assert.isAtLeast(commits.latency.count, 2)
      // It waited for two retries, in one outage.
      assert.isAtLeast(commits.latency.max, 100)
      assert.deepStrictEqual(errorsByReason, { StorageFailed: 1 })
    }).pipe(Effect.provide(Layer.fresh(SessionStoreModule.layerMemory))))

  it.live("a durable session's messages count after a restart too", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const options = { name: "plant", persistence: "durable", drainTimeout: "10 millis" } as const
      yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* readySession(broker, options)
        yield* broker.crash
        yield* session.statusChanges.pipe(Stream.takeUntil(({ state }) => state !== "connected"), Stream.runDrain)
        for (let n = 0; n < 3; n++) yield* session.enqueue("t", `${n}`, { qos: 1 })
      }))
      yield* broker.start
      const session = yield* readySession(broker, options)
      yield* broker.awaitUntil(() => broker.published.length === 3)
      yield* broker.awaitIdle
      yield* settle
      const { published } = yield* session.metrics
      assert.deepStrictEqual([published.accepted, published.acknowledged, published.pending], [3, 3, 0])
    }).pipe(Effect.provide(Layer.fresh(SessionStoreModule.layerMemory))))

  it.live("a snapshot survives JSON", () =>
    Effect.gen(function*() {
      const { broker, manager, metrics, options, ready } = yield* makeWatchedWorld()
      yield* ready("plant", { password: "secret", username: "me" })
      yield* broker.refuseConnect(0x86, { clientId: "denied" })
      yield* manager.add(options("denied", { clientId: "denied" }))
      yield* manager.handle("t/#", () => Effect.void)
      yield* Effect.exit(manager.awaitReady("denied"))
      yield* manager.add(options("away"))
      yield* manager.disconnect("away")
      const snapshot = yield* metrics.snapshot
      const text = JSON.stringify(yield* Schema.encodeEffect(MqttSnapshot.MqttSnapshot)(snapshot))
      assert.notInclude(text, "secret")
      const decoded = yield* Schema.decodeUnknownEffect(MqttSnapshot.MqttSnapshot)(JSON.parse(text))
      assert.deepStrictEqual(JSON.parse(JSON.stringify(decoded)), JSON.parse(JSON.stringify(snapshot)))
      const [plant, denied, away] = decoded.sessions
      assert.strictEqual(plant!.connection?.receiveMaximum, 65_535)
      assert.strictEqual(denied!.failure?.reason, "BadCredentials")
      assert.deepStrictEqual([away!.state, away!.persistence], ["disconnected", "process"])
      assert.strictEqual(decoded.totals.sessions, 3)
      assert.strictEqual(decoded.routes[0]!.name, "route 1")
    }))

  it.live("snapshots come as streams, and those of a session end with it", () =>
    Effect.gen(function*() {
      const { manager, metrics, ready } = yield* makeWatchedWorld()
      const session = yield* ready("plant")
      yield* session.publish("t", "1", { qos: 1 })
      const all = yield* Stream.runCollect(Stream.take(metrics.changes("1 millis"), 3))
      assert.strictEqual(all.length, 3)
      const seen: Array<number> = []
      yield* metrics.sessionChanges("plant", "1 millis").pipe(
        Stream.runForEach(({ metrics }) =>
          Effect.suspend(() => {
            seen.push(metrics.messagesSent)
            return seen.length === 3 ? Effect.ignore(manager.remove("plant")) : Effect.void
          })
        )
      )
      assert.deepStrictEqual(seen.slice(0, 3), [1, 1, 1])
    }))

  it.live("a program with one session has them too, and its events", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      const context = yield* Layer.build(
        MqttMetrics.layerSession().pipe(
          Layer.provide([Layer.succeed(MqttSession, session), Layer.sync(Metric.MetricRegistry, () => new Map())])
        )
      )
      const metrics = Context.get(context, MqttMetrics.MqttMetrics)
      yield* session.publish("t", "1", { qos: 2 })
      const { sessions, totals } = yield* metrics.snapshot
      assert.deepStrictEqual(sessions.map(({ name, ready }) => [name, ready]), [[session.name, true]])
      assert.deepStrictEqual([totals.sessions, totals.metrics.messagesSent], [1, 1])
      const events = yield* Stream.runCollect(Stream.takeUntil(metrics.events, ({ _tag }) => _tag === "Ready"))
      assert.deepStrictEqual(events.map((event) => event.session), events.map(() => session.name))
    }))
})
