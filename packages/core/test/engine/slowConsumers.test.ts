import { assert, describe, it } from "@effect/vitest"
import { acknowledgeAll, consuming, eventTags, Harness, publish, words } from "./harness.ts"

describe("slow consumers", () => {
  const slow = (options: ConstructorParameters<typeof Harness>[0]) => consuming({ ackDeadline: 10_000, ...options })

  it("names the consumer whose message has blocked the acknowledgements behind it for half the deadline, once", () => {
    const { consumer, h, receive } = slow({})
    const [a, b] = receive(publish("a", 1, 1), publish("b", 1, 2), publish("c", 1, 3))
    h.acknowledge(consumer, b!)
    assert.strictEqual(h.engine.nextDeadline(), h.now + 5000)
    assert.deepStrictEqual(h.tick(4999).events, [])
    assert.deepStrictEqual(h.tick(1).events, [{
      _tag: "SlowConsumer",
      filters: ["#"],
      absent: [],
      message: a!.message,
      waiting: 2
    }])
    assert.isUndefined(h.engine.nextDeadline())
    assert.deepStrictEqual(h.tick(100_000).events, [])
    assert.deepStrictEqual(acknowledgeAll(h, consumer, [a!]), ["PUBACK 1", "PUBACK 2"])
  })

  it("reports nothing for a message that blocks no other", () => {
    const { h, receive } = slow({})
    receive(publish("a", 1, 1), publish("b", 2, 2))
    assert.isUndefined(h.engine.nextDeadline())
  })

  it("begins to count when the next message waits behind, and again with each head", () => {
    const { consumer, h, receive } = slow({})
    const [a] = receive(publish("a", 2, 1))
    h.tick(8000)
    receive(publish("b", 2, 2), publish("c", 2, 3))
    assert.strictEqual(h.engine.nextDeadline(), h.now + 5000)
    h.now += 3000
    h.acknowledge(consumer, a!)
    assert.strictEqual(h.engine.nextDeadline(), h.now + 5000)
  })

  it("does not count the time that a held message was the head", () => {
    const h = new Harness({ ackDeadline: 10_000 })
    h.connect()
    h.feed(publish("a", 1, 1))
    h.subscribe("b", { retained: "none" })
    h.feed(publish("b", 1, 2), publish("b", 1, 3))
    assert.deepStrictEqual(eventTags(h.tick(10_000)), ["UnclaimedDropped"])
    assert.deepStrictEqual(eventTags(h.tick(4999)), [])
    assert.deepStrictEqual(h.tick(1).events.map((event) => event._tag === "SlowConsumer" && event.filters), [["b"]])
  })

  it("names the consumer within a second when the receive maximum is exhausted", () => {
    const { h, receive } = slow({ receiveMaximum: 1 })
    receive(publish("a", 1, 1))
    assert.deepStrictEqual(eventTags(h.tick(1000)), ["SlowConsumer"])
  })

  it("acknowledge: acknowledges for a consumer that has not moved for the deadline, all that it has blocked so long", () => {
    const { consumer, h, receive } = slow({ onAckDeadline: "acknowledge" })
    const other = h.subscribe("b", { retained: "none" })
    const deliveries = receive(publish("a", 1, 1), publish("a", 1, 2), publish("b", 1, 3), publish("a", 1, 4))
    h.tick(5000)
    const output = h.tick(5000)
    assert.deepStrictEqual(words(output.packets), ["PUBACK 1", "PUBACK 2"])
    // Its own acknowledgements come late, and change nothing any more.
    assert.deepStrictEqual(acknowledgeAll(h, consumer, deliveries), [])
    assert.deepStrictEqual(acknowledgeAll(h, other, deliveries), ["PUBACK 3", "PUBACK 4"])
  })

  it("reconnect: asks for a new connection, once", () => {
    const { h, receive } = slow({ onAckDeadline: "reconnect" })
    receive(publish("a", 1, 1), publish("b", 1, 2), publish("c", 2, 3), publish("d", 2, 4))
    assert.deepStrictEqual(eventTags(h.tick(10_000)), ["SlowConsumer", "ReconnectWanted", "SlowConsumer"])
    h.disconnect()
    h.connect(true)
    receive(publish("a", 1, 1), publish("b", 1, 2))
    assert.deepStrictEqual(eventTags(h.tick(10_000)), ["SlowConsumer", "ReconnectWanted"])
  })
})
