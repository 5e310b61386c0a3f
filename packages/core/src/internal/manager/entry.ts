/**
 * One name in the manager: the definition of a session, and the session itself while it runs.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { SessionEvent } from "../../SessionEvent.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionMetrics, SessionStatus } from "../../SessionStatus.ts"
import { SessionStore } from "../../SessionStore.ts"
import { Transport } from "../../Transport.ts"
import type { Session } from "../session/contract.ts"
import type { SessionCore } from "../session/core.ts"
import { noFailures } from "../session/lifecycle.ts"
import { makeSession } from "../session/session.ts"
import { protectionOf } from "../session/trust.ts"
import { monotonicMillis } from "../time.ts"
import type { AddOptions } from "./contract.ts"
import { addMetrics, countersOnly, noMetrics } from "./metrics.ts"

export interface EntryHost {
  readonly clock: Clock.Clock
  readonly emit: (event: SessionEvent) => void
  /** A session with these options was added or removed. */
  readonly emitMembership: (tag: "Added" | "Removed", options: SessionOptions) => void
  /** A session was made and has not started to connect. */
  readonly onStart: (core: SessionCore) => void
  /** Why a session must not connect: another session has the same client identifier at one of its servers. */
  readonly refuse: (entry: Entry, clientId: string) => MqttErrorReason | undefined
}

/** The services of an entry's session; absent: those of the manager. */
export interface EntryServices extends AddOptions {
  /** The store of a durable session. */
  readonly store?: SessionStore["Service"] | undefined
}

interface Running {
  readonly core: SessionCore
  readonly scope: Scope.Closeable
}

export class Entry {
  readonly options: SessionOptions
  /** Set while the entry is being removed; completed when it is removed. */
  removal: Deferred.Deferred<void, MqttError> | undefined
  /** The entry is visible to others: its first session has started. */
  isKnown = false
  readonly context: Context.Context<never>
  readonly #host: EntryHost
  /**
   * Starting and stopping a session never overlap; connecting does not take the lock. Set while an operation runs or
   * waits.
   */
  #lock: Semaphore.Semaphore | undefined
  #lockUsers = 0
  #running: Running | undefined
  #ending: "disconnected" | "closed" | undefined
  readonly #addedAt: number
  #past: SessionMetrics = noMetrics
  #clientId: string | undefined
  #isRefused = false
  #rest: SessionStatus

