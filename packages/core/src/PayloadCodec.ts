/**
 * Converts payloads to values and back, and gives the MQTT 5 properties that describe the payload.
 *
 * **Example** (Making codecs for JSON and for text)
 *
 * ```ts
 * import { PayloadCodec } from "@effect-mqttx/core"
 * import { Effect, Schema } from "effect"
 *
 * const readings = PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
 * const degrees = PayloadCodec.text(Schema.FiniteFromString)
 *
 * Effect.runSync(readings.encode({ celsius: 21.5 })) // => '{"celsius":21.5}'
 * Effect.runSync(degrees.decode(new TextEncoder().encode("21.5"))) // => 21.5
 * ```
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { OptionsIssue } from "./internal/errors/operation.ts"
import { parseJson } from "./internal/json.ts"
import {
  callable,
  type Checks,
  flag,
  isRecord,
  optionsIssues,
  refusal,
  text as textCheck
} from "./internal/options/plain.ts"
import { payloadBytes } from "./internal/payload.ts"
import { cleanCause, quoted } from "./internal/peerText.ts"
import { kindOf } from "./internal/valueNames.ts"
import { InvalidPayload } from "./MqttError.ts"
import type { MessageProperties } from "./Properties.ts"
import type { Payload } from "./Publication.ts"

/**
 * Both directions of a payload. `RE` and `RD` are the services that encoding and decoding need.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PayloadCodec<A, RE = never, RD = never> {
  /** The MIME type that MQTT 5 messages carry (MQTT 3.3.2.3.9); undefined: none. */
  readonly contentType: string | undefined
  /** 1 when payloads are UTF-8 text (MQTT 3.3.2.3.2). */
  readonly payloadFormatIndicator: 0 | 1
  /** Whether a payload of this content type can be decoded. */
  readonly accepts: (contentType: string) => boolean
  /** The payload of a value. Fails for a value that does not fit. */
  readonly encode: (value: A) => Effect.Effect<Payload, InvalidPayload, RE>
  /** The value of a payload. Fails for a payload that does not fit. */
  readonly decode: (payload: Uint8Array) => Effect.Effect<A, InvalidPayload, RD>
}

/**
 * A format for a schema's encoded form. An exception of `encode` or `decode` becomes an `InvalidPayload`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PayloadFormat<Encoded> {
  /** The MIME type; undefined: none is announced, and every content type is accepted. */
  readonly contentType?: string | undefined
  /** Whether the format is UTF-8 text. Default false. */
  readonly isText?: boolean
  /** Content types that can be decoded. Default: `contentType`, with any parameters. */
  readonly accepts?: (contentType: string) => boolean
  /** The payload of an encoded value. May throw. */
  readonly encode: (value: Encoded) => Payload
  /** The encoded value of a payload, which the schema then checks. May throw. */
  readonly decode: (payload: Uint8Array) => unknown
}

// Fatal, because text that is not UTF-8 must fail: a replacement character would hide the damage.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

type Direction = "sent" | "received"

const misfit = (detail: string, direction: Direction) => (error: Schema.SchemaError): InvalidPayload =>
  InvalidPayload.fromSchemaError(error, detail, direction)

/** The type and subtype of a MIME type, without its parameters. */
const mediaType = (contentType: string): string => contentType.split(";", 1)[0]!.trim().toLowerCase()

