/**
 * Checks the arguments of tests, because a misspelled option would test something else. A mistake of a test is a
 * defect, not a failure that it could handle: an `MqttError` that names every invalid option.
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import { isQoS } from "@effect-mqttx/core/QoS"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

interface Issue {
  readonly path: string
  readonly message: string
}

/** Describes what is wrong with a value; undefined: nothing. */
export type Check = (value: unknown) => string | undefined

/** A check for every option of a type. The compiler reports a missing check. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check }

type AnyChecks = { readonly [name: string]: Check }

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const rule = (isRight: (value: unknown) => boolean, message: string): Check => (value) =>
  isRight(value) ? undefined : message

export const anything: Check = () => undefined
export const flag = rule((value) => typeof value === "boolean", "must be true or false")
export const text = rule((value) => typeof value === "string", "must be a text")
export const callable = rule((value) => typeof value === "function", "must be a function")
export const bytes = rule((value) => value instanceof Uint8Array, "must be a Uint8Array")
export const qos = rule(isQoS, "must be 0, 1 or 2")
export const record = rule(isRecord, "must be a record")

/** A number within two bounds; Infinity is allowed if there is no upper bound. */
export const number = (minimum: number, maximum: number = Infinity): Check =>
  rule(
    (value) => typeof value === "number" && value >= minimum && value <= maximum,
    `must be a number ${maximum === Infinity ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`}`
  )

/** A whole number within two bounds. */
export const integer = (minimum: number, maximum: number): Check =>
  rule(
    (value) => Number.isInteger(value) && number(minimum, maximum)(value) === undefined,
    `must be an integer from ${minimum} to ${maximum}`
  )

export const oneOf = (...values: ReadonlyArray<string>): Check =>
  rule((value) => values.some((each) => each === value), `must be one of ${values.join(", ")}`)

/** One of two kinds. */
export const either = (one: Check, other: Check): Check => (value) => {
  const message = one(value)
  return message === undefined || other(value) === undefined ? undefined : `${message}, or ${other(value)}`
}

export const duration = rule((value) => {
  if (typeof value === "number") return value >= 0
  const read = Duration.fromInput(value as Duration.Input)
  return Option.isSome(read) && Duration.toMillis(read.value) >= 0 &&
    (typeof value !== "object" || Duration.isDuration(value))
}, "must be a duration")

export const listOf = (item: Check): Check => (value) => {
  if (!Array.isArray(value)) return "must be an array"
  return Array.from(value, (each) => item(each)).find((message) => message !== undefined)
}

/** A record whose values all pass one check. */
export const valuesOf = (item: Check): Check => (value) =>
  record(value) ?? Object.values(value as object).map(item).find((message) => message !== undefined)

/** A record with options of its own. */
export const recordOf = (checks: AnyChecks): Check => (value) => {
  const [issue] = issuesOf(value, checks)
  return issue === undefined || issue.path === "" ? issue?.message : `${issue.path}: ${issue.message}`
}

/** An object with these methods. */
export const having = (...methods: ReadonlyArray<string>): Check =>
  rule(
    (value) => isRecord(value) && methods.every((method) => typeof value[method] === "function"),
    `must be an object with ${methods.join(", ")}`
  )

const issuesOf = (value: unknown, checks: AnyChecks): ReadonlyArray<Issue> => {
  if (!isRecord(value)) return [{ path: "", message: "expected a record of options" }]
  const issues: Array<Issue> = []
  for (const [key, given] of Object.entries(value)) {
    if (given === undefined) continue
    const message = Object.hasOwn(checks, key) ? checks[key]!(given) : "no such option"
    if (message !== undefined) issues.push({ path: key, message })
  }
  return issues
}

/** The mistake in options; undefined: none. Undefined options are valid. */
export const mistakeOf = (method: string, options: unknown, checks: AnyChecks): MqttError | undefined => {
  const issues = options === undefined ? [] : issuesOf(options, checks)
  return issues.length === 0 ? undefined : new MqttError({ method, reason: new InvalidOptions({ issues }) })
}

/** The same options, with null for required ones that are absent. */
export const requiredOf = (options: unknown, ...names: ReadonlyArray<string>): unknown =>
  isRecord(options)
    ? { ...Object.fromEntries(names.map((name) => [name, null])), ...definedOf(options) }
    : options ?? null

const definedOf = (options: { readonly [key: string]: unknown }): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

/** The same for arguments by their names, all of which are required. */
export const mistakeIn = (
  method: string,
  given: { readonly [name: string]: unknown },
  checks: AnyChecks
): MqttError | undefined =>
  mistakeOf(method, Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? null])), checks)

export const orDie = (mistake: () => MqttError | undefined): Effect.Effect<void> =>
  Effect.suspend(() => {
    const error = mistake()
    return error === undefined ? Effect.void : Effect.die(error)
  })

export const orThrow = (mistake: MqttError | undefined): void => {
  if (mistake !== undefined) throw mistake
}
