/**
 * The options of the store: schema, defaults and the decoder that reports every issue.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const timer = (minimum: Duration.Input, unit: string) =>
  OptionsSchema.duration({
    minimum,
    // The longest delay of the timers of every platform.
    maximum: 2_147_483_647,
    message: `expected a duration from ${unit} to 24 days`
  })

/** Of the names of tables, which the store, the inbox and the outbox share. */
export const tablePrefix = Schema.String.annotate({ message: "expected a text" }).check(
  // With the endings of the tables it fits into a name of PostgreSQL, which has 63 bytes.
  Schema.makeFilter((prefix: string) =>
    /^[a-z_][a-z0-9_]{0,39}$/.test(prefix)
      ? undefined
      : "expected up to 40 small letters, digits and _, no digit first"
  )
).pipe(Schema.withDecodingDefaultKey(Effect.succeed("mqttx")))

/** How long to wait for a statement. */
export const statementTimeout = timer(1, "1 millisecond").pipe(
  Schema.withDecodingDefaultKey(Effect.succeed("5 seconds"))
)

/** The schema of the options, see `SqlStore.SqlStoreOptions`. */
export const StoreOptionsSchema = OptionsSchema.strict({
  tablePrefix,
  leaseDuration: timer(100, "100 milliseconds").pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("10 seconds"))
  ),
  acquireTimeout: Schema.optionalKey(timer(0, "0")),
  statementTimeout
})

/**
 * Complete and checked options.
 */
export interface SqlStoreOptions extends Schema.Schema.Type<typeof StoreOptionsSchema> {}

/**
 * The JSON form of the options.
 */
export interface SqlStoreOptionsEncoded extends Schema.Codec.Encoded<typeof StoreOptionsSchema> {}

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: unknown): Result.Result<SqlStoreOptions, MqttError> =>
  OptionsSchema.decode(StoreOptionsSchema, input, "SqlStore.make")
