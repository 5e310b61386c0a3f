/**
 * Repairs a loss: a Redis that was restarted without its append-only file, restored, or replaced by a replica that
 * lagged has lost commits that it had confirmed. They are written again from memory, which refers to the records that
 * the session holds anyway.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import type { Ownership, RepairNeed } from "./ownership.ts"
import { partsOf } from "./parts.ts"
import * as Scripts from "./scripts.ts"

/** What Redis has confirmed. */
export class Confirmed {
  /** The number of the newest confirmed commit. */
  number = 0
  /** Incomplete before the first load. */
  records = new Map<string, StoreRecord>()
  isLoaded = false
}

/** How long Redis keeps an unfinished rewrite after its last part, in milliseconds. */
const rewriteExpiry = "60000"

/** How often one commit may be delayed: by a commit to finish, by a loss, and by both again during the repair. */
const maximumRepairs = 4

export class LossRepair {
  readonly #ownership: Ownership
  readonly #confirmed: Confirmed
  readonly #largestValue: number

  constructor(ownership: Ownership, confirmed: Confirmed, largestValue: number) {
    this.#ownership = ownership
    this.#confirmed = confirmed
    this.#largestValue = largestValue
  }

  /** Runs a script, and again after each of its hindrances is removed. */
  runRepaired(
    once: Effect.Effect<RepairNeed | undefined, StorageFailed>,
    attempts: number = maximumRepairs
  ): Effect.Effect<void, StorageFailed> {
    return Effect.flatMap(once, (need) => {
      if (need === undefined) return Effect.void
      const repaired = Effect.andThen(this.#repair(need), Effect.suspend(() => this.runRepaired(once, attempts - 1)))
      return attempts > 1 ? repaired : Effect.andThen(
        this.#repair(need),
        Effect.fail(new StorageFailed({ detail: "Redis keeps losing what was committed" }))
      )
    })
  }

  /** Removes what hinders a script. */
  #repair(need: RepairNeed): Effect.Effect<void, StorageFailed> {
    return need === Scripts.lost
      ? this.restore
      : Effect.flatMap(this.finish, (found) => found === Scripts.lost ? this.restore : Effect.void)
  }

  /** Moves the changes of a concluded commit to the records. */
  readonly finish: Effect.Effect<RepairNeed | undefined, StorageFailed> = Effect.gen({ self: this }, function*() {
    for (;;) {
      const need = yield* this.#ownership.run(Scripts.finish, [])
      if (need !== Scripts.unfinished) return need
    }
  })

  /** Restores in Redis what it had confirmed. */
  readonly restore: Effect.Effect<void, StorageFailed> = Effect.gen({ self: this }, function*() {
    const { isLoaded, number, records } = this.#confirmed
    const { expiry, session } = this.#ownership.options
    yield* this.#ownership.checkMemory
    if (isLoaded) yield* this.#rewrite
    const count = isLoaded ? records.size : -1
    const args = [number.toString(), expiry.toString(), count.toString()]
    const need = yield* this.#ownership.runRewrite(Scripts.restore, args)
    if (need !== undefined) return yield* new StorageFailed({ detail: "Redis has lost what was just written" })
    yield* Effect.logWarning(
      `Redis had lost commits of the session ${JSON.stringify(session)}: ${records.size} records were written again`
    )
  })

  /** Writes all records again in parts, under a separate key. */
  get #rewrite(): Effect.Effect<void, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const all = { deletes: new Set<string>(), puts: this.#confirmed.records, isFreeing: false }
      let isFirst = true
      for (const { puts } of partsOf(all, this.#largestValue)) {
        if (puts.length === 0) continue
        const args = [rewriteExpiry, isFirst ? "1" : "0", ...puts]
        if ((yield* this.#ownership.runRewrite(Scripts.rewrite, args)) !== undefined) return
        isFirst = false
      }
    })
  }
}
