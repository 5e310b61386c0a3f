/**
 * A driver of `effect/sql` for SQLite, by the module `node:sqlite` of Node 22.19 or newer. It is here because Effect's
 * own driver for SQLite does not go with Effect 4.1. It is enough for the store, the inbox and the outbox, and for the
 * statements of programs that use them; it has no migrations, extensions or backups.
 *
 * One connection has the file open. Statements run one after the other, and block the process while they run. A
 * transaction takes the connection for itself until it ends.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { makeCompilerSqlite } from "effect/sql/Statement"
import { open } from "./internal/sqlite/database.ts"
import type * as Options from "./internal/sqlite/options.ts"
import { ClientOptionsSchema, decodeOptions } from "./internal/sqlite/options.ts"
import { Turns } from "./internal/sqlite/turns.ts"

/**
 * Options of the driver. Durations are milliseconds, strings such as `5 seconds`, or any other input of `Duration`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SqliteClientInput {
  /** The path of the file, which is made where it is missing. `:memory:` is a database that ends with the client. */
  readonly filename: string
  /**
   * How long a statement or a transaction waits for another transaction, of this client or of another process. Then it
   * fails with an `SqlError`. Default 5 seconds.
   */
  readonly busyTimeout?: Duration.Input | undefined
}

/**
 * The schema of options, with all defaults.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const SqliteClientOptions: Schema.Codec<SqliteClientOptions, SqliteClientOptionsEncoded> = ClientOptionsSchema

/**
 * Complete and checked options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqliteClientOptions = Options.SqliteClientOptions

/**
 * The JSON form of the options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqliteClientOptionsEncoded = Options.SqliteClientOptionsEncoded

/**
 * Opens a file, until the end of the scope. Each commit is synced to the disk (WAL, `synchronous=FULL`). Fails with
 * `InvalidOptions`, and with an `SqlError` where this version of Node has no `node:sqlite` or the file cannot be
 * opened.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: SqliteClientInput
): Effect.fn.Return<SqlClient.SqlClient, MqttError | SqlError, Scope.Scope | Reactivity.Reactivity> {
  const { busyTimeout, filename } = yield* Effect.fromResult(
    decodeOptions(options)
  )
  const { connection, database } = yield* Effect.acquireRelease(
    open(filename, busyTimeout),
    ({ database }) => Effect.sync(() => database.close())
  )
  const turns = new Turns(busyTimeout)
  return yield* SqlClient.make({
    driver: "node:sqlite",
    compiler: makeCompilerSqlite(),
    spanAttributes: [["db.system.name", "sqlite"]],
    acquirer: Effect.as(turns.take, connection),
    borrower: (f) => turns.during(f(connection)),
    // At once the one that writes: a transaction that reads first could not go on behind another one's commit.
    beginTransaction: "BEGIN IMMEDIATE",
    isTransaction: () => database.isTransaction,
    onCommitFailure: (broken) =>
      database.isTransaction ? Effect.asVoid(broken.executeUnprepared("ROLLBACK", [], undefined)) : Effect.void
  })
})

/**
 * A file of SQLite as the database of a program.
 *
 * **Example** (Keeping the state of a session in SQLite)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { SqlStore } from "@effect-mqttx/store-sql"
 * import * as SqliteClient from "@effect-mqttx/store-sql/SqliteClient"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(SqlStore.layer()),
 *   Layer.provide(SqliteClient.layer({ filename: "plant.db" }))
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SqliteClientInput): Layer.Layer<SqlClient.SqlClient, MqttError | SqlError> =>
  Layer.provide(Layer.effect(SqlClient.SqlClient, make(options)), Reactivity.layer)

/**
 * The same with options from Config, single ones or all: `Config.schema(SqliteClient.SqliteClientOptions, "sqlite")`.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<SqliteClientInput>
): Layer.Layer<SqlClient.SqlClient, MqttError | SqlError | Config.ConfigError> =>
  Layer.provide(
    Layer.effect(
      SqlClient.SqlClient,
      Effect.flatMap(OptionsSchema.unwrap(options, "SqliteClient.layerConfig"), make)
    ),
    Reactivity.layer
  )
