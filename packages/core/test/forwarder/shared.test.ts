/**
 * Forwarders that share a source, and forwarders that stop while messages are on their way.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { PublishedMessage } from "@effect-mqttx/testing/BrokerCore"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { makeMemory } from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeNet, netOf, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"

const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `${index}`)

const durable = { persistence: "durable", drainTimeout: "20 millis" } as const

const counts = (broker: ScriptedBroker.Service): ReadonlyMap<string, number> => {
  const seen = new Map<string, number>()
  for (const text of publishedAt(broker)) seen.set(text, (seen.get(text) ?? 0) + 1)
  return seen
}

describe("two forwarders on one durable source, of which one target is away", () => {
  const names = ["a", "b", "c"] as const
  const filters = { filters: ["t"] }

  it.live.each([1, 2] as const)(
    "one is restarted: every message reaches both targets, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const net = yield* makeNet(names, { record: true })
        const { a, b, c } = net.brokers
        yield* net.ready("a", durable)
        yield* net.ready("b")
        yield* c!.refuseNetwork
        yield* net.add("c")
        const near = yield* net.forward({ name: "near", ...filters })
        const far = yield* net.forward({ name: "far", ...filters, target: "c", stopTimeout: "1 millis" })
        yield* Effect.all([near.active, far.active])
        for (const payload of numbers(100)) yield* a!.publish("t", payload, { qos })
        yield* settled(near, 100)
        yield* until(far, ({ inFlight }) => inFlight === 100)
        yield* far.restart
        yield* c!.acceptNetwork
        yield* until(far, ({ forwarded }) => forwarded === 100)
        assert.deepStrictEqual(publishedAt(c!), numbers(100).map((payload) => `t ${payload}`))
        assert.deepStrictEqual(publishedAt(b!), numbers(100).map((payload) => `t ${payload}`))
      }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory)))
  )

  it.live.each([1, 2] as const)(
    "the program ends in order: the next one brings every message to both, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const brokers: Record<string, ScriptedBroker.Service> = {}
        for (const name of names) brokers[name] = yield* makeMemory({ record: true })
        const program = Effect.gen(function*() {
          const net = yield* netOf(brokers)
          yield* net.ready("a", durable)
          for (const name of ["b", "c"]) yield* net.add(name, durable)
          const near = yield* net.forward({ name: "near", ...filters, stopTimeout: "1 millis" })
          const far = yield* net.forward({
            name: "far",
            ...filters,
            target: "c",
            stopTimeout: "1 millis",
            acceptance: "acknowledged"
          })
          yield* Effect.all([near.active, far.active])
          return { near, far }
        })
        yield* brokers["c"]!.refuseNetwork
        yield* Effect.scoped(Effect.gen(function*() {
          const { far, near } = yield* program
          for (const payload of numbers(100)) yield* brokers["a"]!.publish("t", payload, { qos })
          yield* settled(near, 100)
          yield* until(far, ({ inFlight }) => inFlight === 100)
        }))
        yield* brokers["c"]!.acceptNetwork
        yield* Effect.scoped(Effect.gen(function*() {
          const { far, near } = yield* program
          yield* brokers["c"]!.awaitUntil(() => counts(brokers["c"]!).size === 100)
          yield* brokers["a"]!.awaitIdle
          yield* Effect.all([
            until(near, ({ inFlight }) => inFlight === 0),
            until(far, ({ inFlight }) => inFlight === 0)
          ])
        }))
        const all = numbers(100).map((payload) => `t ${payload}`)
        assert.sameMembers([...counts(brokers["c"]!).keys()], all)
        assert.sameMembers([...counts(brokers["b"]!).keys()], all)
        // The one that had finished does not get a QoS 2 message again.
        if (qos === 2) {
          assert.strictEqual(publishedAt(brokers["b"]!).length, 100)
          assert.strictEqual(publishedAt(brokers["c"]!).length, 100)
        }
      }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory)))
  )

  it.live("a forwarder that is removed is waited for no longer", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const { ForwarderManager, SessionManager } = yield* Effect.promise(() => import("@effect-mqttx/core"))
      const source = yield* net.ready("a", durable)
      yield* net.brokers["b"]!.refuseNetwork
      yield* net.add("b")
      const forwarders = yield* ForwarderManager.make().pipe(
        Effect.provideService(SessionManager.SessionManager, net.manager)
      )
      const forwarder = yield* forwarders.add({
        name: "up",
        sources: ["a"],
        filters: ["t"],
        target: "b",
        stopTimeout: "1 millis"
      })
      yield* forwarder.active
      yield* net.brokers["a"]!.publish("t", "1", { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 1)
      yield* forwarder.stop
      assert.deepStrictEqual((yield* source.consumers).map(({ isAbsent, unfinished }) => [isAbsent, unfinished]), [
        [true, 1]
      ])
      yield* forwarders.remove("up")
      assert.deepStrictEqual(yield* source.consumers, [])
      yield* net.brokers["a"]!.awaitIdle
    }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))
})

describe("a forwarder that stops while the target's server answers nothing", () => {
  it.live.each([1, 2] as const)(
    "publishes each message once over a restart, sessions of the process, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        const { a, b } = net.brokers
        yield* net.ready("a")
        yield* net.ready("b")
        const forwarder = yield* net.forward({ filters: ["t"], stopTimeout: "1 millis" })
        yield* forwarder.active
        const answer = qos === 1 ? "Puback" : "Pubrec"
        yield* b!.inject(Fault.withhold({ direction: "sent", packet: answer }, { times: Infinity }))
        for (const payload of numbers(20)) yield* a!.publish("t", payload, { qos })
        yield* b!.awaitUntil(() => publishedAt(b!).length === 20)
        yield* forwarder.restart
        yield* until(forwarder, ({ inFlight }) => inFlight === 20)
        yield* b!.clearFaults
        const [client] = b!.sessions
        yield* b!.release(client!.clientId)
        yield* until(forwarder, ({ forwarded }) => forwarded === 20)
        yield* a!.awaitIdle
        assert.deepStrictEqual(publishedAt(b!), numbers(20).map((payload) => `t ${payload}`))
      })
  )

  it.live("acknowledges at the source what the target acknowledges after the stop", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const { a, b } = net.brokers
      const source = yield* net.ready("a")
      yield* net.ready("b")
      const forwarder = yield* net.forward({ filters: ["t"], stopTimeout: "1 millis" })
      yield* forwarder.active
      yield* b!.inject(Fault.withhold({ direction: "sent", packet: "Pubrec" }, { times: Infinity }))
      yield* a!.publish("t", "1", { qos: 2 })
      yield* b!.awaitUntil(() => publishedAt(b!).length === 1)
      yield* forwarder.stop
      yield* b!.clearFaults
      yield* b!.release(b!.sessions[0]!.clientId)
      yield* a!.awaitIdle
      yield* forwarder.start
      yield* forwarder.active
      assert.strictEqual((yield* source.metrics).unacknowledged, 0)
      assert.strictEqual((yield* forwarder.metrics).received, 1)
    }))
})

describe("the origins of a target", () => {
  const texts = (messages: ReadonlyArray<PublishedMessage>): ReadonlyArray<string> =>
    messages.map(({ payload }) => new TextDecoder().decode(payload))

  it.live("equal messages under one identifier are all published, although their ends came while the forwarder was stopped", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const { a, b } = net.brokers
      yield* net.ready("a", durable)
      yield* net.ready("b", durable)
      const forwarder = yield* net.forward({ filters: ["t"], stopTimeout: "1 millis" })
      yield* forwarder.active
      for (let round = 1; round <= 3; round++) {
        // PUBREL reaches the source when the forwarder is stopped.
        yield* a!.inject(Fault.withhold({ direction: "sent", packet: "Pubrel" }))
        yield* a!.publish("t", "equal", { qos: 2 })
        yield* until(forwarder, ({ forwarded }) => forwarded === round)
        yield* a!.awaitPacket({ direction: "received", packet: "Pubrec", nth: round })
        yield* forwarder.stop
        yield* a!.release(a!.sessions[0]!.clientId)
        yield* a!.awaitIdle
        yield* forwarder.start
        yield* forwarder.active
      }
      yield* b!.awaitUntil(() => b!.published.length === 3)
      assert.deepStrictEqual(texts(b!.published), ["equal", "equal", "equal"])
      assert.strictEqual((yield* forwarder.metrics).duplicates, 0)
    }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))
})
