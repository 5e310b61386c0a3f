import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, numbers, owned, reason, subscribe, texts } from "./behaviourWorld.ts"

export const subscribing = (test: Define): void => {
  test("a subscription says what was granted", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const filters = [world.topic("a"), world.topic("b/+")]
      for (const qos of [0, 1, 2] as const) {
        const subscription = yield* session.subscription(filters, { qos })
        assert.deepStrictEqual(subscription.filters, filters)
        assert.deepStrictEqual(subscription.granted, [qos, qos])
      }
    }))

  test("wildcards match as MQTT says, and not topics that begin with $", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const below = `${world.unique}/a`
      const hash = yield* subscribe(session, `${world.unique}/#`, { qos: 1 })
      const plus = yield* subscribe(session, `+/${world.unique}/a`, { qos: 1 })
      const dollar = yield* subscribe(session, `$data/${world.unique}/#`, { qos: 1 })
      const level = yield* subscribe(session, `${below}/+`, { qos: 1 })
      for (
        const topic of [
          world.unique,
          below,
          `${below}/b`,
          `${below}/`,
          `${below}/b/c`,
          `$data/${world.unique}/a`,
          `data/${world.unique}/a`
        ]
      ) yield* session.publish(topic, topic, { qos: 1 })
      for (
        const topic of [`${world.unique}/end`, `end/${world.unique}/a`, `$data/${world.unique}/end`, `${below}/end`]
      ) {
        yield* session.publish(topic, "end", { qos: 1 })
      }
      assert.deepStrictEqual(texts(yield* hash.until("end")), [
        world.unique,
        below,
        `${below}/b`,
        `${below}/`,
        `${below}/b/c`
      ])
      assert.deepStrictEqual(texts(yield* plus.until("end")), [`data/${world.unique}/a`])
      assert.deepStrictEqual(texts(yield* dollar.until("end")), [`$data/${world.unique}/a`])
      assert.deepStrictEqual(texts(yield* level.until("end")), [`${below}/b`, `${below}/`])
    }))

  test("subscribe is a stream that subscribes while it runs", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      yield* session.publish(topic, "retained", { qos: 1, retain: true })
      const taken = yield* session.subscribe(topic, { qos: 1 }).pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(texts(taken), ["retained"])
      yield* fence(session)
      assert.isFalse(yield* world.isSubscribed(topic))
    }))

  test("a subscription made before the connection holds when there is one", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      const subscribing = yield* Effect.forkChild(
        session.subscription(world.topic("t"), { qos: 1 }),
        { startImmediately: true }
      )
      yield* event(session, "Reconnecting")
      yield* link.open
      const messages = yield* inbox((yield* Fiber.join(subscribing)).messages)
      yield* session.publish(world.topic("t"), "hello", { qos: 1 })
      assert.strictEqual((yield* messages.next).text, "hello")
    }))

  test("interrupting a subscription that waits for the server leaves none", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      const subscribing = yield* Effect.forkChild(
        Effect.scoped(session.subscription(world.topic("t"))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(subscribing)
      yield* link.open
      yield* session.awaitReady
      assert.strictEqual((yield* session.metrics).subscriptions, 0)
      assert.isFalse(yield* world.isSubscribed(world.topic("t")))
    }))

  test("each of several streams on overlapping filters gets each message once", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const all = yield* subscribe(session, world.topic("#"), { qos: 1 })
      const level = yield* subscribe(session, world.topic("+"), { qos: 2 })
      const one = yield* subscribe(session, world.topic("t"))
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n, { qos: 2 })
      for (const messages of [all, level, one]) {
        assert.deepStrictEqual(texts(yield* messages.take(10)), numbers(1, 10))
      }
      yield* session.publish(world.topic("t"), "end", { qos: 2 })
      for (const messages of [all, level, one]) assert.deepStrictEqual(yield* messages.until("end"), [])
    }))

  test("one stream on overlapping filters gets each message once", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, [world.topic("#"), world.topic("+"), world.topic("t")], { qos: 1 })
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* session.publish(world.topic("end"), "end", { qos: 1 })
      assert.deepStrictEqual(texts(yield* messages.until("end")), numbers(1, 10))
    }))

  test("sessions that share a subscription share its messages", (world) =>
    Effect.gen(function*() {
      const filter = `$share/group/${world.topic("#")}`
      const one = yield* Effect.flatMap(world.session(), (each) => subscribe(each, filter, { qos: 1 }))
      const other = yield* Effect.flatMap(world.session(), (each) => subscribe(each, filter, { qos: 1 }))
      const publisher = yield* world.session()
      const seen: Array<string> = []
      const shares = [0, 0]
      const all = yield* Deferred.make<void>()
      yield* Effect.forEach([one, other], (messages, i) =>
        Effect.forkScoped(Effect.forever(Effect.map(messages.next, ({ text }) => {
          shares[i]!++
          if (seen.push(text) === 20) {
            Deferred.doneUnsafe(all, Effect.void)
          }
        }))))
      for (const n of numbers(1, 20)) {
        yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      }
      yield* Deferred.await(all)
      assert.sameMembers(seen, numbers(1, 20) as Array<string>)
      assert.isAbove(shares[0]!, 0)
      assert.isAbove(shares[1]!, 0)
    }))

  test("no local keeps a session's own messages away", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const other = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1, noLocal: true })
      yield* session.publish(world.topic("t"), "own", { qos: 1 })
      yield* other.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(yield* messages.until("end"), [])
    }))

  test("retain as published keeps the flag of live messages", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const kept = yield* subscribe(session, world.topic("t"), { qos: 1, retainAsPublished: true })
      const usual = yield* Effect.flatMap(world.session(), (other) => subscribe(other, world.topic("t"), { qos: 1 }))
      yield* session.publish(world.topic("t"), "1", { qos: 1, retain: true })
      yield* session.publish(world.topic("t"), "2", { qos: 1 })
      assert.deepStrictEqual((yield* kept.take(2)).map(({ retain }) => retain), [true, false])
      assert.deepStrictEqual((yield* usual.take(2)).map(({ retain }) => retain), [false, false])
    }))

  test("subscription options of MQTT 5 are NotSupported on 3.1.1", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ protocolVersion: 4 })
      yield* reason(session.subscription(world.topic("t"), { noLocal: true }), "NotSupported")
      yield* reason(session.subscription(world.topic("t"), { retainAsPublished: true }), "NotSupported")
      assert.strictEqual((yield* session.metrics).subscriptions, 0)
    }))

  test("options that contradict a subscription on the same filter are refused", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* session.subscription(world.topic("t"), { noLocal: true })
      const { filter } = yield* reason(session.subscription(world.topic("t")), "SubscriptionConflict")
      assert.strictEqual(filter, world.topic("t"))
      yield* reason(
        session.subscription(world.topic("t"), { noLocal: true, retainAsPublished: true }),
        "SubscriptionConflict"
      )
      yield* session.subscription(world.topic("t"), { noLocal: true })
    }))

  test("an invalid filter is refused with the place that is wrong", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      for (
        const [filter, offset] of [["", 0], ["a/b#", 3], ["a/#/b", 2], ["a+/b", 1], ["$share//a", 7], [
          "a\0",
          1
        ]] as const
      ) {
        const invalid = yield* reason(session.subscription(["fine", filter]), "InvalidFilter")
        assert.strictEqual(invalid.offset, offset, filter)
        assert.strictEqual(invalid.filter, filter)
      }
      assert.strictEqual((yield* session.metrics).subscriptions, 0)
    }))

  test("invalid subscribe options are refused", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* reason(session.subscription([]), "InvalidOptions")
      yield* reason(session.subscription("t", { qos: 3 as never }), "InvalidOptions")
      yield* reason(session.subscription("t", { buffer: 0 }), "InvalidOptions")
    }))

  test("a refused subscription fails its stream with the server's reason code, and only that", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      const refused = `refused/${world.unique}`
      const { filter, reasonCode } = yield* reason(
        Stream.runDrain(session.subscribe([refused, world.topic("other")])),
        "SubscriptionRefused"
      )
      assert.strictEqual(filter, refused)
      assert.strictEqual(reasonCode, world.version === 5 ? 0x87 : 0x80)
      yield* fence(session)
      assert.isFalse(yield* world.isSubscribed(world.topic("other")))
      yield* session.publish(world.topic("t"), "end", { qos: 1 })
      yield* messages.until("end")
    }))

  test("unsubscribe ends the messages of every stream on the filter", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const first = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* subscribe(session, world.topic("t"), { qos: 1, keep: true })
      yield* session.publish(world.topic("t"), "before", { qos: 1 })
      yield* first.take(1)
      yield* session.unsubscribe(world.topic("t"))
      assert.strictEqual((yield* session.metrics).subscriptions, 0)
      assert.isFalse(yield* world.isSubscribed(world.topic("t")))
      const again = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* session.publish(world.topic("t"), "after", { qos: 1 })
      assert.deepStrictEqual(texts(yield* again.take(1)), ["after"])
    }))

  test("a stream ends with its scope, without an error", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { end, value: subscription } = yield* owned(session.subscription(world.topic("t")))
      const running = yield* Effect.forkChild(Stream.runDrain(subscription.messages), { startImmediately: true })
      yield* end
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(running)))
    }))

  test("the messages of one subscription run once at a time", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      const running = yield* Effect.forkChild(Stream.runDrain(messages), { startImmediately: true })
      yield* reason(Stream.runDrain(messages), "InvalidOptions")
      yield* Fiber.interrupt(running)
      yield* session.publish(world.topic("t"), "for the second run", { qos: 1 })
      const taken = yield* Stream.runCollect(Stream.take(messages, 1))
      assert.deepStrictEqual(texts(taken), ["for the second run"])
    }))

  test("a full buffer drops the oldest QoS 0 messages of its own stream, and counts them", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const slow = yield* session.subscription(world.topic("t"), { buffer: 3 })
      const fast = yield* subscribe(session, world.topic("t"))
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n)
      assert.deepStrictEqual(texts(yield* fast.take(10)), numbers(1, 10))
      const { dropped, messages } = yield* slow.pending
      assert.deepStrictEqual([messages, dropped], [3, 7])
      const left = yield* Stream.runCollect(Stream.take(slow.messages, 3))
      assert.deepStrictEqual(texts(left), ["8", "9", "10"])
      const metrics = yield* session.metrics
      assert.strictEqual(metrics.dropped.streamOverflow, 7)
    }))

  test("a full buffer that suspends loses nothing", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const publisher = yield* world.session()
      const { messages, pending } = yield* session.subscription(world.topic("t"), { buffer: 10, onOverflow: "suspend" })
      // More than the network hands over at once, or there would be nothing left to suspend.
      const payloads = numbers(1, 300).map((n) => n.padEnd(1000))
      yield* publisher.publishAll(
        Stream.fromIterable(payloads).pipe(Stream.map((payload) => ({ topic: world.topic("t"), payload })))
      )
      yield* fence(publisher)
      while ((yield* pending).messages <= 10) yield* Effect.yieldNow
      const taken = yield* Stream.runCollect(Stream.take(messages, 300))
      assert.deepStrictEqual(texts(taken), payloads)
      assert.strictEqual((yield* pending).dropped, 0)
    }))
}
