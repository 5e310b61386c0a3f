/**
 * A durable session store in PostgreSQL or SQLite, over the service `SqlClient` of `effect/sql`. For PostgreSQL any
 * driver layer works that takes arrays as parameters, for example that of `@effect/sql-pg`; for SQLite there is
 * `SqliteClient`. That module of Effect is unstable: a minor version of Effect may change the API that is used here.
 *
 * The store makes its two tables when it opens its first session. Every commit is applied in full or not at all. A
 * session has one owner, which holds a lease and renews it. An owner that lost its lease to another one cannot write
 * any more. The durability of a commit depends on the database: `durability` of the handle reports what its settings
 * guarantee.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { dialectOf } from "./internal/dialects.ts"
import type * as Options from "./internal/options.ts"
import { decodeOptions, StoreOptionsSchema } from "./internal/options.ts"
import { Sessions } from "./internal/sessions.ts"

/**
 * Options of the store, all optional. Durations are milliseconds, strings such as `30 seconds`, or any other input of
 * `Duration`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SqlStoreInput {
  /**
   * The names of the tables are this prefix with `_sessions` and `_records`: up to 40 small letters, digits and `_`, no
   * digit first. Default `mqttx`.
   */
  readonly tablePrefix?: string | undefined
  /**
   * How long a session stays locked after its owner has disappeared, by kill -9 or a cut network. The lease is renewed
   * after each third of this time, and by each commit. Default 10 seconds.
   */
  readonly leaseDuration?: Duration.Input | undefined
  /**
   * How long opening a session waits for the lease of another owner to end. Default: `leaseDuration` and one second, so
   * that a program can be started again at once after a kill.
   */
  readonly acquireTimeout?: Duration.Input | undefined
  /**
   * How long to wait for a statement, connected or not, plus a second for each megabyte that is sent or read. Until
   * then, a statement whose connection was lost is tried again; one without a reply is tried once more. Default 5
   * seconds.
   */
  readonly statementTimeout?: Duration.Input | undefined
}

/**
 * The schema of options, with all defaults.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const SqlStoreOptions: Schema.Codec<SqlStoreOptions, SqlStoreOptionsEncoded> = StoreOptionsSchema

/**
 * Complete and checked options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlStoreOptions = Options.SqlStoreOptions

/**
 * The JSON form of the options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlStoreOptionsEncoded = Options.SqlStoreOptionsEncoded

/**
 * Makes the store. Fails with `InvalidOptions`, also when the client is not one of PostgreSQL or SQLite. It sends no
 * statement: an unreachable database shows when a session is opened. The end of its scope closes the store: it releases
 * the sessions that are still open, and their later operations fail with `StorageFailed` of the kind `closed`.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: SqlStoreInput = {}
): Effect.fn.Return<SessionStore.SessionStore["Service"], MqttError, SqlClient.SqlClient | Scope.Scope> {
  const complete = yield* Effect.fromResult(decodeOptions(options))
  const sql = yield* SqlClient.SqlClient
  const dialect = yield* dialectOf(sql, "SqlStore.make")
  const sessions = yield* Effect.acquireRelease(
    Effect.sync(() => new Sessions(new dialect.store(sql, complete.tablePrefix), complete)),
    ({ close }) => close
  )
  return { open: (session) => sessions.open(session) }
})

/**
 * Makes the database of the client the store of the sessions.
 *
 * **Example** (Keeping the state of a session in PostgreSQL)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { SqlStore } from "@effect-mqttx/store-sql"
 * import { PgClient } from "@effect/sql-pg"
 * import { Layer, Redacted } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(SqlStore.layer()),
 *   Layer.provide(PgClient.layer({ url: Redacted.make("postgres://gateway:secret@localhost/plant") }))
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: SqlStoreInput
): Layer.Layer<SessionStore.SessionStore, MqttError, SqlClient.SqlClient> =>
  Layer.effect(SessionStore.SessionStore, make(options))

/**
 * The same with options from Config, single ones or all: `Config.schema(SqlStore.SqlStoreOptions, "store")`.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<SqlStoreInput>
): Layer.Layer<SessionStore.SessionStore, MqttError | Config.ConfigError, SqlClient.SqlClient> =>
  Layer.effect(SessionStore.SessionStore, Effect.flatMap(OptionsSchema.unwrap(options, "SqlStore.layerConfig"), make))
