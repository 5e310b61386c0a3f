import { assert, describe, it } from "@effect/vitest"
import { Harness, leave, publish, suback, subscribesOf, topicsFor, versions, words } from "./harness.ts"

describe.each(versions)("retained messages, version %s", (protocolVersion) => {
  const make = (): Harness => {
    const h = new Harness({ protocolVersion })
    h.connect()
    return h
  }
  const retained = (topic: string, ids?: ReadonlyArray<number>) =>
    publish(topic, 0, 0, { retain: true, ...(ids !== undefined && protocolVersion === 5 ? { ids } : undefined) })
  const handling = (h: Harness) => subscribesOf(h.flush()).map(({ filters }) => filters[0]!.retainHandling)

  it("each: every joining consumer gets them, and no other", () => {
    const h = make()
    const first = h.subscribe("+")
    assert.deepStrictEqual(topicsFor(first, h.feed(retained("a", [1]))), ["a"])
    const second = h.add("+")
    const [packet] = subscribesOf(h.flush())
    assert.strictEqual(packet!.filters[0]!.retainHandling, 0)
    const third = h.add("+")
    // Before SUBACK is early enough, and each topic comes once.
    const before = h.feed(retained("a", [1]))
    assert.deepStrictEqual([topicsFor(first, before), topicsFor(second, before)], [[], ["a"]])
    h.feed(suback(packet!.packetIdentifier, 2))
    assert.deepStrictEqual([second.state, third.state], ["active", "joining"])
    const after = h.feed(retained("a", [1]), retained("b", [1]))
    assert.deepStrictEqual([topicsFor(first, after), topicsFor(second, after)], [["b"], ["b"]])
  })

  it("each: subscribes once for all that join while a SUBSCRIBE is under way", () => {
    const h = make()
    const first = h.add("+")
    const [packet] = subscribesOf(h.flush())
    const [second, third] = [h.add("+"), h.add("+")]
    assert.deepStrictEqual(handling(h), [])
    assert.deepStrictEqual(h.feed(suback(packet!.packetIdentifier, 2)).packets.length, 1)
    assert.deepStrictEqual([first, second, third].map(({ state }) => state), ["active", "joining", "joining"])
    h.receive(suback(2, 2))
    assert.deepStrictEqual([second.state, third.state], ["active", "active"])
    assert.deepStrictEqual(h.sent(), [])
  })

  it("first: only the consumers of the first subscription get them", () => {
    const h = make()
    const first = h.add("+", { retained: "first" })
    const also = h.add("+", { retained: "first" })
    assert.deepStrictEqual(handling(h), [0])
    h.receive(suback(1, 2))
    const late = h.add("+", { retained: "first" })
    assert.strictEqual(late.state, "active")
    const output = h.feed(retained("a", [1]))
    assert.deepStrictEqual([first, also, late].map((consumer) => topicsFor(consumer, output)), [["a"], ["a"], []])
  })

  it("none: no consumer gets them, and they are acknowledged and dropped without an event", () => {
    const h = make()
    const consumer = h.add("+", { retained: "none" })
    assert.deepStrictEqual(handling(h), [protocolVersion === 5 ? 2 : 0])
    h.receive(suback(1, 2))
    const output = h.feed(publish("a", 1, 5, { retain: true }), retained("b"))
    assert.deepStrictEqual(topicsFor(consumer, output), [])
    assert.deepStrictEqual([words(output.packets), output.events], [["PUBACK 5"], []])
  })

  it("waits for ten seconds after SUBACK, and after each retained message", () => {
    const h = make()
    const consumer = h.subscribe("+")
    h.now += 9_999
    assert.deepStrictEqual(topicsFor(consumer, h.feed(retained("a", [1]))), ["a"])
    h.now += 9_999
    assert.deepStrictEqual(topicsFor(consumer, h.feed(retained("b", [1]))), ["b"])
    h.now += 10_000
    assert.deepStrictEqual(topicsFor(consumer, h.feed(retained("c", [1]))), [])
  })

  it("treats a live message as newer than a retained one", () => {
    const h = make()
    const consumer = h.subscribe("+")
    const output = h.feed(publish("a", 0, 0), retained("a", [1]), publish("a", 0, 0))
    assert.deepStrictEqual(output.deliveries.map(({ delivery }) => delivery.message.retain), [false, false])
    assert.deepStrictEqual(topicsFor(consumer, output), ["a", "a"])
  })

  it("brings them again after a lost session", () => {
    const h = make()
    const each = h.subscribe("+")
    const first = h.subscribe("+", { retained: "first" })
    const none = h.subscribe("+", { retained: "none" })
    h.feed(retained("a", [1]))
    h.now += 60_000
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(handling(h), [0])
    const output = h.feed(retained("a", [1]))
    assert.deepStrictEqual([each, first, none].map((consumer) => topicsFor(consumer, output)), [["a"], ["a"], []])
  })

  it("asks again for those that a joining consumer has missed with its connection", () => {
    const h = make()
    h.subscribe("+")
    const late = h.add("+")
    h.flush()
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(handling(h), [0])
    assert.deepStrictEqual(topicsFor(late, h.feed(retained("a", [1]))), ["a"])
  })

  it("does not hold the copy of a consumer that has left", () => {
    const h = make()
    const consumer = h.subscribe("+", { keep: true })
    h.feed(publish("a", 1, 5, { retain: true }))
    leave(h, consumer)
    assert.deepStrictEqual(h.sent(), ["PUBACK 5"])
  })
})
