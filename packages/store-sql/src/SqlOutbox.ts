/**
 * Messages that are published if and only if a transaction of the program commits.
 *
 * `enqueue` adds a message to a table, in the transaction that the program has begun. The relay of a session moves the
 * rows into the session, in their order. A row is moved by the commit of the session's own store in the same database,
 * which compares the owner's epoch: the message is in the session exactly once, through kill -9 at any moment. From
 * there the session publishes it as any other that it has accepted. The module `effect/sql` of Effect is unstable: a
 * minor version of Effect may change the API that is used here.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type { Payload, PublishOptions } from "@effect-mqttx/core/Publication"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { dialectOf } from "./internal/dialects.ts"
import type * as Options from "./internal/outbox/options.ts"
import { decodeOptions, OutboxOptionsSchema } from "./internal/outbox/options.ts"
import { Outbox } from "./internal/outbox/outbox.ts"

/**
 * Options of the outbox, all optional. Durations are milliseconds, strings such as `1 second`, or any other input of
 * `Duration`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SqlOutboxInput {
  /**
   * The name of the table is this prefix with `_outbox`: up to 40 small letters, digits and `_`, no digit first. It
   * must be that of the `SqlStore` of the sessions. Default `mqttx`.
   */
  readonly tablePrefix?: string | undefined
  /** How often a relay looks for messages of which it was not notified, 10 ms to 1 day. Default 1 second. */
  readonly pollInterval?: Duration.Input | undefined
  /**
   * How many messages of a relay the server may not have acknowledged, 1 to 65,535. More stay in the table. Default
   * 256.
   */
  readonly window?: number | undefined
  /**
   * Whether a relay learns by LISTEN and NOTIFY of the messages that other programs add. It takes a connection of the
   * driver. Drivers that cannot listen poll only. Default true.
   */
  readonly listen?: boolean | undefined
  /**
   * How long a relay waits for a statement before it tries again, and how long the making of the table waits. Default 5
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
export const SqlOutboxOptions: Schema.Codec<SqlOutboxOptions, SqlOutboxOptionsEncoded> = OutboxOptionsSchema

/**
 * Complete and checked options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlOutboxOptions = Options.SqlOutboxOptions

/**
 * The JSON form of the options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlOutboxOptionsEncoded = Options.SqlOutboxOptionsEncoded

/**
 * How a message of the outbox is published, as `PublishOptions` say. Its times begin when it is added.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface EnqueueOptions extends Omit<PublishOptions, "qos" | "topicAlias" | "timeout" | "origin"> {
  /** 1 or 2. Default 2. */
  readonly qos?: 1 | 2
}

/**
 * The outbox as a service.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class SqlOutbox extends Context.Service<SqlOutbox, {
  /** See the function `enqueue`. */
  readonly enqueue: (
    session: string,
    topic: string,
    payload: Payload,
    options?: EnqueueOptions
  ) => Effect.Effect<void, MqttError | SqlError>
  /** See the function `relay`. */
  readonly relay: (session: MqttSession.Session) => Effect.Effect<never, MqttError>
}>()("@effect-mqttx/store-sql/SqlOutbox") {}

/**
 * Makes the outbox and its table. Fails with `InvalidOptions`, also when the client is not one of PostgreSQL or SQLite,
 * and with `StorageFailed` when the database cannot be reached.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: SqlOutboxInput = {}
): Effect.fn.Return<SqlOutbox["Service"], MqttError, SqlClient.SqlClient> {
  const complete = yield* Effect.fromResult(decodeOptions(options))
  const sql = yield* SqlClient.SqlClient
  const dialect = yield* dialectOf(sql, "SqlOutbox.make")
  const outbox = new Outbox(sql, new dialect.outbox(sql, complete.tablePrefix), complete)
  yield* outbox.attempts.run((all) => all.makeTables).pipe(
    Effect.mapError((reason) => new MqttError({ method: "SqlOutbox.make", reason }))
  )
  return {
    enqueue: (session, topic, payload, options = {}) => outbox.enqueue(session, topic, payload, options),
    relay: (session) => outbox.relay(session)
  }
})

/**
 * Adds a message for a session in the transaction of the caller: it is published when that commits, and never when it
 * is rolled back. Any program may add messages, also one that does not own the session. Messages of one transaction,
 * and those of transactions that follow each other, are published in their order.
 *
 * Fails with `InvalidTopic`, `InvalidPayload`, `InvalidOptions` or `PacketTooLarge` (more than 8 MiB) before it sends a
 * statement, and with the `SqlError` of its statement.
 *
 * **Example** (A message and a row, both or none)
 *
 * ```ts
 * import { SqlOutbox } from "@effect-mqttx/store-sql"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * export const order = Effect.fnUntraced(function*(id: string) {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql.withTransaction(Effect.gen(function*() {
 *     yield* sql`INSERT INTO orders (id) VALUES (${id})`
 *     yield* SqlOutbox.enqueue("plant", `orders/${id}`, "placed")
 *   }))
 * })
 * ```
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const enqueue = (
  session: string,
  topic: string,
  payload: Payload,
  options?: EnqueueOptions
): Effect.Effect<void, MqttError | SqlError, SqlOutbox> =>
  SqlOutbox.use((outbox) => outbox.enqueue(session, topic, payload, options))

/**
 * Publishes the messages of a session whose store is a `SqlStore` of the same database, client and `tablePrefix`. It
 * runs until it is interrupted, waits while the database or the server is away, and fails when the session ends. A
 * message that can never be published stays in the table with its reason, and the others are published.
 *
 * **Example** (Publishing in the background)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { SqlOutbox } from "@effect-mqttx/store-sql"
 * import { Effect, Layer } from "effect"
 *
 * export const Relay = Layer.effectDiscard(
 *   Effect.flatMap(MqttSession.MqttSession, (session) => Effect.forkScoped(SqlOutbox.relay(session)))
 * )
 * ```
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const relay = (session: MqttSession.Session): Effect.Effect<never, MqttError, SqlOutbox> =>
  SqlOutbox.use((outbox) => outbox.relay(session))

/**
 * The outbox in the database of the client. The transactions of the program must use that client.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: SqlOutboxInput): Layer.Layer<SqlOutbox, MqttError, SqlClient.SqlClient> =>
  Layer.effect(SqlOutbox, make(options))

/**
 * The same with options from Config, single ones or all: `Config.schema(SqlOutbox.SqlOutboxOptions, "outbox")`.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<SqlOutboxInput>
): Layer.Layer<SqlOutbox, MqttError | Config.ConfigError, SqlClient.SqlClient> =>
  Layer.effect(SqlOutbox, Effect.flatMap(OptionsSchema.unwrap(options, "SqlOutbox.layerConfig"), make))
