/**
 * The store of one session, as its owner uses it: load, commit, clear and renew, one after the other. The store makes
 * one for each session that it opens.
 */
import { MqttError, type StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, LoadedRecords, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { CommandQueue } from "./commandQueue.ts"
import { Commits } from "./commits.ts"
import { Confirmed, LossRepair } from "./lossRepair.ts"
import { Ownership, type OwnershipOptions } from "./ownership.ts"
import { foreignPages, readRecords } from "./recordPages.ts"
import * as Scripts from "./scripts.ts"

export interface HandleOptions extends OwnershipOptions {
  readonly durability: Durability
  /** The largest value that Redis accepts, in bytes. */
  readonly largestValue: number
}

export class Handle {
  readonly #durability: Durability
  readonly #ownership: Ownership
  readonly #confirmed = new Confirmed()
  readonly #repair: LossRepair
  readonly #commits: Commits
  readonly #lock = Semaphore.makeUnsafe(1)

  constructor(options: HandleOptions) {
    const { durability, largestValue } = options
    this.#durability = durability
    this.#ownership = new Ownership(options)
    this.#repair = new LossRepair(this.#ownership, this.#confirmed, largestValue)
    this.#commits = new Commits({
      ownership: this.#ownership,
      repair: this.#repair,
      confirmed: this.#confirmed,
      largestValue
    })
  }

  /** The store as a plain record, so that a wrapper can copy its members. */
  get store(): SessionStoreHandle {
    return {
      durability: this.#durability,
      load: this.#exclusively("load", this.#load),
      commit: (changes) => this.#exclusively("commit", this.#commits.commit(changes)),
      clear: this.#exclusively("clear", this.#clear)
    }
  }

  /** Prolongs the lease. A failure takes effect at the next commit. */
  get renew(): Effect.Effect<void, MqttError> {
    const { commands, renewalCommands } = this.#ownership.options
    return Effect.flatMap(
      this.#renewOnce(renewalCommands),
      (need) => need === undefined ? Effect.void : this.#lock.withPermits(1)(this.#renewed(commands))
    ).pipe(Effect.mapError(this.#toError("renew")))
  }

  /** Every later operation fails with the kind `closed`. */
  close(): void {
    this.#ownership.close()
  }

  get #load(): Effect.Effect<LoadedRecords, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const { commands, keys } = this.#ownership.options
      // A fenced owner must not read the records of another one.
      yield* this.#renewed(commands)
      yield* this.#repair.runRepaired(this.#repair.finish)
      const { foreign, newest, records } = yield* readRecords(commands, keys.records)
      // A commit with an unknown outcome that was applied counts from now on.
      this.#confirmed.number = Math.max(this.#confirmed.number, newest)
      const lost = foreign === undefined ? 0 : yield* this.#removeForeign(records)
      this.#confirmed.records = records
      this.#confirmed.isLoaded = true
      return {
        records: inOrder(records),
        damage: foreign === undefined ? undefined : { lost, detail: foreign }
      }
    })
  }

  get #clear(): Effect.Effect<void, StorageFailed> {
    const cleared = this.#commits.change(Scripts.clear, [this.#ownership.options.expiry.toString()])
    return Effect.map(cleared, () => {
      this.#confirmed.records.clear()
      this.#confirmed.isLoaded = true
    })
  }

  /** Deletes foreign fields page by page, and counts them. */
  #removeForeign(records: ReadonlyMap<string, StoreRecord>): Effect.Effect<number, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const { commands, keys } = this.#ownership.options
      let count = 0
      for (let page = foreignPages(commands, keys.records, records);;) {
        const { fields, next } = yield* page
        if (fields.length > 0) yield* this.#commits.deleteFields(fields)
        count += fields.length
        if (next === undefined) return count
        page = next
      }
    })
  }

  #renewOnce(commands: CommandQueue) {
    return Effect.suspend(() => {
      const expiry = this.#ownership.options.expiry.toString()
      return this.#ownership.run(Scripts.renew, [this.#confirmed.number.toString(), expiry], commands)
    })
  }

  #renewed(commands: CommandQueue): Effect.Effect<void, StorageFailed> {
    return Effect.flatMap(
      this.#renewOnce(commands),
      (need) => need === undefined ? Effect.void : this.#repair.restore
    )
  }

  #exclusively<A>(method: string, effect: Effect.Effect<A, StorageFailed>): Effect.Effect<A, MqttError> {
    const { check } = this.#ownership
    return Effect.andThen(check, this.#lock.withPermits(1)(Effect.andThen(check, effect))).pipe(
      Effect.mapError(this.#toError(method))
    )
  }

  #toError(method: string) {
    const { session } = this.#ownership.options
    return (reason: StorageFailed): MqttError => new MqttError({ session, method: `SessionStore.${method}`, reason })
  }
}

/** Outbound records in the order of their sequence, which is that of their keys. */
const inOrder = (records: ReadonlyMap<string, StoreRecord>): ReadonlyArray<StoreRecord> => {
  const outbound = new Array<StoreRecord & { readonly _tag: "Outbound" }>()
  const others = new Array<StoreRecord>()
  for (const record of records.values()) {
    if (record._tag === "Outbound") outbound.push(record)
    else others.push(record)
  }
  outbound.sort((a, b) => a.sequence - b.sequence)
  return [...others, ...outbound]
}
