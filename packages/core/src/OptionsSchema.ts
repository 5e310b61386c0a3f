/**
 * Schemas of options, for session stores and other packages that build on this one: strict records, durations, a
 * decoder that reports every mistake, and Config.
 *
 * **Example** (Checking the options of a store)
 *
 * ```ts
 * import { OptionsSchema } from "@effect-mqttx/core"
 * import { Effect, Schema } from "effect"
 *
 * const Options = OptionsSchema.strict({
 *   directory: Schema.NonEmptyString,
 *   timeout: OptionsSchema.duration({
 *     minimum: "1 millis",
 *     maximum: "24 days",
 *     message: "expected 1 ms to 24 days"
 *   }).pipe(
 *     Schema.withDecodingDefaultKey(Effect.succeed("5 seconds"))
 *   )
 * })
 *
 * OptionsSchema.decode(Options, { directory: "/var/lib/plant" }, "MyStore.make")._tag // => "Success"
 * ```
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { toPlain } from "./internal/options/decode.ts"
import { duration as durationSchema, type EncodedDuration } from "./internal/options/leaves.ts"
import { isPlain } from "./internal/options/plain.ts"
import { type Strict, strict as strictStruct } from "./internal/options/strict.ts"
import { kindOf, nameOf } from "./internal/valueNames.ts"
import { InvalidOptions, MqttError } from "./MqttError.ts"

export type { EncodedDuration, Strict }

/**
 * The struct of these fields. It refuses every other key, whatever the parse options say. Make optional fields with
 * `Schema.optionalKey`, not `Schema.optional`: Config would take a wrong value of a group for undefined.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const strict: <const F extends Schema.Struct.Fields>(fields: F) => Strict<F> = strictStruct

/**
 * A duration between two bounds: milliseconds, a text such as "30 seconds", a pair of seconds and nanoseconds, or
 * units.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const duration = (bounds: {
  readonly minimum: Duration.Input
  readonly maximum: Duration.Input
  /** The message for any other value. */
  readonly message: string
}): Schema.Codec<Duration.Duration, EncodedDuration> =>
  durationSchema({
    minimum: Duration.fromInputUnsafe(bounds.minimum),
    maximum: Duration.fromInputUnsafe(bounds.maximum),
    message: bounds.message
  })

/**
 * Decodes options as code gives them, including `Duration`, `Redacted`, bytes and undefined keys. Fails with
 * `InvalidOptions`, which holds all issues with their paths and no values.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export const decode = <A, Encoded>(
  schema: Schema.Codec<A, Encoded>,
  input: unknown,
  method: string
): Result.Result<A, MqttError> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema, { errors: "all" })(toPlain(input)),
    (error) => new MqttError({ method, reason: InvalidOptions.fromSchemaError(error) })
  )

/**
 * The value of a Config of all options, or of a record with a Config for each of some. Fails with `InvalidOptions` for
 * any other value.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export const unwrap = <A>(
  options: Config.Wrap<A>,
  method: string
): Effect.Effect<A, MqttError | Config.ConfigError> =>
  Effect.suspend((): Effect.Effect<A, MqttError | Config.ConfigError> => {
    if (isWrapped(options)) return Config.unwrap(options)
    const message = `must be a Config or a record of Configs, got ${kindOf(options)}`
    const reason = new InvalidOptions({ issues: [{ path: "", message }] })
    return Effect.fail(new MqttError({ reason, method: nameOf(method) }))
  })

const isWrapped = (value: unknown): boolean =>
  Config.isConfig(value) || (isPlain(value) && Object.values(value).every(isWrapped))
