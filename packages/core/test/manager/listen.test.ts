import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Latch, Stream } from "effect"
import { collect, from, makeWorld, texts } from "../../../../test/support/managers.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly text: string }> {}

describe("SessionManager: listen", () => {
  it.live("is one stream of the messages of all sessions, present and future ones", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      const listener = yield* manager.listener("t", { qos: 1, description: "everything" })
      const inbox = yield* collect(listener.messages)
      yield* listener.active
      yield* ready("b")
      yield* broker.publish("t", "1", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(2)), ["a", "b"])
      yield* manager.remove("a")
      yield* broker.publish("t", "2", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(1)), ["b"])
      const { bytes, delivered, received } = yield* listener.metrics
      assert.deepStrictEqual([received, delivered, bytes], [3, 3, 3])
      assert.strictEqual(listener.description, "everything")
    }))

  it.live("acknowledges an array when the next one is pulled, so that an interrupted consumer loses nothing", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener("t", { qos: 1 })
      yield* listener.active
      const publication = yield* broker.publish("t", "1", { qos: 1 })
      const got = Latch.makeUnsafe()
      const consumer = yield* Effect.forkChild(Stream.runForEach(listener.messages, () => {
        got.openUnsafe()
        return Effect.never
      }))
      yield* got.await
      yield* Fiber.interrupt(consumer)
      assert.strictEqual(broker.received("Puback").length, 0)
      const again = yield* listener.messages.pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(texts(again), ["1"])
      yield* publication.settled
      assert.strictEqual(broker.received("Puback").length, 1)
    }))

  it.live.each([1, 2] as const)(
    "acknowledges what its consumer has taken of many that wait, and nothing else, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const { broker, manager, ready } = yield* makeWorld()
        yield* ready("plant")
        const sent = Array.from({ length: 20 }, (_, index) => `${index}`)
        const listener = yield* manager.listener("t", { qos })
        yield* listener.active
        for (const payload of sent) yield* broker.publish("t", payload, { qos })
        yield* Effect.repeat(Effect.delay(listener.metrics, "1 millis"), {
          until: ({ received }) => received === sent.length
        })
        const packet = qos === 1 ? "Puback" : "Pubrec"
        assert.deepStrictEqual(texts(yield* Stream.runCollect(Stream.take(listener.messages, 3))), ["0", "1", "2"])
        yield* broker.awaitPacket({ direction: "received", packet, nth: 3 })
        assert.deepStrictEqual(texts(yield* Stream.runCollect(Stream.take(listener.messages, 1))), ["3"])
        yield* broker.awaitPacket({ direction: "received", packet, nth: 4 })
        assert.lengthOf(broker.received(packet), 4)
        const metrics = yield* listener.metrics
        assert.deepStrictEqual([metrics.received, metrics.delivered], [20, 4])
        assert.deepStrictEqual(texts(yield* Stream.runCollect(Stream.take(listener.messages, 16))), sent.slice(4))
      })
  )

  it.live("with ack manual a message is acknowledged by its ack, transformed or not", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener("t", {
        qos: 1,
        ack: "manual",
        transform: RouteTransformer.payload((message) => `<${message.text}>`)
      })
      yield* listener.active
      const publication = yield* broker.publish("t", "1", { qos: 1 })
      const [message] = yield* listener.messages.pipe(Stream.take(1), Stream.runCollect)
      assert.strictEqual(message!.text, "<1>")
      assert.strictEqual(broker.received("Puback").length, 0)
      yield* message!.ack
      yield* publication.settled
    }))

  it.live("what filter and transformer drop is acknowledged and counted, a failure under skip too", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener("t", {
        qos: 1,
        filter: RouteFilter.not(RouteFilter.text("dropped")),
        transform: RouteTransformer.json("seen", true)
      })
      yield* listener.active
      const inbox = yield* collect(listener.messages)
      const first = yield* broker.publish("t", "dropped", { qos: 1 })
      const second = yield* broker.publish("t", "no JSON", { qos: 1 })
      yield* broker.publish("t", `{"a":1}`, { qos: 1 })
      assert.deepStrictEqual(texts(yield* inbox.take(1)), [`{"a":1,"seen":true}`])
      yield* Effect.all([first.settled, second.settled])
      const { dropped, failures, received } = yield* listener.metrics
      assert.deepStrictEqual([received, dropped, failures], [3, 1, 1])
    }))

  it.live("under fail the stream fails with the failure of the transformer", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener("t", {
        transform: RouteTransformer.make((message) => Effect.fail(new Refused({ text: message.text }))),
        onFailure: "fail"
      })
      yield* listener.active
      yield* broker.publish("t", "1")
      const error = yield* Effect.flip(Stream.runDrain(listener.messages))
      assert.instanceOf(error, Refused)
    }))

  it.live("listenTo ends when its session is removed, after what was received", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const awake = Latch.makeUnsafe()
      const stream = yield* Effect.forkChild(
        manager.listenTo("plant", "t", { qos: 1 }).pipe(Stream.tap(() => awake.await), Stream.runCollect),
        { startImmediately: true }
      )
      const witness = yield* collect(manager.listenTo("plant", "t", { qos: 1 }))
      yield* Effect.flatMap(manager.routes, (routes) => Effect.all(routes.map(({ active }) => active)))
      yield* broker.publish("t", "1", { qos: 1 })
      yield* broker.publish("t", "2", { qos: 1 })
      yield* witness.take(2)
      const removing = yield* Effect.forkChild(manager.remove("plant"), { startImmediately: true })
      awake.openUnsafe()
      yield* Fiber.join(removing)
      assert.deepStrictEqual(texts(yield* Fiber.join(stream)), ["1", "2"])
      assert.deepStrictEqual(broker.received("Puback").length, 2)
    }))

  it.live("a stream that is not pulled holds QoS 1 back and bounds QoS 0, which is counted", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener("t/#", { qos: 1, capacity: 4, buffer: 10 })
      yield* listener.active
      const witness = yield* collect(manager.listenTo("plant", "t/#", { qos: 1 }))
      yield* Effect.flatMap(manager.routes, (routes) => Effect.all(routes.map(({ active }) => active)))
      yield* Effect.forEach([20, 300], (count) =>
        Effect.gen(function*() {
          for (let n = 0; n < count; n++) yield* broker.publish("t/0", `${n}`)
          yield* witness.take(count)
        }))
      yield* broker.publish("t/1", "kept", { qos: 1 })
      yield* witness.take(1)
      const messages = yield* listener.messages.pipe(
        Stream.takeUntil(({ qos }) => qos === 1),
        Stream.runCollect
      )
      const { overflowed } = yield* listener.metrics
      assert.isAtLeast(overflowed, 290)
      assert.strictEqual(messages.length + overflowed, 321)
      assert.strictEqual(messages.at(-1)!.text, "kept")
    }))

  it.live("listens of several filters get each message once", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const listener = yield* manager.listener(["t/#", "t/+", "t/1"], { qos: 1 })
      yield* listener.active
      yield* broker.publish("t/1", "1", { qos: 1 })
      yield* broker.publish("t/2", "2", { qos: 1 })
      const messages = yield* listener.messages.pipe(Stream.take(2), Stream.runCollect)
      assert.deepStrictEqual(texts(messages), ["1", "2"])
    }))
})
