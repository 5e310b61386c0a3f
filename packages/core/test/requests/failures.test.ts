/**
 * What becomes of messages that typed streams, typed handlers and responders cannot take, on the scripted broker and
 * the test clock.
 */
import { PayloadCodec, RequestResponse, SessionStore, TopicTemplate } from "@effect-mqttx/core"
import type { MqttSession } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, References, Schema, Stream } from "effect"
import { pass, settle } from "../session/support.ts"
import { inbox, makeWorld, reason, scripted, type World } from "./support.ts"

const reading = TopicTemplate.make("sensors/:id", PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite })))

const echo = RequestResponse.template("echo/:id", {
  request: PayloadCodec.json(Schema.String),
  response: PayloadCodec.json(Schema.String)
})

const on = (version: 4 | 5) =>
  ((name: string, body: (world: World) => Effect.Effect<void, unknown, never>) =>
    it.effect(name, () =>
      Effect.flatMap(makeWorld(version), body).pipe(
        Effect.provide(Layer.fresh(scripted("memory"))),
        Effect.provideService(References.MinimumLogLevel, "None")
      ))) as (name: string, body: (world: World) => Effect.Effect<void, unknown, unknown>) => void

const handlers = (session: MqttSession.Session) => Effect.map(session.metrics, (metrics) => metrics.handlers)

/** A consumer that the server knows, and the readings that it got. */
const consuming = Effect.fnUntraced(function*(
  session: MqttSession.Session,
  options: Parameters<typeof reading.consume<unknown, never>>[2],
  handler: (celsius: number) => Effect.Effect<unknown, unknown> = () => Effect.void
) {
  const subscribed = yield* Deferred.make<void>()
  const taken: Array<number> = []
  const fiber = yield* reading.consume(
    session,
    ({ value }) => Effect.andThen(handler(value.celsius), Effect.sync(() => taken.push(value.celsius))),
    { qos: 1, ...options, onSubscribed: () => Effect.asVoid(Deferred.succeed(subscribed, undefined)) }
  ).pipe(Effect.exit, Effect.forkScoped)
  yield* Deferred.await(subscribed)
  return { fiber, taken }
})

describe.each([4, 5] as const)("version %s", (version) => {
  const test = on(version)

  test("consume retries its handler by default, and drops a request that cannot be decoded, which blocks no other", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session()
      let isBroken = true
      const { taken } = yield* consuming(session, {}, () => isBroken ? Effect.fail("no") : Effect.void)
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      yield* broker.publish("sensors/1", `{"celsius":1}`, { qos: 1 })
      yield* pass(10_000, 1000)
      assert.lengthOf(broker.received("Puback"), 1)
      const { failing, givenUp } = yield* handlers(session)
      assert.deepStrictEqual({ failing, givenUp }, { failing: 1, givenUp: 1 })
      isBroken = false
      yield* pass(30_000, 1000)
      assert.deepStrictEqual(taken, [1])
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 2)
    }))

  test("consume keeps what does not decode where that is asked for, and counts it once", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session()
      const invalid = yield* Deferred.make<Effect.Effect<number>>()
      yield* reading.consume(session, () => Effect.void, {
        qos: 1,
        onInvalid: "retry",
        onSubscribed: (subscription) => Effect.asVoid(Deferred.succeed(invalid, subscription.invalid))
      }).pipe(Effect.forkScoped)
      const count = yield* Deferred.await(invalid)
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      yield* pass(10_000, 1000)
      assert.lengthOf(broker.received("Puback"), 0)
      assert.strictEqual(yield* count, 1)
      assert.isAtLeast((yield* handlers(session)).failures, 3)
    }))

  test("consume continues when the dead letter of what does not decode is refused, and does not get its own", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session()
      yield* broker.refusePublish("refused", 0x87)
      const refused = yield* consuming(session, { onInvalid: { deadLetter: "refused" } })
      const own = yield* consuming(session, { onInvalid: { deadLetter: "sensors/dead" } })
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      for (let i = 1; i <= 5; i++) yield* broker.publish("sensors/1", `{"celsius":${i}}`, { qos: 1 })
      yield* settle
      yield* broker.awaitIdle
      assert.deepStrictEqual([refused.taken, own.taken], [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
      assert.lengthOf(broker.published.filter(({ topic }) => topic === "sensors/dead"), 1)
      assert.deepStrictEqual([refused.fiber.pollUnsafe(), own.fiber.pollUnsafe()], [undefined, undefined])
    }))

  test("a stream continues when the dead letter of what does not decode is refused, and does not get its own", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session()
      yield* broker.refusePublish("refused", 0x87)
      const open = Effect.fnUntraced(function*(deadLetter: string) {
        const { invalid, messages } = yield* reading.subscription(session, { qos: 1, onInvalid: { deadLetter } })
        return { invalid, next: yield* inbox(messages) }
      })
      const refused = yield* open("refused")
      const own = yield* open("sensors/dead")
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      yield* broker.publish("sensors/1", `{"celsius":1}`, { qos: 1 })
      assert.strictEqual((yield* refused.next).value.celsius, 1)
      assert.strictEqual((yield* own.next).value.celsius, 1)
      yield* settle
      assert.lengthOf(broker.published.filter(({ topic }) => topic === "sensors/dead"), 1)
      // One stream gets the dead letter of the other one.
      assert.deepStrictEqual([yield* refused.invalid, yield* own.invalid], [2, 1])
    }))

  test("a stream does not get dead letters of its own that would decode", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const { messages } = yield* reading.subscription(session, {
        qos: 1,
        ack: "manual",
        onInvalid: { deadLetter: "sensors/dead" }
      })
      const next = yield* inbox(messages)
      yield* session.publish("sensors/dead", `{"celsius":1}`, { qos: 1 })
      yield* session.publish("sensors/1", `{"celsius":2}`, { qos: 1 })
      const { message, value } = yield* next
      assert.strictEqual(value.celsius, 2)
      yield* message.ack
      yield* world.broker!.awaitIdle
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("an answer that is refused permanently is lost and counted, and the responder continues", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const [asking, answering] = [
        yield* world.session({ clientId: "asker" }),
        yield* world.session({ clientId: "other" })
      ]
      const [subscribed, runs] = [yield* Deferred.make<void>(), yield* Queue.unbounded<string>()]
      yield* echo.respond(answering, ({ value }) => Effect.as(Queue.offer(runs, value), value), {
        onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined))
      }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* broker.refusePublish("mqttx/responses/#", 0x87, { times: 1 })
      const first = yield* echo.request(asking, { id: "1" }, "first", { timeout: "1 second" }).pipe(
        Effect.exit,
        Effect.forkScoped
      )
      assert.strictEqual(yield* Queue.take(runs), "first")
      yield* settle
      assert.strictEqual(yield* echo.request(asking, { id: "1" }, "second"), "second")
      yield* pass(60_000, 1000)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
      assert.deepStrictEqual(yield* Queue.clear(runs), ["second"])
      assert.strictEqual((yield* handlers(answering)).givenUp, version === 5 ? 1 : 0)
      assert.strictEqual((yield* answering.metrics).unacknowledged, 0)
    }))
})

