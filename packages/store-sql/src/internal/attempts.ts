/**
 * Runs statements within a time, and again where another connection may help. All statements of the store go through
 * here.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { isTransient, toReason } from "./classification.ts"
import type { Statements } from "./statements.ts"

const firstPause = 20
const longestPause = 500
const megabyte = 1_048_576

const now = Effect.map(Clock.monotonicTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000_000n))

/** The statements of the store, the inbox or the outbox. */
interface Leaving {
  /** Takes an effect out of the transaction of its caller. */
  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
}

export class Attempts<All extends Leaving = Statements> {
  readonly statements: All
  readonly #timeout: Duration.Duration

  constructor(statements: All, timeout: Duration.Duration) {
    this.statements = statements
    this.#timeout = timeout
  }

  /**
   * Runs statements, which may be run again. Fails after twice `statementTimeout`, and a second for each megabyte, at
   * the latest.
   */
  run<A>(
    statements: (all: All) => Effect.Effect<A, SqlError | StorageFailed>,
    bytes: number = 0
  ): Effect.Effect<A, StorageFailed> {
    const limit = Duration.sum(this.#timeout, Duration.seconds(Math.floor(bytes / megabyte)))
    const attempt = this.#attempt(statements, limit)
    return Effect.gen(function*() {
      const begin = yield* now
      for (let tried = 1, pause = firstPause;; tried++, pause = Math.min(pause * 2, longestPause)) {
        const result = yield* Effect.result(attempt)
        if (Result.isSuccess(result)) return result.success
        const { isMendable, reason } = result.failure
        if (!isMendable || (tried > 1 && (yield* now) - begin >= Duration.toMillis(limit))) return yield* reason
        yield* Effect.sleep(pause)
      }
    })
  }

  /** Runs statements once, and ignores a failure: for what ends by itself where the database cannot be reached. */
  try(statements: (all: All) => Effect.Effect<unknown, SqlError>): Effect.Effect<void> {
    return Effect.ignore(this.#attempt(statements, this.#timeout))
  }

  #attempt<A>(
    statements: (all: All) => Effect.Effect<A, SqlError | StorageFailed>,
    limit: Duration.Duration
  ): Effect.Effect<A, Failure> {
    return this.#limited(this.statements.outside(Effect.suspend(() => statements(this.statements))), limit)
  }

  /**
   * A driver may be uninterruptible while it waits for a server that does not answer, for example in a rollback. So the
   * statements run in a fiber of their own, which is left to its end.
   */
  #limited<A>(effect: Effect.Effect<A, SqlError | StorageFailed>, limit: Duration.Duration): Effect.Effect<A, Failure> {
    return Effect.flatMap(
      Effect.forkDetach(Effect.mapError(withRollback(effect), toFailure), { startImmediately: true }),
      (fiber) =>
        Fiber.join(fiber).pipe(
          Effect.timeoutOrElse({
            duration: limit,
            orElse: () => {
              fiber.interruptUnsafe()
              return Effect.fail(noAnswer(limit))
            }
          }),
          // A statement that was sent may be applied whether it is interrupted or not. An interrupted caller waits for
          // its end, for a short time, so that a release does not overtake the acquisition before it.
          Effect.onInterrupt(() => ended(fiber))
        )
    )
  }
}

/**
 * Waits for the end of a fiber for a short time, then interrupts it. The wait has a fiber of its own, because that of
 * an interrupted caller can wait only without a limit.
 */
const ended = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.timeoutOption(Fiber.await(fiber), longestPause).pipe(
    Effect.interruptible,
    Effect.forkDetach({ startImmediately: true }),
    Effect.flatMap(Fiber.await),
    Effect.map(() => fiber.interruptUnsafe())
  )

/** `SqlClient` dies where a rollback fails, as it does over a lost connection, which undoes the transaction anyway. */
const withRollback = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.catchDefect(effect, (defect) => isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect))

interface Failure {
  readonly reason: StorageFailed
  /** Whether the same statements may succeed over another connection. */
  readonly isMendable: boolean
}

const toFailure = (error: SqlError | StorageFailed): Failure =>
  error._tag === "StorageFailed"
    ? { reason: error, isMendable: false }
    : { reason: toReason(error), isMendable: isTransient(error) }

const noAnswer = (limit: Duration.Duration): Failure => ({
  reason: new StorageFailed({
    detail: `the database has not answered within ${Duration.format(limit)}: ` +
      "it cannot be reached, or the driver has no connection to spare"
  }),
  isMendable: true
})
