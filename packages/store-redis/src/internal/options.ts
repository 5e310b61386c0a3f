/**
 * The options of the store: schema, defaults and the decoder that reports every issue.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Duration from "effect/Duration"
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

const fields = OptionsSchema.strict({
  keyPrefix: Schema.String.annotate({ message: "expected a text" }).check(
    Schema.makeFilter((prefix: string) =>
      /[{}\p{Cs}]/u.test(prefix) ? "expected a text without braces, which choose the slot of a key" : undefined
    )
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed("mqttx:session:"))),
  expiry: Schema.optionalKey(
    OptionsSchema.duration({
      minimum: "1 second",
      maximum: "36500 days",
      message: "expected a duration from 1 second to 36500 days"
    })
  ),
  leaseDuration: timer(100, "100 milliseconds").pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("10 seconds"))
  ),
  acquireTimeout: Schema.optionalKey(timer(0, "0")),
  commandTimeout: timer(1, "1 millisecond").pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("5 seconds"))
  )
})

/** The schema of the options, see `RedisStore.RedisStoreOptions`. */
export const StoreOptionsSchema = fields.check(
  Schema.makeFilter(({ expiry, leaseDuration }: typeof fields.Type) =>
    expiry !== undefined && Duration.isLessThanOrEqualTo(expiry, leaseDuration)
      ? { path: ["expiry"], issue: "expected a duration that is longer than leaseDuration" }
      : undefined
  )
)

/**
 * Complete and checked options.
 */
export interface RedisStoreOptions extends Schema.Schema.Type<typeof StoreOptionsSchema> {}

/**
 * The JSON form of the options.
 */
export interface RedisStoreOptionsEncoded extends Schema.Codec.Encoded<typeof StoreOptionsSchema> {}

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: unknown): Result.Result<RedisStoreOptions, MqttError> =>
  OptionsSchema.decode(StoreOptionsSchema, input, "RedisStore.make")
