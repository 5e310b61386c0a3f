/**
 * A program that interrupts every effect of a session at random moments, and prints what was left behind. It is run in
 * a process of its own: that it ends by itself is half of the proof.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { Effect, Exit, Fiber, Logger, Metric, Schedule, Scope, Stream } from "effect"
import * as process from "node:process"
import { seeded } from "./seeded.ts"

export interface Leftovers {
  /** Effects that did not end within five seconds of their interruption. */
  readonly hanging: ReadonlyArray<string>
  /** Effects that ended by a defect. */
  readonly defects: ReadonlyArray<string>
  /** How many effects were interrupted before they ended. */
  readonly interrupted: number
  readonly cuts: number
  /** Figures of the session when everything has ended; all should be 0. */
  readonly figures: Readonly<Record<string, number>>
  readonly subscriptionsAtServer: number
  readonly violations: number
  /** Connections that were still open at the server two seconds after the last session had ended. */
  readonly openConnections: number
  readonly before: Resources
  readonly after: Resources
}

/** What is there once nothing more happens. */
export interface Resources {
  readonly fibers: number
  readonly handles: ReadonlyArray<string>
  readonly listeners: number
}

let fibers = 0
const counting: Metric.FiberRuntimeMetricsService = {
  recordFiberStart: () => {
    fibers++
  },
  recordFiberEnd: () => {
    fibers--
  }
}

const turn: Effect.Effect<void> = Effect.callback((resume) => {
  setImmediate(() => resume(Effect.void))
})

const resources: Effect.Effect<Resources> = Effect.gen(function*() {
  // Closed sockets and cleared timers are gone a few turns later.
  for (let i = 0; i < 20; i++) yield* turn
  return {
    fibers,
    handles: process.getActiveResourcesInfo().filter((name) => name !== "Immediate").sort(),
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
  }
})

type Act = (session: MqttSession.Session, filter: string) => Effect.Effect<unknown, unknown>

const outgoing = (count: number) =>
  Stream.range(1, count).pipe(Stream.map((i) => ({ topic: "out", payload: String(i), options: { qos: 1 } as const })))

const acts: Readonly<Record<string, Act>> = {
  "publish QoS 0": (session) => session.publish("out", "x"),
  "publish QoS 1": (session) => session.publish("out", "x", { qos: 1 }),
  "publish QoS 2": (session) => session.publish("out", "x", { qos: 2 }),
  "publish with a timeout": (session) => session.publish("out", "x", { qos: 1, timeout: "2 millis" }),
  "enqueue": (session) => session.enqueue("out", "x", { qos: 2 }),
  "acknowledged": (session) => Effect.flatMap(session.enqueue("out", "x", { qos: 1 }), (each) => each.acknowledged),
  "publishAll": (session) => session.publishAll(outgoing(300)),
  "sink": (session) => Stream.run(outgoing(300), session.sink),
  "subscription": (session, filter) => Effect.scoped(session.subscription(filter, { qos: 1 })),
  "subscription and its messages": (session, filter) =>
    Effect.scoped(
      Effect.flatMap(session.subscription(filter, { qos: 2 }), ({ messages }) => Stream.runDrain(messages))
    ),
  "manual acknowledgement": (session, filter) =>
    Stream.runForEach(session.subscribe(filter, { qos: 1, ack: "manual" }), (message) => message.ack),
  "subscribe": (session, filter) => Stream.runForEach(session.subscribe(filter, { qos: 2 }), () => Effect.sleep(1)),
  "consume": (session, filter) => session.consume(filter, () => Effect.sleep(1), { qos: 1 }),
  "consume that publishes": (session, filter) =>
    session.consume(filter, () => session.publish("out", "x", { qos: 2 }), { qos: 1 }),
  "unsubscribe": (session, filter) => session.unsubscribe(filter),
  "awaitReady": (session) => session.awaitReady,
  "statusChanges": (session) => Stream.runDrain(session.statusChanges),
  "events": (session) => Stream.runDrain(session.events),
  "unclaimed": (session) => Stream.runDrain(session.unclaimed)
}

