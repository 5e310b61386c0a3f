/**
 * What runs in the tabs: bundled by the tests, called by them through the page.
 */
import { IndexedDbStore, SharedSession } from "@effect-mqttx/browser"
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import * as SessionStoreSuite from "@effect-mqttx/testing/SessionStoreSuite"
import { Cause, Context, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"

const impatient = { initialDelay: "10 millis", maxDelay: "50 millis" } as const

const outcome = <A, E extends { readonly _tag: string }>(exit: Exit.Exit<A, E>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return "died"
  const { value } = error as { readonly value: { readonly kind?: string; readonly reason?: { readonly _tag: string } } }
  return value.kind ?? value.reason?._tag ?? "unknown"
}

const spaced = Schedule.spaced("10 millis")
const scope = Scope.makeUnsafe()
const received: Array<string> = []
const endings: Array<string> = []
let shared: SharedSession.SharedSession["Service"] | undefined

const tab = {
  /** How streams have ended, as soon as one has. */
  ended: () =>
    Effect.runPromise(
      Effect.suspend(() => endings.length > 0 ? Effect.succeed(endings) : Effect.fail("none")).pipe(
        Effect.retry({ schedule: spaced }),
        Effect.timeout("10 seconds")
      )
    ),
  /** Joins the shared session; with `durable` it is kept in IndexedDB. */
  join: (url: string, { durable = false, maximumMessageBytes = 1_048_576, windowBytes = 1_048_576 } = {}) => {
    const options = { name: "tabs", clientId: "tabs", servers: [url], reconnect: impatient }
    const session = durable
      ? Effect.flatMap(
        Layer.build(IndexedDbStore.layer()),
        (context) => Effect.provideContext(MqttSession.makeDurable(options), context)
      )
      : MqttSession.make(options)
    return SharedSession.make({ name: "tabs", session, maximumMessageBytes, windowBytes }).pipe(
      Effect.map((made) => {
        shared = made
      }),
      Scope.provide(scope),
      Effect.runPromise
    )
  },
  leave: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  role: () => Effect.runPromise(shared!.role),
  becomes: (role: string) =>
    Effect.runPromise(
      Effect.timeout(Stream.runDrain(Stream.takeUntil(shared!.roleChanges, (now) => now === role)), "10 seconds")
    ),
  publish: (topic: string, payload: string | number, qos: 0 | 1 | 2 = 1, timeout = 10_000) =>
    Effect.runPromise(Effect.map(
      Effect.exit(
        shared!.publish(topic, typeof payload === "number" ? new Uint8Array(payload) : payload, { qos, timeout })
      ),
      outcome
    )),
  /** Subscribes; `taking` messages are taken. */
  subscribe: (filter: string, taking = Infinity) => {
    shared!.messages(filter, { qos: 1 }).pipe(
      taking === Infinity ? (same) => same : Stream.take(taking),
      Stream.runForEach(({ text, topic }) => Effect.sync(() => received.push(`${topic}: ${text}`))),
      Effect.exit,
      Effect.runPromise
    ).then((exit) => endings.push(outcome(exit)))
  },
  /** Subscribes, and takes nothing. */
  hold: (filter: string) => {
    shared!.messages(filter, { qos: 1 }).pipe(
      Stream.runForEach(({ text }) => {
        received.push(text)
        return Effect.never
      }),
      Effect.runFork
    )
  },
  until: (count: number) =>
    Effect.runPromise(
      Effect.suspend(() => received.length >= count ? Effect.succeed(received) : Effect.fail("fewer")).pipe(
        Effect.retry({ schedule: spaced }),
        Effect.timeout("15 seconds"),
        Effect.orElseSucceed(() => received)
      )
    ),
  cases: () => SessionStoreSuite.cases.map(({ name }) => name),
  runCase: (index: number) => {
    const database = `case-${index}`
    const open = Effect.map(
      Layer.build(IndexedDbStore.layer({ database })),
      (context) => Context.get(context, SessionStore.SessionStore)
    )
    return Effect.gen(function*() {
      let current = yield* Scope.make()
      const store = yield* Scope.provide(open, current)
      yield* SessionStoreSuite.cases[index]!.run({
        ...store,
        reopen: Effect.gen(function*() {
          yield* Scope.close(current, Exit.void)
          current = yield* Scope.make()
          return yield* Scope.provide(open, current)
        }),
        close: Effect.suspend(() => Scope.close(current, Exit.void))
      })
      yield* Scope.close(current, Exit.void)
    }).pipe(
      Effect.scoped,
      Effect.as("ok"),
      Effect.catchCause((cause) => Effect.succeed(Cause.pretty(cause))),
      Effect.runPromise
    )
  },
  /** A durable session that hands messages over, and tells each that it has accepted. */
  enqueue: (url: string, first: number, count: number, accepted: (n: number) => Promise<void>) =>
    Effect.gen(function*() {
      const session = yield* MqttSession.makeDurable({
        name: "kept",
        clientId: "kept",
        servers: [url],
        reconnect: impatient
      })
      for (let n = first; n < first + count; n++) {
        yield* session.enqueue("kept", String(n), { qos: 1 })
        yield* Effect.promise(() => accepted(n))
      }
      return yield* Effect.never
    }).pipe(Effect.provide(IndexedDbStore.layer()), Effect.scoped, Effect.exit, Effect.runPromise).then(outcome)
}

export type Tab = typeof tab

Object.assign(globalThis, { tab, isReady: true })
