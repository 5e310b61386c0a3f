/**
 * Decodes options by the keys that are present. Most options of a session are absent, and interpreting the schema of
 * each of them is a fifth of the work of opening a session. Here the absent ones take their decoded defaults.
 *
 * It answers only options that are valid. For all others the caller decodes with the whole schema, which finds every
 * mistake. Called by decode.ts; it must answer the same as the whole schema, which a property test checks.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Fields, fields, type SessionOptions } from "./fields.ts"
import { isPlain } from "./plain.ts"
import { issuesBetween } from "./rules.ts"
import { resolve } from "./schema.ts"

/** The most sets of keys that are remembered. A program writes its options in a few places. */
const mostKeySets = 64

type Decode = (input: unknown) => Result.Result<object, unknown>

const everyField: Readonly<Record<string, Schema.Struct.Fields[string]>> = fields
const decoders = new Map<string, Decode>()
let defaults: object | undefined

const decoderOf = (keys: ReadonlyArray<string>): Decode | undefined => {
  const name = keys.join()
  const known = decoders.get(name)
  if (known !== undefined) return known
  if (decoders.size === mostKeySets || !keys.every((key) => Object.hasOwn(everyField, key))) return undefined
  const present = Schema.Struct(Object.fromEntries(keys.map((key) => [key, everyField[key]!])))
  const decode = Schema.decodeUnknownResult(present as unknown as Schema.ConstraintDecoder<object>)
  decoders.set(name, decode)
  return decode
}

/** Every default, as the whole schema decodes it. Name and servers have none, and each record brings its own. */
const makeDefaults = (): object =>
  Schema.decodeUnknownSync(Schema.Struct(fields) as Schema.ConstraintDecoder<object>)({ name: "?", servers: ["?"] })

/** The options of a record that is valid; undefined where only the whole schema can tell. */
export const decodePresent = (input: unknown): SessionOptions | undefined => {
  if (!isPlain(input) || input["name"] === undefined || input["servers"] === undefined) return undefined
  const decoded = decoderOf(Object.keys(input))?.(input)
  if (decoded === undefined || Result.isFailure(decoded)) return undefined
  defaults ??= makeDefaults()
  const complete = { ...defaults, ...decoded.success } as Fields
  return issuesBetween(complete).length === 0 ? resolve(complete) : undefined
}
