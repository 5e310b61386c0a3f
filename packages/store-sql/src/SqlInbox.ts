/**
 * Exactly once into a database: what a handler writes and the record that its message was processed are committed in
 * one transaction of the database. A message that comes again, after a reconnect or a kill -9, finds the record, is
 * acknowledged and not handled again. It does this for QoS 1 and 2.
 *
 * A redelivery is known by its session and packet identifier, and by the `use` of a QoS 2 message or the content of a
 * QoS 1 message. What publishers send twice is known by the option `key` only. The module `effect/sql` of Effect is
 * unstable: a minor version of Effect may change the API that is used here.
 */
import type * as Message from "@effect-mqttx/core/Message"
import { MqttError } from "@effect-mqttx/core/MqttError"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type * as Subscription from "@effect-mqttx/core/Subscription"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Attempts } from "./internal/attempts.ts"
import { dialectOf } from "./internal/dialects.ts"
import { refuseConsume, refuseKey, refuseOnce } from "./internal/inbox/checks.ts"
import { Inbox, programName } from "./internal/inbox/inbox.ts"
import type * as Options from "./internal/inbox/options.ts"
import { decodeOptions, InboxOptionsSchema } from "./internal/inbox/options.ts"

/**
 * Options of the inbox, all optional. Durations are milliseconds, strings such as `7 days`, or any other input of
 * `Duration`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SqlInboxInput {
  /**
   * The names of the tables are this prefix with `_inbox_deliveries` and `_inbox_keys`: up to 40 small letters, digits
   * and `_`, no digit first. Default `mqttx`. Where it is that of the `SqlStore` of the sessions, a former owner of a
   * session can record nothing.
   */
  readonly tablePrefix?: string | undefined
  /** How long the keys of messages are kept, 1 second to 36,500 days. Default 7 days. */
  readonly keepKeysFor?: Duration.Input | undefined
  /**
   * The number of keys that are kept for each consumer, the newest ones, and up to a tenth more. Default 1,000,000.
   */
  readonly keepKeys?: number | undefined
  /** How long the making of the tables waits for a statement. Default 5 seconds. */
  readonly statementTimeout?: Duration.Input | undefined
}

/**
 * The schema of options, with all defaults.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const SqlInboxOptions: Schema.Codec<SqlInboxOptions, SqlInboxOptionsEncoded> = InboxOptionsSchema

/**
 * Complete and checked options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlInboxOptions = Options.SqlInboxOptions

/**
 * The JSON form of the options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type SqlInboxOptionsEncoded = Options.SqlInboxOptionsEncoded

/**
 * How `once` knows a message again.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface OnceOptions {
  /** The name of what processes the messages. Consumers of other names process the same message each. */
  readonly consumer: string
  /** What the publisher gave the message to be known by. Default: none, the message is known by its delivery. */
  readonly key?: string | undefined
}

/**
 * How `consume` calls the handler and knows messages again.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface ConsumeOptions<E = never, R = never> extends Subscription.ConsumeOptions<E, R> {
  /** The name of the consumer, in the session and in the inbox. Keep it through restarts. */
  readonly consumer: string
  /** The maximum quality of service of the deliveries, 1 or 2. Default 2. */
  readonly qos?: 1 | 2
  /**
   * What the publisher gave a message to be known by, for example a user property or a number in the payload. Two
   * messages with the same key are one, in any session. Undefined: the message is known by its delivery.
   */
  readonly key?: ((message: Message.Message) => string | undefined) | undefined
}

/**
 * The inbox as a service.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class SqlInbox extends Context.Service<SqlInbox, {
  /**
   * Runs an effect in one transaction with the record that the message was processed, and answers what it gave; `None`
   * when the record is there. For streams, routes and forwarders. `consume` does the same for the handlers of a
   * session, and refuses former owners. A QoS 0 message without a key gets a transaction and no record.
   */
  readonly once: <A, E, R>(
    message: Message.Message,
    effect: Effect.Effect<A, E, R>,
    options: OnceOptions
  ) => Effect.Effect<Option.Option<A>, E | MqttError | SqlError, R>
  /** See the function `consume`. */
  readonly consume: <E, R>(
    session: MqttSession.Session,
    filters: string | ReadonlyArray<string>,
    handler: (message: Message.Message) => Effect.Effect<unknown, E, R>,
    options: ConsumeOptions<E | MqttError | SqlError, R>
  ) => Effect.Effect<void, E | MqttError | SqlError, R>
}>()("@effect-mqttx/store-sql/SqlInbox") {}

