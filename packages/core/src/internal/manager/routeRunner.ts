/**
 * Everything about a route except its handler or stream: its membership per session, its metrics, and its end.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import { isMqttError, MqttError, Unexpected } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { Route, RouteMetrics, RouteSession } from "../../SessionRoute.ts"
import type { Subscription, SubscriptionInfo } from "../../Subscription.ts"
import type { Session } from "../session/contract.ts"
import type { SessionCore } from "../session/core.ts"
import { isSilent } from "../session/eventLog.ts"

/**
 * One session that a route is on.
 */
export interface Membership {
  readonly core: SessionCore
  readonly session: Session
  state: RouteSession["state"]
  granted: ReadonlyArray<QoS>
  error: MqttError | undefined
  pending: Subscription["pending"] | undefined
}

export interface RouteRunnerOptions {
  readonly filters: ReadonlyArray<string>
  readonly session: string | undefined
  /** Restricts a route over all sessions to these. Unlike `session`, none of them can end the route. */
  readonly only?: ReadonlySet<string>
  readonly description: string | undefined
  /** Default: derived from the description. */
  readonly purpose?: string
  readonly clock: Clock.Clock
}

export interface RouteRunnerParts<E, R> {
  /**
   * Subscribes at a session and works until the session ends it. Fails when the subscription is refused, or with the
   * error given to `fail`.
   */
  readonly attach: (membership: Membership) => Effect.Effect<void, E | MqttError, R>
  /** The route has ended. */
  readonly onEnd: (exit: Exit.Exit<void, E | MqttError>) => void
}

/**
 * Milliseconds before a refused subscription that may succeed is retried. Doubles with each refusal, up to a minute.
 */
const firstRetry = 1000
const longestRetry = 60_000

