import { type MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Latch, Layer, References, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { fence, makeWorld, reason, scripted, type World } from "./support.ts"

const echo = RequestResponse.template("echo/:id", {
  request: PayloadCodec.json(Schema.String),
  response: PayloadCodec.json(Schema.String)
})

const responding = Effect.fnUntraced(function*(
  session: MqttSession.Session,
  handler: (value: string) => Effect.Effect<string, unknown>,
  concurrency = 16
) {
  const subscribed = yield* Deferred.make<void>()
  const fiber = yield* echo.respond(session, ({ value }) => handler(value), {
    concurrency,
    onSubscribed: Effect.asVoid(Deferred.succeed(subscribed, undefined))
  }).pipe(Effect.forkScoped)
  yield* Deferred.await(subscribed)
  return fiber
})

/** Lets everything run that needs no time. */
const settle = Effect.callback<void>((resume) => {
  let turns = 0
  const next = (): void => {
    if (++turns > 30) resume(Effect.void)
    else setImmediate(next)
  }
  next()
})

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const on = (version: 4 | 5) => {
  const test = (name: string, body: (world: World) => Effect.Effect<void, unknown, never>) =>
    it.effect(name, () =>
      Effect.flatMap(makeWorld(version), body).pipe(
        Effect.provide(Layer.fresh(scripted("memory"))),
        Effect.provideService(References.MinimumLogLevel, "None")
      ))
  return test as (name: string, body: (world: World) => Effect.Effect<void, unknown, unknown>) => void
}

describe("requests on the wire of MQTT 5", () => {
  const test = on(5)

  test("a request has a response topic and a content type, and expires with its timeout", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const session = yield* world.session({ clientId: "asker" })
      yield* responding(session, Effect.succeed)
      yield* echo.request(session, { id: "1" }, "hello", {
        timeout: "2500 millis",
        userProperties: [["trace", "7"]]
      })
      const [request, response] = broker.received("Publish").map(({ packet }) => packet)
      assert.deepStrictEqual([request!.topic, text(request!.payload), request!.qos], ["echo/1", `"hello"`, 1])
      const { correlationData, ...properties } = request!.properties
      assert.deepStrictEqual(properties, {
        payloadFormatIndicator: 1,
        contentType: "application/json",
        messageExpiryInterval: 3,
        responseTopic: "mqttx/responses/asker",
        userProperties: [["trace", "7"]]
      })
      assert.deepStrictEqual([response!.topic, response!.qos], ["mqttx/responses/asker", 1])
      assert.deepStrictEqual(response!.properties, {
        payloadFormatIndicator: 1,
        contentType: "application/json",
        messageExpiryInterval: 3,
        correlationData: correlationData!
      })
    }))

  test("a failure is marked by a user property", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* responding(session, () => Effect.fail("a secret"))
      yield* Effect.flip(echo.request(session, { id: "1" }, "hello"))
      const response = world.broker!.received("Publish")[1]!.packet
      assert.deepStrictEqual(response.properties.userProperties, [["mqttx-status", "error"]])
      assert.strictEqual(response.payload.length, 0)
    }))

  test("a request is acknowledged after the server has its answer", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const asking = yield* world.session()
      const answering = yield* world.session({ clientId: "responder" })
      yield* responding(answering, Effect.succeed)
      const withheld = yield* broker.inject(
        Fault.withhold({ direction: "sent", packet: "Puback", clientId: "responder" })
      )
      assert.strictEqual(yield* echo.request(asking, { id: "1" }, "hello"), "hello")
      yield* withheld.awaitHits(1)
      yield* settle
      assert.strictEqual(broker.received("Puback", "responder").length, 0)
      yield* broker.release("responder")
      yield* broker.awaitPacket({ direction: "received", packet: "Puback", clientId: "responder" })
    }))

  test("an answer may overtake the acknowledgement of its request", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      const asking = yield* world.session({ clientId: "asker" })
      yield* responding(yield* world.session(), Effect.succeed)
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback", clientId: "asker" }))
      assert.strictEqual(yield* echo.request(asking, { id: "1" }, "hello"), "hello")
      yield* broker.release("asker")
    }))

  const withInformation = (responseInformation: string) =>
    Fault.replace({ direction: "sent", packet: "Connack" }, (packet) => [
      packet._tag === "Connack" ? { ...packet, properties: { ...packet.properties, responseInformation } } : packet
    ])

  test("the response topic follows the server's Response Information where it was asked for", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      yield* broker.inject(withInformation("private/"))
      const session = yield* world.session({ clientId: "asker", requestResponseInformation: true })
      yield* responding(session, Effect.succeed)
      const requester = yield* RequestResponse.requester(session)
      assert.strictEqual(requester.responseTopic, "private/responses/asker")
      assert.strictEqual(yield* requester.request(echo, { id: "1" }, "hello"), "hello")
    }))

  test("Response Information that is no topic, or was not asked for, is not used", (world) =>
    Effect.gen(function*() {
      const broker = world.broker!
      for (const [information, requestResponseInformation] of [["private/#", true], ["private", false]] as const) {
        yield* broker.inject(withInformation(information))
        const session = yield* world.session({ clientId: "asker", requestResponseInformation })
        const requester = yield* RequestResponse.requester(session)
        assert.strictEqual(requester.responseTopic, "mqttx/responses/asker")
        yield* session.drain
      }
    }))
})

