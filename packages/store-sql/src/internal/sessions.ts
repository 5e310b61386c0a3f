/**
 * The sessions that one store has open: opens each as its only owner, renews its lease while it is open, and closes all
 * of them at the end of the store.
 */
import { InvalidOptions, MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import { Attempts } from "./attempts.ts"
import { Handle } from "./handle.ts"
import { hashOf, textOf } from "./names.ts"
import type { SqlStoreOptions } from "./options.ts"
import { type Acquisition, Statements } from "./statements.ts"

/** The session is asked for at least this often, in milliseconds: an owner may release it before its lease ends. */
const longestPoll = 500
const grace = Duration.seconds(1)

const closed = (): StorageFailed => new StorageFailed({ kind: "closed", detail: "the store is closed" })

const owned = (): StorageFailed => new StorageFailed({ kind: "owned", detail: "this program has the session open" })

const now = Effect.map(Clock.monotonicTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000_000n))

type Owner = Extract<Acquisition, { readonly _tag: "Owner" }>

export class Sessions {
  readonly #attempts: Attempts
  readonly #lease: number
  readonly #acquireTimeout: number
  readonly #open = new Map<string, Scope.Closeable>()
  #hasTables = false
  #isClosed = false

  constructor(sql: SqlClient.SqlClient, options: SqlStoreOptions) {
    const { acquireTimeout, leaseDuration, statementTimeout, tablePrefix } = options
    this.#attempts = new Attempts(new Statements(sql, tablePrefix), statementTimeout)
    this.#lease = Math.ceil(Duration.toMillis(leaseDuration))
    this.#acquireTimeout = Duration.toMillis(acquireTimeout ?? Duration.sum(leaseDuration, grace))
  }

  /** See `SessionStore.open`. */
  open(session: string): Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      if (typeof session !== "string") {
        return yield* new InvalidOptions({ issues: [{ path: "session", message: "must be a text" }] })
      }
      // A failed attempt leaves nothing, however long the caller's scope lives. The end of the store closes this scope.
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* Effect.andThen(this.#reserve(session, scope), Scope.provide(this.#own(session), scope)).pipe(
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

  /** One owner within this program. */
  #reserve(session: string, scope: Scope.Closeable): Effect.Effect<void, StorageFailed> {
    return Effect.suspend(() => {
      if (this.#isClosed) return Effect.fail(closed())
      if (this.#open.has(session)) return Effect.fail(owned())
      this.#open.set(session, scope)
      return Scope.addFinalizer(scope, Effect.sync(() => this.#open.delete(session)))
    })
  }

  /** One owner among all programs. */
  #own(session: string): Effect.Effect<SessionStoreHandle, StorageFailed, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const attempts = this.#attempts
      yield* this.#makeTables
      const name = textOf(session)
      const hash = hashOf(name)
      const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
      const release = attempts.try((all) => all.release(hash, token))
      // Added before the acquisition, so that an acquisition whose reply is lost is released too.
      yield* Effect.addFinalizer(() => release)
      const { epoch, id } = yield* this.#acquire(hash, name, token)
      if (this.#isClosed) {
        // Too late for the finalizers, because the end of the store has already run them.
        yield* release
        return yield* closed()
      }
      const durability = yield* attempts.run((all) => all.durability)
      const handle = new Handle({ session, id, epoch, durability, attempts, lease: this.#lease })
      yield* Effect.addFinalizer(() => Effect.sync(() => handle.close()))
      yield* Effect.ignore(handle.renew).pipe(
        Effect.delay(this.#lease / 3),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped
      )
      return handle.store
    })
  }

  get #makeTables(): Effect.Effect<void, StorageFailed> {
    return Effect.suspend(() =>
      this.#hasTables ? Effect.void : Effect.map(this.#attempts.run((all) => all.makeTables), () => {
        this.#hasTables = true
      })
    )
  }

  /** Fails with the kind `owned` when another owner keeps its lease. */
  #acquire(hash: Uint8Array, name: string, token: string): Effect.Effect<Owner, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const until = (yield* now) + this.#acquireTimeout
      for (let poll = 20;; poll = Math.min(poll * 2, longestPoll)) {
        const answer = yield* this.#attempts.run((all) => all.acquire(hash, name, token, this.#lease))
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
}
