import { assert, describe, it } from "@effect/vitest"
import { sizeOf } from "../../src/internal/codec/size.ts"
import type { Packet } from "../../src/Packet.ts"
import { ack, acknowledgeAll, consuming, Harness, publish, topicsFor, versions } from "./harness.ts"

// What no test of a part of the engine says in so many words.
describe.each(versions)("statements of the specification, version %s", (protocolVersion) => {
  it("sends nothing before CONNACK, even with messages in the queue [MQTT3-3.1.0-1] [MQTT5-3.1.0-1] [MQTT5-3.1.2-30]", () => {
    const h = new Harness({ protocolVersion })
    const waiting = (): void => {
      h.publish("a", 0)
      h.publish("b", 1)
      h.publish("c", 2)
      h.add("f")
      h.engine.unsubscribe("g", h.now)
      assert.deepStrictEqual(h.sent(), [])
      assert.deepStrictEqual(h.tick(60_000).packets, [])
    }
    waiting()
    h.connect()
    h.disconnect()
    waiting()
    assert.isAbove(h.connect(true).packets.length, 6)
  })

  it("routes by topic as the server does: no leading wildcard for $, no character for another [MQTT3-4.7.2-1] [MQTT5-4.7.2-1] [MQTT3-4.7.3-4] [MQTT5-4.7.3-4]", () => {
    const h = new Harness({ protocolVersion, subscriptionIdentifiers: "off" })
    h.connect()
    const [all, plus, system] = [h.subscribe("#"), h.subscribe("+/x"), h.subscribe("$SYS/#")]
    const [composed, decomposed] = [h.subscribe("caf\u00e9"), h.subscribe("cafe\u0301")]
    const output = h.feed(
      publish("$SYS/x", 0, 0),
      publish("caf\u00e9", 0, 0),
      publish("cafe\u0301", 0, 0),
      publish("CAF\u00c9", 0, 0)
    )
    assert.deepStrictEqual(topicsFor(all, output), ["caf\u00e9", "cafe\u0301", "CAF\u00c9"])
    assert.deepStrictEqual(topicsFor(plus, output), [])
    assert.deepStrictEqual(topicsFor(system, output), ["$SYS/x"])
    assert.deepStrictEqual(topicsFor(composed, output), ["caf\u00e9"])
    assert.deepStrictEqual(topicsFor(decomposed, output), ["cafe\u0301"])
  })
})

describe("statements of the specification, version 5", () => {
  it("finishes the QoS 2 handshake of an inbound message that expired meanwhile [MQTT5-4.3.3-13]", () => {
    const properties = { messageExpiryInterval: 1 }
    const { consumer, h, receive } = consuming({})
    const deliveries = receive(publish("a", 2, 1, { properties }), publish("b", 2, 2, { properties }))
    assert.deepStrictEqual(h.tick(60_000).packets, [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), ["PUBREC 1", "PUBREC 2"])
    assert.deepStrictEqual(h.tick(60_000).packets, [])
    assert.deepStrictEqual(h.reply(ack("Pubrel", 1), ack("Pubrel", 2)), ["PUBCOMP 1", "PUBCOMP 2"])
  })

  it("keeps every SUBSCRIBE and UNSUBSCRIBE within the server's Maximum Packet Size [MQTT5-3.2.2-15]", () => {
    const filters = Array.from({ length: 40 }, (_, i) => `filter/${i}`)
    const check = (packets: ReadonlyArray<Packet>, tag: "Subscribe" | "Unsubscribe"): void => {
      let count = 0
      for (const packet of packets) {
        assert.isAtMost(sizeOf(packet, 5), 60)
        if (packet._tag === tag) count += packet.filters.length
      }
      assert.strictEqual(count, 40)
    }
    const h = new Harness({ subscriptionIdentifiers: "off" })
    const consumer = h.add(filters)
    h.connect(false, { maximumPacketSize: 60 })
    h.disconnect()
    const { packets } = h.connect(true, { maximumPacketSize: 60 })
    check(packets, "Subscribe")
    for (const packet of packets) {
      if (packet._tag !== "Subscribe") continue
      h.feed({
        _tag: "Suback",
        packetIdentifier: packet.packetIdentifier,
        reasonCodes: packet.filters.map(() => 0),
        properties: {}
      })
    }
    assert.strictEqual(consumer.state, "active")
    h.engine.removeConsumer(consumer, h.now)
    check(h.flush().packets, "Unsubscribe")
  })
})
