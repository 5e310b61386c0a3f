/**
 * What the store asks of its database, whichever it is. Each dialect has statements for it, which neither retry nor
 * limit themselves.
 *
 * Every change of a session's records names its owner's epoch and the number of the attempt: the row of the session is
 * updated where it still has that epoch and a smaller number, and without that row nothing else happens. So a change of
 * a former owner changes nothing, and neither does one that arrives after a later one of the same owner.
 */
import type { Durability } from "@effect-mqttx/core/SessionStore"
import type { Held } from "@effect-mqttx/core/StoreLease"
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Part } from "./changes.ts"

/** An owner, and the number of one of its attempts to change or to read the records. */
export interface Attempt {
  /** The number of the row of the session. */
  readonly id: string
  readonly epoch: string
  readonly number: number
  /** Milliseconds of the lease, which every attempt begins again. */
  readonly lease: number
}

export type Acquisition =
  | { readonly _tag: "Owner"; readonly id: string; readonly epoch: string }
  | Held

export interface RecordRow {
  readonly hash: Uint8Array
  readonly key: string
  readonly size: number
  /** Null: it is too large for a page, see `readSlice`. */
  readonly value: Uint8Array | null
}

export type Statement<A> = Effect.Effect<A, SqlError>

export interface Statements {
  /** Makes the tables where they are missing. */
  readonly makeTables: Statement<void>
  /** What the settings of the database guarantee for a commit. */
  readonly durability: Statement<Durability>
  /** Makes `token` the owner, in a new epoch, unless another one holds its lease. */
  readonly acquire: (hash: Uint8Array, name: string, token: string, lease: number) => Statement<Acquisition>
  /** Ends the lease of `token`, if it has one. */
  readonly release: (hash: Uint8Array, token: string) => Statement<void>
  /** Whether the epoch is still the newest; begins the lease again. */
  readonly renew: (attempt: Attempt) => Statement<boolean>
  /**
   * `renew` of several sessions, which have the same lease. Returns the `id` of those whose epoch is the newest. It
   * waits for no transaction: a row that another one has is left out.
   */
  readonly renewAll: (attempts: ReadonlyArray<Attempt>) => Statement<ReadonlySet<string>>
  /** Takes the number of the attempt, so that no earlier one is applied any more. False: the owner is fenced. */
  readonly settle: (attempt: Attempt) => Statement<boolean>
  /** Applies a part of a commit. False: the owner is fenced, and nothing has changed. */
  readonly commit: (attempt: Attempt, part: Part) => Statement<boolean>
  /** Deletes all records of the session. False: the owner is fenced. */
  readonly clear: (attempt: Attempt) => Statement<boolean>
  /** The next records of a session in the order of their hashes. */
  readonly readPage: (id: string, after: Uint8Array) => Statement<ReadonlyArray<RecordRow>>
  /** Bytes of a large value. Drivers limit the size of a row. */
  readonly readSlice: (id: string, hash: Uint8Array, offset: number, length: number) => Statement<Uint8Array>
  /** Runs statements in one transaction. */
  readonly together: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>
  /**
   * Takes an effect out of the transaction that its caller may have begun: what the store has accepted must not go with
   * a rollback of others.
   */
  readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Values up to this size are in the pages. 1000 of them are at most 64 MB. */
export const largestInPage = 65_536
export const pageCount = 1000
