import {
  type MqttSession,
  PayloadCodec,
  RequestResponse,
  SessionStore,
  Topic,
  type TopicTemplate
} from "@effect-mqttx/core"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Queue, Result, Schema, Scope, Stream } from "effect"
import { everywhere, fence, inbox, reason, type World } from "./support.ts"

const Sum = Schema.Struct({ a: Schema.Finite, b: Schema.Finite })

const calculator = ({ unique }: World) =>
  RequestResponse.template(`${unique}/calculator/:id/add` as "t/calculator/:id/add", {
    request: PayloadCodec.json(Sum),
    response: PayloadCodec.json(Schema.Finite),
    failure: PayloadCodec.json(Schema.Struct({ tooLarge: Schema.Finite }))
  })

/** The same requests, whose handler may fail with anything. */
const careless = ({ unique }: World) =>
  RequestResponse.template(`${unique}/calculator/:id/add` as "t/calculator/:id/add", {
    request: PayloadCodec.json(Sum),
    response: PayloadCodec.json(Schema.Finite)
  })

/** A responder that is subscribed. */
const responding = <Params, Req, Res, Failure, RAsk, RAnswer, R>(
  session: MqttSession.Session,
  template: RequestResponse.RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  handler: (
    request: TopicTemplate.TypedMessage<Params, Req>
  ) => Effect.Effect<Res, RequestResponse.HandlerFailure<Failure>, R>,
  options?: RequestResponse.RespondOptions<Params>
): Effect.Effect<Fiber.Fiber<void, unknown>, never, R | RAnswer | Scope.Scope> =>
  Effect.gen(function*() {
    const subscribed = yield* Deferred.make<void>()
    const fiber = yield* template.respond(session, handler, {
      ...options,
      onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined))
    }).pipe(Effect.forkScoped)
    yield* Deferred.await(subscribed)
    return fiber
  })

const add = ({ value }: { readonly value: typeof Sum.Type }) => Effect.succeed(value.a + value.b)

