/**
 * The options of the driver for SQLite: schema, defaults and the decoder that reports every issue.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { statementTimeout } from "../options.ts"

/** The schema of the options, see `SqliteClient.SqliteClientOptions`. */
export const ClientOptionsSchema = OptionsSchema.strict({
  filename: Schema.String.annotate({ message: "expected a path" }).check(
    Schema.makeFilter((path: string) =>
      path !== "" && !path.includes("\0") ? undefined : "expected a path that is not empty"
    )
  ),
  busyTimeout: statementTimeout
})

/**
 * Complete and checked options.
 */
export interface SqliteClientOptions extends Schema.Schema.Type<typeof ClientOptionsSchema> {}

/**
 * The JSON form of the options.
 */
export interface SqliteClientOptionsEncoded extends Schema.Codec.Encoded<typeof ClientOptionsSchema> {}

/** Checks options and fills in the defaults. */
export const decodeOptions = (input: unknown): Result.Result<SqliteClientOptions, MqttError> =>
  OptionsSchema.decode(ClientOptionsSchema, input, "SqliteClient.make")
