import { assert, describe, it } from "@effect/vitest"
import type { Packet, Subscribe, Unsubscribe } from "../../src/Packet.ts"
import {
  ack,
  Harness,
  leave,
  publish,
  suback,
  subscribesOf,
  topics,
  topicsFor,
  unsuback,
  versions,
  words
} from "./harness.ts"

describe.each(versions)("subscriptions, version %s", (protocolVersion) => {
  const make = (options: ConstructorParameters<typeof Harness>[0] = {}): Harness => {
    const h = new Harness({ protocolVersion, ...options })
    h.connect()
    return h
  }
  const unsubacked = (h: Harness, id: number) => h.reply(protocolVersion === 5 ? unsuback(id, 0) : unsuback(id))

  it("settles a subscription only by the SUBACK that carries its packet identifier [MQTT3-2.3.1-7] [MQTT3-3.8.4-2] [MQTT5-2.2.1-6] [MQTT5-3.8.4-2]", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const a = h.add("a")
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 1 a:2"])
    const b = h.add("b", { qos: 1 })
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 2 b:1"])
    const output = h.feed(suback(2, 1))
    assert.deepStrictEqual(output.consumers, [b])
    assert.deepStrictEqual([a.state, b.state, b.granted], ["joining", "active", [1]])
    assert.deepStrictEqual(h.feed(suback(3, 2)).events, [{
      _tag: "UnknownPacketIdentifier",
      packet: "Suback",
      packetIdentifier: 3
    }])
    h.feed(suback(1, 0))
    assert.deepStrictEqual([a.state, a.granted], ["active", [0]])
  })

  it("settles an unsubscription only by the UNSUBACK that carries its packet identifier [MQTT3-2.3.1-7] [MQTT3-3.10.4-4] [MQTT5-2.2.1-6] [MQTT5-3.10.4-5]", () => {
    const h = make({ durable: true })
    h.subscribe("a")
    h.subscribe("b")
    h.engine.unsubscribe("a", h.now)
    h.flush()
    h.engine.unsubscribe("b", h.now)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 4 b"])
    assert.strictEqual(h.engine.stats.subscriptions, 2)
    unsubacked(h, 4)
    assert.deepStrictEqual(Array.from(h.records.keys()), ["subscription/a"])
    assert.strictEqual(h.engine.stats.subscriptions, 1)
    unsubacked(h, 3)
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
    assert.strictEqual(h.records.size, 0)
  })

  it("takes an acknowledgement of the wrong kind as a protocol error", () => {
    const wrong = (kind: "subscribe" | "unsubscribe") => {
      const h = make()
      if (kind === "subscribe") h.add("a")
      else h.engine.unsubscribe("a", h.now)
      h.flush()
      return h
    }
    assert.strictEqual(wrong("subscribe").receive(unsuback(1, 0))?.reasonCode, 0x82)
    assert.strictEqual(wrong("subscribe").receive(ack("Puback", 1))?.reasonCode, 0x82)
    assert.strictEqual(wrong("unsubscribe").receive(suback(1, 0))?.reasonCode, 0x82)
    const h = make()
    h.publish("a", 1)
    h.flush()
    assert.strictEqual(h.receive(suback(1, 0))?.reasonCode, 0x82)
  })

  it("takes a SUBACK with the wrong number of reason codes as a protocol error [MQTT3-3.8.4-5] [MQTT5-3.8.4-6]", () => {
    for (const codes of [[], [0], [0, 0, 0]]) {
      const h = make({ subscriptionIdentifiers: "off" })
      h.add(["a", "b"])
      assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 1 a:2 b:2"])
      assert.strictEqual(h.receive(suback(1, ...codes))?.reasonCode, 0x82)
    }
  })

  it("gives the reason codes of a SUBACK to the filters in the order of the SUBSCRIBE [MQTT3-3.9.3-1] [MQTT5-3.9.3-1] [MQTT5-3.8.4-7]", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const [a, b, c] = [h.add("a"), h.add("b"), h.add("c")]
    h.flush()
    const { consumers } = h.feed(suback(1, 1, 0x80, 0))
    assert.deepStrictEqual(new Set(consumers), new Set([a, b, c]))
    assert.deepStrictEqual([a.state, b.state, c.state], ["active", "failed", "active"])
    assert.deepStrictEqual([a.granted, c.granted], [[1], [0]])
    assert.deepInclude(b.reason, { _tag: "SubscriptionRefused", filter: "b", reasonCode: 0x80 })
  })

  it("fails a consumer when one of its filters is refused, and releases the others", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const consumer = h.add(["a", "b"])
    h.flush()
    assert.deepStrictEqual(h.reply(suback(1, 2, 0x80)), ["UNSUBSCRIBE 2 a"])
    assert.strictEqual(consumer.state, "failed")
    assert.strictEqual(h.engine.stats.consumers, 0)
    unsubacked(h, 2)
    assert.strictEqual(h.engine.stats.subscriptions, 0)
    leave(h, consumer)
    assert.strictEqual(consumer.state, "closed")
  })

  it("is active when all filters are granted, in whatever order", () => {
    const h = make()
    const consumer = h.add(["a", "b"], { qos: 1 })
    const requests = subscribesOf(h.flush())
    if (protocolVersion === 5) {
      h.feed(suback(requests[1]!.packetIdentifier, 0))
      assert.strictEqual(consumer.state, "joining")
      h.feed(suback(requests[0]!.packetIdentifier, 1))
    } else {
      h.feed(suback(requests[0]!.packetIdentifier, 1, 0))
    }
    assert.strictEqual(consumer.state, "active")
    assert.deepStrictEqual(consumer.granted, [1, 0])
  })

  it("shares one subscription between consumers of one filter, until the last one leaves", () => {
    const h = make()
    const first = h.subscribe("a", { retained: "none" })
    const second = h.add("a", { retained: "none", qos: 1 })
    assert.strictEqual(second.state, "active", "at once")
    assert.deepStrictEqual(second.granted, [2])
    assert.deepStrictEqual(h.flush().consumers, [second])
    assert.deepStrictEqual(h.feed(publish("a", 0, 0)).deliveries.map(({ consumer }) => consumer), [first, second])
    leave(h, first)
    assert.deepStrictEqual(h.sent(), [])
    leave(h, second)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 2 a"])
    unsubacked(h, 2)
    assert.strictEqual(h.engine.stats.subscriptions, 0)
    assert.strictEqual(h.engine.stats.consumers, 0)
  })

  it("subscribes again for a higher QoS, for all", () => {
    const h = make()
    const low = h.subscribe("a", { qos: 0, retained: "none" })
    const high = h.add("a", { qos: 2, retained: "none" })
    const [packet] = subscribesOf(h.flush())
    assert.deepInclude(packet!.filters[0], { filter: "a", qos: 2, retainHandling: protocolVersion === 5 ? 2 : 0 })
    assert.strictEqual(high.state, "joining")
    h.feed(suback(packet!.packetIdentifier, 2))
    assert.deepStrictEqual(high.granted, [2])
    leave(h, high)
    assert.deepStrictEqual(h.sent(), [], "nothing is gained by a lower one")
    assert.strictEqual(low.state, "active")
  })

  it("fails only the consumer that asked for more when the server refuses an upgrade", () => {
    const h = make()
    const low = h.subscribe("a", { qos: 0, retained: "none" })
    const high = h.add("a", { qos: 2 })
    const [packet] = subscribesOf(h.flush())
    assert.deepStrictEqual(h.reply(suback(packet!.packetIdentifier, 0x80)), [])
    assert.deepStrictEqual([low.state, high.state], ["active", "failed"])
    assert.deepStrictEqual(topics(h.feed(publish("a", 0, 0))), ["a"])
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
  })

  it("sends one SUBSCRIBE or UNSUBSCRIBE at a time for each filter", () => {
    const h = make()
    const first = h.add("a", { qos: 0, retained: "none" })
    const [packet] = subscribesOf(h.flush())
    const second = h.add("a", { qos: 1, retained: "none" })
    leave(h, first)
    assert.deepStrictEqual(h.sent(), [])
    assert.deepStrictEqual(h.reply(suback(packet!.packetIdentifier, 0)), ["SUBSCRIBE 2 a:1"])
    leave(h, second)
    const third = h.add("a", { qos: 1, retained: "none" })
    assert.deepStrictEqual(h.reply(suback(2, 1)), [])
    assert.strictEqual(third.state, "active")
    leave(h, third)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 3 a"])
    const fourth = h.add("a", { qos: 1, retained: "none" })
    assert.deepStrictEqual([h.sent(), fourth.state], [[], "joining"])
    assert.deepStrictEqual(unsubacked(h, 3), ["SUBSCRIBE 4 a:1"])
    h.feed(suback(4, 1))
    assert.strictEqual(fourth.state, "active")
  })

  it("sends nothing for a consumer that comes and goes in one turn", () => {
    const h = make()
    leave(h, h.add("a"))
    assert.deepStrictEqual(h.sent(), [])
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
  })

  it("removes a subscription whose consumer left before it was granted, also when it should be kept", () => {
    const h = make({ durable: true })
    const consumer = h.add("a", { keep: true })
    h.flush()
    leave(h, consumer)
    assert.deepStrictEqual(h.reply(suback(1, 2)), ["UNSUBSCRIBE 2 a"])
    unsubacked(h, 2)
    assert.strictEqual(h.records.size, 0)
  })

  it("keeps a subscription that says so, until unsubscribe", () => {
    const h = make()
    leave(h, h.subscribe("a", { keep: true }))
    assert.deepStrictEqual(h.sent(), [])
    const again = h.add("a", { retained: "none" })
    assert.strictEqual(again.state, "active")
    leave(h, again)
    assert.deepStrictEqual(h.sent(), [])
    h.engine.unsubscribe("a", h.now)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 2 a"])
  })

  it("unsubscribes under its consumers, which stay without the filter", () => {
    const h = make()
    const consumer = h.subscribe(["a", "b"], { retained: "none" })
    const joining = h.add(["a", "c"], { retained: "none" })
    const [packet] = subscribesOf(h.flush())
    h.engine.unsubscribe("a", h.now)
    h.grant()
    h.feed(suback(packet!.packetIdentifier, 2))
    assert.deepStrictEqual([consumer.state, joining.state], ["active", "active"])
    assert.strictEqual(h.engine.stats.subscriptions, 2)
    assert.deepStrictEqual(topics(h.feed(publish("a", 0, 0), publish("b", 0, 0), publish("c", 0, 0))), ["b", "c"])
  })

  it("reports which filters of an UNSUBSCRIBE the server refuses, and does not ask again by itself", () => {
    const h = make()
    h.subscribe("a", { keep: true })
    h.subscribe("b", { keep: true })
    h.engine.unsubscribe("a", h.now)
    h.engine.unsubscribe("b", h.now)
    const [packet] = h.flush().packets
    assert.strictEqual(packet?._tag, "Unsubscribe")
    const { packetIdentifier } = packet as Unsubscribe
    const { events } = h.feed(protocolVersion === 5 ? unsuback(packetIdentifier, 0x87, 0) : unsuback(packetIdentifier))
    assert.deepStrictEqual(
      events.map((event) => event._tag === "UnsubscribeRefused" && [event.reason.filter, event.reason.reasonCode]),
      protocolVersion === 5 ? [["a", 0x87]] : []
    )
    assert.deepStrictEqual([h.sent(), h.engine.stats.pendingSubscriptions], [[], 0])
  })

  it("asks the server to remove a subscription that only the server may know", () => {
    const h = make()
    h.engine.unsubscribe("a", h.now)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 1 a"])
    unsubacked(h, 1)
    assert.deepStrictEqual(h.sent(), [])
  })

  it("restores nothing in a resumed session", () => {
    const h = make()
    h.subscribe(["a", "b"])
    h.disconnect()
    assert.deepStrictEqual(h.connect(true).packets, [])
    assert.deepStrictEqual(topics(h.feed(publish("a", 0, 0))), ["a"])
  })

  it("sends the changes that were made while there was no connection", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const a = h.subscribe("a", { retained: "none" })
    h.subscribe("b", { retained: "none" })
    h.disconnect()
    leave(h, a)
    const c = h.add("c")
    h.engine.unsubscribe("b", h.now)
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 3)
    assert.deepStrictEqual(words(h.connect(true).packets), ["SUBSCRIBE 3 c:2", "UNSUBSCRIBE 4 a b"])
    assert.strictEqual(c.state, "joining")
  })

  it("sends again what was under way when the connection ended", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const a = h.subscribe("a", { retained: "none" })
    leave(h, a)
    const b = h.add("b")
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 2 b:2", "UNSUBSCRIBE 3 a"])
    h.disconnect()
    assert.deepStrictEqual(words(h.connect(true).packets), ["SUBSCRIBE 4 b:2", "UNSUBSCRIBE 5 a"])
    h.disconnect()
    const again = h.add("a", { retained: "none" })
    assert.strictEqual(again.state, "joining", "the server may have removed it")
    assert.deepStrictEqual(words(h.connect(true).packets), ["SUBSCRIBE 6 a:2 b:2"])
    h.feed(suback(6, 2, 2))
    assert.deepStrictEqual([b.state, again.state], ["active", "active"])
  })

  it("frees the packet identifier of a request that was lost with its connection", () => {
    const h = make()
    h.add("a")
    h.flush()
    h.disconnect()
    h.connect(true)
    assert.deepStrictEqual(h.feed(ack("Puback", 1)).events.length, 1)
  })

  it("makes a subscription again that the server may have removed", () => {
    const h = make()
    leave(h, h.subscribe("a"))
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 2 a"])
    h.disconnect()
    const next = h.add("a", { retained: "first" })
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(subscribesOf(h.flush()).map(({ filters }) => filters[0]!.retainHandling), [0])
    h.feed(suback(3, 2))
    assert.strictEqual(next.state, "active")
  })

  it("subscribes again to exactly the live filters when the session is lost", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const a = h.subscribe("a", { qos: 2 })
    const low = h.subscribe("a", { qos: 0, retained: "none" })
    h.subscribe("b", { qos: 1, retained: "none" })
    leave(h, h.subscribe("c"))
    leave(h, h.subscribe("kept", { keep: true }))
    h.grant()
    h.disconnect()
    leave(h, a)
    const { packets } = h.connect(false)
    assert.deepStrictEqual(words(packets).map((line) => line.split(" ").slice(2)), [["a:0", "b:1", "kept:2"]])
    h.feed(suback((packets[0] as Subscribe).packetIdentifier, 0, 1, 2))
    assert.strictEqual(low.state, "active")
    assert.strictEqual(h.engine.stats.subscriptions, 3)
  })

  it("fails the active consumers when the session is lost, if the options say so", () => {
    const h = make({ onSessionLost: "fail" })
    const a = h.subscribe("a")
    leave(h, h.subscribe("kept", { keep: true }))
    h.disconnect()
    const b = h.add("b", { retained: "none" })
    const output = h.connect(false)
    assert.deepStrictEqual(output.consumers, [a])
    assert.deepStrictEqual([a.state, a.reason?._tag, b.state], ["failed", "SessionLost", "joining"])
    assert.deepStrictEqual(words(output.packets).map((line) => line.split(" ")[2]), ["b:2"])
  })

  it("splits a SUBSCRIBE into packets of a hundred filters", () => {
    const h = make({ subscriptionIdentifiers: "off" })
    const consumer = h.add(Array.from({ length: 250 }, (_, i) => `f/${i}`))
    assert.deepStrictEqual(h.grant().map(({ filters }) => filters.length), [100, 100, 50])
    assert.strictEqual(consumer.state, "active")
  })

  it("counts a filter that is named twice once", () => {
    const h = make()
    const consumer = h.add(["a", "a"], { retained: "none" })
    assert.deepStrictEqual(h.grant().length, 1)
    assert.deepStrictEqual(consumer.granted, [2, 2])
    assert.deepStrictEqual(topics(h.feed(publish("a", 0, 0))), ["a"])
    assert.strictEqual(h.refusedConsumer([]), "InvalidOptions")
  })

  it("keeps the subscriptions of a durable session in the store, from SUBSCRIBE to UNSUBACK", () => {
    const h = make({ durable: true })
    const consumer = h.add("a", { qos: 1 })
    h.flush()
    assert.deepInclude(h.records.get("subscription/a"), { granted: false })
    h.feed(suback(1, 1))
    assert.deepStrictEqual(Array.from(h.records.values()), [{
      _tag: "Subscription",
      granted: true,
      filter: "a",
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      subscriptionIdentifier: protocolVersion === 5 ? 1 : 0
    }])
    leave(h, consumer)
    assert.deepStrictEqual(h.sent(), [])
    const next = h.restart()
    assert.strictEqual(next.engine.stats.subscriptions, 1)
    assert.deepStrictEqual(words(next.connect(true).packets), ["SUBSCRIBE 1 a:1"])
    assert.deepStrictEqual(next.feed(suback(1, 1)).changes, [])
    next.engine.unsubscribe("a", h.now)
    assert.deepStrictEqual(next.sent(), ["UNSUBSCRIBE 2 a"])
    unsubacked(next, 2)
    assert.strictEqual(next.records.size, 0)
  })
})

