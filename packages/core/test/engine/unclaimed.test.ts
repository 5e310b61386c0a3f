import { assert, describe, it } from "@effect/vitest"
import {
  acknowledgeAll,
  consuming,
  eventTags,
  Harness,
  leave,
  publish,
  topics,
  topicsFor,
  unsuback,
  versions,
  words
} from "./harness.ts"

describe("unclaimed messages", () => {
  it("acknowledges a message that no consumer claims [MQTT3-4.5.0-2] [MQTT5-4.5.0-2]", () => {
    for (const protocolVersion of versions) {
      const h = new Harness({ protocolVersion })
      h.connect()
      assert.deepStrictEqual(h.reply(publish("a", 1, 1), publish("b", 2, 2)), [])
      const output = h.tick(10_000)
      assert.deepStrictEqual(words(output.packets), ["PUBACK 1", "PUBREC 2"])
      assert.deepStrictEqual(eventTags(output), ["UnclaimedDropped", "UnclaimedDropped"])
    }
  })

  it("drops QoS 0 that no consumer claims, and reports it", () => {
    const h = new Harness()
    h.connect()
    const { events } = h.feed(publish("a", 0, 0))
    assert.deepStrictEqual(events.map((event) => event._tag === "UnclaimedDropped" && event.message.topic), ["a"])
  })

  it("holds QoS 1 and 2 for a consumer that joins, even before its SUBACK", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.feed(publish("a/1", 1, 1), publish("b", 1, 2), publish("a/2", 2, 3))
    assert.strictEqual(h.engine.stats.unclaimed, 3)
    const consumer = h.add("a/+")
    const { deliveries } = h.flush()
    assert.deepStrictEqual(deliveries.map(({ delivery }) => delivery.message.topic), ["a/1", "a/2"])
    assert.deepStrictEqual(
      acknowledgeAll(h, consumer, deliveries.map(({ delivery }) => delivery)),
      ["PUBACK 1", "PUBREC 3"]
    )
    assert.deepStrictEqual(words(h.tick(10_000).packets), ["PUBACK 2"])
  })

  it("holds a whole backlog for a consumer that comes in time", () => {
    const h = new Harness({ unclaimed: { hold: 1000, messages: 2 } })
    h.connect()
    const backlog = Array.from({ length: 20 }, (_, index) => publish(`t/${index}`, index % 2 === 0 ? 1 : 2, index + 1))
    assert.deepStrictEqual(h.reply(...backlog), [])
    h.add("t/#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), backlog.map(({ topic }) => topic))
  })

  it("holds all that a consumer left behind for one that comes in time", () => {
    const { consumer, h, receive } = consuming({ durable: true, unclaimed: { hold: 1000, messages: 2 } })
    const backlog = Array.from({ length: 20 }, (_, index) => publish(`t/${index}`, 1, index + 1))
    receive(...backlog)
    h.engine.removeConsumer(consumer, h.now)
    assert.deepStrictEqual(h.sent(), [])
    h.add("#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), backlog.map(({ topic }) => topic))
  })

  it("holds no more than its limit after no consumer has come in time, and drops the oldest", () => {
    const h = new Harness({ unclaimed: { hold: 1000, messages: 2 } })
    h.connect()
    assert.deepStrictEqual(h.reply(publish("a", 1, 1), publish("b", 1, 2), publish("c", 1, 3)), [])
    assert.deepStrictEqual(words(h.tick(1000).packets), ["PUBACK 1", "PUBACK 2", "PUBACK 3"])
    assert.deepStrictEqual(h.reply(publish("a", 1, 1), publish("b", 1, 2)), [])
    const output = h.feed(publish("c", 1, 3))
    assert.deepStrictEqual(words(output.packets), ["PUBACK 1"])
    assert.deepStrictEqual(eventTags(output), ["UnclaimedDropped"])
    // Until somebody comes after all.
    h.add("b", { retained: "none" })
    h.flush()
    assert.deepStrictEqual(h.reply(publish("d", 1, 4), publish("e", 1, 5), publish("f", 1, 6)), [])
    assert.strictEqual(h.engine.stats.unclaimed, 4)
  })

  it("holds at most a receive window, although MQTT 3.1.1 does not announce it to the server", () => {
    const h = new Harness({ protocolVersion: 4, receiveMaximum: 5, unclaimed: { hold: 1000, messages: 2 } })
    h.connect()
    const backlog = Array.from({ length: 7 }, (_, index) => publish(`t/${index}`, 1, index + 1))
    assert.deepStrictEqual(h.reply(...backlog), ["PUBACK 1", "PUBACK 2"])
    assert.strictEqual(h.engine.stats.unclaimed, 5)
  })

  it("holds at most half of the memory for received messages, and drops the oldest", () => {
    const h = new Harness({ inboundLimit: 20_000, unclaimed: { hold: 1000, messages: 100 } })
    h.connect()
    const payload = new Uint8Array(4000)
    assert.deepStrictEqual(h.reply(publish("a", 1, 1, { payload }), publish("b", 2, 2, { payload })), [])
    const output = h.feed(publish("c", 1, 3, { payload }))
    assert.deepStrictEqual([words(output.packets), eventTags(output)], [["PUBACK 1"], ["UnclaimedDropped"]])
    assert.isBelow(h.engine.stats.heldBytes, 10_000)
    assert.strictEqual(h.engine.stats.unclaimed, 2)
  })

  it("holds nothing when the option forbids it", () => {
    const none = new Harness({ unclaimed: { hold: 0, messages: 2 } })
    none.connect()
    assert.deepStrictEqual(none.reply(publish("a", 1, 1)), ["PUBACK 1"])
  })

  it("holds what a consumer left behind for the next one, in order", () => {
    const { consumer, h, receive } = consuming({ durable: true })
    const [a] = receive(publish("a", 1, 1), publish("b", 2, 2), publish("c", 1, 3))
    acknowledgeAll(h, consumer, [a!])
    h.engine.removeConsumer(consumer, h.now)
    assert.deepStrictEqual(h.sent(), [])
    const next = h.add("#", { retained: "none" })
    const { deliveries } = h.flush()
    assert.deepStrictEqual(topics({ deliveries } as never), ["b", "c"])
    assert.deepStrictEqual(acknowledgeAll(h, next, deliveries.map(({ delivery }) => delivery)), [
      "PUBREC 2",
      "PUBACK 3"
    ])
  })

  it("holds what a consumer left behind for its successor, although another one has finished", () => {
    const { consumer, h, receive } = consuming({})
    const other = h.subscribe("#", { retained: "none" })
    const [a] = receive(publish("a", 1, 1))
    h.acknowledge(other, a!)
    h.engine.removeConsumer(consumer, h.now)
    assert.deepStrictEqual(h.sent(), [])
    const next = h.add("#", { retained: "none" })
    assert.deepStrictEqual(topicsFor(next, h.flush()), ["a"])
    assert.deepStrictEqual(acknowledgeAll(h, next, [a!]), ["PUBACK 1"])
  })

  it("drops it after the hold, and reports it; a durable session keeps it", () => {
    for (const durable of [false, true]) {
      const { consumer, h, receive } = consuming({ durable })
      const other = h.subscribe("#", { retained: "none" })
      const [a] = receive(publish("a", 1, 1))
      h.acknowledge(other, a!)
      h.engine.removeConsumer(consumer, h.now)
      const output = h.tick(10_000)
      assert.deepStrictEqual(words(output.packets), durable ? [] : ["PUBACK 1"])
      assert.deepStrictEqual(eventTags(output), durable ? [] : ["UnclaimedDropped"])
      assert.deepStrictEqual(words(h.tick(1e9).packets), [])
    }
  })

  it("settles what a consumer left behind when the subscription was ended", () => {
    for (const durable of [false, true]) {
      const { consumer, h, receive } = consuming({ durable })
      receive(publish("a", 1, 1), publish("b", 2, 2))
      h.engine.removeConsumer(consumer, h.now)
      if (durable) h.engine.unsubscribe("#", h.now)
      const { packets: [unsubscribe] } = h.flush()
      assert(unsubscribe?._tag === "Unsubscribe")
      const output = h.feed(unsuback(unsubscribe.packetIdentifier, 0))
      // Where the last consumer has only left, another one may come in time.
      assert.deepStrictEqual(words(output.packets), durable ? ["PUBACK 1", "PUBREC 2"] : [])
      assert.deepStrictEqual(eventTags(output), durable ? ["UnclaimedDropped", "UnclaimedDropped"] : [])
      assert.deepStrictEqual(words(h.tick(10_000).packets), durable ? [] : ["PUBACK 1", "PUBREC 2"])
    }
  })

  it("gives what arrived before its consumers to all that join before it is acknowledged", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.feed(publish("a", 1, 1), publish("a", 2, 2))
    const first = h.add("a", { retained: "none" })
    const second = h.add("#", { retained: "none" })
    const output = h.flush()
    assert.deepStrictEqual([topicsFor(first, output), topicsFor(second, output)], [["a", "a"], ["a", "a"]])
    const deliveries = output.deliveries.slice(0, 2).map(({ delivery }) => delivery)
    assert.deepStrictEqual(acknowledgeAll(h, first, deliveries), [])
    assert.deepStrictEqual(acknowledgeAll(h, second, deliveries), ["PUBACK 1", "PUBREC 2"])
    const third = h.add("a", { retained: "none" })
    assert.deepStrictEqual(topicsFor(third, h.flush()), [])
  })

  it("forgets held QoS 1 in a resumed session, and binds held QoS 2", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.feed(publish("a", 1, 1), publish("b", 2, 2))
    h.disconnect()
    h.connect(true)
    assert.strictEqual(h.engine.stats.unclaimed, 1)
    h.feed(publish("a", 1, 1, { dup: true }), publish("b", 2, 2, { dup: true }))
    assert.strictEqual(h.engine.stats.unclaimed, 2)
    const consumer = h.add("#", { retained: "none" })
    const { deliveries } = h.flush()
    assert.deepStrictEqual(topics({ deliveries } as never), ["b", "a"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries.map(({ delivery }) => delivery)), [
      "PUBREC 2",
      "PUBACK 1"
    ])
  })

  it("puts what a consumer left behind among what is held already, in the order of arrival", () => {
    const h = new Harness()
    h.connect()
    const consumer = h.subscribe("a", { retained: "none" })
    h.feed(publish("a", 1, 1), publish("b", 1, 2))
    h.engine.removeConsumer(consumer, h.now)
    h.add("#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), ["a", "b"])
  })

  it("holds what a consumer left behind while there was no connection, when the session is lost", () => {
    const { consumer, h, receive } = consuming({})
    receive(publish("a", 1, 1), publish("b", 2, 2))
    h.disconnect()
    h.engine.removeConsumer(consumer, h.now)
    h.connect(false)
    h.add("#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), ["a", "b"])
  })

  it("holds what a consumer left behind after its session was lost", () => {
    const { consumer, h, receive } = consuming({})
    receive(publish("a", 1, 1), publish("b", 2, 2))
    h.disconnect()
    h.connect(false)
    h.engine.removeConsumer(consumer, h.now)
    const second = h.add("#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), ["a", "b"])
    h.engine.removeConsumer(second, h.now)
    h.add("#", { retained: "none" })
    assert.deepStrictEqual(topics(h.flush()), ["a", "b"])
  })

  it("keeps holding when the session is lost", () => {
    const h = new Harness()
    h.connect()
    h.feed(publish("a", 1, 1), publish("b", 2, 2))
    h.disconnect()
    h.connect(false)
    const consumer = h.add("#", { retained: "none" })
    const { deliveries } = h.flush()
    assert.deepStrictEqual(topics({ deliveries } as never), ["a", "b"])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries.map(({ delivery }) => delivery)), [])
  })

  it("a message that waited for a consumer, and was left by it, takes one successor", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const first = h.subscribe("#", { retained: "none" })
    leave(h, first)
    h.feed(publish("a", 1, 1))
    leave(h, h.add("#", { retained: "none" }))
    h.flush()
    const successor = h.add("#", { retained: "none" })
    const { deliveries } = h.flush()
    assert.deepStrictEqual(deliveries.map(({ consumer }) => consumer === successor), [true])
    assert.deepStrictEqual(acknowledgeAll(h, successor, deliveries.map(({ delivery }) => delivery)), ["PUBACK 1"])
  })
})
