/**
 * The stores under test, each as a layer that a process of the harness can be told about in one word and one place.
 */
import { SessionStore } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { RedisStore } from "@effect-mqttx/store-redis"
import { SqliteClient, SqlStore } from "@effect-mqttx/store-sql"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { SqlClient } from "effect/sql"
import { join } from "node:path"
import { layerOf, makeLogStore } from "../storage/prototypes/stores.ts"

const names = ["file", "redis", "sql", "sqlite", "memory", "log"] as const

export type StoreName = (typeof names)[number]

export const isStoreName = (text: string): text is StoreName => names.some((name) => name === text)

/** The driver for a PostgreSQL at an address, or for a file of SQLite in a directory. */
export const sqlLayer = (place: string): Layer.Layer<SqlClient.SqlClient> =>
  place.startsWith("postgres:")
    ? Layer.orDie(PgClient.layer({ url: Redacted.make(place) }))
    : Layer.orDie(SqliteClient.layer({ filename: join(place, "crash.db") }))

/** Whether a store is in a database that takes the rows of programs too. */
export const isDatabase = (store: StoreName): boolean => store === "sql" || store === "sqlite"

/** `place` is a directory, or the address of a Redis server or of a PostgreSQL. */
export const storeLayer = (store: StoreName, place: string) => {
  switch (store) {
    // The control: it must lose, or the harness sees nothing.
    case "memory":
      return SessionStore.layerMemory
    case "file":
      return FileStore.layer({ directory: place })
    // The prototype of decision 7.
    case "log":
      return layerOf(makeLogStore, { directory: place, sync: true })
    case "redis":
      // A killed owner is gone after the lease: the next process waits that long.
      return RedisStore.layer({ leaseDuration: "500 millis" }).pipe(Layer.provide(NodeRedis.layer({ url: place })))
    case "sql":
    case "sqlite":
      return SqlStore.layer({ leaseDuration: "500 millis" }).pipe(
        Layer.provide(sqlLayer(place))
      )
  }
}
