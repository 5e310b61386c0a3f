/**
 * Messages and subscriptions over which the server ends the connection.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Output } from "../../src/internal/engine/contract.ts"
import { ack, connack, eventTags, Harness, outcomeOf, suback, versions, words } from "./harness.ts"

const last = "the connection was lost: the server closed it"

describe.each(versions)("a packet over which the server ends the connection, version %s", (protocolVersion) => {
  const make = (options: ConstructorParameters<typeof Harness>[0] = {}): Harness =>
    new Harness({ protocolVersion, poisonThreshold: 3, ...options })

  /** The server answers the PINGREQs that prove the connection; all that is sent but those. */
  const proved = (h: Harness, first: Output): ReadonlyArray<string> => {
    const sent: Array<string> = []
    for (let output = first;; output = h.feed({ _tag: "Pingresp" })) {
      const packets = words(output.packets)
      sent.push(...packets.filter((packet) => packet !== "PINGREQ"))
      if (!packets.includes("PINGREQ")) return sent
    }
  }

  /** The server closes the connection, and the next one resumes the session; what is sent then. */
  const closed = (h: Harness): ReadonlyArray<string> => {
    h.engine.disconnected(h.now, last)
    return proved(h, h.connect(true))
  }

  it("is sent alone from the second time on, and fails after the threshold; then the others are sent", () => {
    const h = make()
    h.connect()
    const poison = h.publish("poison", 2)
    const other = h.publish("other", 1)
    h.flush()
    assert.deepStrictEqual(closed(h), ["PUBLISH*2 1 poison", "PUBLISH*1 2 other"])
    assert.deepStrictEqual(closed(h), ["PUBLISH*2 1 poison"])
    const waiting = h.publish("waiting", 0)
    assert.deepStrictEqual(h.sent(), [])
    h.engine.disconnected(h.now, last)
    const output = h.flush()
    assert.strictEqual(outcomeOf(poison), "PoisonMessage")
    assert.deepStrictEqual(output.events, [{ _tag: "OutboundDropped", topic: "poison", reason: "poison" }])
    assert.deepStrictEqual(words(h.connect(true).packets), ["PUBLISH*1 2 other", "PUBLISH0 0 waiting"])
    h.feed(ack("Puback", 2))
    assert.deepStrictEqual([outcomeOf(other), outcomeOf(waiting)], [0, 0])
  })

  it("is not one that the server has answered, nor any after it has answered", () => {
    const h = make()
    h.connect()
    const messages = ["a", "b", "c"].map((topic) => h.publish(topic, 1))
    h.flush()
    for (const identifier of [1, 2, 3]) {
      closed(h)
      closed(h)
      h.feed(ack("Puback", identifier))
    }
    assert.deepStrictEqual(messages.map(outcomeOf), [0, 0, 0])
  })

  it("is not counted while the network fails, or when it was never written", () => {
    const h = make()
    h.connect()
    const message = h.publish("a", 1)
    h.flush()
    for (let i = 0; i < 10; i++) {
      h.disconnect()
      h.connect(true)
    }
    for (let i = 0; i < 10; i++) {
      // The packet is in an output that is not written.
      h.engine.disconnected(h.now, last)
      h.receive(connack(true))
      h.engine.take()
    }
    h.engine.disconnected(h.now, last)
    assert.isUndefined(outcomeOf(message))
  })

  it("is no longer suspected when a connection lasts after it was sent", () => {
    const h = make()
    h.connect()
    const message = h.publish("slow", 1)
    h.publish("other", 1)
    h.flush()
    for (let i = 0; i < 5; i++) {
      closed(h)
      assert.deepStrictEqual(closed(h), ["PUBLISH*1 1 slow"])
      assert.deepStrictEqual(words(h.tick(10_000).packets), ["PUBLISH*1 2 other"])
    }
    assert.isUndefined(outcomeOf(message))
  })

  it("is no longer suspected when a connection ends by a network failure while it is tested", () => {
    const h = make()
    h.connect()
    const message = h.publish("a", 1)
    h.flush()
    for (let i = 0; i < 10; i++) {
      closed(h)
      h.engine.disconnected(h.now, last)
      assert.deepStrictEqual(words(h.connect(true).packets), ["PINGREQ"])
      h.feed({ _tag: "Pingresp" })
      assert.deepStrictEqual(closed(h), ["PUBLISH*1 1 a"])
    }
    assert.isUndefined(outcomeOf(message))
  })

  it("may be a PUBREL", () => {
    const h = make()
    h.connect()
    const message = h.publish("a", 2)
    const other = h.publish("b", 1)
    h.flush()
    h.feed(ack("Pubrec", 1))
    h.feed(ack("Puback", 2))
    h.publish("c", 1)
    h.flush()
    assert.deepStrictEqual(closed(h), ["PUBREL 1", "PUBLISH*1 3 c"])
    assert.deepStrictEqual(closed(h), ["PUBREL 1"])
    assert.deepStrictEqual(closed(h), ["PUBLISH*1 3 c"])
    assert.deepStrictEqual([outcomeOf(message), outcomeOf(other)], ["PoisonMessage", 0])
  })

  it("may be a SUBSCRIBE: the consumer fails, the others are served", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    h.connect()
    const poison = h.add("poison", { retained: "none" })
    const other = h.add("other", { retained: "none" })
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 1 poison:2 other:2"])
    // Perhaps the packet had too many filters.
    h.engine.disconnected(h.now, last)
    assert.deepStrictEqual(words(h.connect(true).packets), ["SUBSCRIBE 2 poison:2", "SUBSCRIBE 3 other:2"])
    h.engine.disconnected(h.now, last)
    h.connect(true)
    h.engine.disconnected(h.now, last)
    // Now it goes alone, and the others behind it.
    assert.deepStrictEqual(proved(h, h.connect(true)), ["SUBSCRIBE 6 poison:2"])
    h.engine.disconnected(h.now, last)
    h.flush()
    assert.strictEqual(poison.reason?._tag, "PoisonMessage")
    assert.deepStrictEqual(words(h.connect(true).packets), ["SUBSCRIBE 7 other:2"])
    h.feed(suback(7, 2))
    assert.strictEqual(other.state, "active")
  })

  it("keeps its identifier out of use until the server has answered it, or has lost the session", () => {
    const h = make({ durable: true })
    h.connect()
    h.publish("poison", 2)
    h.flush()
    closed(h)
    closed(h)
    closed(h)
    h.publish("a", 2)
    assert.deepStrictEqual(h.sent(), ["PUBLISH2 2 a"])
    assert.deepInclude(h.records.get("outbound/0000000000000001"), { state: "quarantined", packetIdentifier: 1 })
    const next = h.restart()
    assert.deepStrictEqual(words(next.connect(true).packets), ["PUBLISH*2 2 a"])
    // The server has had it all the same.
    assert.deepStrictEqual(next.reply(ack("Pubrec", 1)), ["PUBREL 1"])
    next.feed(ack("Pubcomp", 1))
    assert.isFalse(next.records.has("outbound/0000000000000001"))
    const lost = h.restart()
    lost.connect(false)
    assert.isFalse(lost.records.has("outbound/0000000000000001"))
  })

  it("with a threshold of 0 no packet fails", () => {
    const h = make({ poisonThreshold: 0 })
    h.connect()
    const message = h.publish("a", 1)
    h.publish("b", 1)
    h.flush()
    for (let i = 0; i < 20; i++) assert.deepStrictEqual(closed(h), ["PUBLISH*1 1 a", "PUBLISH*1 2 b"])
    assert.isUndefined(outcomeOf(message))
  })

  it("also fails in a session that starts again with each connection", () => {
    const h = make()
    h.connect()
    const poison = h.publish("poison", 1)
    const other = h.publish("other", 1)
    h.flush()
    for (let i = 0; i < 3; i++) {
      h.engine.disconnected(h.now, last)
      proved(h, h.connect(false))
    }
    assert.deepStrictEqual([outcomeOf(poison), outcomeOf(other)], ["PoisonMessage", undefined])
  })
})

