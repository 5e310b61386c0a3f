/**
 * The file of `simulate`: a fleet of devices, in TOML, YAML or JSON. It is checked as a whole, and every mistake has
 * its line and column. The command calls it.
 */
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CommandFailed, exitCodes, usage } from "../failure.ts"
import { formatOf, parseDocument } from "../gateway/document.ts"
import { formatMistake, type Mistake } from "../gateway/mistake.ts"

const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]): Schema.withDecodingDefaultKey<S> =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

const number = Schema.Finite.annotate({ message: "expected a number" })
const flag = Schema.Boolean.annotate({ message: "expected true or false" })
const text = Schema.String.annotate({ message: "expected a text" })
const qos = Schema.Literals([0, 1, 2]).annotate({ message: "expected 0, 1 or 2" })
const duration = OptionsSchema.duration({
  minimum: "1 millis",
  maximum: "1 day",
  message: "expected 1 ms to 1 day, for example \"5 seconds\""
})

const whole = (minimum: number, maximum: number) =>
  Schema.Int.annotate({ message: `expected a whole number from ${minimum} to ${maximum}` }).check(
    Schema.isBetween({ minimum, maximum }, { message: `expected a whole number from ${minimum} to ${maximum}` })
  )

const topic = text.check(
  Schema.makeFilter((given: string) =>
    Topic.isValidName(given.replaceAll("{id}", "1")) ? undefined : "expected a topic without + and #"
  )
)

const scalar = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])

const generators = {
  /** A random number between two bounds. */
  range: OptionsSchema.strict({
    type: Schema.Literal("range"),
    min: number,
    max: number,
    /** Digits behind the point. Default 2. */
    decimals: withDefault(whole(0, 10), 2)
  }),
  /** A wave between two bounds; each device has a phase of its own. */
  sine: OptionsSchema.strict({
    type: Schema.Literal("sine"),
    min: number,
    max: number,
    /** Default 1 minute. */
    period: withDefault(duration, "1 minute"),
    decimals: withDefault(whole(0, 10), 2)
  }),
  /** One of these values, at random. */
  enum: OptionsSchema.strict({ type: Schema.Literal("enum"), values: Schema.NonEmptyArray(scalar) }),
  /** Counts the messages of the device. */
  counter: OptionsSchema.strict({
    type: Schema.Literal("counter"),
    /** Default 0. */
    start: withDefault(number, 0),
    /** Default 1. */
    step: withDefault(number, 1)
  }),
  /** Milliseconds since the epoch. */
  time: OptionsSchema.strict({ type: Schema.Literal("time") })
}

const value = Schema.Union([scalar, ...Object.values(generators)]).annotate({
  message: "expected a text, a number, true, false, or a table with a type: range, sine, enum, counter or time"
})

/** A text, one value, or an object of values. */
const payload = Schema.Union([scalar, ...Object.values(generators), Schema.Record(Schema.String, value)]).annotate({
  message: "expected a text, a value, or a table of values"
})

const message = OptionsSchema.strict({
  topic,
  payload: withDefault(text, ""),
  /** Default 0. */
  qos: withDefault(qos, 0),
  /** Default false. */
  retain: withDefault(flag, false)
})

const FleetSchema = OptionsSchema.strict({
  /** The number of devices. */
  devices: whole(1, 10_000),
  /** The client identifier of a device. Default `simulated-{id}`. */
  clientId: withDefault(text, "simulated-{id}"),
  /** What each device publishes. */
  messages: Schema.NonEmptyArray(OptionsSchema.strict({
    topic,
    payload,
    interval: duration,
    /** The part of the interval by which it varies, 0 to 1. Default 0.1. */
    jitter: withDefault(
      number.check(Schema.isBetween({ minimum: 0, maximum: 1 }, { message: "expected 0 to 1" })),
      0.1
    ),
    qos: withDefault(qos, 0),
    retain: withDefault(flag, false)
  })).annotate({ message: "expected at least one message" }),
  /** What the server publishes when a device is lost, and what the device publishes before it leaves. */
  will: Schema.optionalKey(message),
  /** What a device publishes when it has connected. */
  birth: Schema.optionalKey(message),
  /** How long devices stay connected, on the average, and then are away. Absent: always connected. */
  reconnects: Schema.optionalKey(OptionsSchema.strict({ every: duration, away: withDefault(duration, "1 second") }))
})

export type Fleet = typeof FleetSchema.Type
export type FleetMessage = Fleet["messages"][number]
export type Will = NonNullable<Fleet["will"]>
export type Payload = FleetMessage["payload"]
export type Value = typeof value.Type

const refused = (file: string, mistakes: ReadonlyArray<Mistake>): CommandFailed =>
  new CommandFailed({
    what: mistakes.map((mistake) => formatMistake(file, mistake)).join("\n"),
    advice: "docs/cli.md#simulate lists the keys.",
    exitCode: exitCodes.usage
  })

/** Reads and checks a file. */
export const readFleet = (file: string): Effect.Effect<Fleet, CommandFailed, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const format = formatOf(file)
    if (format === undefined) {
      return yield* Effect.fail(usage("expected a file that ends with .toml, .yaml, .yml or .json"))
    }
    const files = yield* FileSystem.FileSystem
    const source = yield* Effect.mapError(
      files.readFileString(file),
      (error) => usage(`the file cannot be read: ${error.message}`, "Check the path of the file.")
    )
    const document = yield* parseDocument(source, format)
    if (Result.isFailure(document)) return yield* Effect.fail(refused(file, [document.failure]))
    const decoded = OptionsSchema.decode(FleetSchema, document.success.value as never, "simulate")
    if (Result.isSuccess(decoded)) return decoded.success
    const { reason } = decoded.failure
    const issues = reason._tag === "InvalidOptions" ? reason.issues : [{ path: "", message: reason.message }]
    return yield* Effect.fail(refused(
      file,
      issues.map(({ message, path: at }) => {
        const path = at === "" ? [] : at.split(".")
        return { path, message, position: document.success.positionOf(path) }
      })
    ))
  })
