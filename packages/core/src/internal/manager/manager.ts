/**
 * Puts a manager together: the registry of sessions, their events, the routes over them, and what is done to all of them.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import {
  Closed,
  DuplicateSession,
  InvalidOptions,
  MqttError,
  type MqttErrorReason,
  SessionNotFound,
  type Timeout
} from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import type { SessionEvent } from "../../SessionEvent.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { AwaitOptions, Manager, ManagerMetrics, ManagerOptions } from "../../SessionManager.ts"
import * as SessionOptions from "../../SessionOptions.ts"
import type { HandleOptions, Listener, ListenOptions, Route } from "../../SessionRoute.ts"
import type { SessionMetrics, SessionStatus } from "../../SessionStatus.ts"
import { Transport } from "../../Transport.ts"
import { parseDuration } from "../options/durations.ts"
import { callable, type Check, optionsIssues, refusal } from "../options/plain.ts"
import * as Broadcast from "../session/broadcast.ts"
import { EventLog, isWorthLogging, logModeOf } from "../session/eventLog.ts"
import { eventMemory } from "../session/hub.ts"
import { standingOf, timeoutReason } from "../session/timeouts.ts"
import { monotonicMillis } from "../time.ts"
import { nameOf } from "../valueNames.ts"
import {
  addChecks,
  awaitChecks,
  eventChecks,
  handleChecks,
  listenChecks,
  managerChecks,
  removeChecks
} from "./checks.ts"
import { deleteState } from "./deleteState.ts"
import { Entry } from "./entry.ts"
import { startHandler } from "./handle.ts"
import { startListener } from "./listen.ts"
import { addMetrics, countersOnly, noMetrics, noStates } from "./metrics.ts"
import { checkRoute } from "./pipeline.ts"
import { RouteRunner } from "./routeRunner.ts"
import * as Seam from "./seam.ts"
import { SessionsNotReady } from "./sessionsNotReady.ts"

const defaultWait = "30 seconds"

/**
 * Makes a manager, see `SessionManager.make`.
 */
