/**
 * Many retained messages at once: they are sent when a subscription begins, and do not come again.
 */
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { makePair, until } from "../../../../test/support/forwarders.ts"
import { readySession } from "./support.ts"

const count = 6000

const retain = (broker: ScriptedBroker.Service) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    (index) => broker.publish(`state/${index}`, `${index}`, { qos: 0, retain: true }),
    { discard: true }
  )

describe("6,000 retained messages of QoS 0, with default options", () => {
  it.live("all reach a stream that begins after all of them have come", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ record: false })
      yield* retain(broker)
      const session = yield* readySession(broker)
      const { messages, pending } = yield* session.subscription("state/#", { qos: 1 })
      yield* Effect.repeat(Effect.delay(session.metrics, "1 millis"), {
        until: ({ messagesReceived }) => messagesReceived === count
      })
      const seen = yield* Stream.runCollect(Stream.take(messages, count))
      assert.strictEqual(new Set(seen.map(({ topic }) => topic)).size, count)
      assert.strictEqual((yield* pending).dropped, 0)
    }))

  it.live("all reach the target of a forwarder", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: false })
      const { a, b } = net.brokers
      yield* retain(a!)
      const forwarder = yield* net.forward({ filters: ["state/#"] })
      yield* forwarder.active
      const { dropped } = yield* until(forwarder, ({ forwarded }) => forwarded === count)
      assert.strictEqual(dropped.overflow, 0)
      assert.lengthOf(b!.retained, count)
    }))
})