/**
 * Makes the inbox and its tables. Fails with `InvalidOptions`, also when the client is not one of PostgreSQL or SQLite,
 * and with `StorageFailed` when the database cannot be reached.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: SqlInboxInput = {}
): Effect.fn.Return<SqlInbox["Service"], MqttError, SqlClient.SqlClient> {
  const complete = yield* Effect.fromResult(decodeOptions(options))
  const sql = yield* SqlClient.SqlClient
  const dialect = yield* dialectOf(sql, "SqlInbox.make")
  const inbox = new Inbox(sql, new dialect.inbox(sql, complete.tablePrefix), complete, yield* programName)
  yield* new Attempts(inbox.statements, complete.statementTimeout).run((all) => all.makeTables).pipe(
    Effect.mapError((reason) => new MqttError({ method: "SqlInbox.make", reason }))
  )
  return {
    once: (message, effect, options) =>
      Effect.suspend(() => {
        const refusal = refuseOnce(message, effect, options)
        return refusal === undefined
          ? inbox.once(options.consumer, message, effect, options.key, undefined)
          : Effect.fail(refusal)
      }),
    consume: (session, filters, handler, options) =>
      Effect.suspend(() => {
        const refusal = refuseConsume(session, options)
        return refusal === undefined ? consumeWith(inbox, session, filters, handler, options) : Effect.fail(refusal)
      })
  }
})

const consumeWith = <E, R>(
  inbox: Inbox,
  session: MqttSession.Session,
  filters: string | ReadonlyArray<string>,
  handler: (message: Message.Message) => Effect.Effect<unknown, E, R>,
  { key, qos = 2, ...options }: ConsumeOptions<E | MqttError | SqlError, R>
): Effect.Effect<void, E | MqttError | SqlError, R> =>
  Effect.flatMap(inbox.ownerOf(session.name), (owner) =>
    session.consume(
      filters,
      (message): Effect.Effect<unknown, E | MqttError | SqlError, R> =>
        Effect.suspend(() => {
          const name = key?.(message)
          const refusal = refuseKey(name)
          return refusal === undefined
            ? inbox.once(options.consumer, message, Effect.suspend(() => handler(message)), name, owner)
            : Effect.fail(refusal)
        }),
      { ...options, qos }
    ))

/**
 * `Session.consume`, with what the handler writes and the record of the message in one transaction: the rows are as if
 * each message had been handled once, whatever ends the program, the connection or the database, and whenever. The
 * handler's statements use the same `SqlClient`. When the handler fails, its transaction is rolled back, and the
 * policies of the options decide. Needs a durable session.
 *
 * Each running handler takes a connection of the driver: `concurrency`, by default 16, above the driver's number of
 * connections only makes handlers wait. A handler publishes by `SqlOutbox.enqueue`, which takes no further connection.
 *
 * **Example** (One row for each message)
 *
 * ```ts
 * import type { MqttSession } from "@effect-mqttx/core"
 * import { SqlInbox } from "@effect-mqttx/store-sql"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * export const book = Effect.fnUntraced(function*(session: MqttSession.Session) {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* SqlInbox.consume(
 *     session,
 *     "orders/+",
 *     (message) => sql`INSERT INTO invoices (text) VALUES (${message.text})`,
 *     { consumer: "billing", concurrency: 4 }
 *   )
 * })
 * ```
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const consume = <E, R>(
  session: MqttSession.Session,
  filters: string | ReadonlyArray<string>,
  handler: (message: Message.Message) => Effect.Effect<unknown, E, R>,
  options: ConsumeOptions<E | MqttError | SqlError, R>
): Effect.Effect<void, E | MqttError | SqlError, R | SqlInbox> =>
  Effect.suspend(() => {
    const refusal = refuseConsume(session, options)
    return refusal === undefined
      ? SqlInbox.use((inbox) => inbox.consume(session, filters, handler, options))
      : Effect.fail(refusal)
  })

/**
 * The inbox in the database of the client. The handlers' statements must use that client.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: SqlInboxInput): Layer.Layer<SqlInbox, MqttError, SqlClient.SqlClient> =>
  Layer.effect(SqlInbox, make(options))

/**
 * The same with options from Config, single ones or all: `Config.schema(SqlInbox.SqlInboxOptions, "inbox")`.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<SqlInboxInput>
): Layer.Layer<SqlInbox, MqttError | Config.ConfigError, SqlClient.SqlClient> =>
  Layer.effect(SqlInbox, Effect.flatMap(OptionsSchema.unwrap(options, "SqlInbox.layerConfig"), make))
