/**
 * Queued messages that a store has given as bytes behave as those that it has given as objects.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Output } from "../../src/internal/engine/contract.ts"
import { makeQueuedRecords } from "../../src/internal/engine/outboundMessage.ts"
import { Closed } from "../../src/MqttError.ts"
import { none } from "../../src/Properties.ts"
import type { QoS } from "../../src/QoS.ts"
import type { OutboundRecord, StoreRecord } from "../../src/StoreRecord.ts"
import { stored } from "../storedRecords.ts"
import { ack, Harness, outcomeOf, publishesOf, textOf, words } from "./harness.ts"

const offset = 5_000_000
/** The time of the engine when it is made. */
const begin = 1_000_000

const sent = (output: Output): ReadonlyArray<string> => publishesOf(output).map(({ topic }) => topic)

const outbound = (sequence: number, options: Partial<OutboundRecord> = {}): OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: `t/${sequence}`,
  payload: new Uint8Array(sequence % 40).fill(sequence),
  qos: 1,
  retain: false,
  properties: none,
  acceptedAt: offset + 1000,
  expiresAt: undefined,
  ...options
})

const restored = (
  records: ReadonlyArray<StoreRecord>,
  options: ConstructorParameters<typeof Harness>[0] = {},
  asBytes = true
): Harness => {
  const h = new Harness({ durable: true, ...options })
  h.engine.epochOffset = offset
  const { queued, records: others } = stored(asBytes ? records : [])
  h.engine.restore(asBytes ? others : records, h.now, queued)
  return h
}

const queue = (policy: "suspend" | "dropOldest" | "latestPerTopic", messages = 1000, bytes = 1_000_000) => ({
  queue: { messages, bytes, policy }
})

const many = (count: number, first = 1): ReadonlyArray<OutboundRecord> =>
  Array.from({ length: count }, (_, index) => outbound(first + index))

