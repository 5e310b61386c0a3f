/**
 * The engine and a store that is slow, fails, or tells of a session that the server does not have any more.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Output } from "../../src/internal/engine/contract.ts"
import { StorageFailed } from "../../src/MqttError.ts"
import type { StoreRecord } from "../../src/StoreRecord.ts"
import {
  ack,
  connack,
  eventTags,
  Harness,
  inbound,
  outcomeOf,
  publish,
  publishesOf,
  resumed,
  suback,
  subscribesOf,
  topics,
  versions,
  words
} from "./harness.ts"

const failure = new StorageFailed({ kind: "full", detail: "no space left" })

/** Fails the commit of an output that was taken. */
const reject = (h: Harness, output: Output | undefined): ReadonlyArray<string> =>
  h.engine.reject(output, failure, h.now)

const taken = (h: Harness): Output => h.engine.take() ?? assert.fail("no output")

const outbound = (
  sequence: number,
  options: Partial<Extract<StoreRecord, { _tag: "Outbound" }>> = {}
): StoreRecord => ({
  _tag: "Outbound",
  sequence,
  state: "publishing",
  packetIdentifier: sequence,
  topic: `t/${sequence}`,
  payload: new Uint8Array(0),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined,
  ...options
})

describe.each(versions)("what waits for a commit, version %s", (protocolVersion) => {
  const make = (options = {}) => {
    const h = new Harness({ protocolVersion, durable: true, ...options })
    h.connect()
    h.subscribe("#", { retained: "none" })
    return h
  }

  it("is not: deliveries with QoS 0 and 1", () => {
    const h = make()
    h.receive(publish("a", 0, 0), publish("b", 1, 1), publish("c", 2, 2), publish("d", 0, 0))
    const independent = h.engine.takeIndependent()!
    assert.deepStrictEqual(independent.deliveries.map(({ delivery }) => delivery.message.topic), ["a", "b", "d"])
    assert.isUndefined(h.engine.takeIndependent())
    const rest = taken(h)
    assert.deepStrictEqual(topics(rest), ["c"])
    assert.deepStrictEqual(rest.changes.map(({ _tag }) => _tag), ["Put"])
  })

  it("is not: messages that were dropped or have expired before they were sent, with their events", () => {
    const h = new Harness({ protocolVersion, durable: true, queue: { messages: 1, bytes: 1000, policy: "dropOldest" } })
    const [dropped, expired] = [h.publish("a", 1), h.publish("b", 1, { expiresAfter: 10 })]
    const independent = h.engine.takeIndependent()!
    assert.deepStrictEqual(independent.settled, [dropped])
    assert.deepStrictEqual(independent.events.map(({ _tag }) => _tag), ["OutboundDropped"])
    h.now += 10
    h.engine.tick(h.now)
    assert.deepStrictEqual(h.engine.takeIndependent()!.settled, [expired])
    assert.deepStrictEqual(taken(h).settled, [])
  })

  it("is: the outcome that the server has brought about, and every packet", () => {
    const h = make()
    const message = h.publish("a", 1)
    h.flush()
    h.receive(ack("Puback", message.packetIdentifier), publish("t", 1, 9))
    assert.deepStrictEqual(h.engine.takeIndependent()!.settled, [])
    assert.deepStrictEqual(taken(h).settled, [message])
  })
})

describe("an output that waits for the store", () => {
  it("stays as small as the queue, whatever is published and dropped meanwhile", () => {
    const h = new Harness({ durable: true, queue: { messages: 100, bytes: 1_000_000, policy: "dropOldest" } })
    h.publish("kept", 1)
    const first = taken(h)
    assert.strictEqual(first.changes.length, 1)
    let dropped = 0
    for (let i = 0; i < 200_000; i++) {
      h.publish(`t/${i}`, 1)
      if (i % 100 === 0) dropped += h.engine.takeIndependent()?.settled.length ?? 0
    }
    dropped += h.engine.takeIndependent()!.settled.length
    assert.strictEqual(dropped, 200_001 - 100)
    h.engine.written()
    const second = taken(h)
    assert.isAtMost(second.changes.length, 2048)
    assert.isAtMost(second.accepted.length, 2048)
    h.commit(first)
    h.commit(second)
    assert.deepStrictEqual(
      Array.from(h.records.values(), (record) => record._tag === "Outbound" && record.topic),
      Array.from({ length: 100 }, (_, i) => `t/${199_900 + i}`)
    )
  })
})

