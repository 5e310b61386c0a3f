/**
 * The statements of the outbox for SQLite. It has no notifications, so relays of other programs look for rows.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import { largestBatch, type OutboxRow, type OutboxStatements, type Statement } from "../outbox/statements.ts"
import { outside } from "../transactions.ts"
import { chunksOf, ensureTables, hasTable, marks, now, rowsAtOnce } from "./tables.ts"

export class SqliteOutboxStatements implements OutboxStatements {
  readonly #sessions: string
  readonly #outbox: string
  readonly #sql: SqlClient.SqlClient

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sessions = `${prefix}_sessions`
    this.#outbox = `${prefix}_outbox`
    this.#sql = sql.withoutTransforms()
  }

  get channel(): string {
    return this.#outbox
  }

  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#outbox], [
      // AUTOINCREMENT: the number of a deleted row is never that of another one.
      `CREATE TABLE IF NOT EXISTS ${this.#outbox} (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session BLOB NOT NULL,
        message BLOB NOT NULL,
        accepted_in INTEGER,
        refusal TEXT,
        enqueued_at INTEGER NOT NULL
      )`,
      `CREATE INDEX IF NOT EXISTS ${this.#outbox}_order ON ${this.#outbox} (session, id)`
    ])
  }

  insert(session: Uint8Array, message: Uint8Array): Statement<void> {
    return Effect.asVoid(
      this.#sql.unsafe(`INSERT INTO ${this.#outbox} (session, message, enqueued_at) VALUES (?, ?, ${now})`, [
        session,
        message
      ])
    )
  }

  isKept(session: Uint8Array): Statement<boolean> {
    return Effect.flatMap(hasTable(this.#sql, this.#sessions), (isThere) =>
      isThere
        ? Effect.map(
          this.#sql.unsafe(`SELECT id FROM ${this.#sessions} WHERE hash = ? AND owner IS NOT NULL`, [session]),
          (rows) => rows.length > 0
        )
        : Effect.succeed(false))
  }

  next(session: Uint8Array, count: number): Statement<ReadonlyArray<OutboxRow>> {
    return this.#sql.unsafe<OutboxRow>(
      "SELECT CAST(id AS TEXT) AS id, message FROM (SELECT id, message, row_number() OVER (ORDER BY id) AS number, " +
        "sum(length(message)) OVER (ORDER BY id) AS bytes FROM (" +
        `SELECT id, message FROM ${this.#outbox} WHERE session = ? AND accepted_in IS NULL AND refusal IS NULL ` +
        "ORDER BY id LIMIT ?) AS oldest) AS summed " +
        `WHERE number = 1 OR bytes <= ${largestBatch} ORDER BY summed.id`,
      [session, count]
    )
  }

  present(session: Uint8Array, first: string, last: string): Statement<ReadonlyArray<string>> {
    return Effect.map(
      this.#sql.unsafe<{ id: string }>(
        `SELECT CAST(id AS TEXT) AS id FROM ${this.#outbox} ` +
          "WHERE session = ? AND refusal IS NULL AND id BETWEEN CAST(? AS INTEGER) AND CAST(? AS INTEGER)",
        [session, first, last]
      ),
      (rows) => rows.map(({ id }) => id)
    )
  }

  removeOfEarlierOwners(session: Uint8Array): Statement<void> {
    return Effect.asVoid(
      this.#sql.unsafe(
        `DELETE FROM ${this.#outbox} WHERE session = ? AND accepted_in < ` +
          `(SELECT epoch FROM ${this.#sessions} WHERE hash = ?)`,
        [session, session]
      )
    )
  }

  remove(session: Uint8Array, ids: ReadonlyArray<string>): Statement<boolean> {
    const removals = Effect.forEach(chunksOf(ids, rowsAtOnce), (some) =>
      this.#sql.unsafe<{ accepted: number }>(
        `DELETE FROM ${this.#outbox} WHERE session = ? AND id IN (${marks(some.length, "CAST(? AS INTEGER)")}) ` +
          "RETURNING accepted_in IS NOT NULL AS accepted",
        [session, ...some]
      ))
    return Effect.map(
      ids.length > rowsAtOnce ? this.#sql.withTransaction(removals) : removals,
      (parts) => parts.every((rows) => rows.every(({ accepted }) => accepted === 1))
    )
  }

  refuse(session: Uint8Array, id: string, reason: string): Statement<void> {
    return Effect.asVoid(
      this.#sql.unsafe(`UPDATE ${this.#outbox} SET refusal = ? WHERE session = ? AND id = CAST(? AS INTEGER)`, [
        reason,
        session,
        id
      ])
    )
  }

  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }
}
