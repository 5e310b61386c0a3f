import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { HandlerFailed } from "@effect-mqttx/core/SessionEvent"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { ConsumeOptions } from "@effect-mqttx/core/Subscription"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, Queue, References, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { backoff, delaysOf } from "../../src/internal/backoff.ts"
import {
  eventsOf,
  Ledger,
  makeBroker,
  nextEvent,
  type Options,
  pass,
  readySession,
  reasonOf,
  settle
} from "./support.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** A session whose server is subscribed to by a consumer of `filter`. */
const consuming = Effect.fnUntraced(function*(
  filter: string,
  handler: Parameters<MqttSession.Session["consume"]>[1],
  given: { readonly session?: Options; readonly consume?: ConsumeOptions<unknown> } = {}
) {
  const broker = yield* makeBroker("memory")
  const session = yield* readySession(broker, given.session)
  const consumer = yield* Effect.forkScoped(
    Effect.exit(session.consume(filter, handler as () => Effect.Effect<unknown, unknown>, { qos: 1, ...given.consume }))
  )
  yield* subscribed(broker, 1)
  return { broker, session, consumer }
})

const subscribed = (broker: ScriptedBroker.Service, count: number) =>
  broker.awaitUntil(() => broker.sessions.some(({ subscriptions }) => subscriptions.length === count))

/** The events of failed handlers so far. */
const failuresOf = (events: Queue.Dequeue<unknown>) =>
  Effect.map(
    Effect.andThen(settle, Queue.clear(events)),
    (all) => all.filter((event): event is HandlerFailed => (event as HandlerFailed)._tag === "HandlerFailed")
  )

const broken: Record<string, () => Effect.Effect<unknown, unknown>> = {
  fails: () => Effect.fail("no"),
  dies: () => Effect.die(new Error("died")),
  throws: () => {
    throw new Error("thrown")
  },
  "interrupts itself": () => Effect.interrupt,
  "interrupts its own fiber": () =>
    Effect.withFiber((fiber) => {
      fiber.interruptUnsafe()
      return Effect.never
    })
}

/** The longest delays before the runs of a handler that always fails, in seconds. */
const delays = [1, 2, 4, 8, 16, 32, 60, 60]

const assertGrowing = (runs: ReadonlyArray<number>): void => {
  assert.isAtLeast(runs.length, delays.length + 1)
  for (let i = 1; i <= delays.length; i++) {
    const delay = (runs[i]! - runs[i - 1]!) / 1000
    assert.isAtLeast(delay, delays[i - 1]! / 2)
    assert.isAtMost(delay, delays[i - 1]!)
  }
}