describe.each(versions)("an acceptance that the store did not take, version %s", (protocolVersion) => {
  const make = (options = {}) => {
    const h = new Harness({ protocolVersion, durable: true, ...options })
    h.connect()
    return h
  }

  it("is taken back: the message fails, and neither its packet nor its record remains", () => {
    const h = make()
    const messages = [h.publish("a", 0), h.publish("b", 1), h.publish("c", 2)]
    const output = taken(h)
    const keys = reject(h, output)
    assert.deepStrictEqual(words(output.packets), [])
    assert.deepStrictEqual([output.accepted, output.settled], [[], []])
    assert.strictEqual(keys.length, 3)
    assert.deepStrictEqual(h.engine.takeIndependent()!.settled, messages)
    assert.deepStrictEqual(messages.map(outcomeOf), ["StorageFailed", "StorageFailed", "StorageFailed"])
    h.commit(output)
    h.engine.written()
    h.flush()
    assert.strictEqual(h.records.size, 0)
    h.disconnect()
    assert.deepStrictEqual(resumed(h), [])
  })

  it("releases its packet identifiers and its places in the window", () => {
    const h = make({ maxInflight: 2 })
    h.publish("a", 1)
    h.publish("b", 1)
    h.publish("waits", 1)
    reject(h, taken(h))
    h.engine.written()
    h.flush()
    assert.strictEqual(h.engine.stats.inflight + h.engine.stats.queuedMessages, 0)
    h.publish("c", 1)
    h.publish("d", 1)
    h.publish("e", 1)
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ topic }) => topic), ["c", "d"])
  })

  it("leaves messages that were accepted before, in the queue and in flight", () => {
    const h = make({ maxInflight: 2 })
    const [sent, queued] = [h.publish("a", 1), h.publish("b", 1), h.publish("c", 1)]
    h.flush()
    const settled = h.publish("late", 1)
    h.receive(ack("Puback", sent.packetIdentifier))
    const output = taken(h)
    reject(h, output)
    assert.deepStrictEqual(words(output.packets), [`PUBLISH1 3 c`])
    assert.deepStrictEqual(output.settled, [sent])
    assert.strictEqual(outcomeOf(settled), "StorageFailed")
    assert.isUndefined(queued.outcome)
    h.commit(output)
    h.engine.written()
    h.flush()
    assert.deepStrictEqual(
      Array.from(h.records.values(), (record) => record._tag === "Outbound" && record.topic),
      ["b", "c"]
    )
  })

  it("is taken back too when the connection was lost, and made again, meanwhile", () => {
    const h = make()
    const messages = [h.publish("a", 1), h.publish("b", 0)]
    const output = taken(h)
    h.disconnect()
    h.receive(connack(true))
    h.publish("c", 2)
    reject(h, output)
    h.commit(output)
    assert.deepStrictEqual(words(h.flush().packets), [])
    assert.deepStrictEqual(messages.map(outcomeOf), ["StorageFailed", "StorageFailed"])
    assert.strictEqual(h.records.size, 0)
  })

  it("takes the origin of a forwarded message back with it", () => {
    const h = make()
    h.publish("a", 1, { origin: { forwarder: "f", session: "s", packetIdentifier: 5, use: "1" } })
    const output = taken(h)
    assert.deepStrictEqual(reject(h, output), ["outbound/0000000000000001", "origin/5/1/f/s"])
    h.commit(output)
    h.engine.written()
    h.flush()
    assert.strictEqual(h.records.size, 0)
  })
})

describe("an acceptance that the store did not take", () => {
  it("does not define a topic alias", () => {
    const h = new Harness({ durable: true })
    h.connect(false, { topicAliasMaximum: 5 })
    h.publish("a", 1, { topicAlias: 1 })
    reject(h, taken(h))
    h.engine.written()
    h.publish("a", 1, { topicAlias: 1 })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ topic }) => topic), ["a"])
  })
})

