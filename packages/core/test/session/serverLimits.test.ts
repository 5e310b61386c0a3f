/**
 * What servers limit without telling it: filters of a packet, subscriptions, sizes and QoS on 3.1.1, the rate of
 * connections, and the life of a WebSocket.
 */
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import {
  connectsOf,
  eventsOf,
  impatient,
  makeSession,
  nextEvent,
  type Options,
  pass,
  readySession,
  reasonOf,
  settle,
  told
} from "./support.ts"

const filters = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => `t/${i}`)

/** Numbers of topic filters of the SUBSCRIBE packets that came. */
const sizes = (broker: ScriptedBroker.Service): ReadonlyArray<number> =>
  broker.received("Subscribe").map(({ packet }) => packet.filters.length)

const awsOn311: Options<never> = {
  protocolVersion: 4,
  serverLimits: { maximumQoS: 1, maximumPacketSize: 131_072, filtersPerSubscribe: 8, subscriptions: 50 }
}

describe("filters of a SUBSCRIBE", () => {
  it.live.each([4, 5] as const)(
    "are no more than the options say, version %s",
    (protocolVersion) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
        const session = yield* readySession(broker, { protocolVersion, serverLimits: { filtersPerSubscribe: 8 } })
        const { granted } = yield* session.subscription(filters(20), { qos: 1 })
        assert.lengthOf(granted, 20)
        assert.deepStrictEqual(sizes(broker), [8, 8, 4])
        yield* Effect.forEach(filters(20), session.unsubscribe, { concurrency: "unbounded" })
        assert.isTrue(broker.received("Unsubscribe").every(({ packet }) => packet.filters.length <= 8))
        assert.strictEqual((yield* session.metrics).connections, 1)
      })
  )

  it.live.each([4, 5] as const)(
    "are fewer after a server has ended the connection over too many, version %s",
    (protocolVersion) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
        const session = yield* readySession(broker, { protocolVersion })
        const { granted } = yield* session.subscription(filters(30), { qos: 1 })
        assert.lengthOf(granted, 30)
        assert.deepStrictEqual(sizes(broker), [30, 8, 8, 8, 6])
        assert.strictEqual((yield* session.metrics).connections, 2)
      })
  )

  it.live(
    "are halved as long as the server ends connections over them, until one alone fails",
    () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory({ profile: "azure-event-grid", throttling: false })
        const session = yield* readySession(broker, { protocolVersion: 5, poisonThreshold: 3 })
        const deep = "1/2/3/4/5/6/7/8/9"
        const reason = yield* reasonOf(session.subscription(deep, { qos: 1 }))
        assert.strictEqual(reason._tag, "PoisonMessage")
        const { granted } = yield* session.subscription(["a", "b"], { qos: 1 })
        assert.deepStrictEqual(granted, [1, 1])
      }),
    180_000
  )
})

describe("a limit that the server does not announce", () => {
  it.live("of subscriptions refuses one too many with NotSupported, and keeps the connection", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
      const session = yield* readySession(broker, awsOn311)
      yield* session.subscription(filters(50), { qos: 1 })
      const reason = yield* reasonOf(session.subscription("one/more", { qos: 1 }))
      assert.strictEqual(reason._tag, "NotSupported")
      assert.include(reason.message, "more than 50 subscriptions")
      yield* session.subscription("t/0", { qos: 1 })
      yield* session.unsubscribe("t/1")
      yield* session.subscription("one/more", { qos: 1 })
      const { connections, subscriptions } = yield* session.metrics
      assert.deepStrictEqual([connections, subscriptions], [1, 50])
    }))

  it.live("of subscriptions counts none whose consumer has left", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
      const session = yield* readySession(broker, awsOn311)
      for (const prefix of ["a", "b", "c"]) {
        const fifty = Array.from({ length: 50 }, (_, i) => `${prefix}/${i}`)
        yield* Effect.scoped(session.subscription(fifty, { qos: 1 }))
      }
      assert.strictEqual((yield* session.metrics).connections, 1)
    }))

  it.live("of size and QoS refuses before the server ends the connection or is silent", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
      const session = yield* readySession(broker, awsOn311)
      const large = yield* reasonOf(session.publish("t", new Uint8Array(131_073), { qos: 1 }))
      assert.strictEqual(large._tag, "PacketTooLarge")
      const twice = yield* reasonOf(session.publish("t", "x", { qos: 2 }))
      assert.strictEqual(twice._tag, "NotSupported")
      const { granted } = yield* session.subscription("t", { qos: 2 })
      assert.deepStrictEqual(granted, [1])
      assert.deepStrictEqual(broker.received("Subscribe").map(({ packet }) => packet.filters[0]!.qos), [1])
      assert.strictEqual((yield* session.metrics).connections, 1)
    }))

  it.live("of retained messages and shared subscriptions refuses them with NotSupported", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* readySession(broker, {
        protocolVersion: 4,
        serverLimits: {
          retainAvailable: false,
          sharedSubscriptionAvailable: false
        }
      })
      for (
        const refused of [
          Effect.asVoid(session.publish("t", "x", { qos: 1, retain: true })),
          Effect.asVoid(session.subscription("$share/g/t"))
        ]
      ) assert.strictEqual((yield* reasonOf(refused))._tag, "NotSupported")
      assert.isEmpty(broker.received("Subscribe"))
      assert.isEmpty(broker.published)
    }))

  it.live("gives way to a lower one that the server announces", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ limits: { maximumPacketSize: 100, maximumQoS: 0 } })
      const session = yield* readySession(broker, { serverLimits: { maximumPacketSize: 1000, maximumQoS: 1 } })
      const reason = yield* reasonOf(session.publish("t", new Uint8Array(200)))
      assert.deepInclude(reason, { _tag: "PacketTooLarge", maximum: 100 })
      assert.strictEqual((yield* reasonOf(session.publish("t", "x", { qos: 1 })))._tag, "NotSupported")
    }))
})

