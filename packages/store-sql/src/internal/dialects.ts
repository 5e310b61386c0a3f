/**
 * Chooses the statements for the database of a client: PostgreSQL or SQLite. It sends none itself.
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { InboxStatements } from "./inbox/statements.ts"
import type { OutboxStatements } from "./outbox/statements.ts"
import { PostgresInboxStatements } from "./postgres/inboxStatements.ts"
import { PostgresOutboxStatements } from "./postgres/outboxStatements.ts"
import { PostgresStatements } from "./postgres/storeStatements.ts"
import { SqliteInboxStatements } from "./sqlite/inboxStatements.ts"
import { SqliteOutboxStatements } from "./sqlite/outboxStatements.ts"
import { SqliteStatements } from "./sqlite/storeStatements.ts"
import type { Statements } from "./statements.ts"

/** The statements of a database, made for a client and a prefix of tables. */
export interface Dialect {
  readonly store: new(sql: SqlClient.SqlClient, prefix: string) => Statements
  readonly inbox: new(sql: SqlClient.SqlClient, prefix: string) => InboxStatements
  readonly outbox: new(sql: SqlClient.SqlClient, prefix: string) => OutboxStatements
}

const postgres: Dialect = {
  store: PostgresStatements,
  inbox: PostgresInboxStatements,
  outbox: PostgresOutboxStatements
}

const sqlite: Dialect = { store: SqliteStatements, inbox: SqliteInboxStatements, outbox: SqliteOutboxStatements }

/** Fails with `InvalidOptions` for a client of another database. */
export const dialectOf = (sql: SqlClient.SqlClient, method: string): Effect.Effect<Dialect, MqttError> => {
  const dialect = sql.onDialectOrElse({ pg: () => postgres, sqlite: () => sqlite, orElse: () => undefined })
  if (dialect !== undefined) return Effect.succeed(dialect)
  const message = "the dialect of the SqlClient is not supported: the store needs PostgreSQL or SQLite"
  return Effect.fail(
    new MqttError({ reason: new InvalidOptions({ issues: [{ path: "SqlClient", message }] }), method })
  )
}
