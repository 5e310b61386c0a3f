/**
 * The schemas of single options: texts, numbers, switches, bytes, secrets, durations. Each says in a sentence what it
 * expects.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { findFault } from "../utf8String.ts"
import { parseDuration } from "./durations.ts"
import { strict } from "./strict.ts"

const invalid = (message: string): Effect.Effect<never, SchemaIssue.Issue> =>
  Effect.fail(new SchemaIssue.InvalidValue({ message }))

/** One of a few values. */
export const oneOf = <const Values extends ReadonlyArray<string | number>>(values: Values): Schema.Literals<Values> =>
  Schema.Literals(values).annotate({ message: `expected one of ${values.join(", ")}` })

/**
 * A key that may be missing. All options that have the default share it, decoded once: when it is first needed, since
 * to compile the decoders of all defaults would be a third of the time that the import of the package takes.
 *
 * Not "missing or undefined": Config takes a group, or a list, that is not what it has to be for undefined, and the
 * default, or nothing, would stand in for it without a word.
 */
export const withDefault = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  value: S["Encoded"]
): Schema.withDecodingDefaultTypeKey<S> => {
  let decoded: S["Type"] | undefined
  return Schema.withDecodingDefaultTypeKey<S>(Effect.sync(() => {
    if (decoded === undefined) {
      decoded = Schema.decodeUnknownSync(schema)(value)
      if (typeof decoded === "object") Object.freeze(decoded)
    }
    return decoded
  }))(schema)
}

/** A text that MQTT can carry (MQTT 1.5.4). */
export const text: Schema.String = Schema.String.annotate({ message: "expected a text" }).check(
  Schema.makeFilter((value: string) => findFault(value, "allowed")?.detail)
)

/** The same, not empty. */
export const nonEmptyText: Schema.String = text.check(
  Schema.makeFilter((value: string) => value === "" ? "expected a text that is not empty" : undefined)
)

/** A switch. */
export const flag: Schema.Boolean = Schema.Boolean.annotate({ message: "expected true or false" })

/** A whole number. */
export const integer = (minimum: number, maximum: number): Schema.Number => {
  const message = `expected a whole number from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum ? undefined : message
    )
  )
}

/** Any number. */
export const number = (minimum: number, maximum: number): Schema.Number => {
  const message = `expected a number from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) => value >= minimum && value <= maximum ? undefined : message)
  )
}

const texts = Schema.Union([Schema.Array(Schema.String), Schema.String]).annotate({
  message: "expected a text or an array of texts"
})

/** An array, or one text with commas between its items. */
export const commaSeparated: Schema.Codec<ReadonlyArray<string>, string | ReadonlyArray<string>> = texts.pipe(
  Schema.decodeTo(
    Schema.Array(nonEmptyText),
    SchemaTransformation.transform({
      decode: (value) =>
        typeof value === "string" ? value.split(",").map((item) => item.trim()).filter((item) => item !== "") : value,
      encode: (value): string | ReadonlyArray<string> => value
    })
  )
)

/** An array, or one text that is taken as a whole: PEM texts may contain anything. */
export const oneOrMore: Schema.Codec<ReadonlyArray<string>, string | ReadonlyArray<string>> = texts.pipe(
  Schema.decodeTo(
    Schema.Array(nonEmptyText),
    SchemaTransformation.transform({
      decode: (value) => typeof value === "string" ? [value] : value,
      encode: (value): string | ReadonlyArray<string> => value
    })
  )
)

/**
 * A value that is never printed and never encoded. Not `RedactedFromValue`, which refuses to encode a key that is not
 * there as well.
 */
export const hidden = <A, Encoded>(
  schema: Schema.Codec<A, Encoded>,
  label: string
): Schema.Codec<Redacted.Redacted<A>, Encoded> =>
  schema.pipe(Schema.decodeTo(
    Schema.Redacted(Schema.toType(schema), { label, disallowJsonEncode: true }),
    SchemaTransformation.transformEffect<Redacted.Redacted<A>, A>({
      decode: (value) => Effect.succeed(Redacted.make(value, { label })),
      encode: () => Effect.fail(new SchemaIssue.InvalidValue({ message: "secrets are never encoded" }))
    })
  ))

/** A text that is hidden. */
export const secret = (label: string): Schema.Codec<Redacted.Redacted<string>, string> =>
  hidden(Schema.String.annotate({ message: "expected a text" }), label)

