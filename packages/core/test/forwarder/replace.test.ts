/**
 * Forwarders that get other options while messages are on their way.
 */
import * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeNet, type Net, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
import { reasonOf } from "../../../../test/support/managers.ts"

const durable = { persistence: "durable", drainTimeout: "20 millis" } as const

const options = { name: "up", sources: ["a"], filters: ["t/#"], target: "b" }

const makeForwarders = (net: Net) =>
  Effect.provideService(ForwarderManager.make(), SessionManager.SessionManager, net.manager)

const inMemory = Effect.provide(Layer.fresh(SessionStore.layerMemory))

describe("ForwarderManager.replace", () => {
  it.live.each([1, 2] as const)(
    "under traffic: every message comes once and in order, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        const { a, b } = net.brokers
        yield* net.ready("a", durable)
        yield* net.ready("b", durable)
        const forwarders = yield* makeForwarders(net)
        yield* Effect.andThen(forwarders.add(options), ({ active }) => active)
        const expected = Array.from({ length: 1000 }, (_, index) => String(index))
        const traffic = yield* Effect.forkChild(
          Effect.forEach(expected, (payload, index) =>
            Effect.andThen(a!.publish("t/1", payload, { qos }), index % 10 === 0 ? Effect.sleep(1) : Effect.void))
        )
        for (let round = 0; traffic.pollUnsafe() === undefined; round++) {
          const mapping = round % 2 === 0 ? [{ from: "t/+", to: "u/{1}" }] : []
          const next = yield* forwarders.replace({ ...options, mapping })
          yield* until(next, ({ forwarded }) =>
            forwarded > 0 || traffic.pollUnsafe() !== undefined)
        }
        yield* b!.awaitUntil(() =>
          publishedAt(b!).length >= expected.length
        )
        yield* a!.awaitIdle
        const published = publishedAt(b!).map((text) => text.split(" "))
        assert.deepStrictEqual(published.map(([, payload]) => payload), expected)
        assert.sameMembers(Array.from(new Set(published.map(([topic]) => topic))), ["t/1", "u/1"])
        assert.deepStrictEqual(yield* forwarders.list, ["up"])
      }).pipe(inMemory)
  )

  it.live.each([1, 2] as const)(
    "what the one before has sent without an answer is not published again, sessions of the process, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        const { a, b } = net.brokers
        yield* net.ready("a")
        yield* net.ready("b")
        const forwarders = yield* makeForwarders(net)
        const given = { ...options, stopTimeout: "1 millis" } as const
        yield* Effect.andThen(forwarders.add(given), ({ active }) => active)
        yield* b!.inject(
          Fault.withhold({ direction: "sent", packet: qos === 1 ? "Puback" : "Pubrec" }, { times: Infinity })
        )
        for (let i = 0; i < 20; i++) yield* a!.publish("t/1", String(i), { qos })
        yield* b!.awaitUntil(() => publishedAt(b!).length === 20)
        const next = yield* forwarders.replace({ ...given, metadata: { a: "b" } })
        yield* until(next, ({ inFlight }) => inFlight === 20)
        yield* b!.clearFaults
        yield* b!.release(b!.sessions[0]!.clientId)
        yield* until(next, ({ forwarded }) => forwarded === 20)
        yield* a!.awaitIdle
        assert.deepStrictEqual(publishedAt(b!), Array.from({ length: 20 }, (_, index) => `t/1 ${index}`))
      })
  )

  it.live("a replacement that cannot start leaves the forwarder as it was", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a", { protocolVersion: 4 })
      yield* net.ready("b")
      const forwarders = yield* makeForwarders(net)
      const up = yield* forwarders.add(options)
      yield* up.active
      for (
        const [wrong, tag] of [[{ target: "a" }, "ForwarderFailed"], [{ filters: "#/x" }, "InvalidOptions"]] as const
      ) {
        assert.strictEqual((yield* reasonOf(forwarders.replace({ ...options, ...wrong })))._tag, tag)
        assert.strictEqual(yield* forwarders.get("up"), up)
        yield* up.active
        yield* net.brokers["a"]!.publish("t/1", tag, { qos: 1 })
        yield* settled(up, (yield* up.metrics).received + 1)
      }
      assert.deepStrictEqual(publishedAt(net.brokers["b"]!), ["t/1 ForwarderFailed", "t/1 InvalidOptions"])
      const other = yield* reasonOf(forwarders.replace({ ...options, name: "other" }))
      assert.strictEqual(other._tag, "ForwarderNotFound")
    }))

  it.live("a source that the replacement does not have keeps no more messages for it", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b", "c"])
      const a = yield* net.ready("a", durable)
      const c = yield* net.ready("c", durable)
      yield* net.ready("b")
      const forwarders = yield* makeForwarders(net)
      yield* Effect.andThen(forwarders.add({ ...options, sources: ["a", "c"] }), ({ active }) => active)
      yield* Effect.andThen(forwarders.replace(options), ({ active }) => active)
      assert.deepStrictEqual((yield* a.consumers).map(({ isAbsent, name }) => [name, isAbsent]), [[
        "forwarder up",
        false
      ]])
      assert.deepStrictEqual(yield* c.consumers, [])
    }).pipe(inMemory))

  it.live("stays stopped when it is not enabled, and a stopped one is replaced", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"])
      const forwarders = yield* makeForwarders(net)
      yield* forwarders.add(options)
      const stopped = yield* forwarders.replace({ ...options, enabled: false })
      assert.strictEqual(yield* stopped.state, "stopped")
      const started = yield* forwarders.replace(options)
      assert.strictEqual(yield* started.state, "running")
    }))
})
