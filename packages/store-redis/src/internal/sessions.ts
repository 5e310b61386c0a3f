/**
 * The sessions that one store has open: opens each as its only owner, renews its lease while it is open, and closes all
 * of them at the end of the store.
 */
import { InvalidOptions, MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redis from "effect/persistence/Redis"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type CommandQueue, makeCommandQueue } from "./commandQueue.ts"
import { type Connections, makeConnections } from "./connections.ts"
import { readDurability, readLargestValue } from "./durability.ts"
import { Handle } from "./handle.ts"
import { keysOf } from "./keys.ts"
import { acquire, type LeaseRequest, type LeaseTimes, leaseTimesOf, release } from "./lease.ts"
import type { RedisStoreOptions } from "./options.ts"

const closed = (): StorageFailed => new StorageFailed({ kind: "closed", detail: "the store is closed" })

const owned = (): StorageFailed => new StorageFailed({ kind: "owned", detail: "this program has the session open" })

export class Sessions {
  readonly #options: RedisStoreOptions
  readonly #times: LeaseTimes
  readonly #connections: Connections
  readonly #open = new Map<string, Scope.Closeable>()
  #hasWarned = false
  #isClosed = false

  constructor(redis: Redis.Redis["Service"], options: RedisStoreOptions) {
    this.#options = options
    this.#times = leaseTimesOf(options)
    this.#connections = makeConnections(redis)
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
      yield* this.#connections.use
      const keys = keysOf(this.#options.keyPrefix, session)
      const commands = makeCommandQueue(this.#connections, this.#options.commandTimeout)
      const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
      const request = { commands, keys, token, times: this.#times }
      // Added before the acquisition, so that an acquisition whose reply is lost is released too.
      yield* Effect.addFinalizer(() => this.#release(request))
      const owner = yield* acquire(request)
      if (this.#isClosed) {
        // Too late for the finalizers, because the end of the store has already run them.
        yield* this.#release(request)
        return yield* closed()
      }
      const { expiry, lease, memory } = this.#times
      const handle = new Handle({
        session,
        keys,
        owner,
        durability: yield* this.#durabilityOf(commands),
        commands,
        renewalCommands: makeCommandQueue(this.#connections, this.#options.commandTimeout),
        lease,
        expiry,
        memory,
        largestValue: yield* readLargestValue(commands),
        acquiredAt: yield* Clock.monotonicTimeNanos
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => handle.close()))
      yield* Effect.ignore(handle.renew).pipe(
        Effect.delay(lease / 3),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped
      )
      return handle.store
    })
  }

  /** An unreachable Redis is not waited for: the lease ends by itself. */
  #release(request: LeaseRequest): Effect.Effect<void> {
    return Effect.suspend(() => this.#connections.failure() === undefined ? release(request) : Effect.void)
  }

  #durabilityOf(commands: CommandQueue): Effect.Effect<Durability, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const durability = yield* readDurability(commands)
      if (durability !== undefined) return durability
      if (!this.#hasWarned) {
        this.#hasWarned = true
        yield* Effect.logWarning(
          "Redis does not tell whether it keeps an append-only file (CONFIG and INFO are forbidden): " +
            "sessions are taken for lost when it ends"
        )
      }
      return "session"
    })
  }
}
