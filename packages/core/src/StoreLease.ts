/**
 * For stores that several programs share: each session has one owner, in this program and among all programs.
 *
 * The store's own code acquires, renews and releases a lease, with a command to its server. This module reserves the
 * session within the program, waits for another owner to leave, and ends everything with the store. It knows no server.
 * The stores on Redis and SQL databases use it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { InvalidOptions, MqttError, StorageFailed } from "./MqttError.ts"
import type { SessionStoreHandle } from "./SessionStore.ts"

/** The session is asked for at least this often, in milliseconds: an owner may release it before its lease ends. */
const longestPoll = 500

/** Added to the duration of a lease, to wait for an owner that has died. */
const grace = Duration.seconds(1)

/**
 * The answer of a server that another owner has the session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Held {
  /** The tag of the answer. */
  readonly _tag: "Held"
  /** For how long its lease is still valid, in milliseconds. */
  readonly remaining: number
}

/**
 * The sessions that one store has open. A store's own class extends it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export abstract class OpenSessions {
  readonly #open = new Map<string, Scope.Closeable>()
  #isClosed = false

  /** Becomes the owner among all programs, until the scope ends. */
  protected abstract own(session: string): Effect.Effect<SessionStoreHandle, StorageFailed, Scope.Scope>

  /** How long an acquisition waits for another owner by default: its lease, and one second. */
  protected static defaultTimeout(lease: Duration.Duration): Duration.Duration {
    return Duration.sum(lease, grace)
  }

  /**
   * Becomes the owner of a session: tries at once, and again until the timeout has passed, less and less often and at
   * the end of the other owner's lease. Fails with the kind `owned` after the timeout.
   */
  protected acquire<Owner extends { readonly _tag: "Owner" }>(
    attempt: Effect.Effect<Owner | Held, StorageFailed>,
    timeout: Duration.Duration
  ): Effect.Effect<Owner, StorageFailed> {
    return Effect.gen(function*() {
      const until = (yield* now) + Duration.toMillis(timeout)
      for (let poll = 20;; poll = Math.min(poll * 2, longestPoll)) {
        const answer = yield* attempt
        if (answer._tag === "Owner") return answer
        const left = until - (yield* now)
        if (left <= 0) {
          const remaining = Duration.format(Duration.millis(answer.remaining))
          return yield* new StorageFailed({
            kind: "owned",
            detail: `another owner has the session, with a lease for ${remaining} more`
          })
        }
        yield* Effect.sleep(Math.max(1, Math.min(poll, answer.remaining + 1, left)))
      }
    })
  }

  /** Renews a lease three times in its duration until the scope ends. A failed renewal is tried again the next time. */
  protected keep(
    renewal: Effect.Effect<unknown, unknown>,
    lease: Duration.Duration
  ): Effect.Effect<void, never, Scope.Scope> {
    return Effect.ignore(renewal).pipe(
      Effect.delay(Duration.toMillis(lease) / 3),
      Effect.repeat(Schedule.forever),
      Effect.forkScoped,
      Effect.asVoid
    )
  }

  /** Opens a session as its only owner until the scope or the store ends. See `SessionStore.open`. */
  open(session: string): Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      if (typeof session !== "string") {
        return yield* new InvalidOptions({ issues: [{ path: "session", message: "must be a text" }] })
      }
      // A failed attempt leaves nothing, however long the caller's scope lives. The end of the store closes this scope.
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* Effect.andThen(this.#reserve(session, scope), Scope.provide(this.own(session), scope)).pipe(
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
    }).pipe(
      Effect.mapError((reason) =>
        new MqttError({ reason, method: "SessionStore.open", ...(typeof session === "string" && { session }) })
      )
    )
  }

  /** Closes all open sessions: their later operations fail with the kind `closed`. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#isClosed = true
    return Effect.forEach(Array.from(this.#open.values()), (scope) => Scope.close(scope, Exit.void), {
      concurrency: "unbounded",
      discard: true
    })
  })

  /**
   * Fails with the kind `closed` once the store has ended. `own` checks it after the acquisition: the end of the store
   * runs the finalizers of an acquisition before it has succeeded.
   */
  protected readonly check: Effect.Effect<void, StorageFailed> = Effect.suspend(() =>
    this.#isClosed ? Effect.fail(new StorageFailed({ kind: "closed", detail: "the store is closed" })) : Effect.void
  )

  /** One owner within this program. */
  #reserve(session: string, scope: Scope.Closeable): Effect.Effect<void, StorageFailed> {
    return Effect.andThen(
      this.check,
      Effect.suspend(() => {
        if (this.#open.has(session)) {
          return Effect.fail(new StorageFailed({ kind: "owned", detail: "this program has the session open" }))
        }
        this.#open.set(session, scope)
        return Scope.addFinalizer(scope, Effect.sync(() => this.#open.delete(session)))
      })
    )
  }
}

const now = Effect.map(Clock.monotonicTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000_000n))
