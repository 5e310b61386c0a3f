/**
 * Two clients with one client identifier where the server does not say so: MQTT 3.1.1 has no DISCONNECT from the
 * server, and old servers of MQTT 5 send none.
 */
import type { ConnectionLost } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Fault from "@effect-mqttx/testing/Fault"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  connectsOf,
  eventsOf,
  makeBroker,
  makeSession,
  nextEvent,
  type Options,
  pass,
  readySession,
  settle
} from "./support.ts"

/** The most in any minute. */
const mostInAMinute = (times: ReadonlyArray<number>): number =>
  Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length))

describe("two sessions with one client identifier, with default options", () => {
  for (const version of [4, 5] as const) {
    for (const persistence of ["none", "process", "durable"] as const) {
      it.effect(`connect at most 12 times in any minute on ${version}, ${persistence}, although the server does not say why`, () =>
        Effect.gen(function*() {
          const broker = yield* makeBroker("memory")
          // A server that only closes.
          yield* broker.inject(Fault.discard({ direction: "sent", packet: "Disconnect" }, { times: Infinity }))
          const options = { clientId: "twin", protocolVersion: version, persistence, reconnect: undefined } as const
          const first = yield* makeSession(broker, options)
          const second = yield* makeSession(broker, options)
          yield* pass(60_000)
          assert.isAtMost(connectsOf(broker).length, 12)
          yield* pass(1_140_000, 500)
          assert.isAtMost(mostInAMinute(connectsOf(broker)), 12)
          // Neither gives up, and one of them has the session nearly all the time.
          assert.isAbove(connectsOf(broker).length, 12)
          const states = yield* Effect.all([first.status, second.status])
          assert.includeMembers(states.map(({ state }) => state), ["connected"])
        }).pipe(Effect.provide(SessionStore.layerMemory)))
    }
  }

  it.effect("report from the third time on that another client may have the same identifier, in events, status and errors", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const options = { clientId: "twin", protocolVersion: 4, persistence: "none", reconnect: undefined } as const
      const first = yield* readySession(broker, options)
      const events = yield* eventsOf(first)
      yield* readySession(broker, options)
      yield* pass(60_000)
      const lost = (yield* Queue.clear(events)).filter((event) => event._tag === "Disconnected").map(({ error }) =>
        error?.reason as ConnectionLost
      )
      const counts = lost.map(({ shortConnections }) => shortConnections)
      assert.deepStrictEqual(counts.slice(0, 3), [undefined, undefined, 3])
      for (const count of counts.slice(3)) assert.isAtLeast(count ?? 3, 3)
      assert.match(lost[2]!.message, /3 connections in a row .* probably another client uses this client identifier/)
      const { lastError } = yield* first.status
      if (lastError !== undefined) assert.include(lastError.message, "probably another client")
    }))

  it.effect.skipIf(!MosquittoBroker.isPresent())(
    "connect at most 12 times in a minute to a real mosquitto on 3.1.1",
    () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        const last: Record<string, string> = { first: "", second: "" }
        for (const name of Object.keys(last)) {
          const session = yield* MqttSession.make({ name, servers: [broker.url], clientId: "twin", protocolVersion: 4 })
          const follow = Stream.runForEach(session.events, ({ _tag }) =>
            Effect.sync(() => {
              if (/^(Connecting|Connected|Disconnected|Reconnecting)$/.test(_tag)) last[name] = _tag
            }))
          yield* Effect.forkScoped(follow, { startImmediately: true })
        }
        // The server is real, the time is not: it passes while one has the connection at most, and none is on its way.
        const isQuiet = (): boolean => {
          const { first, second } = last
          return [first, second].every((tag) => tag === "Connected" || tag === "Reconnecting") &&
            (first !== "Connected" || second !== "Connected")
        }
        for (let passed = 0; passed < 60_000; passed += 100) {
          yield* TestClock.withLive(Effect.repeat(Effect.sleep(1), { until: isQuiet }))
          yield* TestClock.adjust(100)
        }
        const connects = broker.log().match(/New client connected/g) ?? []
        assert.isAtLeast(connects.length, 6)
        assert.isAtMost(connects.length, 12)
      })
  )
})