describe("requests on the wire of 3.1.1", () => {
  const test = on(4)

  test("the topics carry what the properties would", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session({ clientId: "asker" })
      yield* responding(session, (value) => value === "bad" ? Effect.fail("a secret") : Effect.succeed(value))
      yield* echo.request(session, { id: "1" }, "hello")
      yield* Effect.flip(echo.request(session, { id: "2" }, "bad"))
      const topics = world.broker!.received("Publish").map(({ packet }) => packet.topic.split("/"))
      const [one, two] = [topics[0]![3]!, topics[2]![3]!]
      assert.notStrictEqual(one, two)
      assert.deepStrictEqual(topics.map((levels) => levels.join("/")), [
        `mqttx/requests/asker/${one}/echo/1`,
        `mqttx/responses/asker/${one}/ok`,
        `mqttx/requests/asker/${two}/echo/2`,
        `mqttx/responses/asker/${two}/error`
      ])
    }))
})

for (const version of [4, 5] as const) {
  describe(`requests under failures, ${version === 4 ? "3.1.1" : "5"}`, () => {
    const test = on(version)

    test("a responder continues after more requests than it can look ahead to", (world) =>
      Effect.gen(function*() {
        const [asking, answering] = [yield* world.session(), yield* world.session()]
        yield* responding(answering, Effect.succeed, 64)
        const requester = yield* RequestResponse.requester(asking)
        const numbers = Array.from({ length: 1000 }, (_, i) => String(i))
        for (const _ of [1, 2]) {
          const answers = yield* Effect.forEach(numbers, (number) => requester.request(echo, { id: "1" }, number), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(answers, numbers)
        }
      }))

    test("a request that no responder answers fails with its timeout, 10 seconds by default", (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        yield* responding(session, () => Effect.never)
        for (const [options, millis] of [[{}, 10_000], [{ timeout: "1 second" }, 1000]] as const) {
          const asking = yield* Effect.forkChild(
            reason(echo.request(session, { id: "1" }, "hello", options), "Timeout"),
            { startImmediately: true }
          )
          yield* settle
          yield* TestClock.adjust(millis - 1)
          yield* settle
          assert.isUndefined(asking.pollUnsafe())
          yield* TestClock.adjust(1)
          const late = yield* Fiber.join(asking)
          assert.deepStrictEqual([late.operation, late.millis], ["request", millis])
        }
      }))

    test("a request may wait forever", (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const [asked, go] = [yield* Deferred.make<void>(), yield* Latch.make()]
        yield* responding(session, (value) =>
          Deferred.succeed(asked, undefined).pipe(Effect.andThen(go.await), Effect.as(value)))
        const asking = yield* Effect.forkChild(
          echo.request(session, { id: "1" }, "hello", { timeout: Duration.infinity })
        )
        yield* Deferred.await(asked)
        const { messageExpiryInterval } = world.broker!.received("Publish")[0]!.packet.properties
        assert.isUndefined(messageExpiryInterval)
        yield* TestClock.adjust("30 seconds")
        yield* go.open
        assert.strictEqual(yield* Fiber.join(asking), "hello")
      }))

    test("a request without a connection waits for one, within its timeout", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session({ clientId: "asker" })
        yield* responding(yield* world.session(), Effect.succeed)
        yield* broker.refuseNetwork
        yield* broker.cut("asker")
        const [tooShort, patient] = [
          yield* Effect.forkChild(
            reason(echo.request(asking, { id: "1" }, "a", { timeout: "1 second" }), "Timeout")
          ),
          yield* Effect.forkChild(echo.request(asking, { id: "1" }, "b", { timeout: "1 minute" }))
        ]
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(tooShort)
        // Long ago the responder's server lost sight of it, too.
        yield* broker.acceptNetwork
        for (let i = 0; i < 20; i++) {
          yield* TestClock.adjust("100 millis")
          yield* settle
        }
        assert.strictEqual(yield* Fiber.join(patient), "b")
      }))

    test("an answer survives a cut connection of the requester", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session({ clientId: "asker" })
        const [asked, go] = [yield* Deferred.make<void>(), yield* Latch.make()]
        yield* responding(yield* world.session(), (value) =>
          Deferred.succeed(asked, undefined).pipe(Effect.andThen(go.await), Effect.as(value)))
        const request = yield* Effect.forkChild(
          echo.request(asking, { id: "1" }, "hello", { timeout: "1 hour" })
        )
        yield* Deferred.await(asked)
        yield* broker.cut("asker")
        yield* go.open
        yield* settle
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(request), "hello")
      }))

    test("a request whose responder loses its connection is handled again, and answered once", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session()
        const answering = yield* world.session({ clientId: "responder" })
        const [asked, go] = [yield* Deferred.make<void>(), yield* Latch.make()]
        let calls = 0
        yield* responding(answering, (value) =>
          ++calls === 1
            ? Deferred.succeed(asked, undefined).pipe(Effect.andThen(go.await), Effect.as(value))
            : Effect.succeed(value))
        const requester = yield* RequestResponse.requester(asking)
        const request = yield* Effect.forkChild(requester.request(echo, { id: "1" }, "hello", { timeout: "1 hour" }))
        yield* Deferred.await(asked)
        yield* broker.cut("responder")
        yield* settle
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(request), "hello")
        yield* go.open
        yield* settle
        yield* fence(asking)
        const { answered, foreign, late } = yield* requester.metrics
        assert.deepStrictEqual([calls, answered, late, foreign], [2, 1, 1, 0])
      }))

    test("after the subscription to the answers has failed, requests that wait fail, and later ones are answered", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session({ clientId: "asker", onSessionLost: "fail" })
        const asked = yield* Deferred.make<void>()
        yield* responding(
          yield* world.session(),
          (value) =>
            value === "wait" ? Effect.andThen(Deferred.succeed(asked, undefined), Effect.never) : Effect.succeed(value)
        )
        const requester = yield* RequestResponse.requester(asking)
        const waiting = yield* Effect.forkChild(
          reason(requester.request(echo, { id: "1" }, "wait", { timeout: "1 hour" }), "SessionLost")
        )
        yield* Deferred.await(asked)
        yield* broker.cut("asker")
        yield* broker.forgetSession("asker")
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiting)
        assert.strictEqual(yield* requester.request(echo, { id: "1" }, "hello"), "hello")
      }))

    test("after the server has lost the session, requests are answered again", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session({ clientId: "asker" })
        yield* responding(yield* world.session(), Effect.succeed)
        const requester = yield* RequestResponse.requester(asking)
        yield* broker.cut("asker")
        yield* broker.forgetSession("asker")
        const request = yield* Effect.forkChild(requester.request(echo, { id: "1" }, "hello"))
        yield* settle
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(request), "hello")
      }))

    if (version === 5) {
      test("a refused subscription to the answers fails the requests that wait, and not those after it", (world) =>
        Effect.gen(function*() {
          const broker = world.broker!
          const asking = yield* world.session()
          yield* responding(yield* world.session(), Effect.succeed)
          yield* broker.refuseSubscribe("mqttx/responses/#", 0x87)
          const both = yield* Effect.all(
            [1, 2].map(() => reason(echo.request(asking, { id: "1" }, "hello"), "SubscriptionRefused")),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(both.map(({ reasonCode }) => reasonCode), [0x87, 0x87])
          yield* broker.clearRefusals
          assert.strictEqual(yield* echo.request(asking, { id: "1" }, "hello"), "hello")
        }))
    }

    test("requestMany ends after the silence that follows the last answer, or with the timeout", (world) =>
      Effect.gen(function*() {
        const asking = yield* world.session()
        for (const delay of [0, 90, 180, 400]) {
          yield* responding(yield* world.session(), (value) => Effect.delay(Effect.succeed(`${value}${delay}`), delay))
        }
        const many = (options: RequestResponse.RequestManyOptions) =>
          Effect.gen(function*() {
            const got: Array<string> = []
            const fiber = yield* Effect.forkChild(
              Stream.runForEach(echo.requestMany(asking, { id: "1" }, "after ", options), (answer) =>
                Effect.sync(() => got.push(Result.getOrElse(answer, () => "none")))),
              { startImmediately: true }
            )
            yield* settle
            let passed = 0
            while (fiber.pollUnsafe() === undefined) {
              yield* TestClock.adjust(10)
              yield* settle
              passed += 10
            }
            return [got, passed]
          })
        assert.deepStrictEqual(yield* many({ timeout: "1 hour", idle: "100 millis" }), [[
          "after 0",
          "after 90",
          "after 180"
        ], 280])
        assert.deepStrictEqual(yield* many({ timeout: 150 }), [["after 0", "after 90"], 150])
        assert.deepStrictEqual(yield* many({ timeout: "1 hour", count: 2 }), [["after 0", "after 90"], 90])
      }))

    test("requestMany fails with the timeout when the request could not be sent before", (world) =>
      Effect.gen(function*() {
        const broker = world.broker!
        const asking = yield* world.session({ clientId: "asker" })
        yield* broker.refuseNetwork
        yield* broker.cut("asker")
        yield* settle
        const many = yield* Effect.forkChild(
          reason(
            Stream.runCollect(echo.requestMany(asking, { id: "1" }, "a", { timeout: "1 second" })),
            "Timeout"
          ),
          { startImmediately: true }
        )
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(many)
        yield* broker.acceptNetwork
      }))
  })
}
