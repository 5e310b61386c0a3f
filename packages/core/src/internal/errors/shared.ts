/**
 * Helpers that the reason classes of an `MqttError` share.
 */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import { cleanText } from "../peerText.ts"

/**
 * The subject of an error.
 */
export type MqttErrorCategory =
  | "connection"
  | "authentication"
  | "subscription"
  | "publish"
  | "configuration"
  | "storage"
  | "forwarder"
  | "internal"

/**
 * How bad an error is. `info`: part of normal operation. `warning`: passes by itself, or cost one message. `error`:
 * needs attention. `critical`: stops the session until something is changed.
 */
export type MqttErrorSeverity = "info" | "warning" | "error" | "critical"

/** What each class of reasons says about its failures. */
export interface ReasonTraits {
  /** The subject of the failure. */
  readonly category: MqttErrorCategory
  /** How bad the failure is. */
  readonly severity: MqttErrorSeverity
  /** Whether the same operation may succeed if it is repeated without a change. */
  readonly isRetryable: boolean
}

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

const printing: PropertyDescriptorMap = {
  toJSON: { value: toJSON, configurable: true, writable: true },
  [inspectSymbol]: { value: inspectError, configurable: true, writable: true }
}

/**
 * The base of the classes of errors and reasons. It is `Schema.TaggedError`, but an error prints under its tag alone,
 * with its message and its fields, in logs, in JSON and on the console.
 */
export const TaggedError: typeof Schema.TaggedError =
  ((identifier: string) => (tag: string, fields: Schema.Struct.Fields, annotations?: object) => {
    const Base = Schema.TaggedError<Error>(identifier)(tag, fields, annotations as never) as unknown as {
      readonly prototype: object
    }
    // Set on the prototype, where the stack of a new error reads it.
    Object.defineProperties(Base.prototype, {
      name: { value: tag, configurable: true, writable: true },
      ...printing
    })
    return Base
  }) as never

/** The HTTP status of the reasons of a class, kept out of their fields, some of which have the same name. */
const httpStatus = Symbol("@effect-mqttx/core/MqttError/httpStatus")

/** The HTTP status that the class of a reason states. */
export const httpStatusOf = (reason: object): number => (reason as { readonly [httpStatus]: number })[httpStatus]

type Traits = Partial<ReasonTraits> & { readonly category: MqttErrorCategory; readonly httpApiStatus: number }

type ReasonOf<Self, T extends Traits> = <Tag extends string, const F extends Schema.Struct.Fields>(
  tag: Tag,
  fields: F
) => Schema.Class<
  Self,
  Schema.TaggedStruct<Tag, F>,
  Cause.YieldableError & Pick<ReasonTraits, Extract<keyof T, keyof ReasonTraits>>
>

/**
 * The base of a class of reasons. A trait that differs from failure to failure is a getter, of the traits or of the
 * class. `httpApiStatus` is the status for programs that serve HTTP and fail with such a failure: 400 or above blames
 * the HTTP client, 500 or above the program or its server. Effect's HttpApi reads it where the class is declared as an
 * error.
 */
export const Reason = <Self = never>() => <const T extends Traits>(traits: T): ReasonOf<Self, T> =>
  ((tag: string, fields: Schema.Struct.Fields) => {
    const Base = TaggedError<Error>(`@effect-mqttx/core/MqttError/${tag}`)(tag, fields, {
      httpApiStatus: traits.httpApiStatus
    } as never) as unknown as { readonly prototype: object }
    const { httpApiStatus, ...descriptors } = Object.getOwnPropertyDescriptors(traits)
    Object.defineProperties(Base.prototype, { ...descriptors, [httpStatus]: httpApiStatus })
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