/**
 * A codec of your own format through a schema, for example MessagePack or CBOR with a library of your choice. Throws an
 * `MqttError` with `InvalidOptions` for an invalid schema or format.
 *
 * **Example** (Making a codec of another format)
 *
 * ```ts
 * import { PayloadCodec } from "@effect-mqttx/core"
 * import { Effect, Schema } from "effect"
 *
 * const pair = PayloadCodec.make(Schema.Tuple([Schema.Finite, Schema.Finite]), {
 *   encode: (bytes) => Uint8Array.from(bytes),
 *   decode: (payload) => Array.from(payload)
 * })
 *
 * Effect.runSync(pair.decode(Uint8Array.of(1, 2))) // => [1, 2]
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, Encoded, RD, RE>(
  schema: Schema.ConstraintCodec<A, Encoded, RD, RE>,
  format: PayloadFormat<Encoded>
): PayloadCodec<A, RE, RD> => {
  const mistake = refusal([...schemaIssues(schema), ...formatIssues(format)], "PayloadCodec.make")
  if (mistake !== undefined) throw mistake
  const { contentType, isText = false } = format
  const own = contentType === undefined ? undefined : mediaType(contentType)
  const encodeValue = Schema.encodeUnknownEffect(schema)
  const decodeValue = Schema.decodeUnknownEffect(schema)
  return {
    contentType,
    payloadFormatIndicator: isText ? 1 : 0,
    accepts: format.accepts ?? ((given) => own === undefined || mediaType(given) === own),
    encode: (value) =>
      Effect.flatMap(
        Effect.mapError(encodeValue(value), misfit("the value does not fit the schema", "sent")),
        (encoded) =>
          Effect.flatMap(attempt("the value cannot be written", "sent", () => format.encode(encoded)), checked)
      ),
    decode: (payload) =>
      Effect.flatMap(
        attempt(
          isText ? "the payload is not UTF-8, or not of the format" : "the payload is not of the format",
          "received",
          () => format.decode(payload)
        ),
        (decoded) => Effect.mapError(decodeValue(decoded), misfit("the payload does not fit the schema", "received"))
      )
  }
}

const schemaIssues = (schema: unknown): ReadonlyArray<OptionsIssue> =>
  Schema.isSchema(schema) ? [] : [{ path: "schema", message: `must be a Schema, got ${kindOf(schema)}` }]

const formatChecks: Checks<PayloadFormat<unknown>> = {
  contentType: textCheck,
  isText: flag,
  accepts: callable,
  encode: callable,
  decode: callable
}

const formatIssues = (format: unknown): ReadonlyArray<OptionsIssue> => {
  if (!isRecord(format)) return optionsIssues(format, formatChecks)
  const { decode = null, encode = null } = format
  return optionsIssues({ ...format, encode, decode }, formatChecks)
}

/** Checks that the result is a payload: an untyped format may return any value. */
const checked = (payload: Payload): Effect.Effect<Payload, InvalidPayload> => {
  if (typeof payload === "string") return Effect.succeed(payload)
  const bytes = payloadBytes(payload)
  return bytes instanceof InvalidPayload ? Effect.fail(bytes) : Effect.succeed(payload)
}

const attempt = <A>(detail: string, direction: Direction, evaluate: () => A): Effect.Effect<A, InvalidPayload> =>
  Effect.try({ try: evaluate, catch: (cause) => new InvalidPayload({ detail, direction, cause: cleanCause(cause) }) })

