/**
 * Helpers that the reason classes of an `MqttError` share.
 */
import * as Schema from "effect/Schema"
import { cleanText } from "../peerText.ts"
import { httpStatuses } from "./httpStatus.ts"

/** Prefix of the identifiers of all reasons. */
export const id = "@effect-mqttx/core/MqttError/"

/** An optional text. */
export const text: Schema.optional<Schema.String> = Schema.optional(Schema.String)

/** An optional reason code or HTTP status. */
export const code: Schema.optional<Schema.Int> = Schema.optional(Schema.Int)

/** An optional cause. */
export const cause: Schema.optional<Schema.Defect> = Schema.optional(Schema.Defect())

/** The server's reason string, if it sent one, as a suffix to our own text. */
export const because = (reasonString: string | undefined): string =>
  reasonString === undefined ? "" : `: ${cleanText(reasonString)}`

/** The message of a thrown value in one line. */
export const causeText = (cause: unknown): string => {
  if (cause instanceof Error) {
    // OpenSSL ends its messages with a line break.
    return cleanText(cause.message.trim() === "" ? cause.name : cause.message.trim())
  }
  return typeof cause === "string" ? cleanText(cause) : "unknown cause"
}

const inspectSymbol = Symbol.for("nodejs.util.inspect.custom")

type Inspect = (value: unknown, options?: object) => string

/**
 * The base of the classes of errors and reasons. It is `Schema.TaggedError`, but an error prints under its tag alone,
 * with its message and its fields, in logs, in JSON and on the console. Effect's HttpApi reads `httpApiStatus` where
 * the class is declared as an error.
 */
export const TaggedError: typeof Schema.TaggedError =
  ((identifier: string) => (tag: string, fields: Schema.Struct.Fields, annotations?: object) => {
    const Base = Schema.TaggedError<Error>(identifier)(tag, fields, {
      httpApiStatus: (httpStatuses as { readonly [tag: string]: number })[tag],
      ...annotations
    } as never) as unknown as { readonly prototype: object }
    // Set on the prototype, where the stack of a new error reads it.
    Object.defineProperties(Base.prototype, {
      name: { value: tag, configurable: true, writable: true },
      toJSON: { value: toJSON, configurable: true, writable: true },
      [inspectSymbol]: { value: inspectError, configurable: true, writable: true }
    })
    return Base
  }) as never

type Fields = { readonly [key: string]: unknown }

/**
 * The fields of an error without its tag and cause. A reason among them becomes a record, because its stack is that of
 * the error.
 */
const fieldsOf = (error: object): Fields =>
  Object.fromEntries(
    Object.entries(error)
      .filter(([key, value]) => key !== "_tag" && key !== "cause" && value !== undefined)
      .map(([key, value]) => [key, isReason(value) ? { _tag: value._tag, ...fieldsOf(value) } : value])
  )

const isReason = (value: unknown): value is Error & { readonly _tag: string } =>
  value instanceof Error && "_tag" in value

function toJSON(this: Error & { readonly _tag: string }): Fields {
  const { cause: caused, message } = this
  return {
    _tag: this._tag,
    message,
    ...fieldsOf(this),
    ...(caused === undefined ? undefined : { cause: caused instanceof Error ? String(caused) : caused })
  }
}

function inspectError(this: Error, _depth: number, options: object, inspect: Inspect): string {
  const { cause: caused } = this
  const details = { ...fieldsOf(this), ...(caused === undefined ? undefined : { "[cause]": caused }) }
  const head = this.stack ?? String(this)
  return Object.keys(details).length === 0 ? head : `${head} ${inspect(details, options)}`
}
