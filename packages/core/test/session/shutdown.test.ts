import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Latch, Scope, Stream } from "effect"
import { timed, within } from "../../../../test/support/within.ts"
import { bundle } from "./bundled.ts"
import type { Leftovers } from "./shutdownProgram.ts"
import { eventsOf, makeBroker, makeSession, nextEvent, type Options, readySession, settle } from "./support.ts"

describe("interruption", () => {
  it.live(
    "of every effect at 1,000 random moments, under cuts, leaves no fiber, socket, timer or listener",
    () =>
      Effect.gen(function*() {
        const program = yield* bundle("shutdownProgram")
        const all = yield* Effect.forEach([4, 5], (version) => program.run(version, 1, 1000), { concurrency: 2 })
        for (const leftovers of all as ReadonlyArray<Leftovers>) {
          const { after, before, cuts, defects, figures, hanging, interrupted, openConnections } = leftovers
          assert.isAbove(interrupted, 900)
          assert.isAbove(cuts, 50)
          assert.deepStrictEqual({ defects, hanging, openConnections }, {
            defects: [],
            hanging: [],
            openConnections: 0
          })
          assert.deepStrictEqual(Object.values(figures).filter((figure) => figure !== 0), [])
          assert.strictEqual(leftovers.subscriptionsAtServer, 0)
          assert.strictEqual(leftovers.violations, 0)
          assert.deepStrictEqual(after, before)
        }
      }),
    240_000
  )
})

/** One of everything that has an outcome; counts how often each ends, and tells how. */
const oneOfEach = Effect.fnUntraced(function*(session: MqttSession.Session) {
  const outgoing = Stream.range(1, 100).pipe(
    Stream.map((i) => ({ topic: "bulk", payload: String(i), options: { qos: 1 as const } }))
  )
  const operations: Record<string, Effect.Effect<unknown, MqttError>> = {
    "publish QoS 1": session.publish("t", "", { qos: 1 }),
    "publish QoS 2": session.publish("t", "", { qos: 2 }),
    acknowledged: Effect.flatMap(session.enqueue("t", "", { qos: 2 }), (receipt) => receipt.acknowledged),
    publishAll: session.publishAll(outgoing),
    sink: Stream.run(outgoing, session.sink),
    subscription: Effect.scoped(session.subscription("s")),
    consume: session.consume("c", () => Effect.void)
  }
  const ends: Record<string, Array<string>> = {}
  const fibers = yield* Effect.forEach(Object.entries(operations), ([name, operation]) => {
    ends[name] = []
    return Effect.forkScoped(
      Effect.onExit(operation, (exit) => Effect.sync(() => ends[name]!.push(reasonOf(exit)))),
      { startImmediately: true }
    )
  })
  yield* settle
  return { ends, settled: Effect.forEach(fibers, Fiber.await, { discard: true }) }
})

const reasonOf = (exit: Exit.Exit<unknown, MqttError>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error.reason._tag : String(reason?._tag)
}

const allClosed = {
  "publish QoS 1": ["Closed"],
  "publish QoS 2": ["Closed"],
  acknowledged: ["Closed"],
  publishAll: ["Closed"],
  sink: ["Closed"],
  subscription: ["Closed"],
  consume: ["Closed"]
}

describe.each([4, 5] as const)("drain, version %s", (version) => {
  it.live("with a silent broker ends in its time, and settles every outcome exactly once", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, {
        protocolVersion: version,
        clientId: "plant",
        keepAlive: 0,
        drainTimeout: "300 millis"
      })
      yield* broker.inject(Fault.goSilent({ direction: "received", packet: "Connect" }, { times: Infinity }))
      yield* broker.goSilent("plant")
      const { ends, settled } = yield* oneOfEach(session)
      const before = yield* Clock.currentTimeMillis
      yield* within(3500)(session.drain)
      yield* settled
      assert.deepStrictEqual(ends, allClosed)
      // DISCONNECT has a second to leave, and on 3.1.1 so has the clean connect behind it.
      assert.isAtLeast((yield* Clock.currentTimeMillis) - before, 300)
      assert.strictEqual((yield* session.status).state, "closed")
      yield* broker.awaitUntil(() => broker.connections.every(({ closedAt }) => closedAt !== undefined))
    }))

  it.live("with a broker that answers waits for every outcome", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { protocolVersion: version, clientId: "plant" })
      yield* broker.inject(Fault.delay({ direction: "sent", packet: "Puback" }, "100 millis"))
      const { ends, settled } = yield* oneOfEach(session)
      yield* session.drain
      yield* settled
      for (const name of ["publish QoS 1", "publish QoS 2", "acknowledged", "publishAll", "sink"]) {
        assert.deepStrictEqual([name, ends[name]], [name, ["success"]])
      }
      assert.lengthOf(broker.published, 203)
      assert.deepStrictEqual(broker.violations, [])
    }))

  it.live("may be called by many at once, and after the end", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { protocolVersion: version })
      yield* Effect.forEach([1, 2, 3], () => session.drain, { concurrency: "unbounded" })
      yield* session.drain
      assert.lengthOf(broker.received("Disconnect"), version === 5 ? 1 : 2)
    }))
})