export class RouteRunner<E> {
  readonly options: RouteRunnerOptions
  readonly #end = Deferred.makeUnsafe<void, E | MqttError>()
  readonly #memberships = new Map<string, Membership>()
  readonly #waiters = new Set<() => void>()
  readonly #counters = {
    received: 0,
    bytes: 0,
    delivered: 0,
    dropped: 0,
    overflowed: 0,
    failures: 0,
    lastMessageAt: undefined as number | undefined,
    lastErrorAt: undefined as number | undefined,
    lastError: undefined as unknown
  }
  #parts!: RouteRunnerParts<E, never>
  #fork!: (session: Session, effect: Effect.Effect<void>) => void
  #interruptOthers!: (session: Session) => void
  #failure: Cause.Cause<E> | undefined
  /** The failure that ended the route, if any. */
  #endedWith: unknown
  #ended = false
  #leaving = false

  constructor(options: RouteRunnerOptions) {
    this.options = options
  }

  /**
   * Sets the work of the route and starts its fibers, which end with the scope.
   */
  start<R>(parts: RouteRunnerParts<E, R>): Effect.Effect<void, never, R | Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const fibers = yield* FiberMap.make<Session, void, never>()
      const context = yield* Effect.context<R>()
      const run = yield* FiberMap.runtime(fibers)()
      this.#parts = { ...parts, attach: (membership) => Effect.provideContext(parts.attach(membership), context) }
      this.#fork = run
      this.#interruptOthers = (session) => {
        for (const [other, fiber] of fibers) if (other !== session) fiber.interruptUnsafe()
      }
    })
  }

  concerns(session: string): boolean {
    const { only, session: single } = this.options
    return !this.#ended && (single === undefined || single === session) && (only === undefined || only.has(session))
  }

  /** Joins a session that has just started, before it connects, or one that runs. */
  join(core: SessionCore): void {
    if (this.#ended) return
    const { session } = core
    const membership: Membership = {
      core,
      session,
      state: "joining",
      granted: [],
      error: undefined,
      pending: undefined
    }
    this.#memberships.set(session.name, membership)
    this.#fork(session, this.#run(membership))
  }

  /** No further sessions join this route. It ends when its current memberships have ended. */
  leave(): void {
    this.#leaving = true
    this.#endWhenAlone()
  }

  /** The scope of the route ends. */
  stop(): void {
    this.#finish(Exit.void)
  }

  /** The purpose of the route's subscriptions, see `withPurpose`. */
  get purpose(): string {
    const { description, purpose } = this.options
    return purpose ?? (description === undefined ? "a route" : `route ${JSON.stringify(description)}`)
  }

  /**
   * The server granted the subscription at a session. Without `subscription`, the route's work at that session has
   * begun.
   */
  activate(membership: Membership, subscription?: SubscriptionInfo): void {
    membership.state = "active"
    membership.granted = subscription?.granted ?? []
    membership.error = undefined
    membership.pending = subscription?.pending
    this.#notify()
  }

  received(message: Message): void {
    this.#counters.received++
    this.#counters.bytes += message.payload.length
    this.#counters.lastMessageAt = message.receivedAt
  }

  delivered(count: number): void {
    this.#counters.delivered += count
  }

  dropped(): void {
    this.#counters.dropped++
  }

  failed(cause: Cause.Cause<unknown>): void {
    this.#counters.failures++
    this.#noteError(Cause.squash(cause))
  }

  /** Handles a failure that ends the route, by its policy. */
  fail(cause: Cause.Cause<E>): void {
    this.#failure ??= cause
  }

  get route(): Route<E> {
    const { description, filters, session } = this.options
    return {
      filters,
      session,
      description,
      metrics: this.#metrics,
      statistics: this.#metrics,
      sessions: Effect.sync(() =>
        new Map(Array.from(this.#memberships, ([name, { error, granted, state }]) => [name, { state, granted, error }]))
      ),
      active: this.#active,
      failure: Effect.sync(() => this.#endedWith),
      await: Deferred.await(this.#end)
    }
  }

  get #metrics(): Effect.Effect<RouteMetrics> {
    return Effect.gen({ self: this }, function*() {
      let { overflowed } = this.#counters
      for (const { pending } of this.#memberships.values()) {
        if (pending !== undefined) overflowed += (yield* pending).dropped
      }
      return { ...this.#counters, overflowed }
    })
  }

  get #active(): Effect.Effect<void, MqttError> {
    return Effect.callback((resume) => {
      const look = (): void => {
        const outcome = this.#outcome()
        if (outcome === undefined) return
        this.#waiters.delete(look)
        resume(outcome)
      }
      this.#waiters.add(look)
      look()
      return Effect.sync(() => this.#waiters.delete(look))
    })
  }

  #outcome(): Exit.Exit<void, MqttError> | undefined {
    if (this.#ended) return Exit.void
    let joining = this.options.session !== undefined && this.#memberships.size === 0
    for (const { error, state } of this.#memberships.values()) {
      if (state === "failed") return Exit.fail(error!)
      if (state === "joining") joining = true
    }
    return joining ? undefined : Exit.void
  }

  #run(membership: Membership): Effect.Effect<void> {
    const { session } = membership
    return Effect.gen({ self: this }, function*() {
      for (let refusals = 0;; refusals++) {
        const exit = yield* Effect.exit(this.#parts.attach(membership))
        yield* this.#countOverflow(membership)
        if (Exit.isSuccess(exit) || this.#ended) return
        if (this.#failure !== undefined) return this.#abort(membership, Exit.failCause(this.#failure))
        if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
        const error = errorOf(session, exit.cause)
        yield* this.#log(session, error, exit.cause)
        // The session is ending. If its name gets another session, the route joins that one.
        if (error.reason._tag === "Closed" || (yield* session.status).state === "closed") return
        membership.state = "failed"
        membership.error = error
        this.#noteError(error)
        if (this.options.session !== undefined && !error.isRetryable) return this.#abort(membership, Exit.fail(error))
        this.#notify()
        yield* nextChance(session, error, refusals)
        membership.state = "joining"
      }
    }).pipe(Effect.ensuring(Effect.map(this.#countOverflow(membership), () => {
      if (this.#memberships.get(session.name) === membership) this.#memberships.delete(session.name)
      this.#notify()
      this.#endWhenAlone()
    })))
  }

  /** The session logs the failures of its subscriptions, but not these. */
  #log(session: Session, error: MqttError, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { reason } = error
    if (reason._tag !== "Unexpected" && reason._tag !== "SubscriptionConflict") return Effect.void
    const line = reason._tag === "Unexpected"
      ? Effect.logError(`${this.purpose} died`, cause)
      : Effect.logWarning(`the subscription of ${this.purpose} is not in force: ${reason.message}`)
    return Effect.flatMap(SessionLog, (settings) =>
      isSilent(settings, session.options)
        ? Effect.void
        : Effect.annotateLogs(line, { session: session.name, reason: reason._tag }))
  }

  #abort(membership: Membership, exit: Exit.Exit<void, E | MqttError>): void {
    this.#interruptOthers(membership.session)
    this.#finish(exit)
  }

  #finish(exit: Exit.Exit<void, E | MqttError>): void {
    if (this.#ended) return
    this.#ended = true
    if (Exit.isFailure(exit)) this.#endedWith = Cause.squash(exit.cause)
    this.#memberships.clear()
    // Callers that wait run at once.
    this.#parts.onEnd(exit)
    Deferred.doneUnsafe(this.#end, exit)
    this.#notify()
  }

  #endWhenAlone(): void {
    if (this.#leaving && this.#memberships.size === 0) this.#finish(Exit.void)
  }

  #countOverflow(membership: Membership): Effect.Effect<void> {
    const { pending } = membership
    if (pending === undefined) return Effect.void
    membership.pending = undefined
    return Effect.map(pending, ({ dropped }) => {
      this.#counters.overflowed += dropped
    })
  }

  #noteError(error: unknown): void {
    this.#counters.lastError = error
    this.#counters.lastErrorAt = this.options.clock.currentTimeMillisUnsafe()
  }

  #notify(): void {
    for (const waiter of this.#waiters) waiter()
  }
}

const errorOf = (session: Session, cause: Cause.Cause<unknown>): MqttError => {
  const error = Cause.squash(cause)
  return isMqttError(error)
    ? error
    : new MqttError({ session: session.name, reason: new Unexpected({ detail: "a route died", cause: error }) })
}

/**
 * Waits until a refused subscription may succeed: after the next reconnect, or after a delay if the cause may be
 * temporary. Does not wait if the session has ended.
 */
const nextChance = (session: Session, error: MqttError, refusals: number): Effect.Effect<void> => {
  let lost = false
  const again = session.statusChanges.pipe(
    Stream.takeUntil(({ ready, state }) => {
      if (state === "closed") return true
      if (!ready) lost = true
      return ready && lost
    }),
    Stream.runDrain
  )
  return error.isRetryable
    ? Effect.raceFirst(again, Effect.sleep(Math.min(longestRetry, firstRetry * 2 ** refusals)))
    : again
}
