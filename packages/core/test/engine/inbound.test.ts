import { assert, describe, it } from "@effect/vitest"
import type { Delivery, DeliveryFor } from "../../src/internal/engine/contract.ts"
import type { Publish } from "../../src/Packet.ts"
import type { PublishProperties } from "../../src/Properties.ts"
import { ack, acknowledgeAll, bytes, consuming, eventTags, publish, topics, versions, word, words } from "./harness.ts"

describe.each(versions)("inbound messages, version %s", (protocolVersion) => {
  it("answers each inbound PUBLISH as its QoS demands: nothing, PUBACK, PUBREC [MQTT3-3.3.4-1] [MQTT5-3.3.4-1]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(publish("a", 0, 0), publish("b", 1, 1), publish("c", 2, 2))
    assert.deepStrictEqual(deliveries.map(({ message, remaining }) => [message.topic, message.qos, remaining]), [
      ["a", 0, 0],
      ["b", 1, 1],
      ["c", 2, 1]
    ])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBACK 1", "PUBREC 2"])
  })

  it("answers with the packet identifier of the PUBLISH [MQTT3-2.3.1-6] [MQTT5-2.2.1-5]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(publish("b", 1, 65_535), publish("c", 2, 300))
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBACK 65535", "PUBREC 300"])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 300)), ["PUBCOMP 300"])
  })

  it("answers a QoS 1 PUBLISH with a PUBACK when its delivery is accepted [MQTT3-4.3.2-2] [MQTT5-4.3.2-4]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(publish("b", 1, 1))
    assert.deepStrictEqual(h.sent(), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBACK 1"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), [], "once")
  })

  it("delivers a QoS 1 PUBLISH with an acknowledged packet identifier as a new message, whatever its DUP flag [MQTT3-4.3.2-2] [MQTT5-4.3.2-5]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    acknowledgeAll(h, consumer, receive(publish("a", 1, 1)))
    const again = receive(publish("b", 1, 1, { dup: true }))
    assert.deepStrictEqual(again.map(({ message }) => message.topic), ["b"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, again), ["PUBACK 1"])
  })

  it("answers a QoS 2 PUBLISH with a PUBREC when it has taken the message [MQTT3-4.3.3-2] [MQTT5-4.3.3-8]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(publish("c", 2, 1))
    assert.deepStrictEqual(h.sent(), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBREC 1"])
  })

  it("answers a repeated QoS 2 PUBLISH with PUBREC and delivers it once [MQTT3-4.3.3-2] [MQTT5-4.3.3-10]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(publish("c", 2, 1))
    // While the consumer has it, all of them wait for one PUBREC.
    for (let i = 0; i < 3; i++) assert.deepStrictEqual(receive(publish("c", 2, 1, { dup: true })), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBREC 1"])
    // After PUBREC, at once; the flag does not matter.
    for (const dup of [true, false]) {
      const { deliveries, packets } = h.feed(publish("c", 2, 1, { dup }))
      assert.deepStrictEqual([deliveries.length, words(packets)], [0, ["PUBREC 1"]])
    }
  })

  it("answers a PUBREL with a PUBCOMP of the same packet identifier [MQTT3-4.3.3-2] [MQTT5-4.3.3-11]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    acknowledgeAll(h, consumer, receive(publish("c", 2, 1), publish("d", 2, 2)))
    assert.deepStrictEqual(h.reply(ack("Pubrel", 2)), ["PUBCOMP 2"])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1)), ["PUBCOMP 1"])
  })

  it("answers a PUBREL of an unknown packet identifier", () => {
    const { h } = consuming({ protocolVersion })
    const output = h.feed(ack("Pubrel", 5))
    assert.deepStrictEqual(words(output.packets), [protocolVersion === 5 ? "PUBCOMP 5 92" : "PUBCOMP 5"])
    assert.deepStrictEqual(eventTags(output), ["UnknownPacketIdentifier"])
  })

  it("takes a QoS 2 PUBLISH after its PUBCOMP as a new message [MQTT3-4.3.3-2] [MQTT5-4.3.3-12]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    acknowledgeAll(h, consumer, receive(publish("c", 2, 1)))
    h.feed(ack("Pubrel", 1))
    assert.deepStrictEqual(receive(publish("d", 2, 1)).map(({ message }) => message.topic), ["d"])
  })

  it("sends PUBACKs in the order in which the PUBLISHes arrived [MQTT3-4.6.0-2] [MQTT5-4.6.0-2]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [a, b, c, d] = receive(publish("a", 1, 9), publish("b", 1, 3), publish("c", 1, 7), publish("d", 1, 1))
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [d!, c!]), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), ["PUBACK 9"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [b!]), ["PUBACK 3", "PUBACK 7", "PUBACK 1"])
  })

  it("sends PUBRECs in the order in which the PUBLISHes arrived [MQTT3-4.6.0-3] [MQTT5-4.6.0-3]", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [a, b, q1, c] = receive(publish("a", 2, 9), publish("b", 2, 3), publish("q1", 1, 4), publish("c", 2, 7))
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [c!, b!]), [])
    // PUBACKs have an order of their own.
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [q1!]), ["PUBACK 4"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), ["PUBREC 9", "PUBREC 3", "PUBREC 7"])
  })

  it("keeps the order of PUBRECs for repeated PUBLISHes", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [a, b] = receive(publish("a", 2, 1), publish("b", 2, 2))
    acknowledgeAll(h, consumer, [b!])
    h.disconnect()
    h.connect(true)
    assert.deepStrictEqual(h.reply(publish("a", 2, 1, { dup: true }), publish("b", 2, 2, { dup: true })), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), ["PUBREC 1", "PUBREC 2"])
  })

  it("acknowledges a message for several consumers when the last one is done", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const other = h.subscribe("#", { retained: "none" })
    const [delivery, again] = receive(publish("a", 1, 1))
    assert.strictEqual(delivery, again)
    assert.strictEqual(delivery!.remaining, 2)
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [delivery!, delivery!]), [])
    assert.deepStrictEqual(acknowledgeAll(h, other, [delivery!]), ["PUBACK 1"])
  })

  it("drops the acknowledgement of a QoS 1 delivery of an older connection, which becomes stale in the resumed session", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [old] = receive(publish("a", 1, 1))
    h.disconnect()
    assert.isFalse(old!.stale)
    h.connect(true)
    assert.isTrue(old!.stale)
    const [anew] = receive(publish("a", 1, 1, { dup: true }))
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [old!]), [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [anew!]), ["PUBACK 1"])
  })

  it("still delivers a QoS 1 message whose session is lost", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [old] = receive(publish("a", 1, 1))
    h.disconnect()
    h.connect(false)
    h.grant()
    assert.isFalse(old!.stale)
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [old!]), [])
  })

  it("takes a QoS 1 delivery back that was collected and not taken when the connection ended", () => {
    const { h } = consuming({ protocolVersion })
    h.receive(publish("a", 1, 1), publish("b", 0, 0))
    h.disconnect()
    assert.deepStrictEqual(topics(h.connect(true)), ["b"])
    assert.deepStrictEqual(topics(h.feed(publish("a", 1, 1, { dup: true }))), ["a"])
  })

  it("binds a QoS 2 redelivery in the resumed session to the delivery that is under way", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [a, b] = receive(publish("a", 2, 1), publish("b", 2, 2))
    h.disconnect()
    h.connect(true)
    assert.isFalse(a!.stale)
    acknowledgeAll(h, consumer, [b!])
    assert.deepStrictEqual(h.reply(publish("b", 2, 2, { dup: true })), ["PUBREC 2"])
    assert.deepStrictEqual(h.feed(publish("a", 2, 1, { dup: true })).deliveries, [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), ["PUBREC 1"])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1), ack("Pubrel", 2)), ["PUBCOMP 1", "PUBCOMP 2"])
  })

  it("forgets an exchange that the server releases before its time, and leaves the message to its consumer", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [a] = receive(publish("a", 2, 1), publish("b", 2, 2))
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1)), ["PUBCOMP 1"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), [])
    assert.deepStrictEqual(receive(publish("c", 2, 1)).map(({ message }) => message.topic), ["c"])
  })

  it("continues behind an exchange that the server has released before its time", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const [, b] = receive(publish("a", 2, 1), publish("b", 2, 2))
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [b!]), [])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1)), ["PUBREC 2", "PUBCOMP 1"])
  })

  it("holds a message that the server has released before its time when its consumer leaves", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    receive(publish("a", 2, 1))
    h.feed(ack("Pubrel", 1))
    h.engine.removeConsumer(consumer, h.now)
    assert.strictEqual(h.engine.stats.unclaimed, 1)
  })

  it("keeps the order of acknowledgements over thousands of messages", () => {
    const { consumer, h, receive } = consuming({ protocolVersion })
    const deliveries = receive(...Array.from({ length: 5000 }, (_, i) => publish("a", 1, i + 1)))
    const expected = deliveries.map(({ packetIdentifier }) => `PUBACK ${packetIdentifier}`)
    const [first, ...rest] = deliveries
    for (let i = rest.length - 1; i >= 0; i -= 2) h.acknowledge(consumer, rest[i]!)
    for (let i = 0; i < rest.length; i++) h.acknowledge(consumer, rest[i]!)
    assert.deepStrictEqual(h.sent(), [])
    h.acknowledge(consumer, first!)
    assert.deepStrictEqual(h.sent(), expected)
    const sent: Array<string> = []
    for (const delivery of receive(...Array.from({ length: 5000 }, (_, i) => publish("a", 1, i + 1)))) {
      h.acknowledge(consumer, delivery)
      sent.push(...h.sent())
    }
    assert.deepStrictEqual(sent, expected)
  })

  it("gives a message its session, arrival time and flags", () => {
    const { h, receive } = consuming({ protocolVersion, session: "plant" })
    const [a] = receive(publish("a/b", 1, 1, { dup: true, payload: bytes("23.5") }))
    assert.deepInclude(a!.message, {
      topic: "a/b",
      text: "23.5",
      dup: true,
      retain: false,
      session: "plant",
      receivedAt: h.now
    })
  })
})

