import { Message } from "@effect-mqttx/core/Message"
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { FailurePolicy } from "@effect-mqttx/core/Subscription"
import * as TopicTemplate from "@effect-mqttx/core/TopicTemplate"
import { assert, describe, it } from "@effect/vitest"
import { Effect, References, Schedule, Schema, Stream } from "effect"
import { collect, makeInbox, makeWorld, texts } from "../../../../test/support/managers.ts"
import { pass, settle } from "../session/support.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const bytes = (text: string) => new TextEncoder().encode(text)

describe("handle", () => {
  it.effect("tries a message again without end by default, acknowledges it after success, and counts it once", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant")
      const inbox = yield* makeInbox
      let isBroken = true
      const route = yield* manager.handle(
        "t/+",
        (message) => isBroken && message.topic === "t/bad" ? Effect.fail("no") : inbox.put(message),
        { qos: 1, concurrency: 1 }
      )
      yield* route.active
      yield* broker.publish("t/bad", "1", { qos: 1 })
      yield* broker.publish("t/good", "2", { qos: 1 })
      yield* pass(30_000, 1000)
      assert.deepStrictEqual(texts(yield* inbox.take(1)), ["2"])
      assert.lengthOf(broker.received("Puback"), 0)
      const { delivered, failures, lastError, received } = yield* route.metrics
      assert.deepStrictEqual({ delivered, failures, lastError, received }, {
        delivered: 1,
        failures: 1,
        lastError: "no",
        received: 2
      })
      assert.isAtLeast((yield* session.metrics).handlers.failures, 5)
      assert.strictEqual((yield* manager.metrics).totals.handlers.failing, 1)
      isBroken = false
      yield* pass(60_000, 1000)
      assert.deepStrictEqual(texts(yield* inbox.take(1)), ["1"])
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 2)
      assert.strictEqual((yield* manager.metrics).totals.handlers.failing, 0)
    }).pipe(quietly))

  it.effect("under fail ends with the error after the retries, and with the message unacknowledged", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const route = yield* manager.handle("t", () => Effect.fail("no" as const), {
        qos: 1,
        retry: Schedule.max([Schedule.spaced("10 seconds"), Schedule.recurs(1)]),
        onFailure: "fail"
      })
      yield* route.active
      yield* broker.publish("t", "1", { qos: 1 })
      yield* pass(10_000, 1000)
      assert.strictEqual(yield* Effect.flip(route.await), "no")
      assert.lengthOf(broker.received("Puback"), 0)
    }).pipe(quietly))

  it.effect("continues after a dead letter that is refused, and is not given its own dead letters", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      yield* broker.refusePublish("refused", 0x87)
      const inbox = yield* makeInbox
      const handler = (message: Message) => message.text === "bad" ? Effect.fail("no") : inbox.put(message)
      const refused = yield* manager.handle("t/#", handler, { qos: 1, onFailure: { deadLetter: "refused" } })
      const own = yield* manager.handle("t/#", handler, { qos: 1, onFailure: { deadLetter: "t/dead" } })
      yield* refused.active
      yield* own.active
      yield* broker.publish("t/1", "bad", { qos: 1 })
      for (let i = 1; i <= 5; i++) yield* broker.publish("t/1", String(i), { qos: 1 })
      yield* settle
      yield* broker.awaitIdle
      assert.lengthOf(inbox.messages, 10)
      // One of the handlers sees the dead letter of the other one, and fails at it too.
      assert.deepStrictEqual((yield* own.metrics).received, 6)
      assert.deepStrictEqual((yield* refused.metrics).received, 7)
      assert.lengthOf(broker.published.filter(({ topic }) => topic === "t/dead"), 1)
    }).pipe(quietly))

  it.effect("skips by default what a template's handler or a transformer cannot read, and retries what fails otherwise", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant")
      const template = TopicTemplate.make("typed/:id", PayloadCodec.json(Schema.Struct({ a: Schema.Finite })))
      const inbox = yield* makeInbox
      const typed = yield* manager.handle(template.filter, template.handler(({ message }) => inbox.put(message)), {
        qos: 1
      })
      const transformed = yield* manager.handle("json/+", inbox.put, {
        qos: 1,
        transform: RouteTransformer.json("b", 1)
      })
      yield* typed.active
      yield* transformed.active
      for (const topic of ["typed/1", "json/1"]) {
        yield* broker.publish(topic, "no json", { qos: 1 })
        yield* broker.publish(topic, `{"a":1}`, { qos: 1 })
      }
      yield* settle
      yield* broker.awaitIdle
      assert.sameMembers(texts(inbox.messages) as Array<string>, [`{"a":1}`, `{"a":1,"b":1}`])
      assert.lengthOf(broker.received("Puback"), 4)
      assert.strictEqual((yield* session.metrics).handlers.givenUp, 2)
    }).pipe(quietly))

  it.effect("onInvalid decides about what cannot be read, whatever onFailure says", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const template = TopicTemplate.make("typed/:id", PayloadCodec.json(Schema.Struct({ a: Schema.Finite })))
      const route = yield* manager.handle(template.filter, template.handler(() => Effect.fail("no")), {
        qos: 1,
        retry: Schedule.recurs(3),
        onFailure: "skip",
        onInvalid: { deadLetter: "invalid" }
      })
      yield* route.active
      yield* broker.publish("typed/1", "no json", { qos: 1 })
      yield* broker.publish("typed/1", `{"a":1}`, { qos: 1 })
      yield* settle
      yield* broker.awaitIdle
      assert.deepStrictEqual(
        broker.published.filter(({ topic }) => topic === "invalid").map(({ payload }) =>
          new TextDecoder().decode(payload)
        ),
        ["no json"]
      )
    }).pipe(quietly))
})

