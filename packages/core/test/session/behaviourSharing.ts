import type { Session } from "@effect-mqttx/core/MqttSession"
import * as Topic from "@effect-mqttx/core/Topic"
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, owned, reason, subscribe, texts } from "./behaviourWorld.ts"

const subscriptions = (session: Session): Effect.Effect<number> =>
  Effect.map(session.metrics, (metrics) => metrics.subscriptions)

export const sharing = (test: Define): void => {
  test("twenty streams on five overlapping filters: five subscriptions, each stream each message once", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topics = [world.topic("a"), world.topic("a/b")]
      const filters = ["#", "+", "a", "+/b", "a/#"].map(world.topic)
      const streams = yield* Effect.forEach(
        filters.flatMap((filter) => [filter, filter, filter, filter]),
        (filter) => Effect.map(subscribe(session, filter, { qos: 1 }), (messages) => ({ filter, messages }))
      )
      assert.strictEqual(yield* subscriptions(session), 5)
      const published: Array<{ readonly topic: string; readonly text: string }> = []
      for (const text of ["1", "2", "3"]) {
        for (const topic of topics) {
          published.push({ topic, text })
          yield* session.publish(topic, text, { qos: 1 })
        }
      }
      for (const { filter, messages } of streams) {
        const expected = published.filter(({ topic }) => Topic.matches(filter, topic))
        const arrived = yield* messages.take(expected.length)
        assert.deepStrictEqual(arrived.map(({ text, topic }) => ({ topic, text })), expected, filter)
      }
    }))

  test("streams on one filter share one subscription, and the last one's end removes it", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      const streams = yield* Effect.forEach([1, 2, 3], () => owned(subscribe(session, topic, { qos: 1 })))
      assert.strictEqual(yield* subscriptions(session), 1)
      for (const { end, value } of streams) {
        yield* session.publish(topic, "shared", { qos: 1 })
        assert.strictEqual((yield* value.next).text, "shared")
        yield* end
      }
      yield* fence(session)
      assert.strictEqual(yield* subscriptions(session), 0)
      assert.isFalse(yield* world.isSubscribed(topic))
    }))

  test("a filter of an ended stream goes, those that others use stay", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const both = yield* owned(subscribe(session, [world.topic("a"), world.topic("b")], { qos: 1 }))
      const one = yield* subscribe(session, world.topic("a"), { qos: 1 })
      yield* both.end
      yield* fence(session)
      assert.isFalse(yield* world.isSubscribed(world.topic("b")))
      assert.isTrue(yield* world.isSubscribed(world.topic("a")))
      assert.strictEqual((yield* one.next).topic, world.topic("a"))
    }))

  test("a stream that ends and one that begins on the same filter do not disturb each other", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      for (let i = 0; i < 20; i++) {
        const { end, value } = yield* owned(subscribe(session, topic, { qos: 1, retained: "none" }))
        yield* session.publish(topic, String(i), { qos: 1 })
        assert.strictEqual((yield* value.next).text, String(i))
        const next = yield* Effect.forkChild(
          Effect.scoped(Effect.flatMap(session.subscription(topic, { qos: 1 }), () => Effect.void)),
          { startImmediately: true }
        )
        yield* end
        yield* Fiber.join(next)
      }
      yield* fence(session)
      assert.isFalse(yield* world.isSubscribed(topic))
    }))

  test("every stream that joins gets the retained message, and only that one", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      yield* session.publish(topic, "retained", { qos: 1, retain: true })
      const first = yield* subscribe(session, topic, { qos: 1 })
      assert.deepStrictEqual(texts(yield* first.take(1)), ["retained"])
      const second = yield* subscribe(session, topic, { qos: 1 })
      const retained = yield* second.next
      assert.strictEqual(retained.text, "retained")
      assert.isTrue(retained.retain)
      yield* session.publish(topic, "end", { qos: 1 })
      assert.deepStrictEqual(yield* first.until("end"), [])
      assert.deepStrictEqual(yield* second.until("end"), [])
    }))

  test("only the first stream on a filter gets the retained message where the options say so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      yield* session.publish(topic, "retained", { qos: 1, retain: true })
      const first = yield* subscribe(session, topic, { qos: 1, retained: "first" })
      assert.deepStrictEqual(texts(yield* first.take(1)), ["retained"])
      const second = yield* subscribe(session, topic, { qos: 1, retained: "first" })
      yield* session.publish(topic, "end", { qos: 1 })
      assert.deepStrictEqual(yield* first.until("end"), [])
      assert.deepStrictEqual(yield* second.until("end"), [])
    }))

  test("a stream gets no retained message where the options say so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      yield* session.publish(topic, "retained", { qos: 1, retain: true })
      const first = yield* subscribe(session, topic, { qos: 1, retained: "none" })
      const second = yield* subscribe(session, topic, { qos: 1, retained: "each" })
      assert.deepStrictEqual(texts(yield* second.take(1)), ["retained"])
      yield* session.publish(topic, "end", { qos: 1 })
      assert.deepStrictEqual(yield* first.until("end"), [])
      assert.deepStrictEqual(yield* second.until("end"), [])
    }))

  test("a stream that wants no retained message gets none after a reconnect either", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address], persistence: "none" })
      const topic = world.topic("t")
      yield* session.publish(topic, "retained", { qos: 1, retain: true })
      const none = yield* subscribe(session, topic, { qos: 1, retained: "none" })
      yield* link.cut
      yield* event(session, "Ready", 2)
      yield* session.publish(topic, "end", { qos: 1 })
      assert.deepStrictEqual(yield* none.until("end"), [])
    }))

  test("a stream that asks for a higher quality of service upgrades the subscription", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      const low = yield* session.subscription(topic, { qos: 0 })
      assert.deepStrictEqual(low.granted, [0])
      const lowMessages = yield* inbox(low.messages)
      const high = yield* session.subscription(topic, { qos: 2 })
      assert.deepStrictEqual(high.granted, [2])
      const highMessages = yield* inbox(high.messages)
      assert.strictEqual(yield* subscriptions(session), 1)
      yield* session.publish(topic, "both", { qos: 2 })
      assert.strictEqual((yield* highMessages.next).qos, 2)
      assert.strictEqual((yield* lowMessages.next).text, "both")
      const between = yield* session.subscription(topic, { qos: 1 })
      assert.isAtLeast(between.granted[0]!, 1)
    }))

  test("after a lost session exactly the live subscriptions return", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const clientId = `${world.unique}-lost`
      const session = yield* world.session({ servers: [link.address], clientId })
      const live = yield* subscribe(session, [world.topic("a"), world.topic("b/+")], { qos: 1 })
      const shared = yield* subscribe(session, world.topic("a"), { qos: 0 })
      const ended = yield* owned(subscribe(session, world.topic("c"), { qos: 1 }))
      yield* ended.end
      yield* subscribe(session, world.topic("kept"), { qos: 1, keep: true })
      yield* fence(session)
      yield* link.close
      yield* world.forget(clientId)
      yield* link.open
      const lost = yield* event(session, "SessionLost")
      assert.strictEqual(lost.subscriptions, 3)
      yield* event(session, "Ready", 2)
      assert.strictEqual(yield* subscriptions(session), 3)
      for (const level of ["a", "b/x"]) {
        yield* session.publish(world.topic(level), level, { qos: 1 })
        assert.strictEqual((yield* live.next).text, level)
      }
      assert.strictEqual((yield* shared.next).text, "a")
      assert.isTrue(yield* world.isSubscribed(world.topic("kept")))
      assert.isFalse(yield* world.isSubscribed(world.topic("c")))
    }))

  test("a lost session fails the streams where the options say so", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const clientId = `${world.unique}-lost`
      const session = yield* world.session({ servers: [link.address], clientId, onSessionLost: "fail" })
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      const running = yield* Effect.forkChild(Stream.runDrain(messages), { startImmediately: true })
      yield* link.close
      yield* world.forget(clientId)
      yield* link.open
      yield* reason(Fiber.join(running), "SessionLost")
      yield* event(session, "Ready", 2)
      const again = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* session.publish(world.topic("t"), "on the new session", { qos: 1 })
      assert.strictEqual((yield* again.next).text, "on the new session")
    }))
}
