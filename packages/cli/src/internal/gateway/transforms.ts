/**
 * The transforms that a gateway's file can declare for the payloads of a forwarder. Each is a function of one message,
 * without state. What a transform cannot do fails the message, which goes to the dead-letter topic. Sampling,
 * deduplication and topics are options of the forwarder itself: `sample`, `onChange` and `mapping`.
 */
import { InvalidPayload, MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type JsonPath, parsePath, valueAt, withValueAt } from "./jsonPath.ts"

const text = Schema.String.annotate({ message: "expected a text" })

const path = text.check(
  Schema.makeFilter((value: string) =>
    parsePath(value) === undefined ? "expected keys with points between them, for example readings.0.value" : undefined
  )
)

const number = Schema.Number.annotate({ message: "expected a number" }).check(
  Schema.makeFilter((value: number) => Number.isFinite(value) ? undefined : "expected a number")
)

const decimals = Schema.Number.annotate({ message: "expected a whole number from 0 to 15" }).check(
  Schema.makeFilter((value: number) =>
    Number.isInteger(value) && value >= 0 && value <= 15 ? undefined : "expected a whole number from 0 to 15"
  )
)

const insertion = /\{\{\s*([^{}]*?)\s*\}\}/g
const names = ["topic", "payload", "session", "timestamp"]

const templateIssue = (template: string): string | undefined => {
  const wrong = Array.from(template.matchAll(insertion), ([, name]) => name!).find((name) =>
    !names.includes(name) && !(name.startsWith("$") && parsePath(name) !== undefined)
  )
  return wrong === undefined ? undefined : `expected {{${names.join("}}, {{")}}} or {{$.path}}`
}

const schemas = {
  /** The payload is what stands at a path: a text as it is, other values as JSON. */
  pick: OptionsSchema.strict({ type: Schema.Literal("pick"), path }),
  /** The payload is a text with insertions. */
  template: OptionsSchema.strict({
    type: Schema.Literal("template"),
    template: text.check(Schema.makeFilter((value: string) => templateIssue(value))),
    /** `json`: insertions are JSON, and the result has to be. Default `text`. */
    format: Schema.optionalKey(Schema.Literals(["text", "json"]).annotate({ message: "expected text or json" }))
  }),
  /** A number becomes `value * factor + offset`. */
  scale: OptionsSchema.strict({
    type: Schema.Literal("scale"),
    /** Where the number stands. Default: the payload is the number. */
    path: Schema.optionalKey(path),
    /** Default 1. */
    factor: Schema.optionalKey(number),
    /** Default 0. */
    offset: Schema.optionalKey(number),
    /** Rounds to so many decimals. Default: as it comes. */
    decimals: Schema.optionalKey(decimals)
  }),
  /** A key of an object gets another name. */
  rename: OptionsSchema.strict({
    type: Schema.Literal("rename"),
    path: path.check(Schema.makeFilter((value: string) => value === "$" ? "expected the path of a key" : undefined)),
    to: Schema.NonEmptyString.annotate({ message: "expected a key" })
  })
} as const

/** A transform of a file. */
export type Transform = { readonly [Type in keyof typeof schemas]: typeof schemas[Type]["Type"] }[keyof typeof schemas]

/** The schema of each kind of transform, for the JSON Schema. */
export const transformSchemas: Readonly<Record<string, Schema.Top>> = schemas

/** Checks one transform. */
export const decodeTransform = (value: unknown): Result.Result<Transform, MqttError> => {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  const schema = typeof type === "string" && Object.hasOwn(schemas, type)
    ? schemas[type as keyof typeof schemas]
    : OptionsSchema.strict({
      type: Schema.Literals(["pick", "template", "scale", "rename"]).annotate({
        message: "expected pick, template, scale or rename"
      })
    })
  return OptionsSchema.decode(schema as Schema.Codec<Transform, unknown>, value, "gateway")
}

/** What a transform sees of a message. */
export interface TransformInput {
  readonly topic: string
  readonly session: string
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly payload: string
}

/** The new payload, or why there is none. It quotes nothing of the payload. */
export type Transformed = Result.Result<string, string>

const parse = (payload: string): Result.Result<unknown, string> =>
  Result.try({ try: () => JSON.parse(payload) as unknown, catch: () => "the payload is no JSON" })

