import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import { assert, describe, it } from "@effect/vitest"
import { Harness, tags } from "./support/coreHarness.ts"
import { acknowledge, connectPacket, persistent, publishPacket, text } from "./support/rawClient.ts"

const publishes = (packets: ReadonlyArray<Packet>): ReadonlyArray<Publish> =>
  packets.filter((packet) => packet._tag === "Publish")
const texts = (packets: ReadonlyArray<Packet>): ReadonlyArray<string> => publishes(packets).map(text)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

describe.each([4, 5] as const)("both directions of QoS, version %s", (version) => {
  const subscribed = (qos: 0 | 1 | 2, options?: ConstructorParameters<typeof Harness>[0]) => {
    const harness = new Harness(options)
    harness.connect(1, version, "subscriber", persistent(version))
    harness.subscribe(1, "t", { qos })
    harness.connect(2, version, "publisher", persistent(version))
    return harness
  }

  it("grants the lower of the publisher's and the subscriber's QoS", () => {
    const harness = subscribed(1)
    harness.send(2, publishPacket("t", "a", { qos: 2, packetIdentifier: 1 }), publishPacket("t", "b"))
    assert.deepStrictEqual(publishes(harness.take(1)).map(({ qos }) => qos), [1, 0])
  })

  it("answers QoS 1 with PUBACK and QoS 2 with PUBREC and PUBCOMP of the same identifier", () => {
    const harness = subscribed(2)
    assert.deepStrictEqual(harness.send(2, publishPacket("t", "a", { qos: 1, packetIdentifier: 5 })), [
      acknowledge("Puback", 5)
    ])
    assert.deepStrictEqual(harness.send(2, publishPacket("t", "b", { qos: 2, packetIdentifier: 6 })), [
      acknowledge("Pubrec", 6)
    ])
    assert.deepStrictEqual(harness.send(2, acknowledge("Pubrel", 6)), [acknowledge("Pubcomp", 6)])
    assert.deepStrictEqual(texts(harness.take(1)), ["a", "b"])
  })

  it("accepts a QoS 2 message once, however often it is sent before PUBREL, over connections too", () => {
    const harness = subscribed(2)
    harness.send(2, publishPacket("t", "a", { qos: 2, packetIdentifier: 6 }))
    harness.lose(2)
    assert.isTrue(harness.connect(3, version, "publisher", persistent(version)).sessionPresent)
    const again = publishPacket("t", "a", { qos: 2, packetIdentifier: 6, dup: true })
    assert.deepStrictEqual(harness.send(3, again), [acknowledge("Pubrec", 6)])
    harness.send(3, acknowledge("Pubrel", 6))
    harness.send(3, publishPacket("t", "new", { qos: 2, packetIdentifier: 6 }))
    assert.deepStrictEqual(texts(harness.take(1)), ["a", "new"])
    assert.strictEqual(harness.published.length, 2)
    assert.deepStrictEqual(harness.violations, [])
  })

  it("accepts a QoS 2 message once, even when its PUBREC was withheld", () => {
    const harness = subscribed(2, { holdAcknowledgement: () => true })
    harness.send(2, publishPacket("t", "a", { qos: 2, packetIdentifier: 6 }))
    harness.lose(2)
    harness.connect(3, version, "publisher", persistent(version))
    harness.send(3, publishPacket("t", "a", { qos: 2, packetIdentifier: 6, dup: true }))
    assert.deepStrictEqual(texts(harness.take(1)), ["a"])
  })

  it("sends unacknowledged publishes again with DUP and the same identifier, in the same order, and new ones behind them", () => {
    const harness = subscribed(1)
    for (const payload of ["a", "b", "c"]) {
      harness.core.publish({ topic: "t", payload: bytes(payload), qos: 1 }, harness.now)
    }
    const first = publishes(harness.take(1))
    harness.send(1, acknowledge("Puback", first[1]!.packetIdentifier))
    harness.lose(1)
    harness.core.publish({ topic: "t", payload: bytes("d"), qos: 1 }, harness.now)
    harness.connect(3, version, "subscriber", persistent(version))
    const second = publishes(harness.take(3))
    assert.deepStrictEqual(second.map((packet) => [text(packet), packet.dup]), [["a", true], ["c", true], ["d", false]])
    assert.deepStrictEqual(second.slice(0, 2).map((packet) => packet.packetIdentifier), [
      first[0]!.packetIdentifier,
      first[2]!.packetIdentifier
    ])
  })

  it("sends PUBREL again, and not the PUBLISH, once PUBREC has come", () => {
    const harness = subscribed(2)
    harness.core.publish({ topic: "t", payload: bytes("a"), qos: 2 }, harness.now)
    const [message] = publishes(harness.take(1))
    const { packetIdentifier } = message!
    assert.deepStrictEqual(harness.send(1, acknowledge("Pubrec", packetIdentifier)), [
      acknowledge("Pubrel", packetIdentifier)
    ])
    harness.lose(1)
    harness.connect(3, version, "subscriber", persistent(version))
    assert.deepStrictEqual(harness.take(3), [acknowledge("Pubrel", packetIdentifier)])
    harness.send(3, acknowledge("Pubcomp", packetIdentifier))
    assert.strictEqual(harness.core.outstanding(), 0)
    assert.deepStrictEqual(harness.outcomes.map(({ outcome }) => outcome), ["Acknowledged"])
  })

  it("uses each packet identifier for one message at a time, and wraps from 65,535 to 1", () => {
    const harness = subscribed(1)
    for (let i = 0; i < 65_535; i++) {
      harness.core.publish({ topic: "t", payload: bytes("x"), qos: 1 }, harness.now)
      const [message] = publishes(harness.take(1))
      // The very first one stays unacknowledged: its identifier is not free.
      if (i > 0) harness.send(1, acknowledge("Puback", message!.packetIdentifier))
    }
    harness.core.publish({ topic: "t", payload: bytes("wrapped"), qos: 1 }, harness.now)
    assert.strictEqual(publishes(harness.take(1))[0]!.packetIdentifier, 2)
  })

  it("keeps messages for a session without a connection, and none of QoS 0 unless asked to", () => {
    for (const queueQoS0 of [false, true]) {
      const harness = subscribed(1, { queueQoS0 })
      harness.lose(1)
      harness.core.publish({ topic: "t", payload: bytes("zero") }, harness.now)
      harness.core.publish({ topic: "t", payload: bytes("one"), qos: 1 }, harness.now)
      harness.connect(3, version, "subscriber", persistent(version))
      assert.deepStrictEqual(texts(harness.take(3)), queueQoS0 ? ["zero", "one"] : ["one"])
    }
  })

  it("starts again with a clean start: no session present, no subscriptions, no messages", () => {
    const harness = subscribed(1)
    harness.lose(1)
    harness.core.publish({ topic: "t", payload: bytes("a"), qos: 1 }, harness.now)
    assert.isFalse(harness.connect(3, version, "subscriber").sessionPresent)
    assert.deepStrictEqual(harness.take(3), [])
    assert.deepStrictEqual(harness.core.session("subscriber")!.subscriptions, [])
    assert.deepStrictEqual(harness.outcomes.map(({ outcome }) => outcome), ["SessionEnded"])
  })

  it("reports acknowledgements out of order and publishes that are resent within a connection as mistakes of the client", () => {
    const harness = subscribed(1)
    harness.core.publish({ topic: "t", payload: bytes("a"), qos: 1 }, harness.now)
    harness.core.publish({ topic: "t", payload: bytes("b"), qos: 1 }, harness.now)
    const [a, b] = publishes(harness.take(1))
    harness.send(1, acknowledge("Puback", b!.packetIdentifier), acknowledge("Puback", a!.packetIdentifier))
    const message = publishPacket("t", "c", { qos: 2, packetIdentifier: 9 })
    harness.send(2, message, { ...message, dup: true })
    assert.deepStrictEqual(harness.violations.map(({ detail, fatal }) => [detail, fatal]), [
      [`PUBACK ${a!.packetIdentifier} is out of order`, false],
      ["PUBLISH 9 was sent again while the connection lasts", false]
    ])
    assert.strictEqual(harness.published.filter(({ publisher }) => publisher === "publisher").length, 1)
  })

  it("closes the connection for an acknowledgement that contradicts the QoS of its publish", () => {
    const harness = subscribed(1)
    harness.core.publish({ topic: "t", payload: bytes("a"), qos: 1 }, harness.now)
    const [message] = publishes(harness.take(1))
    const answer = harness.send(1, acknowledge("Pubrec", message!.packetIdentifier))
    assert.deepStrictEqual(tags(answer), version === 5 ? ["Disconnect"] : [])
    assert.isTrue(harness.isClosed(1))
  })

  it("closes the older connection of the same client, and continues with the session", () => {
    const harness = subscribed(1)
    assert.isTrue(harness.connect(3, version, "subscriber", persistent(version)).sessionPresent)
    const last = harness.take(1)
    assert.deepStrictEqual(
      last.map((packet) => packet._tag === "Disconnect" ? packet.reasonCode : packet._tag),
      version === 5 ? [0x8e] : []
    )
    assert.isTrue(harness.isClosed(1))
    harness.core.publish({ topic: "t", payload: bytes("a") }, harness.now)
    assert.deepStrictEqual(texts(harness.take(3)), ["a"])
  })

  it("closes a connection after one and a half keep alive intervals of silence", () => {
    const harness = new Harness()
    harness.connect(1, version, "a", { keepAlive: 10 })
    harness.wait(10_000)
    assert.deepStrictEqual(tags(harness.send(1, { _tag: "Pingreq" })), ["Pingresp"])
    harness.wait(14_000)
    // Bytes that make no packet yet.
    harness.send(1)
    harness.wait(999)
    assert.isFalse(harness.isClosed(1))
    harness.wait(1)
    assert.isTrue(harness.isClosed(1))
    assert.deepStrictEqual(
      harness.take(1).map((packet) => packet._tag === "Disconnect" && packet.reasonCode),
      version === 5 ? [0x8d] : []
    )
  })

  it("publishes the will when the connection is lost, and not after DISCONNECT", () => {
    const will = { topic: "t", payload: bytes("gone"), qos: 1, retain: false, properties: Properties.none } as const
    const harness = subscribed(1)
    harness.connect(3, version, "mortal", { will })
    harness.lose(3)
    harness.connect(4, version, "mortal", { will })
    harness.send(4, { _tag: "Disconnect", reasonCode: 0, properties: Properties.none })
    assert.deepStrictEqual(texts(harness.take(1)), ["gone"])
  })

  it("holds acknowledgements back until they are released, in the order that is asked for", () => {
    const harness = subscribed(1, { holdAcknowledgement: (client) => client.clientId === "publisher" })
    for (const packetIdentifier of [1, 2, 3]) {
      assert.deepStrictEqual(harness.send(2, publishPacket("t", "x", { qos: 1, packetIdentifier })), [])
    }
    harness.core.releaseAcknowledgements(2, (held) => [held[2]!, held[0]!])
    assert.deepStrictEqual(harness.take(2), [acknowledge("Puback", 3), acknowledge("Puback", 1)])
    harness.core.releaseAcknowledgements(2)
    assert.deepStrictEqual(harness.take(2), [acknowledge("Puback", 2)])
  })

  it("keeps retained messages, gives them to new subscriptions with RETAIN 1, and removes them by an empty payload", () => {
    const harness = new Harness()
    harness.connect(1, version, "a")
    harness.send(1, publishPacket("r/1", "one", { retain: true }), publishPacket("r/2", "two", { retain: true }))
    harness.send(1, publishPacket("r/2", "", { retain: true }))
    harness.subscribe(1, "r/#")
    assert.deepStrictEqual(publishes(harness.take(1)).map((packet) => [text(packet), packet.retain]), [["one", true]])
    harness.send(1, publishPacket("r/3", "three", { retain: true }))
    const live = harness.send(1, publishPacket("r/1", "new", { retain: true }))
    assert.deepStrictEqual(publishes(live).map((packet) => packet.retain), [false])
  })

  it("forgets a session on demand, also under a live connection", () => {
    const harness = subscribed(1)
    assert.isTrue(harness.core.forgetSession("subscriber"))
    harness.core.publish({ topic: "t", payload: bytes("a"), qos: 1 }, harness.now)
    assert.deepStrictEqual(harness.take(1), [])
    assert.deepStrictEqual(tags(harness.send(1, { _tag: "Pingreq" })), ["Pingresp"])
    harness.lose(1)
    assert.isFalse(harness.connect(3, version, "subscriber", persistent(version)).sessionPresent)
    assert.isFalse(harness.core.forgetSession("nobody"))
  })

  it("closes a connection whose first packet is not CONNECT, and one that sends a second CONNECT", () => {
    const harness = new Harness()
    harness.open(1)
    harness.send(1, { _tag: "Pingreq" })
    assert.isTrue(harness.isClosed(1))
    harness.connect(2, version, "a")
    harness.send(2, connectPacket(version, "a"))
    assert.isTrue(harness.isClosed(2))
  })
})

