/**
 * What the outbox asks of its database, whichever it is, but for the move of a row into a session: that is part of the
 * session's commit.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"

export type Statement<A> = Effect.Effect<A, SqlError>

/** A batch has at most this many bytes, unless its first message has more. */
export const largestBatch = 8_388_608

export interface OutboxRow {
  readonly id: string
  readonly message: Uint8Array
}

export interface OutboxStatements {
  /** Where other programs are heard of, for drivers that can listen. */
  readonly channel: string
  readonly makeTables: Statement<void>
  /** Adds a message in the transaction of the caller, and notifies the relays when that commits. */
  readonly insert: (session: Uint8Array, message: Uint8Array) => Statement<void>
  /** Whether this database keeps the session, and somebody owns it. */
  readonly isKept: (session: Uint8Array) => Statement<boolean>
  /** The oldest messages that the session does not have. */
  readonly next: (session: Uint8Array, count: number) => Statement<ReadonlyArray<OutboxRow>>
  /** The rows from the first identifier to the last that are not refused, whether the session has them or not. */
  readonly present: (session: Uint8Array, first: string, last: string) => Statement<ReadonlyArray<string>>
  /**
   * Deletes the rows whose messages the session got from a former owner, who can take none of them back any more. What
   * the present owner has accepted may still return.
   */
  readonly removeOfEarlierOwners: (session: Uint8Array) => Statement<void>
  /** Deletes rows. Answers whether each one that was there was accepted by a commit of the store. */
  readonly remove: (session: Uint8Array, ids: ReadonlyArray<string>) => Statement<boolean>
  /** Keeps a row that cannot be published, with the reason. */
  readonly refuse: (session: Uint8Array, id: string, reason: string) => Statement<void>
  /** Takes an effect out of the transaction of its caller. */
  readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}