  constructor(host: EntryHost, context: Context.Context<never>, options: SessionOptions, services: EntryServices) {
    this.#host = host
    this.options = options
    this.context = contextOf(context, services)
    this.#addedAt = monotonicMillis(host.clock)
    this.#rest = {
      state: "disconnected",
      since: host.clock.currentTimeMillisUnsafe(),
      ready: false,
      clientId: options.clientId ?? "",
      server: undefined,
      tls: protectionOf(options),
      attempt: 0,
      lastError: undefined,
      failure: undefined,
      subscriptionFailures: noFailures,
      storage: undefined,
      handlers: { failing: 0, since: undefined }
    }
  }

  get name(): string {
    return this.options.name
  }

  /**
   * The client identifier of the last session, if there was one. The next session reuses it, unless it is generated at
   * random.
   */
  get clientId(): string | undefined {
    return this.#clientId ?? this.options.clientId
  }

  get core(): SessionCore | undefined {
    return this.#running?.core
  }

  get status(): Effect.Effect<SessionStatus> {
    return Effect.suspend(() =>
      this.#running === undefined ? Effect.succeed(this.#rest) : this.#running.core.session.status
    )
  }

  get metrics(): Effect.Effect<SessionMetrics> {
    return Effect.suspend(() =>
      this.#running === undefined
        ? Effect.succeed(addMetrics(this.#past, noMetrics, this.#uptime))
        : Effect.map(this.#running.core.session.metrics, (metrics) => addMetrics(this.#past, metrics, this.#uptime))
    )
  }

  get #uptime(): number {
    return monotonicMillis(this.#host.clock) - this.#addedAt
  }

  /** Returns the session, or fails with the reason why there is none. */
  expect(method: string): Effect.Effect<Session, MqttError> {
    return this.#running === undefined
      ? Effect.fail(new MqttError({ session: this.name, method, reason: new Closed({}) }))
      : Effect.succeed(this.#running.core.session)
  }

  /** Starts a session if none is alive, and returns the running one. */
  get start(): Effect.Effect<Session, MqttError> {
    return this.#exclusive(Effect.gen({ self: this }, function*() {
      if (this.#running !== undefined) {
        const { session } = this.#running.core
        const { state } = yield* session.status
        if (state !== "disconnected" && state !== "closed") return session
        // The session gave up after a permanent failure, or was drained by a caller. Only a new session connects again.
        yield* this.#stop("disconnected")
      }
      return yield* this.#start
    }))
  }

  /** Drains and releases the session, if there is one. */
  stop(to: "disconnected" | "closed"): Effect.Effect<void> {
    return this.#exclusive(Effect.suspend(() => {
      if (this.#running !== undefined) return this.#stop(to)
      return to === "closed" ? Effect.sync(() => this.#emitStateChanged("disconnected", "closed")) : Effect.void
    }))
  }

  #exclusive<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.#lockUsers++
        return this.#lock ??= Semaphore.makeUnsafe(1)
      }),
      (lock) => lock.withPermits(1)(effect),
      () =>
        Effect.sync(() => {
          if (--this.#lockUsers === 0) this.#lock = undefined
        })
    )
  }

  get #start(): Effect.Effect<Session, MqttError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function*() {
        const scope = yield* Scope.make()
        const core = yield* restore(makeSession(this.options, this.#observe)).pipe(
          // Replaces the caller's context instead of extending it: a session would keep the caller's spans for its
          // whole life.
          Effect.setContext(Context.add(this.context, Scope.Scope, scope)),
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
        )
        // Registered before the session connects and before anything else can run: two that start at the same time must
        // see each other.
        const { clientId } = core
        const refusal = this.#host.refuse(this, clientId)
        if (refusal !== undefined) return yield* this.#refused(scope, refusal)
        this.#clientId = clientId
        this.#running = { core, scope }
        this.#announce()
        this.#host.onStart(core)
        return core.session
      })
    )
  }

  /** Ends the session before it has done anything, without an event. */
  #refused(scope: Scope.Closeable, reason: MqttErrorReason): Effect.Effect<never, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const isFirst = this.#clientId === undefined
      this.#isRefused = true
      yield* Scope.close(scope, Exit.void)
      this.#isRefused = false
      // The store may have events to report.
      if (isFirst && this.isKnown) {
        this.isKnown = false
        this.#host.emit({ _tag: "Removed", session: this.name, at: this.#host.clock.currentTimeMillisUnsafe() })
      }
      return yield* new MqttError({ session: this.name, method: isFirst ? "add" : "connect", reason })
    })
  }

  #stop(to: "disconnected" | "closed"): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      const { core: { session }, scope } = this.#running!
      const { lastError } = yield* session.status
      this.#ending = to
      yield* Scope.close(scope, Exit.void)
      this.#ending = undefined
      this.#past = addMetrics(this.#past, countersOnly(yield* session.metrics), this.#uptime)
      this.#rest = { ...(yield* session.status), state: "disconnected", lastError, failure: undefined }
      this.#running = undefined
    }))
  }

  /** Receives every event of the session before the listeners, in order. */
  readonly #observe = (event: SessionEvent): void => {
    if (this.#isRefused) return
    this.#announce()
    // For the manager, a session that it may connect again is disconnected, not closed.
    if (event._tag === "StateChanged" && event.to === "closed" && this.#ending === "disconnected") {
      if (event.from !== "disconnected") this.#host.emit({ ...event, to: "disconnected" })
      return
    }
    this.#host.emit(event)
  }

  #announce(): void {
    if (this.isKnown) return
    this.isKnown = true
    this.#host.emitMembership("Added", this.options)
  }

  #emitStateChanged(from: "disconnected", to: "closed"): void {
    this.#host.emit({
      _tag: "StateChanged",
      session: this.name,
      at: this.#host.clock.currentTimeMillisUnsafe(),
      from,
      to
    })
  }
}

const contextOf = (context: Context.Context<never>, { store, transport }: EntryServices): Context.Context<never> => {
  let own = context
  if (store !== undefined) own = Context.add(own, SessionStore, store)
  if (transport !== undefined) own = Context.add(own, Transport, transport)
  return own
}