describe("MQTT 3.1.1", () => {
  it("refuses an empty client identifier without clean session, and names one with it", () => {
    const harness = new Harness()
    assert.strictEqual(harness.connect(1, 4, "", { cleanStart: false }).reasonCode, 2)
    assert.isTrue(harness.isClosed(1))
    assert.strictEqual(harness.connect(2, 4, "").reasonCode, 0)
  })

  it("translates the refusal of a CONNECT, and answers 0x80 for a refused subscription", () => {
    const harness = new Harness({ authenticate: () => 0x87, authorizeSubscribe: () => 0x87 })
    assert.strictEqual(harness.connect(1, 4, "a").reasonCode, 5)
    const open = new Harness({ authorizeSubscribe: () => 0x87 })
    open.connect(1, 4, "a")
    assert.deepStrictEqual(open.subscribe(1, "t"), [0x80])
  })

  it("closes the connection at one QoS 1 or 2 publish more than it tolerates", () => {
    const harness = new Harness({ limits: { receiveMaximum311: 2 } })
    harness.connect(1, 4, "a")
    for (const packetIdentifier of [1, 2]) harness.send(1, publishPacket("t", "x", { qos: 2, packetIdentifier }))
    assert.isFalse(harness.isClosed(1))
    harness.send(1, publishPacket("t", "x", { qos: 2, packetIdentifier: 3 }))
    assert.isTrue(harness.isClosed(1))
  })
})
