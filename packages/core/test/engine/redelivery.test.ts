import { assert, describe, it } from "@effect/vitest"
import { ack, acknowledgeAll, Harness, inbound, leave, publish, topics, topicsFor, words } from "./harness.ts"

const uses = ({ deliveries }: ReturnType<Harness["flush"]>): ReadonlyArray<string> =>
  deliveries.map(({ delivery }) => delivery.use)

const released = ({ events }: ReturnType<Harness["flush"]>): ReadonlyArray<number> =>
  events.flatMap((event) => event._tag === "InboundReleased" ? [event.packetIdentifier] : [])

describe("the use of a QoS 2 packet identifier", () => {
  it("is that of the store for a redelivery, and another one for the next message under the identifier", () => {
    const h = new Harness({ durable: true })
    h.engine.restore([inbound(7, false)], h.now)
    const consumer = h.add("t")
    h.connect(true)
    const output = h.feed(publish("t", 2, 7, { dup: true }), publish("t", 2, 8))
    assert.deepStrictEqual(uses(output), ["earlier.7", "life.0"])
    for (const { delivery } of output.deliveries) h.engine.acknowledge(consumer, delivery, h.now)
    h.flush()
    assert.deepStrictEqual(released(h.feed(ack("Pubrel", 7))), [7])
    assert.deepStrictEqual(uses(h.feed(publish("t", 2, 7))), ["life.1"])
  })

  it("stays with a message that a consumer left unfinished; QoS 1 has none", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const first = h.subscribe("t")
    assert.deepStrictEqual(uses(h.feed(publish("t", 2, 1), publish("t", 1, 2))), ["life.0", ""])
    h.engine.removeConsumer(first, h.now)
    h.flush()
    h.add("t")
    assert.deepStrictEqual(uses(h.flush()), ["life.0", ""])
  })

  it("is stored with the identifier", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.feed(publish("t", 2, 1))
    assert.deepInclude(h.records.get("inbound/1"), { use: "life.0", acknowledged: false })
    const next = h.restart({ life: "next" })
    next.connect(true)
    assert.strictEqual(next.engine.inboundUse(1), "life.0")
    next.feed(publish("t", 2, 1, { dup: true }), publish("t", 2, 2))
    assert.strictEqual(next.engine.inboundUse(2), "next.0")
  })

  it("only a durable session reports which identifiers are released", () => {
    const h = new Harness()
    h.connect()
    const consumer = h.subscribe("t")
    for (const { delivery } of h.feed(publish("t", 2, 1)).deliveries) h.engine.acknowledge(consumer, delivery, h.now)
    h.flush()
    assert.deepStrictEqual(released(h.feed(ack("Pubrel", 1))), [])
  })
})

describe("packet identifiers that the store knows and the server has not mentioned", () => {
  const restored = (): Harness => {
    const h = new Harness({ durable: true })
    h.engine.restore([
      inbound(7, true),
      inbound(8, false),
      {
        _tag: "Subscription",
        granted: true,
        filter: "t",
        qos: 2,
        noLocal: false,
        retainAsPublished: false,
        subscriptionIdentifier: 0
      }
    ], h.now)
    h.records.set("inbound/7", inbound(7, true))
    h.records.set("inbound/8", inbound(8, false))
    return h
  }

  it("subscribes to nothing before the server has answered PINGREQ, and forgets them then", () => {
    const h = restored()
    const output = h.connect(true)
    assert.deepStrictEqual(words(output.packets), ["PINGREQ"])
    // The old session has this one; what comes later under 7 cannot be of it.
    h.feed(publish("t", 2, 8, { dup: true }))
    assert.deepStrictEqual(h.reply({ _tag: "Pingresp" }), ["SUBSCRIBE 1 t:2"])
    assert.deepStrictEqual(Array.from(h.records.keys()), ["inbound/8", "subscription/t"])
    h.grant()
  })

  it("after a kill before the commit of a new session, a redelivery under an old identifier is not taken for the old message", () => {
    const h = restored()
    const consumer = h.add("t", { retained: "none" })
    h.connect(true)
    h.feed({ _tag: "Pingresp" })
    // The new message was lost with the connection, and comes again.
    h.disconnect()
    h.connect(true)
    const output = h.feed(publish("t", 2, 7, { dup: true }))
    assert.deepStrictEqual(topics(output), ["t"])
    h.acknowledge(consumer, output.deliveries[0]!.delivery)
    assert.deepStrictEqual(h.sent(), ["PUBREC 7"])
  })

  it("keeps them while the connection ends before the answer", () => {
    const h = restored()
    h.connect(true)
    h.disconnect()
    assert.deepStrictEqual(words(h.connect(true).packets), ["PINGREQ"])
    assert.deepStrictEqual(h.reply(publish("t", 2, 7, { dup: true })), ["PUBREC 7"])
  })

  it("keeps them when the receive maximum has stopped the server", () => {
    const h = restored()
    h.engine.connecting(false, 1)
    h.connect(true)
    h.feed(publish("t", 2, 8, { dup: true }), { _tag: "Pingresp" })
    assert.deepStrictEqual(h.reply(ack("Pubrel", 8), publish("t", 2, 7, { dup: true })), ["PUBCOMP 8", "PUBREC 7"])
  })
})

