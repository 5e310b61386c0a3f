/**
 * The options of the inbox: schema, defaults and the decoder that reports every issue.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { statementTimeout, tablePrefix } from "../options.ts"

/** The schema of the options, see `SqlInbox.SqlInboxOptions`. */
export const InboxOptionsSchema = OptionsSchema.strict({
  tablePrefix,
  statementTimeout,
  keepKeysFor: OptionsSchema.duration({
    minimum: "1 second",
    maximum: "36500 days",
    message: "expected a duration from 1 second to 36,500 days"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("7 days"))),
  keepKeys: Schema.Int.annotate({ message: "expected an integer" }).check(
    Schema.makeFilter((count: number) =>
      count >= 1 && count <= 1_000_000_000 ? undefined : "expected an integer from 1 to 1,000,000,000"
    )
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1_000_000)))
})

/**
 * Complete and checked options.
 */
export interface SqlInboxOptions extends Schema.Schema.Type<typeof InboxOptionsSchema> {}

/**
 * The JSON form of the options.
 */
export interface SqlInboxOptionsEncoded extends Schema.Codec.Encoded<typeof InboxOptionsSchema> {}

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: unknown): Result.Result<SqlInboxOptions, MqttError> =>
  OptionsSchema.decode(InboxOptionsSchema, input, "SqlInbox.make")