describe("a message that was sent and that the new connection does not admit", () => {
  it("is indeterminate, and its identifier is not used while the server has the session", () => {
    const h = new Harness({ durable: true })
    h.connect()
    const sent = h.publish("a", 2)
    const other = h.publish("b", 1)
    h.flush()
    h.disconnect()
    const waiting = h.publish("c", 2)
    const output = h.connect(true, { maximumQoS: 1 })
    assert.deepStrictEqual([sent, other, waiting].map(outcomeOf), ["Indeterminate", undefined, "NotSupported"])
    assert.deepStrictEqual(words(output.packets), ["PUBLISH*1 2 b"])
    assert.deepInclude(h.records.get("outbound/0000000000000001"), { state: "quarantined" })
    assert.deepStrictEqual(eventTags(output), [])
    h.disconnect()
    h.connect(false)
    assert.isFalse(h.records.has("outbound/0000000000000001"))
  })

  it("is indeterminate as well when the server has lost the session in which it was sent, and cannot be withdrawn", () => {
    const h = new Harness()
    h.connect()
    const sent = h.publish("a", 2)
    h.flush()
    h.disconnect()
    h.connect(false, { receiveMaximum: 1 })
    h.disconnect()
    assert.isFalse(h.engine.withdraw(sent, h.now))
    h.connect(false, { maximumQoS: 1 })
    assert.strictEqual(outcomeOf(sent), "Indeterminate")
  })
})
