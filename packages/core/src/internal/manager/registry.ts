/**
 * The sessions of a manager by their names, and the routes that join them.
 *
 * It adds, finds and removes sessions; operations on all sessions use `forAll`. Called by the manager's facade, its
 * routes and the forwarders.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Result from "effect/Result"
import {
  Closed,
  DuplicateSession,
  InvalidOptions,
  MqttError,
  type MqttErrorReason,
  SessionNotFound
} from "../../MqttError.ts"
import type { SessionEvent } from "../../SessionEvent.ts"
import { SessionLog, type SessionLogOptions } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { Route } from "../../SessionRoute.ts"
import type { SessionMetrics } from "../../SessionStatus.ts"
import type { SessionStore } from "../../SessionStore.ts"
import { Transport } from "../../Transport.ts"
import { optionsIssues, refusal } from "../options/plain.ts"
import { Broadcast } from "../session/broadcast.ts"
import type { Session } from "../session/contract.ts"
import type { SessionCore } from "../session/core.ts"
import { EventLog, isWorthLogging, logModeOf } from "../session/eventLog.ts"
import { eventMemory } from "../session/lifecycle.ts"
import { monotonicMillis } from "../time.ts"
import { nameOf } from "../valueNames.ts"
import { addChecks } from "./checks.ts"
import type { AddOptions, Manager, ManagerMetrics, ManagerOptions } from "./contract.ts"
import { deleteState } from "./deleteState.ts"
import { Entry, type EntryHost, type EntryServices } from "./entry.ts"
import { addMetrics, countersOnly, noMetrics, noStates } from "./metrics.ts"
import type { RouteRunner } from "./routeRunner.ts"

/** An active route. */
export interface RegisteredRoute {
  readonly runner: RouteRunner<unknown>
  readonly route: Route<unknown>
}

/** Makes the registry of a manager. */
export const makeRegistry = (options: ManagerOptions): Effect.Effect<Registry> =>
  Effect.gen(function*() {
    return new Registry(options, yield* Clock.Clock, yield* Effect.context<never>(), yield* SessionLog)
  })

export class Registry implements EntryHost {
  readonly clock: Clock.Clock
  readonly events: Broadcast<SessionEvent>
  readonly routes = new Set<RegisteredRoute>()
  readonly #entries = new Map<string, Entry>()
  /** The runners of forwarders. They join sessions as routes do, but are not listed as routes. */
  readonly #followers = new Set<RouteRunner<unknown>>()
  readonly #context: Context.Context<never>
  readonly #settings: SessionLogOptions
  readonly #closing = Deferred.makeUnsafe<never, MqttError>()
  readonly #madeAt: number
  /** The counters of sessions that were removed. */
  #past: SessionMetrics = noMetrics
  #isClosed = false

  constructor(
    { eventBuffer = 4096, eventReplay = 128 }: ManagerOptions,
    clock: Clock.Clock,
    context: Context.Context<never>,
    settings: SessionLogOptions
  ) {
    this.clock = clock
    this.#context = context
    this.#settings = settings
    this.#madeAt = monotonicMillis(clock)
    this.events = new Broadcast({
      capacity: Math.max(eventBuffer, eventReplay),
      memory: eventMemory,
      replay: eventReplay
    })
  }

