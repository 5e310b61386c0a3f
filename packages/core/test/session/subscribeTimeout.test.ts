/**
 * How long a server may take for SUBACK and UNSUBACK.
 */
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeBroker, readySession, reasonOf, settle } from "./support.ts"

const timeout = { subscribeTimeout: "10 seconds" } as const

const forever = { times: Infinity }

/** A session that ends would wait for the answers, too. */
const lose = (broker: ScriptedBroker.Service) =>
  Effect.andThen(broker.refuseNetwork, broker.cut(broker.sessions[0]!.clientId))

describe("subscribeTimeout", () => {
  it.effect("is the time with a connection, over however many connections", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, {
        subscribeTimeout: "20 seconds",
        reconnect: { initialDelay: "1 second", factor: 1, jitter: "none" }
      })
      yield* broker.inject(Fault.discard({ direction: "sent", packet: "Suback" }, forever))
      const waiting = yield* Effect.forkChild(reasonOf(session.subscription("t")), { startImmediately: true })
      for (let i = 0; i < 3; i++) {
        yield* settle
        yield* TestClock.adjust("3 seconds")
        yield* broker.refuseNetwork
        yield* broker.cut(broker.sessions[0]!.clientId)
        yield* settle
        // Without a connection the server can answer nothing.
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(waiting.pollUnsafe())
        yield* broker.acceptNetwork
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      yield* TestClock.adjust("11 seconds")
      const reason = yield* Fiber.join(waiting)
      assert.deepInclude(reason, { _tag: "Timeout", operation: "subscribe", millis: 20_000 })
      yield* lose(broker)
    }).pipe(Effect.scoped))

  it.effect("is the limit of unsubscribe, too", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, timeout)
      yield* session.subscription("t")
      yield* broker.inject(Fault.discard({ direction: "sent", packet: "Unsuback" }, forever))
      const waiting = yield* Effect.forkChild(reasonOf(session.unsubscribe("t")), { startImmediately: true })
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "Timeout", operation: "unsubscribe", millis: 10_000 })
      yield* lose(broker)
    }).pipe(Effect.scoped))

  it.live("unsubscribe does not wait for answers of the server about other filters", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      yield* session.subscription("a")
      yield* broker.inject(Fault.discard({ direction: "sent", packet: "Suback" }, forever))
      yield* Effect.forkScoped(session.subscription("b"))
      yield* broker.awaitPacket({ direction: "received", packet: "Subscribe", nth: 2 })
      yield* session.unsubscribe("a")
    }))
})
