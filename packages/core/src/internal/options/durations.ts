/**
 * Parses durations as users write them, strictly. Invalid durations are errors here, whereas `Duration.fromInput` takes
 * `NaN`, an empty record and a record of unknown units for zero.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units: ReadonlySet<string> = new Set([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

const isNumeric = /^\d+(?:\.\d+)?$/

/**
 * Parses a duration of any form: a `Duration`, milliseconds (a number, or digits in a string), a string such as "30
 * seconds", nanoseconds as a bigint, a pair of seconds and nanoseconds, or a record of units. Undefined for anything
 * else.
 */
export const parseDuration = (value: unknown): Duration.Duration | undefined => {
  switch (typeof value) {
    case "number":
      return Number.isNaN(value) ? undefined : Duration.millis(value)
    case "string":
      return isNumeric.test(value) ? Duration.millis(Number(value)) : fromInput(value)
    case "bigint":
      return fromInput(value)
    case "object":
      return value === null ? undefined : parseRecord(value)
    default:
      return undefined
  }
}

// `fromInput` checks at run time what is a duration; its type only helps with literals.
const fromInput = (value: unknown): Duration.Duration | undefined =>
  Option.getOrUndefined(Duration.fromInput(value as Duration.Input))

const parseRecord = (value: object): Duration.Duration | undefined => {
  if (Duration.isDuration(value)) return value
  if (Array.isArray(value)) {
    return value.length === 2 && value.every((part) => typeof part === "number" && !Number.isNaN(part))
      ? fromInput(value)
      : undefined
  }
  let count = 0
  for (const [unit, amount] of Object.entries(value)) {
    if (!units.has(unit) || typeof amount !== "number" || Number.isNaN(amount)) return undefined
    count++
  }
  return count === 0 ? undefined : fromInput(value)
}

/** Milliseconds of a duration of 0 or more; undefined for anything else. */
export const parseMillis = (value: unknown): number | undefined => {
  const duration = parseDuration(value)
  if (duration === undefined) return undefined
  const millis = Duration.toMillis(duration)
  return millis >= 0 ? millis : undefined
}

/** The error text when `parseMillis` returns undefined. */
export const expectedDuration = "must be a duration of 0 or more, for example \"30 seconds\""
