import { assert, describe, it } from "@effect/vitest"
import type { Consumer } from "../../src/internal/engine/contract.ts"
import { Harness, leave, publish, suback, topicsFor, words } from "./harness.ts"

describe("routing", () => {
  it("gives each consumer a message once when a packet carries several subscription identifiers", () => {
    const h = new Harness()
    h.connect()
    const options = { retained: "none" } as const
    const both = h.subscribe(["a/+", "a/#"], options)
    const one = h.subscribe("a/#", options)
    const output = h.feed(publish("a/b", 0, 0, { ids: [1, 2] }))
    assert.deepStrictEqual([topicsFor(both, output), topicsFor(one, output)], [["a/b"], ["a/b"]])
  })

  it("gives each consumer a message once when the server sends a copy for each subscription", () => {
    const h = new Harness()
    h.connect()
    const options = { retained: "none" } as const
    const both = h.subscribe(["a/+", "a/#"], options)
    const reversed = h.subscribe(["a/#", "a/+"], options)
    const wide = h.subscribe("a/#", options)
    const copies = [publish("a/b", 1, 1, { ids: [2] }), publish("a/b", 1, 2, { ids: [1] })]
    const { deliveries } = h.feed(...copies)
    const takes = (consumer: Consumer) =>
      deliveries.filter((delivery) => delivery.consumer === consumer).map(({ delivery }) => delivery.packetIdentifier)
    assert.deepStrictEqual([both, reversed, wide].map(takes), [[2], [1], [1]])
  })

  it("takes the copy of a later filter while an earlier one is not granted", () => {
    const h = new Harness()
    h.connect()
    h.subscribe("a/#", { retained: "none" })
    const consumer = h.add(["a/+", "a/#"], { retained: "none" })
    h.flush()
    assert.deepStrictEqual(topicsFor(consumer, h.feed(publish("a/b", 0, 0, { ids: [1] }))), ["a/b"])
    assert.deepStrictEqual(topicsFor(consumer, h.feed(publish("a/b", 0, 0, { ids: [2] }))), ["a/b"])
  })

  it("takes one copy when the SUBACK was lost, and a copy has shown that the server has the filter", () => {
    const h = new Harness()
    h.connect()
    const consumer = h.add(["a/+", "a/#"], { retained: "none" })
    h.flush()
    h.feed(suback(2, 2))
    h.disconnect()
    h.connect(true)
    const copies = [publish("a/b", 0, 0, { ids: [1] }), publish("a/b", 0, 0, { ids: [2] })]
    assert.deepStrictEqual(topicsFor(consumer, h.feed(...copies)), ["a/b"])
  })

  it("acknowledges a copy that no consumer is meant to get", () => {
    const h = new Harness()
    h.connect()
    h.subscribe(["a/+", "a/#"], { retained: "none" })
    const output = h.feed(publish("a/b", 1, 7, { ids: [2] }))
    assert.deepStrictEqual([words(output.packets), output.deliveries, output.events], [["PUBACK 7"], [], []])
  })

  it("holds a message whose subscription has no consumer, even if others match its topic", () => {
    const h = new Harness({ durable: true })
    h.connect()
    leave(h, h.subscribe("a/#"))
    const other = h.subscribe("a/+", { retained: "none" })
    assert.deepStrictEqual(topicsFor(other, h.feed(publish("a/b", 1, 7, { ids: [1] }))), [])
    assert.strictEqual(h.engine.stats.unclaimed, 1)
    const late = h.add("a/#", { retained: "none" })
    assert.deepStrictEqual(topicsFor(late, h.flush()), ["a/b"])
  })

  it("routes by topic when there is no known identifier", () => {
    const h = new Harness()
    h.connect()
    const both = h.subscribe(["a/+", "a/#"], { retained: "none" })
    const output = h.feed(publish("a/b", 0, 0), publish("a/c", 0, 0, { ids: [99] }), publish("b", 0, 0, { ids: [99] }))
    assert.deepStrictEqual(topicsFor(both, output), ["a/b", "a/c"])
    assert.deepStrictEqual(output.events.length, 1)
  })

  it("routes by topic on version 4, each consumer once per copy", () => {
    const h = new Harness({ protocolVersion: 4 })
    h.connect()
    const both = h.subscribe(["a/+", "a/#"], { retained: "none" })
    const other = h.subscribe("b", { retained: "none" })
    const output = h.feed(publish("a/b", 0, 0))
    assert.deepStrictEqual([topicsFor(both, output), topicsFor(other, output)], [["a/b"], []])
  })

  it("delivers to a shared subscription by the filter behind its name", () => {
    const h = new Harness({ subscriptionIdentifiers: "off" })
    h.connect()
    const shared = h.subscribe("$share/g/a/+")
    assert.deepStrictEqual(topicsFor(shared, h.feed(publish("a/b", 0, 0))), ["a/b"])
    const second = h.add("$share/g/a/+")
    assert.strictEqual(second.state, "active", "a shared subscription has no retained messages to wait for")
  })

  it("delivers retained-as-published messages like any other", () => {
    const h = new Harness()
    h.connect()
    const consumer = h.subscribe("a", { retainAsPublished: true, retained: "none" })
    const output = h.feed(publish("a", 0, 0, { retain: true, ids: [1] }), publish("a", 0, 0, { retain: true }))
    assert.deepStrictEqual(topicsFor(consumer, output), ["a", "a"])
  })
})
