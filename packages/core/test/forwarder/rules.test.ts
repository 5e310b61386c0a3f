import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import type { UserProperty } from "@effect-mqttx/core/Properties"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import type { PublishedMessage } from "@effect-mqttx/testing/BrokerCore"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Result, Schema } from "effect"
import { makePair, publishedAt, settled } from "../../../../test/support/forwarders.ts"
import { pass } from "../session/support.ts"

const text = ({ payload }: PublishedMessage): string => new TextDecoder().decode(payload)
const payloads = (published: ReadonlyArray<PublishedMessage>): ReadonlyArray<string> => published.map(text)

/** A pair with a forwarder that is active. */
const forwarding = (...[options, hooks]: Parameters<Effect.Success<ReturnType<typeof makePair>>["forward"]>) =>
  Effect.gen(function*() {
    const net = yield* makePair({}, { record: true })
    const forwarder = yield* net.forward(options, hooks as never)
    yield* forwarder.active
    return { forwarder, a: net.brokers.a!, b: net.brokers.b!, net }
  })

describe("Forwarder: which messages", () => {
  it.live("payloads by text and by expression", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({ contains: "celsius", matches: "\\b2\\d\\b" })
      for (const payload of ["21 celsius", "31 celsius", "22 fahrenheit", "25 celsius"]) {
        yield* a.publish("t", payload, { qos: 1 })
      }
      const { filtered } = yield* settled(forwarder, 4)
      assert.deepStrictEqual(payloads(b.published), ["21 celsius", "25 celsius"])
      assert.strictEqual(filtered, 2)
    }))

  it.live("by a filter in code; a message whose filter dies has failed, and the next one continues", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({}, {
        filter: RouteFilter.predicate(({ text }) => {
          if (text === "bad") throw new Error("no")
          return text !== "skip"
        })
      })
      for (const payload of ["1", "bad", "skip", "2"]) yield* a.publish("t", payload, { qos: 1 })
      const metrics = yield* settled(forwarder, 4)
      assert.deepStrictEqual(payloads(b.published), ["1", "2"])
      assert.deepStrictEqual([metrics.filtered, metrics.failed], [1, 1])
      assert.strictEqual(metrics.lastError?.reason._tag, "ForwarderFailed")
    }))

  it.live("every n-th", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({ sample: { every: 3 } })
      for (let i = 1; i <= 10; i++) yield* a.publish("t", String(i), { qos: 1 })
      yield* settled(forwarder, 10)
      assert.deepStrictEqual(payloads(b.published), ["3", "6", "9"])
    }))

  it.live("by chance", () =>
    Effect.gen(function*() {
      const { a, forwarder } = yield* forwarding({ sample: { probability: 0.5 } })
      for (let i = 1; i <= 1000; i++) yield* a.publish("t", String(i), { qos: 1 })
      const { filtered, forwarded } = yield* settled(forwarder, 1000)
      assert.isAbove(forwarded, 300)
      assert.isAbove(filtered, 300)
    }))

  it.effect("one of each topic in an interval", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ sample: { interval: "1 second" } })
      yield* forwarder.active
      for (let i = 0; i < 25; i++) {
        yield* net.brokers.a!.publish("t/1", String(i), { qos: 1 })
        if (i === 12) yield* net.brokers.a!.publish("t/2", "other", { qos: 1 })
        yield* pass(100)
      }
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t/1 0", "t/1 10", "t/2 other", "t/1 20"])
    }))

  it.live("only what differs from the last one of its topic, as far as its memory reaches", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({ onChange: 2 })
      const sent = ["a 1", "a 1", "b 1", "a 2", "a 2", "b 1", "c 1", "b 1", "a 2"]
      for (const each of sent) yield* a.publish(each[0]!, each[2]!, { qos: 1 })
      yield* settled(forwarder, sent.length)
      assert.deepStrictEqual(publishedAt(b), ["a 1", "b 1", "a 2", "c 1", "a 2"])
    }))
})

