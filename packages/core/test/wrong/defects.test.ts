/**
 * A defect in the turn of a session: it ends neither the process nor that session's turn, and what stood behind it is
 * carried out.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { OutboundOwner, PublishRequest } from "../../src/internal/engine/contract.ts"
import type { EngineLoop } from "../../src/internal/session/engineLoop.ts"
import { impatient, readyCore, settle } from "../session/support.ts"

const request = (topic: string, qos: 0 | 1 | 2 = 1): PublishRequest => ({
  topic,
  payload: new Uint8Array(1),
  qos,
  retain: false,
  properties: {},
  topicAlias: 0,
  expiresAfter: undefined,
  origin: undefined
})

const publish = (engineLoop: EngineLoop, topic: string, owner: OutboundOwner): void => {
  const admission = engineLoop.publish(request(topic))
  if (admission._tag !== "Accepted") return assert.fail(admission._tag)
  admission.outbound.owner = owner
}

const failing = (): never => {
  throw new TypeError("a defect")
}

/** What is logged at error level. */
const withLog = <A, E, R>(use: (lines: Array<string>) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make((options) => {
      if (options.logLevel === "Error") lines.push(Logger.formatSimple.log(options))
    })
    return Effect.provide(use(lines), Logger.layer([logger]))
  })

describe.each(["process", "durable"] as const)("a defect in the turn of a %s session", (persistence) => {
  const owners: Readonly<Record<string, OutboundOwner>> = {
    "the acceptance": { onAccepted: failing, onSettled: undefined },
    "the outcome": { onAccepted: undefined, onSettled: failing },
    "both": { onAccepted: failing, onSettled: failing }
  }

  it.effect.each(Object.entries(owners))(
    "of a listener of %s harms no other listener",
    ([, owner]) =>
      withLog((lines) =>
        Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory()
          const { engineLoop, session } = yield* readyCore(broker, { persistence })
          const others = yield* Effect.forkScoped(
            Effect.all(
              [session.publish("other", "1", { qos: 1 }), session.enqueue("other", "2", { qos: 1 })],
              { concurrency: "unbounded" }
            ),
            { startImmediately: true }
          )
          for (let i = 0; i < 3; i++) publish(engineLoop, `bad/${i}`, owner)
          yield* session.publish("behind", "1", { qos: 2 })
          yield* Fiber.join(others)
          yield* session.publish("after", "1", { qos: 1 })
          assert.lengthOf(broker.published, 7)
          assert.strictEqual((yield* session.metrics).published.pending, 0)
          assert.lengthOf(lines, 1)
          assert.include(lines[0], "a defect")
        })
      ).pipe(Effect.provide(SessionStore.layerMemory))
  )

  it.effect("of a consumer's queue harms no other consumer", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        const { session, subscriber } = yield* readyCore(broker, { persistence })
        yield* subscriber.tap(["a"], { qos: 1 }, { onDeliveries: failing, onEnd: () => {}, onFailure: () => {} })
        const { messages } = yield* session.subscription("+", { qos: 1 })
        yield* broker.publish("a", "1", { qos: 1 })
        yield* broker.publish("b", "2", { qos: 1 })
        const seen = yield* Stream.runCollect(Stream.take(messages, 2))
        assert.deepStrictEqual(seen.map(({ text }) => text), ["1", "2"])
        assert.isNotEmpty(lines)
      })
    ).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("that throws out of the whole turn is followed by other turns", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        const { engineLoop, session } = yield* readyCore(broker, { persistence })
        const { turned } = engineLoop.counters
        let defects = 0
        engineLoop.counters.turned = (...given) => {
          if (defects++ < 20) failing()
          turned.apply(engineLoop.counters, given)
        }
        for (let i = 0; i < 30; i++) yield* session.publish("a", "1", { qos: 1 })
        assert.lengthOf(broker.published, 30)
        assert.lengthOf(lines, 1)
        yield* TestClock.adjust("1 minute")
        defects = 19
        yield* session.publish("a", "1", { qos: 1 })
        yield* settle
        assert.lengthOf(lines, 2)
        assert.include(lines[1], "unsaid=19")
      })
    ).pipe(Effect.provide(SessionStore.layerMemory)))
})

describe("a packet that cannot be written", () => {
  it.live("ends its connection and nothing else", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const { engineLoop, session } = yield* readyCore(broker, { reconnect: { ...impatient, permanentDelay: 1 } })
      // Such a message cannot come from outside: it would have been refused.
      const payload = Object.defineProperty({ length: 1 }, "0", { get: failing })
      const admission = engineLoop.publish({ ...request("bad", 0), payload: payload as never })
      assert.strictEqual(admission._tag, "Accepted")
      yield* broker.awaitConnections(2)
      const { acknowledged } = yield* session.enqueue("after", "1", { qos: 1 })
      yield* acknowledged
      assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["after"])
    }))
})
