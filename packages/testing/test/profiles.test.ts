import type { Connect, Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as Raw from "./support/rawClient.ts"

type Name = ScriptedBroker.ProfileName

/** What the server does with a packet: it answers, ends the connection with this reason code, or says nothing. */
type Reaction = "accepted" | "silence" | `end 0x${string}` | `refused 0x${string}`

const hex = (code: number): `0x${string}` => `0x${code.toString(16).padStart(2, "0")}`

/** Sends one packet, and then a PINGREQ, whose answer says that the server did nothing with what came before. */
const reaction = (name: Name, version: ProtocolVersion, packet: Packet, connect?: Partial<Connect>) =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* ScriptedBroker.makeMemory({ profile: name })
    const client = yield* Raw.connect(Raw.dialMemory(broker.transport), version, "device", connect)
    yield* client.send(packet, { _tag: "Pingreq" })
    yield* Effect.yieldNow
    const [answer] = client.waiting()
    if (answer === undefined || answer._tag === "Disconnect") {
      yield* client.closed
      return answer === undefined ? "end 0x" : `end ${hex(answer.reasonCode)}`
    }
    switch (answer._tag) {
      case "Pingresp":
        return "silence"
      case "Suback":
        return answer.reasonCodes.every((code) => code < 0x80)
          ? "accepted"
          : `refused ${hex(answer.reasonCodes.at(-1)!)}`
      default:
        return "accepted"
    }
  }))

const publish = (topic: string, fields?: Partial<Publish>): Publish =>
  Raw.publishPacket(topic, "", { qos: 1, packetIdentifier: 1, ...fields })

const subscribe = (count: number, prefix = "f", qos: 0 | 1 | 2 = 1): Packet => ({
  _tag: "Subscribe",
  packetIdentifier: 1,
  filters: Array.from({ length: count }, (_, i) => Raw.subscribeFilter(`${prefix}/${i}`, { qos })),
  properties: Properties.none
})

const unsubscribe = (count: number): Packet => ({
  _tag: "Unsubscribe",
  packetIdentifier: 1,
  filters: Array.from({ length: count }, (_, i) => `f/${i}`),
  properties: Properties.none
})

const levels = (count: number): string => Array.from({ length: count }, () => "l").join("/")
const bytes = (count: number): Uint8Array => new Uint8Array(count)

