import { assert, describe, it } from "@effect/vitest"
import type { Publish } from "../../src/Packet.ts"
import { ack, connack, eventTags, Harness, outcomeOf, publish, topics, versions, word, words } from "./harness.ts"

const inbound = (qos: 1 | 2, id: number, dup = false): Publish => publish("t", qos, id, { dup })

describe.each(versions)("the session, version %s", (protocolVersion) => {
  it("discards the session state when the connection starts clean [MQTT3-3.1.2-6] [MQTT5-3.1.2-4]", () => {
    const h = new Harness({ protocolVersion, unacknowledgedOnSessionLost: "fail" })
    h.connect()
    const consumer = h.subscribe("t")
    const message = h.publish("a", 1)
    h.flush()
    const [first] = h.feed(inbound(2, 9)).deliveries
    h.disconnect()
    h.engine.connecting(true)
    const output = h.connect(false)
    assert.deepStrictEqual(output.settled, [message])
    assert.strictEqual(outcomeOf(message), "SessionLost")
    assert.deepStrictEqual(output.events, [{ _tag: "SessionLost", unacknowledged: 1, subscriptions: 1 }])
    // The old exchange is forgotten: its end is told to nobody, and its identifier means a new message.
    h.acknowledge(consumer, first!.delivery)
    assert.deepStrictEqual(h.sent(), [])
    assert.deepStrictEqual(topics(h.feed(inbound(2, 9))), ["t"])
  })

  it("keeps the session state when the connection is lost [MQTT3-3.1.2-4] [MQTT3-4.1.0-1] [MQTT5-3.1.2-23]", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const consumer = h.subscribe("t")
    const [first, second, third] = [h.publish("a", 1), h.publish("b", 2), h.publish("c", 2)]
    h.flush()
    const ids = [first, second, third].map(({ packetIdentifier }) => packetIdentifier)
    h.feed(ack("Pubrec", ids[2]!))
    const { deliveries } = h.feed(inbound(2, 9))
    h.acknowledge(consumer, deliveries[0]!.delivery)
    h.flush()
    h.disconnect()
    const { packets } = h.connect(true)
    assert.deepStrictEqual(words(packets), [`PUBREL ${ids[2]}`, `PUBLISH*1 ${ids[0]} a`, `PUBLISH*2 ${ids[1]} b`])
    const again = h.feed(inbound(2, 9, true))
    assert.deepStrictEqual(topics(again), [])
    assert.deepStrictEqual(words(again.packets), ["PUBREC 9"])
  })

  it("keeps the session state while the connection is open, whatever the session expiry interval [MQTT3-4.1.0-2] [MQTT5-4.1.0-1]", () => {
    const h = new Harness({ protocolVersion })
    h.connect(false, { sessionExpiryInterval: 0 })
    const message = h.publish("a", 2)
    h.flush()
    h.feed(ack("Pubrec", 1), publish("t", 2, 9))
    h.tick(1_000_000_000)
    assert.deepStrictEqual(h.reply(ack("Pubcomp", 1), ack("Pubrel", 9)), ["PUBCOMP 9"])
    assert.strictEqual(outcomeOf(message), 0)
  })

  it("closes the connection when the server reports a session that the client does not have [MQTT5-3.2.2-4]", () => {
    const h = new Harness({ protocolVersion })
    assert.strictEqual(h.receive(connack(true))?.reasonCode, 0x82)
    h.publish("a", 0)
    assert.deepStrictEqual(h.sent(), [], "this connection is none")
    h.disconnect()
    assert.deepStrictEqual(words(h.connect(false).packets), ["PUBLISH0 0 a"])
    h.disconnect()
    h.engine.connecting(true)
    assert.strictEqual(h.receive(connack(true))?.reasonCode, 0x82)
    h.disconnect()
    h.engine.connecting(false)
    assert.isUndefined(h.receive(connack(true)))
  })

  it("accepts session present after a restart with records", () => {
    const h = new Harness({ protocolVersion })
    h.engine.restore([{
      _tag: "Identity",
      format: 1,
      protocolVersion,
      clientId: "c",
      incarnation: "1",
      sessionExpiryInterval: undefined
    }], h.now)
    assert.isUndefined(h.receive(connack(true)))
  })

  it("takes a second CONNACK as a protocol error", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    assert.strictEqual(h.receive(connack(false))?.reasonCode, 0x82)
  })

  it("ignores what comes before CONNACK and after the connection", () => {
    const h = new Harness({ protocolVersion })
    assert.deepStrictEqual(h.feed(publish("t", 1, 1)).packets, [])
    h.connect()
    h.disconnect()
    assert.deepStrictEqual(h.feed(publish("t", 1, 1)).packets, [])
  })

  it("is silent about a session that had nothing to lose", () => {
    const h = new Harness({ protocolVersion })
    assert.deepStrictEqual(h.connect(false).events, [])
    h.publish("a", 1)
    h.flush()
    h.feed(ack("Puback", 1))
    h.disconnect()
    assert.deepStrictEqual(h.connect(false).events, [])
  })

  it("discards the session state when the server reports no session [MQTT5-3.2.2-5]", () => {
    const h = new Harness({ protocolVersion }, { firstPacketIdentifier: 50 })
    h.connect()
    const messages = [h.publish("a", 1), h.publish("b", 2), h.publish("c", 2)]
    h.flush()
    h.feed(ack("Pubrec", 51), publish("t", 2, 9))
    h.publish("d", 1)
    h.disconnect()
    const output = h.connect(false)
    // What the server had acknowledged is done; the rest is new: its identifier, its DUP, its place ahead of the queue.
    assert.deepStrictEqual(words(output.packets), ["PUBLISH1 54 a", "PUBLISH2 55 c", "PUBLISH1 56 d"])
    assert.deepStrictEqual(output.settled, [messages[1]])
    assert.strictEqual(outcomeOf(messages[1]!), 0)
    assert.deepStrictEqual(eventTags(output), ["SessionLost"])
    assert.strictEqual(word(h.feed(ack("Pubrel", 9)).packets[0]!), protocolVersion === 5 ? "PUBCOMP 9 92" : "PUBCOMP 9")
  })

  it("fails what has expired when the session is lost", () => {
    const h = new Harness({ protocolVersion })
    h.connect()
    const expired = h.publish("a", 1, { expiresAfter: 1000 })
    h.publish("b", 1)
    h.flush()
    h.disconnect()
    h.now += 1000
    const output = h.connect(false)
    assert.deepStrictEqual(output.settled, [expired])
    assert.strictEqual(outcomeOf(expired), "Expired")
    assert.deepStrictEqual(words(output.packets), ["PUBLISH1 3 b"])
  })
})

