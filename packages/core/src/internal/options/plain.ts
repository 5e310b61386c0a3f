/**
 * Checks option records that no schema decodes: their keys and the values. All mistakes of a record are found at once,
 * and no check throws. Errors name values by their kind only, because any value may be a secret.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { InvalidOptions, MqttError } from "../../MqttError.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import { kindOf } from "../valueNames.ts"
import { expectedDuration, parseMillis } from "./durations.ts"

/** The error text for an unknown key. */
export const noSuchOption = "no such option"

/** Describes what is wrong with a value; undefined: nothing. */
export type Check = (value: unknown) => string | undefined

/** A check for every option of a type. The compiler reports a missing check. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check }

/**
 * Every problem of a record of options. An undefined value counts as absent.
 */
export const optionsIssues = (options: unknown, checks: { readonly [name: string]: Check }): Array<OptionsIssue> => {
  if (!isRecord(options)) return [{ path: "", message: `expected a record of options, got ${kindOf(options)}` }]
  const issues: Array<OptionsIssue> = []
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue
    const message = Object.hasOwn(checks, key) ? checks[key]!(value) : noSuchOption
    if (message !== undefined) issues.push({ path: key, message })
  }
  return issues
}

/** Whether a value can hold options. */
export const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Whether a value is a plain record as JSON makes it, and no instance of a class. */
export const isPlain = (value: unknown): value is { readonly [key: string]: unknown } => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The same record without undefined keys, also in nested records. */
export const withoutUndefined = <A>(value: A): A =>
  isPlain(value)
    ? Object.fromEntries(
      Object.entries(value).filter(([, inner]) => inner !== undefined).map((
        [key, inner]
      ) => [key, withoutUndefined(inner)])
    ) as A
    : value

/** True or false. */
export const flag: Check = (value) => typeof value === "boolean" ? undefined : "must be true or false"

/** A whole number. */
export const integer = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Check => (value) =>
  typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum
    ? undefined
    : maximum === Number.MAX_SAFE_INTEGER
    ? `must be an integer of at least ${minimum}`
    : `must be an integer from ${minimum} to ${maximum}`

/** One of several strings. */
export const oneOf = (...texts: ReadonlyArray<string>): Check => (value) =>
  typeof value === "string" && texts.includes(value) ? undefined : `must be one of ${texts.join(", ")}`

/** A string. */
export const text: Check = (value) => typeof value === "string" ? undefined : `must be a text, got ${kindOf(value)}`

/** A function. */
export const callable: Check = (value) =>
  typeof value === "function" ? undefined : `must be a function, got ${kindOf(value)}`

/** Any value: another place checks it. */
export const unchecked: Check = () => undefined

/** An error for invalid options; undefined: they are valid. */
export const refusal = (
  issues: ReadonlyArray<OptionsIssue>,
  method: string,
  session?: unknown
): MqttError | undefined =>
  issues.length === 0 ? undefined : new MqttError({
    reason: new InvalidOptions({ issues }),
    method,
    ...(typeof session === "string" ? { session } : undefined)
  })

/**
 * Dies with an `MqttError` for invalid options: for layers and effects whose types have no failure. Undefined counts as
 * valid.
 */
export const orDie = (
  options: unknown,
  checks: { readonly [name: string]: Check },
  method: string
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const mistake = options === undefined ? undefined : refusal(optionsIssues(options, checks), method)
    return mistake === undefined ? Effect.void : Effect.die(mistake)
  })

/** A duration of 0 or more. */
export const duration: Check = (value) => parseMillis(value) === undefined ? expectedDuration : undefined

/** A record with options of its own. Only its first mistake is reported. */
export const recordOf = (checks: { readonly [name: string]: Check }): Check => (value) => {
  const [issue] = optionsIssues(value, checks)
  return issue === undefined || issue.path === "" ? issue?.message : `${issue.path}: ${issue.message}`
}

/** An object with this method. */
export const having = (method: string, what: string): Check => (value) =>
  isRecord(value) && typeof value[method] === "function" ? undefined : `must be ${what}, got ${kindOf(value)}`

/** An array. */
export const list: Check = (value) => Array.isArray(value) ? undefined : `must be an array, got ${kindOf(value)}`

/** An array of strings. */
export const texts: Check = (value) =>
  Array.isArray(value) && Array.from(value as ReadonlyArray<unknown>).every((item) => typeof item === "string")
    ? undefined
    : "must be an array of texts"

/** A layer that dies with an `MqttError` for invalid options. */
export const checkedLayer = <A, E, R>(
  options: unknown,
  checks: { readonly [name: string]: Check },
  method: string,
  make: () => Layer.Layer<A, E, R>
): Layer.Layer<A, E, R> => Layer.unwrap(Effect.map(orDie(options, checks, method), make))
