/**
 * Options as strings after a prefix, from any ConfigProvider: variables of the environment by their names in constant
 * case, records by the names of the options.
 *
 * Every name after the prefix is read, so that a mistyped name is an error and not a silent default. Issues never
 * contain values. Sessions and forwarders read their options here, each with its own names.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as EffectString from "effect/String"
import { InvalidOptions, type OptionsIssue } from "../errors/operation.ts"
import { isPlain, noSuchOption, text } from "./plain.ts"

/** The place of a variable's text among the options. */
export interface Variable {
  /** The name without the prefix. */
  readonly name: string
  readonly path: readonly [string] | readonly [string, string]
}

/** The texts of variables by their names without the prefix. */
export type Texts = { readonly [name: string]: string | undefined }

type Tree = { readonly [key: string]: unknown }

/** A prefix, "plant" or "PLANT_A" or "plantA", as the segments of its variables' names. */
const prefixSegments = (prefix: string): ReadonlyArray<string> =>
  EffectString.configCase(prefix).split("_").filter((segment) => segment !== "")

/** Items separated by commas, each a name and a value around the first "=". */
export const pairsOf = (text: string): ReadonlyArray<readonly [string, string]> =>
  text.split(",").map((item) => item.trim()).filter((item) => item !== "").map((item) => {
    const middle = item.indexOf("=")
    return middle === -1 ? [item, ""] : [item.slice(0, middle), item.slice(middle + 1)]
  })

type Nested = string | ReadonlyArray<Nested> | { readonly [key: string]: Nested }
type Segments = string | { readonly [segment: string]: Segments }

const Nested: Schema.Codec<Nested> = Schema.suspend(() =>
  Schema.Union([Schema.Record(Schema.String, Nested), Schema.Array(Nested), Schema.String])
)

// Without arrays: a variable PLANT_4294967294 would make an array of four thousand million items.
const Segments: Schema.Codec<Segments> = Schema.suspend(() =>
  Schema.Union([Schema.Record(Schema.String, Segments), Schema.String])
)

/** The known options and variables. */
export interface Names {
  readonly options: ReadonlyArray<string>
  readonly variables: ReadonlyArray<Variable>
}

/** Reads everything after a prefix. */
const reader = ({ options, variables }: Names): Schema.Codec<Tree> => {
  const fields: Record<string, Schema.optionalKey<Schema.Codec<unknown>>> = {}
  for (const name of options) fields[name] = Schema.optionalKey(Nested)
  for (const { name } of variables) fields[name] = Schema.optionalKey(Schema.String)
  const names = new Set(Object.keys(fields))
  const others = Schema.String.check(Schema.makeFilter((key: string) => !names.has(key)))
  return Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(others, Segments)])
}

// Variables that Kubernetes and Docker add to the environment for a service whose name is the prefix.
const serviceLink = /^(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/
const linkAddress = /^(?:tcp|udp|sctp):\/\//

const isServiceLink = (name: string, value: string): boolean =>
  serviceLink.test(name) || (name === "PORT" && linkAddress.test(value))

/** The variables below a segment, by their full names. */
const flatten = (segment: string, below: Segments): ReadonlyArray<readonly [name: string, value: string]> =>
  typeof below === "string"
    ? [[segment, below]]
    : Object.entries(below).flatMap(([next, deeper]) => flatten(`${segment}_${next}`, deeper))

/** The content found after a prefix. */
export interface Found {
  readonly texts: Texts
  /** Options under their own names. */
  readonly nested: Tree
  /** Unknown names. */
  readonly issues: ReadonlyArray<OptionsIssue>
}

const nothing: Found = { texts: {}, nested: {}, issues: [] }

const sort = (names: Names, path: ReadonlyArray<string>, tree: Tree): Found => {
  const variables = new Set(names.variables.map(({ name }) => name))
  const options = new Set(names.options)
  const texts: Record<string, string> = {}
  const nested: Record<string, unknown> = {}
  const issues: Array<OptionsIssue> = []
  for (const [key, value] of Object.entries(tree)) {
    if (options.has(key)) nested[key] = value
    else {
      for (const [name, text] of flatten(key, value as Segments)) {
        if (variables.has(name)) texts[name] = text
        else if (!isServiceLink(name, text)) issues.push({ path: [...path, name].join("_"), message: noSuchOption })
      }
    }
  }
  return { texts, nested, issues }
}

const merge = (a: Found, b: Found): Found => ({
  texts: { ...a.texts, ...b.texts },
  nested: { ...a.nested, ...b.nested },
  issues: [...a.issues, ...b.issues]
})

/**
 * A Config that decodes everything after a prefix. All mistakes are reported at once, including those of names. The
 * Config counts as absent when there is nothing after the prefix and an empty record does not decode.
 */
export const configOf = <A>(
  prefix: string,
  names: Names,
  decode: (found: Found) => Result.Result<A, InvalidOptions>
): Config.Config<A> => {
  if (typeof prefix !== "string") return refused([{ path: "prefix", message: text(prefix)! }])
  const segments = prefixSegments(prefix)
  const schema = reader(names)
  const at = (path: ReadonlyArray<string>): Config.Config<Option.Option<Found>> =>
    Config.map(Config.option(Config.schema(schema, path)), Option.map((tree) => sort(names, path, tree)))
  // Records are looked up under the prefix exactly as it is written.
  const places = segments.join("_") === prefix ? [at(segments)] : [at([prefix]), at(segments)]
  return Config.flatMap(Config.all(places), (results) => {
    const found = results.filter(Option.isSome).map(({ value }) => value)
    const all = found.reduce(merge, nothing)
    const decoded = decode(all)
    const issues = [...all.issues, ...(Result.isFailure(decoded) ? decoded.failure.issues : [])]
    if (Result.isSuccess(decoded) && issues.length === 0) return Config.succeed(decoded.success)
    return found.length > 0 ? refused(issues) : absent(segments, issueOf(issues))
  })
}

const issueOf = (issues: ReadonlyArray<OptionsIssue>): SchemaIssue.Issue =>
  new SchemaIssue.InvalidValue({ message: new InvalidOptions({ issues }).message })

const refused = (issues: ReadonlyArray<OptionsIssue>): Config.Config<never> =>
  Config.fail(new Schema.SchemaError(issueOf(issues)))

/** Fails with an issue for an absent value, so that `Config.withDefault` and `Config.option` apply. */
const absent = (path: ReadonlyArray<string>, issue: SchemaIssue.Issue): Config.Config<never> =>
  Config.schema(
    Schema.UndefinedOr(Schema.String).pipe(
      Schema.decodeTo(
        Schema.Never,
        SchemaTransformation.transformEffect<never, string | undefined>({
          decode: () => Effect.fail(issue),
          encode: (value) => value
        })
      )
    ),
    path
  )

/**
 * The tree of options from the variables and records, on top of a base.
 */
export const treeOf = (
  base: Tree,
  { nested, texts }: Found,
  variables: ReadonlyArray<Variable>,
  valueOf: (option: string, text: string) => unknown
): Tree => {
  const tree: Record<string, unknown> = { ...base, ...nested }
  for (const { name, path: [first, second] } of variables) {
    const text = texts[name]
    if (text === undefined) continue
    if (second === undefined) tree[first] = valueOf(first, text)
    else {
      const group = tree[first]
      tree[first] = { ...(typeof group === "object" ? group : undefined), [second]: valueOf(second, text) }
    }
  }
  return tree
}

/** Numbers and booleans as strings, as in the environment. */
export const toTexts = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(toTexts)
  if (isPlain(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toTexts(inner)]))
  }
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value
}