describe("a CONNECT whose CONNACK was lost", () => {
  const make = (): Harness => {
    const h = new Harness()
    h.engine.connecting(false)
    h.connect()
    h.subscribe("t", { retained: "none" })
    h.feed(publish("t", 2, 1))
    h.disconnect()
    h.engine.connecting(false)
    return h
  }

  it("may have begun a new session: subscriptions are asked for again, and identifiers are not taken for old messages", () => {
    const h = make()
    h.engine.disconnected(h.now)
    h.engine.connecting(false)
    assert.deepStrictEqual(words(h.connect(true).packets), ["PINGREQ"])
    assert.deepStrictEqual(h.reply({ _tag: "Pingresp" }), ["SUBSCRIBE 2 t:2"])
    assert.deepStrictEqual(topics(h.feed(publish("t", 2, 1))), ["t"])
  })

  it("what the server delivers again is still known", () => {
    const h = make()
    h.engine.disconnected(h.now)
    h.engine.connecting(false)
    h.connect(true)
    assert.deepStrictEqual(topics(h.feed(publish("t", 2, 1, { dup: true }), { _tag: "Pingresp" })), [])
  })

  it("counts only when the network got something of it, and until the server has answered one", () => {
    const h = make()
    h.engine.disconnected(h.now, undefined, false)
    h.engine.connecting(false)
    assert.deepStrictEqual(words(h.connect(true).packets), [])
    h.disconnect()
    h.engine.connecting(false)
    assert.deepStrictEqual(words(h.connect(true).packets), [])
  })
})

describe("a QoS 1 message that is delivered again in a resumed session", () => {
  it("still waits for the successor of a consumer that left it unfinished", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const left = h.subscribe("t", { retained: "none" })
    const stays = h.subscribe("t", { retained: "none" })
    h.feed(publish("t", 1, 1))
    leave(h, left)
    h.disconnect()
    h.connect(true)
    const again = h.feed(publish("t", 1, 1, { dup: true }))
    assert.deepStrictEqual(acknowledgeAll(h, stays, again.deliveries.map(({ delivery }) => delivery)), [])
    const successor = h.add("t", { retained: "none" })
    const output = h.flush()
    assert.deepStrictEqual(topicsFor(successor, output), ["t"])
    assert.deepStrictEqual(acknowledgeAll(h, successor, output.deliveries.map(({ delivery }) => delivery)), [
      "PUBACK 1"
    ])
  })

  it("also when the consumer leaves between CONNACK and the message", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const left = h.subscribe("t", { retained: "none" })
    const stays = h.subscribe("t", { retained: "none" })
    h.feed(publish("t", 1, 1))
    h.disconnect()
    h.connect(true)
    leave(h, left)
    const again = h.feed(publish("t", 1, 1, { dup: true }))
    assert.deepStrictEqual(topicsFor(stays, again), ["t"])
    assert.deepStrictEqual(acknowledgeAll(h, stays, again.deliveries.map(({ delivery }) => delivery)), [])
  })

  it("another message under its identifier does not wait", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const left = h.subscribe("t", { retained: "none" })
    const stays = h.subscribe("t", { retained: "none" })
    h.feed(publish("t", 1, 1))
    leave(h, left)
    h.disconnect()
    h.connect(true)
    const other = h.feed(publish("t", 1, 1))
    assert.deepStrictEqual(acknowledgeAll(h, stays, other.deliveries.map(({ delivery }) => delivery)), ["PUBACK 1"])
  })
})