describe.each([4, 5] as const)("version %s", (version) => {
  for (const [title, fault] of Object.entries(broken)) {
    it.effect(`the message of a handler that ${title} is tried again after a growing delay, and stays unacknowledged until it succeeds`, () =>
      Effect.gen(function*() {
        const runs: Array<number> = []
        let isBroken = true
        const { broker, session } = yield* consuming("t/+", () =>
          Effect.clockWith((clock) => {
            runs.push(clock.currentTimeMillisUnsafe())
            return isBroken ? fault() : Effect.void
          }), { session: { protocolVersion: version, keepAlive: "10 seconds" } })
        const { settled } = yield* broker.publish("t/1", "1", { qos: 1 })
        yield* pass(200_000, 1000)
        assertGrowing(runs)
        assert.lengthOf(broker.received("Puback"), 0)
        assert.isAtLeast(broker.received("Pingreq").length, 10)
        isBroken = false
        yield* pass(60_000, 1000)
        assert.deepStrictEqual((yield* settled).map(({ outcome }) => outcome), ["Acknowledged"])
        const { handlers, reconnects } = yield* session.metrics
        assert.strictEqual(reconnects, 0)
        assert.deepStrictEqual(handlers, {
          failures: runs.length - 1,
          retries: runs.length - 1,
          givenUp: 0,
          deadLettered: 0,
          failing: 0,
          oldestFailingAge: 0
        })
      }).pipe(quietly))
  }

  for (const qos of [1, 2] as const) {
    it.effect(`at QoS ${qos} a failing message blocks its topic, no handler and nothing else`, () =>
      Effect.gen(function*() {
        const handled = new Ledger()
        let isBroken = true
        const { broker, session } = yield* consuming(
          "t/+",
          (message) =>
            isBroken && message.topic === "t/bad" && message.text === "2"
              ? Effect.fail("no")
              : Effect.sync(() => handled.noteMessage(message)),
          { session: { protocolVersion: version, receiveMaximum: 2000 }, consume: { qos, concurrency: 1 } }
        )
        const neighbours = new Ledger()
        const { messages } = yield* session.subscription("other", { qos })
        yield* Effect.forkScoped(
          Stream.runForEach(messages, (message) => Effect.sync(() => neighbours.noteMessage(message)))
        )
        yield* subscribed(broker, 2)
        // More than wait for a handler in other cases.
        for (let i = 1; i <= 400; i++) {
          for (const topic of ["t/bad", "t/good", "other"]) yield* broker.publish(topic, String(i), { qos })
        }
        yield* settle
        assert.deepStrictEqual(handled.missing(["t/good"], 400), [])
        assert.strictEqual(handled.count, 401)
        assert.deepStrictEqual(neighbours.missing(["other"], 400), [])
        isBroken = false
        yield* pass(1000)
        yield* handled.complete(["t/bad"], 400)
        assert.strictEqual(handled.count, 800)
        assert.deepStrictEqual(handled.misordered, [])
        yield* broker.awaitIdle
        assert.strictEqual((yield* session.metrics).unacknowledged, 0)
      }).pipe(quietly))
  }

  it.effect("without order a failing message blocks only its own acknowledgement and those behind it", () =>
    Effect.gen(function*() {
      const handled = new Ledger()
      let isBroken = true
      const { broker } = yield* consuming(
        "t",
        (message) =>
          isBroken && message.text === "1" ? Effect.fail("no") : Effect.sync(() => handled.noteMessage(message)),
        { session: { protocolVersion: version }, consume: { order: "none", concurrency: 2 } }
      )
      for (let i = 1; i <= 300; i++) yield* broker.publish("t", String(i), { qos: 1 })
      yield* settle
      assert.strictEqual(handled.count, 299)
      assert.lengthOf(broker.received("Puback"), 0)
      isBroken = false
      yield* pass(1000)
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 300)
    }).pipe(quietly))

  it.effect("interrupting a consumer whose messages wait for another attempt leaves them, in order, to the next one", () =>
    Effect.gen(function*() {
      const { broker, consumer, session } = yield* consuming("t", () => Effect.fail("no"), {
        session: { protocolVersion: version },
        consume: { keep: true }
      })
      for (const text of ["1", "2", "3"]) yield* broker.publish("t", text, { qos: 1 })
      yield* settle
      assert.strictEqual((yield* session.status).handlers.failing, 1)
      yield* Fiber.interrupt(consumer)
      assert.strictEqual((yield* session.status).handlers.failing, 0)
      const next = new Ledger()
      yield* Effect.forkScoped(
        session.consume("t", (message) => Effect.sync(() => next.noteMessage(message)), { qos: 1 })
      )
      yield* next.complete(["t"], 3)
      assert.deepStrictEqual(next.misordered, [])
      assert.strictEqual(next.count, 3)
    }).pipe(quietly))

  it.effect("drain waits neither for the delay of a failing message nor for what is behind it, and acknowledges none of them", () =>
    Effect.gen(function*() {
      const handled: Array<string> = []
      const { broker, consumer, session } = yield* consuming(
        "t/+",
        ({ text, topic }) => topic === "t/bad" ? Effect.fail("no") : Effect.sync(() => handled.push(text)),
        { session: { protocolVersion: version, persistence: "durable", clientId: "durable" } }
      )
      for (const text of ["1", "2", "3"]) {
        yield* broker.publish("t/bad", text, { qos: 1 })
        yield* broker.publish("t/good", text, { qos: 1 })
      }
      yield* pass(20_000, 1000)
      // No time passes.
      yield* session.drain
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(consumer)))
      assert.deepStrictEqual(handled, ["1", "2", "3"])
      assert.lengthOf(broker.received("Puback"), 0)
      assert.strictEqual(broker.session("durable")?.subscriptions.length, 1)
    }).pipe(quietly, Effect.provide(SessionStore.layerMemory)))

  it.effect("drain waits for a handler that runs, and leaves its message when it fails", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* consuming("t", () =>
        Effect.andThen(Effect.sleep("1 seconds"), Effect.fail("no")), {
        session: { protocolVersion: version, persistence: "durable", clientId: "durable" }
      })
      for (const text of ["1", "2"]) {
        yield* broker.publish("t", text, { qos: 1 })
      }
      yield* settle
      const draining = yield* Effect.forkScoped(session.drain)
      yield* pass(900)
      assert.isUndefined(draining.pollUnsafe())
      yield* pass(100)
      assert.isDefined(draining.pollUnsafe())
      assert.lengthOf(broker.received("Puback"), 0)
      assert.strictEqual((yield* session.metrics).handlers.failures, 1)
    }).pipe(quietly, Effect.provide(SessionStore.layerMemory)))

  for (const qos of [1, 2] as const) {
    it.effect(`a reconnect while QoS ${qos} messages wait for another attempt makes no second copy of them`, () =>
      Effect.gen(function*() {
        const handled = new Ledger()
        const attempts: Array<string> = []
        let isBroken = true
        const { broker, session } = yield* consuming("t", (message) =>
          Effect.suspend(() => {
            attempts.push(message.text)
            return isBroken ? Effect.fail("no") : Effect.sync(() => handled.noteMessage(message))
          }), { session: { protocolVersion: version, clientId: "c" }, consume: { qos } })
        for (const text of ["1", "2", "3"]) yield* broker.publish("t", text, { qos })
        for (let cut = 2; cut <= 6; cut++) {
          yield* pass(5000)
          yield* broker.cut("c")
          yield* pass(100)
          yield* broker.awaitConnections(cut)
        }
        assert.strictEqual((yield* session.status).handlers.failing, 1)
        isBroken = false
        yield* pass(60_000, 1000)
        assert.deepStrictEqual(new Set(attempts.slice(0, -3)), new Set(["1"]))
        assert.strictEqual(handled.count, 3)
        assert.deepStrictEqual(handled.misordered, [])
        yield* broker.awaitIdle
        assert.strictEqual((yield* session.metrics).unacknowledged, 0)
      }).pipe(quietly))
  }
})