describe("messages of a store that are bytes", () => {
  it("are sent in their order, before what is published later", () => {
    const h = restored(many(100), { maxInflight: 30 })
    h.publish("later", 1)
    assert.strictEqual(h.engine.stats.queuedMessages, 101)
    const all = [...sent(h.connect(true))]
    for (let id = 1; all.length < 101; id++) all.push(...sent(h.feed(ack("Puback", id))))
    assert.deepStrictEqual(all, [...many(100).map(({ topic }) => topic), "later"])
    assert.strictEqual(h.engine.stats.queuedMessages, 0)
    assert.strictEqual(h.engine.stats.queuedBytes, 0)
  })

  it("get numbers above theirs behind them", () => {
    const h = restored([outbound(41), outbound(7)])
    assert.strictEqual(h.publish("later", 1).sequence, 42)
  })

  it("come in the order of their numbers from a store that has none, and once each", () => {
    const h = restored([3, 1, 2, 3, 1].map((sequence) => outbound(sequence)))
    assert.strictEqual(h.engine.stats.queuedMessages, 3)
    assert.deepStrictEqual(sent(h.connect(true)), ["t/1", "t/2", "t/3"])
  })

  it("keep everything of the message", () => {
    const message = outbound(1, {
      qos: 2,
      retain: true,
      payload: new Uint8Array(100_000).fill(7),
      properties: { contentType: "text/plain", userProperties: [["a", "b"], ["a", "c"]], messageExpiryInterval: 60 }
    })
    const [packet] = restored([message]).connect(true).packets
    const { payload, properties, qos, retain } = packet?._tag === "Publish" ? packet : assert.fail("no PUBLISH")
    assert.deepStrictEqual(new Uint8Array(payload), message.payload)
    assert.deepStrictEqual([qos, retain, properties.contentType], [2, true, "text/plain"])
    assert.deepStrictEqual(properties.userProperties, [["a", "b"], ["a", "c"]])
    assert.strictEqual(properties.messageExpiryInterval, 1, "most of the minute was spent in the store")
  })

  it("count against the bytes and the messages of the queue", () => {
    const h = restored([outbound(1, { payload: new Uint8Array(500) })], queue("suspend", 2, 1000))
    assert.strictEqual(h.engine.stats.queuedBytes, 503)
    assert.strictEqual(h.refusal("t/2", 1, { payload: new Uint8Array(500) }), "Full")
    h.publish("t/2", 1)
    assert.strictEqual(h.refusal("t/3", 1), "Full")
  })

  it("dropOldest drops them first", () => {
    const h = restored(many(3), queue("dropOldest", 3))
    h.publish("new", 1)
    const { changes, events } = h.flush()
    assert.deepStrictEqual(events, [{ _tag: "OutboundDropped", topic: "t/1", reason: "dropOldest" }])
    assert.isTrue(changes.some((change) => change._tag === "Delete" && change.key.endsWith("0001")))
    assert.deepStrictEqual(sent(h.connect(true)), ["t/2", "t/3", "new"])
  })

  it("latestPerTopic finds the older one of a topic among them", () => {
    const h = restored([outbound(1, { topic: "a" }), outbound(2, { topic: "b" })], queue("latestPerTopic"))
    h.publish("a", 1)
    assert.deepStrictEqual(h.flush().events, [{ _tag: "OutboundDropped", topic: "a", reason: "latestPerTopic" }])
    assert.deepStrictEqual(sent(h.connect(true)), ["b", "a"])
  })

  it("expire while others wait, at their own time, and are forgotten", () => {
    const h = restored(
      Array.from(
        { length: 9 },
        (_, index) => outbound(index + 1, index % 3 === 2 ? { expiresAt: offset + begin + (index + 1) * 1000 } : {})
      )
    )
    h.publish("later", 1, { expiresAfter: 4500 })
    assert.strictEqual(h.engine.nextDeadline(), begin + 3000)
    const { changes, events, settled } = h.tick(4500)
    assert.deepStrictEqual(events.map((event) => "topic" in event ? event.topic : ""), ["t/3", "later"])
    assert.deepStrictEqual(settled.map(outcomeOf), ["Expired", "Expired"])
    assert.strictEqual(changes.filter(({ _tag }) => _tag === "Delete").length, 2)
    assert.strictEqual(h.engine.nextDeadline(), begin + 6000)
    assert.deepStrictEqual(sent(h.connect(true)), [1, 2, 4, 5, 6, 7, 8, 9].map((n) => `t/${n}`))
  })

  it("the oldest one has waited since its acceptance", () => {
    const h = restored(many(2))
    assert.strictEqual(h.engine.stats.oldestQueuedAt, 1000)
  })

  it("what was sent on a lost connection goes before them again", () => {
    const h = restored([outbound(1, { state: "publishing", packetIdentifier: 9 }), ...many(5, 2)], { maxInflight: 3 })
    assert.deepStrictEqual(sent(h.connect(true)), ["t/1", "t/2", "t/3"])
    h.engine.disconnected(h.now)
    // The server has lost the session.
    const again = publishesOf(h.connect(false))
    assert.deepStrictEqual(again.map(({ topic }) => topic), ["t/1", "t/2", "t/3"])
    assert.deepStrictEqual(sent(h.feed(ack("Puback", again[0]!.packetIdentifier))), ["t/4"])
  })

  it("fail as one when the session ends, and their records stay", () => {
    const h = restored(many(1000), queue("suspend", 2000))
    h.publish("own", 1)
    h.flush()
    h.engine.abandon(new Closed({}), h.now)
    const { changes, events, settled } = h.flush()
    assert.deepStrictEqual(changes, [])
    // The first one is an object already, because it was looked at.
    assert.deepStrictEqual(settled.map(({ request: { topic } }) => topic), ["t/1", "own"])
    assert.deepStrictEqual(settled.map(outcomeOf), ["Closed", "Closed"])
    assert.deepStrictEqual(
      events.map((event) => event._tag === "OrphanFailed" ? [event.reason._tag, event.count] : []),
      [["Closed", 999]]
    )
    assert.strictEqual(h.engine.stats.queuedMessages, 0)
  })

  it("free their memory as they are sent", () => {
    const queued = makeQueuedRecords()
    const publish = new Uint8Array(1000)
    for (let sequence = 1; sequence <= 2000; sequence++) queued.add(outbound(sequence), publish)
    const buffers = new Set(Array.from(queued, ({ publish: { buffer } }) => buffer))
    for (let taken = 0; taken < 1990; taken++) queued.take()
    const left = new Set(Array.from(queued, ({ publish: { buffer } }) => buffer))
    assert.isAbove(buffers.size, 8)
    assert.strictEqual(left.size, 1)
    assert.isAtMost(Array.from(left, ({ byteLength }) => byteLength).reduce((a, b) => a + b, 0), 262_144)
  })

  it("few of them take little memory", () => {
    const queued = makeQueuedRecords()
    queued.add(outbound(1), new Uint8Array(50))
    assert.isAtMost(Array.from(queued)[0]!.publish.buffer.byteLength, 4096)
  })
})

