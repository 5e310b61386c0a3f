/**
 * Decodes options with every issue at once, from values, JSON and the environment.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidOptions, type OptionsIssue } from "../errors/operation.ts"
import { issuesOf } from "../errors/schemaIssues.ts"
import { viewBytes } from "../payload.ts"
import { type Fields, FieldsSchema, type SessionOptions } from "./fields.ts"
import { isPlain } from "./plain.ts"
import { decodePresent } from "./presentOptions.ts"
import { issuesBetween } from "./rules.ts"
import { SessionOptionsSchema } from "./schema.ts"

const base64FromBytes = Schema.encodeSync(Schema.Uint8ArrayFromBase64)

type Plain = { readonly [key: string]: unknown }

/**
 * A value as JSON would hold it. Durations, secrets and bytes take a form that the schema decodes again, and undefined
 * keys are removed.
 */
export const toPlain = (value: unknown): unknown => {
  if (Duration.isDuration(value)) {
    return Duration.isFinite(value) ? Duration.toMillis(value) : "Infinity"
  }
  if (Redacted.isRedacted(value)) {
    return toPlain(Redacted.value(value))
  }
  if (typeof value === "bigint") {
    return Duration.toMillis(Duration.nanos(value))
  }
  if (Array.isArray(value)) {
    return value.map(toPlain)
  }
  if (!isPlain(value)) {
    const bytes = viewBytes(value)
    return bytes === undefined || bytes === "gone" ? value : { base64: base64FromBytes(bytes) }
  }
  // Not by assignment: JSON may contain the key `__proto__`, whose assignment would change the record's prototype.
  return Object.fromEntries(
    Object.entries(value).filter(([, inner]) => inner !== undefined).map(([key, inner]) => [key, toPlain(inner)])
  )
}

/** The same record without the value at a path. For an item of an array, the whole array is removed. */
const without = (record: Plain, path: ReadonlyArray<string>): Plain => {
  const [key, ...rest] = path
  if (key === undefined || !Object.hasOwn(record, key)) {
    return record
  }
  const { [key]: inner, ...others } = record
  return rest.length > 0 && isPlain(inner) ? { ...others, [key]: without(inner, rest) } : others
}

/**
 * The issues between the options that are valid on their own, although others are invalid. The invalid ones are removed
 * first, and the whole group when a group is incomplete without them.
 */
const furtherIssues = (
  decodeFields: (input: unknown) => Result.Result<Fields, Schema.SchemaError>,
  input: Plain,
  found: ReadonlyArray<OptionsIssue>
): ReadonlyArray<OptionsIssue> => {
  const broken = found.map((issue) => issue.path)
  let rest = input
  let next = broken.map((path) => path.split("."))
  for (let round = 0; round < 2; round++) {
    for (const path of next) {
      rest = without(rest, path)
    }
    const fields = decodeFields({ name: "?", servers: ["?"], ...rest })
    if (Result.isSuccess(fields)) {
      return issuesBetween(fields.success, broken).map(({ issue, path }) => ({ path: path.join("."), message: issue }))
    }
    next = issuesOf(fields.failure).map((issue) => issue.path.split(".").slice(0, 1))
    broken.push(...next.flat())
  }
  return []
}

const makeDecoder = (
  fields: Schema.ConstraintDecoder<Fields>,
  whole: Schema.ConstraintDecoder<SessionOptions>,
  fast: (input: unknown) => SessionOptions | undefined = () => undefined
): (input: unknown) => Result.Result<SessionOptions, InvalidOptions> => {
  const options = { errors: "all", onExcessProperty: "error" } as const
  const decodeFields = Schema.decodeUnknownResult(fields, options)
  const decodeWhole = Schema.decodeUnknownResult(whole, options)
  return (input) => {
    const plain = toPlain(input)
    const valid = fast(plain)
    if (valid !== undefined) return Result.succeed(valid)
    const decoded = decodeWhole(plain)
    if (Result.isSuccess(decoded)) {
      return Result.succeed(decoded.success)
    }
    const issues = [...issuesOf(decoded.failure)]
    if (isPlain(plain) && Result.isFailure(decodeFields(plain))) {
      issues.push(...furtherIssues(decodeFields, plain, issues))
    }
    return Result.fail(new InvalidOptions({ issues }))
  }
}

/** Decodes values and JSON. */
export const decodeValues: (input: unknown) => Result.Result<SessionOptions, InvalidOptions> = makeDecoder(
  FieldsSchema,
  SessionOptionsSchema,
  decodePresent
)

/** Decodes records whose leaves are strings, as in the environment. */
export const decodeTexts: (input: unknown) => Result.Result<SessionOptions, InvalidOptions> = makeDecoder(
  Schema.toCodecStringTree(FieldsSchema),
  Schema.toCodecStringTree(SessionOptionsSchema)
)
