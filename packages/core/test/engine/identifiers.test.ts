import { assert, describe, it } from "@effect/vitest"
import { ack, Harness, isPublish, suback, unsuback, versions, words } from "./harness.ts"

describe.each(versions)("packet identifiers, version %s", (protocolVersion) => {
  it("gives every new PUBLISH, SUBSCRIBE and UNSUBSCRIBE a packet identifier that is not in use [MQTT3-2.3.1-1] [MQTT3-2.3.1-2] [MQTT5-2.2.1-3] [MQTT5-4.3.2-1] [MQTT5-4.3.3-1]", () => {
    const h = new Harness({ protocolVersion, subscriptionIdentifiers: "off" })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 2)
    const consumer = h.add("f")
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 1 a", "PUBLISH2 2 b", "SUBSCRIBE 3 f:2"])
    h.feed(suback(3, 2))
    h.engine.removeConsumer(consumer, h.now)
    h.publish("c", 1)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 4 f", "PUBLISH1 5 c"])
  })

  it("wraps packet identifiers from 65,535 to 1 and skips those in use [MQTT3-2.3.1-1] [MQTT3-2.3.1-2] [MQTT5-2.2.1-3]", () => {
    const h = new Harness({ protocolVersion }, { firstPacketIdentifier: 65_534 })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 1)
    h.publish("c", 1)
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 65534 a", "PUBLISH1 65535 b", "PUBLISH1 1 c"])
    const used = new Set<number>()
    const useAll = (): void => {
      for (let i = 0; i < 70_000; i++) {
        h.publish("x", 1)
        const [packet] = h.flush().packets
        assert(packet !== undefined && isPublish(packet))
        used.add(packet.packetIdentifier)
        h.receive(ack("Puback", packet.packetIdentifier))
      }
    }
    useAll()
    assert.isTrue(used.has(2) && used.has(65_533))
    for (const identifier of [65_534, 65_535, 1]) assert.isFalse(used.has(identifier))
    h.receive(ack("Puback", 65_535))
    useAll()
    assert.isTrue(used.has(65_535) && !used.has(1))
  })

  it("gives messages the identifiers that the store has for them, also when others share their slots in the table", () => {
    const h = new Harness({ protocolVersion, durable: true }, { firstPacketIdentifier: 3 })
    h.connect()
    for (let i = 0; i < 40; i++) h.publish("a", 1)
    h.flush()
    h.feed(...Array.from({ length: 38 }, (_, i) => ack("Puback", i + 3)))
    const next = h.restart()
    assert.deepStrictEqual(words(next.connect(true).packets), ["PUBLISH*1 41 a", "PUBLISH*1 42 a"])
    next.feed(ack("Puback", 41), ack("Puback", 42))
    assert.strictEqual(next.records.size, 0)
  })

  it("waits with a message while all packet identifiers are in use", () => {
    const h = new Harness({ protocolVersion, queue: { messages: 100_000, bytes: 100_000_000, policy: "fail" } })
    h.connect()
    for (let i = 0; i < 65_535; i++) h.publish("x", 1)
    const late = h.publish("late", 1)
    assert.strictEqual(h.flush().packets.length, 65_535)
    assert.strictEqual(late.state, "queued")
    assert.deepStrictEqual(h.reply(ack("Puback", 7)), ["PUBLISH1 7 late"])
  })

  it("frees the packet identifier at PUBACK, PUBCOMP, SUBACK and UNSUBACK, not before [MQTT3-2.3.1-3]", () => {
    const queue = { messages: 100_000, bytes: 100_000_000, policy: "fail" } as const
    const options = { protocolVersion, subscriptionIdentifiers: "off", queue } as const
    const h = new Harness(options, { firstPacketIdentifier: 65_532 })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 2)
    const consumer = h.add("f")
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 65532 a", "PUBLISH2 65533 b", "SUBSCRIBE 65534 f:2"])
    // The other identifiers are used up, so that only what is freed can come again.
    for (let i = 0; i < 65_532; i++) h.publish("x", 1)
    h.flush()
    h.feed(ack("Pubrec", 65_533))
    h.publish("c", 1)
    assert.deepStrictEqual(h.sent(), [], "PUBREC frees nothing")
    assert.deepStrictEqual(h.reply(ack("Puback", 65_532)), ["PUBLISH1 65532 c"])
    h.publish("d", 1)
    assert.deepStrictEqual(h.reply(ack("Pubcomp", 65_533)), ["PUBLISH1 65533 d"])
    h.publish("e", 1)
    assert.deepStrictEqual(h.reply(suback(65_534, 2)), ["PUBLISH1 65534 e"])
    assert.deepStrictEqual(h.reply(ack("Puback", 65_534)), [])
    h.engine.removeConsumer(consumer, h.now)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 65534 f"])
    h.publish("g", 1)
    assert.deepStrictEqual(h.sent(), [])
    assert.deepStrictEqual(h.reply(protocolVersion === 5 ? unsuback(65_534, 0) : unsuback(65_534)), [
      "PUBLISH1 65534 g"
    ])
  })
})
