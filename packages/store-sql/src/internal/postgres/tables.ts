/**
 * The making of tables in PostgreSQL. It knows no table itself.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

// Any number that other programs are unlikely to lock.
const lockOfTables = "7165938401126734"

/**
 * Makes the tables where one of them is missing. A user without the right to make tables needs them to be there.
 */
export const ensureTables = (
  sql: SqlClient.SqlClient,
  tables: ReadonlyArray<string>,
  statements: ReadonlyArray<string>
): Effect.Effect<void, SqlError> => {
  const present = tables.map((_, i) => `to_regclass($${i + 1}) IS NOT NULL`).join(" AND ")
  return Effect.flatMap(
    sql.unsafe<{ present: boolean }>(`SELECT ${present} AS present`, tables),
    ([row]) =>
      row?.present === true ? Effect.void : sql.withTransaction(
        Effect.forEach(
          // Two processes that make the same table at once would disturb each other.
          [`SELECT pg_advisory_xact_lock(${lockOfTables})`, ...statements],
          (statement) => sql.unsafe(statement),
          { discard: true }
        )
      )
  )
}
