/**
 * What the inbox asks of its database, whichever it is. What records a message runs in the transaction of its caller.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { DeliveryEntry, KeyEntry } from "./entry.ts"

/** One delivery of a message to a program, however often it is tried. Later deliveries have larger numbers. */
export interface Arrival {
  readonly program: string
  readonly arrival: number
}

/** The row and the epoch of a session. */
export interface Owner {
  readonly id: string
  readonly epoch: string
}

export interface Recorded {
  readonly isOwned: boolean
  readonly isNew: boolean
}

export type Statement<A> = Effect.Effect<A, SqlError>

/** A statement deletes at most this number of keys, so that it takes no lock for long. */
export const largestDeletion = 10_000

export interface InboxStatements {
  readonly makeTables: Statement<void>
  /**
   * Takes the row of a delivery. `isNew` is false when the row has this value already. It waits for the end of another
   * transaction that has the row. Nothing is taken for a former owner of the session.
   */
  readonly recordDelivery: (entry: DeliveryEntry, arrival: Arrival, owner: Owner | undefined) => Statement<Recorded>
  /** Deletes the row of the same value, if it is of an earlier arrival. True: there was one. */
  readonly forgetDelivery: (entry: DeliveryEntry, arrival: Arrival) => Statement<boolean>
  /** The owner of a session that this database keeps; undefined: it keeps none that somebody owns. */
  readonly ownerOf: (session: string) => Statement<Owner | undefined>
  /** False: the key is there already. Waits for the end of another transaction that has it. */
  readonly recordKey: (entry: KeyEntry) => Statement<boolean>
  /**
   * Deletes the keys of a consumer that are older than `age` milliseconds, and the oldest beyond `count`. Answers how
   * many it has deleted.
   */
  readonly pruneKeys: (owner: Uint8Array, age: number, count: number) => Statement<number>
  /** Takes an effect out of the transaction of its caller. */
  readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}