const cases: ReadonlyArray<readonly [Name, ProtocolVersion, string, Packet, Reaction]> = [
  ["aws-iot", 5, "8 filters in a SUBSCRIBE", subscribe(8), "accepted"],
  ["aws-iot", 5, "9 filters in a SUBSCRIBE", subscribe(9), "end 0x97"],
  ["aws-iot", 4, "9 filters in a SUBSCRIBE", subscribe(9), "end 0x"],
  ["aws-iot", 4, "9 filters in an UNSUBSCRIBE", unsubscribe(9), "silence"],
  ["aws-iot", 4, "a PUBLISH with QoS 2", publish("t", { qos: 2 }), "silence"],
  ["aws-iot", 5, "a PUBLISH with QoS 2", publish("t", { qos: 2 }), "end 0x9b"],
  ["aws-iot", 4, "a SUBSCRIBE with QoS 2", subscribe(1, "f", 2), "silence"],
  ["aws-iot", 5, "a SUBSCRIBE with QoS 2", subscribe(1, "f", 2), "accepted"],
  ["aws-iot", 5, "a topic of 8 levels", publish(levels(8)), "accepted"],
  ["aws-iot", 5, "a topic of 9 levels", publish(levels(9)), "end 0x97"],
  ["aws-iot", 5, "a topic of 257 bytes", publish("t".repeat(257)), "end 0x97"],
  ["aws-iot", 5, "a filter of 9 levels", subscribe(1, levels(8)), "end 0x97"],
  ["aws-iot", 4, "a payload of 128 KB", publish("t", { payload: bytes(131_072) }), "accepted"],
  ["aws-iot", 4, "a payload of more", publish("t", { payload: bytes(131_073) }), "end 0x"],
  ["azure-event-grid", 5, "10 filters in a SUBSCRIBE", subscribe(10), "accepted"],
  ["azure-event-grid", 5, "11 filters in a SUBSCRIBE", subscribe(11), "end 0x97"],
  ["azure-event-grid", 5, "a PUBLISH with RETAIN", publish("t", { retain: true }), "end 0x9a"],
  ["azure-event-grid", 5, "a PUBLISH with QoS 2", publish("t", { qos: 2 }), "end 0x9b"],
  ["azure-event-grid", 5, "a topic of 9 levels", publish(levels(9)), "end 0x97"],
  ["azure-event-grid", 5, "a packet of more than 512 KiB", publish("t", { payload: bytes(524_288) }), "end 0x95"],
  ["azure-event-grid", 5, "a shared subscription", subscribe(1, "$share/g/t"), "refused 0x9e"],
  ["azure-event-grid", 5, "user properties on SUBSCRIBE", {
    ...subscribe(1) as Extract<Packet, { _tag: "Subscribe" }>,
    properties: { userProperties: [["a", "1"]] }
  }, "end 0x83"],
  ["azure-event-grid", 5, "a negative PUBACK", Raw.acknowledge("Puback", 1, 0x80), "end 0x83"],
  ["azure-iot-hub", 4, "telemetry", publish("devices/device/messages/events/a=b"), "accepted"],
  ["azure-iot-hub", 4, "a topic of another device", publish("devices/other/messages/events/"), "end 0x"],
  ["azure-iot-hub", 4, "a PUBLISH with QoS 2", publish("devices/device/messages/events/", { qos: 2 }), "end 0x"],
  ["azure-iot-hub", 4, "a filter of its own", subscribe(1, "t"), "refused 0x80"],
  ["hivemq-cloud", 5, "20 filters in a SUBSCRIBE", subscribe(20), "accepted"],
  ["emqx", 5, "10 subscriptions", subscribe(10), "accepted"],
  ["emqx", 5, "11 subscriptions", subscribe(11), "refused 0x97"],
  ["emqx", 4, "11 subscriptions", subscribe(11), "refused 0x80"],
  ["emqx", 5, "a filter of 11 levels", subscribe(1, levels(10)), "refused 0x8f"],
  ["emqx", 5, "a packet of more than 1 MB", publish("t", { payload: bytes(1_048_576) }), "end 0x95"],
  ["rabbitmq", 4, "a PUBLISH with QoS 2", publish("t", { qos: 2 }), "accepted"],
  ["rabbitmq", 5, "a PUBLISH with QoS 2", publish("t", { qos: 2 }), "end 0x9b"],
  ["rabbitmq", 5, "a shared subscription", subscribe(1, "$share/g/t"), "refused 0x9e"],
  ["nats", 4, "a topic with a blank", publish("a b"), "end 0x"],
  ["nats", 4, "a filter with a blank", subscribe(1, "a b"), "refused 0x80"],
  ["mosquitto-2.0", 5, "a packet of 3 MB", publish("t", { payload: bytes(3_000_000) }), "accepted"],
  ["mosquitto-2.1", 5, "a packet of 3 MB", publish("t", { payload: bytes(3_000_000) }), "end 0x95"]
]