describe("a subscription that the server refuses over a quota", () => {
  const reconnect = impatient

  it.effect("is asked for again with pauses, and granted when the quota allows it", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { reconnect })
      yield* settle
      yield* broker.refuseSubscribe("a", 0x97, { times: 3 })
      const subscribing = yield* Effect.forkChild(session.subscription("a", { qos: 1 }), { startImmediately: true })
      yield* pass(6900, 100)
      assert.lengthOf(broker.received("Subscribe"), 3)
      assert.isUndefined(subscribing.pollUnsafe())
      yield* pass(200)
      assert.deepStrictEqual((yield* Fiber.join(subscribing)).granted, [1])
      const times = broker.received("Subscribe").map(({ at }) => at)
      assert.deepStrictEqual(times.map((time) => time - times[0]!), [0, 1000, 3000, 7000])
    }))

  it.effect("fails with SubscriptionRefused when the server keeps refusing, for a caller and for a consumer", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { clientId: "plant", persistence: "none", reconnect })
      const events = yield* eventsOf(session)
      yield* settle
      const { messages } = yield* session.subscription("a", { qos: 1 })
      const consumer = yield* Effect.forkChild(Effect.flip(Stream.runDrain(messages)), { startImmediately: true })
      yield* broker.refuseSubscribe("#", 0x97)
      yield* broker.cut("plant")
      yield* pass(1000)
      const caller = yield* Effect.forkChild(reasonOf(session.subscription("b")), { startImmediately: true })
      yield* pass(16_000)
      for (const reason of [yield* Fiber.join(caller), (yield* Fiber.join(consumer)).reason]) {
        assert.deepInclude(reason, { _tag: "SubscriptionRefused", reasonCode: 0x97 })
      }
      const { error } = yield* nextEvent(events, "SubscriptionFailed")
      assert.deepInclude(error.reason, { _tag: "SubscriptionRefused", filter: "a", reasonCode: 0x97 })
      const sent = broker.received("Subscribe").length
      yield* pass(60_000, 1000)
      assert.lengthOf(broker.received("Subscribe"), sent)
    }))
})

describe("a server that asks for less", () => {
  const reconnect = { initialDelay: "1 second", factor: 2, maxDelay: "60 seconds", jitter: "none" } as const

  it.effect.each([["Connection rate exceeded", 0x9f], ["Quota exceeded", 0x97], ["Server busy", 0x89]] as const)(
    "gets longer pauses between CONNECTs: %s",
    ([_name, code]) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        yield* broker.refuseConnect(code, { times: 2 })
        yield* broker.refuseConnect(0x88, { times: 1 })
        const session = yield* makeSession(broker, { reconnect })
        yield* pass(120_000, 1000)
        // 1 s and 2 s by the schedule, each four steps further; then its third step without that.
        assert.deepStrictEqual(connectsOf(broker), [0, 16_000, 76_000, 80_000])
        assert.strictEqual((yield* session.status).state, "connected")
      })
  )

  it.effect("gets no connection at once after it has ended one with such a reason", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot" })
      const session = yield* makeSession(broker, { clientId: "device", reconnect })
      yield* settle
      yield* broker.disconnect("device", 0x96)
      yield* pass(15_000, 1000)
      assert.lengthOf(connectsOf(broker), 1)
      yield* pass(2000, 1000)
      assert.lengthOf(connectsOf(broker), 2)
      yield* session.awaitReady
    }))
})

describe("a WebSocket that the server closes after 24 hours", () => {
  it.effect("is replaced at once, loses nothing, and counts as a loss that passes", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", record: 2000 })
      const session = yield* makeSession(broker, {
        servers: ["wss://memory.invalid/mqtt"],
        clientId: "browser",
        reconnect: impatient,
        serverLimits: { filtersPerSubscribe: 8 }
      })
      const events = yield* eventsOf(session)
      yield* settle
      yield* session.awaitReady
      const { messages } = yield* session.subscription("t", { qos: 1 })
      const hours = 50
      const received = yield* Effect.forkChild(Stream.runCollect(Stream.take(messages, hours)), {
        startImmediately: true
      })
      for (let hour = 0; hour < hours; hour++) {
        const publishing = yield* Effect.forkChild(session.publish("t", String(hour), { qos: 1 }), {
          startImmediately: true
        })
        yield* pass(3_600_000, 600_000)
        yield* Fiber.join(publishing)
      }
      assert.deepStrictEqual(
        (yield* Fiber.join(received)).map(({ text }) => text),
        Array.from({ length: hours }, (_, hour) => String(hour))
      )
      const { connections } = yield* session.metrics
      assert.strictEqual(connections, 3)
      const { error } = yield* nextEvent(events, "Disconnected")
      assert.strictEqual(error!.reason._tag, "ConnectionLost")
      assert.isTrue(error!.reason.isRetryable)
      assert.isAbove((yield* told(events)).length, 0)
    }), 180_000)
})
