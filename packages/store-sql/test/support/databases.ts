/**
 * The databases in which the store, the inbox and the outbox are tested: a real PostgreSQL, and a file of SQLite.
 */
import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import * as SqliteClient from "@effect-mqttx/store-sql/SqliteClient"
import { PostgresServer } from "@effect-mqttx/testing"
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Postgres from "./postgres.ts"

export interface Service {
  readonly name: "PostgreSQL" | "SQLite"
  /** A driver of its own, as another process would have one; it belongs to the scope. */
  readonly client: Effect.Effect<SqlClient.SqlClient, SqlError.SqlError | MqttError.MqttError, Scope.Scope>
  /** Runs a statement over a connection of its own. */
  readonly query: (text: string) => Effect.Effect<ReadonlyArray<object>, unknown>
  /** An expression: a time of this database, so many hours earlier. `now`: from now. */
  readonly hoursBefore: (time: string, hours: number) => string
}

export class Database extends Context.Service<Database, Service>()("test/Database") {}

const postgres = Layer.effect(
  Database,
  Effect.map(PostgresServer.PostgresServer, (server): Service => ({
    name: "PostgreSQL",
    client: Postgres.client(server),
    query: server.query,
    hoursBefore: (time, hours) => `${time === "now" ? "now()" : time} - interval '${hours} hours'`
  }))
).pipe(Layer.provide(PostgresServer.layer(Postgres.withoutSync)))

/** The path of a file that is not there, in a directory of its own. */
export const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sqlite-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ),
  (directory) => join(directory, "plant.db")
)

export const sqliteClient = (
  filename: string,
  options?: Omit<SqliteClient.SqliteClientInput, "filename">
): Service["client"] =>
  Effect.map(
    Layer.build(Layer.fresh(SqliteClient.layer({ filename, ...options }))),
    (context) => Context.get(context, SqlClient.SqlClient)
  )

const sqlite = Layer.effect(
  Database,
  Effect.map(file, (filename): Service => {
    const client = sqliteClient(filename)
    return {
      name: "SQLite",
      client,
      query: (text) => Effect.scoped(Effect.flatMap(client, (sql) => sql.unsafe(text))),
      hoursBefore: (time, hours) => `${time === "now" ? "unixepoch() * 1000" : time} - ${hours * 3_600_000}`
    }
  })
)

/** Whether this Node has `node:sqlite`. */
export const hasSqlite: boolean = process.getBuiltinModule("node:sqlite") !== undefined

export const databases = [
  { name: "PostgreSQL", isPresent: PostgresServer.isPresent, database: postgres },
  { name: "SQLite", isPresent: () => hasSqlite, database: sqlite }
] as const

/** A store with a driver of its own. */
export const store = (
  database: Service,
  options?: SqlStore.SqlStoreInput
): Effect.Effect<SessionStore.SessionStore["Service"], SqlError.SqlError | MqttError.MqttError, Scope.Scope> =>
  Effect.flatMap(database.client, (sql) => Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, sql))

/** A client whose statements, and whose transactions as a whole, all go through `intercept`. */
export const intercepted = (
  sql: SqlClient.SqlClient,
  intercept: <A, E, R>(statement: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): SqlClient.SqlClient => {
  const client: SqlClient.SqlClient = new Proxy(sql, {
    get: (target, name) =>
      name === "withoutTransforms"
        ? () => client
        : name === "unsafe"
        ? (...args: Parameters<typeof sql.unsafe>) => intercept(target.unsafe(...args))
        : name === "withTransaction"
        ? <A, E, R>(effect: Effect.Effect<A, E, R>) => intercept(target.withTransaction(effect))
        : Reflect.get(target, name)
  })
  return client
}