/** What an engine has done, in words. */
const story = (h: Harness, seed: number): ReadonlyArray<string> => {
  let state = seed
  const next = (count: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor(state / 65_536) % count
  }
  const told: Array<string> = []
  const tell = (): void => {
    const { changes, events, packets, settled, spaceAvailable } = h.flush()
    const payloads = packets.map((packet) => packet._tag === "Publish" ? textOf(packet.payload) : "")
    const { inflight, oldestQueuedAt, queuedBytes, queuedMessages } = h.engine.stats
    told.push(JSON.stringify([
      words(packets),
      payloads,
      changes.map((change) => change._tag === "Put" ? change.record : change.key),
      settled.map((message) => [message.sequence, outcomeOf(message)]),
      events,
      spaceAvailable,
      [inflight, oldestQueuedAt, queuedBytes, queuedMessages, h.engine.nextDeadline()]
    ]))
  }
  let isConnected = false
  for (let step = 0; step < 60; step++) {
    const choice = next(7)
    if (choice === 0 && !isConnected) {
      h.connect(next(3) > 0)
      isConnected = true
    } else if (choice === 1 && isConnected) {
      h.engine.disconnected(h.now)
      isConnected = false
    } else if (choice <= 3) {
      h.admit(`n/${next(4)}`, next(3) as QoS, next(2) === 0 ? { expiresAfter: next(5000) } : {})
    } else if (choice === 4) {
      h.now += next(3000)
      h.engine.tick(h.now)
    } else if (isConnected) {
      h.receive(ack(next(2) === 0 ? "Puback" : "Pubrec", 1 + next(4)))
    }
    tell()
  }
  h.engine.abandon(new Closed({}), h.now)
  return told
}

describe("messages of a store", () => {
  it.each(["suspend", "dropOldest", "latestPerTopic"] as const)(
    "behave alike as bytes and as objects, whatever happens, policy %s",
    (policy) => {
      for (let seed = 1; seed <= 60; seed++) {
        const records = Array.from({ length: 12 }, (_, index) => {
          const sequence = 3 + index * (1 + seed % 3)
          return outbound(sequence, {
            qos: (1 + (index * seed) % 2) as QoS,
            topic: `n/${(index * seed) % 5}`,
            expiresAt: (index + seed) % 4 === 0 ? offset + begin + ((index * seed * 997) % 9000) : undefined,
            ...(index < seed % 3 && { state: "publishing", packetIdentifier: index + 1 })
          })
        })
        const options = { maxInflight: 1 + seed % 5, ...queue(policy, 10) }
        assert.deepStrictEqual(
          story(restored(records, options), seed),
          story(restored(records, options, false), seed),
          `seed ${seed}`
        )
      }
    }
  )
})