const missing = (at: string): Result.Result<never, string> => Result.fail(`the payload has nothing at ${at}`)

const asText = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value)

const pick = (payload: string, at: string): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const found = valueAt(value, parsePath(at)!)
    return found === undefined ? missing(at) : Result.succeed(asText(found))
  })

const scale = (payload: string, { decimals: places, factor = 1, offset = 0, path: at = "$" }: {
  readonly path?: string
  readonly factor?: number
  readonly offset?: number
  readonly decimals?: number
}): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const keys = parsePath(at)!
    const found = valueAt(value, keys)
    if (found === undefined) return missing(at)
    if (typeof found !== "number") return Result.fail(`what stands at ${at} is no number`)
    const scaled = found * factor + offset
    // JSON has no infinite numbers.
    if (!Number.isFinite(scaled)) return Result.fail(`the number at ${at} is too large`)
    const rounded = places === undefined ? scaled : Number(scaled.toFixed(places))
    return Result.succeed(JSON.stringify(withValueAt(value, keys, rounded)))
  })

const rename = (payload: string, keys: JsonPath, to: string): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const parents = keys.slice(0, -1)
    const key = keys.at(-1)!
    const parent = valueAt(value, parents)
    const found = valueAt(parent, [key])
    if (found === undefined) return missing(keys.join("."))
    if (Array.isArray(parent)) return Result.fail(`what stands at ${keys.join(".")} has no name`)
    // In its place among the other keys; one that has the new name already is replaced.
    const entries = Object.entries(parent as Readonly<Record<string, unknown>>)
      .filter(([name]) => name === key || name !== to)
      .map(([name, each]) => [name === key ? to : name, each] as const)
    return Result.succeed(JSON.stringify(withValueAt(value, parents, Object.fromEntries(entries))))
  })

const template = (input: TransformInput, pattern: string, isJson: boolean): Transformed => {
  let parsed: Result.Result<unknown, string> | undefined
  let failure: string | undefined
  const valueOf = (name: string): unknown => {
    if (!name.startsWith("$")) return input[name as keyof TransformInput]
    parsed ??= parse(input.payload)
    if (Result.isFailure(parsed)) {
      failure ??= parsed.failure
      return undefined
    }
    const found = valueAt(parsed.success, parsePath(name)!)
    if (found === undefined) failure ??= `the payload has nothing at ${name}`
    return found
  }
  const filled = pattern.replaceAll(insertion, (_, name: string) => {
    const value = valueOf(name)
    if (value === undefined) return ""
    return isJson ? JSON.stringify(value) : asText(value)
  })
  if (failure !== undefined) return Result.fail(failure)
  return isJson
    ? Result.map(parse(filled), () => filled).pipe(Result.mapError(() => "the template gives no JSON"))
    : Result.succeed(filled)
}

/** Applies one transform. */
export const transformPayload = (transform: Transform, input: TransformInput): Transformed => {
  switch (transform.type) {
    case "pick":
      return pick(input.payload, transform.path)
    case "scale":
      return scale(input.payload, transform)
    case "rename":
      return rename(input.payload, parsePath(transform.path)!, transform.to)
    case "template":
      return template(input, transform.template, transform.format === "json")
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The transformer of a forwarder: all transforms, one after the other. */
export const transformerOf = (transforms: ReadonlyArray<Transform>): RouteTransformer.RouteTransformer<MqttError> =>
  RouteTransformer.make((message) =>
    Effect.suspend(() => {
      const fail = (detail: string) =>
        Effect.fail(
          new MqttError({
            reason: new InvalidPayload({ detail, direction: "received" }),
            session: message.session,
            method: "transform",
            topic: message.topic
          })
        )
      let payload: string
      try {
        payload = utf8.decode(message.payload)
      } catch {
        return fail("the payload is not UTF-8")
      }
      const { receivedAt, session, topic } = message
      for (const transform of transforms) {
        const result = transformPayload(transform, { topic, session, timestamp: receivedAt, payload })
        if (Result.isFailure(result)) return fail(`${transform.type}: ${result.failure}`)
        payload = result.success
      }
      return Effect.succeed(message.with({ payload }))
    }), transforms.map(({ type }) => type).join(", "))