describe("inbound messages, version 5", () => {
  it("takes a PUBLISH after a PUBREC of 0x80 or above as a new message [MQTT5-4.3.3-9]", () => {
    const { consumer, h, receive } = consuming({})
    const [first] = receive(publish("a", 2, 1))
    h.acknowledge(consumer, first!, 0x83)
    assert.deepStrictEqual(h.sent(), ["PUBREC 1 83"])
    assert.deepStrictEqual(receive(publish("b", 2, 1)).map(({ message }) => message.topic), ["b"])
  })

  it("refuses a message only when none of its consumers took it", () => {
    const { consumer, h, receive } = consuming({})
    const other = h.subscribe("#", { retained: "none" })
    const [a] = receive(publish("a", 1, 1))
    h.acknowledge(consumer, a!, 0x83)
    h.acknowledge(other, a!, 0x99)
    assert.deepStrictEqual(h.sent(), ["PUBACK 1 99"])
    const [b] = receive(publish("b", 1, 2))
    h.acknowledge(consumer, b!)
    h.acknowledge(other, b!, 0x83)
    assert.deepStrictEqual(h.sent(), ["PUBACK 2"])
  })

  it("refuses in the resumed session what its consumer refused in between", () => {
    const { consumer, h, receive } = consuming({})
    const [a] = receive(publish("a", 2, 1))
    h.disconnect()
    h.acknowledge(consumer, a!, 0x83)
    h.connect(true)
    assert.deepStrictEqual(h.reply(publish("a", 2, 1, { dup: true })), ["PUBREC 1 83"])
  })

  it("takes more inbound publishes than its Receive Maximum as an error without memory for them (0x93) [MQTT5-3.3.4-9]", () => {
    const { consumer, h, receive } = consuming({ inboundLimit: 0, receiveMaximum: 3 })
    const [a, b] = receive(publish("a", 1, 1), publish("b", 2, 2), publish("c", 2, 3), publish("d", 0, 0))
    acknowledgeAll(h, consumer, [a!, b!])
    receive(publish("e", 1, 1))
    // PUBREC frees no place, PUBCOMP does.
    h.feed(ack("Pubrel", 2))
    receive(publish("f", 1, 5))
    assert.deepStrictEqual(h.receive(publish("g", 1, 6))?.reasonCode, 0x93)
    h.disconnect()
    h.connect(true)
    // The window begins anew, and a repeated PUBLISH takes one place.
    receive(
      publish("c", 2, 3, { dup: true }),
      publish("c", 2, 3, { dup: true }),
      publish("e", 1, 1),
      publish("f", 1, 5)
    )
    assert.deepStrictEqual(h.receive(publish("g", 2, 6))?.reasonCode, 0x93)
  })

  it("takes more inbound publishes than its Receive Maximum as long as there is memory, and says so once a connection", () => {
    const { consumer, h, receive } = consuming({ inboundLimit: 10_000, receiveMaximum: 2 })
    const exceeded = { _tag: "ReceiveMaximumExceeded", receiveMaximum: 2 } as const
    const events: Array<unknown> = []
    const take = (packetIdentifier: number, length: number): Delivery => {
      const output = h.feed(publish("a", 1, packetIdentifier, { payload: new Uint8Array(length) }))
      events.push(...output.events)
      return output.deliveries[0]!.delivery
    }
    const deliveries = [take(1, 1), take(2, 1)]
    assert.deepStrictEqual([events, h.engine.stats.isWindowExceeded], [[], false])
    deliveries.push(take(3, 1))
    assert.deepStrictEqual([events, h.engine.stats.isWindowExceeded], [[exceeded], true])
    deliveries.push(take(4, 9000))
    assert.isAbove(h.engine.stats.heldBytes, 10_000)
    assert.strictEqual(h.receive(publish("a", 1, 5))?.reasonCode, 0x93)
    h.disconnect()
    h.connect(true)
    for (const delivery of deliveries) h.acknowledge(consumer, delivery)
    assert.deepStrictEqual([h.engine.stats.heldBytes, h.engine.stats.isWindowExceeded], [0, false])
    receive(publish("a", 1, 1), publish("a", 1, 2))
    assert.deepStrictEqual(h.feed(publish("a", 1, 3)).events, [exceeded])
  })

  it.each([1, 2] as const)(
    "on 3.1.1 asks for no more while its window is full of QoS %i messages that no consumer has finished with",
    (qos) => {
      const { consumer, h, receive } = consuming({ protocolVersion: 4, receiveMaximum: 2 })
      const [first] = receive(publish("a", qos, 1))
      assert.isFalse(h.engine.stats.isWindowExceeded)
      receive(publish("a", qos, 2))
      assert.isTrue(h.engine.stats.isWindowExceeded)
      acknowledgeAll(h, consumer, [first!])
      // At QoS 2 it is the server that has to go on, with PUBREL.
      assert.isFalse(h.engine.stats.isWindowExceeded)
    }
  )

  it("frees no place for an exchange of an older connection", () => {
    const { consumer, h, receive } = consuming({ inboundLimit: 0, receiveMaximum: 1 })
    acknowledgeAll(h, consumer, receive(publish("a", 2, 1)))
    h.disconnect()
    h.connect(true)
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1)), ["PUBCOMP 1"])
    receive(publish("b", 1, 2))
    assert.strictEqual(h.receive(publish("c", 1, 3))?.reasonCode, 0x93)
  })

  it("frees the place of a message that it refuses", () => {
    const { consumer, h, receive } = consuming({ receiveMaximum: 1 })
    for (let i = 0; i < 3; i++) {
      const [a] = receive(publish("a", 2, 1))
      h.acknowledge(consumer, a!, 0x80)
      assert.deepStrictEqual(h.sent(), ["PUBREC 1 80"])
    }
  })

  const aliased = (topic: string, topicAlias: number): Publish => {
    const properties: PublishProperties = { topicAlias }
    return publish(topic, 0, 0, { properties })
  }

  it("accepts every topic alias from 1 to the maximum that CONNECT announced [MQTT5-3.3.2-10]", () => {
    const { h } = consuming({ topicAliasMaximum: 3 })
    for (let alias = 1; alias <= 3; alias++) {
      assert.deepStrictEqual(topics(h.feed(aliased(`t${alias}`, alias))), [`t${alias}`])
    }
    for (let alias = 1; alias <= 3; alias++) assert.deepStrictEqual(topics(h.feed(aliased("", alias))), [`t${alias}`])
    assert.deepStrictEqual(topics(h.feed(aliased("new", 2), aliased("", 2))), ["new", "new"])
  })

  it("gives messages their properties without the server's topic alias", () => {
    const { h } = consuming({ topicAliasMaximum: 3 })
    const packet = publish("t", 0, 0, { properties: { topicAlias: 1, contentType: "text/plain" } })
    const [{ delivery: { message } }] = h.feed(packet).deliveries as [DeliveryFor]
    assert.deepStrictEqual(message.properties, { contentType: "text/plain" })
    assert.deepStrictEqual(packet.properties, { topicAlias: 1, contentType: "text/plain" })
  })

  it("takes a topic alias above the announced maximum as an error (0x94) [MQTT5-3.3.2-11] [MQTT5-3.1.2-26]", () => {
    const { h } = consuming({ topicAliasMaximum: 3 })
    assert.strictEqual(h.receive(aliased("a", 4))?.reasonCode, 0x94)
  })

  it("takes any topic alias as an error when CONNECT announced none [MQTT5-3.1.2-27]", () => {
    const { h } = consuming({ topicAliasMaximum: 0 })
    assert.strictEqual(h.receive(aliased("a", 1))?.reasonCode, 0x94)
  })

  it("takes topic alias 0, an undefined alias and a missing topic as errors", () => {
    const violate = (packet: Publish) => consuming({ topicAliasMaximum: 3 }).h.receive(packet)?.reasonCode
    assert.strictEqual(violate(aliased("a", 0)), 0x94)
    assert.strictEqual(violate(aliased("", 1)), 0x82)
    assert.strictEqual(violate(publish("", 0, 0)), 0x82)
  })

  it("sends acknowledgements without reason string and user properties that would not fit the server's Maximum Packet Size [MQTT5-3.4.2-2] [MQTT5-3.4.2-3] [MQTT5-3.5.2-2] [MQTT5-3.5.2-3] [MQTT5-3.6.2-2] [MQTT5-3.6.2-3] [MQTT5-3.7.2-2] [MQTT5-3.7.2-3]", () => {
    const { consumer, h, receive } = consuming({})
    h.publish("x", 2)
    h.flush()
    const deliveries = receive(publish("a", 1, 1), publish("b", 2, 2))
    for (const delivery of deliveries) h.acknowledge(consumer, delivery, 0x80)
    const { packets } = h.feed(ack("Pubrec", 2), ack("Pubrel", 9))
    assert.deepStrictEqual(words(packets), ["PUBACK 1 80", "PUBREC 2 80", "PUBREL 2", "PUBCOMP 9 92"])
    for (const packet of packets) assert.deepInclude(packet, { properties: {} }, word(packet))
  })

  it("sends no refusing reason code on version 4", () => {
    const { consumer, h, receive } = consuming({ protocolVersion: 4 })
    for (const delivery of receive(publish("a", 1, 1), publish("b", 2, 2))) h.acknowledge(consumer, delivery, 0x80)
    assert.deepStrictEqual(h.sent(), ["PUBACK 1", "PUBREC 2"])
  })
})
