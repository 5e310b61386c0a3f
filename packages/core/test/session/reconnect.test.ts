import { isMqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import { Transport } from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Queue, Schedule } from "effect"
import {
  connectsOf,
  eventsOf,
  makeBroker,
  makeSession,
  nextEvent,
  pass,
  readySession,
  reasonOf,
  settle,
  told
} from "./support.ts"

// All delays here are multiples of the step of the test clock.
const step = 250
const schedule = {
  initialDelay: "2 seconds",
  factor: 1.5,
  maxDelay: "10 seconds",
  jitter: "none"
} as const

describe("the schedule", () => {
  it.effect("spaces the attempts of the first connect, and every event announces what happens", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { reconnect: schedule })
      const events = yield* eventsOf(session)
      yield* pass(30_000, step)
      assert.deepStrictEqual(yield* told(events), [
        "0 disconnected -> connecting",
        "0 Connecting 1",
        "0 Reconnecting 2 in 2000",
        "2000 Connecting 2",
        "2000 Reconnecting 3 in 3000",
        "5000 Connecting 3",
        "5000 Reconnecting 4 in 4500",
        "9500 Connecting 4",
        "9500 Reconnecting 5 in 6750",
        "16250 Connecting 5",
        "16250 Reconnecting 6 in 10000",
        "26250 Connecting 6",
        "26250 Reconnecting 7 in 10000"
      ])
      yield* broker.acceptNetwork
      yield* pass(7000, step)
      assert.deepStrictEqual(yield* told(events), [
        "36250 Connecting 7",
        "36250 Connected",
        "36250 connecting -> connected",
        "36250 Ready"
      ])
    }))

  it.effect("makes the first attempt after a loss wait too", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { reconnect: schedule, clientId: "plant" })
      const events = yield* eventsOf(session)
      yield* pass(60_000, 5000)
      yield* told(events)
      yield* broker.cut("plant")
      yield* pass(2000, step)
      assert.deepStrictEqual(yield* told(events), [
        "60000 Disconnected",
        "60000 connected -> reconnecting",
        "60000 Reconnecting 1 in 2000",
        "62000 Connecting 1",
        "62000 Connected",
        "62000 reconnecting -> connected",
        "62000 Ready"
      ])
    }))

  it.effect("starts again only after a connection that was stable", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { reconnect: schedule, clientId: "plant" })
      const events = yield* eventsOf(session)
      const delayAfter = (uptime: number) =>
        Effect.gen(function*() {
          yield* pass(uptime, step)
          yield* broker.cut("plant")
          yield* settle
          const { delay } = yield* nextEvent(events, "Reconnecting")
          yield* pass(delay, step)
          yield* session.awaitReady
          return delay
        })
      assert.strictEqual(yield* delayAfter(29_750), 2000)
      assert.strictEqual(yield* delayAfter(29_750), 3000)
      assert.strictEqual(yield* delayAfter(250), 4500)
      assert.strictEqual(yield* delayAfter(30_000), 2000)
      assert.strictEqual(yield* delayAfter(0), 3000)
    }))

  it.effect("counts how long a connection lasted by a clock that cannot be set", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const clock = yield* Clock.Clock
      let ahead = 0
      const wall: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + ahead,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + ahead),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n,
        currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      }
      const session = yield* readySession(broker, { reconnect: schedule, clientId: "plant" }).pipe(
        Effect.provideService(Clock.Clock, wall)
      )
      const events = yield* eventsOf(session)
      const delays: Array<number> = []
      // An hour forward and back again, while the connection lasts a quarter of a second, and then a stable one.
      for (const [jump, uptime] of [[3_600_000, 250], [0, 30_000], [-3_600_000, 30_000]] as const) {
        ahead += jump
        yield* pass(uptime, step)
        yield* broker.cut("plant")
        yield* settle
        const { delay } = yield* nextEvent(events, "Reconnecting")
        delays.push(delay)
        yield* pass(delay, step)
        yield* session.awaitReady
      }
      assert.deepStrictEqual(delays, [2000, 2000, 2000])
      // The first one did not begin the schedule again: it went on where it was.
      ahead += 3_600_000
      yield* broker.cut("plant")
      yield* settle
      assert.strictEqual((yield* nextEvent(events, "Reconnecting")).delay, 3000)
    }))

  it.effect("is jittered between half and all of the delay, and the announced delay is the real one", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { reconnect: { ...schedule, jitter: undefined } })
      const events = yield* eventsOf(session)
      yield* pass(60_000, 100)
      const all = (yield* Queue.clear(events)).filter(({ _tag }) => _tag === "Connecting" || _tag === "Reconnecting")
      const full = [2000, 3000, 4500, 6750, ...Array.from({ length: 100 }, () => 10_000)]
      let different = 0
      for (let i = 0; i + 2 < all.length; i += 2) {
        const announced = all[i + 1]!
        if (announced._tag !== "Reconnecting") return assert.fail(announced._tag)
        assert.isAtLeast(announced.delay, full[i / 2]! / 2)
        assert.isAtMost(announced.delay, full[i / 2]!)
        if (announced.delay !== full[i / 2]) different++
        assert.strictEqual(all[i + 2]!.at - announced.at, announced.delay)
      }
      assert.isAbove(different, 5)
    }))

  it.effect("may be any Schedule over the failure; the session ends with it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const seen: Array<unknown> = []
      const reconnectSchedule = Schedule.spaced("7 seconds").pipe(
        Schedule.upTo({ times: 2 }),
        Schedule.tap(({ input }) => Effect.sync(() => seen.push(input)))
      )
      const session = yield* makeSession(broker, { reconnectSchedule })
      const events = yield* eventsOf(session)
      const waiting = yield* Effect.forkScoped(reasonOf(session.awaitReady))
      yield* pass(60_000, step)
      assert.deepStrictEqual(
        (yield* told(events)).filter((line) => /Connecting|->/.test(line)),
        [
          "0 disconnected -> connecting",
          "0 Connecting 1",
          "7000 Connecting 2",
          "14000 Connecting 3",
          "14000 connecting -> disconnected"
        ]
      )
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "ConnectionRefused")
      assert.isTrue(seen.length >= 2 && seen.every(isMqttError))
      assert.strictEqual((yield* reasonOf(session.publish("t", "")))._tag, "ConnectionRefused")
    }))
})

