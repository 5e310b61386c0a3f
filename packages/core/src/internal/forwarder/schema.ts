/**
 * The schema of `ForwarderOptions`, and how texts of the environment become options.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as EffectString from "effect/String"
import type { ForwarderOptions } from "../../ForwarderOptions.ts"
import { InvalidOptions } from "../../MqttError.ts"
import * as Topic from "../../Topic.ts"
import { toPlain } from "../options/decode.ts"
import { prefixSegments } from "../options/environment.ts"
import {
  commaSeparated,
  delay,
  flag,
  integer,
  nonEmptyText,
  number,
  oneOf,
  text,
  timeout,
  withDefault
} from "../options/leaves.ts"
import { compileRule, type MappingRule } from "./mapping.ts"

const check = <A>(test: (value: A) => string | undefined) => Schema.makeFilter((value: A) => test(value))

const filterIssue = (filter: string): string | undefined => {
  const valid = Topic.validateFilter(filter)
  return Result.isFailure(valid) ? `${JSON.stringify(filter)}: ${valid.failure.detail}` : undefined
}

const filters = commaSeparated.check(
  check((value: ReadonlyArray<string>) => value.map(filterIssue).find((issue) => issue !== undefined))
)
const some = (what: string) =>
  check((value: ReadonlyArray<string>) => value.length === 0 ? `expected at least one ${what}` : undefined)

const rule = Schema.Union([
  Schema.Struct({ from: text, to: text }),
  Schema.Struct({ strip: withDefault(text, ""), add: withDefault(text, "") })
]).check(check((value: MappingRule) => {
  const compiled = compileRule(value)
  return Result.isFailure(compiled) ? compiled.failure.message : undefined
}))

const qos = oneOf([0, 1, 2])
const qosRule = Schema.Union([Schema.Literal("keep"), Schema.Struct({ cap: qos }), Schema.Struct({ fix: qos })])

const sampling = Schema.Union([
  Schema.Struct({ every: integer(1, 1_000_000_000) }),
  Schema.Struct({ probability: number(0, 1) }),
  Schema.Struct({ interval: timeout })
])

const rateLimit = Schema.Struct({
  messages: number(0.001, 1_000_000_000),
  per: withDefault(timeout, 1000),
  burst: Schema.optional(number(1, 1_000_000_000))
})

const deadLetter = Schema.Struct({
  topic: Schema.String.check(check((topic: string) => Topic.isValidName(topic) ? undefined : "expected a topic name")),
  session: Schema.optional(nonEmptyText)
})

const shortestSecret = 16

const loopGuardSecret = Schema.RedactedFromValue(
  Schema.String.annotate({ message: "expected a text" }).check(
    check((value: string) =>
      value.length < shortestSecret ? `expected at least ${shortestSecret} characters` : undefined
    )
  ),
  { label: "secret", disallowEncode: true }
)

const loopGuardSecrets = Schema.Union([Schema.Array(Schema.String), Schema.String]).annotate({
  message: "expected a text or an array of texts"
}).pipe(Schema.decodeTo(
  Schema.Array(loopGuardSecret),
  SchemaTransformation.transform({
    decode: (value) => typeof value === "string" ? value.split(",").map((each) => each.trim()) : value,
    encode: (value): string | ReadonlyArray<string> => value
  })
))

const loopGuard = Schema.Struct({ secret: loopGuardSecret, accepts: withDefault(loopGuardSecrets, []) })

const expression = text.check(check((source: string) => {
  if (source.length > 1024) return "expected a regular expression of at most 1024 characters"
  try {
    return RegExp(source) instanceof RegExp ? undefined : "expected a regular expression"
  } catch {
    return "expected a regular expression"
  }
}))

const fields = {
  name: nonEmptyText.check(
    check((name: string) =>
      name.length > 256 || name.includes(",") ? "expected a name of at most 256 characters, without commas" : undefined
    )
  ),
  enabled: withDefault(flag, true),
  sources: commaSeparated.check(some("session")),
  filters: filters.check(some("topic filter")),
  exclude: withDefault(filters, []),
  target: nonEmptyText,
  subscribeQoS: withDefault(qos, 2),
  share: Schema.optional(
    nonEmptyText.check(check((share: string) => /[/+#]/.test(share) ? "expected a name without /, + and #" : undefined))
  ),
  noLocal: Schema.optional(flag),
  retained: withDefault(oneOf(["each", "first", "none"]), "each"),
  mapping: withDefault(Schema.Array(rule), []),
  unmapped: withDefault(oneOf(["pass", "drop"]), "pass"),
  contains: Schema.optional(nonEmptyText),
  matches: Schema.optional(expression),
  sample: Schema.optional(sampling),
  onChange: withDefault(integer(0, 10_000_000), 0),
  qos: withDefault(qosRule, "keep"),
  retain: withDefault(oneOf(["keep", "clear", "set"]), "keep"),
  metadata: withDefault(Schema.Record(text, text), {}),
  envelope: withDefault(flag, false),
  rateLimit: Schema.optional(rateLimit),
  maxInFlight: withDefault(integer(1, 65_535), 1000),
  buffer: withDefault(integer(1, 1_000_000), 1000),
  onOverflow: withDefault(oneOf(["dropOldest", "suspend"]), "dropOldest"),
  acceptance: Schema.optional(oneOf(["acknowledged", "stored"])),
  deadLetter: Schema.optional(deadLetter),
  allowLoops: withDefault(flag, false),
  loopGuard: Schema.optional(loopGuard),
  maxHops: withDefault(integer(1, 8), 8),
  stopTimeout: withDefault(delay, 10_000)
}

const Fields = Schema.Struct(fields)

/** Options as JSON holds them. */
export type ForwarderOptionsEncoded = typeof Fields.Encoded