describe("the limit on the age of all messages", () => {
  const expiresAfter = (own: number | undefined, interval: number | undefined) => {
    const h = new Harness({ queue: { messages: 10, bytes: 1000, policy: "fail", expiresAfter: 5000 } })
    h.publish("a", 1, {
      expiresAfter: own,
      properties: interval === undefined ? {} : { messageExpiryInterval: interval }
    })
    return h.engine.nextDeadline()! - h.now
  }

  it("holds together with the message's own limits, and the shortest wins", () => {
    assert.strictEqual(expiresAfter(undefined, undefined), 5000)
    assert.strictEqual(expiresAfter(1000, undefined), 1000)
    assert.strictEqual(expiresAfter(9000, 3), 3000)
    assert.strictEqual(expiresAfter(9000, 60), 5000)
  })
})

describe.each(versions)("a restart, version %s", (protocolVersion) => {
  it.each([10, 100])("sends as much again at once as a window of %s admits, and new messages behind", (window) => {
    const h = new Harness({ protocolVersion, durable: true, maxInflight: protocolVersion === 4 ? window : 1000 })
    h.engine.restore(Array.from({ length: 1000 }, (_, i) => outbound(i + 1)), h.now)
    h.publish("new", 1)
    const again: Array<number> = []
    let burst = publishesOf(h.connect(true, protocolVersion === 4 ? {} : { receiveMaximum: window }))
    assert.strictEqual(burst.length, window)
    while (again.length < 1000) {
      assert.isAtMost(burst.length, window)
      for (const packet of burst) {
        assert.isTrue(packet.dup)
        again.push(packet.packetIdentifier)
      }
      burst = publishesOf(h.feed(...burst.map(({ packetIdentifier }) => ack("Puback", packetIdentifier))))
    }
    assert.deepStrictEqual(again, Array.from({ length: 1000 }, (_, i) => i + 1))
    assert.deepStrictEqual(words(burst), ["PUBLISH1 1 new"])
  })

  it("sends PUBREL first, then PUBLISH with DUP and the same identifiers, then what was queued", () => {
    const h = new Harness({ protocolVersion, durable: true })
    h.engine.restore([
      outbound(1),
      outbound(2, { state: "releasing", qos: 2 }),
      outbound(3, { qos: 2 }),
      outbound(4, { state: "queued", packetIdentifier: 0 })
    ], h.now)
    assert.deepStrictEqual(resumed(h), ["PUBREL 2", "PUBLISH*1 1 t/1", "PUBLISH*2 3 t/3", "PUBLISH1 4 t/4"])
  })

  it("reports messages that expired while no process ran", () => {
    const h = new Harness({ protocolVersion, durable: true })
    h.engine.restore([outbound(1, { state: "queued", packetIdentifier: 0, expiresAt: h.now - 1 })], h.now)
    assert.isAtMost(h.engine.nextDeadline()!, h.now)
    const { changes, events } = h.tick(0)
    assert.deepStrictEqual(events, [{ _tag: "OutboundDropped", topic: "t/1", reason: "expired" }])
    assert.deepStrictEqual(changes, [{ _tag: "Delete", key: "outbound/0000000000000001" }])
  })
})