describe("reconnecting after real cuts", () => {
  const schedule = { initialDelay: "2 seconds", factor: 1.5, maxDelay: "120 seconds", jitter: "none" } as const

  /** The delays after connections that lasted so long each and ended so. */
  const delays = Effect.fnUntraced(function*(
    reconnect: NonNullable<Options["reconnect"]>,
    ends: ReadonlyArray<readonly [uptime: number, end: "cut" | "reset" | "disconnect" | "refuse"]>,
    reconnectSchedule?: Options["reconnectSchedule"]
  ) {
    const broker = yield* makeBroker("memory")
    const session = yield* readySession(broker, { reconnect, reconnectSchedule, clientId: "plant" })
    const events = yield* eventsOf(session)
    const found: Array<number> = []
    for (const [uptime, end] of ends) {
      yield* pass(uptime, 250)
      if (end === "disconnect") yield* broker.disconnect("plant", 0x8b)
      else {
        if (end === "refuse") yield* broker.refuseNetwork
        yield* broker.cut("plant", { reset: end === "reset" })
      }
      yield* settle
      const { delay } = yield* nextEvent(events, "Reconnecting")
      found.push(delay)
      yield* pass(delay, 250)
      if (end === "refuse") {
        const again = yield* nextEvent(events, "Reconnecting")
        yield* broker.acceptNetwork
        yield* pass(again.delay, 250)
      }
      yield* session.awaitReady
    }
    return found
  })

  it.effect("is as the schedule says for the first two, and slower from the third unexplained end in a row", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* delays(schedule, [[1000, "cut"], [0, "reset"], [9750, "cut"], [29_750, "cut"], [0, "cut"]]),
        [2000, 3000, 22_782, 120_000, 120_000]
      )
    }))

  it.effect("is as the schedule says when connections last ten seconds", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* delays(schedule, [[10_000, "cut"], [10_000, "cut"], [10_000, "cut"], [10_000, "reset"]]),
        [2000, 3000, 4500, 6750]
      )
    }))

  it.effect("is as the schedule says when the server gave a reason, or could not be reached meanwhile", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* delays(schedule, [[0, "disconnect"], [0, "disconnect"], [0, "disconnect"], [0, "disconnect"]]),
        [2000, 3000, 4500, 6750]
      )
      assert.deepStrictEqual(
        yield* delays(schedule, [[0, "cut"], [0, "refuse"], [0, "cut"], [0, "cut"]]),
        [2000, 3000, 6750, 10_125]
      )
    }))

  it.effect("begins again after a connection that was stable", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* delays(schedule, [[0, "cut"], [0, "cut"], [0, "cut"], [30_000, "cut"], [0, "cut"]]),
        [2000, 3000, 22_782, 2000, 3000]
      )
    }))

  it.effect("never waits longer than maxDelay; a constant delay and a custom Schedule are not changed", () =>
    Effect.gen(function*() {
      const cuts = Array.from({ length: 6 }, () => [0, "cut"] as const)
      assert.deepStrictEqual(
        yield* delays({ ...schedule, initialDelay: "250 millis", maxDelay: "1 second" }, cuts),
        [250, 375, 1000, 1000, 1000, 1000]
      )
      assert.deepStrictEqual(
        yield* delays({ ...schedule, initialDelay: "250 millis", factor: 1 }, cuts),
        [250, 250, 250, 250, 250, 250]
      )
      assert.deepStrictEqual(
        yield* delays(schedule, cuts, Schedule.spaced("1 second")),
        [1000, 1000, 1000, 1000, 1000, 1000]
      )
    }))
})
