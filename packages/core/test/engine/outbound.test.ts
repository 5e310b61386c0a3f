import { assert, describe, it } from "@effect/vitest"
import { ack, bytes, eventTags, Harness, isPublish, outcomeOf, publishesOf, resumed, versions } from "./harness.ts"

describe.each(versions)("outbound messages, version %s", (protocolVersion) => {
  it("sends a QoS 0 PUBLISH once, with DUP 0 and no packet identifier [MQTT3-4.3.1-1] [MQTT5-4.3.1-1]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 0)
    const output = h.flush()
    const [packet] = output.packets
    assert(packet !== undefined && isPublish(packet))
    assert.deepStrictEqual([packet.qos, packet.dup, packet.packetIdentifier], [0, false, 0])
    assert.deepStrictEqual(output.settled, [message])
    assert.strictEqual(outcomeOf(message), 0)
    h.disconnect()
    assert.deepStrictEqual(h.connect(true).packets, [])
  })

  it("sends a new QoS 1 PUBLISH with an unused packet identifier and DUP 0 [MQTT3-4.3.2-1] [MQTT5-4.3.2-1] [MQTT5-4.3.2-2]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 1)
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 1 a", "PUBLISH1 2 b"])
  })

  it("keeps a QoS 1 PUBLISH unacknowledged until its PUBACK [MQTT3-4.3.2-1] [MQTT5-4.3.2-3]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 1)
    const other = h.publish("b", 1)
    assert.deepStrictEqual(h.flush().settled, [])
    assert.deepStrictEqual(h.feed(ack("Puback", 2)).settled, [other])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBLISH*1 1 a"])
    assert.deepStrictEqual(h.feed(ack("Puback", 1)).settled, [message])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), [])
  })

  it("sends a new QoS 2 PUBLISH with an unused packet identifier and DUP 0 [MQTT3-4.3.3-1] [MQTT5-4.3.3-1] [MQTT5-4.3.3-2]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 2)
    h.publish("b", 2)
    assert.deepStrictEqual(h.sent(), ["PUBLISH2 1 a", "PUBLISH2 2 b"])
  })

  it("keeps a QoS 2 PUBLISH unacknowledged until its PUBREC [MQTT3-4.3.3-1] [MQTT5-4.3.3-3]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 2)
    h.flush()
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBLISH*2 1 a"])
    h.feed(ack("Pubrec", 1))
    assert.strictEqual(message.state, "releasing")
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 1"])
  })

  it("answers a PUBREC below 0x80 with a PUBREL of the same packet identifier [MQTT3-2.3.1-6] [MQTT3-4.3.3-1] [MQTT5-2.2.1-5] [MQTT5-4.3.3-4]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 2)
    h.publish("b", 2)
    h.flush()
    assert.deepStrictEqual(h.reply(ack("Pubrec", 2), ack("Pubrec", 1)), ["PUBREL 2", "PUBREL 1"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 2)), ["PUBREL 2"], "again, when the PUBREC comes again")
  })

  it("keeps a PUBREL unacknowledged until its PUBCOMP [MQTT3-4.3.3-1] [MQTT5-4.3.3-5]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 2)
    h.flush()
    assert.deepStrictEqual(h.feed(ack("Pubrec", 1)).settled, [])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 1"])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 1"])
    assert.deepStrictEqual(h.feed(ack("Pubcomp", 1)).settled, [message])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), [])
  })

  it("never resends a PUBLISH whose PUBREL was sent [MQTT3-4.3.3-1] [MQTT5-4.3.3-6]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 2, { payload: bytes("large") })
    h.flush()
    h.feed(ack("Pubrec", 1))
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 1"])
    assert.strictEqual(message.request.payload.length, 0, "there is no payload any more")
  })

  it("sends PUBRELs in the order in which the PUBRECs arrived [MQTT3-4.6.0-4] [MQTT5-4.6.0-4]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    for (const topic of ["a", "b", "c"]) h.publish(topic, 2)
    h.flush()
    assert.deepStrictEqual(h.reply(ack("Pubrec", 3), ack("Pubrec", 1), ack("Pubrec", 2)), [
      "PUBREL 3",
      "PUBREL 1",
      "PUBREL 2"
    ])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 3", "PUBREL 1", "PUBREL 2"])
  })

  it("sets DUP on every PUBLISH that it resends [MQTT3-3.3.1-1] [MQTT5-3.3.1-1]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 2)
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ dup }) => dup), [false, false])
    for (let i = 0; i < 2; i++) {
      h.disconnect()
      h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
      assert.deepStrictEqual(publishesOf(h.flush()).map(({ dup }) => dup), [true, true])
    }
  })

  it("sets DUP by retransmission alone: a message taken from another session goes out with DUP 0 [MQTT3-3.3.1-3] [MQTT5-3.3.1-3]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 1, { origin: { forwarder: "f", session: "other", packetIdentifier: 9, use: "1" } })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ dup }) => dup), [false])
  })

  it("resends PUBLISH and PUBREL with their original packet identifiers in a resumed session [MQTT3-2.3.1-3] [MQTT3-4.4.0-1] [MQTT5-4.4.0-1]", () => {
    const h = new Harness({ protocolVersion }, { firstPacketIdentifier: 100 })
    h.connect()
    for (const [topic, qos] of [["a", 1], ["b", 2], ["c", 1], ["d", 2]] as const) h.publish(topic, qos)
    h.flush()
    h.feed(ack("Pubrec", 103))
    h.disconnect()
    h.publish("e", 1)
    assert.deepStrictEqual(resumed(h), [
      "PUBREL 103",
      "PUBLISH*1 100 a",
      "PUBLISH*2 101 b",
      "PUBLISH*1 102 c",
      "PUBLISH1 104 e"
    ])
  })

  it("resends PUBLISH packets in the order in which they were first sent [MQTT3-4.6.0-1] [MQTT5-4.6.0-1]", () => {
    const h = new Harness({ protocolVersion, maxInflight: 3 }, { firstPacketIdentifier: 65_534 })
    h.connect()
    for (const topic of ["a", "b", "c", "d", "e"]) h.publish(topic, 1)
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 65534 a", "PUBLISH1 65535 b", "PUBLISH1 1 c"])
    assert.deepStrictEqual(h.reply(ack("Puback", 65_535)), ["PUBLISH1 2 d"])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBLISH*1 65534 a", "PUBLISH*1 1 c", "PUBLISH*1 2 d"])
  })

  it("resends nothing while the connection lasts [MQTT5-4.4.0-1]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 2)
    h.publish("c", 2)
    h.flush()
    h.feed(ack("Pubrec", 3))
    for (let i = 0; i < 100; i++) assert.deepStrictEqual(h.tick(60_000).packets, [])
    h.engine.setWritable(false, h.now)
    h.engine.setWritable(true, h.now)
    assert.deepStrictEqual(h.sent(), [])
  })

  it("resends only what the window admits, and the rest as it empties", () => {
    const h = new Harness({ protocolVersion, maxInflight: 2, durable: true })
    h.connect()
    for (const topic of ["a", "b"]) h.publish(topic, 1)
    h.flush()
    h.disconnect()
    const next = h.restart({ maxInflight: 1 })
    assert.deepStrictEqual(resumed(next), ["PUBLISH*1 1 a"])
    assert.deepStrictEqual(next.reply(ack("Puback", 1)), ["PUBLISH*1 2 b"])
    assert.deepStrictEqual(next.reply(ack("Puback", 2)), [])
  })

  it("takes acknowledgements of the resumed session for what it has not sent again yet", () => {
    const h = new Harness({ protocolVersion, durable: true, maxInflight: 4, maxInflightQoS2: 4 })
    h.connect()
    for (const [topic, qos] of [["a", 1], ["b", 1], ["c", 2], ["d", 1]] as const) h.publish(topic, qos)
    h.flush()
    const next = h.restart({ maxInflight: 2 })
    next.engine.setWritable(false, next.now)
    next.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    next.engine.setWritable(false, next.now)
    next.disconnect()
    next.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(next.sent(), ["PUBLISH*1 1 a", "PUBLISH*1 2 b"])
    // They free no place that they never took, and PUBREC takes one.
    assert.deepStrictEqual(next.reply(ack("Pubrec", 3)), ["PUBREL 3"])
    assert.deepStrictEqual(next.reply(ack("Puback", 4)), [])
    next.publish("e", 1)
    assert.deepStrictEqual(next.sent(), [])
    assert.deepStrictEqual(next.reply(ack("Puback", 1)), [])
    assert.deepStrictEqual(next.reply(ack("Puback", 2)), ["PUBLISH1 1 e"])
    assert.deepStrictEqual(next.reply(ack("Pubcomp", 3)), [])
  })

  it("sends the next one again when the one that is due has been acknowledged", () => {
    const h = new Harness({ protocolVersion, durable: true })
    h.connect()
    for (const topic of ["a", "b", "c"]) h.publish(topic, 1)
    h.flush()
    const next = h.restart({ maxInflight: 1 })
    next.connect(true)
    assert.deepStrictEqual(next.reply(ack("Puback", 2)), [])
    assert.deepStrictEqual(next.reply(ack("Puback", 1)), ["PUBLISH*1 3 c"])
  })

  it("puts what it sends again between what was accepted before and after it", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 0)
    h.publish("b", 1)
    h.publish("c", 0)
    h.publish("d", 1)
    h.engine.take()
    h.publish("e", 0)
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ dup, topic }) => [topic, dup]), [
      ["a", false],
      ["b", false],
      ["c", false],
      ["d", false],
      ["e", false]
    ])
  })

  it("assumes that a new connection is writable", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.engine.setWritable(false, h.now)
    h.publish("a", 1)
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBLISH1 1 a"])
  })

  it("takes an acknowledgement of the wrong kind as a protocol error", () => {
    const wrong = (qos: 1 | 2, before: ReadonlyArray<"Pubrec">, kind: "Puback" | "Pubrec" | "Pubcomp") => {
      const h = new Harness({ protocolVersion })
      h.connect()
      h.publish("a", qos)
      h.flush()
      for (const tag of before) h.feed(ack(tag, 1))
      assert.strictEqual(h.receive(ack(kind, 1))?.reasonCode, 0x82)
      // What follows a violation is not looked at any more.
      assert.isUndefined(h.receive(ack(kind, 1)))
    }
    wrong(1, [], "Pubrec")
    wrong(1, [], "Pubcomp")
    wrong(2, [], "Puback")
    wrong(2, [], "Pubcomp")
    wrong(2, ["Pubrec"], "Puback")
  })

  it("ignores acknowledgements for unknown packet identifiers, and answers PUBREC", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const output = h.feed(ack("Puback", 9), ack("Pubrec", 9), ack("Pubcomp", 9))
    assert.deepStrictEqual(eventTags(output), Array.from({ length: 3 }, () => "UnknownPacketIdentifier"))
    assert.deepStrictEqual(output.packets.length, 1)
    assert.deepInclude(output.packets[0], {
      _tag: "Pubrel",
      packetIdentifier: 9,
      reasonCode: protocolVersion === 5 ? 0x92 : 0
    })
  })

  it("queues QoS 0 again that was taken and not written, ahead of what was accepted later", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const first = h.publish("a", 0)
    h.publish("b", 1)
    const taken = h.engine.take()!
    assert.deepStrictEqual(taken.settled, [first])
    const second = h.publish("c", 0)
    h.disconnect()
    assert.deepStrictEqual(taken.settled, [])
    assert.isUndefined(first.outcome)
    assert.isUndefined(second.outcome)
    const later = h.publish("d", 0)
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    const output = h.flush()
    assert.deepStrictEqual(output.packets.filter(isPublish).map(({ topic }) => topic), ["b", "a", "c", "d"])
    assert.deepStrictEqual(output.settled, [first, second, later])
  })

  it("sends a message that was never taken as a new one", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const message = h.publish("a", 1)
    h.disconnect()
    assert.strictEqual(message.state, "queued")
    assert.deepStrictEqual(resumed(h), ["PUBLISH1 2 a"])
  })

  it("keeps the order of the queue: QoS 0 waits behind QoS 1 that waits for the window", () => {
    const h = new Harness({ protocolVersion, maxInflight: 1 })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 1)
    h.publish("c", 0)
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 1 a"])
    assert.deepStrictEqual(h.reply(ack("Puback", 1)), ["PUBLISH1 2 b", "PUBLISH0 0 c"])
  })

  it("sends a SUBSCRIBE ahead of what is published after it", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.publish("a", 0)
    h.add("f")
    h.publish("b", 0)
    assert.deepStrictEqual(h.sent(), ["PUBLISH0 0 a", "SUBSCRIBE 1 f:2", "PUBLISH0 0 b"])
  })

  it("publishes nothing while the network takes nothing, and continues in order", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    h.engine.setWritable(false, h.now)
    h.publish("a", 0)
    h.publish("b", 1)
    assert.deepStrictEqual(h.sent(), [])
    h.engine.setWritable(true, h.now)
    assert.deepStrictEqual(h.sent(), ["PUBLISH0 0 a", "PUBLISH1 1 b"])
  })

  it("fills an output with a bounded amount and continues with the next", () => {
    const h = new Harness({ protocolVersion, queue: { messages: 1000, bytes: 100_000_000, policy: "fail" } })
    h.connect()
    for (let i = 0; i < 40; i++) h.publish("a", 0, { payload: new Uint8Array(100_000) })
    const sizes: Array<number> = []
    for (let output = h.engine.take(); output !== undefined; output = h.engine.take()) {
      h.engine.written()
      sizes.push(output.packets.length)
      assert.strictEqual(h.engine.nextDeadline(), sizes.reduce((a, b) => a + b) === 40 ? undefined : h.now)
    }
    assert.deepStrictEqual(sizes, [11, 11, 11, 7])
  })
})