everywhere("requests", (test, { version }) => {
  test("the answer is that of the handler, with the request's parameters", (world) =>
    Effect.gen(function*() {
      const [asking, answering] = [yield* world.session(), yield* world.session()]
      const template = calculator(world)
      const seen: Array<unknown> = []
      yield* responding(answering, template, (request) => {
        seen.push([request.params, request.message.topic])
        return add(request)
      })
      assert.strictEqual(yield* template.request(asking, { id: "x" }, { a: 1, b: 2 }), 3)
      assert.deepStrictEqual(seen, [[{ id: "x" }, `${world.unique}/calculator/x/add`]])
    }))

  test("a session can answer its own requests", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* responding(session, calculator(world), add)
      assert.strictEqual(yield* calculator(world).request(session, { id: "x" }, { a: 1, b: 2 }), 3)
    }))

  test("1,000 concurrent requests get each its own answer, by one subscription", (world) =>
    Effect.gen(function*() {
      const [asking, answering] = [yield* world.session(), yield* world.session()]
      const template = calculator(world)
      yield* responding(answering, template, add, { concurrency: 64 })
      const before = world.broker?.received("Subscribe").length ?? 0
      const ask = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) => template.request(asking, { id: `n${i % 10}` }, { a: i, b: i }, { timeout: "25 seconds" }),
          { concurrency: "unbounded" }
        )
      assert.deepStrictEqual(yield* ask(1000), Array.from({ length: 1000 }, (_, i) => 2 * i))
      if (world.broker !== undefined) assert.strictEqual(world.broker.received("Subscribe").length - before, 1)
      yield* fence(asking)
      assert.strictEqual((yield* asking.metrics).subscriptions, 0)
    }))

  test("a requester keeps the subscription from one request to the next, until its scope ends", (world) =>
    Effect.gen(function*() {
      const [asking, answering] = [yield* world.session(), yield* world.session()]
      const template = calculator(world)
      yield* responding(answering, template, add)
      const scope = yield* Scope.make()
      const requester = yield* Scope.provide(RequestResponse.requester(asking), scope)
      const before = world.broker?.received("Subscribe").length ?? 0
      for (const a of [1, 2, 3]) assert.strictEqual(yield* requester.request(template, { id: "x" }, { a, b: 0 }), a)
      assert.strictEqual(yield* template.request(asking, { id: "x" }, { a: 4, b: 0 }), 4)
      if (world.broker !== undefined) assert.strictEqual(world.broker.received("Subscribe").length, before)
      assert.deepStrictEqual(yield* requester.metrics, { waiting: 0, answered: 4, late: 0, foreign: 0, dropped: 0 })
      assert.strictEqual((yield* asking.metrics).subscriptions, 1)
      yield* Scope.close(scope, Exit.void)
      yield* fence(asking)
      assert.strictEqual((yield* asking.metrics).subscriptions, 0)
    }))

  test("a handler's failure of the template's type is the failure of the request", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      yield* responding(session, template, ({ value }) => Effect.fail({ tooLarge: value.a }))
      const failed = yield* Effect.flip(template.request(session, { id: "x" }, { a: 1e9, b: 2 }))
      assert.deepStrictEqual(failed, { tooLarge: 1e9 })
    }))

  for (
    const [what, handler] of Object.entries({
      fails: () => Effect.fail("a secret"),
      dies: () => Effect.die("a secret"),
      throws: () => {
        throw new Error("a secret")
      }
    })
  ) {
    test(`a handler that ${what} otherwise is RequestFailed without the reason, and harms no other request`, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const template = careless(world)
        yield* responding(session, template, (request) => request.params.id === "bad" ? handler() : add(request))
        const failed = yield* reason(
          template.request(session, { id: "bad" }, { a: 1, b: 2 }),
          "RequestFailed"
        )
        assert.deepStrictEqual([failed.status, failed.detail], ["error", undefined])
        assert.strictEqual(yield* template.request(session, { id: "good" }, { a: 1, b: 2 }), 3)
      }))
  }

  test("a failure whose type the requester does not know is RequestFailed", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* responding(session, calculator(world), ({ value }) => Effect.fail({ tooLarge: value.a }))
      const failed = yield* reason(
        careless(world).request(session, { id: "x" }, { a: 1, b: 2 }),
        "RequestFailed"
      )
      assert.strictEqual(failed.status, "error")
    }))

  test("a request that cannot be read is answered so", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* responding(session, calculator(world), add)
      const other = RequestResponse.template(`${world.unique}/calculator/x/add` as "t/calculator/x/add", {
        request: PayloadCodec.json(Schema.String),
        response: PayloadCodec.json(Schema.Finite)
      })
      const failed = yield* reason(other.request(session, {}, "one and one"), "RequestFailed")
      assert.deepStrictEqual([failed.status, failed.detail], [
        "invalid",
        "invalid payload: the payload does not fit the schema: Expected object"
      ])
    }))

  test("an answer that cannot be read is InvalidPayload", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* responding(session, calculator(world), add)
      const other = RequestResponse.template(`${world.unique}/calculator/x/add` as "t/calculator/x/add", {
        request: PayloadCodec.json(Sum),
        response: PayloadCodec.json(Schema.String)
      })
      yield* reason(other.request(session, {}, { a: 1, b: 2 }), "InvalidPayload")
    }))

  test("a request that does not fit its template is refused before anything is sent", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      yield* reason(template.request(session, { id: "" }, { a: 1, b: 2 }), "InvalidTopic")
      yield* reason(template.request(session, { id: "x" }, { a: Number.NaN, b: 2 }), "InvalidPayload")
    }))

  test("without a responder a request fails: at once where the server reports it, else with the timeout", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const request = (timeout: number) => calculator(world).request(session, { id: "x" }, { a: 1, b: 2 }, { timeout })
      if (version === 5) {
        assert.strictEqual((yield* reason(request(10_000), "RequestFailed")).status, "noResponder")
      } else {
        const late = yield* reason(request(100), "Timeout")
        assert.deepStrictEqual([late.operation, late.millis], ["request", 100])
      }
    }))

  test("an answer that is late is ignored and counted", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      const go = yield* Latch.make()
      yield* responding(session, template, (request) =>
        request.params.id === "slow" ? Effect.andThen(go.await, add(request)) : add(request))
      const requester = yield* RequestResponse.requester(session)
      yield* reason(requester.request(template, { id: "slow" }, { a: 1, b: 2 }, { timeout: 100 }), "Timeout")
      assert.deepStrictEqual(yield* requester.metrics, { waiting: 0, answered: 0, late: 0, foreign: 0, dropped: 0 })
      const answers = yield* inbox(
        (yield* session.subscription(`${requester.responseTopic}/#`, { qos: 1 })).messages
      )
      yield* go.open
      yield* answers
      yield* fence(session)
      assert.strictEqual(yield* requester.request(template, { id: "x" }, { a: 1, b: 2 }), 3)
      assert.deepStrictEqual(yield* requester.metrics, { waiting: 0, answered: 1, late: 1, foreign: 0, dropped: 0 })
    }))

  test("messages that answer nothing are ignored and counted", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      yield* responding(session, template, add)
      const requester = yield* RequestResponse.requester(session)
      if (version === 5) {
        yield* session.publish(requester.responseTopic, "1", { qos: 1 })
        yield* session.publish(requester.responseTopic, "1", {
          qos: 1,
          properties: { correlationData: new Uint8Array([1, 2, 3]) }
        })
      } else {
        yield* session.publish(`${requester.responseTopic}/someone/ok`, "1", { qos: 1 })
        yield* session.publish(`${requester.responseTopic}/someone/else`, "1", { qos: 1 })
      }
      assert.strictEqual(yield* requester.request(template, { id: "x" }, { a: 1, b: 2 }), 3)
      assert.deepStrictEqual(yield* requester.metrics, { waiting: 0, answered: 1, late: 0, foreign: 2, dropped: 0 })
    }))

  test("interrupting a request leaves nothing behind", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      const asked = yield* Deferred.make<void>()
      yield* responding(session, template, () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never))
      const scope = yield* Scope.make()
      const requester = yield* Scope.provide(RequestResponse.requester(session), scope)
      const request = yield* Effect.forkScoped(requester.request(template, { id: "x" }, { a: 1, b: 2 }))
      yield* Deferred.await(asked)
      assert.strictEqual((yield* requester.metrics).waiting, 1)
      yield* Scope.close(scope, Exit.void)
      // The request still needs the subscription.
      assert.strictEqual((yield* session.metrics).subscriptions, 2)
      yield* Fiber.interrupt(request)
      assert.strictEqual((yield* requester.metrics).waiting, 0)
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).subscriptions, 1)
    }))

  test("responders with one share name divide the requests", (world) =>
    Effect.gen(function*() {
      const asking = yield* world.session()
      const template = calculator(world)
      const handled = [0, 0]
      for (const i of [0, 1]) {
        yield* responding(yield* world.session(), template, (request) => {
          handled[i]!++
          return add(request)
        }, { share: "adders" })
      }
      const requester = yield* RequestResponse.requester(asking)
      for (let a = 0; a < 20; a++) {
        assert.strictEqual(yield* requester.request(template, { id: "x" }, { a, b: a }), 2 * a)
      }
      assert.strictEqual(handled[0]! + handled[1]!, 20)
      assert.strictEqual((yield* requester.metrics).answered, 20)
    }))

  test("a responder with parameters answers only those requests", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      yield* responding(session, template, () => Effect.succeed(1), { params: { id: "one" } })
      yield* responding(session, template, () => Effect.succeed(2), { params: { id: "two" } })
      assert.strictEqual(yield* template.request(session, { id: "one" }, { a: 0, b: 0 }), 1)
      assert.strictEqual(yield* template.request(session, { id: "two" }, { a: 0, b: 0 }), 2)
      const wrong = template.respond(session, add, { params: { id: "#" } })
      yield* reason(wrong, "InvalidTopic")
    }))

  test("requestMany brings the answers of all responders, up to a count", (world) =>
    Effect.gen(function*() {
      const asking = yield* world.session()
      const template = calculator(world)
      for (const n of [1, 2, 3]) {
        yield* responding(yield* world.session(), template, () =>
          n === 2 ? Effect.fail({ tooLarge: n }) : Effect.succeed(n))
      }
      const answers = yield* Stream.runCollect(
        template.requestMany(asking, { id: "x" }, { a: 1, b: 2 }, { count: 3 })
      )
      assert.deepStrictEqual(
        answers.map((answer) =>
          JSON.stringify(Result.merge(answer))
        ).sort(),
        ["1", "3", `{"tooLarge":2}`]
      )
      yield* fence(asking)
      assert.strictEqual((yield* asking.metrics).subscriptions, 0)
    }))

  test("requestMany ends with the silence after the last answer", (world) =>
    Effect.gen(function*() {
      const asking = yield* world.session()
      const template = calculator(world)
      for (const _ of [1, 2]) yield* responding(yield* world.session(), template, add)
      const answers = yield* Stream.runCollect(
        template.requestMany(asking, { id: "x" }, { a: 1, b: 2 }, {
          timeout: "1 hour",
          idle: "500 millis"
        })
      )
      assert.deepStrictEqual(answers, [Result.succeed(3), Result.succeed(3)])
    }))

  test("requestMany ends with the timeout, and has nothing where no responder answers", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      const many = (timeout: number) =>
        Stream.runCollect(template.requestMany(session, { id: "x" }, { a: 1, b: 2 }, { timeout }))
      assert.deepStrictEqual(yield* many(version === 5 ? 60_000 : 200), [])
      yield* responding(session, template, add)
      assert.deepStrictEqual(yield* many(500), [Result.succeed(3)])
    }))

  test("requestMany fails when the request cannot be sent", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const many = calculator(world).requestMany(session, { id: "/" }, { a: 1, b: 2 })
      yield* reason(Stream.runCollect(many), "InvalidTopic")
    }))

  test("a drain fails the requests that wait", (world) =>
    Effect.gen(function*() {
      const [asking, answering] = [yield* world.session({ drainTimeout: "1 second" }), yield* world.session()]
      const asked = yield* Deferred.make<void>()
      yield* responding(answering, calculator(world), () =>
        Effect.andThen(Deferred.succeed(asked, undefined), Effect.never))
      const request = yield* Effect.forkScoped(
        calculator(world).request(asking, { id: "x" }, { a: 1, b: 2 })
      )
      yield* Deferred.await(asked)
      yield* asking.drain
      yield* reason(Fiber.join(request), "Closed")
      yield* reason(calculator(world).request(asking, { id: "x" }, { a: 1, b: 2 }), "Closed")
    }))

  test("a client identifier may have any character", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ clientId: `${world.unique}/a+b#%$` })
      yield* responding(session, calculator(world), add)
      const requester = yield* RequestResponse.requester(session)
      assert.strictEqual(requester.responseTopic, `mqttx/responses/${world.unique}%2fa%2bb%23%25$`)
      assert.strictEqual(yield* requester.request(calculator(world), { id: "x" }, { a: 1, b: 2 }), 3)
    }))

  test("a durable session keeps no subscription for answers", (world) =>
    Effect.gen(function*() {
      const clientId = `${world.unique}-durable`
      const [asking, answering] = [
        yield* world.session({ clientId, persistence: "durable" }),
        yield* world.session()
      ]
      yield* responding(answering, calculator(world), add)
      assert.strictEqual(yield* calculator(world).request(asking, { id: "x" }, { a: 1, b: 2 }), 3)
      assert.strictEqual((yield* asking.metrics).subscriptions, 0)
      if (world.broker !== undefined) assert.deepStrictEqual(world.broker.subscriptions(clientId), [])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("the answering side may also be a 3.1.1 program, or one on MQTT 5 that serves both kinds", (world) =>
    Effect.gen(function*() {
      const template = calculator(world)
      const old = yield* world.session({ protocolVersion: 4 })
      const modern = yield* world.session({ protocolVersion: 5 })
      const ask = (session: typeof old, via?: "topic") =>
        template.request(session, { id: "x" }, { a: 1, b: 2 }, via === undefined ? {} : { via })
      const one = yield* responding(old, template, add)
      assert.deepStrictEqual([yield* ask(old), yield* ask(modern, "topic")], [3, 3])
      yield* Fiber.interrupt(one)
      yield* responding(modern, template, add, { via: "both" })
      assert.deepStrictEqual([yield* ask(old), yield* ask(modern, "topic"), yield* ask(modern)], [3, 3, 3])
    }))

  test("messages that are no requests are passed over", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = calculator(world)
      const handled = yield* Queue.unbounded<string>()
      yield* responding(session, template, (request) =>
        Effect.andThen(Queue.offer(handled, request.params.id), add(request)))
      yield* session.publish(`${world.unique}/calculator/no/add`, `{"a":1,"b":2}`, { qos: 1 })
      yield* session.publish("mqttx/requests/short", `{"a":1,"b":2}`, { qos: 1 })
      assert.strictEqual(yield* template.request(session, { id: "x" }, { a: 1, b: 2 }), 3)
      assert.deepStrictEqual(yield* Queue.takeAll(handled), ["x"])
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  if (version === 5) {
    test("any MQTT 5 program can ask and answer", (world) =>
      Effect.gen(function*() {
        const [ours, theirs] = [yield* world.session(), yield* world.session()]
        const template = calculator(world)
        const topic = `${world.unique}/calculator/x/add`
        const correlationData = new Uint8Array([0, 255, 1])
        const responseTopic = `${world.unique}/back`
        const responder = yield* responding(ours, template, add)
        const answers = yield* inbox((yield* theirs.subscription(responseTopic, { qos: 1 })).messages)
        yield* theirs.publish(topic, `{"a":1,"b":2}`, { qos: 1, properties: { responseTopic, correlationData } })
        const answer = yield* answers
        assert.deepStrictEqual([answer.text, answer.properties.correlationData], ["3", correlationData])
        assert.strictEqual(answer.properties.contentType, "application/json")
        yield* Fiber.interrupt(responder)

        const requests = yield* inbox((yield* theirs.subscription(topic, { qos: 1 })).messages)
        const asking = yield* Effect.forkScoped(template.request(ours, { id: "x" }, { a: 1, b: 2 }))
        const { properties } = yield* requests
        yield* theirs.publish(properties.responseTopic!, "4", {
          qos: 1,
          properties: { correlationData: properties.correlationData! }
        })
        assert.strictEqual(yield* Fiber.join(asking), 4)
      }))
  }

  test("a topic template with a rest can be asked", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = RequestResponse.template(`${world.unique}/files/*path` as "t/files/*path", {
        request: PayloadCodec.text(),
        response: Schema.String
      })
      yield* responding(session, template, ({ params, value }) => Effect.succeed(`${value} ${params.path}`))
      assert.strictEqual(yield* template.request(session, { path: "a/b" }, "read"), "read a/b")
      assert.isTrue(Topic.matches(template.topic.filter, `${world.unique}/files/a/b`))
    }))
})