describe("Forwarder: what is published", () => {
  it.live("carries over what MQTT 5 says about a message, and adds metadata and its way", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({
        metadata: { forwarded_by: "{forwarder}", from: "{session}/{topic}", at: "{timestamp}", plant: "north" }
      })
      const userProperties: ReadonlyArray<UserProperty> = [["x", "1"], ["x", "2"]]
      const properties = {
        contentType: "text/plain",
        payloadFormatIndicator: 1 as const,
        responseTopic: "reply/here",
        correlationData: Uint8Array.of(1, 2, 3),
        userProperties
      }
      yield* a.publish("t", "1", { qos: 2, properties })
      yield* settled(forwarder, 1)
      const [message] = b.published
      const { userProperties: arrived, ...rest } = message!.properties
      const { userProperties: _, ...sent } = properties
      assert.deepStrictEqual(rest, sent)
      assert.strictEqual(message!.qos, 2)
      const at = arrived!.find(([name]) => name === "at")![1]
      assert.isTrue(Math.abs(Number(at) - Date.now()) < 60_000)
      const brokers = arrived!.find(([name]) => name === "mqttx-brokers")![1]
      // Two brokers, by marks that do not tell their addresses.
      assert.match(brokers, /^@[0-9a-z]{8},@[0-9a-z]{8}$/)
      assert.deepStrictEqual(arrived!.filter(([name]) => name !== "at" && name !== "mqttx-brokers"), [
        ...userProperties,
        ["forwarded_by", "forwarder"],
        ["from", "a/t"],
        ["plant", "north"],
        ["mqttx-forwarders", "forwarder"]
      ])
    }))

  it.live("on MQTT 3.1.1 the metadata can go into an envelope, and does not by default", () =>
    Effect.gen(function*() {
      const net = yield* makePair({ protocolVersion: 4 }, { record: true })
      const plain = yield* net.forward({ name: "plain", metadata: { plant: "north" } })
      const wrapping = yield* net.forward({
        name: "wrapping",
        metadata: { plant: "north" },
        envelope: true,
        mapping: [{ strip: "", add: "wrapped/" }]
      })
      yield* Effect.all([plain.active, wrapping.active])
      yield* net.brokers.a!.publish("t", "hello", { qos: 1 })
      yield* net.brokers.a!.publish("t", Uint8Array.of(0xff, 0), { qos: 1 })
      yield* Effect.all([settled(plain, 2), settled(wrapping, 2)])
      const [plainOnes, wrapped] = [true, false].map((isPlain) =>
        net.brokers.b!.published.filter(({ topic }) => (topic === "t") === isPlain)
      )
      assert.deepStrictEqual(plainOnes!.map(({ payload }) => Array.from(payload)), [
        Array.from(new TextEncoder().encode("hello")),
        [0xff, 0]
      ])
      assert.deepStrictEqual(wrapped!.map((message) => JSON.parse(text(message))), [
        { topic: "t", payload: "hello", metadata: { plant: "north" } },
        { topic: "t", payload: "/wA=", encoding: "base64", metadata: { plant: "north" } }
      ])
    }))

  for (
    const [rule, expected] of [
      ["keep", [0, 1, 2]],
      [{ cap: 1 }, [0, 1, 1]],
      [{ fix: 1 }, [1, 1, 1]]
    ] as const
  ) {
    it.live(`quality of service ${JSON.stringify(rule)}`, () =>
      Effect.gen(function*() {
        const { a, b, forwarder } = yield* forwarding({ qos: rule })
        for (const qos of [0, 1, 2] as const) yield* a.publish("t", String(qos), { qos })
        yield* settled(forwarder, 3)
        assert.deepStrictEqual(
          [...b.published].sort((x, y) => Number(text(x)) - Number(text(y))).map(({ qos }) => qos),
          [
            ...expected
          ]
        )
      }))
  }

  for (
    const [rule, expected] of [
      ["keep", [true, true, false]],
      ["clear", [false, false, false]],
      ["set", [true, true, true]]
    ] as const
  ) {
    it.live(`retained messages: ${rule}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({}, { record: true })
        yield* net.brokers.a!.publish("t/before", "1", { qos: 1, retain: true })
        const forwarder = yield* net.forward({ retain: rule })
        yield* forwarder.active
        yield* net.brokers.a!.publish("t/while", "2", { qos: 1, retain: true })
        yield* net.brokers.a!.publish("t/plain", "3", { qos: 1 })
        yield* settled(forwarder, 3)
        assert.deepStrictEqual(net.brokers.b!.published.map(({ retain }) => retain), [...expected])
      }))
  }

  it.effect("a lifetime continues while the message waits, and what is over is acknowledged and counted", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      yield* net.manager.disconnect("b")
      yield* net.brokers.a!.publish("t", "short", { qos: 1, properties: { messageExpiryInterval: 5 } })
      yield* net.brokers.a!.publish("t", "long", { qos: 1, properties: { messageExpiryInterval: 60 } })
      yield* pass(10_000, 1000)
      yield* net.manager.connect("b")
      yield* pass(1000)
      const metrics = yield* forwarder.metrics
      assert.deepStrictEqual([metrics.forwarded, metrics.dropped.expired, metrics.inFlight], [1, 1, 0])
      assert.strictEqual(net.brokers.a!.received("Puback").length, 2)
      const [message] = net.brokers.b!.published
      assert.strictEqual(text(message!), "long")
      assert.isAtMost(message!.properties.messageExpiryInterval!, 50)
      assert.isAtLeast(message!.properties.messageExpiryInterval!, 45)
    }))

  it.effect("a rate limit lets a burst through, then so many a second, also after a reconnect", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ rateLimit: { messages: 10, burst: 5 } })
      yield* forwarder.active
      for (let i = 0; i < 40; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      yield* pass(0)
      const count = () => net.brokers.b!.published.length
      assert.strictEqual(count(), 5)
      yield* pass(1000)
      assert.strictEqual(count(), 15)
      yield* net.brokers.b!.cut(net.brokers.b!.sessions[0]!.clientId)
      yield* pass(1000)
      assert.isAtMost(count(), 25)
      yield* pass(3000)
      assert.strictEqual(count(), 40)
      assert.strictEqual((yield* forwarder.metrics).forwarded, 40)
    }))

  it.live("decodes, changes and encodes payloads by typed codecs, in order of each topic", () =>
    Effect.gen(function*() {
      const Celsius = PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
      const Kelvin = PayloadCodec.json(Schema.Struct({ kelvin: Schema.Finite }))
      let running = 0
      let most = 0
      const { a, b, forwarder } = yield* forwarding({ filters: ["t/#"] }, {
        transform: RouteTransformer.make((message) =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            const { celsius } = yield* Celsius.decode(message.payload)
            yield* Effect.sleep(`${celsius % 3} millis`)
            const payload = yield* Kelvin.encode({ kelvin: celsius + 273 })
            running--
            return celsius === 13
              ? undefined
              : message.with({ topic: "ignored", payload: new TextEncoder().encode(payload as string) })
          })
        )
      })
      for (let i = 0; i < 60; i++) yield* a.publish(`t/${i % 4}`, JSON.stringify({ celsius: i }), { qos: 1 })
      const metrics = yield* settled(forwarder, 60)
      assert.deepStrictEqual([metrics.forwarded, metrics.dropped.transformed], [59, 1])
      assert.strictEqual(most, 4)
      for (let topic = 0; topic < 4; topic++) {
        const kelvins = b.published.filter((message) => message.topic === `t/${topic}`).map((message) =>
          JSON.parse(text(message)).kelvin
        )
        assert.deepStrictEqual(kelvins, [...kelvins].sort((x, y) => x - y))
      }
    }))

  it.live("a thousand messages of one topic go through a transformation that needs no time", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({}, {
        transform: RouteTransformer.payload(({ text }) => `<${text}>`)
      })
      for (let i = 0; i < 3000; i++) yield* a.publish("t", String(i), { qos: 1 })
      yield* settled(forwarder, 3000)
      assert.deepStrictEqual(payloads(b.published), Array.from({ length: 3000 }, (_, index) => `<${index}>`))
    }))

  it.live("code decides about topics that no rule is for", () =>
    Effect.gen(function*() {
      const { a, b, forwarder } = yield* forwarding({ mapping: [{ from: "a", to: "rule" }], unmapped: "drop" }, {
        map: ({ topic }) => topic === "b" ? "code" : topic === "c" ? "bad/#" : undefined
      })
      for (const topic of ["a", "b", "c", "d"]) yield* a.publish(topic, topic, { qos: 1 })
      const metrics = yield* settled(forwarder, 4)
      assert.deepStrictEqual(publishedAt(b), ["rule a", "code b"])
      assert.deepStrictEqual([metrics.failed, metrics.dropped.unmapped], [1, 1])
    }))
})

describe("ForwarderOptions", () => {
  const minimal = { name: "f", sources: "a, b", filters: ["x/#"], target: "c" }

  it("fills in the defaults", () => {
    const options = Result.getOrThrow(ForwarderOptions.decode(minimal))
    assert.deepStrictEqual(options.sources, ["a", "b"])
    assert.deepStrictEqual([options.maxInFlight, options.qos, options.retain, options.unmapped], [
      1000,
      "keep",
      "keep",
      "pass"
    ])
  })

  it("are decoded once: the result is answered as it is, and cannot change", () => {
    const options = Result.getOrThrow(ForwarderOptions.decode({ ...minimal, deadLetter: { topic: "dead" } }))
    assert.strictEqual(Result.getOrThrow(ForwarderOptions.decode(options)), options)
    assert.throws(() => Object.assign(options, { maxHops: 99 }), TypeError)
    assert.throws(() => Object.assign(options.deadLetter!, { topic: "#" }), TypeError)
    assert.throws(() => (options.filters as Array<string>).push("a/#/b"), TypeError)
    // A copy is not what was decoded.
    assert.isTrue(Result.isFailure(ForwarderOptions.decode({ ...options, maxHops: 99 })))
  })

  it("reports everything that is wrong, with its place", () => {
    const decoded = ForwarderOptions.decode({
      ...minimal,
      filters: ["a/#/b"],
      maxHops: 9,
      mapping: [{ from: "a/+", to: "{2}" }],
      matches: "(",
      deadLetter: { topic: "a/#" },
      unknown: 1
    })
    const reason = Result.isFailure(decoded) ? decoded.failure.reason : undefined
    if (reason?._tag !== "InvalidOptions") return assert.fail("accepted")
    const paths = reason.issues.map(({ path }) => path.split(".")[0])
    for (const path of ["filters", "maxHops", "mapping", "matches", "deadLetter", "unknown"]) {
      assert.include(paths, path)
    }
  })

  it.effect("come from the environment", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromEnv({
        env: {
          UP_NAME: "up",
          UP_SOURCES: "plant-a,plant-b",
          UP_FILTERS: "sensors/#",
          UP_TARGET: "cloud",
          UP_MAPPING: "sensors/+/temperature=storage/{1}/temp,sensors/#=other/{1}",
          UP_METADATA: "plant=north",
          UP_QOS: "cap 1",
          UP_MAX_IN_FLIGHT: "10",
          UP_RATE_LIMIT_MESSAGES: "5",
          UP_DEAD_LETTER_TOPIC: "dead/up",
          UP_ALLOW_LOOPS: "true",
          UP_STOP_TIMEOUT: "3 seconds"
        }
      })
      const options = yield* Effect.provideService(
        Effect.gen(function*() {
          return yield* ForwarderOptions.config("UP")
        }),
        ConfigProvider.ConfigProvider,
        provider
      )
      assert.deepStrictEqual(options.sources, ["plant-a", "plant-b"])
      assert.deepStrictEqual(options.mapping, [
        { from: "sensors/+/temperature", to: "storage/{1}/temp" },
        { from: "sensors/#", to: "other/{1}" }
      ])
      assert.deepStrictEqual([options.qos, options.maxInFlight, options.allowLoops], [{ cap: 1 }, 10, true])
      assert.deepStrictEqual(options.deadLetter, { topic: "dead/up", session: "cloud" })
      assert.deepStrictEqual([options.rateLimit?.messages, options.rateLimit?.burst], [5, 5])
    }))
})
