/**
 * The statements of the store for PostgreSQL. A part of a commit is one statement, which is a transaction by itself.
 * Numbers of 64 bits travel as text, because drivers differ in what they make of them.
 */
import type { Durability } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Part } from "../changes.ts"
import {
  type Acquisition,
  type Attempt,
  largestInPage,
  pageCount,
  type RecordRow,
  type Statement,
  type Statements
} from "../statements.ts"
import { outside } from "../transactions.ts"
import { ensureTables } from "./tables.ts"

const until = (parameter: string): string => `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`

const fence = (sessions: string): string =>
  `UPDATE ${sessions} SET attempt = $3::bigint, lease_until = ${until("$4")} ` +
  `WHERE id = $1::bigint AND epoch = $2::bigint AND attempt < $3::bigint RETURNING id, hash`

const paramsOf = ({ epoch, id, lease, number }: Attempt) => [id, epoch, number.toString(), lease.toString()]

export class PostgresStatements implements Statements {
  readonly #sql: SqlClient.SqlClient
  readonly #sessions: string
  readonly #records: string
  readonly #outbox: string
  readonly #fence: string

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sql = sql.withoutTransforms()
    this.#sessions = `${prefix}_sessions`
    this.#records = `${prefix}_records`
    this.#outbox = `${prefix}_outbox`
    this.#fence = fence(this.#sessions)
  }

  /** Makes the tables where they are missing. A user without the right to make tables needs them to be there. */
  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#sessions, this.#records], [
      `CREATE TABLE IF NOT EXISTS ${this.#sessions} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        hash bytea NOT NULL UNIQUE,
        name text NOT NULL,
        epoch bigint NOT NULL,
        attempt bigint NOT NULL,
        owner text,
        lease_until timestamptz NOT NULL
      )`,
      `CREATE TABLE IF NOT EXISTS ${this.#records} (
        session bigint NOT NULL,
        hash bytea NOT NULL,
        key text NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (session, hash)
      )`
    ])
  }

  /** What the settings of the server guarantee for a commit. */
  get durability(): Statement<Durability> {
    return Effect.map(
      this.#rows<{ synchronous: string; fsync: string; pages: string; persistence: string }>(
        "SELECT current_setting('synchronous_commit') AS synchronous, current_setting('fsync') AS fsync, " +
          "current_setting('full_page_writes') AS pages, " +
          "(SELECT relpersistence::text FROM pg_class WHERE oid = to_regclass($1)) AS persistence",
        [this.#records]
      ),
      ([row]) => {
        // An unlogged table is emptied after a crash of the server; without `synchronous_commit` the newest commits go.
        if (row === undefined || row.persistence !== "p" || row.synchronous === "off") return "session"
        return row.fsync === "on" && row.pages === "on" ? "power" : "process"
      }
    )
  }

  /** Makes `token` the owner, in a new epoch, unless another one holds its lease. */
  acquire(hash: Uint8Array, name: string, token: string, lease: number): Statement<Acquisition> {
    const table = this.#sessions
    return this.#rows<{ id: string; epoch: string }>(
      `INSERT INTO ${table} AS s (hash, name, epoch, attempt, owner, lease_until) ` +
        `VALUES ($1::bytea, $2::text, 1, 0, $3::text, ${until("$4")}) ON CONFLICT (hash) DO UPDATE SET ` +
        // The repetition of a statement whose reply was lost must not fence its own owner.
        "epoch = CASE WHEN s.owner = excluded.owner THEN s.epoch ELSE s.epoch + 1 END, " +
        "attempt = CASE WHEN s.owner = excluded.owner THEN s.attempt ELSE 0 END, " +
        "owner = excluded.owner, lease_until = excluded.lease_until " +
        "WHERE s.owner IS NULL OR s.owner = excluded.owner OR s.lease_until <= clock_timestamp() " +
        "RETURNING s.id::text AS id, s.epoch::text AS epoch",
      [hash, name, token, lease.toString()]
    ).pipe(
      Effect.flatMap(([owner]): Statement<Acquisition> =>
        owner !== undefined
          ? Effect.succeed({ _tag: "Owner", ...owner })
          : Effect.map(
            this.#rows<{ remaining: string }>(
              "SELECT ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::text AS remaining " +
                `FROM ${table} WHERE hash = $1::bytea`,
              [hash]
            ),
            ([row]) => ({ _tag: "Held", remaining: Math.max(0, Number(row?.remaining ?? 0)) })
          )
      )
    )
  }

  /** Ends the lease of `token`, if it has one. */
  release(hash: Uint8Array, token: string): Statement<void> {
    return Effect.asVoid(
      this.#rows(`UPDATE ${this.#sessions} SET owner = NULL WHERE hash = $1::bytea AND owner = $2::text`, [hash, token])
    )
  }

  /** Whether the epoch is still the newest; begins the lease again. */
  renew({ epoch, id, lease }: Attempt): Statement<boolean> {
    return this.#isNotEmpty(
      `UPDATE ${this.#sessions} SET lease_until = ${until("$3")} ` +
        "WHERE id = $1::bigint AND epoch = $2::bigint RETURNING id::text AS id",
      [id, epoch, lease.toString()]
    )
  }

  renewAll(attempts: ReadonlyArray<Attempt>): Statement<ReadonlySet<string>> {
    return Effect.map(
      this.#rows<{ id: string }>(
        `WITH mine AS (SELECT s.id FROM ${this.#sessions} AS s ` +
          "JOIN unnest($1::bigint[], $2::bigint[]) AS o (id, epoch) ON s.id = o.id AND s.epoch = o.epoch " +
          `FOR UPDATE OF s SKIP LOCKED) UPDATE ${this.#sessions} AS s SET lease_until = ${until("$3")} ` +
          "FROM mine WHERE s.id = mine.id RETURNING s.id::text AS id",
        [attempts.map(({ id }) => id), attempts.map(({ epoch }) => epoch), String(attempts[0]?.lease ?? 0)]
      ),
      (rows) => new Set(rows.map(({ id }) => id))
    )
  }

  /** Takes the number of the attempt, so that no earlier one is applied any more. False: the owner is fenced. */
  settle(attempt: Attempt): Statement<boolean> {
    return this.#isNotEmpty(`WITH fence AS (${this.#fence}) SELECT id::text AS id FROM fence`, paramsOf(attempt))
  }

  /** Applies a part of a commit. False: the owner is fenced, and nothing has changed. */
  commit(attempt: Attempt, { accepted, deletes, hashes, keys, returned, values }: Part): Statement<boolean> {
    const params: Array<unknown> = paramsOf(attempt)
    const parameter = (value: unknown): string => `$${params.push(value)}`
    let text = `WITH fence AS (${this.#fence})`
    if (deletes.length > 0) {
      text += `, gone AS (DELETE FROM ${this.#records} AS r USING fence ` +
        `WHERE r.session = fence.id AND r.hash = ANY(${parameter(deletes)}::bytea[]))`
    }
    if (keys.length > 0) {
      const columns = `${parameter(hashes)}::bytea[], ${parameter(keys)}::text[], ${parameter(values)}::bytea[]`
      text += `, stored AS (INSERT INTO ${this.#records} (session, hash, key, value) ` +
        `SELECT fence.id, p.hash, p.key, p.value FROM fence, unnest(${columns}) AS p (hash, key, value) ` +
        "ON CONFLICT (session, hash) DO UPDATE SET key = excluded.key, value = excluded.value)"
    }
    if (accepted.length + returned.length > 0) {
      const [own, all] = [parameter(accepted), parameter([...accepted, ...returned])]
      text += `, marked AS (UPDATE ${this.#outbox} AS o SET accepted_in = ` +
        `CASE WHEN o.id = ANY(${own}::text[]::bigint[]) THEN $2::bigint END ` +
        `FROM fence WHERE o.session = fence.hash AND o.id = ANY(${all}::text[]::bigint[]))`
    }
    return this.#isNotEmpty(`${text} SELECT id::text AS id FROM fence`, params)
  }

  /** Deletes all records of the session. False: the owner is fenced. */
  clear(attempt: Attempt): Statement<boolean> {
    return this.#isNotEmpty(
      `WITH fence AS (${this.#fence}), ` +
        `gone AS (DELETE FROM ${this.#records} AS r USING fence WHERE r.session = fence.id) ` +
        "SELECT id::text AS id FROM fence",
      paramsOf(attempt)
    )
  }

  /** The next records of a session in the order of their hashes. */
  readPage(id: string, after: Uint8Array): Statement<ReadonlyArray<RecordRow>> {
    return this.#rows<RecordRow>(
      "SELECT hash, key, octet_length(value) AS size, " +
        `CASE WHEN octet_length(value) <= ${largestInPage} THEN value END AS value ` +
        `FROM ${this.#records} WHERE session = $1::bigint AND hash > $2::bytea ORDER BY hash LIMIT ${pageCount}`,
      [id, after]
    )
  }

  /** Bytes of a large value. Drivers limit the size of a row. */
  readSlice(id: string, hash: Uint8Array, offset: number, length: number): Statement<Uint8Array> {
    return Effect.map(
      this.#rows<{ slice: Uint8Array }>(
        "SELECT substring(value FROM $3::int FOR $4::int) AS slice " +
          `FROM ${this.#records} WHERE session = $1::bigint AND hash = $2::bytea`,
        [id, hash, offset + 1, length]
      ),
      ([row]) => row?.slice ?? new Uint8Array()
    )
  }

  /** Runs statements in one transaction. */
  together<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> {
    return this.#sql.withTransaction(effect)
  }

  /**
   * Takes an effect out of the transaction that its caller may have begun: what the store has accepted must not go with
   * a rollback of others.
   */
  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }

  #rows<A extends object>(text: string, params: ReadonlyArray<unknown>): Statement<ReadonlyArray<A>> {
    return this.#sql.unsafe<A>(text, params)
  }

  #isNotEmpty(text: string, params: ReadonlyArray<unknown>): Statement<boolean> {
    return Effect.map(this.#rows(text, params), (rows) => rows.length > 0)
  }
}