describe("without reconnecting", () => {
  it.effect("a session ends with its first connection", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { clientId: "plant", reconnect: { enabled: false } })
      const events = yield* eventsOf(session)
      yield* broker.cut("plant")
      yield* nextEvent(events, "Disconnected")
      yield* pass(600_000, 10_000)
      assert.lengthOf(connectsOf(broker), 1)
      assert.deepStrictEqual((yield* told(events)).map((line) => line.slice(line.indexOf(" ") + 1)), [
        "connected -> disconnected"
      ])
      assert.strictEqual((yield* reasonOf(session.publish("t", "")))._tag, "ConnectionLost")
      assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, "ConnectionLost")
    }))

  it.effect("a session ends with its first failure to connect", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseConnect(0x88)
      const session = yield* makeSession(broker, { reconnect: { enabled: false } })
      assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, "ConnectionRefused")
      yield* pass(600_000, 10_000)
      assert.lengthOf(connectsOf(broker), 1)
    }))
})

describe("a platform that reports when the network is back", () => {
  it.effect("ends the wait for the next attempt, and no other one", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const back = yield* Queue.unbounded<void>()
      const session = yield* MqttSession.make({
        name: "plant",
        servers: [broker.url],
        reconnect: { ...schedule, initialDelay: "60 seconds", maxDelay: "60 seconds" }
      }).pipe(Effect.provideService(Transport, { ...broker.transport, reachable: Queue.take(back) }))
      const events = yield* eventsOf(session)
      yield* pass(1000, step)
      yield* told(events)
      yield* broker.acceptNetwork
      yield* Queue.offer(back, undefined)
      assert.deepStrictEqual(yield* told(events), [
        "1000 Connecting 2",
        "1000 Connected",
        "1000 connecting -> connected",
        "1000 Ready"
      ])
    }))
})
