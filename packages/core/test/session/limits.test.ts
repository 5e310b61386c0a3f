import type { MqttError, MqttErrorReason } from "@effect-mqttx/core/MqttError"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { PublishOptions } from "@effect-mqttx/core/Publication"
import type { BrokerLimits } from "@effect-mqttx/testing/BrokerCore"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { makeBroker, makeSession, readyCore, readySession, reasonOf, settle } from "./support.ts"

const acknowledgements = { direction: "sent", packet: ["Puback", "Pubrec"] } as const

/** Publishes of the client on its newest connection. */
const publishesOf = (broker: ScriptedBroker.Service, client: string): number =>
  broker.received("Publish", client).filter((record) => record.connection === broker.connections.at(-1)!.connection)
    .length

const qualities: Record<string, (i: number) => 1 | 2> = {
  "QoS 1": () => 1,
  "QoS 2": () => 2,
  "both": (i) => i % 3 === 0 ? 2 : 1
}

const ten = Array.from({ length: 10 }, (_, i) => String(i))

type Publish = (session: MqttSession.Session) => Effect.Effect<unknown, MqttError>

const waitingPublishers: ReadonlyArray<readonly [string, Publish]> = [
  [
    "single messages",
    (session) => Effect.forEach(ten, (text) => session.publish("t", text, { qos: 1 }), { concurrency: "unbounded" })
  ],
  ["a bulk", (session) =>
    session.publishAll(
      Stream.fromIterable(ten).pipe(
        Stream.map((payload) => ({ topic: "t", payload, options: { qos: 1 } as const }))
      )
    )]
]

describe("Receive Maximum", () => {
  for (const [title, qosOf] of Object.entries(qualities)) {
    it.live(`10, then 2 after a reconnect, is never exceeded (${title})`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { limits: { receiveMaximum: 10 } })
        const session = yield* readySession(broker, { clientId: "plant" })
        const withheld = yield* broker.inject(Fault.withhold(acknowledgements))
        const all = yield* Effect.forkScoped(Effect.forEach(
          Array.from({ length: 100 }, (_, i) => i),
          (i) => session.publish("t", String(i), { qos: qosOf(i) }),
          { concurrency: "unbounded" }
        ))
        yield* broker.awaitUntil(() => publishesOf(broker, "plant") === 10)
        yield* settle
        assert.strictEqual(publishesOf(broker, "plant"), 10)

        yield* broker.setLimits({ receiveMaximum: 2 })
        yield* broker.cut("plant")
        yield* broker.awaitConnections(2, "plant")
        yield* broker.awaitUntil(() => publishesOf(broker, "plant") === 2)
        yield* settle
        assert.strictEqual(publishesOf(broker, "plant"), 2)

        yield* withheld.remove
        yield* broker.release("plant")
        assert.lengthOf(yield* Fiber.join(all), 100)
        assert.deepStrictEqual(broker.connections.map(({ inflightReceived }) => inflightReceived.highest), [10, 2])
        assert.deepStrictEqual(broker.violations, [])
        assert.deepStrictEqual(
          broker.published.map(({ payload }) => Number(new TextDecoder().decode(payload))).filter((n) =>
            qosOf(n) === 2
          ),
          Array.from({ length: 100 }, (_, i) => i).filter((i) => qosOf(i) === 2)
        )
      }))
  }

  it.live("every QoS 2 place counts until PUBCOMP", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { limits: { receiveMaximum: 3 } })
      const session = yield* readySession(broker, { clientId: "plant" })
      const withheld = yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Pubcomp" }))
      const all = yield* Effect.forkScoped(session.publishAll(
        Stream.range(1, 10).pipe(Stream.map((i) => ({ topic: "t", payload: String(i), options: { qos: 2 } as const })))
      ))
      yield* broker.awaitUntil(() => broker.received("Pubrel").length === 3)
      yield* settle
      assert.lengthOf(broker.received("Publish"), 3)
      yield* withheld.remove
      yield* broker.release("plant", { count: 1 })
      yield* broker.awaitUntil(() => broker.received("Publish").length === 4)
      yield* broker.release("plant")
      assert.deepStrictEqual(yield* Fiber.join(all), { published: 10 })
      assert.strictEqual(broker.connection("plant")!.inflightReceived.highest, 3)
    }))

  it.live("a PUBREC that refuses frees its place", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { limits: { receiveMaximum: 1 } })
      const session = yield* readySession(broker)
      yield* broker.refusePublish("forbidden", 0x87)
      const reason = yield* reasonOf(session.publish("forbidden", "", { qos: 2 }))
      assert.strictEqual(reason._tag, "PublishRefused")
      yield* session.publish("allowed", "", { qos: 2 })
      assert.deepStrictEqual(broker.violations, [])
    }))

  it.live("the options bound the window where the server does not, QoS 2 on 3.1.1 apart", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      for (const version of [4, 5] as const) {
        const clientId = `v${version}`
        const session = yield* readySession(broker, {
          protocolVersion: version,
          clientId,
          maxInflight: 30,
          maxInflightQoS2: 19
        })
        const withheld = yield* broker.inject(Fault.withhold({ ...acknowledgements, clientId }))
        const all = yield* Effect.forkScoped(Effect.forEach(
          Array.from({ length: 100 }, (_, i) => String(i)),
          (payload) => session.publish("t", payload, { qos: 2 }),
          { concurrency: "unbounded" }
        ))
        const window = version === 4 ? 19 : 30
        yield* broker.awaitUntil(() => publishesOf(broker, clientId) === window)
        yield* settle
        assert.strictEqual(publishesOf(broker, clientId), window)
        yield* withheld.remove
        yield* broker.release(clientId)
        yield* Fiber.join(all)
        assert.strictEqual(broker.connection(clientId)!.inflightReceived.highest, window)
      }
    }))
})

