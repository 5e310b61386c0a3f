/**
 * The store of one session, as its owner uses it: load, commit, clear and renew, one after the other. The store makes
 * one for each session that it opens.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, LoadedRecords, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import type { StoreChange, StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import type { Attempts } from "./attempts.ts"
import { type Part, partsOf } from "./changes.ts"
import { readRecords } from "./recordPages.ts"
import type { Renewals } from "./renewals.ts"
import type { Attempt, Statements } from "./statements.ts"

export interface HandleOptions {
  readonly session: string
  readonly id: string
  readonly epoch: string
  readonly durability: Durability
  readonly attempts: Attempts
  readonly renewals: Renewals
  /** Milliseconds. */
  readonly lease: number
}

type Attempted<A> = Effect.Effect<A, SqlError | StorageFailed>

export class Handle {
  readonly #options: HandleOptions
  readonly #lock = Semaphore.makeUnsafe(1)
  /** The number of the newest attempt. */
  #number = 0
  /** The newest use of statements that change or settle. */
  #turn = 0
  /** Whether an earlier attempt may still be applied, because nothing is known of its end. */
  #isUncertain = false
  #isFenced = false
  #isClosed = false

  constructor(options: HandleOptions) {
    this.#options = options
  }

  /** The store as a plain record, so that a wrapper can copy its members. */
  get store(): SessionStoreHandle {
    return {
      durability: this.#options.durability,
      load: this.#exclusively("load", this.#load),
      commit: (changes) => this.#exclusively("commit", this.#commit(changes)),
      clear: this.#exclusively("clear", this.#change((all) => all.clear(this.#next())))
    }
  }

  /** Prolongs the lease. It does not wait for a long load or commit. A failure takes effect at the next commit. */
  readonly renew: Effect.Effect<void, StorageFailed> = Effect.suspend(() =>
    Effect.andThen(
      this.#check,
      Effect.flatMap(
        Effect.suspend(() => this.#options.renewals.renew(this.#attempt(this.#number))),
        (owned) => owned ? Effect.void : Effect.fail(this.#fence())
      )
    )
  )

  /** Every later operation fails with the kind `closed`. */
  close(): void {
    this.#isClosed = true
  }

  #commit(changes: ReadonlyArray<StoreChange>): Effect.Effect<void, StorageFailed> {
    return Effect.flatMap(
      Effect.try({ try: () => partsOf(changes), catch: (error) => error as StorageFailed }),
      (parts) => {
        let bytes = 0
        for (const part of parts) bytes += part.bytes
        return this.#change((all) => this.#commitParts(all, parts), bytes)
      }
    )
  }

  #commitParts(all: Statements, parts: ReadonlyArray<Part>): Effect.Effect<boolean, SqlError> {
    // One statement is a transaction by itself, with one round trip.
    if (parts.length === 1) return all.commit(this.#next(), parts[0]!)
    return all.together(Effect.gen({ self: this }, function*() {
      for (const part of parts) if (!(yield* all.commit(this.#next(), part))) return false
      return true
    }))
  }

  get #load(): Effect.Effect<LoadedRecords, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const { attempts, id } = this.#options
      // A fenced owner must not read the records of another one, and no earlier commit may arrive after the reading.
      yield* this.#settle
      const { foreign, foreignHashes, records } = yield* readRecords(attempts, id)
      if (foreignHashes.length > 0) {
        const part = { deletes: foreignHashes, hashes: [], keys: [], values: [], bytes: 0, accepted: [], returned: [] }
        yield* this.#change((all) => all.commit(this.#next(), part))
      } else {
        // Records that another owner has changed meanwhile are a mixture.
        yield* attempts.run((all) => this.#renewOnce(all))
      }
      return {
        records: inOrder(records),
        damage: foreign === undefined ? undefined : { lost: foreignHashes.length, detail: foreign }
      }
    })
  }

  /** Changes records by statements that may run more than once. They say whether the owner is not fenced. */
  #change(
    statements: (all: Statements) => Effect.Effect<boolean, SqlError>,
    bytes: number = 0
  ): Effect.Effect<void, StorageFailed> {
    return this.#options.attempts.run((all) => {
      // A statement does not see what an earlier one has changed since it began. So it begins when the earlier one has
      // ended, or cannot happen any more.
      const settled = this.#isUncertain ? this.#settleOnce(all) : Effect.void
      return Effect.andThen(settled, this.#take(Effect.suspend(() => statements(all))))
    }, bytes)
  }

  get #settle(): Effect.Effect<void, StorageFailed> {
    return this.#options.attempts.run((all) => this.#settleOnce(all))
  }

  #settleOnce(all: Statements): Attempted<void> {
    return this.#take(Effect.suspend(() => all.settle(this.#next())))
  }

  /** Runs statements as the newest turn. A turn that was given up for a newer one says nothing about the owner. */
  #take(isOwned: Effect.Effect<boolean, SqlError>): Attempted<void> {
    return Effect.suspend(() => {
      const turn = ++this.#turn
      this.#isUncertain = true
      return Effect.flatMap(isOwned, (owned) => {
        if (turn !== this.#turn) return Effect.interrupt
        if (!owned) return Effect.fail(this.#fence())
        this.#isUncertain = false
        return Effect.void
      })
    })
  }

  #renewOnce(all: Statements): Attempted<void> {
    return Effect.flatMap(
      all.renew(this.#attempt(this.#number)),
      (owned) => owned ? Effect.void : Effect.fail(this.#fence())
    )
  }

  /** Refuses every later operation, and makes the error of this one. */
  #fence(): StorageFailed {
    this.#isFenced = true
    return fenced()
  }

  #next(): Attempt {
    return this.#attempt(++this.#number)
  }

  #attempt(number: number): Attempt {
    const { epoch, id, lease } = this.#options
    return { id, epoch, number, lease }
  }

  readonly #check: Effect.Effect<void, StorageFailed> = Effect.suspend(() =>
    this.#isFenced
      ? Effect.fail(fenced())
      : this.#isClosed
      ? Effect.fail(new StorageFailed({ kind: "closed", detail: "the store of this session is closed" }))
      : Effect.void
  )

  #exclusively<A>(method: string, effect: Effect.Effect<A, StorageFailed>): Effect.Effect<A, MqttError> {
    const { session } = this.#options
    return Effect.andThen(this.#check, this.#lock.withPermits(1)(Effect.andThen(this.#check, effect))).pipe(
      Effect.mapError((reason) => new MqttError({ session, method: `SessionStore.${method}`, reason }))
    )
  }
}

const fenced = (): StorageFailed =>
  new StorageFailed({ kind: "fenced", detail: "another owner has taken the session over" })

/** Outbound records in the order of their sequence. */
const inOrder = (records: ReadonlyArray<StoreRecord>): ReadonlyArray<StoreRecord> => {
  const outbound = new Array<StoreRecord & { readonly _tag: "Outbound" }>()
  const others = new Array<StoreRecord>()
  for (const record of records) {
    if (record._tag === "Outbound") outbound.push(record)
    else others.push(record)
  }
  outbound.sort((a, b) => a.sequence - b.sequence)
  return [...others, ...outbound]
}