describe("the option retry", () => {
  it.effect("decides the delays first, then those of the policy follow", () =>
    Effect.gen(function*() {
      const runs: Array<number> = []
      const { broker } = yield* consuming("t", () =>
        Effect.clockWith((clock) => {
          runs.push(clock.currentTimeMillisUnsafe())
          return Effect.fail("no")
        }), { consume: { retry: Schedule.max([Schedule.spaced("7 seconds"), Schedule.recurs(2)]) } })
      yield* broker.publish("t", "1", { qos: 1 })
      yield* pass(220_000, 1000)
      assert.deepStrictEqual([runs[1]! - runs[0]!, runs[2]! - runs[1]!], [7000, 7000])
      assertGrowing(runs.slice(2))
    }).pipe(quietly))

  it.effect("sees the handler's errors, holds no handler while it waits, and is followed by the policy", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      let others = 0
      const { broker, session } = yield* consuming(
        "t/+",
        ({ topic }) => topic === "t/bad" ? Effect.fail("no") : Effect.sync(() => others++),
        {
          consume: {
            concurrency: 1,
            retry: Schedule.max([Schedule.spaced("10 seconds"), Schedule.recurs(2)]).pipe(
              Schedule.setInputType<unknown>(),
              Schedule.tap(({ input }) => Effect.sync(() => seen.push(input)))
            ),
            onFailure: "skip"
          }
        }
      )
      yield* broker.publish("t/bad", "1", { qos: 1 })
      yield* broker.publish("t/good", "1", { qos: 1 })
      yield* pass(15_000, 1000)
      assert.strictEqual(others, 1)
      assert.lengthOf(broker.received("Puback"), 0)
      yield* pass(5000, 1000)
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 2)
      assert.deepStrictEqual(seen, ["no", "no"])
      const { failures, givenUp, retries } = (yield* session.metrics).handlers
      assert.deepStrictEqual({ failures, givenUp, retries }, { failures: 3, givenUp: 1, retries: 2 })
    }).pipe(quietly))

  it.effect("does not apply to a handler that dies: the policy decides at once", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* consuming("t", () => Effect.die("no"), {
        consume: { retry: Schedule.recurs(5), onFailure: "skip" }
      })
      yield* broker.publish("t", "1", { qos: 1 })
      yield* broker.awaitIdle
      assert.strictEqual((yield* session.metrics).handlers.failures, 1)
    }).pipe(quietly))

  it.effect("that dies is not used any more", () =>
    Effect.gen(function*() {
      const { broker } = yield* consuming("t", () => Effect.fail("no"), {
        consume: {
          retry: Schedule.recurs(5).pipe(Schedule.tap(() => Effect.die("a broken schedule"))),
          onFailure: "skip"
        }
      })
      yield* broker.publish("t", "1", { qos: 1 })
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 1)
    }).pipe(quietly))

  it.effect("without a delay does not starve other fibers", () =>
    Effect.gen(function*() {
      let runs = 0
      const { broker, session } = yield* consuming("t", () =>
        Effect.suspend(() => {
          runs++
          return Effect.fail("no")
        }), { consume: { retry: Schedule.forever } })
      yield* broker.publish("t", "1", { qos: 1 })
      yield* settle
      const before = runs
      yield* session.publish("out", "", { qos: 1 })
      yield* settle
      assert.isAbove(before, 1)
      assert.isAbove(runs, before)
    }).pipe(quietly))
})