// The process died between CONNACK and the commit of what it changed: the records are those of the session before.
describe.each(versions)("records of a session that the server may not have, version %s", (protocolVersion) => {
  const restored = (filters: ReadonlyArray<string> = ["t"]) => {
    const h = new Harness({ protocolVersion, durable: true })
    h.connect()
    h.subscribe(filters, { retained: "none" })
    h.feed(publish("t", 2, 7), publish("t", 2, 8))
    return h.restart()
  }

  /** The server answers PINGREQ, which comes first. */
  const answered = (h: Harness): Output => {
    assert.deepStrictEqual(words(h.connect(true).packets), ["PINGREQ"])
    return h.feed({ _tag: "Pingresp" })
  }

  it("make it subscribe once more on the first connection, without asking for retained messages", () => {
    const h = restored(["t", "u"])
    const packets = subscribesOf(answered(h))
    const filters = packets.flatMap((packet) => packet.filters)
    assert.deepStrictEqual(filters.map(({ filter }) => filter), ["t", "u"])
    if (protocolVersion === 5) assert.deepStrictEqual(filters.map(({ retainHandling }) => retainHandling), [2, 2])
    for (const packet of packets) {
      const output = h.feed(suback(packet.packetIdentifier, ...packet.filters.map(() => 2)))
      assert.deepStrictEqual(output.changes, [], "the store knows it")
    }
    h.disconnect()
    assert.deepStrictEqual(h.connect(true).packets, [], "the second connection resumes what this process has seen")
  })

  it("make it subscribe again on the next connection when there was no answer", () => {
    const h = restored()
    answered(h)
    h.disconnect()
    assert.deepStrictEqual(subscribesOf(h.connect(true)).length, 1)
  })

  it("leave no subscription that the server refuses now", () => {
    const h = restored()
    const consumer = h.add("t", { retained: "none" })
    const [packet] = subscribesOf(answered(h))
    h.feed(suback(packet!.packetIdentifier, 0x80))
    assert.strictEqual(consumer.reason?._tag, "SubscriptionRefused")
    assert.isFalse(h.records.has("subscription/t"))
  })

  it("do not swallow a new message under an identifier that was in use: it is not marked as a redelivery", () => {
    const h = restored()
    const consumer = h.add("t", { retained: "none" })
    h.connect(true)
    const output = h.feed(publish("t", 2, 7))
    assert.deepStrictEqual(topics(output), ["t"])
    h.acknowledge(consumer, output.deliveries[0]!.delivery)
    assert.deepStrictEqual(words(h.flush().packets), ["PUBREC 7"])
    h.feed(ack("Pubrel", 7))
    assert.deepStrictEqual(Array.from(h.records.keys()).sort(), ["inbound/8", "subscription/t"])
  })

  it("recognise a redelivery, which is marked as one, and then a copy of it", () => {
    const h = new Harness({ protocolVersion, durable: true })
    h.engine.restore([inbound(7, true)], h.now)
    h.connect(true)
    for (const dup of [true, false]) {
      const output = h.feed(publish("t", 2, 7, { dup }))
      assert.deepStrictEqual([topics(output), words(output.packets)], [[], ["PUBREC 7"]])
    }
  })
})

describe("another version of MQTT after a restart", () => {
  it("continues with the server's session, from 3.1.1 to 5: the subscriptions get identifiers", () => {
    const h = new Harness({ protocolVersion: 4, durable: true })
    h.connect()
    h.subscribe("t", { qos: 1, retained: "none" })
    h.publish("a", 1)
    h.publish("b", 2)
    h.flush()
    const next = h.restart({ protocolVersion: 5 })
    const output = next.connect(true)
    assert.deepStrictEqual(words(output.packets), ["PUBLISH*1 2 a", "PUBLISH*2 3 b", "SUBSCRIBE 1 t:1"])
    assert.strictEqual(subscribesOf(output)[0]!.properties.subscriptionIdentifier, 1)
  })

  it("continues with the server's session, from 5 to 3.1.1: without what only MQTT 5 has", () => {
    const h = new Harness({ protocolVersion: 5, durable: true })
    h.connect()
    h.subscribe("t", { qos: 1, noLocal: true, retainAsPublished: true, retained: "none" })
    h.publish("a", 1, { properties: { contentType: "x" } })
    h.flush()
    const next = h.restart({ protocolVersion: 4 })
    const output = next.connect(true)
    assert.deepStrictEqual(words(output.packets), ["PUBLISH*1 2 a", "SUBSCRIBE 1 t:1"])
    assert.deepStrictEqual(publishesOf(output)[0]!.properties, {})
    assert.deepInclude(subscribesOf(output)[0]!.filters[0], { noLocal: false, retainAsPublished: false })
    next.feed(suback(1, 1))
    assert.deepStrictEqual(next.records.get("subscription/t"), {
      _tag: "Subscription",
      granted: true,
      filter: "t",
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      subscriptionIdentifier: 0
    })
  })

  it("starts again where the server has no session for it, and loses nothing", () => {
    for (const [before, after] of [[4, 5], [5, 4]] as const) {
      const h = new Harness({ protocolVersion: before, durable: true })
      h.connect()
      h.subscribe("t", { qos: 1, retained: "none" })
      h.publish("a", 1)
      h.flush()
      const output = h.restart({ protocolVersion: after }).connect(false)
      assert.deepStrictEqual(eventTags(output), ["SessionLost"])
      assert.deepStrictEqual(words(output.packets), ["PUBLISH1 1 a", "SUBSCRIBE 2 t:1"])
    }
  })
})
