/**
 * Gives the one connection to one user after the other, in the order in which they ask, each of whom waits for a
 * bounded time: a transaction that waits for another one of its own fiber would wait for ever.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { LockTimeoutError, SqlError } from "effect/sql/SqlError"

interface Waiter {
  readonly grant: () => void
  hasTurn: boolean
}

export class Turns {
  readonly #patience: Duration.Duration
  readonly #waiters = new Set<Waiter>()
  #isTaken = false

  constructor(patience: Duration.Duration) {
    this.#patience = patience
  }

  /** Takes a turn until the scope ends. */
  readonly take: Effect.Effect<void, SqlError, Scope.Scope> = Effect.suspend(() =>
    Effect.acquireRelease(this.#begin, () => this.#end, { interruptible: true })
  )

  /** Runs an effect in a turn of its own. */
  during<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(this.#begin), () => Effect.ensuring(restore(effect), this.#end))
    )
  }

  readonly #begin: Effect.Effect<void, SqlError> = Effect.callback<void, SqlError>((resume) => {
    if (!this.#isTaken) {
      this.#isTaken = true
      return resume(Effect.void)
    }
    const timer = setTimeout(() => {
      this.#waiters.delete(waiter)
      resume(Effect.fail(this.#timeout()))
    }, Duration.toMillis(this.#patience))
    const waiter: Waiter = {
      hasTurn: false,
      grant: () => {
        clearTimeout(timer)
        resume(Effect.void)
      }
    }
    this.#waiters.add(waiter)
    return Effect.sync(() => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
      // Interrupted after it was granted, and before it knew.
      if (waiter.hasTurn) this.#next()
    })
  })

  readonly #end: Effect.Effect<void> = Effect.sync(() => this.#next())

  #next(): void {
    const [waiter] = this.#waiters
    if (waiter === undefined) {
      this.#isTaken = false
      return
    }
    this.#waiters.delete(waiter)
    waiter.hasTurn = true
    waiter.grant()
  }

  #timeout(): SqlError {
    const limit = Duration.format(this.#patience)
    return new SqlError({
      reason: new LockTimeoutError({
        message: `another transaction of this client has had the database for ${limit}: SQLite has one at a time`,
        cause: undefined
      })
    })
  }
}