export const makeManager = Effect.fnUntraced(function*(
  options: ManagerOptions
): Effect.fn.Return<Manager, MqttError, Scope.Scope> {
  const invalid = refusal(optionsIssues(options, managerChecks), "SessionManager.make")
  if (invalid !== undefined) return yield* invalid
  const { eventBuffer = 4096, eventReplay = 128 } = options
  const clock = yield* Clock.Clock
  const context: Context.Context<never> = yield* Effect.context<never>()
  const settings = yield* SessionLog
  const runFork = Effect.runForkWith(context)
  const events = new Broadcast.Broadcast<SessionEvent>({
    capacity: Math.max(eventBuffer, eventReplay),
    memory: eventMemory,
    replay: eventReplay
  })
  const entries = new Map<string, Entry>()
  const routes = new Set<{ readonly runner: RouteRunner<unknown>; readonly route: Route<unknown> }>()
  const followers = new Set<RouteRunner<unknown>>()
  const closing = Deferred.makeUnsafe<never, MqttError>()
  let closed = false
  let past: SessionMetrics = noMetrics
  const madeAt = monotonicMillis(clock)
  const uptime = (): number => monotonicMillis(clock) - madeAt

  const host = {
    clock,
    emit: (event: SessionEvent): void => events.publish(event),
    emitMembership: (_tag: "Added" | "Removed", options: SessionOptions.SessionOptions): void => {
      const event = { _tag, session: options.name, at: clock.currentTimeMillisUnsafe() }
      events.publish(event)
      const log = logModeOf(options, settings)
      if (log === "off" || !isWorthLogging(event, log, settings)) return
      new EventLog(options.name, log, settings, clock, runFork).onEvent(event, undefined)
    },
    onStart: (session: Session): void => {
      for (const { runner } of routes) if (runner.concerns(session.name)) runner.join(session)
      for (const runner of followers) if (runner.concerns(session.name)) runner.join(session)
    },
    refuse: (entry: Entry, clientId: string): InvalidOptions | undefined => {
      for (const other of entries.values()) {
        if (other !== entry && other.clientId === clientId && sharesServer(other, entry)) {
          return sameClientId(clientId, other.name)
        }
      }
      return undefined
    }
  }

  const fail = (session: string, method: string, reason: MqttErrorReason): Effect.Effect<never, MqttError> =>
    Effect.fail(new MqttError({ session: nameOf(session), method, reason }))

  /** Entries that others know of, and that are not on their way out. */
  const present = (): ReadonlyArray<Entry> =>
    Array.from(entries.values()).filter((entry) => entry.isKnown && entry.removal === undefined)

  const find = (name: string, method: string): Effect.Effect<Entry, MqttError> =>
    Effect.suspend(() => {
      const entry = entries.get(name)
      return entry === undefined || !entry.isKnown || entry.removal !== undefined
        ? fail(name, method, new SessionNotFound({ session: nameOf(name) }))
        : Effect.succeed(entry)
    })

  const session = (name: string, method: string): Effect.Effect<Session, MqttError> =>
    Effect.flatMap(find(name, method), (entry) => entry.expect(method))

  const add: Manager["add"] = Effect.fn("SessionManager.add")(function*(input, extras = {}) {
    const valid = yield* SessionOptions.make(input)
    const { name } = valid
    const invalid = refusal(optionsIssues(extras, addChecks), "add", name)
    if (invalid !== undefined) return yield* invalid
    // A name that is on its way out is free soon.
    while (entries.get(name)?.removal !== undefined) yield* Effect.exit(Deferred.await(entries.get(name)!.removal!))
    return yield* Effect.uninterruptibleMask((restore): Effect.Effect<Session, MqttError> => {
      if (closed) return fail(name, "add", new Closed({}))
      if (entries.has(name)) return fail(name, "add", new DuplicateSession({ session: name }))
      const entry = new Entry(host, context, valid, extras)
      entries.set(name, entry)
      // Only a store can keep the start waiting, and then the end of the manager must not wait for it.
      const start = valid.persistence === "durable"
        ? Effect.raceFirst(entry.start, Deferred.await(closing))
        : entry.start
      return Effect.onExit(restore(start), (exit) =>
        Effect.suspend(() => {
          if (Exit.isFailure(exit) && !entry.isKnown) entries.delete(name)
          return closed && entries.get(name) === entry ? Effect.ignore(release(entry, false)) : Effect.void
        }))
    })
  })

  /** Begins the removal of an entry, or joins the one that goes on. */
  const release = (entry: Entry, withState: boolean): Effect.Effect<void, MqttError> =>
    Effect.uninterruptibleMask((restore) => {
      if (entry.removal !== undefined) return restore(Deferred.await(entry.removal))
      const removal = entry.removal = Deferred.makeUnsafe<void, MqttError>()
      const work = Effect.gen(function*() {
        const { clientId } = yield* entry.status
        yield* entry.stop("closed")
        const deleted = yield* Effect.exit(withState ? deleteState(entry, clientId) : Effect.void)
        past = addMetrics(past, countersOnly(yield* entry.metrics), uptime())
        entries.delete(entry.name)
        host.emitMembership("Removed", entry.options)
        for (const { runner } of routes) if (runner.options.session === entry.name) runner.leave()
        return yield* deleted
      })
      // In a fiber of its own: the removal goes on when whoever asked for it is interrupted.
      return Effect.andThen(
        Effect.forkDetach(Effect.onExit(work, (exit) => Deferred.done(removal, exit)), { startImmediately: true }),
        restore(Deferred.await(removal))
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      closed = true
      yield* Deferred.fail(closing, new MqttError({ method: "add", reason: new Closed({}) }))
      yield* Effect.forEach(Array.from(entries.values()), (entry) => Effect.exit(release(entry, false)), {
        concurrency: "unbounded",
        discard: true
      })
      for (const { runner } of routes) runner.leave()
      events.end()
    })
  )

  const forAll = <A, R>(
    work: (entry: Entry) => Effect.Effect<A, MqttError, R>
  ): Effect.Effect<ReadonlyMap<string, Result.Result<A, MqttError>>, never, R> =>
    Effect.suspend(() =>
      Effect.map(
        Effect.forEach(
          present(),
          (entry) => Effect.map(Effect.result(work(entry)), (result) => [entry.name, result] as const),
          { concurrency: "unbounded" }
        ),
        (results) => new Map(results)
      )
    )

  const startRoute = <E, R, A>(
    method: string,
    name: string | undefined,
    filters: string | ReadonlyArray<string>,
    options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>,
    checks: { readonly [name: string]: Check },
    start: (runner: RouteRunner<E>) => Effect.Effect<A, never, R | Scope.Scope>
  ): Effect.Effect<readonly [Route<E>, A], MqttError, R | Scope.Scope> =>
    Effect.gen(function*() {
      const list = yield* checkRoute(method, name, filters, options, checks)
      if (name !== undefined) yield* find(name, method)
      const runner = new RouteRunner<E>({ filters: list, session: name, description: options.description, clock })
      const made = yield* start(runner)
      const { route } = runner
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const registered = { runner: runner as RouteRunner<unknown>, route }
          routes.add(registered)
          for (const entry of entries.values()) {
            if (entry.session !== undefined && runner.concerns(entry.name)) runner.join(entry.session)
          }
          // The session may have gone meanwhile.
          if (closed || (name !== undefined && entries.get(name)?.removal !== undefined)) runner.leave()
          return registered
        }),
        (registered) =>
          Effect.sync(() => {
            routes.delete(registered)
            runner.stop()
          })
      )
      return [route, made] as const
    })

  const makeHandler = (method: "handle" | "handleTo", name: string | undefined): Manager["handle"] =>
  <E, R, E2, R2>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options: HandleOptions<E, R, E2, R2> = {}
  ) =>
    Effect.map(
      Effect.andThen(
        checked(callable(handler), "handler", method),
        startRoute<E | E2, R | R2, void>(
          method,
          name,
          filters,
          options as never,
          handleChecks,
          (runner) => startHandler(runner, handler, options)
        )
      ),
      ([route]) => route
    )

  const makeListener =
    (method: string, name: string | undefined): Manager["listener"] =>
    <E, R>(filters: string | ReadonlyArray<string>, options: ListenOptions<E, R> = {}) =>
      Effect.map(
        startRoute<E, R, Stream.Stream<Message, E | MqttError>>(
          method,
          name,
          filters,
          options as never,
          listenChecks,
          (runner) => startListener(runner, options)
        ),
        ([route, messages]): Listener<E> => ({ ...route, messages })
      )

  const awaitReady: Manager["awaitReady"] = (name, options) =>
    Effect.flatMap(
      waitOf(options),
      (timeout) =>
        Effect.flatMap(session(name, "awaitReady"), ({ awaitReady, status }) =>
          Effect.timeoutOrElse(awaitReady, {
            duration: timeout,
            orElse: () => Effect.flatMap(status, (standing) => fail(name, "awaitReady", notReady(timeout, standing)))
          }))
    )

  const awaitAllReady: Manager["awaitAllReady"] = Effect.fn("SessionManager.awaitAllReady")(function*(options) {
    const timeout = yield* waitOf(options)
    const settled = yield* forAll((entry) =>
      Effect.flatMap(entry.expect("awaitAllReady"), ({ awaitReady }) =>
        Effect.timeoutOrElse(awaitReady, {
          duration: timeout,
          orElse: () =>
            Effect.flatMap(entry.status, (status) =>
              status.lastError === undefined
                ? fail(entry.name, "awaitAllReady", notReady(timeout, status))
                : Effect.fail(status.lastError))
        }))
    )
    const failures: Array<SessionsNotReady["failures"][number]> = []
    for (const [name, result] of settled) {
      if (result._tag === "Success") continue
      const status = yield* Effect.option(Effect.flatMap(find(name, "awaitAllReady"), (entry) => entry.status))
      const state = status._tag === "None" ? "closed" : status.value.state
      failures.push({ session: name, state, error: result.failure })
    }
    if (failures.length > 0) return yield* new SessionsNotReady({ failures })
  })

  const metrics: Effect.Effect<ManagerMetrics> = Effect.gen(function*() {
    const states = noStates()
    const bySession = new Map<string, SessionMetrics>()
    let ready = 0
    let totals = addMetrics(past, noMetrics, uptime())
    for (const entry of present()) {
      const status = yield* entry.status
      const metrics = yield* entry.metrics
      states[status.state]++
      if (status.ready) ready++
      bySession.set(entry.name, metrics)
      totals = addMetrics(totals, metrics, uptime())
    }
    return { sessions: bySession.size, ready, states, routes: routes.size, totals, bySession }
  })

  const manager: Manager = {
    add,
    remove: Effect.fn("SessionManager.remove")((name, options = {}) => {
      const invalid = refusal(optionsIssues(options, removeChecks), "remove", name)
      return invalid === undefined
        ? Effect.flatMap(find(name, "remove"), (entry) => release(entry, options.deleteState ?? false))
        : Effect.fail(invalid)
    }),
    get: (name) => session(name, "get"),
    options: (name) => Effect.map(find(name, "options"), ({ options }) => options),
    list: Effect.sync(() => present().map(({ name }) => name)),
    status: (name) => Effect.flatMap(find(name, "status"), (entry) => entry.status),
    statuses: Effect.suspend(() =>
      Effect.map(
        Effect.forEach(present(), (entry) => Effect.map(entry.status, (status) => [entry.name, status] as const)),
        (statuses) => new Map(statuses)
      )
    ),
    connect: Effect.fn("SessionManager.connect")((name) =>
      Effect.flatMap(find(name, "connect"), (entry) => entry.start)
    ),
    connectAll: forAll((entry) => entry.start),
    disconnect: Effect.fn("SessionManager.disconnect")((name) =>
      Effect.flatMap(find(name, "disconnect"), (entry) => entry.stop("disconnected"))
    ),
    disconnectAll: Effect.asVoid(forAll((entry) => entry.stop("disconnected"))),
    awaitReady,
    awaitAllReady,
    publishTo: (name, topic, payload, publishOptions) =>
      Effect.flatMap(session(name, "publishTo"), (session) => session.publish(topic, payload, publishOptions)),
    publishToAll: (topic, payload, publishOptions) =>
      forAll((entry) =>
        Effect.flatMap(entry.expect("publishToAll"), (session) => session.publish(topic, payload, publishOptions))
      ),
    subscribeAll: (filters, subscribeOptions) =>
      forAll((entry) =>
        Effect.flatMap(entry.expect("subscribeAll"), (session) => session.subscription(filters, subscribeOptions))
      ),
    unsubscribeAll: (filter) =>
      forAll((entry) => Effect.flatMap(entry.expect("unsubscribeAll"), (session) => session.unsubscribe(filter))),
    handle: makeHandler("handle", undefined),
    handleTo: (name, filters, handler, handleOptions) =>
      makeHandler("handleTo", nameOf(name))(filters, handler, handleOptions),
    listen: (filters, listenOptions) =>
      Stream.unwrap(
        Effect.map(makeListener("listen", undefined)(filters, listenOptions), ({ messages }) => messages)
      ),
    listenTo: (name, filters, listenOptions) =>
      Stream.unwrap(
        Effect.map(makeListener("listenTo", nameOf(name))(filters, listenOptions), ({ messages }) => messages)
      ),
    listener: makeListener("listener", undefined),
    listenerTo: (name, filters, listenOptions) => makeListener("listenerTo", nameOf(name))(filters, listenOptions),
    routes: Effect.sync(() => Array.from(routes, ({ route }) => route)),
    events: events.stream,
    eventsOf: (filter) => {
      // The stream has no failures: a filter of a wrong type is a mistake in the program.
      const invalid = refusal(optionsIssues(filter, eventChecks), "eventsOf")
      if (invalid !== undefined) return Stream.die(invalid)
      const { session, type } = filter
      const types: ReadonlyArray<string> | undefined = typeof type === "string" ? [type] : type
      return Stream.filter(
        events.stream,
        (event) =>
          (types === undefined || types.includes(event._tag)) && (session === undefined || session === event.session)
      ) as never
    },
    metrics
  }

  Seam.register(manager, {
    follow: (runner) => {
      followers.add(runner)
      for (const entry of entries.values()) {
        if (entry.session !== undefined && runner.concerns(entry.name)) runner.join(entry.session)
      }
      return () => {
        followers.delete(runner)
        runner.stop()
      }
    },
    sessionOf: (name) => entries.get(name)?.session,
    optionsOf: (name) => entries.get(name)?.options
  })

  yield* Effect.forEach(options.sessions ?? [], (input) => add(input), { discard: true })
  return manager
})

