/**
 * As much as a session's receive window holds, without a forwarder that would take it.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { makeMemory } from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeNet, netOf, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"

const durable = { persistence: "durable", receiveMaximum: 100, drainTimeout: "20 millis" } as const

const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `${index}`)

describe("Forwarder: a backlog", () => {
  for (const qos of [1, 2] as const) {
    it.live(`that the source gets before there is a forwarder again arrives as a whole, QoS ${qos}`, () =>
      Effect.gen(function*() {
        const brokers = { a: yield* makeMemory({ record: true }), b: yield* makeMemory({ record: true }) }
        yield* Effect.scoped(Effect.gen(function*() {
          const net = yield* netOf(brokers)
          yield* Effect.all([net.ready("a", durable), net.ready("b", durable)])
          yield* Effect.flatMap(net.forward({}), ({ active }) => active)
        }))
        const backlog = numbers(250)
        for (const payload of backlog) yield* brokers.a.publish("t", payload, { qos })
        const net = yield* netOf(brokers)
        const source = yield* net.ready("a", durable)
        yield* brokers.a.awaitUntil(() => brokers.a.sessions[0]!.inflight === durable.receiveMaximum)
        yield* Effect.repeat(Effect.delay(source.consumers, "1 millis"), {
          until: ([forwarder]) => forwarder?.isAbsent === true && forwarder.unfinished === durable.receiveMaximum
        })
        yield* net.ready("b", durable)
        const forwarder = yield* net.forward({})
        yield* settled(forwarder, backlog.length)
        yield* brokers.b.awaitUntil(() => publishedAt(brokers.b).length >= backlog.length)
        assert.deepStrictEqual(publishedAt(brokers.b), backlog.map((payload) => `t ${payload}`))
      }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))

    it.live(`that a stop has returned is there for the next start as a whole, QoS ${qos}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        const { a, b } = net.brokers
        yield* net.ready("a", durable)
        yield* b!.refuseNetwork
        yield* net.add("b")
        const forwarder = yield* net.forward({ stopTimeout: "1 millis" })
        yield* forwarder.active
        const backlog = numbers(100)
        for (const payload of backlog) yield* a!.publish("t", payload, { qos })
        yield* until(forwarder, ({ inFlight }) => inFlight === backlog.length)
        yield* forwarder.stop
        assert.strictEqual((yield* forwarder.metrics).returned, backlog.length)
        yield* forwarder.start
        yield* b!.acceptNetwork
        yield* settled(forwarder, 2 * backlog.length)
        assert.deepStrictEqual(publishedAt(b!), backlog.map((payload) => `t ${payload}`))
      }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))
  }
})
