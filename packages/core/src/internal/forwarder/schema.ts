/**
 * The schema of `ForwarderOptions`, and the conversion of environment strings to options.
 */
import type * as Config from "effect/Config"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as EffectString from "effect/String"
import { InvalidOptions } from "../../MqttError.ts"
import { toPlain } from "../options/decode.ts"
import {
  commaSeparated,
  delay,
  flag,
  hidden,
  integer,
  nonEmptyText,
  number,
  oneOf,
  text,
  timeout,
  withDefault
} from "../options/leaves.ts"
import { isRecord, withoutUndefined } from "../options/plain.ts"
import { strict } from "../options/strict.ts"
import { configOf, pairsOf, toTexts, treeOf, type Variable } from "../options/variables.ts"
import * as Topic from "../topics.ts"
import { compileRule, type MappingRule } from "./mapping.ts"
import type { ForwarderOptions } from "./options.ts"

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
  strict({ from: text, to: text }),
  strict({ strip: withDefault(text, ""), add: withDefault(text, "") })
]).check(check((value: MappingRule) => {
  const compiled = compileRule(value)
  return Result.isFailure(compiled) ? compiled.failure.message : undefined
}))

const qos = oneOf([0, 1, 2])
const qosRule = Schema.Union([Schema.Literal("keep"), strict({ cap: qos }), strict({ fix: qos })])

const sampling = Schema.Union([
  strict({ every: integer(1, 1_000_000_000) }),
  strict({ probability: number(0, 1) }),
  strict({ interval: timeout })
])

const rateLimit = strict({
  messages: number(0.001, 1_000_000_000),
  per: withDefault(timeout, 1000),
  burst: Schema.optionalKey(number(1, 1_000_000_000))
})

const deadLetter = strict({
  topic: Schema.String.check(check((topic: string) => Topic.isValidName(topic) ? undefined : "expected a topic name")),
  session: Schema.optionalKey(nonEmptyText)
})

const shortestSecret = 16

const loopGuardSecret = hidden(
  Schema.String.annotate({ message: "expected a text" }).check(
    check((value: string) =>
      value.length < shortestSecret ? `expected at least ${shortestSecret} characters` : undefined
    )
  ),
  "secret"
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

const loopGuard = strict({ secret: loopGuardSecret, accepts: withDefault(loopGuardSecrets, []) })

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
  share: Schema.optionalKey(
    nonEmptyText.check(check((share: string) => /[/+#]/.test(share) ? "expected a name without /, + and #" : undefined))
  ),
  noLocal: Schema.optionalKey(flag),
  retained: withDefault(oneOf(["each", "first", "none"]), "each"),
  mapping: withDefault(Schema.Array(rule), []),
  unmapped: withDefault(oneOf(["pass", "drop"]), "pass"),
  contains: Schema.optionalKey(nonEmptyText),
  matches: Schema.optionalKey(expression),
  sample: Schema.optionalKey(sampling),
  onChange: withDefault(integer(0, 10_000_000), 0),
  qos: withDefault(qosRule, "keep"),
  retain: withDefault(oneOf(["keep", "clear", "set"]), "keep"),
  metadata: withDefault(Schema.Record(text, text), {}),
  envelope: withDefault(flag, false),
  rateLimit: Schema.optionalKey(rateLimit),
  maxInFlight: withDefault(integer(1, 65_535), 1000),
  buffer: withDefault(integer(1, 1_000_000), 1000),
  onOverflow: withDefault(oneOf(["dropOldest", "suspend"]), "dropOldest"),
  acceptance: Schema.optionalKey(oneOf(["acknowledged", "stored"])),
  deadLetter: Schema.optionalKey(deadLetter),
  allowLoops: withDefault(flag, false),
  loopGuard: Schema.optionalKey(loopGuard),
  maxHops: withDefault(integer(1, 8), 8),
  stopTimeout: withDefault(delay, 10_000)
}

const Fields = strict(fields)

/** The JSON form of the options. */
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
      encode: (options): typeof Fields.Type => withoutUndefined(options) as typeof Fields.Type
    })
  )
)

const makeDecoder = () =>
  Schema.decodeUnknownResult(ForwarderOptionsSchema, { errors: "all", onExcessProperty: "error" })

// Made at the first use, so that a program without forwarders does not pay for it.
let decodeUnknown: ReturnType<typeof makeDecoder> | undefined

export const decodeOptions = (input: unknown): Result.Result<ForwarderOptions, InvalidOptions> => {
  decodeUnknown ??= makeDecoder()
  return Result.mapError(decodeUnknown(toPlain(input)), InvalidOptions.fromSchemaError)
}

const groups: Readonly<Record<string, ReadonlyArray<string>>> = {
  sample: ["every", "probability", "interval"],
  rateLimit: ["messages", "per", "burst"],
  deadLetter: ["topic", "session"],
  loopGuard: ["secret", "accepts"]
}

const constantCase = (name: string): string => name === "subscribeQoS" ? "SUBSCRIBE_QOS" : EffectString.configCase(name)

const variablesOf = (): ReadonlyArray<Variable> =>
  Object.keys(fields).flatMap((name): ReadonlyArray<Variable> =>
    groups[name]?.map((key) => ({ name: `${constantCase(name)}_${constantCase(key)}`, path: [name, key] })) ??
      [{ name: constantCase(name), path: [name] }]
  )

const valueOf = (option: string, text: string): unknown => {
  switch (option) {
    case "mapping":
      return pairsOf(text).map(([from, to]) => ({ from, to }))
    case "metadata":
      return Object.fromEntries(pairsOf(text))
    case "qos": {
      const quality = /^(cap|fix)\s+([012])$/.exec(text.trim())
      return quality === null ? text : { [quality[1]!]: quality[2] }
    }
    default:
      return text
  }
}

/** See `ForwarderOptions.config`. */
export const forwarderConfig = (prefix: string, base: object): Config.Config<ForwarderOptions> => {
  // Made here, so that a program that configures no forwarder by its environment does not pay for it.
  const decodeTexts = Schema.decodeUnknownResult(Schema.toCodecStringTree(ForwarderOptionsSchema), { errors: "all" })
  const variables = variablesOf()
  const plain = toTexts(toPlain(base))
  const tree = isRecord(plain) ? plain : {}
  return configOf(
    prefix,
    { options: Object.keys(fields), variables },
    (found) => Result.mapError(decodeTexts(treeOf(tree, found, variables, valueOf)), InvalidOptions.fromSchemaError)
  )
}
