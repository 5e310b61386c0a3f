import type { Message } from "@effect-mqttx/core/Message"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, inOrder, numbers, owned, subscribe, texts } from "./behaviourWorld.ts"

export const acknowledging = (test: Define): void => {
  for (const qos of [1, 2] as const) {
    test(`manual, QoS ${qos}: what was not acknowledged comes again after a reconnect, the rest does not`, (world) =>
      Effect.gen(function*() {
        const link = yield* world.link
        const session = yield* world.session({ servers: [link.address] })
        const { messages } = yield* session.subscription(world.topic("t"), { qos, ack: "manual" })
        const received = yield* inbox(messages)
        for (const n of numbers(1, 4)) yield* session.publish(world.topic("t"), n, { qos })
        const [first, second, third, fourth] = yield* received.take(4)
        yield* first!.ack
        yield* second!.ack
        yield* fence(session)
        yield* link.cut
        yield* event(session, "Ready", 2)
        if (qos === 1) {
          // The server delivers them anew: those of the old connection can no longer be acknowledged.
          const again = yield* received.take(2)
          assert.deepStrictEqual(again.map(({ dup, text }) => ({ dup, text })), [
            { dup: true, text: "3" },
            { dup: true, text: "4" }
          ])
          yield* Effect.forEach(again, (message) => message.ack)
        } else {
          // The same delivery goes on, and its acknowledgement counts on the new connection.
          yield* third!.ack
          yield* fourth!.ack
        }
        yield* fence(session)
        yield* link.cut
        yield* event(session, "Ready", 3)
        yield* session.publish(world.topic("t"), "end", { qos })
        assert.deepStrictEqual(yield* received.until("end"), [])
      }))
  }

  test("manual: an acknowledgement twice, or of a QoS 0 message, does nothing", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1, ack: "manual" })
      const received = yield* inbox(messages)
      yield* session.publish(world.topic("t"), "0", { qos: 0 })
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      for (const message of yield* received.take(2)) {
        yield* message.ack
        yield* message.ack
      }
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("manual: a message is acknowledged from anywhere, also by its copy", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1, ack: "manual" })
      const received = yield* inbox(messages)
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      const message = yield* received.next
      assert.strictEqual((yield* session.metrics).unacknowledged, 1)
      yield* message.copy().ack
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("on receive: messages that were delivered are acknowledged when more are pulled", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const received = yield* subscribe(session, world.topic("t"), { qos: 2 })
      for (const n of numbers(1, 5)) yield* session.publish(world.topic("t"), n, { qos: 2 })
      yield* received.take(5)
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("on receive: a stream that ends by itself acknowledges the array that it has received", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      yield* Stream.runDrain(Stream.take(messages, 1))
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("interrupting a consumer of arrays and reconnecting: the whole array arrives", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const witness = yield* subscribe(session, world.topic("t"), { qos: 1, ack: "manual" })
      const { batches, messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      const copies = yield* witness.take(10)
      const handed = yield* Deferred.make<number>()
      const consuming = yield* batches.pipe(
        Stream.runForEach((array) => Effect.andThen(Deferred.succeed(handed, array.length), Effect.never)),
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual(yield* Deferred.await(handed), 10)
      yield* Fiber.interrupt(consuming)
      yield* Effect.forEach(copies, (message) => message.ack)
      yield* fence(session)
      yield* link.cut
      yield* event(session, "Ready", 2)
      const rest = yield* Stream.runCollect(Stream.take(messages, 10))
      assert.deepStrictEqual(texts(rest), numbers(1, 10))
    }))

  test("interrupting a consumer without a reconnect: the next run begins with the message that it had received", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 2 })
      for (const n of numbers(1, 3)) yield* session.publish(world.topic("t"), n, { qos: 2 })
      const stuck = yield* Deferred.make<Message>()
      const consuming = yield* Effect.forkChild(
        Stream.runForEach(messages, (message) => Effect.andThen(Deferred.succeed(stuck, message), Effect.never)),
        { startImmediately: true }
      )
      assert.strictEqual((yield* Deferred.await(stuck)).text, "1")
      yield* Fiber.interrupt(consuming)
      assert.deepStrictEqual(texts(yield* Stream.runCollect(Stream.take(messages, 3))), numbers(1, 3))
    }))

  test("what waits unseen in a stream's buffer comes once after a reconnect", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      const witness = yield* subscribe(session, world.topic("t"), { qos: 1 })
      for (const n of numbers(1, 5)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* witness.take(5)
      yield* link.cut
      yield* event(session, "Ready", 2)
      yield* session.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(texts(yield* witness.until("end")), numbers(1, 5))
      const taken = yield* Stream.runCollect(Stream.takeUntil(messages, ({ text }) => text === "end"))
      assert.deepStrictEqual(texts(taken), [...numbers(1, 5), "end"])
    }))

  test("what a stream leaves unacknowledged goes to the next one that asks for it", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const first = yield* owned(subscribe(session, world.topic("t"), { qos: 1, ack: "manual", keep: true }))
      for (const n of numbers(1, 3)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* first.value.take(3)
      yield* first.end
      const second = yield* subscribe(session, world.topic("t"), { qos: 1 })
      assert.deepStrictEqual(texts(yield* second.take(3)), numbers(1, 3))
    }))

  test("keep: a stream that ended and is opened again gets what was published meanwhile", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const publisher = yield* world.session()
      const first = yield* owned(subscribe(session, world.topic("t"), { qos: 1, keep: true }))
      yield* publisher.publish(world.topic("t"), "1", { qos: 1 })
      yield* first.value.take(1)
      yield* first.end
      yield* fence(session)
      for (const n of numbers(2, 5)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      const second = yield* subscribe(session, world.topic("t"), { qos: 1, keep: true })
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(texts(yield* second.until("end")), numbers(2, 5))
    }))

  test("without keep the server has no subscription left when the stream has ended", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { end } = yield* owned(subscribe(session, world.topic("t"), { qos: 1 }))
      yield* end
      yield* fence(session)
      assert.isFalse(yield* world.isSubscribed(world.topic("t")))
    }))

  test("what no consumer claims is dropped, counted, reported and acknowledged", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ unclaimed: { hold: "50 millis" } })
      const unclaimed = yield* inbox(session.unclaimed)
      const kept = yield* owned(subscribe(session, world.topic("t"), { qos: 1, keep: true }))
      yield* kept.end
      yield* session.publish(world.topic("t"), "for nobody", { qos: 1 })
      assert.strictEqual((yield* unclaimed.next).text, "for nobody")
      const dropped = yield* event(session, "MessageDropped")
      assert.deepStrictEqual([dropped.direction, dropped.cause, dropped.topic], [
        "inbound",
        "unclaimed",
        world.topic("t")
      ])
      yield* fence(session)
      const metrics = yield* session.metrics
      assert.strictEqual(metrics.dropped.unclaimed, 1)
      assert.strictEqual(metrics.unacknowledged, 0)
    }))

  test("a stalled stream delays neither publishes nor QoS 0 nor other streams", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* session.subscription(world.topic("stalled"), { qos: 1 })
      const fast = yield* subscribe(session, world.topic("fast"), { qos: 2 })
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("stalled"), n, { qos: 1 })
      for (const qos of [0, 1, 2] as const) {
        yield* session.publish(world.topic("fast"), String(qos), { qos })
        assert.strictEqual((yield* fast.next).text, String(qos))
      }
    }))

  test("a message that blocks the window of 20 is reported, and acknowledged after its time where the options say so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({
        receiveMaximum: 20,
        ackDeadline: "50 millis",
        onAckDeadline: "acknowledge"
      })
      const received = yield* subscribe(session, world.topic("t"), { qos: 1, ack: "manual" })
      const publisher = yield* world.session()
      for (const n of numbers(1, 50)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      const slow = yield* event(session, "SlowConsumer")
      assert.deepStrictEqual([slow.filters, slow.topic], [[world.topic("t")], world.topic("t")])
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(inOrder(world, texts(yield* received.until("end"))), numbers(1, 50))
    }))

  test("a message that blocks the window of 20 leads to a new connection where the options say so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({
        receiveMaximum: 20,
        ackDeadline: "50 millis",
        onAckDeadline: "reconnect"
      })
      const received = yield* subscribe(session, world.topic("t"), { qos: 1, ack: "manual" })
      const publisher = yield* world.session()
      for (const n of numbers(1, 20)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      yield* event(session, "Ready", 2)
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      const acknowledged: Array<Message> = []
      while (acknowledged.at(-1)?.text !== "end") {
        const message = yield* received.next
        yield* message.ack
        acknowledged.push(message)
      }
      assert.includeMembers(texts(acknowledged) as Array<string>, numbers(1, 20) as Array<string>)
      assert.isTrue(acknowledged.some(({ dup }) => dup))
    }))
}
