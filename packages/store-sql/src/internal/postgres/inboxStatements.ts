/**
 * The statements of the inbox for PostgreSQL.
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
import { ensureTables } from "./tables.ts"

export class PostgresInboxStatements implements InboxStatements {
  readonly #sql: SqlClient.SqlClient
  readonly #deliveries: string
  readonly #keys: string
  readonly #sessions: string

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sql = sql.withoutTransforms()
    this.#deliveries = `${prefix}_inbox_deliveries`
    this.#keys = `${prefix}_inbox_keys`
    this.#sessions = `${prefix}_sessions`
  }

  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#deliveries, this.#keys], [
      `CREATE TABLE IF NOT EXISTS ${this.#deliveries} (
        owner bytea NOT NULL,
        packet_identifier integer NOT NULL,
        value bytea NOT NULL,
        program text NOT NULL,
        arrival bigint NOT NULL,
        processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (owner, packet_identifier)
      )`,
      `CREATE TABLE IF NOT EXISTS ${this.#keys} (
        owner bytea NOT NULL,
        hash bytea NOT NULL,
        processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (owner, hash)
      )`,
      `CREATE INDEX IF NOT EXISTS ${this.#keys}_age ON ${this.#keys} (owner, processed_at)`
    ])
  }

  /**
   * Takes the row of a delivery. `isNew` is false when the row has this value already. It waits for the end of another
   * transaction that has the row. Nothing is taken for a former owner of the session.
   */
  recordDelivery(entry: DeliveryEntry, { arrival, program }: Arrival, owner: Owner | undefined): Statement<Recorded> {
    const params: Array<unknown> = [entry.owner, entry.packetIdentifier, entry.value, program, arrival.toString()]
    const fence = owner === undefined
      ? "SELECT 1 AS held"
      : `SELECT 1 AS held FROM ${this.#sessions} WHERE id = $6::bigint AND epoch = $7::bigint`
    if (owner !== undefined) params.push(owner.id, owner.epoch)
    return Effect.map(
      this.#sql.unsafe<{ owned: boolean; fresh: boolean }>(
        `WITH fence AS (${fence}), taken AS (` +
          `INSERT INTO ${this.#deliveries} AS d (owner, packet_identifier, value, program, arrival) ` +
          "SELECT $1::bytea, $2::integer, $3::bytea, $4::text, $5::bigint FROM fence " +
          "ON CONFLICT (owner, packet_identifier) DO UPDATE SET value = excluded.value, program = excluded.program, " +
          "arrival = excluded.arrival, processed_at = clock_timestamp() WHERE d.value <> excluded.value RETURNING 1) " +
          "SELECT EXISTS (SELECT 1 FROM fence) AS owned, EXISTS (SELECT 1 FROM taken) AS fresh",
        params
      ),
      ([row]) => ({ isOwned: row?.owned === true, isNew: row?.fresh === true })
    )
  }

  /** Deletes the row of the same value, if it is of an earlier arrival. True: there was one. */
  forgetDelivery(entry: DeliveryEntry, { arrival, program }: Arrival): Statement<boolean> {
    return this.#isNotEmpty(
      `DELETE FROM ${this.#deliveries} WHERE owner = $1::bytea AND packet_identifier = $2::integer ` +
        "AND value = $3::bytea AND (program <> $4::text OR arrival < $5::bigint) RETURNING packet_identifier",
      [entry.owner, entry.packetIdentifier, entry.value, program, arrival.toString()]
    )
  }

  /** The owner of a session that this database keeps; undefined: it keeps none that somebody owns. */
  ownerOf(session: string): Statement<Owner | undefined> {
    return Effect.flatMap(
      this.#sql.unsafe<{ present: boolean }>("SELECT to_regclass($1) IS NOT NULL AS present", [this.#sessions]),
      ([row]): Statement<Owner | undefined> =>
        row?.present !== true ? Effect.undefined : Effect.map(
          this.#sql.unsafe<Owner>(
            `SELECT id::text AS id, epoch::text AS epoch FROM ${this.#sessions} ` +
              "WHERE hash = $1::bytea AND owner IS NOT NULL AND lease_until > clock_timestamp()",
            [hashOf(textOf(session))]
          ),
          ([owner]) => owner
        )
    )
  }

  /** False: the key is there already. Waits for the end of another transaction that has it. */
  recordKey({ hash, owner }: KeyEntry): Statement<boolean> {
    return this.#isNotEmpty(
      `INSERT INTO ${this.#keys} (owner, hash) VALUES ($1::bytea, $2::bytea) ` +
        "ON CONFLICT (owner, hash) DO NOTHING RETURNING processed_at",
      [owner, hash]
    )
  }

  /**
   * Deletes the keys of a consumer that are older than `age` milliseconds, and the oldest beyond `count`. Answers how
   * many it has deleted.
   */
  pruneKeys(owner: Uint8Array, age: number, count: number): Statement<number> {
    return Effect.map(
      this.#sql.unsafe(
        `DELETE FROM ${this.#keys} WHERE ctid = ANY(ARRAY(` +
          `SELECT ctid FROM ${this.#keys} WHERE owner = $1::bytea AND processed_at <= greatest(` +
          "clock_timestamp() - $2::float8 * interval '1 millisecond', " +
          `(SELECT processed_at FROM ${this.#keys} WHERE owner = $1::bytea ` +
          "ORDER BY processed_at DESC OFFSET $3::bigint LIMIT 1)) " +
          `ORDER BY processed_at LIMIT ${largestDeletion})) RETURNING processed_at`,
        [owner, age.toString(), count.toString()]
      ),
      (rows) => rows.length
    )
  }

  /** Takes an effect out of the transaction of its caller. */
  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }

  #isNotEmpty(text: string, params: ReadonlyArray<unknown>): Statement<boolean> {
    return Effect.map(this.#sql.unsafe(text, params), (rows) => rows.length > 0)
  }
}