describe("a session that survives the process", () => {
  it("restores outbound messages in every state", () => {
    const h = new Harness({ durable: true, maxInflight: 2 })
    h.connect()
    const first = { topic: "a", properties: { contentType: "x", messageExpiryInterval: 100 }, retain: true } as const
    h.publish("a", 1, first)
    h.publish("b", 2)
    h.publish("c", 1)
    h.publish("d", 0)
    h.flush()
    h.feed(ack("Pubrec", 2))
    const next = h.restart({ maxInflight: 10 })
    next.now += 40_000
    const output = next.connect(true)
    assert.deepStrictEqual(words(output.packets), ["PUBREL 2", "PUBLISH*1 1 a", "PUBLISH1 3 c", "PUBLISH0 0 d"])
    assert.deepInclude(output.packets[1], { retain: true, properties: { contentType: "x", messageExpiryInterval: 60 } })
    next.feed(ack("Puback", 1), ack("Pubcomp", 2), ack("Puback", 3))
    assert.strictEqual(next.records.size, 0)
    next.publish("e", 1)
    next.flush()
    assert.deepInclude(next.records.values().next().value, { topic: "e", sequence: 5 })
  })

  it("stores the origin of a forwarded message with its acceptance, and keeps it when the message is done", () => {
    const h = new Harness({ durable: true })
    const origin = { forwarder: "f", session: "s", packetIdentifier: 5, use: "1" }
    h.connect()
    h.publish("c", 1, { origin })
    assert.deepStrictEqual(h.flush().changes.map((change) => change._tag === "Put" && change.record._tag), [
      "Origin",
      "Outbound"
    ])
    h.feed(ack("Puback", 1))
    assert.deepStrictEqual(Array.from(h.records.values()), [{ _tag: "Origin", origin }])
  })

  it("answers a redelivery at once when the message was done before the restart, and delivers it again when not", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const consumer = h.subscribe("t")
    const { deliveries } = h.feed(publish("t", 2, 7), publish("t", 2, 8))
    h.acknowledge(consumer, deliveries[0]!.delivery)
    h.flush()
    const next = h.restart()
    const heir = next.add("t", { retained: "none" })
    assert.strictEqual(heir.state, "active", "the subscription is there")
    next.connect(true)
    const output = next.feed(inbound(2, 7, true), inbound(2, 8, true))
    assert.deepStrictEqual(words(output.packets), ["PUBREC 7"])
    assert.deepStrictEqual(output.deliveries.map(({ delivery }) => delivery.packetIdentifier), [8])
    next.acknowledge(heir, output.deliveries[0]!.delivery)
    assert.deepStrictEqual(next.sent(), ["PUBREC 8"])
    next.feed(ack("Pubrel", 7), ack("Pubrel", 8))
    assert.deepStrictEqual(Array.from(next.records.keys()), ["subscription/t"])
  })

  it("forgets inbound identifiers and subscriptions in the store when the session is lost", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.engine.removeConsumer(h.subscribe("kept"), h.now)
    h.feed(publish("kept", 2, 7))
    h.flush()
    assert.deepStrictEqual(Array.from(h.records.keys()).sort(), ["inbound/7", "subscription/kept"])
    h.disconnect()
    h.connect(false)
    assert.deepStrictEqual(
      Array.from(h.records.values()).map((record) => record._tag === "Subscription" && record.granted),
      [
        false
      ]
    )
    assert.deepStrictEqual(h.grant().length, 0, "the SUBSCRIBE went out with CONNACK")
  })

  it("forgets a subscription in the store whose removal was under way when the session was lost", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.subscribe("t")
    h.engine.unsubscribe("t", h.now)
    h.flush()
    h.disconnect()
    h.connect(false)
    assert.strictEqual(h.records.size, 0)
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
  })

  it("emits no records when the session is not durable", () => {
    const h = new Harness()
    h.connect()
    h.subscribe("t")
    h.publish("a", 2)
    h.flush()
    h.feed(ack("Pubrec", 2), ack("Pubcomp", 2), publish("t", 2, 7))
    assert.strictEqual(h.records.size, 0)
  })
})
