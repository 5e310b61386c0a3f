import { assert, describe, it } from "@effect/vitest"
import { Closed } from "../../src/MqttError.ts"
import { eventTags, Harness, outcomeOf } from "./harness.ts"

const bounds = (messages: number, policy: "suspend" | "fail" | "dropOldest" | "dropNewest" | "latestPerTopic") => ({
  queue: { messages, bytes: 1000, policy }
})

describe("the outbound queue", () => {
  it("suspend: answers Full, and calls again when it has shrunk", () => {
    const h = new Harness({ ...bounds(8, "suspend"), maxInflight: 1 })
    for (let i = 0; i < 8; i++) h.publish(`t${i}`, 1)
    assert.strictEqual(h.refusal("late", 1), "Full")
    assert.isFalse(h.flush().spaceAvailable)
    const output = h.connect()
    assert.deepStrictEqual(output.packets.length, 1)
    assert.isTrue(output.spaceAvailable)
    assert.strictEqual(h.refusal("late", 1), "Accepted")
    assert.strictEqual(h.refusal("later", 1), "Full")
    assert.isFalse(h.flush().spaceAvailable, "nothing has changed since")
    const first = h.feed({ _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} })
    assert.isTrue(first.spaceAvailable)
  })

  it("suspend: calls again only when there is room", () => {
    const h = new Harness(bounds(8, "suspend"))
    h.publish("a", 0, { payload: new Uint8Array(500) })
    assert.strictEqual(h.refusal("b", 0, { payload: new Uint8Array(600) }), "Full")
    assert.isFalse(h.flush().spaceAvailable)
    h.tick(1000)
    assert.isFalse(h.flush().spaceAvailable)
    assert.isTrue(h.connect().spaceAvailable)
  })

  it("suspend: lets a thousand waiting publishers through", () => {
    const h = new Harness({ ...bounds(10, "suspend"), queue: { messages: 10, bytes: 1_000_000, policy: "suspend" } })
    h.connect()
    const waiting = { count: 1000 }
    const retry = () => {
      h.engine.setWritable(false, h.now)
      while (waiting.count > 0 && h.admit("a", 0)._tag === "Accepted") waiting.count--
      h.engine.setWritable(true, h.now)
    }
    retry()
    for (let turn = 0; turn < 1000 && h.flush().spaceAvailable; turn++) retry()
    assert.strictEqual(waiting.count, 0)
  })

  it("fail: refuses a message when there is no room", () => {
    const h = new Harness(bounds(2, "fail"))
    h.publish("a", 0)
    h.publish("b", 0)
    assert.strictEqual(h.refusal("c", 0), "QueueFull")
    assert.strictEqual(h.engine.stats.queuedMessages, 2)
  })

  it("has room as soon as an acknowledgement has made some", () => {
    const h = new Harness({ ...bounds(1, "fail"), maxInflight: 1 })
    h.connect()
    h.publish("a", 1)
    h.publish("b", 1)
    assert.strictEqual(h.refusal("c", 1), "QueueFull")
    h.flush()
    h.receive({ _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} })
    assert.strictEqual(h.refusal("c", 1), "Accepted")
  })

  it("dropOldest: makes room by dropping the oldest that was not sent", () => {
    const h = new Harness({ ...bounds(2, "dropOldest"), maxInflight: 1 })
    h.connect()
    const sent = h.publish("sent", 1)
    h.flush()
    const [a, b, c] = [h.publish("a", 1), h.publish("b", 1), h.publish("c", 1)]
    const output = h.flush()
    assert.deepStrictEqual(output.settled, [a])
    assert.deepStrictEqual(output.events, [{ _tag: "OutboundDropped", topic: "a", reason: "dropOldest" }])
    assert.deepStrictEqual([sent, a, b, c].map(outcomeOf), [undefined, "Dropped", undefined, undefined])
  })

  it("dropNewest: refuses the new message as dropped", () => {
    const h = new Harness(bounds(2, "dropNewest"))
    h.publish("a", 0)
    h.publish("b", 0)
    assert.strictEqual(h.refusal("c", 0), "Dropped")
    assert.deepStrictEqual(h.flush().events, [{ _tag: "OutboundDropped", topic: "c", reason: "dropNewest" }])
    assert.deepStrictEqual(h.connect().packets.length, 2)
  })

  it("latestPerTopic: keeps the latest message of a topic, at the end of the queue", () => {
    const h = new Harness(bounds(3, "latestPerTopic"))
    const first = h.publish("a", 0)
    h.publish("b", 0)
    const second = h.publish("a", 0)
    assert.deepStrictEqual(h.flush().settled, [first])
    assert.strictEqual(outcomeOf(first), "Dropped")
    const output = h.connect()
    assert.deepStrictEqual(output.packets.map((packet) => "topic" in packet && packet.topic), ["b", "a"])
    assert.strictEqual(outcomeOf(second), 0)
    // Nothing waits now, so the next messages go out, all of them.
    h.publish("a", 0)
    h.publish("a", 0)
    assert.strictEqual(h.flush().packets.length, 2)
  })

  it("latestPerTopic: drops the oldest when all topics differ", () => {
    const h = new Harness(bounds(2, "latestPerTopic"))
    const a = h.publish("a", 0)
    h.publish("b", 0)
    h.publish("c", 0)
    assert.deepStrictEqual(h.flush().settled, [a])
    assert.strictEqual(h.engine.stats.queuedMessages, 2)
  })

  it("latestPerTopic: replaces the latest message, not one of its topic that has come back ahead of it", () => {
    const h = new Harness(bounds(5, "latestPerTopic"))
    h.connect()
    h.publish("x", 1)
    h.publish("a", 1)
    h.flush()
    h.disconnect()
    const second = h.publish("a", 1)
    h.connect(false, { receiveMaximum: 1 })
    const third = h.publish("a", 1)
    assert.deepStrictEqual(h.flush().settled, [second])
    // The first one goes out, and the third one is still the latest.
    h.feed({ _tag: "Puback", packetIdentifier: 3, reasonCode: 0, properties: {} })
    h.publish("a", 1)
    assert.deepStrictEqual(h.flush().settled, [third])
  })

  it("counts bytes, and admits a message that is larger than the queue when it is alone", () => {
    const h = new Harness(bounds(100, "fail"))
    h.publish("a", 0, { payload: new Uint8Array(5000) })
    assert.strictEqual(h.refusal("b", 0), "QueueFull")
    assert.strictEqual(h.engine.stats.queuedBytes, 5001)
    h.connect()
    assert.strictEqual(h.engine.stats.queuedBytes, 0)
    h.disconnect()
    h.publish("c", 0, { payload: new Uint8Array(500) })
    assert.strictEqual(h.refusal("d", 0, { payload: new Uint8Array(500) }), "QueueFull")
    assert.strictEqual(h.refusal("d", 0, { payload: new Uint8Array(498) }), "Accepted")
  })

  it("counts what is sent and not acknowledged among its bytes", () => {
    const h = new Harness(bounds(100, "fail"))
    h.connect()
    const half = { payload: new Uint8Array(499) }
    h.publish("a", 1, half)
    h.publish("b", 2, half)
    assert.deepStrictEqual([h.sent().length, h.engine.stats.inflightBytes], [2, 1000])
    // It goes through an empty queue, waits there, and nothing else has room.
    h.publish("c", 1, half)
    assert.deepStrictEqual([h.sent().length, h.engine.stats.queuedBytes], [0, 500])
    assert.strictEqual(h.refusal("d", 1), "QueueFull")
    assert.strictEqual(h.reply({ _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} }).length, 1)
    assert.deepStrictEqual([h.engine.stats.inflightBytes, h.engine.stats.queuedBytes], [1000, 0])
  })

  it("withdraws what was never sent, and nothing else", () => {
    const h = new Harness({ maxInflight: 1, durable: true })
    h.connect()
    const sent = h.publish("a", 1)
    const queued = h.publish("b", 1)
    h.flush()
    assert.isTrue(h.engine.withdraw(queued, h.now))
    assert.isFalse(h.engine.withdraw(queued, h.now))
    assert.isFalse(h.engine.withdraw(sent, h.now))
    const output = h.feed({ _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(output.settled, [sent])
    assert.deepStrictEqual(output.packets, [])
    assert.isUndefined(queued.outcome)
    assert.strictEqual(h.records.size, 0)
  })

  it("drops a message whose time is over before it is sent", () => {
    const h = new Harness()
    const short = h.publish("a", 1, { expiresAfter: 1500 })
    const byInterval = h.publish("b", 1, { properties: { messageExpiryInterval: 2 } })
    const longer = h.publish("c", 1, { expiresAfter: 60_000, properties: { messageExpiryInterval: 3 } })
    const never = h.publish("d", 1)
    assert.strictEqual(h.engine.nextDeadline(), h.now + 1500)
    const output = h.untilDeadline()
    assert.deepStrictEqual(output.settled, [short])
    assert.deepStrictEqual(output.events, [{ _tag: "OutboundDropped", topic: "a", reason: "expired" }])
    assert.strictEqual(h.engine.nextDeadline(), h.now + 1000, "the queue is looked through once a second")
    assert.deepStrictEqual(h.untilDeadline().settled, [byInterval])
    h.now += 10_000
    const connected = h.connect()
    assert.deepStrictEqual(connected.settled, [longer])
    assert.strictEqual(connected.packets.length, 1)
    assert.deepStrictEqual([short, byInterval, longer, never].map(outcomeOf), [
      "Expired",
      "Expired",
      "Expired",
      undefined
    ])
    assert.isUndefined(h.engine.nextDeadline())
  })

  it("sends a message that expires at once while it can", () => {
    const h = new Harness()
    h.connect()
    h.publish("a", 0, { properties: { messageExpiryInterval: 0 } })
    assert.strictEqual(h.flush().packets.length, 1)
    h.disconnect()
    const late = h.publish("b", 0, { properties: { messageExpiryInterval: 0 } })
    h.now++
    h.connect(true)
    assert.strictEqual(outcomeOf(late), "Expired")
  })

  it("settles everything that is left when the session ends, once, and queues nothing again", () => {
    const h = new Harness({ maxInflight: 3, durable: true })
    h.connect()
    const messages = [h.publish("a", 1), h.publish("b", 2), h.publish("c", 2), h.publish("d", 1), h.publish("e", 0)]
    h.flush()
    h.feed({ _tag: "Pubrec", packetIdentifier: 2, reasonCode: 0, properties: {} })
    const stored = h.records.size
    h.engine.abandon(new Closed({}), h.now)
    assert.strictEqual(h.refusal("f", 1), "Closed")
    h.disconnect()
    const settled = new Set(h.flush().settled)
    assert.strictEqual(settled.size, 5)
    for (const message of messages) assert.isTrue(settled.has(message) && outcomeOf(message) === "Closed")
    assert.strictEqual(h.records.size, stored, "what is stored stays for the next process")
    assert.deepStrictEqual(h.flush().settled, [])
  })

  it("settles QoS 0 as failed when the session ends and its connection before the write", () => {
    const h = new Harness()
    h.connect()
    const message = h.publish("a", 0)
    h.engine.take()
    h.engine.abandon(new Closed({}), h.now)
    h.disconnect()
    assert.deepStrictEqual(h.flush().settled, [message])
    assert.strictEqual(outcomeOf(message), "Closed")
  })

  it("reports each acceptance once", () => {
    const h = new Harness({ durable: true })
    const message = h.publish("a", 1)
    const output = h.flush()
    assert.deepStrictEqual(output.accepted, [message])
    assert.strictEqual(output.changes.length, 1)
    assert.deepStrictEqual(eventTags(output), [])
    assert.deepStrictEqual(h.connect().accepted, [])
  })
})
