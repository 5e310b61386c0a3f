/**
 * Programs around a database: each has a driver, a durable session, an inbox and an outbox of its own, as a process
 * would have.
 */
import { type Message, MqttSession, type SessionOptions, SessionStore } from "@effect-mqttx/core"
import { SqlInbox, SqlOutbox, SqlStore } from "@effect-mqttx/store-sql"
import type { ScriptedBroker } from "@effect-mqttx/testing"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Service } from "./databases.ts"

export const run = (sql: SqlClient.SqlClient, text: string) => sql.unsafe<Record<string, unknown>>(text)

export const countOf = (sql: SqlClient.SqlClient, table: string) =>
  Effect.map(run(sql, `SELECT count(*) AS n FROM ${table}`), ([row]) => Number(row!["n"]))

export interface ProgramOptions {
  readonly prefix: string
  /** Changes the client that the inbox uses. */
  readonly intercept?: (sql: SqlClient.SqlClient) => SqlClient.SqlClient
  /** Changes the client of the session's store. */
  readonly interceptStore?: (sql: SqlClient.SqlClient) => SqlClient.SqlClient
  readonly outbox?: SqlOutbox.SqlOutboxInput
  readonly inbox?: SqlInbox.SqlInboxInput
  readonly session?: Partial<SessionOptions.SessionOptionsInput<"durable">>
}

/** A program whose session is connected. It ends with its scope. */
export const program = Effect.fnUntraced(function*(
  database: Service,
  broker: ScriptedBroker.Service,
  { inbox, intercept = (sql) => sql, interceptStore = (sql) => sql, outbox, prefix, session: more }: ProgramOptions
) {
  const sql = intercept(yield* database.client)
  const id = database.name === "SQLite" ? "INTEGER PRIMARY KEY" : "bigint GENERATED ALWAYS AS IDENTITY"
  yield* run(sql, `CREATE TABLE IF NOT EXISTS ${prefix}_rows (id ${id}, text text)`)
  const options = { tablePrefix: prefix, leaseDuration: "1 minute" } as const
  const session = yield* Effect.provideService(
    MqttSession.makeDurable({
      name: prefix,
      clientId: prefix,
      servers: [broker.url],
      drainTimeout: "100 millis",
      reconnect: { initialDelay: "1 millis", maxDelay: "10 millis" },
      log: "off",
      ...more
    }),
    SessionStore.SessionStore,
    yield* Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, interceptStore(yield* database.client))
  )
  yield* session.awaitReady
  const service = yield* Effect.provideService(
    SqlInbox.make({ tablePrefix: prefix, ...inbox }),
    SqlClient.SqlClient,
    sql
  )
  const posting = yield* Effect.provideService(
    SqlOutbox.make({ tablePrefix: prefix, pollInterval: "1 day", ...outbox }),
    SqlClient.SqlClient,
    sql
  )
  return {
    sql,
    outbox: posting,
    session,
    inbox: service,
    insert: (message: Message.Message) => sql`INSERT INTO ${sql(`${prefix}_rows`)} (text) VALUES (${message.text})`,
    texts: Effect.map(
      run(sql, `SELECT text FROM ${prefix}_rows ORDER BY id`),
      (rows) => rows.map((row) => row["text"])
    )
  }
})