describe("subscriptions, version 4", () => {
  it("puts filters that become due together into one SUBSCRIBE", () => {
    const h = new Harness({ protocolVersion: 4 })
    h.add("a")
    h.add(["b", "c"], { qos: 0 })
    assert.deepStrictEqual(words(h.connect().packets), ["SUBSCRIBE 1 a:2 b:0 c:0"])
  })

  it("refuses the subscription options of MQTT 5", () => {
    const h = new Harness({ protocolVersion: 4 })
    assert.strictEqual(h.refusedConsumer("a", { noLocal: true }), "NotSupported")
    assert.strictEqual(h.refusedConsumer("a", { retainAsPublished: true }), "NotSupported")
    assert.strictEqual(h.engine.stats.consumers, 0)
  })

  it("takes an UNSUBACK with reason codes as a protocol error", () => {
    const h = new Harness({ protocolVersion: 4 })
    h.connect()
    h.engine.unsubscribe("a", h.now)
    h.flush()
    assert.strictEqual(h.receive(unsuback(1, 0))?.reasonCode, 0x82)
  })
})

describe("subscriptions, version 5", () => {
  it("gives each filter a SUBSCRIBE with an identifier of its own", () => {
    const h = new Harness()
    h.connect()
    h.add(["a", "b"])
    h.add("c")
    const packets = subscribesOf(h.flush())
    assert.deepStrictEqual(packets.map(({ filters }) => filters.map(({ filter }) => filter)), [["a"], ["b"], ["c"]])
    assert.deepStrictEqual(packets.map(({ properties }) => properties.subscriptionIdentifier), [1, 2, 3])
  })

  it("sends no identifiers to a server that has none", () => {
    const h = new Harness()
    h.connect(false, { subscriptionIdentifiersAvailable: false })
    h.add(["a", "b"])
    const [packet] = subscribesOf(h.flush())
    assert.deepStrictEqual(packet!.filters.length, 2)
    assert.deepStrictEqual(packet!.properties, {})
  })

  it("uses an identifier that the store remembers for nothing else", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.subscribe("a")
    const next = h.restart()
    next.connect(true)
    next.add("b")
    assert.deepStrictEqual(subscribesOf(next.flush()).map(({ properties }) => properties.subscriptionIdentifier), [2])
  })

  it("takes an UNSUBACK with the wrong number of reason codes as a protocol error, and forgets each filter whatever its code", () => {
    const h = new Harness()
    h.connect()
    const a = h.subscribe("a")
    const b = h.subscribe("b")
    leave(h, a)
    leave(h, b)
    assert.deepStrictEqual(h.sent(), ["UNSUBSCRIBE 3 a b"])
    assert.strictEqual(h.receive(unsuback(3, 0))?.reasonCode, 0x82)
    h.disconnect()
    assert.deepStrictEqual(words(h.connect(true).packets), ["UNSUBSCRIBE 4 a b"])
    h.feed(unsuback(4, 0x87, 0x11))
    assert.strictEqual(h.engine.stats.subscriptions, 0)
  })

  it("refuses no local on a shared subscription [MQTT5-3.8.3-4]", () => {
    const h = new Harness()
    assert.strictEqual(h.refusedConsumer("$share/g/a", { noLocal: true }), "InvalidOptions")
    assert.strictEqual(h.refusedConsumer("$share/g/a"), "joining")
  })

  it("refuses options that contradict those of other consumers of the filter", () => {
    const h = new Harness()
    const first = h.add("a", { noLocal: true })
    assert.strictEqual(h.refusedConsumer("a"), "SubscriptionConflict")
    assert.strictEqual(
      h.refusedConsumer(["b", "a"], { noLocal: true, retainAsPublished: true }),
      "SubscriptionConflict"
    )
    assert.strictEqual(h.engine.stats.consumers, 1)
    leave(h, first)
    assert.strictEqual(h.refusedConsumer("a"), "joining")
  })

  it("changes the options of a kept subscription for its next consumer", () => {
    const h = new Harness()
    h.connect()
    leave(h, h.subscribe("a", { keep: true }))
    const next = h.add("a", { noLocal: true, retained: "none" })
    assert.strictEqual(next.state, "joining")
    assert.deepInclude(subscribesOf(h.flush())[0]!.filters[0], { noLocal: true, retainHandling: 2 })
  })

  it("makes sure of the options when the request that changed them was lost", () => {
    const h = new Harness()
    h.connect()
    leave(h, h.subscribe("a", { keep: true }))
    leave(h, h.add("a", { noLocal: true, retained: "none" }))
    h.flush()
    const changed = h.add("a", { noLocal: true, retained: "none" })
    h.flush()
    h.disconnect()
    leave(h, changed)
    const next = h.add("a", { retained: "none" })
    assert.strictEqual(next.state, "joining")
    assert.deepStrictEqual(h.connect(true).packets.length, 1)
  })

  it("refuses filters that the server does not support", () => {
    const h = new Harness()
    const early = h.add("a/+")
    const shared = h.add("$share/g/a")
    const limits = { wildcardSubscriptionAvailable: false, sharedSubscriptionAvailable: false }
    const output = h.connect(false, limits)
    assert.deepStrictEqual([output.packets, output.consumers], [[], [early, shared]])
    assert.deepStrictEqual([early.reason?._tag, shared.reason?._tag], ["NotSupported", "NotSupported"])
    assert.strictEqual(h.refusedConsumer("#"), "NotSupported")
    assert.strictEqual(h.refusedConsumer("$share/g/a"), "NotSupported")
    assert.strictEqual(h.refusedConsumer("a"), "joining")
    assert.deepStrictEqual(h.sent(), ["SUBSCRIBE 1 a:2"])
  })

  it("keeps a SUBSCRIBE within the server's Maximum Packet Size", () => {
    const h = new Harness({ subscriptionIdentifiers: "off" })
    const fits = h.add(Array.from({ length: 20 }, (_, i) => `filter/${i}`))
    const tooLong = h.add("x".repeat(100))
    h.connect(false, { maximumPacketSize: 100 })
    assert.strictEqual(tooLong.reason?._tag, "PacketTooLarge")
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: { maximumPacketSize: 100 } })
    const requests = h.grant()
    assert.isAbove(requests.length, 2)
    assert.strictEqual(requests.reduce((sum, { filters }) => sum + filters.length, 0), 20)
    assert.strictEqual(fits.state, "active")
  })

  it("keeps an older grant when the packet for a new one is too large", () => {
    const h = new Harness({ subscriptionIdentifiers: "off" })
    h.connect()
    const filter = "x".repeat(100)
    const low = h.subscribe(filter, { qos: 0 })
    h.disconnect()
    h.connect(true, { maximumPacketSize: 100 })
    const high = h.add(filter, { qos: 1 })
    h.flush()
    assert.deepStrictEqual([low.state, high.state, high.reason?._tag], ["active", "failed", "PacketTooLarge"])
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
  })
})