describe("QoS 0", () => {
  for (const order of ["topic", "none"] as const) {
    it.effect(`of messages that wait for an attempt as many are kept as the buffer holds, order ${order}`, () =>
      Effect.gen(function*() {
        const handled: Array<string> = []
        let isBroken = true
        const { broker, session } = yield* consuming(
          "t/+",
          ({ text, topic }) =>
            isBroken && topic !== "t/good" ? Effect.fail("no") : Effect.sync(() => handled.push(text)),
          { consume: { qos: 0, order, buffer: 10, concurrency: 1 } }
        )
        const events = yield* eventsOf(session)
        for (let i = 1; i <= 50; i++) {
          yield* broker.publish("t/bad", String(i))
          yield* settle
          yield* broker.publish("t/good", String(-i))
        }
        yield* settle
        assert.strictEqual(handled.length, 50)
        assert.isAtMost((yield* session.status).handlers.failing, 10)
        assert.deepStrictEqual((yield* session.metrics).dropped.streamOverflow, 40)
        const { cause, direction, topic } = yield* nextEvent(events, "MessageDropped")
        assert.deepStrictEqual({ cause, direction, topic }, {
          cause: "streamOverflow",
          direction: "inbound",
          topic: "t/bad"
        })
        isBroken = false
        handled.length = 0
        yield* pass(60_000, 1000)
        // With order the first one, which failed, is kept; the oldest of those behind it are gone.
        const kept = order === "topic"
          ? [1, 42, 43, 44, 45, 46, 47, 48, 49, 50]
          : [41, 42, 43, 44, 45, 46, 47, 48, 49, 50]
        assert.deepStrictEqual(handled.map(Number).sort((a, b) => a - b), kept)
        assert.deepStrictEqual((yield* session.status).handlers, { failing: 0, since: undefined })
      }).pipe(quietly))
  }

  it.effect("over the buffer pauses the network where that is asked for, and nothing is dropped", () =>
    Effect.gen(function*() {
      const handled = new Ledger()
      let isBroken = true
      const { broker, session } = yield* consuming(
        "t",
        (message) => isBroken ? Effect.fail("no") : Effect.sync(() => handled.noteMessage(message)),
        { consume: { qos: 0, buffer: 10, onOverflow: "suspend" } }
      )
      for (let i = 1; i <= 500; i++) yield* broker.publish("t", String(i))
      yield* settle
      isBroken = false
      yield* pass(1000)
      yield* handled.complete(["t"], 500)
      assert.deepStrictEqual(handled.misordered, [])
      assert.strictEqual((yield* session.metrics).dropped.streamOverflow, 0)
    }).pipe(quietly))
})

