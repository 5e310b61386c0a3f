/**
 * The statements of the inbox for SQLite. Transactions that write run one after the other, so none waits for a row.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { DeliveryEntry, KeyEntry } from "../inbox/entry.ts"
import {
  type Arrival,
  type InboxStatements,
  largestDeletion,
  type Owner,
  type Recorded,
  type Statement
} from "../inbox/statements.ts"
import { hashOf, textOf } from "../names.ts"
import { outside } from "../transactions.ts"
import { ensureTables, hasTable, now } from "./tables.ts"

export class SqliteInboxStatements implements InboxStatements {
  readonly #sessions: string
  readonly #keys: string
  readonly #deliveries: string
  readonly #sql: SqlClient.SqlClient

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sessions = `${prefix}_sessions`
    this.#keys = `${prefix}_inbox_keys`
    this.#deliveries = `${prefix}_inbox_deliveries`
    this.#sql = sql.withoutTransforms()
  }

  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#deliveries, this.#keys], [
      `CREATE TABLE IF NOT EXISTS ${this.#deliveries} (
        owner BLOB NOT NULL,
        packet_identifier INTEGER NOT NULL,
        value BLOB NOT NULL,
        program TEXT NOT NULL,
        arrival INTEGER NOT NULL,
        processed_at INTEGER NOT NULL,
        PRIMARY KEY (owner, packet_identifier)
      )`,
      `CREATE TABLE IF NOT EXISTS ${this.#keys} (
        owner BLOB NOT NULL,
        hash BLOB NOT NULL,
        processed_at INTEGER NOT NULL,
        PRIMARY KEY (owner, hash)
      )`,
      `CREATE INDEX IF NOT EXISTS ${this.#keys}_age ON ${this.#keys} (owner, processed_at)`
    ])
  }

  recordDelivery(entry: DeliveryEntry, { arrival, program }: Arrival, owner: Owner | undefined): Statement<Recorded> {
    const taken = this.#isNotEmpty(
      `INSERT INTO ${this.#deliveries} AS d (owner, packet_identifier, value, program, arrival, processed_at) ` +
        `VALUES (?, ?, ?, ?, ?, ${now}) ON CONFLICT (owner, packet_identifier) DO UPDATE SET value = excluded.value, ` +
        "program = excluded.program, arrival = excluded.arrival, processed_at = excluded.processed_at " +
        "WHERE d.value <> excluded.value RETURNING packet_identifier",
      [entry.owner, entry.packetIdentifier, entry.value, program, arrival]
    )
    const isOwned = owner === undefined ? Effect.succeed(true) : this.#isNotEmpty(
      `SELECT id FROM ${this.#sessions} WHERE id = CAST(? AS INTEGER) AND epoch = CAST(? AS INTEGER)`,
      [owner.id, owner.epoch]
    )
    return Effect.flatMap(isOwned, (owned): Statement<Recorded> =>
      owned
        ? Effect.map(taken, (isNew) => ({ isOwned: true, isNew }))
        : Effect.succeed({ isOwned: false, isNew: false }))
  }

  forgetDelivery(entry: DeliveryEntry, { arrival, program }: Arrival): Statement<boolean> {
    return this.#isNotEmpty(
      `DELETE FROM ${this.#deliveries} WHERE owner = ? AND packet_identifier = ? AND value = ? ` +
        "AND (program <> ? OR arrival < ?) RETURNING packet_identifier",
      [entry.owner, entry.packetIdentifier, entry.value, program, arrival]
    )
  }

  ownerOf(session: string): Statement<Owner | undefined> {
    return Effect.flatMap(hasTable(this.#sql, this.#sessions), (isThere): Statement<Owner | undefined> =>
      isThere
        ? Effect.map(
          this.#sql.unsafe<Owner>(
            `SELECT CAST(id AS TEXT) AS id, CAST(epoch AS TEXT) AS epoch FROM ${this.#sessions} ` +
              `WHERE hash = ? AND owner IS NOT NULL AND lease_until > ${now}`,
            [hashOf(textOf(session))]
          ),
          ([owner]) => owner
        )
        : Effect.undefined)
  }

  recordKey({ hash, owner }: KeyEntry): Statement<boolean> {
    return this.#isNotEmpty(
      `INSERT INTO ${this.#keys} (owner, hash, processed_at) VALUES (?, ?, ${now}) ` +
        "ON CONFLICT (owner, hash) DO NOTHING RETURNING processed_at",
      [owner, hash]
    )
  }

  pruneKeys(owner: Uint8Array, age: number, count: number): Statement<number> {
    return Effect.map(
      this.#sql.unsafe(
        `DELETE FROM ${this.#keys} WHERE rowid IN (SELECT rowid FROM ${this.#keys} WHERE owner = ? ` +
          // Many keys may have the same millisecond: the row decides between them.
          `AND (processed_at <= ${now} - CAST(? AS INTEGER) OR (processed_at, rowid) <= (` +
          `SELECT processed_at, rowid FROM ${this.#keys} WHERE owner = ? ` +
          "ORDER BY processed_at DESC, rowid DESC LIMIT 1 OFFSET ?)) " +
          `ORDER BY processed_at, rowid LIMIT ${largestDeletion}) RETURNING processed_at`,
        [owner, age, owner, count]
      ),
      (rows) => rows.length
    )
  }

  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }

  #isNotEmpty(text: string, params: ReadonlyArray<unknown>): Statement<boolean> {
    return Effect.map(this.#sql.unsafe(text, params), (rows) => rows.length > 0)
  }
}
