/**
 * The statements of the store for SQLite. A part of a commit is a transaction: SQLite has no statement that changes
 * several tables.
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
import { chunksOf, ensureTables, marks, now, rowsAtOnce } from "./tables.ts"

const until = `${now} + CAST(? AS INTEGER)`

export class SqliteStatements implements Statements {
  readonly #sql: SqlClient.SqlClient
  readonly #sessions: string
  readonly #records: string
  readonly #outbox: string

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.#sql = sql.withoutTransforms()
    this.#sessions = `${prefix}_sessions`
    this.#records = `${prefix}_records`
    this.#outbox = `${prefix}_outbox`
  }

  get makeTables(): Statement<void> {
    return ensureTables(this.#sql, [this.#sessions, this.#records], [
      `CREATE TABLE IF NOT EXISTS ${this.#sessions} (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        owner TEXT,
        lease_until INTEGER NOT NULL
      )`,
      `CREATE TABLE IF NOT EXISTS ${this.#records} (
        session INTEGER NOT NULL,
        hash BLOB NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (session, hash)
      )`
    ])
  }

  get durability(): Statement<Durability> {
    return Effect.gen({ self: this }, function*() {
      const [main] = yield* this.#rows<{ file: string | null }>("SELECT file FROM pragma_database_list WHERE seq = 0")
      const [journal] = yield* this.#rows<{ journal_mode: string }>("PRAGMA journal_mode")
      const [sync] = yield* this.#rows<{ synchronous: number }>("PRAGMA synchronous")
      const mode = journal?.journal_mode
      // Without a file there is nothing after the process; without a journal, one that is killed leaves parts.
      if ((main?.file ?? "") === "" || mode === undefined || mode === "off" || mode === "memory") return "session"
      const level = sync?.synchronous ?? 0
      // A rollback journal that a power cut brings back undoes the commit, unless its directory is synced: EXTRA, 3.
      return level >= 3 || (level === 2 && mode === "wal") ? "power" : "process"
    })
  }

  acquire(hash: Uint8Array, name: string, token: string, lease: number): Statement<Acquisition> {
    const table = this.#sessions
    return this.#rows<{ id: string; epoch: string }>(
      `INSERT INTO ${table} AS s (hash, name, epoch, attempt, owner, lease_until) VALUES (?, ?, 1, 0, ?, ${until}) ` +
        // The repetition of a statement whose reply was lost must not fence its own owner.
        "ON CONFLICT (hash) DO UPDATE SET " +
        "epoch = CASE WHEN s.owner = excluded.owner THEN s.epoch ELSE s.epoch + 1 END, " +
        "attempt = CASE WHEN s.owner = excluded.owner THEN s.attempt ELSE 0 END, " +
        "owner = excluded.owner, lease_until = excluded.lease_until " +
        `WHERE s.owner IS NULL OR s.owner = excluded.owner OR s.lease_until <= ${now} ` +
        "RETURNING CAST(id AS TEXT) AS id, CAST(epoch AS TEXT) AS epoch",
      [hash, name, token, lease]
    ).pipe(
      Effect.flatMap(([owner]): Statement<Acquisition> =>
        owner !== undefined
          ? Effect.succeed({ _tag: "Owner", id: owner.id, epoch: owner.epoch })
          : Effect.map(
            this.#rows<{ remaining: number }>(`SELECT lease_until - ${now} AS remaining FROM ${table} WHERE hash = ?`, [
              hash
            ]),
            ([row]) => ({ _tag: "Held", remaining: Math.max(0, row?.remaining ?? 0) })
          )
      )
    )
  }

  release(hash: Uint8Array, token: string): Statement<void> {
    return Effect.asVoid(
      this.#rows(`UPDATE ${this.#sessions} SET owner = NULL WHERE hash = ? AND owner = ?`, [hash, token])
    )
  }

  renew({ epoch, id, lease }: Attempt): Statement<boolean> {
    return Effect.map(
      this.#rows(
        `UPDATE ${this.#sessions} SET lease_until = ${until} ` +
          "WHERE id = CAST(? AS INTEGER) AND epoch = CAST(? AS INTEGER) RETURNING id",
        [lease, id, epoch]
      ),
      (rows) => rows.length > 0
    )
  }

  renewAll(attempts: ReadonlyArray<Attempt>): Statement<ReadonlySet<string>> {
    return Effect.map(
      this.#rows<{ id: number | bigint | string }>(
        `UPDATE ${this.#sessions} SET lease_until = ${until} WHERE (id, epoch) IN ` +
          "(SELECT CAST(value ->> 0 AS INTEGER), CAST(value ->> 1 AS INTEGER) FROM json_each(?)) RETURNING id",
        [attempts[0]?.lease ?? 0, JSON.stringify(attempts.map(({ epoch, id }) => [id, epoch]))]
      ),
      (rows) => new Set(rows.map(({ id }) => String(id)))
    )
  }

  settle(attempt: Attempt): Statement<boolean> {
    return Effect.map(this.#fence(attempt), (hash) => hash !== undefined)
  }

  commit(attempt: Attempt, part: Part): Statement<boolean> {
    return this.#fenced(attempt, (hash) => this.#apply(attempt, part, hash))
  }

  clear(attempt: Attempt): Statement<boolean> {
    return this.#fenced(
      attempt,
      () => this.#rows(`DELETE FROM ${this.#records} WHERE session = CAST(? AS INTEGER)`, [attempt.id])
    )
  }

  readPage(id: string, after: Uint8Array): Statement<ReadonlyArray<RecordRow>> {
    return this.#rows<RecordRow>(
      "SELECT hash, key, length(value) AS size, " +
        `CASE WHEN length(value) <= ${largestInPage} THEN value END AS value FROM ${this.#records} ` +
        `WHERE session = CAST(? AS INTEGER) AND hash > ? ORDER BY hash LIMIT ${pageCount}`,
      [id, after]
    )
  }

  readSlice(id: string, hash: Uint8Array, offset: number, length: number): Statement<Uint8Array> {
    return Effect.map(
      this.#rows<{ slice: Uint8Array }>(
        `SELECT substr(value, ?, ?) AS slice FROM ${this.#records} WHERE session = CAST(? AS INTEGER) AND hash = ?`,
        [offset + 1, length, id, hash]
      ),
      ([row]) => row?.slice ?? new Uint8Array()
    )
  }

  together<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> {
    return this.#sql.withTransaction(effect)
  }

  outside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return outside(this.#sql, effect)
  }

  #apply(
    { epoch, id }: Attempt,
    { accepted, deletes, hashes, keys, returned, values }: Part,
    session: Uint8Array
  ): Statement<void> {
    return Effect.gen({ self: this }, function*() {
      for (const some of chunksOf(deletes, rowsAtOnce)) {
        yield* this.#rows(
          `DELETE FROM ${this.#records} WHERE session = CAST(? AS INTEGER) AND hash IN (${marks(some.length)})`,
          [id, ...some]
        )
      }
      const rows = keys.map((key, i) => [id, hashes[i], key, values[i]])
      for (const some of chunksOf(rows, rowsAtOnce)) {
        yield* this.#rows(
          `INSERT INTO ${this.#records} (session, hash, key, value) VALUES ` +
            `${marks(some.length, "(CAST(? AS INTEGER), ?, ?, ?)")} ` +
            "ON CONFLICT (session, hash) DO UPDATE SET key = excluded.key, value = excluded.value",
          some.flat()
        )
      }
      for (const [ids, mark] of [[accepted, epoch], [returned, null]] as const) {
        for (const some of chunksOf(ids, rowsAtOnce)) {
          yield* this.#rows(
            `UPDATE ${this.#outbox} SET accepted_in = CAST(? AS INTEGER) WHERE session = ? ` +
              `AND id IN (${marks(some.length, "CAST(? AS INTEGER)")})`,
            [mark, session, ...some]
          )
        }
      }
    })
  }

  /** Changes records of the owner that an attempt names, in one transaction. False: it is fenced. */
  #fenced(attempt: Attempt, change: (session: Uint8Array) => Statement<unknown>): Statement<boolean> {
    return this.together(
      Effect.flatMap(
        this.#fence(attempt),
        (hash) => hash === undefined ? Effect.succeed(false) : Effect.as(change(hash), true)
      )
    )
  }

  /** The hash of the session, where the attempt is the newest of its owner. */
  #fence({ epoch, id, lease, number }: Attempt): Statement<Uint8Array | undefined> {
    return Effect.map(
      this.#rows<{ hash: Uint8Array }>(
        `UPDATE ${this.#sessions} SET attempt = ?, lease_until = ${until} ` +
          "WHERE id = CAST(? AS INTEGER) AND epoch = CAST(? AS INTEGER) AND attempt < ? RETURNING hash",
        [number, lease, id, epoch, number]
      ),
      ([row]) => row?.hash
    )
  }

  #rows<A extends object>(text: string, params: ReadonlyArray<unknown> = []): Statement<ReadonlyArray<A>> {
    return this.#sql.unsafe<A>(text, params)
  }
}
