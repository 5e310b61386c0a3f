/**
 * Drivers and stores of a PostgreSQL for tests, each with connections of its own, as another process would have.
 */
import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import type { PostgresServer } from "@effect-mqttx/testing"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"

/** Of tests that end a server, but not the machine: syncs take seconds on slow disks. */
export const withoutSync: PostgresServer.PostgresServerOptions = { settings: { fsync: "off" } }

export type DriverOptions = Parameters<typeof PgClient.layer>[0]

/** A driver of its own, as another process would have one; it belongs to the scope. */
export const client = (
  server: PostgresServer.Service,
  options?: DriverOptions
): Effect.Effect<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(PgClient.layer({
      host: server.host,
      port: server.port,
      username: server.username,
      database: server.database,
      ...options
    }))),
    (context) => Context.get(context, SqlClient.SqlClient)
  )

/** A store with a driver of its own. */
export const store = (
  server: PostgresServer.Service,
  options?: SqlStore.SqlStoreInput,
  driverOptions?: DriverOptions
): Effect.Effect<SessionStore.SessionStore["Service"], SqlError.SqlError | MqttError.MqttError, Scope.Scope> =>
  Effect.flatMap(
    client(server, driverOptions),
    (sql) => Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, sql)
  )

/** A client whose statements all go through `intercept`. */
export const intercepted = (
  sql: SqlClient.SqlClient,
  intercept: <A, E, R>(statement: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): SqlClient.SqlClient => {
  const client_: SqlClient.SqlClient = new Proxy(sql, {
    get: (target, name) =>
      name === "withoutTransforms"
        ? () => client_
        : name === "unsafe"
        ? (...args: Parameters<typeof sql.unsafe>) => intercept(target.unsafe(...args))
        : Reflect.get(target, name)
  })
  return client_
}