describe("a SUBSCRIBE that the server refuses over a quota", () => {
  const make = (options: ConstructorParameters<typeof Harness>[0] = {}): Harness => {
    const h = new Harness({ protocolVersion: 5, subscriptionIdentifiers: "off", ...options })
    h.connect()
    return h
  }
  /** The delays until the next SUBSCRIBE, each of which is refused in the same way. */
  const delays = (h: Harness, refuse: (id: number) => ReadonlyArray<Packet>): ReadonlyArray<number> => {
    const seen: Array<number> = []
    for (let next = h.engine.nextDeadline(); next !== undefined; next = h.engine.nextDeadline()) {
      seen.push(next - h.now)
      const [packet] = subscribesOf(h.tick(next - h.now))
      h.feed(...refuse(packet!.packetIdentifier))
      h.flush()
    }
    return seen
  }

  it("is repeated with increasing delays, and fails when subscribeTimeout would be over", () => {
    const h = make()
    const consumer = h.add("a", { retained: "none" })
    h.flush()
    h.feed(suback(1, 0x97))
    assert.strictEqual(consumer.state, "joining")
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 1)
    assert.deepStrictEqual(h.sent(), [], "not at once")
    assert.deepStrictEqual(delays(h, (id) => [suback(id, 0x97)]), [1000, 2000, 4000, 8000])
    assert.strictEqual(consumer.state, "failed")
    assert.deepInclude(consumer.reason, { _tag: "SubscriptionRefused", filter: "a", reasonCode: 0x97 })
    assert.deepStrictEqual([h.sent(), h.engine.stats.pendingSubscriptions], [[], 0])
  })

  it("is granted later, while the filters that the quota admitted are in force", () => {
    const h = make()
    const [a, b] = [h.add("a"), h.add("b")]
    h.flush()
    h.feed(suback(1, 2, 0x97))
    assert.deepStrictEqual([a.state, b.state], ["active", "joining"])
    assert.strictEqual(h.engine.nextDeadline(), h.now + 1000)
    const [packet] = subscribesOf(h.tick(1000))
    assert.deepStrictEqual(packet!.filters.map(({ filter }) => filter), ["b"])
    h.feed(suback(packet!.packetIdentifier, 1))
    assert.strictEqual(b.state, "active")
    assert.strictEqual(h.engine.nextDeadline(), undefined)
  })

  it("is repeated after the first delay again, once the server has granted another one", () => {
    const h = make()
    h.add("a")
    h.flush()
    h.feed(suback(1, 0x97))
    const [again] = subscribesOf(h.tick(1000))
    h.feed(suback(again!.packetIdentifier, 0x97))
    assert.strictEqual(h.engine.nextDeadline(), h.now + 2000)
    h.add("b")
    const [other] = subscribesOf(h.flush())
    h.feed(suback(other!.packetIdentifier, 0))
    const [third] = subscribesOf(h.tick(2000))
    h.feed(suback(third!.packetIdentifier, 0x97))
    assert.strictEqual(h.engine.nextDeadline(), h.now + 1000)
  })

  it("is not repeated when its consumer has left, nor when subscribeTimeout is shorter than the delay", () => {
    const h = make()
    const consumer = h.add("a")
    h.flush()
    h.feed(suback(1, 0x97))
    leave(h, consumer)
    h.flush()
    assert.deepStrictEqual(subscribesOf(h.tick(1000)), [])
    assert.strictEqual(h.engine.nextDeadline(), undefined)
    assert.strictEqual(h.engine.stats.pendingSubscriptions, 0)
    const short = make({ subscribeTimeout: 999 })
    const refused = short.add("a")
    short.flush()
    short.feed(suback(1, 0x97))
    assert.strictEqual(refused.state, "failed")
  })

  it("is repeated at once on the next connection", () => {
    const h = make()
    h.add("a")
    h.flush()
    h.feed(suback(1, 0x97))
    h.disconnect()
    assert.lengthOf(subscribesOf(h.connect(true)), 1)
    assert.strictEqual(h.engine.nextDeadline(), undefined)
  })

  it("keeps an older grant in force, and brings the retained messages when it is granted", () => {
    const h = make()
    const low = h.subscribe("a", { qos: 0, retained: "each" })
    const high = h.add("a", { qos: 2, retained: "each" })
    const [packet] = subscribesOf(h.flush())
    h.feed(suback(packet!.packetIdentifier, 0x97))
    assert.deepStrictEqual([low.state, high.state], ["active", "joining"])
    const [again] = subscribesOf(h.tick(1000))
    assert.deepInclude(again!.filters[0], { qos: 2, retainHandling: 0 })
    h.feed(suback(again!.packetIdentifier, 2))
    assert.deepStrictEqual([low.state, high.state, high.granted], ["active", "active", [2]])
  })

  it("is repeated as UNSUBSCRIBE too, and reports the refusal at the end", () => {
    const h = make()
    h.subscribe("a", { keep: true })
    h.engine.unsubscribe("a", h.now)
    const [packet] = h.flush().packets
    h.feed(unsuback((packet as Unsubscribe).packetIdentifier, 0x97))
    assert.isFalse(h.engine.isSettled("a"))
    const seen: Array<string> = []
    for (let next = h.engine.nextDeadline(); next !== undefined; next = h.engine.nextDeadline()) {
      const [again] = h.tick(next - h.now).packets
      seen.push(...h.feed(unsuback((again as Unsubscribe).packetIdentifier, 0x97)).events.map(({ _tag }) => _tag))
      h.flush()
    }
    assert.deepStrictEqual(seen, ["UnsubscribeRefused"])
    assert.isTrue(h.engine.isSettled("a"))
  })
})

describe("a durable session whose process died before SUBACK", () => {
  it("keeps the identifier: what the server sends under it is for the same filter", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.add(["a/#", "b/#"], { retained: "none" })
    h.flush()
    const next = h.restart()
    const b = next.add("b/#", { retained: "none" })
    const a = next.add("a/#", { retained: "none" })
    assert.deepStrictEqual([a.state, b.state], ["joining", "joining"])
    next.connect(true)
    const output = next.feed(publish("a/1", 1, 1, { ids: [1] }), publish("b/1", 1, 2, { ids: [2] }))
    assert.deepStrictEqual([topicsFor(a, output), topicsFor(b, output)], [["a/1"], ["b/1"]])
  })

  it("ends at the server what no consumer wants any more", () => {
    const h = new Harness({ durable: true })
    h.connect()
    h.add("a/#", { retained: "none" })
    h.flush()
    const next = h.restart()
    assert.deepStrictEqual(words(next.connect(true).packets), ["UNSUBSCRIBE 1 a/#"])
    next.feed(unsuback(1, 0))
    assert.strictEqual(next.records.size, 0)
  })
})