describe("reports", () => {
  it.effect("status says how many messages fail and since when, and statusChanges when that begins and ends", () =>
    Effect.gen(function*() {
      let isBroken = true
      const { broker, session } = yield* consuming("t/+", () => isBroken ? Effect.fail("no") : Effect.void)
      const changes = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(
        Stream.runForEach(session.statusChanges, ({ handlers }) => Queue.offer(changes, handlers)),
        { startImmediately: true }
      )
      yield* settle
      yield* Queue.clear(changes)
      assert.deepStrictEqual((yield* session.status).handlers, { failing: 0, since: undefined })
      yield* TestClock.adjust("1 hour")
      const since = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* broker.publish("t/1", "1", { qos: 1 })
      yield* settle
      yield* pass(10)
      yield* broker.publish("t/2", "1", { qos: 1 })
      yield* settle
      assert.deepStrictEqual((yield* session.status).handlers, { failing: 2, since })
      assert.strictEqual((yield* session.metrics).handlers.failing, 2)
      assert.strictEqual((yield* session.metrics).handlers.oldestFailingAge, 10)
      isBroken = false
      yield* pass(1100)
      assert.deepStrictEqual((yield* session.status).handlers, { failing: 0, since: undefined })
      assert.deepStrictEqual(yield* Queue.clear(changes), [{ failing: 1, since }, { failing: 0, since: undefined }])
    }).pipe(quietly))

  it.effect("an event has the outcome of the messages of one turn, and for the last one why and when", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* consuming("t/+", ({ text }) => Effect.fail(`no ${text}`))
      const events = yield* eventsOf(session)
      yield* failuresOf(events)
      yield* broker.publish("t/1", "1", { qos: 1 })
      const [first] = yield* failuresOf(events)
      assert.deepStrictEqual(
        [first?.outcome, first?.topic, first?.attempt, first?.count, first?.error],
        ["retry", "t/1", 1, 1, undefined]
      )
      assert.strictEqual(Cause.squash(first!.cause), "no 1")
      assert.isTrue(first!.delay! >= 500 && first!.delay! <= 1000)
      yield* pass(first!.delay! - 1)
      assert.lengthOf(yield* failuresOf(events), 0)
      yield* pass(1)
      const [second] = yield* failuresOf(events)
      assert.deepStrictEqual([second?.outcome, second?.attempt], ["retry", 2])
    }).pipe(quietly))

  it.live("fifty thousand failures are few events and few lines", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        lines.push(message)
      })
      yield* Effect.gen(function*() {
        const { broker, session } = yield* consuming("t", () => Effect.fail("no"), {
          consume: { onFailure: "skip", order: "none" }
        })
        const events = yield* eventsOf(session)
        const packets = Array.from({ length: 1000 }, (_, i) => `${i}`)
        for (let i = 0; i < 50; i++) {
          for (const text of packets) yield* broker.publish("t", text, { qos: 1 })
          yield* broker.awaitIdle
        }
        const told = yield* failuresOf(events)
        const { failures, givenUp } = (yield* session.metrics).handlers
        assert.deepStrictEqual([failures, givenUp], [50_000, 50_000])
        assert.isBelow(told.length, 5000)
        assert.strictEqual(told.reduce((sum, { count }) => sum + count, 0), 50_000)
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.isAtLeast(lines.length, 1)
      assert.isAtMost(lines.length, 5)
    }))

  it.effect("the log has one line in ten seconds for each outcome, with the number of the others", () =>
    Effect.gen(function*() {
      const lines: Array<readonly [string, unknown]> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push([(message as ReadonlyArray<string>)[0]!, fiber.getRef(References.CurrentLogAnnotations)])
      })
      yield* Effect.gen(function*() {
        const { broker, session } = yield* consuming("t/+", () => Effect.fail("no"), { consume: { onFailure: "skip" } })
        const line = "a message handler failed: the message is given up and acknowledged"
        for (let i = 0; i < 5; i++) yield* broker.publish("t/1", "1", { qos: 1 })
        yield* settle
        assert.deepStrictEqual(lines, [[line, { session: session.name, topic: "t/1", outcome: "skip" }]])
        yield* pass(10_000, 1000)
        yield* broker.publish("t/2", "1", { qos: 1 })
        yield* settle
        assert.deepStrictEqual(lines.slice(1), [[
          line,
          { session: session.name, topic: "t/2", outcome: "skip", others: 4 }
        ]])
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))

      lines.length = 0
      yield* Effect.gen(function*() {
        const { broker, consumer } = yield* consuming("t", () => Effect.fail("no"), {
          consume: { retry: Schedule.max([Schedule.spaced("2 seconds"), Schedule.recurs(1)]), onFailure: "fail" }
        })
        yield* broker.publish("t", "1", { qos: 1 })
        yield* pass(2000)
        assert.isTrue(Exit.isFailure(yield* Fiber.join(consumer)))
        assert.deepStrictEqual(lines.map(([text]) => text), [
          "a message handler failed: it is tried again in 2000 ms",
          "a message handler failed: the consumer ends, and the message stays unacknowledged"
        ])
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
    }))

  it.effect("a logger that throws stops no handler", () =>
    Effect.gen(function*() {
      const logger = Logger.make(() => {
        throw new Error("a broken logger")
      })
      const { broker } = yield* consuming("t", () => Effect.fail("no"), { consume: { onFailure: "skip" } }).pipe(
        Effect.provide(Layer.fresh(Logger.layer([logger])))
      )
      for (let i = 0; i < 5; i++) yield* broker.publish("t", "1", { qos: 1 })
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 5)
    }))
})