/** Fills in the defaults that follow from other options. */
export const ForwarderOptionsSchema: Schema.Codec<ForwarderOptions, ForwarderOptionsEncoded> = Fields.pipe(
  Schema.decodeTo(
    Schema.declare((value): value is ForwarderOptions => typeof value === "object" && value !== null),
    SchemaTransformation.transform({
      decode: (options: typeof Fields.Type): ForwarderOptions => ({
        ...options,
        sources: Array.from(new Set(options.sources)),
        filters: Array.from(new Set(options.filters)),
        ...(options.rateLimit === undefined ? { rateLimit: undefined } : {
          rateLimit: { ...options.rateLimit, burst: options.rateLimit.burst ?? Math.max(1, options.rateLimit.messages) }
        }),
        ...(options.deadLetter === undefined ? { deadLetter: undefined } : {
          deadLetter: { topic: options.deadLetter.topic, session: options.deadLetter.session ?? options.target }
        })
      }),
      encode: (options): typeof Fields.Type => options
    })
  )
)

const decodeUnknown = Schema.decodeUnknownResult(ForwarderOptionsSchema, { errors: "all", onExcessProperty: "error" })

export const decodeOptions = (input: unknown): Result.Result<ForwarderOptions, InvalidOptions> =>
  Result.mapError(decodeUnknown(toPlain(input)), InvalidOptions.fromSchemaError)

const groups: Readonly<Record<string, ReadonlyArray<string>>> = {
  sample: ["every", "probability", "interval"],
  rateLimit: ["messages", "per", "burst"],
  deadLetter: ["topic", "session"],
  loopGuard: ["secret", "accepts"]
}

interface Variable {
  readonly name: string
  readonly path: readonly [string] | readonly [string, string]
}

const constantCase = (name: string): string => name === "subscribeQoS" ? "SUBSCRIBE_QOS" : EffectString.configCase(name)

const variables: ReadonlyArray<Variable> = Object.keys(fields).flatMap((name): ReadonlyArray<Variable> =>
  groups[name]?.map((key) => ({ name: `${constantCase(name)}_${constantCase(key)}`, path: [name, key] })) ??
    [{ name: constantCase(name), path: [name] }]
)

const pairs = (value: string): ReadonlyArray<readonly [string, string]> =>
  value.split(",").map((item) => item.trim()).filter((item) => item !== "").map((item) => {
    const middle = item.indexOf("=")
    return middle === -1 ? [item, ""] : [item.slice(0, middle), item.slice(middle + 1)]
  })

const numeric = new Set([
  "subscribeQoS",
  "onChange",
  "maxInFlight",
  "buffer",
  "maxHops",
  "every",
  "probability",
  "messages",
  "burst"
])
const flags = new Set(["enabled", "envelope", "noLocal", "allowLoops"])

/** A text as JSON would hold it; what it cannot be stays a text, which the schema then refuses. */
const valueOf = (name: string, value: string): unknown => {
  if (numeric.has(name)) return value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : value
  if (flags.has(name)) return value === "true" ? true : value === "false" ? false : value
  if (name === "mapping") return pairs(value).map(([from, to]) => ({ from, to }))
  if (name === "metadata") return Object.fromEntries(pairs(value))
  const quality = name === "qos" ? /^(cap|fix)\s+([012])$/.exec(value.trim()) : null
  return quality === null ? value : { [quality[1]!]: Number(quality[2]) }
}

type Texts = { readonly [name: string]: string | undefined }

const Variables: Schema.Codec<Texts | undefined, unknown> = Schema.UndefinedOr(Schema.Struct(
  Object.fromEntries(variables.map(({ name }) => [name, Schema.optionalKey(Schema.String)]))
))

export const configOf = (prefix: string, base: object): Config.Config<ForwarderOptions> =>
  Config.schema(
    Variables.pipe(Schema.decodeTo(
      Schema.declare((value): value is ForwarderOptions => typeof value === "object" && value !== null),
      SchemaTransformation.transformEffect({
        decode: (texts: Texts | undefined) =>
          Effect.mapError(
            Effect.fromResult(decodeOptions(treeOf(base, texts ?? {}))),
            (error) => new SchemaIssue.InvalidValue({ message: error.message })
          ),
        encode: (): Effect.Effect<Texts | undefined, SchemaIssue.Issue> =>
          Effect.fail(
            new SchemaIssue.InvalidValue({ message: "options are read from the environment, not written to it" })
          )
      })
    )),
    prefixSegments(prefix)
  )

const treeOf = (base: object, texts: Texts): unknown => {
  const tree: Record<string, unknown> = { ...base }
  for (const { name, path: [first, second] } of variables) {
    const value = texts[name]
    if (value === undefined) continue
    if (second === undefined) tree[first] = valueOf(first, value)
    else {
      const group = tree[first]
      tree[first] = { ...(typeof group === "object" ? group : undefined), [second]: valueOf(second, value) }
    }
  }
  return tree
}
