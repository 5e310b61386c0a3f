/**
 * Renews the leases of many sessions by few statements: those that fall due within a part of the lease go together, so
 * that the database has the same work for one session and for thousands. `sessions.ts` has one for its store.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Attempts } from "./attempts.ts"
import type { Attempt } from "./statements.ts"

/** The part of a lease that a renewal waits for others. It is due after a third of the lease. */
const parts = 30

interface Waiting {
  readonly attempt: Attempt
  /** False: the row has another epoch, or a transaction has it now. */
  readonly isRenewed: Deferred.Deferred<boolean, StorageFailed>
}

export class Renewals {
  readonly #attempts: Attempts
  #waiting: Array<Waiting> = []

  constructor(attempts: Attempts) {
    this.#attempts = attempts
  }

  /** Begins a lease again. False: another owner has the session. */
  renew(attempt: Attempt): Effect.Effect<boolean, StorageFailed> {
    return Effect.flatMap(
      this.#together(attempt),
      // Alone, it waits for the transaction that has the row.
      (isRenewed) => isRenewed ? Effect.succeed(true) : this.#attempts.run((all) => all.renew(attempt))
    )
  }

  #together(attempt: Attempt): Effect.Effect<boolean, StorageFailed> {
    return Effect.suspend(() => {
      const isRenewed = Deferred.makeUnsafe<boolean, StorageFailed>()
      const isFirst = this.#waiting.push({ attempt, isRenewed }) === 1
      // In a fiber of its own: the one that began it may be interrupted, and the others wait for it. The wait is not
      // part of the time that a statement has.
      const begun = isFirst
        ? Effect.forkDetach(Effect.delay(this.#flush, attempt.lease / parts), { startImmediately: true })
        : Effect.void
      return Effect.andThen(begun, Deferred.await(isRenewed))
    })
  }

  get #flush(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const batch = this.#waiting
      this.#waiting = []
      const attempts = batch.map(({ attempt }) => attempt)
      return Effect.flatMap(
        Effect.exit(this.#attempts.run((all) => all.renewAll(attempts))),
        (exit) =>
          Effect.sync(() => {
            for (const { attempt, isRenewed } of batch) {
              Deferred.doneUnsafe(isRenewed, Effect.map(exit, (renewed) => renewed.has(attempt.id)))
            }
          })
      )
    })
  }
}