describe("version 5", () => {
  const test = on(5)

  test("an answer whose refusal may pass is published again, and its handler does not run again", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const [asking, answering] = [yield* world.session(), yield* world.session()]
      let runs = 0
      const subscribed = yield* Deferred.make<void>()
      yield* echo.respond(answering, ({ value }) =>
        Effect.sync(() => {
          runs++
          return value
        }), { onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined)) }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* broker.refusePublish("mqttx/responses/#", 0x97, { times: 2 })
      const asked = yield* Effect.forkScoped(echo.request(asking, { id: "1" }, "hello"))
      yield* pass(3100)
      assert.strictEqual(yield* Fiber.join(asked), "hello")
      assert.strictEqual(runs, 1)
    }))

  test("an answer is not published any more when its request has expired", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const [asking, answering] = [yield* world.session(), yield* world.session({ clientId: "responder" })]
      const subscribed = yield* Deferred.make<void>()
      yield* echo.respond(answering, ({ value }) => Effect.succeed(value), {
        onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined))
      }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* broker.refusePublish("mqttx/responses/#", 0x97)
      const asked = yield* Effect.forkScoped(
        Effect.exit(echo.request(asking, { id: "1" }, "hello", { timeout: "5 seconds" }))
      )
      yield* pass(60_000, 1000)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(asked)))
      const attempts = broker.received("Publish", "responder").length
      assert.isAtMost(attempts, 6)
      yield* broker.clearRefusals
      yield* pass(120_000, 1000)
      assert.lengthOf(broker.received("Publish", "responder"), attempts)
      assert.lengthOf(broker.received("Puback", "responder"), 1)
    }))

  test("a response topic in the responder's own filter makes one answer of one request", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session()
      const subscribed = yield* Deferred.make<void>()
      yield* echo.respond(session, ({ value }) => Effect.succeed(value), {
        onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined))
      }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* broker.publish("echo/1", `"hello"`, { qos: 1, properties: { responseTopic: "echo/2" } })
      yield* settle
      yield* broker.awaitIdle
      assert.lengthOf(broker.published.filter(({ topic }) => topic === "echo/2"), 1)
    }))

  test("a stream waits for a dead letter whose refusal may pass, and fails when its session ends before", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session({ persistence: "durable", clientId: "durable" })
      yield* broker.refusePublish("dead", 0x97, { times: 2 })
      const taken: Array<number> = []
      const stream = yield* reading.subscribe(session, { qos: 1, onInvalid: { deadLetter: "dead" } }).pipe(
        Stream.runForEach(({ value }) => Effect.sync(() => taken.push(value.celsius))),
        Effect.forkScoped
      )
      yield* broker.awaitUntil(() => broker.session("durable")?.subscriptions.length === 1)
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      yield* broker.publish("sensors/1", `{"celsius":1}`, { qos: 1 })
      yield* pass(3100)
      assert.deepStrictEqual(taken, [1])
      yield* broker.refusePublish("dead", 0x97)
      yield* broker.publish("sensors/1", "no json", { qos: 1 })
      yield* pass(10_000, 1000)
      const before = broker.received("Puback").length
      // No time passes.
      yield* session.drain
      yield* reason(Fiber.join(stream), "Closed")
      assert.lengthOf(broker.received("Puback"), before)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("a stream refuses to try messages again, and dead letters to its own topic", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* reason(reading.subscription(session, { onInvalid: "retry" as "skip" }), "InvalidOptions")
      yield* reason(
        reading.subscription(session, { params: { id: "1" }, onInvalid: { deadLetter: "sensors/1" } }),
        "InvalidOptions"
      )
    }))
})
