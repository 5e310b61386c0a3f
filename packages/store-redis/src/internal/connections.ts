/**
 * The connection of a store. The store reserves one from the `Redis` service for itself, and replaces it when it proves
 * useless.
 *
 * After a failover a connection may stay at a server that is a replica now, or at one that has silently disappeared,
 * and its driver does not know. A new connection to the same address reaches the current server. The connection that
 * the service shares with the rest of the program cannot be replaced without harm to other users, and keeps abandoned
 * commands until it is closed. It is used only where the service cannot reserve one. Called by `commandQueue.ts`.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redis from "effect/persistence/Redis"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { toReason } from "./classification.ts"

export interface Connection {
  readonly send: Redis.Redis["Service"]["send"]
}

export interface Connections {
  /**
   * The current connection, or a new one. Waits as long as the driver does; the caller sets a time limit.
   */
  readonly get: Effect.Effect<Connection, StorageFailed>
  /** The current connection; undefined: there is none, and `get` makes one. */
  readonly current: () => Connection | undefined
  /**
   * Abandons a useless connection. Returns false if it is kept, because others were no better a moment ago. A
   * connection that `isBroken` is always abandoned.
   */
  readonly abandon: (useless: Connection, isBroken: boolean) => Effect.Effect<boolean>
  /** The connection has given a usable reply. */
  readonly confirm: (connection: Connection) => void
  /** Why the last attempt to connect failed; undefined: it did not. */
  readonly failure: () => StorageFailed | undefined
  /** Keeps the connection as long as the scope, and gives it back when the last scope ends. */
  readonly use: Effect.Effect<void, never, Scope.Scope>
}

/** The wait before the next attempt, which doubles each time. */
class Backoff {
  readonly #longest: bigint
  #length = 0n
  #until = 0n

  constructor(longest: Duration.Duration) {
    this.#longest = Duration.toNanosUnsafe(longest)
  }

  /** The remaining nanoseconds. */
  left(now: bigint): bigint {
    return this.#until > now ? this.#until - now : 0n
  }

  begin(now: bigint): void {
    const next = this.#length === 0n ? shortestDelay : this.#length * 2n
    this.#length = next > this.#longest ? this.#longest : next
    this.#until = now + this.#length
  }

  end(): void {
    this.#length = 0n
    this.#until = 0n
  }
}

const shortestDelay = Duration.toNanosUnsafe(Duration.millis(50))

interface Own extends Connection {
  readonly scope: Scope.Closeable
}

/**
 * The connection of one store.
 */
export const makeConnections = (redis: Redis.Redis["Service"]): Connections => {
  const shared: Connection = { send: redis.send }
  /** The pause between attempts to connect, and between connections that are no better than the one before. */
  const connectBackoff = new Backoff(Duration.seconds(2))
  const replaceBackoff = new Backoff(Duration.seconds(5))
  let own: Own | undefined
  let attempt: Deferred.Deferred<Connection, StorageFailed> | undefined
  let failure: StorageFailed | undefined
  let users = 0

  const release = Effect.suspend(() => {
    const connection = own
    own = undefined
    if (connection === undefined) return Effect.void
    // The pool of the service closes a connection with a running command, and would keep one that it considers healthy.
    return Effect.forkDetach(Effect.ignore(connection.send("PING")), { startImmediately: true }).pipe(
      Effect.andThen(Scope.close(connection.scope, Exit.void))
    )
  })

  const reserve: Effect.Effect<Connection, StorageFailed> = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(redis.reserve, scope))
    if (Exit.isFailure(exit)) {
      yield* Scope.close(scope, exit)
      const error = Cause.squash(exit.cause)
      if (error instanceof Redis.RedisError) return yield* toReason(error.cause)
      // The service cannot reserve. A service that is shutting down interrupts instead.
      return shared
    }
    own = { send: exit.value.send, scope }
    if (users === 0) yield* release
    return own ?? shared
  })

  /** One attempt for all callers. A caller that gives up leaves it to the others. */
  const connect = Effect.suspend(() => {
    if (attempt !== undefined) return Deferred.await(attempt)
    const deferred = Deferred.makeUnsafe<Connection, StorageFailed>()
    attempt = deferred
    return Effect.gen(function*() {
      const left = connectBackoff.left(yield* Clock.monotonicTimeNanos)
      if (left > 0n) yield* Effect.sleep(Duration.nanos(left))
      const result = yield* Effect.result(reserve)
      failure = Result.isFailure(result) ? result.failure : undefined
      if (failure === undefined) connectBackoff.end()
      else connectBackoff.begin(yield* Clock.monotonicTimeNanos)
      attempt = undefined
      yield* Deferred.complete(deferred, Effect.fromResult(result))
    }).pipe(
      Effect.forkDetach({ startImmediately: true }),
      Effect.andThen(Deferred.await(deferred))
    )
  })

  return {
    get: Effect.suspend(() => own === undefined ? connect : Effect.succeed(own)),
    current: () => own,
    abandon: (useless, isBroken) =>
      Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
        // Another caller has abandoned it meanwhile.
        if (own !== useless) return Effect.succeed(useless !== shared)
        if (!isBroken && replaceBackoff.left(now) > 0n) return Effect.succeed(false)
        if (!isBroken) replaceBackoff.begin(now)
        return Effect.as(release, true)
      }),
    confirm: () => {
      replaceBackoff.end()
    },
    failure: () => failure,
    use: Effect.acquireRelease(
      Effect.sync(() => {
        users++
      }),
      () => Effect.suspend(() => --users === 0 ? release : Effect.void)
    )
  }
}