/** Pairs in their order, duplicates allowed. */
export const userProperties: Schema.Codec<ReadonlyArray<readonly [string, string]>> = Schema.Array(
  Schema.Tuple([text, text])
).annotate({
  message: "expected an array of pairs of texts"
})

const bytesFromBase64 = Schema.decodeUnknownOption(Schema.Uint8ArrayFromBase64)
const base64FromBytes = Schema.encodeSync(Schema.Uint8ArrayFromBase64)
const encoder = new TextEncoder()

/** Bytes as `{ "base64": "..." }`, or a text in the given encoding. */
export const bytes = (encoding: "base64" | "utf-8"): Schema.Codec<Uint8Array, string | { readonly base64: string }> =>
  Schema.Union([Schema.String, strict({ base64: Schema.String })]).annotate({
    message: encoding === "utf-8" ? "expected a text or bytes" : "expected bytes or base64"
  }).pipe(
    Schema.decodeTo(
      Schema.Uint8Array,
      SchemaTransformation.transformEffect({
        decode: (value) => {
          if (typeof value === "string" && encoding === "utf-8") {
            return Effect.succeed<Uint8Array>(encoder.encode(value))
          }
          const decoded = bytesFromBase64(typeof value === "string" ? value : value.base64)
          return Option.isSome(decoded) ? Effect.succeed<Uint8Array>(decoded.value) : invalid("expected base64")
        },
        encode: (value) => Effect.succeed<string | { readonly base64: string }>({ base64: base64FromBytes(value) })
      })
    )
  )

interface DurationBounds {
  readonly minimum: Duration.Duration
  readonly maximum: Duration.Duration
  readonly wholeSeconds?: boolean
  readonly message: string
}

const units = strict({
  weeks: Schema.optionalKey(Schema.Number),
  days: Schema.optionalKey(Schema.Number),
  hours: Schema.optionalKey(Schema.Number),
  minutes: Schema.optionalKey(Schema.Number),
  seconds: Schema.optionalKey(Schema.Number),
  milliseconds: Schema.optionalKey(Schema.Number),
  microseconds: Schema.optionalKey(Schema.Number),
  nanoseconds: Schema.optionalKey(Schema.Number)
})

/** How JSON holds a duration. */
export type EncodedDuration = number | string | readonly [number, number] | typeof units.Type

/** Milliseconds, a text such as "30 seconds", a pair of seconds and nanoseconds, or units. */
export const duration = (
  { maximum, message, minimum, wholeSeconds }: DurationBounds
): Schema.Codec<Duration.Duration, EncodedDuration> =>
  Schema.Union([Schema.Number, Schema.String, Schema.Tuple([Schema.Number, Schema.Number]), units]).annotate({
    message
  }).pipe(
    Schema.decodeTo(
      Schema.Duration,
      SchemaTransformation.transformEffect({
        decode: (value) => {
          const parsed = parseDuration(value)
          const ok = parsed !== undefined && Duration.isGreaterThanOrEqualTo(parsed, minimum) &&
            Duration.isLessThanOrEqualTo(parsed, maximum) &&
            (wholeSeconds !== true || !Duration.isFinite(parsed) || Duration.toMillis(parsed) % 1000 === 0)
          return ok ? Effect.succeed(parsed) : invalid(message)
        },
        encode: (value) =>
          Effect.succeed<EncodedDuration>(Duration.isFinite(value) ? Duration.toMillis(value) : "Infinity")
      })
    )
  )

// What fits into the timers of every platform, about 24.8 days.
const longest = Duration.millis(2_147_483_647)

/** A time limit. */
export const timeout: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.millis(1),
  maximum: longest,
  message: "expected a duration from 1 millisecond to 24 days"
})

/** A time to wait, or none. */
export const delay: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.zero,
  maximum: longest,
  message: "expected a duration from 0 to 24 days"
})

/** Whole seconds, as the protocol carries them. */
export const interval = (maximum: number): Schema.Codec<Duration.Duration, EncodedDuration> =>
  duration({
    minimum: Duration.zero,
    maximum: Duration.seconds(maximum),
    wholeSeconds: true,
    message: `expected a duration of whole seconds from 0 to ${maximum} seconds`
  })

/** Whole seconds, or for ever. */
export const expiry: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.zero,
  maximum: Duration.infinity,
  wholeSeconds: true,
  message: "expected a duration of whole seconds"
})