/** Whether two sessions may meet at one server. Those with transports of their own live in networks of their own. */
const sharesServer = (a: Entry, b: Entry): boolean =>
  Context.get(a.context, Transport) === Context.get(b.context, Transport) &&
  a.options.servers.some((server) => b.options.servers.includes(server))

const notReady = (timeout: Duration.Duration, status: SessionStatus): Timeout =>
  timeoutReason("becoming ready", Duration.toMillis(timeout), standingOf(status))
/** Two with one client identifier would take over each other's session at the server, again and again (MQTT 3.1.4). */
const sameClientId = (clientId: string, session: string): InvalidOptions =>
  new InvalidOptions({
    issues: [{
      path: "clientId",
      message:
        `${JSON.stringify(clientId)} is the client identifier of the session ${JSON.stringify(session)} at the same ` +
        "server: give one of them another clientId"
    }]
  })

const checked = (message: string | undefined, path: string, method: string): Effect.Effect<void, MqttError> => {
  const error = refusal(message === undefined ? [] : [{ path, message }], method)
  return error === undefined ? Effect.void : Effect.fail(error)
}

/** How long to wait. */
const waitOf = (options: AwaitOptions = {}): Effect.Effect<Duration.Duration, MqttError> =>
  Effect.suspend(() => {
    const error = refusal(optionsIssues(options, awaitChecks), "awaitReady")
    return error === undefined
      ? Effect.succeed(parseDuration(options.timeout ?? defaultWait)!)
      : Effect.fail(error)
  })