describe("a profile", () => {
  it.effect.each(cases.map(([name, version, what, packet, expected]) => ({ name, version, what, packet, expected })))(
    "$name, version $version: $what: $expected",
    ({ expected, name, packet, version }) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reaction(name, version, packet), expected)
      })
  )

  it.effect("announces the server's limits in CONNACK, and grants what the server grants", () =>
    Effect.gen(function*() {
      const connack = (name: Name, connect?: Partial<Connect>) =>
        Effect.scoped(Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory({ profile: name })
          const client = yield* Raw.connect(Raw.dialMemory(broker.transport), 5, "device", connect)
          return client.connack.properties
        }))
      assert.deepStrictEqual(
        yield* connack("aws-iot", { keepAlive: 5, properties: { sessionExpiryInterval: 86_400 } }),
        {
          receiveMaximum: 100,
          maximumQoS: 1,
          maximumPacketSize: 149_504,
          topicAliasMaximum: 8,
          subscriptionIdentifiersAvailable: false,
          serverKeepAlive: 30,
          sessionExpiryInterval: 3600
        }
      )
      assert.deepStrictEqual(yield* connack("azure-event-grid", { keepAlive: 1200 }), {
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 524_288,
        topicAliasMaximum: 10,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 1160
      })
      assert.deepStrictEqual(yield* connack("hivemq-cloud"), { receiveMaximum: 10, topicAliasMaximum: 5 })
      assert.deepStrictEqual(yield* connack("emqx"), { maximumPacketSize: 1_048_576, topicAliasMaximum: 65_535 })
      assert.deepStrictEqual(yield* connack("rabbitmq"), {
        maximumQoS: 1,
        maximumPacketSize: 16_777_216,
        topicAliasMaximum: 16,
        sharedSubscriptionAvailable: false
      })
      assert.deepStrictEqual(yield* connack("mosquitto-2.1"), {
        receiveMaximum: 20,
        maximumPacketSize: 2_000_000,
        topicAliasMaximum: 10
      })
    }))

  it.effect("refuses a version, a client identifier and a will that the server does not take", () =>
    Effect.gen(function*() {
      const code = (name: Name, version: ProtocolVersion, clientId: string, connect?: Partial<Connect>) =>
        Effect.scoped(Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory({ profile: name })
          const client = yield* Raw.connect(Raw.dialMemory(broker.transport), version, clientId, connect)
          return client.connack.reasonCode
        }))
      assert.strictEqual(yield* code("nats", 5, "device"), 0x84)
      assert.strictEqual(yield* code("azure-iot-hub", 5, "device"), 0x84)
      assert.strictEqual(yield* code("nats", 4, "device"), 0)
      assert.strictEqual(yield* code("aws-iot", 5, "d".repeat(129)), 0x85)
      assert.strictEqual(yield* code("aws-iot", 5, ""), 0)
      assert.strictEqual(yield* code("azure-event-grid", 5, ""), 0x85)
      assert.strictEqual(
        yield* code("azure-event-grid", 5, "d", { properties: { userProperties: [["a", "b"]] } }),
        0x83
      )
      const will = {
        topic: "t",
        payload: bytes(0),
        qos: 0,
        retain: false,
        properties: { willDelayInterval: 301 }
      } as const
      assert.strictEqual(yield* code("azure-event-grid", 5, "d", { will }), 0x83)
    }))

  it.effect("ends the connection at the subscription that is one too many", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot" })
      const client = yield* Raw.connect(Raw.dialMemory(broker.transport), 5, "device")
      for (let i = 0; i < 50; i++) yield* Raw.subscribe(client, i + 1, [Raw.subscribeFilter(`t/${i}`)])
      // One that is there already is none too many.
      yield* Raw.subscribe(client, 51, [Raw.subscribeFilter("t/0")])
      yield* client.send(subscribe(1))
      assert.strictEqual((yield* client.next("Disconnect")).reasonCode, 0x97)
      yield* client.closed
    }))

  it.effect("throttles CONNECT, SUBSCRIBE and PUBLISH, by the clock of the test", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot" })
      const dial = Raw.dialMemory(broker.transport)
      const connect = Effect.map(Raw.connect(dial, 5, "device"), ({ connack }) => connack.reasonCode)
      assert.strictEqual(yield* connect, 0)
      assert.strictEqual(yield* connect, 0x9f)
      assert.strictEqual((yield* Raw.connect(dial, 5, "other")).connack.reasonCode, 0)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* connect, 0x9f)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* connect, 0)

      const publisher = yield* Raw.connect(dial, 5, "publisher")
      const hundred = Array.from({ length: 100 }, () => Raw.publishPacket("t", ""))
      yield* publisher.send(...hundred)
      yield* TestClock.adjust("1 second")
      yield* publisher.send(...hundred)
      assert.isFalse(publisher.isClosed())
      yield* publisher.send(Raw.publishPacket("t", ""))
      assert.strictEqual((yield* publisher.next("Disconnect")).reasonCode, 0x96)

      const grid = yield* ScriptedBroker.makeMemory({ profile: "azure-event-grid" })
      const subscriber = yield* Raw.connect(Raw.dialMemory(grid.transport), 5, "device")
      for (let i = 1; i <= 5; i++) yield* Raw.subscribe(subscriber, i, [Raw.subscribeFilter("t")])
      yield* subscriber.send(subscribe(1))
      assert.strictEqual((yield* subscriber.next("Disconnect")).reasonCode, 0x97)
    }))

  it.effect("throttles nothing where the options say so", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", throttling: false })
      const dial = Raw.dialMemory(broker.transport)
      yield* Raw.connect(dial, 5, "device")
      const client = yield* Raw.connect(dial, 5, "device")
      assert.strictEqual(client.connack.reasonCode, 0)
      yield* client.send(...Array.from({ length: 200 }, () => Raw.publishPacket("t", "")))
      assert.isFalse(client.isClosed())
    }))

  it.effect("replaces a keep alive that the server does not take, and closes by the one in force", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot" })
      const client = yield* Raw.connect(Raw.dialMemory(broker.transport), 4, "device", { keepAlive: 0 })
      yield* TestClock.adjust("1799 seconds")
      assert.isFalse(client.isClosed())
      yield* TestClock.adjust("1 seconds")
      yield* client.closed
    }))

  it.effect("closes a WebSocket after 24 hours, and no other connection", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "aws-iot", enforceKeepAlive: false })
      const webSocket: Raw.Dial = (handlers) =>
        broker.transport.open({
          address: {
            protocol: "wss",
            host: "memory.invalid",
            port: 443,
            path: "/mqtt",
            username: undefined,
            password: undefined
          },
          tls: undefined,
          webSocket: undefined,
          maximumPacketSize: 1000
        }, handlers)
      const client = yield* Raw.connect(webSocket, 5, "browser")
      const other = yield* Raw.connect(Raw.dialMemory(broker.transport), 5, "device")
      yield* TestClock.adjust("86399 seconds")
      assert.isFalse(client.isClosed())
      yield* TestClock.adjust("1 second")
      assert.isTrue(client.isClosed())
      assert.isEmpty(client.waiting())
      assert.isFalse(other.isClosed())
      // Also in another life of the broker, and for the younger of two.
      yield* broker.restart
      yield* Raw.connect(webSocket, 5, "first")
      yield* TestClock.adjust("1 hour")
      const second = yield* Raw.connect(webSocket, 5, "second")
      yield* TestClock.adjust("86399 seconds")
      assert.isFalse(second.isClosed())
      yield* TestClock.adjust("1 second")
      assert.isTrue(second.isClosed())
    }))

  it.effect("brings retained messages, and matches wildcards, as the server does", () =>
    Effect.gen(function*() {
      const seen = (name: Name, filter: string) =>
        Effect.scoped(Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory({ profile: name })
          yield* broker.publish("a", "retained", { retain: true })
          const client = yield* Raw.connect(Raw.dialMemory(broker.transport), 4, "device")
          yield* Raw.subscribe(client, 1, [Raw.subscribeFilter(filter, { qos: 0 })])
          for (const topic of ["a", "a/b"]) yield* broker.publish(topic, topic)
          yield* client.send({ _tag: "Pingreq" })
          yield* broker.awaitPacket({ direction: "sent", packet: "Pingresp" })
          return broker.sent("Publish").map(({ packet }) => Raw.text(packet))
        }))
      assert.deepStrictEqual(yield* seen("mosquitto-2.0", "a/#"), ["retained", "a", "a/b"])
      assert.deepStrictEqual(yield* seen("rabbitmq", "a/#"), ["a", "a/b"])
      assert.deepStrictEqual(yield* seen("rabbitmq", "a"), ["retained", "a"])
      assert.deepStrictEqual(yield* seen("aws-iot", "a/#"), ["a/b"])
      assert.deepStrictEqual(yield* seen("aws-iot", "a"), ["retained", "a"])
    }))

  it.effect("sends copies for overlapping subscriptions as the server does", () =>
    Effect.gen(function*() {
      const copies = (version: ProtocolVersion) =>
        Effect.scoped(Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory({ profile: "mosquitto-2.0" })
          const client = yield* Raw.connect(Raw.dialMemory(broker.transport), version, "device")
          yield* Raw.subscribe(client, 1, ["a/#", "a/+"].map((filter) => Raw.subscribeFilter(filter, { qos: 1 })))
          yield* broker.publish("a/b", "x", { qos: 1 })
          return broker.sent("Publish").length
        }))
      assert.deepStrictEqual([yield* copies(4), yield* copies(5)], [1, 2])
    }))

  it.effect("has the name of a server that there is", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Effect.scoped(ScriptedBroker.makeMemory({ profile: "mosquitto" as ScriptedBroker.ProfileName }))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "must be one of aws-iot")
    }))

  it.effect("has limits that options override", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ profile: "hivemq-cloud", limits: { receiveMaximum: 3 } })
      const client = yield* Raw.connect(Raw.dialMemory(broker.transport), 5, "device")
      assert.deepStrictEqual(client.connack.properties, { receiveMaximum: 3, topicAliasMaximum: 5 })
    }))
})
