import { assert, describe, it } from "@effect/vitest"
import {
  ack,
  acknowledgeAll,
  eventTags,
  Harness,
  leave,
  publish,
  suback,
  topics,
  topicsFor,
  versions,
  words
} from "./harness.ts"

const named = (name: string) => ({ name, retained: "none" }) as const

describe.each(versions)("consumers with a name, version %s", (protocolVersion) => {
  const make = (durable = true): Harness => {
    const h = new Harness({ protocolVersion, durable })
    h.connect()
    return h
  }

  it("messages that one has not finished wait for it, although another one has finished them and time passes", () => {
    const h = make(false)
    const billing = h.subscribe("#", named("billing"))
    const audit = h.subscribe("#", named("audit"))
    const { deliveries } = h.feed(publish("a", 1, 1), publish("b", 2, 2))
    for (const { consumer, delivery } of deliveries) if (consumer === audit) h.acknowledge(audit, delivery)
    leave(h, billing)
    assert.deepStrictEqual(words(h.tick(1e9).packets), [])
    const back = h.add("#", named("billing"))
    const again = h.flush()
    assert.deepStrictEqual(topicsFor(back, again), ["a", "b"])
    assert.deepStrictEqual(acknowledgeAll(h, back, again.deliveries.map(({ delivery }) => delivery)), [
      "PUBACK 1",
      "PUBREC 2"
    ])
  })

  it("messages that arrive while one is absent wait for it, but not QoS 0", () => {
    const h = make(false)
    leave(h, h.subscribe("#", named("billing")))
    const output = h.feed(publish("a", 1, 1), publish("b", 0, 0), publish("c", 2, 2))
    assert.deepStrictEqual(words(output.packets), [])
    assert.deepStrictEqual(eventTags(output), ["UnclaimedDropped"])
    assert.deepStrictEqual(h.engine.namedConsumers(), [
      { name: "billing", filters: ["#"], isAbsent: true, unfinished: 2 }
    ])
    h.add("#", named("billing"))
    assert.deepStrictEqual(topics(h.flush()), ["a", "c"])
  })

  it("keeps the subscription at the server while it is absent", () => {
    const h = make(false)
    leave(h, h.subscribe("a", named("billing")))
    assert.deepStrictEqual(h.sent(), [])
    h.disconnect()
    assert.deepStrictEqual(words(h.connect(false).packets).map((word) => word.replace(/ \d+ /, " ")), ["SUBSCRIBE a:2"])
  })

  it("a name is unique in its session", () => {
    const h = make(false)
    h.subscribe("a", named("billing"))
    assert.strictEqual(h.refusedConsumer("b", named("billing")), "InvalidOptions")
  })

  it("is stored, and absent after a restart: its messages wait for it", () => {
    const h = make()
    h.subscribe(["a/#", "b"], named("billing"))
    h.flush()
    const next = h.restart()
    next.connect(true)
    next.grant()
    assert.deepStrictEqual(next.reply(publish("a/1", 1, 1), publish("b", 2, 2)), [])
    next.tick(1e9)
    assert.deepStrictEqual(next.sent(), [])
    const other = next.add("a/#", named("audit"))
    assert.deepStrictEqual(topicsFor(other, next.flush()), [])
    const back = next.add(["a/#", "b"], named("billing"))
    assert.deepStrictEqual(topicsFor(back, next.flush()), ["a/1", "b"])
  })

  it("after a restart a QoS 2 message comes only to those that had not finished it", () => {
    const h = make()
    const audit = h.subscribe("#", named("audit"))
    h.subscribe("#", named("billing"))
    const { deliveries } = h.feed(publish("a", 2, 1))
    h.acknowledge(audit, deliveries[0]!.delivery)
    assert.deepStrictEqual(h.sent(), [])
    const next = h.restart()
    const [auditBack, billingBack] = [next.add("#", named("audit")), next.add("#", named("billing"))]
    next.connect(true)
    const output = next.feed(publish("a", 2, 1, { dup: true }))
    assert.deepStrictEqual([topicsFor(auditBack, output), topicsFor(billingBack, output)], [[], ["a"]])
    assert.include(acknowledgeAll(next, billingBack, output.deliveries.map(({ delivery }) => delivery)), "PUBREC 1")
    assert.deepStrictEqual(next.reply(ack("Pubrel", 1)), ["PUBCOMP 1"])
  })

  it("with other filters it counts what it no longer wants as finished", () => {
    const h = make(false)
    leave(h, h.subscribe("#", named("billing")))
    h.feed(publish("a", 1, 1), publish("b", 1, 2))
    const back = h.add("b", named("billing"))
    const output = h.flush()
    assert.deepStrictEqual(topicsFor(back, output), ["b"])
    assert.include(words(output.packets), "PUBACK 1")
  })

  it("forgotten, it drops the messages that wait for it, and its subscription unless another consumer needs it", () => {
    const h = make(false)
    leave(h, h.subscribe("a", named("billing")))
    h.feed(publish("a", 1, 1))
    assert.isTrue(h.engine.forgetConsumer("billing", h.now))
    const output = h.flush()
    assert.deepStrictEqual(words(output.packets), ["PUBACK 1", "UNSUBSCRIBE 2 a"])
    assert.deepStrictEqual(eventTags(output), ["UnclaimedDropped"])
    assert.isFalse(h.engine.forgetConsumer("billing", h.now))
  })

  it("forgotten while it is there, it continues without a name", () => {
    const h = make()
    const billing = h.subscribe("a", named("billing"))
    h.engine.forgetConsumer("billing", h.now)
    h.flush()
    assert.deepStrictEqual(Array.from(h.records.keys()), ["subscription/a"])
    assert.deepStrictEqual(topicsFor(billing, h.feed(publish("a", 1, 1))), ["a"])
    assert.deepStrictEqual(h.engine.namedConsumers(), [])
  })

  it("unsubscribing from its last filter forgets it", () => {
    const h = make()
    leave(h, h.subscribe(["a", "b"], named("billing")))
    h.engine.unsubscribe("a", h.now)
    h.grant()
    assert.deepInclude(h.records.get("consumer/billing"), { filters: ["b"] })
    h.engine.unsubscribe("b", h.now)
    h.grant()
    assert.strictEqual(h.records.size, 0)
  })

  it("absent, it is forgotten when the server refuses its subscription, which an event reports", () => {
    const h = make()
    h.subscribe("a", named("billing"))
    h.flush()
    const next = h.restart()
    const { packets: [subscribe] } = next.connect(false)
    assert(subscribe?._tag === "Subscribe")
    const output = next.feed(suback(subscribe.packetIdentifier, 0x80))
    assert.deepStrictEqual(eventTags(output), ["ConsumerForgotten"])
    assert.strictEqual(next.records.size, 0)
  })

  it("absent, it is named when it holds back the acknowledgements of others", () => {
    const h = new Harness({ protocolVersion, ackDeadline: 10_000 })
    h.connect()
    leave(h, h.subscribe("a", named("billing")))
    h.subscribe("b", { retained: "none" })
    h.feed(publish("a", 1, 1), publish("b", 1, 2))
    const [event] = h.tick(5000).events
    assert.deepInclude(event, { _tag: "SlowConsumer", filters: ["a"], absent: ["billing"], waiting: 1 })
  })
})
