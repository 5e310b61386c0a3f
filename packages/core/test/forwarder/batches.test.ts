/**
 * Messages that are published as one, and messages of which several are published.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { ForwarderFailed } from "@effect-mqttx/core/MqttError"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeNet, makePair, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"

const join = (messages: ReadonlyArray<Message>): string => messages.map(({ text }) => text).join(",")

const split = (message: Message): ReadonlyArray<string> => message.text.split(",")

const durable = { persistence: "durable", drainTimeout: "20 millis" } as const

const aDay = "1 day"

describe("Forwarder: batches", () => {
  it.live("are complete with the given number of messages, for each topic separately and in order", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({}, { batch: { messages: 3, time: aDay, join } })
      yield* forwarder.active
      for (let i = 0; i < 6; i++) {
        for (const topic of ["t/1", "t/2"]) yield* net.brokers["a"]!.publish(topic, `${i}`, { qos: 1 })
      }
      const metrics = yield* settled(forwarder, 12)
      assert.strictEqual(metrics.forwarded, 12)
      assert.strictEqual(metrics.bytesForwarded, 12)
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["t/1 0,1,2", "t/2 0,1,2", "t/1 3,4,5", "t/2 3,4,5"])
    }))

  it.live("are for one quality of service and one retain flag, which the batch has", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({}, { batch: { messages: 2, time: aDay, join } })
      yield* forwarder.active
      const { a, b } = net.brokers
      yield* a!.publish("t", "1", { qos: 1 })
      yield* a!.publish("t", "2", { qos: 2 })
      yield* a!.publish("t", "3", { qos: 1, retain: true })
      yield* a!.publish("t", "4", { qos: 2 })
      yield* a!.publish("t", "5", { qos: 1 })
      yield* a!.publish("t", "6", { qos: 1, retain: true })
      yield* settled(forwarder, 6)
      const published = b!.published.map(({ payload, qos, retain }) => [new TextDecoder().decode(payload), qos, retain])
      assert.deepStrictEqual(published, [["2,4", 2, false], ["1,5", 1, false], ["3,6", 1, true]])
    }))

  it.live("have at most the given number of bytes; a larger message is a batch of its own", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({}, { batch: { bytes: 9, time: aDay, join } })
      yield* forwarder.active
      for (const payload of ["aaa", "bbb", "c", "dddddddddddd", "ee"]) {
        yield* net.brokers["a"]!.publish("t", payload, { qos: 1 })
      }
      yield* until(forwarder, ({ forwarded }) => forwarded === 4)
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["t aaa,bbb", "t c", "t dddddddddddd"])
      // What waits is published when the forwarder stops.
      yield* forwarder.stop
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!).at(-1), "t ee")
    }))

  it.live("wait no longer than their time, and no longer than there is room", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const soon = yield* net.forward({ name: "soon", filters: ["soon"] }, { batch: { time: "20 millis", join } })
      const room = yield* net.forward({ name: "room", filters: ["room"], maxInFlight: 2 }, {
        batch: { time: aDay, join }
      })
      yield* Effect.all([soon.active, room.active])
      for (const topic of ["soon", "room"]) {
        for (let i = 0; i < 3; i++) yield* net.brokers["a"]!.publish(topic, `${i}`, { qos: 1 })
      }
      yield* until(soon, ({ forwarded }) => forwarded === 3)
      yield* until(room, ({ forwarded }) => forwarded === 2)
      const published = publishedAt(net.brokers["b"]!)
      assert.strictEqual(published.find((each) => each.startsWith("room")), "room 0,1")
      assert.strictEqual(
        published.filter((each) => each.startsWith("soon")).map((each) => each.slice(5)).join(),
        "0,1,2"
      )
    }))

  for (const qos of [1, 2] as const) {
    it.live(`are acknowledged at the source when the target has them and not before, QoS ${qos}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        const { a, b } = net.brokers
        yield* net.ready("a")
        yield* b!.refuseNetwork
        yield* net.add("b")
        const forwarder = yield* net.forward({}, { batch: { messages: 4, time: aDay, join } })
        yield* forwarder.active
        for (let i = 0; i < 4; i++) yield* a!.publish("t", `${i}`, { qos })
        yield* until(forwarder, ({ inFlight }) => inFlight === 4)
        assert.strictEqual(a!.sessions[0]!.inflight, 4)
        yield* b!.acceptNetwork
        yield* settled(forwarder, 4)
        yield* a!.awaitUntil(() => a!.sessions[0]!.inflight === 0)
        assert.deepStrictEqual(publishedAt(b!), ["t 0,1,2,3"])
      }))
  }

  it.live("of messages that the source delivers again are published with the redeliveries only", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const { a, b } = net.brokers
      yield* net.ready("a")
      const forwarder = yield* net.forward({}, { batch: { messages: 2, time: "50 millis", join } })
      yield* forwarder.active
      for (let i = 0; i < 3; i++) yield* a!.publish("t", `${i}`, { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 3)
      yield* a!.cut(a!.sessions[0]!.clientId)
      yield* until(forwarder, ({ received }) => received === 6)
      yield* net.ready("b")
      const { forwarded, returned } = yield* settled(forwarder, 6)
      assert.deepStrictEqual([forwarded, returned], [3, 3])
      const payloads = publishedAt(b!).flatMap((each) => each.slice(2).split(","))
      assert.deepStrictEqual(payloads, ["0", "1", "2"])
    }))

  it.live("that are refused become dead letters of their messages", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      yield* net.brokers["b"]!.refusePublish("t", 0x87)
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } }, {
        batch: { messages: 2, time: aDay, join }
      })
      yield* forwarder.active
      for (let i = 0; i < 2; i++) yield* net.brokers["a"]!.publish("t", `${i}`, { qos: 1 })
      const { deadLettered } = yield* settled(forwarder, 2)
      assert.strictEqual(deadLettered, 2)
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["dead 0", "dead 1"])
    }))

  it.live("that cannot be joined fail, each message of them", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({}, {
        batch: {
          messages: 2,
          time: aDay,
          join: () => {
            throw new Error("no")
          }
        }
      })
      yield* forwarder.active
      for (let i = 0; i < 2; i++) yield* net.brokers["a"]!.publish("t", `${i}`, { qos: 1 })
      const { failed, lastError } = yield* settled(forwarder, 2)
      assert.strictEqual(failed, 2)
      assert.instanceOf(lastError!.reason, ForwarderFailed)
    }))

  it.live("are published once, although the forwarder stops before their outcome is known", () =>
    Effect.gen(function*() {
      const net = yield* makePair(durable, { record: true })
      const { a, b } = net.brokers
      const forwarder = yield* net.forward({ acceptance: "acknowledged", stopTimeout: "1 millis" }, {
        batch: { messages: 3, time: aDay, join }
      })
      yield* forwarder.active
      yield* b!.refuseNetwork
      yield* b!.cut(b!.sessions[0]!.clientId)
      for (let i = 0; i < 3; i++) yield* a!.publish("t", `${i}`, { qos: 2 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 3)
      yield* forwarder.stop
      yield* forwarder.start
      yield* b!.acceptNetwork
      yield* settled(forwarder, 6)
      yield* a!.awaitUntil(() => a!.sessions[0]!.inflight === 0)
      assert.deepStrictEqual(publishedAt(b!), ["t 0,1,2"])
    }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))

  it.live("have valid options", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const issues = (hooks: object) =>
        Effect.map(Effect.flip(net.forward({}, hooks)), ({ reason }) =>
          reason._tag === "InvalidOptions" ? reason.issues.map(({ path }) => path) : [])
      assert.deepStrictEqual(yield* issues({ batch: 7 }), ["batch"])
      assert.deepStrictEqual(yield* issues({ batch: {} }), ["batch.join"])
      assert.deepStrictEqual(yield* issues({ batch: { messages: 0, bytes: 0.5, time: "2 days", join: 1, more: 1 } }), [
        "batch.messages",
        "batch.bytes",
        "batch.time",
        "batch.join",
        "batch.more"
      ])
      assert.deepStrictEqual(yield* issues({ batch: { join }, split }), ["split"])
      assert.deepStrictEqual(yield* issues({ split: "," }), ["split"])
    }))
})

describe("Forwarder: several messages of one", () => {
  it.live("are published in their order, and count as one", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ mapping: [{ from: "t", to: "x" }] }, { split })
      yield* forwarder.active
      yield* net.brokers["a"]!.publish("t", "1,2,3", { qos: 2 })
      yield* net.brokers["a"]!.publish("t", "4", { qos: 2 })
      const { forwarded } = yield* settled(forwarder, 2)
      assert.strictEqual(forwarded, 2)
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["x 1", "x 2", "x 3", "x 4"])
    }))

  it.live("are acknowledged at the source when the target has all of them", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const { a, b } = net.brokers
      yield* net.ready("a")
      yield* b!.refuseNetwork
      yield* net.add("b", { queue: { messages: 2 } })
      const forwarder = yield* net.forward({}, { split })
      yield* forwarder.active
      yield* a!.publish("t", "1,2,3,4", { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 1)
      assert.strictEqual(a!.sessions[0]!.inflight, 1)
      yield* b!.acceptNetwork
      yield* settled(forwarder, 1)
      yield* a!.awaitUntil(() => a!.sessions[0]!.inflight === 0)
      assert.deepStrictEqual(publishedAt(b!), ["t 1", "t 2", "t 3", "t 4"])
    }))

  it.live("each become a dead letter where they are refused", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true, limits: { maximumPacketSize: 300 } })
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } }, { split })
      yield* forwarder.active
      yield* net.brokers["a"]!.publish("t", `1,${"2".repeat(400)},3`, { qos: 1 })
      const { deadLettered, forwarded } = yield* settled(forwarder, 1)
      assert.deepStrictEqual([deadLettered, forwarded], [1, 0])
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["t 1", "dead ", "t 3"])
    }))

  it.live("that are empty count as dropped; a split that throws fails the message", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({}, {
        split: (message) => {
          if (message.text === "throw") throw new Error("no")
          return []
        }
      })
      yield* forwarder.active
      yield* net.brokers["a"]!.publish("t", "nothing", { qos: 1 })
      yield* net.brokers["a"]!.publish("t", "throw", { qos: 1 })
      const { dropped, failed } = yield* settled(forwarder, 2)
      assert.deepStrictEqual([dropped.transformed, failed], [1, 1])
    }))

  it.live("are all published by the next run, when a stop has come before the last of them", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const { a, b } = net.brokers
      const forwarder = yield* net.forward({ stopTimeout: "1 millis" }, { split })
      yield* forwarder.active
      yield* b!.refuseNetwork
      yield* b!.cut(b!.sessions[0]!.clientId)
      yield* a!.publish("t", "1,2,3", { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 1)
      yield* forwarder.stop
      yield* forwarder.start
      yield* b!.acceptNetwork
      yield* settled(forwarder, 2)
      assert.deepStrictEqual(Array.from(new Set(publishedAt(b!))), ["t 1", "t 2", "t 3"])
    }))
})
