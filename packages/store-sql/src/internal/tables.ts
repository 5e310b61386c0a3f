/**
 * What the store, the inbox and the outbox have in common: the check of the client, and the making of tables. It knows
 * no table itself.
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

// Any number that other programs are unlikely to lock.
const lockOfTables = "7165938401126734"

/** Fails with `InvalidOptions` when the client is not one of PostgreSQL. */
export const requirePostgres = (sql: SqlClient.SqlClient, method: string): Effect.Effect<void, MqttError> => {
  if (sql.onDialectOrElse({ pg: () => true, orElse: () => false })) return Effect.void
  const message = "the dialect of the SqlClient is not supported: the store needs PostgreSQL"
  return Effect.fail(
    new MqttError({ reason: new InvalidOptions({ issues: [{ path: "SqlClient", message }] }), method })
  )
}

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