interface Refusal {
  readonly limits: Partial<BrokerLimits>
  readonly topic?: string
  readonly payload?: string
  readonly options: PublishOptions
  readonly reason: MqttErrorReason["_tag"]
}

const refusals: Record<string, Refusal> = {
  "Maximum Packet Size": {
    limits: { maximumPacketSize: 300 },
    payload: "x".repeat(300),
    options: {},
    reason: "PacketTooLarge"
  },
  "Maximum Packet Size with properties": {
    limits: { maximumPacketSize: 300 },
    payload: "x".repeat(250),
    options: { qos: 1, properties: { userProperties: [["name", "x".repeat(50)]] } },
    reason: "PacketTooLarge"
  },
  "Maximum QoS 1": { limits: { maximumQoS: 1 }, options: { qos: 2 }, reason: "NotSupported" },
  "Maximum QoS 0": { limits: { maximumQoS: 0 }, options: { qos: 1 }, reason: "NotSupported" },
  "Retain Available": { limits: { retainAvailable: false }, options: { retain: true }, reason: "NotSupported" },
  "Topic Alias Maximum": { limits: { topicAliasMaximum: 3 }, options: { topicAlias: 4 }, reason: "NotSupported" },
  "no Topic Alias Maximum": { limits: { topicAliasMaximum: 0 }, options: { topicAlias: 1 }, reason: "NotSupported" }
}

/** All ways to publish. */
const ways = (
  session: MqttSession.Session,
  topic: string,
  payload: string,
  options: PublishOptions
): ReadonlyArray<Effect.Effect<unknown, MqttError>> => [
  session.publish(topic, payload, options),
  Effect.flatMap(session.enqueue(topic, payload, options), (receipt) => receipt.acknowledged),
  session.publishAll(Stream.succeed({ topic, payload, options })),
  Stream.run(Stream.succeed({ topic, payload, options }), session.sink)
]

describe("what the server does not allow fails with a typed error before anything is sent", () => {
  for (const [title, { limits, options, payload = "x", reason, topic = "t" }] of Object.entries(refusals)) {
    it.live(title, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { limits })
        const session = yield* readySession(broker)
        for (const publish of ways(session, topic, payload, options)) {
          assert.strictEqual((yield* reasonOf(publish))._tag, reason)
        }
        // The connection is as good as before.
        yield* session.publish("allowed", "")
        yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
        assert.deepStrictEqual(broker.received("Publish").map(({ packet }) => packet.topic), ["allowed"])
        assert.deepStrictEqual(broker.violations, [])
        assert.lengthOf(broker.connections, 1)
      }))

    // An alias is a wish that is known to be void only then, and the message goes out without it.
    if (options.topicAlias !== undefined) continue
    it.live(`${title}, of messages that were accepted before the connection`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { limits })
        yield* broker.refuseNetwork
        const session = yield* makeSession(broker)
        const before = yield* Effect.forkScoped(
          Effect.forEach(ways(session, topic, payload, options), reasonOf, { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* broker.acceptNetwork
        yield* session.awaitReady
        for (const { _tag } of yield* Fiber.join(before)) assert.strictEqual(_tag, reason)
        yield* session.publish("allowed", "")
        yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
        assert.deepStrictEqual(broker.received("Publish").map(({ packet }) => packet.topic), ["allowed"])
        assert.deepStrictEqual(broker.violations, [])
      }))
  }

  it.live("a message of exactly the Maximum Packet Size is sent", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { limits: { maximumPacketSize: 300 } })
      const session = yield* readySession(broker)
      const overhead = 3 + 2 + "t".length + 1
      yield* session.publish("t", "x".repeat(300 - overhead))
      const { size } = yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
      assert.strictEqual(size, 300)
      assert.strictEqual((yield* reasonOf(session.publish("t", "x".repeat(301 - overhead))))._tag, "PacketTooLarge")
      assert.deepStrictEqual(broker.violations, [])
    }))
})

describe("publishers that wait for space in the queue", () => {
  for (const [title, publish] of waitingPublishers) {
    it.live(`cost no turn while nothing changes, and get theirs in order: ${title}`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { limits: { receiveMaximum: 1 } })
        const withheld = yield* broker.inject(Fault.withhold(acknowledgements))
        const { engineLoop, session } = yield* readyCore(broker, { clientId: "plant", queue: { messages: 2 } })
        const all = yield* Effect.forkScoped(publish(session))
        yield* broker.awaitUntil(() => publishesOf(broker, "plant") === 1)
        yield* settle
        const { flushes } = engineLoop
        for (let i = 0; i < 10; i++) yield* settle
        assert.strictEqual(engineLoop.flushes, flushes)
        yield* withheld.remove
        yield* broker.release("plant")
        yield* Fiber.join(all)
        assert.deepStrictEqual(
          broker.published.map(({ payload }) => new TextDecoder().decode(payload)),
          ten
        )
      }))
  }
})
