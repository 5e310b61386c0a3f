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
import { isPlain, isRecord, withoutUndefined } from "../options/plain.ts"
import { configOf, pairsOf, toTexts, treeOf, type Variable } from "../options/variables.ts"
import {
  type Fields,
  fields,
  FieldsSchema,
  type ForwarderOptions,
  type ForwarderOptionsEncoded,
  groupNames
} from "./options.ts"

/** Fills in the defaults that follow from other options. */
export const ForwarderOptionsSchema: Schema.Codec<ForwarderOptions, ForwarderOptionsEncoded> = FieldsSchema.pipe(
  Schema.decodeTo(
    Schema.declare((value): value is ForwarderOptions => typeof value === "object" && value !== null),
    SchemaTransformation.transform({
      decode: ({ deadLetter, rateLimit, ...options }: Fields): ForwarderOptions => ({
        ...options,
        sources: Array.from(new Set(options.sources)),
        filters: Array.from(new Set(options.filters)),
        ...(rateLimit === undefined ? undefined : {
          rateLimit: { ...rateLimit, burst: rateLimit.burst ?? Math.max(1, rateLimit.messages) }
        }),
        ...(deadLetter === undefined ? undefined : {
          deadLetter: { topic: deadLetter.topic, session: deadLetter.session ?? options.target }
        })
      }),
      encode: (options): Fields => withoutUndefined(options)
    })
  )
)

const makeDecoder = () =>
  Schema.decodeUnknownResult(ForwarderOptionsSchema, { errors: "all", onExcessProperty: "error" })

// Made at the first use, so that a program without forwarders does not pay for it.
let decodeUnknown: ReturnType<typeof makeDecoder> | undefined

// What was decoded once is not decoded again. It is frozen, so that it stays valid.
const decoded = new WeakSet<object>()

const freeze = <A>(value: A): A => {
  if (Array.isArray(value) || isPlain(value)) { for (const inner of Object.values(Object.freeze(value))) freeze(inner) }
  return value
}

/** Options that come from here are answered as they are. */
export const decodeOptions = (input: unknown): Result.Result<ForwarderOptions, InvalidOptions> => {
  if (typeof input === "object" && input !== null && decoded.has(input)) {
    return Result.succeed(input as ForwarderOptions)
  }
  decodeUnknown ??= makeDecoder()
  return Result.match(decodeUnknown(toPlain(input)), {
    onFailure: (error) => Result.fail(InvalidOptions.fromSchemaError(error)),
    onSuccess: (options) => {
      decoded.add(freeze(options))
      return Result.succeed(options)
    }
  })
}

const constantCase = (name: string): string => name === "subscribeQoS" ? "SUBSCRIBE_QOS" : EffectString.configCase(name)

const variablesOf = (): ReadonlyArray<Variable> =>
  Object.keys(fields).flatMap((name): ReadonlyArray<Variable> =>
    groupNames[name]?.map((key) => ({ name: `${constantCase(name)}_${constantCase(key)}`, path: [name, key] })) ??
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
