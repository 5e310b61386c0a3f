/**
 * The short way of QoS 0: which messages take it, and that it changes nothing for those that do not.
 */
import type { ForwarderHooks, ForwarderOptionsInput } from "@effect-mqttx/core/ForwarderOptions"
import type { PublishOptions } from "@effect-mqttx/core/Publication"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { makeNet, makePair, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
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

describe("QoS 0 passed through", () => {
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
        ["t/plain", { qos: 1 }, false],
        ["t/plain", { properties: { userProperties: [["mqttx-forwarders", "another"]] } }, false],
        ["t/plain", { properties: { userProperties: [["mqttx-forwarders", "forwarder"]] } }, false]
      ]
      const count = 700
      for (let i = 0; i < count; i++) {
        const [topic, options] = kinds[i % kinds.length]!
        yield* net.brokers.a!.publish(topic, String(i), options)
      }
      yield* net.brokers.a!.publish("t/plain", "x".repeat(3000))
      const metrics = yield* settled(forwarder, count + 1)
      const each = count / kinds.length
      assert.strictEqual(metrics.forwarded, each * 5)
      assert.strictEqual(metrics.filtered, each)
      assert.strictEqual(metrics.dropped.looped, each)
      assert.strictEqual(metrics.deadLettered, 1)
      assert.strictEqual(metrics.received, count + 1)
      const numbers = publishedAt(net.brokers.b!).filter((line) => line.startsWith("u/plain ")).map((line) =>
        Number(line.slice("u/plain ".length))
      )
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: count }, (_, index) => index).filter((index) => ![3, 6].includes(index % kinds.length))
      )
      // A QoS 0 message behind one of QoS 1 of the same turn waits for its packet, so not all of them passed.
      const passing = new Set(passed.map(Number))
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
