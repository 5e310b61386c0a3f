/**
 * The two connections that a store can use: the one that the `Redis` service shares with the rest of the program, and one of its own, which
 * it reserves from the service only when the shared one has proved useless.
 *
 * After a failover the shared connection may stay at a server that is a replica now, or at one that is gone without a word, and its
 * driver does not know. A new connection to the same address reaches the server that serves now. The shared connection is never
 * closed: others use it. `line.ts` is the caller.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { toReason } from "./classification.ts"

export interface Connection {
  readonly send: Redis.Redis["Service"]["send"]
  /** Reserved for this store; such a connection does not connect again by itself. */
  readonly isOwn: boolean
}

/** What comes of leaving a connection: another one, or why there is none, as far as it is known. */
export type Departure =
  | { readonly _tag: "Moved"; readonly to: Connection }
  | { readonly _tag: "Stayed"; readonly reason: StorageFailed | undefined }

export interface Connections {
  /** The one to use now. */
  readonly current: () => Connection
  /** Leaves a connection that has proved useless, for one that a call has not `tried` yet. Bounded by the caller. */
  readonly leave: (useless: Connection, tried: ReadonlySet<Connection>) => Effect.Effect<Departure>
  /** The connection has given an answer that is of use. */
  readonly prove: (connection: Connection) => void
  /** Keeps the store's own connection as long as the scope, and gives it back when no scope is left. */
  readonly use: Effect.Effect<void, never, Scope.Scope>
}

// Between attempts to get an own connection: a server that is a replica for good, or away, is not asked for one with every command.
const shortestPause = Duration.toNanosUnsafe(Duration.millis(200))
/** How many own connections a call may try. */
const reservations = 3
const longestPause = Duration.toNanosUnsafe(Duration.seconds(5))

/**
 * The connections of one store.
 */
export const makeConnections = (redis: Redis.Redis["Service"]): Connections => {
  const shared: Connection = { send: redis.send, isOwn: false }
  const lock = Semaphore.makeUnsafe(1)
  let current = shared
  let own: Scope.Closeable | undefined
  let users = 0
  /** No attempt before this time of the monotonic clock. */
  let notBefore = 0n
  let pause = shortestPause
  let lastFailure: StorageFailed | undefined

  const giveBack = Effect.suspend(() => {
    const scope = own
    own = undefined
    current = shared
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })

  const postpone = Effect.map(Clock.monotonicTimeNanos, (now) => {
    notBefore = now + pause
    pause = pause * 2n > longestPause ? longestPause : pause * 2n
  })

  const stayed = (reason: StorageFailed | undefined): Departure => ({ _tag: "Stayed", reason })

  const reserve = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      yield* giveBack
      const scope = yield* Scope.make()
      // A failure of any sort: a service that is shutting down answers by an interruption.
      const exit = yield* Effect.exit(restore(Scope.provide(redis.reserve, scope)))
      if (Exit.isFailure(exit)) {
        yield* Scope.close(scope, exit)
        const error = Cause.squash(exit.cause)
        lastFailure = error instanceof Redis.RedisError ? toReason(error.cause) : undefined
        return stayed(lastFailure)
      }
      lastFailure = undefined
      own = scope
      current = { send: exit.value.send, isOwn: true }
      const departure: Departure = { _tag: "Moved", to: current }
      return departure
    })
  )

  const leave = (useless: Connection, tried: ReadonlySet<Connection>): Effect.Effect<Departure> =>
    Effect.suspend((): Effect.Effect<Departure> => {
      // Somebody else has left it meanwhile.
      if (current !== useless && !tried.has(current)) return Effect.succeed({ _tag: "Moved", to: current })
      if (useless.isOwn && current === useless) return Effect.andThen(giveBack, leave(shared, tried))
      if (!tried.has(shared)) return Effect.succeed({ _tag: "Moved", to: shared })
      const others = tried.size - 1
      if (users === 0 || others >= reservations) return Effect.succeed(stayed(lastFailure))
      // What a driver reserves may be a connection that it had to spare already, as old as the shared one.
      if (others > 0) return reserve
      return Effect.flatMap(Clock.monotonicTimeNanos, (now) =>
        // Before the attempt: one that is given up counts as well.
        now < notBefore ? Effect.succeed(stayed(lastFailure)) : Effect.andThen(postpone, reserve))
    })

  return {
    current: () => current,
    leave: (useless, tried) => lock.withPermits(1)(leave(useless, tried)),
    prove: (connection) => {
      if (!connection.isOwn) return
      pause = shortestPause
      notBefore = 0n
    },
    use: Effect.acquireRelease(
      Effect.sync(() => {
        users++
      }),
      () => Effect.suspend(() => --users === 0 ? giveBack : Effect.void)
    )
  }
}