describe("outbound messages, version 5", () => {
  it("never resends a PUBLISH that was refused with a reason code of 0x80 or above [MQTT5-4.4.0-2]", () => {
    const h = new Harness()
    h.connect()
    const first = h.publish("a", 1)
    const second = h.publish("b", 2)
    h.flush()
    const { packets, settled } = h.feed(ack("Puback", 1, 0x87), ack("Pubrec", 2, 0x97))
    assert.deepStrictEqual(packets, [], "a refusing PUBREC has no PUBREL")
    assert.deepStrictEqual(settled, [first, second])
    assert.deepStrictEqual([outcomeOf(first), outcomeOf(second)], ["PublishRefused", "PublishRefused"])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), [])
  })

  it("reports the reason code and reason string of the server", () => {
    const h = new Harness()
    h.connect()
    const first = h.publish("a", 1)
    const second = h.publish("b", 2)
    h.flush()
    h.feed({ _tag: "Puback", packetIdentifier: 1, reasonCode: 0x10, properties: { reasonString: "nobody" } })
    h.feed({ _tag: "Pubrec", packetIdentifier: 2, reasonCode: 0x10, properties: {} }, ack("Pubcomp", 2))
    assert.deepStrictEqual(first.outcome, { _tag: "Acknowledged", reasonCode: 0x10, reasonString: "nobody" })
    assert.deepStrictEqual(second.outcome, { _tag: "Acknowledged", reasonCode: 0x10, reasonString: undefined })
  })

  it("never has more unacknowledged QoS 1 and 2 publishes than the server's Receive Maximum [MQTT5-3.3.4-7] [MQTT5-4.9.0-1] [MQTT5-4.9.0-2]", () => {
    const h = new Harness()
    h.connect(false, { receiveMaximum: 3 })
    for (const [topic, qos] of [["a", 1], ["b", 2], ["c", 2], ["d", 1], ["e", 1], ["f", 1]] as const) {
      h.publish(topic, qos)
    }
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 1 a", "PUBLISH2 2 b", "PUBLISH2 3 c"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 2)), ["PUBREL 2"], "PUBREC frees no place")
    assert.deepStrictEqual(h.reply(ack("Pubcomp", 2)), ["PUBLISH1 4 d"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 3, 0x80)), ["PUBLISH1 5 e"], "a refusal frees its place")
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: { receiveMaximum: 2 } })
    assert.deepStrictEqual(h.sent(), ["PUBLISH*1 1 a", "PUBLISH*1 4 d"], "the limit of this connection counts")
    assert.deepStrictEqual(h.reply(ack("Puback", 1)), ["PUBLISH*1 5 e"])
    assert.deepStrictEqual(h.reply(ack("Puback", 4)), ["PUBLISH1 6 f"])
  })

  it("counts what is being released in the window of the next connection", () => {
    const h = new Harness()
    h.connect(false, { receiveMaximum: 2 })
    for (const topic of ["a", "b", "c"]) h.publish(topic, 2)
    h.flush()
    h.feed(ack("Pubrec", 1))
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: { receiveMaximum: 1 } })
    assert.deepStrictEqual(h.sent(), ["PUBREL 1"])
    assert.deepStrictEqual(h.reply(ack("Pubcomp", 1)), ["PUBLISH*2 2 b"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 2), ack("Pubcomp", 2)), ["PUBREL 2", "PUBLISH2 3 c"])
  })

  it("sends every other packet while the window is full [MQTT5-3.3.4-8] [MQTT5-4.9.0-3]", () => {
    const h = new Harness()
    h.connect(false, { receiveMaximum: 1 })
    h.publish("a", 2)
    h.publish("b", 1)
    h.flush()
    h.add("f")
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 2 f:2"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 1)), ["PUBREL 1"])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 5)), ["PUBCOMP 5 92"])
    h.engine.unsubscribe("g", h.now)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 3 g"])
  })

  it("reduces the message expiry interval by the time that the message has waited", () => {
    const h = new Harness()
    h.publish("a", 1, { properties: { messageExpiryInterval: 10 } })
    h.publish("b", 1, { properties: { messageExpiryInterval: 4 } })
    h.now += 3_900
    h.receive({ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties }) => properties.messageExpiryInterval), [7, 1])
  })

  it("does not expire a PUBLISH that was sent [MQTT5-4.3.3-7]", () => {
    const h = new Harness()
    h.connect()
    const message = h.publish("a", 2, { properties: { messageExpiryInterval: 2 } })
    h.flush()
    assert.deepStrictEqual(h.tick(60_000).settled, [])
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBLISH*2 1 a"])
    assert.deepStrictEqual(h.feed(ack("Pubrec", 1), ack("Pubcomp", 1)).settled, [message])
    assert.strictEqual(outcomeOf(message), 0)
  })

  it("finishes the QoS 2 handshake of a message that expired [MQTT5-4.3.3-7]", () => {
    const h = new Harness()
    h.connect()
    const message = h.publish("a", 2, { properties: { messageExpiryInterval: 1 } })
    h.flush()
    h.now += 5_000
    assert.deepStrictEqual(h.reply(ack("Pubrec", 1)), ["PUBREL 1"])
    h.tick(5_000)
    h.disconnect()
    assert.deepStrictEqual(resumed(h), ["PUBREL 1"])
    h.feed(ack("Pubcomp", 1))
    assert.strictEqual(outcomeOf(message), 0)
  })

  it("sends no subscription identifier in a PUBLISH [MQTT5-3.3.4-6]", () => {
    const h = new Harness()
    h.connect()
    const received = { contentType: "text/plain", subscriptionIdentifiers: [7], topicAlias: 3 }
    h.publish("a", 1, { properties: received })
    assert.deepStrictEqual(publishesOf(h.flush())[0]!.properties, { contentType: "text/plain" })
  })
})

describe("outbound messages, version 4", () => {
  it("has no more QoS 2 publishes in flight than the client's own limit", () => {
    const h = new Harness({ protocolVersion: 4, maxInflightQoS2: 2 })
    h.connect()
    for (const topic of ["a", "b", "c"]) h.publish(topic, 2)
    h.publish("d", 1)
    assert.deepStrictEqual(h.sent(), ["PUBLISH2 1 a", "PUBLISH2 2 b"])
    assert.deepStrictEqual(h.reply(ack("Pubrec", 1)), ["PUBREL 1"])
    assert.deepStrictEqual(h.reply(ack("Pubcomp", 1)), ["PUBLISH2 3 c", "PUBLISH1 4 d"])
    h.disconnect()
    assert.deepStrictEqual(h.connect(true).packets.length, 3)
  })

  it("sends no properties", () => {
    const h = new Harness({ protocolVersion: 4 })
    h.connect()
    h.publish("a", 0, { properties: { contentType: "x", messageExpiryInterval: 5 } })
    assert.deepStrictEqual(publishesOf(h.flush())[0]!.properties, {})
  })
})
