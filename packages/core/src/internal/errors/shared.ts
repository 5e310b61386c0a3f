/**
 * What the reasons of an `MqttError` have in common.
 */
import * as Schema from "effect/Schema"
import { cleanText } from "../peerText.ts"

/** Prefix of the identifiers of all reasons. */
export const id = "@effect-mqttx/core/MqttError/"

/** An optional text. */
export const text: Schema.optional<Schema.String> = Schema.optional(Schema.String)

/** An optional reason code or HTTP status. */
export const code: Schema.optional<Schema.Int> = Schema.optional(Schema.Int)

/** An optional cause. */
export const cause: Schema.optional<Schema.Defect> = Schema.optional(Schema.Defect())

/** The server's words, if it said something, to put behind our own. */
export const because = (reasonString: string | undefined): string =>
  reasonString === undefined ? "" : `: ${cleanText(reasonString)}`

/** What a thrown value says about itself in one line. */
export const causeText = (cause: unknown): string => {
  if (cause instanceof Error) {
    // OpenSSL ends its messages with a line break.
    return cleanText(cause.message.trim() === "" ? cause.name : cause.message.trim())
  }
  return typeof cause === "string" ? cleanText(cause) : "unknown cause"
}
