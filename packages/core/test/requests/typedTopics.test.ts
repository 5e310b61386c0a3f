import { PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Queue, References, Result, Schedule, Schema, Stream } from "effect"
import { everywhere, fence, inbox, makeWorld, reason, scripted, type World } from "./support.ts"

const Reading = Schema.Struct({ celsius: Schema.Finite })

// The first level is known at run time only; its parameters are not the less known.
const templateOf = ({ unique }: World) =>
  TopicTemplate.make(`${unique}/sensors/:room/temperature` as "t/sensors/:room/temperature", PayloadCodec.json(Reading))

const hot = { celsius: 40 }
const cold = { celsius: -5 }

everywhere("typed topics", (test, { version }) => {
  test("a value arrives with its parameters", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const { filter, granted, messages } = yield* template.subscription(session, { qos: 1 })
      assert.deepStrictEqual([filter, granted], [`${world.unique}/sensors/+/temperature`, 1])
      const next = yield* inbox(messages)
      yield* template.publish(session, { room: "kitchen" }, hot, { qos: 1 })
      const { message, params, value } = yield* next
      assert.deepStrictEqual([params, value], [{ room: "kitchen" }, hot])
      assert.strictEqual(message.topic, `${world.unique}/sensors/kitchen/temperature`)
      const { contentType, payloadFormatIndicator } = message.properties
      assert.strictEqual(contentType, version === 5 ? "application/json" : undefined)
      assert.strictEqual(payloadFormatIndicator, version === 5 ? 1 : undefined)
    }))

  test("enqueue and outgoing send the same message as publish", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const next = yield* inbox((yield* template.subscription(session, { qos: 1 })).messages)
      const receipt = yield* template.enqueue(session, { room: "a" }, hot, { qos: 1 })
      yield* receipt.acknowledged
      yield* session.publishAll(
        Stream.fromIterable(["b", "c"]).pipe(
          Stream.mapEffect((room) => template.outgoing(session, { room }, cold, { qos: 1 }))
        )
      )
      const rooms = []
      for (let i = 0; i < 3; i++) {
        const { message, params } = yield* next
        rooms.push(params.room)
        assert.strictEqual(message.properties.contentType, version === 5 ? "application/json" : undefined)
      }
      assert.deepStrictEqual(rooms, ["a", "b", "c"])
    }))

  test("properties of the publisher's own stay with the content type", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const publish = template.publish(session, { room: "a" }, hot, {
        qos: 1,
        properties: { contentType: "text/plain", userProperties: [["a", "b"]] }
      })
      if (version === 4) {
        yield* reason(publish, "NotSupported")
      } else {
        const next = yield* inbox((yield* template.subscription(session, { qos: 1 })).messages)
        yield* publish
        const { properties } = (yield* next).message
        assert.deepStrictEqual([properties.contentType, properties.userProperties], ["application/json", [["a", "b"]]])
      }
    }))

  test("a parameter or a value that does not fit is refused before anything is sent", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const next = yield* inbox((yield* template.subscription(session, { qos: 1 })).messages)
      const bad = yield* reason(template.publish(session, { room: "a/b" }, hot), "InvalidTopic")
      assert.strictEqual(bad.detail, "the parameter room: / in one level")
      yield* reason(template.publish(session, { room: "a" }, { celsius: Number.NaN }), "InvalidPayload")
      yield* template.publish(session, { room: "good" }, hot, { qos: 1 })
      assert.strictEqual((yield* next).params.room, "good")
    }))

  test("what does not decode is skipped, counted and acknowledged", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const { invalid, messages } = yield* template.subscription(session, { qos: 1 })
      const next = yield* inbox(messages)
      for (const payload of ["no json", `{"celsius":"hot"}`, new Uint8Array([0xff])]) {
        yield* session.publish(`${world.unique}/sensors/a/temperature`, payload, { qos: 1 })
      }
      yield* session.publish(`${world.unique}/sensors//temperature`, `{"celsius":1}`, { qos: 1 })
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      assert.strictEqual((yield* next).params.room, "b")
      assert.strictEqual(yield* invalid, 4)
      yield* fence(session)
      assert.isAtMost((yield* session.metrics).unacknowledged, 1)
    }))

  test("what does not decode is acknowledged for a stream that acknowledges by hand", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const next = yield* inbox((yield* template.subscription(session, { qos: 1, ack: "manual" })).messages)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", { qos: 1 })
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      yield* (yield* next).message.ack
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("what does not decode fails the stream behind the messages before it, where that is the policy", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const { messages } = yield* template.subscription(session, { qos: 1, onInvalid: "fail" })
      yield* template.publish(session, { room: "a" }, hot, { qos: 1 })
      yield* session.publish(`${world.unique}/sensors/b/temperature`, "no json", { qos: 1 })
      yield* template.publish(session, { room: "c" }, hot, { qos: 1 })
      const rooms: Array<string> = []
      const failed = yield* reason(
        Stream.runForEach(messages, ({ params }) => Effect.sync(() => rooms.push(params.room))),
        "InvalidPayload"
      )
      assert.deepStrictEqual(rooms, ["a"])
      assert.include(failed.detail, "not of the format")
    }))

  test("a stream of results brings what does not decode as a failure", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const { invalid, messages } = yield* template.subscription(session, { qos: 1, onInvalid: "result" })
      const next = yield* inbox(messages)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", { qos: 1 })
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      const first = yield* next
      assert.isTrue(Result.isFailure(first))
      if (Result.isFailure(first)) {
        assert.strictEqual(first.failure.error.reason._tag, "InvalidPayload")
        assert.strictEqual(first.failure.message.text, "no json")
      }
      const second = yield* next
      assert.deepStrictEqual(Result.isSuccess(second) ? second.success.value : undefined, hot)
      assert.strictEqual(yield* invalid, 1)
    }))

  test("what does not decode goes to the dead letters", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const deadLetter = `${world.unique}/dead`
      const dead = yield* inbox((yield* session.subscription(deadLetter, { qos: 1 })).messages)
      const next = yield* inbox(template.subscribe(session, { qos: 1, onInvalid: { deadLetter } }))
      yield* fence(session)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", {
        qos: 1,
        ...(version === 5 ? { properties: { userProperties: [["a", "b"]] } } : undefined)
      })
      const letter = yield* dead
      assert.deepStrictEqual(
        [letter.text, letter.properties.userProperties],
        [
          "no json",
          version === 4 ? undefined : [
            ["a", "b"],
            ["mqttx-session", session.name],
            ["mqttx-topic", `${world.unique}/sensors/a/temperature`],
            ["mqttx-error", "invalid payload: the payload is not UTF-8, or not of the format"]
          ]
        ]
      )
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      assert.strictEqual((yield* next).params.room, "b")
    }))

  test("a content type that does not fit is refused, and a missing one where it is required", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const one = yield* template.subscription(session, { qos: 1 })
      const two = yield* template.subscription(session, { qos: 1, contentType: "required" })
      const three = yield* template.subscription(session, { qos: 1, contentType: "ignore" })
      const [ifPresent, required, ignoring] = [
        yield* inbox(one.messages),
        yield* inbox(two.messages),
        yield* inbox(three.messages)
      ]
      const topic = (room: string) => `${world.unique}/sensors/${room}/temperature`
      yield* session.publish(topic("none"), `{"celsius":1}`, { qos: 1 })
      if (version === 5) {
        yield* session.publish(topic("cbor"), `{"celsius":1}`, {
          qos: 1,
          properties: { contentType: "application/cbor" }
        })
      }
      yield* template.publish(session, { room: "json" }, hot, { qos: 1 })
      const until = (next: typeof ifPresent) =>
        Effect.gen(function*() {
          const rooms: Array<string> = []
          while (rooms.at(-1) !== "json") rooms.push((yield* next).params.room)
          return rooms
        })
      assert.deepStrictEqual(
        [yield* until(ifPresent), yield* until(required), yield* until(ignoring)],
        version === 5
          ? [["none", "json"], ["json"], ["none", "cbor", "json"]]
          : [["none", "json"], ["none", "json"], ["none", "json"]]
      )
    }))

  test("a subscription with parameters gets only those messages", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const { filter, messages } = yield* template.subscription(session, { qos: 1, params: { room: "kitchen" } })
      assert.strictEqual(filter, `${world.unique}/sensors/kitchen/temperature`)
      const next = yield* inbox(messages)
      yield* template.publish(session, { room: "cellar" }, cold, { qos: 1 })
      yield* template.publish(session, { room: "kitchen" }, hot, { qos: 1 })
      assert.deepStrictEqual((yield* next).value, hot)
      yield* reason(template.subscription(session, { params: { room: "#" } }), "InvalidTopic")
    }))

  test("subscribers with one share name divide the messages", (world) =>
    Effect.gen(function*() {
      const publisher = yield* world.session()
      const template = templateOf(world)
      const arrived = yield* Queue.unbounded<string>()
      for (const _ of [1, 2]) {
        const worker = yield* world.session()
        const { messages } = yield* template.subscription(worker, { qos: 1, share: "workers" })
        yield* Stream.runForEach(messages, ({ params }) => Queue.offer(arrived, params.room)).pipe(Effect.forkScoped)
      }
      const rooms = Array.from({ length: 20 }, (_, i) => `room${i}`)
      for (const room of rooms) yield* template.publish(publisher, { room }, hot, { qos: 1 })
      const got = yield* Queue.takeN(arrived, 20)
      assert.deepStrictEqual(Array.from(got).sort(), rooms.sort())
      yield* reason(template.subscription(publisher, { share: "a/b" }), "InvalidFilter")
    }))

  test("consume acknowledges what the handler took, and skips what does not decode", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const subscribed = yield* Deferred.make<Effect.Effect<number>>()
      const handled = yield* Queue.unbounded<string>()
      yield* template.consume(session, ({ params }) => Queue.offer(handled, params.room), {
        qos: 1,
        onSubscribed: ({ invalid }) => Effect.asVoid(Deferred.succeed(subscribed, invalid))
      }).pipe(Effect.forkScoped)
      const invalid = yield* Deferred.await(subscribed)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", { qos: 1 })
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      assert.strictEqual(yield* Queue.take(handled), "b")
      yield* fence(session)
      assert.strictEqual(yield* invalid, 1)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("consume fails with what does not decode, where that is the policy", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const subscribed = yield* Deferred.make<void>()
      const consuming = yield* template.consume(session, () => Effect.void, {
        qos: 1,
        onFailure: "fail",
        onSubscribed: () => Effect.asVoid(Deferred.succeed(subscribed, undefined))
      }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", { qos: 1 })
      yield* reason(Fiber.join(consuming), "InvalidPayload")
    }))

  test("a handler of typed messages handles messages anywhere", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const template = templateOf(world)
      const dead = yield* inbox((yield* session.subscription(`${world.unique}/dead`, { qos: 1 })).messages)
      const [subscribed, handled] = [yield* Deferred.make<void>(), yield* Deferred.make<unknown>()]
      yield* session.consume(
        template.filter,
        template.handler(({ params, value }) => Deferred.succeed(handled, [params, value])),
        {
          qos: 1,
          onFailure: { deadLetter: `${world.unique}/dead` },
          onSubscribed: () => Effect.asVoid(Deferred.succeed(subscribed, undefined))
        }
      ).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* session.publish(`${world.unique}/sensors/a/temperature`, "no json", { qos: 1 })
      yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
      assert.deepStrictEqual([yield* Deferred.await(handled), (yield* dead).text], [[{ room: "b" }, hot], "no json"])
    }))

  test("consume tries a failed handler again, and what does not decode never", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      let decoded = 0
      const template = TopicTemplate.make(
        `${world.unique}/retry/:id` as "t/retry/:id",
        PayloadCodec.make(Schema.String, {
          encode: (text) => text,
          decode: (payload) => {
            decoded++
            const text = new TextDecoder().decode(payload)
            if (text === "bad") throw new Error("bad")
            return text
          }
        })
      )
      const calls: Array<string> = []
      const dead = yield* inbox((yield* session.subscription(`${world.unique}/dead`, { qos: 1 })).messages)
      const subscribed = yield* Deferred.make<void>()
      yield* template.consume(session, ({ params }) => {
        calls.push(params.id)
        return Effect.fail("no" as const)
      }, {
        qos: 1,
        retry: Schedule.recurs(2),
        onFailure: { deadLetter: `${world.unique}/dead` },
        onSubscribed: () => Effect.asVoid(Deferred.succeed(subscribed, undefined))
      }).pipe(Effect.forkScoped)
      yield* Deferred.await(subscribed)
      yield* template.publish(session, { id: "a" }, "bad", { qos: 1 })
      yield* template.publish(session, { id: "b" }, "good", { qos: 1 })
      const letters = [(yield* dead).text, (yield* dead).text]
      assert.deepStrictEqual(letters.sort(), ["bad", "good"])
      assert.deepStrictEqual([decoded, calls], [2, ["b", "b", "b"]])
    }))
})