const disturbAll = (protocolVersion: 4 | 5, seed: number, moments: number) =>
  Effect.gen(function*() {
    const random = seeded(seed)
    const broker = yield* ScriptedBroker.make({ seed, record: false })
    const make = MqttSession.make({
      name: "plant",
      clientId: "plant",
      servers: [broker.url],
      protocolVersion,
      reconnect: { initialDelay: "1 millis", factor: 1, jitter: "none" },
      queue: { messages: 500 },
      unclaimed: { hold: "20 millis" },
      drainTimeout: "200 millis"
    })
    const hanging: Array<string> = []
    const defects: Array<string> = []
    let interrupted = 0

    /** Runs an effect and interrupts it some turns of the event loop later. */
    const disturb = Effect.fnUntraced(
      function*(name: string, effect: Effect.Effect<unknown, unknown>, longest: number) {
        const fiber = yield* Effect.forkDetach(effect, { startImmediately: random() < 0.5 })
        const turns = Math.floor(random() ** 2 * longest)
        for (let i = 0; i < turns; i++) yield* turn
        if (fiber.pollUnsafe() === undefined) interrupted++
        const exit = yield* Effect.timeoutOption(
          Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)),
          "60 seconds"
        )
        if (exit._tag === "None") hanging.push(name)
        else if (Exit.isFailure(exit.value) && exit.value.cause.reasons.some(({ _tag }) => _tag === "Die")) {
          defects.push(`${name}: ${exit.value.cause}`)
        }
      }
    )

    const cutter = yield* broker.cutEvery({ packets: [1, 200], seed, handshake: true })
    const scope = yield* Scope.make()
    const session = yield* Scope.provide(make, scope)
    const names = Object.keys(acts)
    yield* Effect.forEach(Array.from({ length: moments }, (_, i) => i), (i) => {
      const name = names[i % names.length]!
      const filter = ["f/1", "f/+", "f/#"][Math.floor(random() * 3)]!
      return Effect.andThen(
        broker.publish("f/1", "x", { qos: i % 3 as 0 | 1 | 2 }),
        disturb(name, acts[name]!(session, filter), 60)
      )
    }, { concurrency: 8, discard: true })
    const cuts = cutter.cuts()
    yield* cutter.stop

    // What was written before its interruption finishes silently, what was subscribed goes.
    const figures = yield* Effect.repeat(
      Effect.map(
        session.metrics,
        ({ inflight, queuedMessages, queuedBytes, subscriptions, unacknowledged, unclaimed }) => ({
          inflight,
          queuedMessages,
          queuedBytes,
          subscriptions,
          unacknowledged,
          unclaimed
        })
      ),
      {
        until: (all) => Object.values(all).every((figure) => figure === 0),
        schedule: Schedule.max([Schedule.spaced("10 millis"), Schedule.recurs(3000)])
      }
    )
    const subscriptionsAtServer = broker.subscriptions("plant").length
    yield* Scope.close(scope, Exit.void)

    // Making, draining and closing a session, at random moments too.
    yield* broker.cutEvery({ packets: [1, 100], seed: seed + 1, handshake: true })
    for (let i = 0; i < moments / 10; i++) {
      yield* disturb("make", Effect.scoped(Effect.andThen(make, Effect.never)), 30)
      yield* disturb(
        "drain",
        Effect.scoped(Effect.gen(function*() {
          const session = yield* make
          yield* Effect.forkScoped(Effect.ignore(session.publishAll(outgoing(100))))
          yield* Effect.forkScoped(Effect.ignore(session.consume("f/#", () => Effect.void, { qos: 1 })))
          for (let turns = random() * 20; turns > 0; turns--) yield* turn
          yield* session.drain
        })),
        40
      )
    }
    yield* broker.clearFaults
    return {
      hanging,
      defects,
      interrupted,
      cuts,
      figures,
      subscriptionsAtServer,
      violations: broker.violations.length,
      openConnections: yield* Effect.match(Effect.timeout(broker.awaitNoConnections, "30 seconds"), {
        onSuccess: () => 0,
        onFailure: () => broker.connections.filter(({ closedAt }) => closedAt === undefined).length
      })
    }
  })

const main = (...parameters: Parameters<typeof disturbAll>): Effect.Effect<Leftovers, unknown> =>
  Effect.gen(function*() {
    // Node makes the pipe of the log with its first line.
    process.stderr.write("")
    const before = yield* resources
    const leftovers = yield* Effect.scoped(disturbAll(...parameters))
    return { ...leftovers, before, after: yield* resources }
  })

const [version, seed, moments] = process.argv.slice(2).map(Number)
void Effect.runPromise(
  main(version as 4 | 5, seed!, moments!).pipe(
    Effect.provideService(Metric.FiberRuntimeMetrics, counting),
    // The output is for the result.
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
  )
).then((leftovers) => {
  process.stdout.write(JSON.stringify(leftovers))
})
