/**
 * The schemas of single options: strings, numbers, booleans, bytes, secrets, durations. Each error says in a sentence
 * what is expected.
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
import type { Written } from "./input.ts"
import { strict } from "./strict.ts"

const invalid = (message: string): Effect.Effect<never, SchemaIssue.Issue> =>
  Effect.fail(new SchemaIssue.InvalidValue({ message }))

/** One of a few values. */
export const oneOf = <const Values extends ReadonlyArray<string | number>>(values: Values): Schema.Literals<Values> =>
  Schema.Literals(values).annotate({ message: `expected one of ${values.join(", ")}` })

/**
 * A key that may be missing. All options with a default share that default, which is decoded once, at the first use.
 * Compiling the decoders of all defaults would be a third of the import time of the package.
 *
 * Not "missing or undefined": Config decodes an invalid group or list as undefined, and the default, or nothing, would
 * silently replace it.
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

/** A string that MQTT can carry (MQTT 1.5.4). */
export const text: Schema.String = Schema.String.annotate({ message: "expected a text" }).check(
  Schema.makeFilter((value: string) => findFault(value, "allowed")?.detail)
)

/** The same, not empty. */
export const nonEmptyText: Schema.String = text.check(
  Schema.makeFilter((value: string) => value === "" ? "expected a text that is not empty" : undefined)
)

/** A boolean. */
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

/** An array, or one string with commas between its items. */
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

/** An array of whole numbers, or one string with commas between them. */
export const integers = (
  minimum: number,
  maximum: number
): Schema.Codec<ReadonlyArray<number>, string | ReadonlyArray<number>> =>
  Schema.Union([Schema.Array(Schema.Number), Schema.String]).annotate({
    message: `expected whole numbers from ${minimum} to ${maximum}`
  }).pipe(
    Schema.decodeTo(
      Schema.Array(integer(minimum, maximum)),
      SchemaTransformation.transform({
        decode: (value) =>
          typeof value === "string" ? value.split(",").filter((item) => item.trim() !== "").map(Number) : value,
        encode: (value): string | ReadonlyArray<number> => value
      })
    )
  )

/** An array, or one string that is taken as a whole: PEM texts may contain any character. */
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
 * A value that is never printed and never encoded. Not `RedactedFromValue`, which also refuses to encode a missing key.
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

/**
 * A value that is code, such as a Schedule: no text and no JSON stands for it, and it is never encoded.
 */
export const code = <A>(is: (value: unknown) => value is A, what: string): Written<A, A, A> => {
  const message = `expected ${what}`
  const encode = () => invalid(`${what} is never encoded`)
  return Schema.declare(is, {
    message,
    // The codecs for JSON and for strings need a form, which no value has.
    toCodec: () =>
      Schema.link<A>()(
        Schema.String,
        SchemaTransformation.transformEffect<A, string>({ decode: () => invalid(message), encode })
      )
  }).pipe(Schema.decodeTo(
    Schema.declare(is),
    SchemaTransformation.transformEffect<A, A>({ decode: (value) => Effect.succeed(value), encode })
  )) as never
}

/** A hidden string. */
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

/** Bytes as `{ "base64": "..." }`, or a string in the given encoding. */
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

/**
 * The JSON form of a duration.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type EncodedDuration = number | string | readonly [number, number] | typeof units.Type

/** Milliseconds, a string such as "30 seconds", a pair of seconds and nanoseconds, or units. */
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

// The longest delay of the timers of every platform, about 24.8 days.
const longest = Duration.millis(2_147_483_647)

/** A time limit. */
export const timeout: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.millis(1),
  maximum: longest,
  message: "expected a duration from 1 millisecond to 24 days"
})

/** A delay, which may be zero. */
export const delay: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.zero,
  maximum: longest,
  message: "expected a duration from 0 to 24 days"
})

/** Whole seconds, as in the protocol. */
export const interval = (maximum: number): Schema.Codec<Duration.Duration, EncodedDuration> =>
  duration({
    minimum: Duration.zero,
    maximum: Duration.seconds(maximum),
    wholeSeconds: true,
    message: `expected a duration of whole seconds from 0 to ${maximum} seconds`
  })

/** Whole seconds, or infinite. */
export const expiry: Schema.Codec<Duration.Duration, EncodedDuration> = duration({
  minimum: Duration.zero,
  maximum: Duration.infinity,
  wholeSeconds: true,
  message: "expected a duration of whole seconds"
})
