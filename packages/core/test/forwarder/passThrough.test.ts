/**
 * QoS 0 and 1 passed through: which messages take it, and that it changes nothing for those that do not.
 */
import type { ForwarderHooks, ForwarderOptionsInput } from "@effect-mqttx/core/ForwarderOptions"
import type { PublishOptions } from "@effect-mqttx/core/Publication"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { makeNet, makePair, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
import { EncodedProperties } from "../../src/internal/encodedProperties.ts"
import { PassThrough } from "../../src/internal/forwarder/passThrough.ts"

/** Which messages that a forwarder takes while this runs go the short way. */
const watch = Effect.acquireRelease(
  Effect.sync(() => {
    const passed: Array<string> = []
    const { forward } = PassThrough.prototype
    const spy = vi.spyOn(PassThrough.prototype, "forward").mockImplementation(function(this: PassThrough, ...given) {
      const answer = forward.apply(this, given)
      if (answer) passed.push(given[1].message.text)
      return answer
    })
    return { passed, spy }
  }),
  ({ spy }) => Effect.sync(() => spy.mockRestore())
)

describe("QoS 0 and 1 passed through", () => {
  it.live("keeps the order with messages that wait for an outcome or are left out", () =>
    Effect.gen(function*() {
      const { passed } = yield* watch
      const net = yield* makePair({}, { record: true, limits: { maximumPacketSize: 2000 } })
      const forwarder = yield* net.forward({
        filters: ["t/#"],
        exclude: ["t/excluded"],
        mapping: [{ from: "t/+", to: "u/{1}" }],
        deadLetter: { topic: "dead" }
      })
      yield* forwarder.active
      const kinds: ReadonlyArray<readonly [topic: string, options: PublishOptions, passes: boolean]> = [
        ["t/plain", {}, true],
        ["t/plain", { properties: { userProperties: [["a", "b"]], contentType: "text/plain" } }, true],
        ["t/plain", { properties: { messageExpiryInterval: 60 } }, false],
        ["t/excluded", {}, false],
        ["t/plain", { qos: 1 }, true],
        ["t/plain", { qos: 2 }, false],
        ["t/plain", { properties: { userProperties: [["mqttx-forwarders", "another"]] } }, false],
        ["t/plain", { properties: { userProperties: [["mqttx-forwarders", "forwarder"]] } }, false]
      ]
      const count = 800
      for (let i = 0; i < count; i++) {
        const [topic, options] = kinds[i % kinds.length]!
        yield* net.brokers.a!.publish(topic, String(i), options)
      }
      for (const qos of [0, 1] as const) yield* net.brokers.a!.publish("t/plain", "x".repeat(3000), { qos })
      const metrics = yield* settled(forwarder, count + 2)
      const each = count / kinds.length
      assert.strictEqual(metrics.forwarded, each * 6)
      assert.strictEqual(metrics.filtered, each)
      assert.strictEqual(metrics.dropped.looped, each)
      assert.strictEqual(metrics.deadLettered, 2)
      assert.strictEqual(metrics.received, count + 2)
      const numbers = publishedAt(net.brokers.b!).filter((line) => line.startsWith("u/plain ")).map((line) =>
        Number(line.slice("u/plain ".length))
      )
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: count }, (_, index) => index).filter((index) => ![3, 7].includes(index % kinds.length))
      )
      // A QoS 0 message behind one of QoS 1 of the same turn waits for its packet, so not all of them passed.
      const passing = new Set(passed.filter((text) => !text.startsWith("x")).map(Number))
      assert.isAbove(passing.size, 0)
      for (const number of passing) assert.isTrue(kinds[number % kinds.length]![2], String(number))
    }))

  it.live("adds the marks of the route, keeps the properties, and counts", () =>
    Effect.gen(function*() {
      const { passed } = yield* watch
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ metadata: { plant: "{session}" }, retain: "set" })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "1", { properties: { userProperties: [["a", "b"]], contentType: "c" } })
      yield* net.brokers.a!.publish("t", "22")
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual(passed, ["1", "22"])
      assert.strictEqual(metrics.forwarded, 2)
      assert.strictEqual(metrics.bytesForwarded, 3)
      const packets = net.brokers.b!.received("Publish").map(({ packet }) => packet)
      assert.deepStrictEqual(packets.map(({ qos, retain }) => [qos, retain]), [[0, true], [0, true]])
      const [first, second] = packets.map(({ properties }) => properties)
      assert.strictEqual(first!.contentType, "c")
      const names = (properties: typeof first) => properties!.userProperties!.map(([name]) => name)
      assert.deepStrictEqual(names(first), ["a", "plant", "mqttx-forwarders", "mqttx-brokers"])
      assert.deepStrictEqual(names(second), ["plant", "mqttx-forwarders", "mqttx-brokers"])
      // What has passed is acknowledged to the source's queue: nothing stays in its memory.
      const { memory } = yield* (yield* net.manager.get("a")).metrics
      assert.strictEqual(memory.inbound, 0)
    }))

  it.live("at QoS 1 waits for room in the target's queue, in order", () =>
    Effect.gen(function*() {
      const { passed } = yield* watch
      const net = yield* makePair({ queue: { messages: 3 } }, { record: true, limits: { receiveMaximum: 2 } })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      const target = net.brokers.b!
      yield* target.inject(Fault.withhold({ direction: "sent", packet: "Puback" }, { times: Infinity }))
      const count = 20
      for (let i = 0; i < count; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === count)
      // Those that found no room in the queue wait outside it, and so do those behind them.
      assert.isBelow(passed.length, count)
      assert.isAbove(passed.length, 0)
      const { published } = yield* (yield* net.manager.get("b")).metrics
      assert.strictEqual(published.accepted, 5)
      yield* target.clearFaults
      yield* target.release(target.sessions[0]!.clientId)
      const metrics = yield* settled(forwarder, count)
      assert.strictEqual(metrics.forwarded, count)
      assert.deepStrictEqual(publishedAt(target), Array.from({ length: count }, (_, index) => `t ${index}`))
      assert.deepStrictEqual((yield* (yield* net.manager.get("b")).metrics).published.refused, {})
    }))

  it.live("copies the properties as they came, but not what belongs to the source's connection", () =>
    Effect.gen(function*() {
      const copied = vi.spyOn(EncodedProperties, "add")
      const net = yield* makePair({ topicAliasMaximum: 5 }, { record: true })
      const forwarder = yield* net.forward({ filters: ["t/+", "#"] })
      yield* forwarder.active
      const userProperties = [["a", "b"], ["mqttx-signature", "none"], ["a", "c"]] as const
      const properties = { responseTopic: "answers", correlationData: new Uint8Array([1]), userProperties }
      const bare = { ...properties, userProperties: [["a", "b"]] as const }
      copied.mockClear()
      for (const qos of [0, 1, 2] as const) {
        yield* net.brokers.a!.publish("t/1", String(qos), { qos, properties: bare })
        yield* net.brokers.a!.publish("t/1", String(qos), { qos, properties })
      }
      yield* settled(forwarder, 6)
      const packets = net.brokers.b!.received("Publish").map(({ packet }) => packet)
      assert.lengthOf(packets, 6)
      for (const [index, { properties: forwarded }] of packets.entries()) {
        const { correlationData, responseTopic, userProperties, ...others } = forwarded
        assert.deepStrictEqual(others, {})
        assert.deepStrictEqual([responseTopic, [...correlationData!]], ["answers", [1]])
        assert.deepStrictEqual(
          userProperties!.map(([name]) => name),
          [...index % 2 === 0 ? ["a"] : ["a", "a"], "mqttx-forwarders", "mqttx-brokers"]
        )
      }
      // Those with a property about the route are encoded: it is replaced.
      assert.strictEqual(copied.mock.calls.filter(([, , isShared]) => !isShared).length, 3)
      copied.mockRestore()
    }))

  it.live("ends while the target has no connection, and begins again behind the messages that have waited", () =>
    Effect.gen(function*() {
      const { passed } = yield* watch
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      for (let i = 0; i < 3; i++) yield* net.brokers.a!.publish("t", String(i))
      yield* until(forwarder, ({ inFlight }) => inFlight === 3)
      assert.deepStrictEqual(passed, [])
      yield* net.ready("b")
      yield* settled(forwarder, 3)
      yield* net.brokers.a!.publish("t", "3")
      yield* settled(forwarder, 4)
      assert.deepStrictEqual(passed, ["3"])
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t 0", "t 1", "t 2", "t 3"])
    }))

  it.live("is not used by forwarders that do more than publish", () =>
    Effect.gen(function*() {
      const { passed } = yield* watch
      const others: ReadonlyArray<readonly [Partial<ForwarderOptionsInput>, ForwarderHooks]> = [
        [{ rateLimit: { messages: 100, per: "1 second", burst: 100 } }, {}],
        [{ contains: "1" }, {}],
        [{ qos: { fix: 1 } }, {}],
        [{}, { filter: RouteFilter.not(RouteFilter.text("NaN")) }],
        [{}, { map: () => "mapped" }],
        [{}, { split: ({ payload }) => [payload] }]
      ]
      for (const [options, hooks] of others) {
        const net = yield* makePair({}, { record: true })
        const forwarder = yield* net.forward(options, hooks)
        yield* forwarder.active
        yield* net.brokers.a!.publish("t", "1")
        const { forwarded } = yield* settled(forwarder, 1)
        assert.strictEqual(forwarded, 1)
      }
      assert.deepStrictEqual(passed, [])
    }))
})