describe("the end of the scope is bounded in time", () => {
  const promptly = 1000

  /** A session in a scope of its own, and how long the end of that takes. */
  const closing = Effect.fnUntraced(function*(
    make: Effect.Effect<MqttSession.Session, MqttError, Scope.Scope>,
    until: (session: MqttSession.Session) => Effect.Effect<unknown, MqttError, Scope.Scope>
  ) {
    const scope = yield* Scope.make()
    const session = yield* Scope.provide(make, scope)
    yield* until(session)
    const [millis] = yield* timed(Scope.close(scope, Exit.void))
    return millis
  })

  it.live("while the network connects", () =>
    Effect.gen(function*() {
      const opening = Latch.makeUnsafe()
      const nowhere: Transport.Transport = { open: () => Effect.andThen(opening.open, Effect.never) }
      const make = MqttSession.make({ name: "plant", servers: "plant.invalid" }).pipe(
        Effect.provideService(Transport.Transport, nowhere)
      )
      assert.isBelow(yield* closing(make, () => opening.await), promptly)
    }))

  const states: Record<
    string,
    readonly [
      Options,
      (broker: ScriptedBroker.Service) => Effect.Effect<unknown>,
      (session: MqttSession.Session, broker: ScriptedBroker.Service) => Effect.Effect<unknown, MqttError, Scope.Scope>
    ]
  > = {
    "while the server is silent about CONNECT": [
      {},
      (broker) => broker.inject(Fault.goSilent({ direction: "received", packet: "Connect" })),
      (_, broker) => broker.awaitPacket({ direction: "received", packet: "Connect" })
    ],
    "while it waits for the next attempt to connect": [
      { reconnect: { initialDelay: "60 seconds" } },
      (broker) => broker.refuseNetwork,
      (session) => Effect.flatMap(eventsOf(session), (events) => nextEvent(events, "Reconnecting"))
    ],
    "while it waits for the next attempt to reconnect": [
      { clientId: "plant", reconnect: { initialDelay: "60 seconds" } },
      () => Effect.void,
      (session, broker) =>
        Effect.gen(function*() {
          const events = yield* eventsOf(session)
          yield* nextEvent(events, "Ready")
          yield* broker.cut("plant")
          yield* nextEvent(events, "Reconnecting")
        })
    ],
    "while it waits after a permanent failure": [
      {},
      (broker) => broker.refuseConnect(0x86),
      (session) => Effect.flatMap(eventsOf(session), (events) => nextEvent(events, "Reconnecting"))
    ],
    "after it has given up": [
      { reconnect: { enabled: false } },
      (broker) => broker.refuseConnect(0x88),
      (session) => Effect.flip(session.awaitReady).pipe(Effect.orDie)
    ]
  }
  for (const [title, [options, before, until]] of Object.entries(states)) {
    it.live(title, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("tcp")
        yield* before(broker)
        assert.isBelow(yield* closing(makeSession(broker, options), (session) => until(session, broker)), promptly)
        yield* broker.awaitNoConnections
      }))
  }

  it.live("while it is offline with a full queue and publishers that wait for room, and every outcome is settled once", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      yield* broker.refuseNetwork
      let operations: Effect.Success<ReturnType<typeof oneOfEach>> | undefined
      const make = makeSession(broker, { queue: { messages: 10 } })
      const millis = yield* closing(make, (session) =>
        Effect.gen(function*() {
          for (let i = 0; i < 10; i++) yield* session.enqueue("t", String(i), { qos: 1 })
          operations = yield* oneOfEach(session)
          assert.strictEqual((yield* session.metrics).queuedMessages, 10)
        }))
      yield* operations!.settled
      assert.deepStrictEqual(operations!.ends, allClosed)
      assert.isBelow(millis, promptly)
    }))

  it.live("with a server that takes no more bytes, within the time to drain and a second", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const make = readySession(broker, { clientId: "plant", keepAlive: 0, drainTimeout: "200 millis" })
      const millis = yield* closing(make, (session) =>
        Effect.gen(function*() {
          yield* broker.stopReading("plant")
          yield* Effect.forkScoped(Effect.ignore(session.publishAll(
            Stream.forever(Stream.succeed({ topic: "t", payload: "x".repeat(100_000), options: { qos: 1 as const } }))
          )))
          yield* Effect.repeat(session.metrics, { until: ({ queuedMessages }) => queuedMessages > 10 })
        }))
      assert.isBelow(millis, 200 + 1000 + promptly)
      yield* broker.resumeReading("plant").pipe(Effect.catchDefect(() => Effect.void))
      yield* broker.awaitNoConnections
    }))
})
