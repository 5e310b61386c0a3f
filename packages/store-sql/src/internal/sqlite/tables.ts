/**
 * What the statements for SQLite have in common. It knows no table itself.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** Milliseconds since the epoch by the clock of the machine. All processes of a file of SQLite are on one machine. */
export const now = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

/** Whether a table is there. */
export const hasTable = (sql: SqlClient.SqlClient, table: string): Effect.Effect<boolean, SqlError> =>
  Effect.map(
    sql.unsafe("SELECT 1 AS present FROM sqlite_master WHERE type = 'table' AND name = ?", [table]),
    (rows) => rows.length > 0
  )

/** Makes the tables where one of them is missing. A transaction of SQLite keeps other processes from doing it too. */
export const ensureTables = (
  sql: SqlClient.SqlClient,
  tables: ReadonlyArray<string>,
  statements: ReadonlyArray<string>
): Effect.Effect<void, SqlError> =>
  Effect.flatMap(
    Effect.forEach(tables, (table) => hasTable(sql, table)),
    (present) =>
      present.every(Boolean) ? Effect.void : sql.withTransaction(
        Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
      )
  )

/** As many question marks, with commas. */
export const marks = (count: number, mark: string = "?"): string => Array.from({ length: count }, () => mark).join(", ")

/** Rows of a statement that names several. SQLite takes 32,766 parameters in a statement. */
export const rowsAtOnce = 500

/** Parts of an array of at most this length. */
export const chunksOf = <A>(items: ReadonlyArray<A>, length: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(items.length / length) }, (_, i) => items.slice(i * length, (i + 1) * length))