  /** Entries that are visible to others and are not being removed. */
  get present(): ReadonlyArray<Entry> {
    return Array.from(this.#entries.values()).filter((entry) => entry.isKnown && entry.removal === undefined)
  }

  get metrics(): Effect.Effect<ManagerMetrics> {
    return Effect.gen({ self: this }, function*() {
      const states = noStates()
      const bySession = new Map<string, SessionMetrics>()
      let ready = 0
      let totals = addMetrics(this.#past, noMetrics, this.#uptime)
      for (const entry of this.present) {
        const status = yield* entry.status
        const metrics = yield* entry.metrics
        states[status.state]++
        if (status.ready) ready++
        bySession.set(entry.name, metrics)
        totals = addMetrics(totals, metrics, this.#uptime)
      }
      return { sessions: bySession.size, ready, states, routes: this.routes.size, totals, bySession }
    })
  }

  get #uptime(): number {
    return monotonicMillis(this.clock) - this.#madeAt
  }

  // Finding

  find(name: string, method: string): Effect.Effect<Entry, MqttError> {
    return Effect.suspend(() => {
      const entry = this.#entries.get(name)
      return entry === undefined || !entry.isKnown || entry.removal !== undefined
        ? failed(name, method, new SessionNotFound({ session: nameOf(name) }))
        : Effect.succeed(entry)
    })
  }

  session(name: string, method: string): Effect.Effect<Session, MqttError> {
    return Effect.flatMap(this.find(name, method), (entry) => entry.expect(method))
  }

  /** The session of this name, while it runs. */
  coreOf(name: string): SessionCore | undefined {
    return this.#entries.get(name)?.core
  }

  optionsOf(name: string): SessionOptions | undefined {
    return this.#entries.get(name)?.options
  }

  forAll<A, R>(
    work: (entry: Entry) => Effect.Effect<A, MqttError, R>
  ): Effect.Effect<ReadonlyMap<string, Result.Result<A, MqttError>>, never, R> {
    return Effect.suspend(() =>
      Effect.map(
        Effect.forEach(
          this.present,
          (entry) => Effect.map(Effect.result(work(entry)), (result) => [entry.name, result] as const),
          { concurrency: "unbounded" }
        ),
        (results) => new Map(results)
      )
    )
  }

  // Coming and going

  /** `store` is set for a durable session. */
  add(
    options: Effect.Effect<SessionOptions, MqttError>,
    addOptions: AddOptions = {},
    store?: SessionStore["Service"]
  ): Effect.Effect<Session, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const valid = yield* options
      const { name } = valid
      const invalid = refusal(optionsIssues(addOptions, addChecks), "add", name)
      if (invalid !== undefined) return yield* invalid
      // The name of a session that is being removed is free soon.
      for (let removal = this.#removalOf(name); removal !== undefined; removal = this.#removalOf(name)) {
        yield* Effect.exit(Deferred.await(removal))
      }
      return yield* this.#addValid(valid, store === undefined ? addOptions : { ...addOptions, store })
    })
  }

  #removalOf(name: string): Deferred.Deferred<void, MqttError> | undefined {
    return this.#entries.get(name)?.removal
  }

  #addValid(options: SessionOptions, services: EntryServices): Effect.Effect<Session, MqttError> {
    const { name } = options
    return Effect.uninterruptibleMask((restore): Effect.Effect<Session, MqttError> => {
      if (this.#isClosed) return failed(name, "add", new Closed({}))
      if (this.#entries.has(name)) return failed(name, "add", new DuplicateSession({ session: name }))
      const entry = new Entry(this, this.#context, options, services)
      this.#entries.set(name, entry)
      // Only a store can delay the start, and the end of the manager must not wait for it.
      const start = options.persistence === "durable"
        ? Effect.raceFirst(entry.start, Deferred.await(this.#closing))
        : entry.start
      return Effect.onExit(restore(start), (exit) =>
        Effect.suspend(() => {
          if (Exit.isFailure(exit) && !entry.isKnown) this.#entries.delete(name)
          const isLate = this.#isClosed && this.#entries.get(name) === entry
          return isLate ? Effect.ignore(this.release(entry, false)) : Effect.void
        }))
    })
  }

  /** Starts the removal of an entry, or joins the running one. */
  release(entry: Entry, withState: boolean): Effect.Effect<void, MqttError> {
    return Effect.uninterruptibleMask((restore) => {
      if (entry.removal !== undefined) return restore(Deferred.await(entry.removal))
      const removal = entry.removal = Deferred.makeUnsafe<void, MqttError>()
      const work = Effect.onExit(this.#remove(entry, withState), (exit) => Deferred.done(removal, exit))
      // Runs in its own fiber, so that the removal continues when its caller is interrupted.
      return Effect.andThen(Effect.forkDetach(work, { startImmediately: true }), restore(Deferred.await(removal)))
    })
  }

  #remove(entry: Entry, withState: boolean): Effect.Effect<void, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const { clientId } = yield* entry.status
      yield* entry.stop("closed")
      const deleted = yield* Effect.exit(withState ? deleteState(entry, clientId) : Effect.void)
      this.#past = addMetrics(this.#past, countersOnly(yield* entry.metrics), this.#uptime)
      this.#entries.delete(entry.name)
      this.emitMembership("Removed", entry.options)
      for (const { runner } of this.routes) if (runner.options.session === entry.name) runner.leave()
      return yield* deleted
    })
  }

  /** Drains and releases all sessions at the same time. Nothing can be added any more. */
  get close(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.#isClosed = true
      yield* Deferred.fail(this.#closing, new MqttError({ method: "add", reason: new Closed({}) }))
      yield* Effect.forEach(
        Array.from(this.#entries.values()),
        (entry) => Effect.exit(this.release(entry, false)),
        { concurrency: "unbounded", discard: true }
      )
      for (const { runner } of this.routes) runner.leave()
      this.events.end()
    })
  }

  // Routes

  addRoute(registered: RegisteredRoute): void {
    const { runner } = registered
    const { session } = runner.options
    this.routes.add(registered)
    this.#joinAll(runner)
    // The session may have been removed meanwhile.
    if (this.#isClosed || (session !== undefined && this.#removalOf(session) !== undefined)) runner.leave()
  }

  removeRoute(registered: RegisteredRoute): void {
    this.routes.delete(registered)
    registered.runner.stop()
  }

  /**
   * Lets a runner join the sessions that concern it, current and future ones, until the returned function is called.
   */
  follow(runner: RouteRunner<unknown>): () => void {
    this.#followers.add(runner)
    this.#joinAll(runner)
    return () => {
      this.#followers.delete(runner)
      runner.stop()
    }
  }

  #joinAll(runner: RouteRunner<unknown>): void {
    for (const { core, name } of this.#entries.values()) {
      if (core !== undefined && runner.concerns(name)) runner.join(core)
    }
  }

  // EntryHost

  emit(event: SessionEvent): void {
    this.events.publish(event)
  }

  emitMembership(_tag: "Added" | "Removed", options: SessionOptions): void {
    const event = { _tag, session: options.name, at: this.clock.currentTimeMillisUnsafe() }
    this.events.publish(event)
    const log = logModeOf(options, this.#settings)
    if (log === "off" || !isWorthLogging(event, log, this.#settings)) return
    new EventLog(options.name, log, this.#settings, this.clock, { fork: Effect.runForkWith(this.#context) }).onEvent(
      event,
      undefined
    )
  }

  onStart(core: SessionCore): void {
    for (const { runner } of this.routes) if (runner.concerns(core.name)) runner.join(core)
    for (const runner of this.#followers) if (runner.concerns(core.name)) runner.join(core)
  }

  refuse(entry: Entry, clientId: string): MqttErrorReason | undefined {
    // The server assigns a different one to each.
    if (clientId === "") return undefined
    for (const other of this.#entries.values()) {
      if (other !== entry && other.clientId === clientId && sharesServer(other, entry)) {
        return sameClientId(clientId, other.name)
      }
    }
    return undefined
  }
}

/**
 * The property of a manager that holds its registry. A program that wraps a manager keeps it (`{ ...manager, add }`).
 */
export const registryKey: unique symbol = Symbol.for("@effect-mqttx/core/Registry")

/** Undefined for a manager that this library did not make. */
export const registryOf = (manager: Manager & { readonly [registryKey]?: Registry }): Registry | undefined =>
  manager[registryKey]

const failed = (session: string, method: string, reason: MqttErrorReason): Effect.Effect<never, MqttError> =>
  Effect.fail(new MqttError({ session: nameOf(session), method, reason }))

/** Whether two sessions may meet at one server. Sessions with a custom transport are in separate networks. */
const sharesServer = (a: Entry, b: Entry): boolean =>
  Context.get(a.context, Transport) === Context.get(b.context, Transport) &&
  a.options.servers.some((server) => b.options.servers.includes(server))

/**
 * Two sessions with one client identifier would repeatedly take over each other's session at the server (MQTT 3.1.4).
 */
const sameClientId = (clientId: string, session: string): InvalidOptions =>
  new InvalidOptions({
    issues: [{
      path: "clientId",
      message:
        `${JSON.stringify(clientId)} is the client identifier of the session ${JSON.stringify(session)} at the same ` +
        "server: give one of them another clientId"
    }]
  })