describe("options", () => {
  it.effect("a wrong policy, order or number of handlers is refused with its path, before anything is subscribed", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      const paths = (options: unknown, filters: string | ReadonlyArray<string> = "t") =>
        Effect.map(
          reasonOf(session.consume(filters, () => Effect.void, options as ConsumeOptions)),
          (reason) => reason._tag === "InvalidOptions" ? reason.issues.map(({ path }) => path) : [reason._tag]
        )
      assert.deepStrictEqual(yield* paths({ onFailure: "drop" }), ["onFailure"])
      assert.deepStrictEqual(yield* paths({ onFailure: null, onInvalid: 3 }), ["onFailure", "onInvalid"])
      assert.deepStrictEqual(yield* paths({ onFailure: { deadLetter: "a/#" } }), ["onFailure.deadLetter"])
      assert.deepStrictEqual(yield* paths({ onInvalid: {} }), ["onInvalid.deadLetter"])
      assert.deepStrictEqual(yield* paths({ onFailure: { deadLetter: "d", onRefused: "keep" } }), [
        "onFailure.onRefused"
      ])
      assert.deepStrictEqual(yield* paths({ onFailure: { deadLetter: "t" } }), ["onFailure.deadLetter"])
      assert.deepStrictEqual(
        yield* paths({ onFailure: { deadLetter: "t" } }, ["a/#", "$share/group/t"]),
        ["onFailure.deadLetter"]
      )
      assert.deepStrictEqual(yield* paths({ concurrency: 0 }), ["concurrency"])
      assert.deepStrictEqual(yield* paths({ order: "random" }), ["order"])
      assert.lengthOf(broker.received("Subscribe"), 0)
    }))
})

it.effect("the delays stay within a minute after thousands of failures", () =>
  Effect.gen(function*() {
    const next = yield* delaysOf(backoff)
    let longest = 0
    for (let i = 0; i < 5000; i++) {
      const delay = yield* next(undefined)
      assert.isTrue(delay !== undefined && delay >= 500)
      longest = Math.max(longest, delay!)
    }
    assert.isAtMost(longest, 60_000)
    assert.isAtLeast(longest, 50_000)
  }))
