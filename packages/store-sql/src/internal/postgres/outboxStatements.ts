/**
 * The statements of the outbox for PostgreSQL.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import { largestBatch, type OutboxRow, type OutboxStatements, type Statement } from "../outbox/statements.ts"
import { outside } from "../transactions.ts"
import { ensureTables } from "./tables.ts"

export class PostgresOutboxStatements implements OutboxStatements {
  readonly channel: string
  readonly #sql: SqlClient.SqlClient
  readonly #outbox: string
  readonly #sessions: string

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sql = sql.withoutTransforms()
    this.#outbox = `${prefix}_outbox`
    this.#sessions = `${prefix}_sessions`
    this.channel = this.#outbox
  }

  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#outbox], [
      `CREATE TABLE IF NOT EXISTS ${this.#outbox} (
        session bytea NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY,
        message bytea NOT NULL,
        accepted_in bigint,
        refusal text,
        enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (session, id)
      )`
    ])
  }

  /** Adds a message in the transaction of the caller, and notifies the relays when that commits. */
  insert(session: Uint8Array, message: Uint8Array): Statement<void> {
    return Effect.asVoid(this.#sql.unsafe(
      `WITH added AS (INSERT INTO ${this.#outbox} (session, message) VALUES ($1::bytea, $2::bytea) RETURNING session) ` +
        "SELECT pg_notify($3::text, encode(session, 'hex')) FROM added",
      [session, message, this.channel]
    ))
  }

  /** Whether this database keeps the session, and somebody owns it. */
  isKept(session: Uint8Array): Statement<boolean> {
    return Effect.flatMap(
      this.#sql.unsafe<{ present: boolean }>("SELECT to_regclass($1) IS NOT NULL AS present", [this.#sessions]),
      ([row]) =>
        row?.present !== true ? Effect.succeed(false) : Effect.map(
          this.#sql.unsafe(`SELECT id FROM ${this.#sessions} WHERE hash = $1::bytea AND owner IS NOT NULL`, [session]),
          (rows) => rows.length > 0
        )
    )
  }

  /** The oldest messages that the session does not have. */
  next(session: Uint8Array, count: number): Statement<ReadonlyArray<OutboxRow>> {
    return this.#sql.unsafe<OutboxRow>(
      "SELECT id::text AS id, message FROM (SELECT id, message, row_number() OVER (ORDER BY id) AS number, " +
        "sum(octet_length(message)) OVER (ORDER BY id) AS bytes FROM (" +
        `SELECT id, message FROM ${this.#outbox} WHERE session = $1::bytea AND accepted_in IS NULL AND refusal IS NULL ` +
        "ORDER BY id LIMIT $2::int) AS oldest) AS summed " +
        `WHERE number = 1 OR bytes <= ${largestBatch} ORDER BY summed.id`,
      [session, count.toString()]
    )
  }

  /** The rows from the first identifier to the last that are not refused, whether the session has them or not. */
  present(session: Uint8Array, first: string, last: string): Statement<ReadonlyArray<string>> {
    return Effect.map(
      this.#sql.unsafe<{ id: string }>(
        `SELECT id::text AS id FROM ${this.#outbox} ` +
          "WHERE session = $1::bytea AND refusal IS NULL AND id BETWEEN $2::bigint AND $3::bigint",
        [session, first, last]
      ),
      (rows) => rows.map(({ id }) => id)
    )
  }

  /**
   * Deletes the rows whose messages the session got from a former owner, who can take none of them back any more. What
   * the present owner has accepted may still return.
   */
  removeOfEarlierOwners(session: Uint8Array): Statement<void> {
    return Effect.asVoid(
      this.#sql.unsafe(
        `DELETE FROM ${this.#outbox} AS o USING ${this.#sessions} AS s ` +
          "WHERE o.session = $1::bytea AND s.hash = o.session AND o.accepted_in < s.epoch",
        [session]
      )
    )
  }

  /** Deletes rows. Answers whether each one that was there was accepted by a commit of the store. */
  remove(session: Uint8Array, ids: ReadonlyArray<string>): Statement<boolean> {
    return Effect.map(
      this.#sql.unsafe<{ accepted: boolean }>(
        `DELETE FROM ${this.#outbox} WHERE session = $1::bytea AND id = ANY($2::text[]::bigint[]) RETURNING accepted_in IS NOT NULL AS accepted`,
        [session, ids]
      ),
      (rows) => rows.every(({ accepted }) => accepted)
    )
  }

  /** Keeps a row that cannot be published, with the reason. */
  refuse(session: Uint8Array, id: string, reason: string): Statement<void> {
    return Effect.asVoid(
      this.#sql.unsafe(`UPDATE ${this.#outbox} SET refusal = $3::text WHERE session = $1::bytea AND id = $2::bigint`, [
        session,
        id,
        reason
      ])
    )
  }

  /** Takes an effect out of the transaction of its caller. */
  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }
}
