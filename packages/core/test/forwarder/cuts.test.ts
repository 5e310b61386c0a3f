import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertSum, makePair, settled } from "../../../../test/support/forwarders.ts"
import { seeded } from "../session/seeded.ts"
import { Ledger } from "../session/support.ts"

const topics = ["t/1", "t/2", "t/3", "t/4"]
const each = 500

describe("Forwarder: connections that are cut", () => {
  for (const protocolVersion of [4, 5] as const) {
    for (const qos of [1, 2] as const) {
      for (const seed of [1, 2]) {
        it.live(
          `loses nothing, keeps the order${qos === 2 ? ", repeats nothing" : ""}: QoS ${qos}, MQTT ${
            protocolVersion === 5 ? "5" : "3.1.1"
          }, seed ${seed}`,
          () =>
            Effect.gen(function*() {
              const net = yield* makePair({ protocolVersion }, { record: true, seed })
              const forwarder = yield* net.forward({ filters: ["t/#"], maxInFlight: 100 })
              yield* forwarder.active
              const random = seeded(seed)
              const cutters = yield* Effect.forEach(
                [net.brokers.a!, net.brokers.b!],
                (broker, index) => broker.cutEvery({ packets: [50, 400], seed: seed * 10 + index, limit: 25 })
              )
              for (let number = 1; number <= each; number++) {
                for (const topic of topics) yield* net.brokers.a!.publish(topic, String(number), { qos })
                assertSum(yield* forwarder.metrics)
                if (random() < 0.2) yield* Effect.sleep("1 millis")
              }
              yield* Effect.forEach(cutters, ({ stop }) => stop)
              yield* settled(forwarder, topics.length * each)
              // Also what waits for a session that is not connected: a redelivery may have been counted for it.
              for (const broker of [net.brokers.a!, net.brokers.b!]) {
                yield* broker.awaitUntil(() => broker.sessions.every(({ inflight, queued }) => inflight + queued === 0))
              }
              const metrics = yield* settled(forwarder, topics.length * each)
              const ledger = new Ledger()
              for (const { payload, topic } of net.brokers.b!.published) {
                ledger.note(topic, Number(new TextDecoder().decode(payload)))
              }
              assert.deepStrictEqual(ledger.missing(topics, each), [])
              assert.deepStrictEqual(ledger.misordered, [])
              assert.isAbove(cutters[0]!.cuts() + cutters[1]!.cuts(), 10)
              if (qos === 2) assert.strictEqual(ledger.duplicates, 0)
              assert.isAtLeast(metrics.received, topics.length * each)
            }),
          180_000
        )
      }
    }
  }
})
