import type { MessageProperties } from "@effect-mqttx/core/Properties"
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, numbers, reason, subscribe, texts } from "./behaviourWorld.ts"

const large = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff)

export const publishing = (test: Define): void => {
  for (const qos of [0, 1, 2] as const) {
    test(`delivers text, bytes, an empty and a large payload at QoS ${qos}`, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const messages = yield* subscribe(session, world.topic("t"), { qos })
        const payloads = ["grüß dich 🌡️", new Uint8Array([0, 1, 254, 255]), "", large]
        for (const payload of payloads) {
          const { reasonCode } = yield* session.publish(world.topic("t"), payload, { qos })
          assert.strictEqual(reasonCode, 0)
          const message = yield* messages.next
          assert.strictEqual(message.topic, world.topic("t"))
          assert.strictEqual(message.qos, qos)
          assert.isFalse(message.retain)
          assert.isFalse(message.dup)
          if (typeof payload === "string") assert.strictEqual(message.text, payload)
          else assert.isTrue(Buffer.from(payload).equals(message.payload), "the bytes differ")
        }
      }))
  }

  test("topics may hold any text", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("außen/室温/🌡️/ / with blanks")
      const messages = yield* subscribe(session, world.topic("+/室温/#"), { qos: 1 })
      yield* session.publish(topic, "23", { qos: 1 })
      assert.strictEqual((yield* messages.next).topic, topic)
    }))

  test("a message arrives with the lower quality of service of publisher and subscriber", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      for (const qos of [0, 1, 2] as const) yield* session.publish(world.topic("t"), "x", { qos })
      assert.deepStrictEqual((yield* messages.take(3)).map(({ qos }) => qos), [0, 1, 1])
    }))

  test("the receipt says when there is no subscriber", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { reasonCode } = yield* session.publish(world.topic("nobody"), "x", { qos: 1 })
      assert.strictEqual(reasonCode, 0x10)
    }))

  test("keeps the order of publishes of one quality of service", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("+"), { qos: 2 })
      for (const qos of [0, 1, 2] as const) {
        yield* Effect.forEach(numbers(1, 100), (n) => session.publish(world.topic(String(qos)), n, { qos }), {
          concurrency: "unbounded",
          discard: true
        })
        assert.deepStrictEqual(texts(yield* messages.take(100)), numbers(1, 100))
      }
    }))

  test("message properties arrive as they were given", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      const given: MessageProperties = {
        payloadFormatIndicator: 1,
        contentType: "application/json",
        responseTopic: world.topic("answers"),
        correlationData: new Uint8Array([1, 0, 255]),
        userProperties: [["unit", "°C"], ["a", "1"], ["unit", "K"], ["", ""]]
      }
      yield* session.publish(world.topic("t"), "{}", { qos: 1, properties: { ...given, messageExpiryInterval: 1000 } })
      const { correlationData, messageExpiryInterval, subscriptionIdentifiers: _, ...arrived } =
        (yield* messages.next).properties
      assert.deepStrictEqual({ ...arrived, correlationData: Uint8Array.from(correlationData!) }, given)
      assert.isAtLeast(messageExpiryInterval!, 990)
      assert.isAtMost(messageExpiryInterval!, 1000)
    }))

  test("message properties are NotSupported on 3.1.1", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ protocolVersion: 4 })
      const { feature } = yield* reason(
        session.publish(world.topic("t"), "x", { properties: { contentType: "text/plain" } }),
        "NotSupported"
      )
      assert.strictEqual(feature, "properties")
      yield* reason(session.publish(world.topic("t"), "x", { topicAlias: 1 }), "NotSupported")
    }))

  test("a topic alias of the publisher's choice stands for the topic", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("+"), { qos: 1 })
      yield* session.publish(world.topic("a"), "1", { qos: 1, topicAlias: 3 })
      yield* session.publish(world.topic("a"), "2", { qos: 1, topicAlias: 3 })
      yield* session.publish(world.topic("b"), "3", { qos: 1, topicAlias: 3 })
      assert.deepStrictEqual((yield* messages.take(3)).map(({ topic }) => topic), [
        world.topic("a"),
        world.topic("a"),
        world.topic("b")
      ])
    }))

  test("messages arrive under their topics when the session chooses topic aliases", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const messages = yield* subscribe(session, world.topic("a-long-branch/of-the-tree/+"), { qos: 1 })
      const topicOf = (index: number): string => world.topic(`a-long-branch/of-the-tree/${(index * index) % 17}`)
      const indexes = Array.from({ length: 60 }, (_, index) => index)
      const missing = new Set<string>()
      // On three connections. A message of the one before may come again.
      for (const round of [1, 2, 3]) {
        for (const index of indexes) missing.add(`${round} ${index}`)
        yield* Effect.forEach(indexes, (index) => session.publish(topicOf(index), `${round} ${index}`, { qos: 1 }), {
          concurrency: 20,
          discard: true
        })
        while (missing.size > 0) {
          const { text, topic } = yield* messages.next
          assert.strictEqual(topic, topicOf(Number(text.split(" ")[1])))
          missing.delete(text)
        }
        yield* link.cut
      }
    }))

  test("an invalid topic is refused with the place that is wrong", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      for (const [topic, offset] of [["", 0], ["a/+/b", 2], ["a/#", 2], ["ab\0", 2], ["a\ud800", 1]] as const) {
        const invalid = yield* reason(session.publish(topic, "x"), "InvalidTopic")
        assert.strictEqual(invalid.offset, offset)
        assert.strictEqual(invalid.topic, topic)
      }
      yield* reason(session.enqueue("a/#", "x"), "InvalidTopic")
    }))

  test("invalid publish options are refused", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ protocolVersion: 5 })
      const topic = world.topic("t")
      yield* reason(session.publish(topic, "x", { qos: 3 as never }), "InvalidOptions")
      yield* reason(session.publish(topic, "x", { topicAlias: 70_000 }), "InvalidOptions")
      yield* reason(session.publish(topic, "x", { properties: { messageExpiryInterval: -1 } }), "InvalidOptions")
      yield* reason(session.publish(topic, "x", { properties: { responseTopic: "a/+" } }), "InvalidTopic")
      yield* session.publish(topic, "fine", { qos: 1 })
    }))

  test("a publish fails alone: the session and its streams continue", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      const exits = yield* Effect.forEach(["t", "#", "t"], (level) =>
        Effect.exit(session.publish(world.topic(level), "x", { qos: 1 })))
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      yield* messages.take(2)
    }))

  test("enqueue succeeds before the server answers, and many may await the receipt", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      const receipt = yield* session.enqueue(world.topic("t"), "accepted", { qos: 1 })
      const waiting = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(receipt.acknowledged, { startImmediately: true }))
      yield* link.open
      for (const each of waiting) {
        assert.isBelow((yield* Fiber.join(each)).reasonCode, 0x80)
      }
      yield* receipt.acknowledged
    }))

  test("enqueue takes a copy of the bytes", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const messages = yield* subscribe(receiver, world.topic("t"), { qos: 1 })
      const session = yield* world.make({ servers: [link.address] })
      const bytes = new Uint8Array([1, 2, 3])
      yield* session.enqueue(world.topic("t"), bytes, { qos: 1 })
      bytes.fill(9)
      yield* link.open
      assert.deepStrictEqual(Array.from((yield* messages.next).payload), [1, 2, 3])
    }))

  test("publishes made without a connection are sent in their order when there is one", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const messages = yield* subscribe(receiver, world.topic("t"), { qos: 2 })
      const session = yield* world.make({ servers: [link.address] })
      const publishing = yield* Effect.forEach(
        numbers(1, 20),
        (n) => Effect.forkChild(session.publish(world.topic("t"), n, { qos: 1 }), { startImmediately: true })
      )
      yield* link.open
      yield* Effect.forEach(publishing, Fiber.join)
      assert.deepStrictEqual(texts(yield* messages.take(20)), numbers(1, 20))
    }))

  for (const qos of [0, 1, 2] as const) {
    test(`publishAll publishes a stream at QoS ${qos} and counts it`, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const messages = yield* subscribe(session, world.topic("t"), { qos, buffer: 2000 })
        const summary = yield* session.publishAll(
          Stream.fromIterable(numbers(1, 300)).pipe(
            Stream.map((n) => ({ topic: world.topic("t"), payload: n, options: { qos } }))
          )
        )
        assert.deepStrictEqual(summary, { published: 300 })
        assert.deepStrictEqual(texts(yield* messages.take(300)), numbers(1, 300))
      }))
  }

  test("publishAll fails with the first failure", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const messages = ["1", "2", "#", "3"].map((level) => ({
        topic: world.topic(level),
        payload: level,
        options: { qos: 1 } as const
      }))
      yield* reason(session.publishAll(Stream.fromIterable(messages)), "InvalidTopic")
      const failing = Stream.concat(Stream.fromIterable(messages.slice(0, 2)), Stream.fail("the source broke" as const))
      assert.strictEqual(yield* Effect.flip(session.publishAll(failing)), "the source broke")
      yield* fence(session)
    }))

  test("sink publishes what a stream runs into it", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const received = yield* subscribe(session, world.topic("t"), { qos: 1 })
      const summary = yield* Stream.fromIterable(numbers(1, 300)).pipe(
        Stream.map((n) => ({ topic: world.topic("t"), payload: n, options: { qos: 1 } as const })),
        Stream.run(session.sink)
      )
      assert.deepStrictEqual(summary, { published: 300 })
      assert.deepStrictEqual(texts(yield* received.take(300)), numbers(1, 300))
    }))

  test("interrupting a publish that is still queued withdraws it", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const received = yield* subscribe(receiver, world.topic("t"), { qos: 1 })
      const session = yield* world.make({ servers: [link.address] })
      const publishing = yield* Effect.forkChild(
        session.publish(world.topic("t"), "withdrawn", { qos: 1 }),
        { startImmediately: true }
      )
      assert.strictEqual((yield* session.metrics).queuedMessages, 1)
      yield* Fiber.interrupt(publishing)
      assert.strictEqual((yield* session.metrics).queuedMessages, 0)
      yield* link.open
      yield* session.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(yield* received.until("end"), [])
    }))

  test("interrupting publishAll withdraws what is still queued", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      const publishing = yield* Effect.forkChild(
        session.publishAll(
          Stream.fromIterable(numbers(1, 100)).pipe(
            Stream.map((n) => ({ topic: world.topic("t"), payload: n, options: { qos: 1 } as const }))
          )
        ),
        { startImmediately: true }
      )
      yield* event(session, "Reconnecting")
      yield* Fiber.interrupt(publishing)
      assert.strictEqual((yield* session.metrics).queuedMessages, 0)
    }))

  test("a publish that takes too long fails with Timeout, queue time included, and is not sent later", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const received = yield* subscribe(receiver, world.topic("t"), { qos: 1 })
      const session = yield* world.make({ servers: [link.address], publishTimeout: "60 millis" })
      const one = yield* reason(session.publish(world.topic("t"), "late", { qos: 1, timeout: "20 millis" }), "Timeout")
      assert.strictEqual(one.millis, 20)
      const other = yield* reason(session.publish(world.topic("t"), "late", { qos: 1 }), "Timeout")
      assert.strictEqual(other.millis, 60)
      yield* link.open
      yield* session.publish(world.topic("t"), "end", { qos: 1, timeout: "10 seconds" })
      assert.deepStrictEqual(yield* received.until("end"), [])
    }))

  test("a message that is no longer worth sending fails with Expired", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address] })
      yield* reason(session.publish(world.topic("t"), "old news", { qos: 1, expiresAfter: "20 millis" }), "Expired")
      const dropped = yield* event(session, "MessageDropped")
      assert.strictEqual(dropped.cause, "expired")
      assert.strictEqual(dropped.direction, "outbound")
    }))

  test("a full queue fails the publisher where the options say so", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({ servers: [link.address], queue: { messages: 2, policy: "fail" } })
      yield* session.enqueue(world.topic("t"), "1", { qos: 1 })
      yield* session.enqueue(world.topic("t"), "2", { qos: 1 })
      const { messages } = yield* reason(session.enqueue(world.topic("t"), "3", { qos: 1 }), "QueueFull")
      assert.strictEqual(messages, 2)
    }))

  test("a full queue drops the oldest message where the options say so, and reports it", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const received = yield* subscribe(receiver, world.topic("t"), { qos: 1 })
      const session = yield* world.make({ servers: [link.address], queue: { messages: 2, policy: "dropOldest" } })
      const receipts = yield* Effect.forEach(numbers(1, 3), (n) => session.enqueue(world.topic("t"), n, { qos: 1 }))
      yield* reason(receipts[0]!.acknowledged, "Dropped")
      const { cause, count } = yield* event(session, "MessageDropped")
      assert.deepStrictEqual([cause, count], ["dropOldest", 1])
      yield* link.open
      assert.deepStrictEqual(texts(yield* received.take(2)), ["2", "3"])
    }))

  test("a full queue makes publishers wait by default, and they continue in their order", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const receiver = yield* world.session()
      const received = yield* subscribe(receiver, world.topic("t"), { qos: 1 })
      const session = yield* world.make({ servers: [link.address], queue: { messages: 2 } })
      const publishing = yield* Effect.forEach(
        numbers(1, 10),
        (n) => Effect.forkChild(session.publish(world.topic("t"), n, { qos: 1 }), { startImmediately: true })
      )
      assert.strictEqual((yield* session.metrics).queuedMessages, 2)
      yield* link.open
      yield* Effect.forEach(publishing, Fiber.join)
      assert.deepStrictEqual(texts(yield* received.take(10)), numbers(1, 10))
    }))

  test("a refused publish fails with the server's reason code", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      for (const qos of [1, 2] as const) {
        const { reasonCode } = yield* reason(
          session.publish(`refused/${world.unique}`, "x", { qos }),
          "PublishRefused"
        )
        assert.strictEqual(reasonCode, 0x87)
      }
      yield* session.publish(world.topic("t"), "fine", { qos: 2 })
    }))

  test("retained messages reach later subscribers until an empty one clears them", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topic = world.topic("t")
      yield* session.publish(topic, "kept", { qos: 1, retain: true })
      const first = yield* subscribe(session, topic, { qos: 1 })
      const retained = yield* first.next
      assert.strictEqual(retained.text, "kept")
      assert.isTrue(retained.retain)
      yield* session.publish(topic, "", { qos: 1, retain: true })
      assert.strictEqual((yield* first.next).text, "")
      const second = yield* world.session()
      const messages = yield* Effect.flatMap(second.subscription(topic, { qos: 1 }), (each) => inbox(each.messages))
      yield* session.publish(topic, "end", { qos: 1 })
      assert.deepStrictEqual(yield* messages.until("end"), [])
    }))
}
