/**
 * The options of the store: schema, defaults and the decoder that reports every issue.
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

// What fits into the timers of every platform.
const longestTimer = Duration.millis(2_147_483_647)

const duration = (minimum: Duration.Duration, maximum: Duration.Duration, message: string) =>
  Schema.Union([Schema.Number, Schema.String]).annotate({ message }).pipe(
    Schema.decodeTo(
      Schema.Duration,
      SchemaTransformation.transformEffect({
        decode: (value) => {
          const parsed = typeof value === "string" && /^\d+$/.test(value)
            ? Option.some(Duration.millis(Number(value)))
            : Duration.fromInput(value as Duration.Input)
          return Option.isSome(parsed) && !Number.isNaN(value) &&
              Duration.isGreaterThanOrEqualTo(parsed.value, minimum) &&
              Duration.isLessThanOrEqualTo(parsed.value, maximum)
            ? Effect.succeed(parsed.value)
            : Effect.fail(new SchemaIssue.InvalidValue({ message }))
        },
        encode: (value) => Effect.succeed<number | string>(Duration.toMillis(value))
      })
    )
  )

const timer = (minimum: Duration.Duration, unit: string) =>
  duration(minimum, longestTimer, `expected a duration from ${unit} to 24 days`)

const fields = Schema.Struct({
  keyPrefix: Schema.String.annotate({ message: "expected a text" }).check(
    Schema.makeFilter((prefix: string) =>
      /[{}\p{Cs}]/u.test(prefix) ? "expected a text without braces, which choose the slot of a key" : undefined
    )
  ).pipe(Schema.withDecodingDefault(Effect.succeed("mqttx:session:"))),
  expiry: Schema.optionalKey(
    duration(Duration.seconds(1), Duration.days(36_500), "expected a duration from 1 second to 36500 days")
  ),
  leaseDuration: timer(Duration.millis(100), "100 milliseconds").pipe(
    Schema.withDecodingDefault(Effect.succeed("10 seconds"))
  ),
  acquireTimeout: Schema.optionalKey(timer(Duration.zero, "0")),
  commandTimeout: timer(Duration.millis(1), "1 millisecond").pipe(
    Schema.withDecodingDefault(Effect.succeed("5 seconds"))
  )
})

/** The schema of the options, see `RedisStore.RedisStoreOptions`. */
export const OptionsSchema = fields.check(
  Schema.makeFilter(({ expiry, leaseDuration }: typeof fields.Type) =>
    expiry !== undefined && Duration.isLessThanOrEqualTo(expiry, leaseDuration)
      ? { path: ["expiry"], issue: "expected a duration that is longer than leaseDuration" }
      : undefined
  )
)

const decode = Schema.decodeUnknownResult(OptionsSchema, { errors: "all", onExcessProperty: "error" })

/** Durations of any form as the schema takes them; what is undefined is not there. */
const toPlain = (input: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(input).filter(([, value]) => value !== undefined).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === "object" || typeof value === "bigint"
        ? Duration.toMillis(Duration.fromInputUnsafe(value as Duration.Input))
        : value
    ])
  )

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: object): Result.Result<typeof OptionsSchema.Type, MqttError> =>
  Result.mapError(
    decode(toPlain(input)),
    (error) => new MqttError({ method: "RedisStore.make", reason: InvalidOptions.fromSchemaError(error) })
  )