it.effect("what is skipped is logged with its topic", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld(5)
    const session = yield* world.session()
    const logged: Array<unknown> = []
    const logger = Logger.make(({ fiber, message }) =>
      logged.push([message, fiber.getRef(References.CurrentLogAnnotations).topic])
    )
    const template = TopicTemplate.make("sensors/:room", PayloadCodec.json(Reading))
    const { messages } = yield* template.subscription(session, { qos: 1 })
    const next = yield* inbox(messages).pipe(Effect.provide(Logger.layer([logger])))
    yield* session.publish("sensors/a", "no json", { qos: 1 })
    yield* template.publish(session, { room: "b" }, hot, { qos: 1 })
    yield* next
    assert.deepStrictEqual(logged, [[
      [
        "a message is not what its topic template says",
        "invalid payload: the payload is not UTF-8, or not of the format"
      ],
      "sensors/a"
    ]])
  }).pipe(Effect.provide(scripted("memory"))))

it.effect("the types of publish, subscribe and consume are those of the template", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld(5)
    const session = yield* world.session()
    const template = TopicTemplate.make("sensors/:room", PayloadCodec.json(Reading))
    // @ts-expect-error room is missing
    yield* reason(template.publish(session, {}, hot), "InvalidTopic")
    // @ts-expect-error celsius is a number
    yield* reason(template.publish(session, { room: "a" }, { celsius: "hot" }), "InvalidPayload")
    // @ts-expect-error there is no parameter floor
    const wrong = template.subscribe(session, { params: { floor: "a" } })
    // @ts-expect-error without the option, messages are no results
    const results: Stream.Stream<Result.Result<unknown, unknown>, unknown> = template.subscribe(session)
    const typed: Stream.Stream<
      { readonly params: { readonly room: string }; readonly value: { readonly celsius: number } },
      unknown
    > = template.subscribe(session)
    assert.deepStrictEqual([wrong, results, typed].map(Stream.isStream), [true, true, true])
    // @ts-expect-error the value has no fahrenheit
    assert.isTrue(Effect.isEffect(template.consume(session, ({ value }) => Effect.succeed(value.fahrenheit))))
  }).pipe(Effect.provide(scripted("memory"))))