describe("listen", () => {
  /** Fails for the text `bad` as long as it is told to. */
  const picky = () => {
    const state = { isBroken: true }
    const transform = RouteTransformer.make((message) =>
      state.isBroken && message.text === "bad" ? Effect.fail("no") : Effect.succeed(message)
    )
    return { state, transform }
  }

  it.effect("tries a transformation again by default, in order, while other sessions and routes continue", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("a", { clientId: "a", keepAlive: "10 seconds" })
      const { state, transform } = picky()
      const listener = yield* manager.listener("t", { qos: 1, transform })
      const other = yield* manager.listener("t", { qos: 1 })
      yield* listener.active
      yield* other.active
      const inbox = yield* collect(listener.messages)
      const others = yield* collect(other.messages)
      for (const text of ["1", "bad", "2"]) yield* broker.publish("t", text, { qos: 1 })
      yield* pass(30_000, 1000)
      assert.deepStrictEqual(texts(inbox.messages), ["1"])
      assert.deepStrictEqual(texts(others.messages), ["1", "bad", "2"])
      assert.strictEqual((yield* listener.metrics).failures, 1)
      assert.strictEqual((yield* session.status).handlers.failing, 1)
      state.isBroken = false
      yield* pass(60_000, 1000)
      assert.deepStrictEqual(texts(inbox.messages), ["1", "bad", "2"])
      assert.strictEqual((yield* session.status).handlers.failing, 0)
    }).pipe(quietly))

  it.effect("that waits for another attempt does not hold up the end of its session, nor acknowledge", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("a", { clientId: "a", persistence: "durable" })
      const listener = yield* manager.listenTo("a", "t", { qos: 1, transform: picky().transform }).pipe(
        Stream.runDrain,
        Effect.exit,
        Effect.forkScoped
      )
      yield* broker.awaitUntil(() => broker.session("a")?.subscriptions.length === 1)
      yield* broker.publish("t", "bad", { qos: 1 })
      yield* pass(20_000, 1000)
      assert.strictEqual((yield* session.status).handlers.failing, 1)
      // No time passes.
      yield* manager.remove("a")
      assert.lengthOf(broker.received("Puback"), 0)
      yield* settle
      assert.isDefined(listener.pollUnsafe())
    }).pipe(quietly, Effect.provide(SessionStore.layerMemory)))

  it.effect("continues after a dead letter that is refused finally, and waits for one whose refusal may pass", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("a", { clientId: "a" })
      yield* broker.refusePublish("dead", 0x97, { times: 2 })
      const listener = yield* manager.listener("t/#", {
        qos: 1,
        transform: picky().transform,
        onFailure: { deadLetter: "dead" }
      })
      yield* listener.active
      const inbox = yield* collect(listener.messages)
      yield* broker.publish("t/1", "bad", { qos: 1 })
      yield* broker.publish("t/1", "1", { qos: 1 })
      yield* pass(400)
      assert.lengthOf(inbox.messages, 0)
      yield* pass(3000)
      assert.deepStrictEqual(texts(inbox.messages), ["1"])
      yield* broker.refusePublish("dead", 0x87)
      yield* broker.publish("t/1", "bad", { qos: 1 })
      yield* broker.publish("t/1", "2", { qos: 1 })
      yield* settle
      assert.deepStrictEqual(texts(inbox.messages), ["1", "2"])
      const { deadLettered, givenUp } = (yield* session.metrics).handlers
      assert.deepStrictEqual({ deadLettered, givenUp }, { deadLettered: 1, givenUp: 1 })
    }).pipe(quietly))

  it.effect("is not given its own dead letters", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a", { clientId: "a" })
      const listener = yield* manager.listener("t/#", {
        qos: 1,
        transform: picky().transform,
        onFailure: { deadLetter: "t/dead" }
      })
      yield* listener.active
      const inbox = yield* collect(listener.messages)
      yield* broker.publish("t/1", "bad", { qos: 1 })
      yield* broker.publish("t/1", "1", { qos: 1 })
      yield* settle
      assert.deepStrictEqual(texts(inbox.messages), ["1"])
      assert.lengthOf(broker.published.filter(({ topic }) => topic === "t/dead"), 1)
    }).pipe(quietly))

  for (const onFailure of ["retry", "skip"] as const satisfies ReadonlyArray<FailurePolicy>) {
    it.effect(`a transformer that interrupts itself has failed, under ${onFailure}`, () =>
      Effect.gen(function*() {
        const { broker, manager, ready } = yield* makeWorld()
        yield* ready("a")
        let isBroken = true
        const listener = yield* manager.listener("t", {
          qos: 1,
          transform: RouteTransformer.make((message) =>
            isBroken && message.text === "bad" ? Effect.interrupt : Effect.succeed(message)
          ),
          onFailure
        })
        yield* listener.active
        const inbox = yield* collect(listener.messages)
        yield* broker.publish("t", "bad", { qos: 1 })
        yield* settle
        isBroken = false
        yield* broker.publish("t", "1", { qos: 1 })
        yield* pass(1000)
        assert.deepStrictEqual(texts(inbox.messages), onFailure === "retry" ? ["bad", "1"] : ["1"])
        assert.strictEqual((yield* listener.metrics).failures, 1)
      }).pipe(quietly))
  }
})

it.effect("what decode and transformers find wrong with a message says so by its method", () =>
  Effect.gen(function*() {
    const message = new Message({
      topic: "a/b",
      payload: bytes("no json"),
      qos: 1,
      retain: false,
      dup: false,
      properties: {},
      session: "plant",
      receivedAt: 0
    })
    const template = TopicTemplate.make("a/:id", PayloadCodec.json(Schema.Struct({ a: Schema.Finite })))
    const errors = [
      yield* Effect.flip(message.decode(Schema.fromJsonString(Schema.Struct({})))),
      yield* Effect.flip(template.decode(message)),
      yield* Effect.flip(RouteTransformer.json("a", 1).transform(message)),
      yield* Effect.flip(RouteTransformer.topic("a/+", "{1}/#").transform(message))
    ]
    assert.deepStrictEqual(
      errors.map((error) => error instanceof MqttError ? [error.method, error.reason._tag] : error),
      [
        ["decode", "InvalidPayload"],
        ["decode", "InvalidPayload"],
        ["transform", "InvalidPayload"],
        ["transform", "InvalidTopic"]
      ]
    )
  }))
