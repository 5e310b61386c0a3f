/**
 * The options of the outbox: schema, defaults and the decoder that reports every issue.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { statementTimeout, tablePrefix } from "../options.ts"

/** The schema of the options, see `SqlOutbox.SqlOutboxOptions`. */
export const OutboxOptionsSchema = OptionsSchema.strict({
  tablePrefix,
  statementTimeout,
  pollInterval: OptionsSchema.duration({
    minimum: "10 millis",
    maximum: "1 day",
    message: "expected a duration from 10 milliseconds to 1 day"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("1 second"))),
  window: Schema.Int.annotate({ message: "expected an integer" }).check(
    Schema.makeFilter((count: number) =>
      count >= 1 && count <= 65_535 ? undefined : "expected an integer from 1 to 65,535"
    )
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed(256))),
  listen: Schema.Boolean.annotate({ message: "expected true or false" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  )
})

/**
 * Complete and checked options.
 */
export interface SqlOutboxOptions extends Schema.Schema.Type<typeof OutboxOptionsSchema> {}

/**
 * The JSON form of the options.
 */
export interface SqlOutboxOptionsEncoded extends Schema.Codec.Encoded<typeof OutboxOptionsSchema> {}

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: unknown): Result.Result<SqlOutboxOptions, MqttError> =>
  OptionsSchema.decode(OutboxOptionsSchema, input, "SqlOutbox.make")