/**
 * JSON through a schema whose encoded form is JSON. Announces `application/json`; accepts it and every type that ends
 * in `+json`.
 *
 * **Example** (Checking JSON by a schema)
 *
 * ```ts
 * import { PayloadCodec } from "@effect-mqttx/core"
 * import { Schema } from "effect"
 *
 * const readings = PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
 *
 * readings.contentType // => "application/json"
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const json = <A, Encoded, RD, RE>(
  schema: Schema.ConstraintCodec<A, Encoded, RD, RE>
): PayloadCodec<A, RE, RD> =>
  make(schema, {
    contentType: "application/json",
    isText: true,
    accepts: (contentType) => {
      const type = mediaType(contentType)
      return type === "application/json" || type === "text/json" || type.endsWith("+json")
    },
    encode: (value) => {
      const text: string | undefined = JSON.stringify(value)
      if (text === undefined) throw new TypeError(`${typeof value} has no JSON`)
      return text
    },
    decode: (payload) => parseJson(utf8.decode(payload))
  })

/**
 * UTF-8 text through a schema whose encoded form is text; without a schema, the text itself. Announces `text/plain`,
 * and accepts every type of text.
 *
 * **Example** (Writing a number as text)
 *
 * ```ts
 * import { PayloadCodec } from "@effect-mqttx/core"
 * import { Effect, Schema } from "effect"
 *
 * Effect.runSync(PayloadCodec.text(Schema.FiniteFromString).encode(21.5)) // => "21.5"
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const text: {
  (): PayloadCodec<string>
  <A, RD, RE>(schema: Schema.ConstraintCodec<A, string, RD, RE>): PayloadCodec<A, RE, RD>
} = (schema: Schema.ConstraintCodec<unknown, string, unknown, unknown> = Schema.String) =>
  make(schema, {
    contentType: "text/plain",
    isText: true,
    accepts: (contentType) => mediaType(contentType).startsWith("text/"),
    encode: (value) => value,
    decode: (payload) => utf8.decode(payload)
  }) as never

/**
 * Text through a schema, for a template that got a schema instead of a codec. Announces no content type and accepts
 * all, because the text may be of any type.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const fromSchema = <A, RD, RE>(schema: Schema.ConstraintCodec<A, string, RD, RE>): PayloadCodec<A, RE, RD> =>
  make(schema, { isText: true, encode: (value) => value, decode: (payload) => utf8.decode(payload) })

/**
 * Bytes unchanged. Announces no content type, and accepts every one. A decoded value is the message's own read-only
 * view, see `Message.payload`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const bytes: PayloadCodec<Uint8Array> = {
  contentType: undefined,
  payloadFormatIndicator: 0,
  accepts: () => true,
  encode: Effect.succeed,
  decode: Effect.succeed
}

/**
 * Whether the content type of a message is checked. `ifPresent` (default) refuses a type that the codec does not
 * accept, `required` also refuses a message without a type, `ignore` refuses none. On 3.1.1, which has no content type,
 * it has no effect.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ContentTypePolicy = "ifPresent" | "required" | "ignore"

/**
 * The MQTT 5 properties that describe a codec's payloads.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const properties = (
  codec: Pick<PayloadCodec<never>, "contentType" | "payloadFormatIndicator">
): MessageProperties => ({
  ...(codec.payloadFormatIndicator === 1 ? { payloadFormatIndicator: 1 } : undefined),
  ...(codec.contentType === undefined ? undefined : { contentType: codec.contentType })
})

/**
 * Why the codec does not accept a message with these properties; undefined when it does.
 *
 * A codec of a binary format refuses a payload format indicator of 1. 0 means "unspecified bytes" and is always
 * accepted.
 *
 * @stability stable
 * @category validation
 * @since 0.1.0
 */
export const mismatch = (
  codec: Pick<PayloadCodec<never>, "contentType" | "payloadFormatIndicator" | "accepts">,
  given: MessageProperties,
  policy: ContentTypePolicy = "ifPresent"
): InvalidPayload | undefined => {
  if (policy === "ignore") return undefined
  const { contentType, payloadFormatIndicator } = given
  if (contentType === undefined) {
    if (policy === "required") return received("the message has no content type")
  } else if (!codec.accepts(contentType)) {
    return received(
      `the content type is ${quoted(contentType)}${
        codec.contentType === undefined ? "" : `, not ${JSON.stringify(codec.contentType)}`
      }`
    )
  }
  return payloadFormatIndicator === 1 && codec.payloadFormatIndicator === 0 && codec.contentType !== undefined
    ? received(`the payload is text, not ${JSON.stringify(codec.contentType)}`)
    : undefined
}

const received = (detail: string): InvalidPayload => new InvalidPayload({ detail, direction: "received" })

/**
 * Whether a value is a codec. A schema is not.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isPayloadCodec = (u: unknown): u is PayloadCodec<unknown, unknown, unknown> =>
  Predicate.hasProperty(u, "payloadFormatIndicator")
