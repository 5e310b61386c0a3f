/**
 * The flag `--until`: a duration from now on, or a time. `sub` calls it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** When something ends. */
export type End = { readonly after: Duration.Duration } | { readonly at: number }

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

// A time without a zone is of the zone of this machine. A date alone would be one of UTC.
const time = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/i

/** Reads `30s`, `1.5h` or `2027-01-31T18:00`. */
export const endOf = (text: string): Option.Option<End> => {
  const duration = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text)
  if (duration !== null) {
    const millis = Number(duration[1]) * units[duration[2]!]!
    return millis > 0 && millis <= Number.MAX_SAFE_INTEGER
      ? Option.some({ after: Duration.millis(millis) })
      : Option.none()
  }
  const at = time.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(at) ? Option.none() : Option.some({ at })
}

/** Waits until then. The clock is read again every minute, because a machine that sleeps stops its timers. */
export const awaitEnd = (end: End): Effect.Effect<void> =>
  Effect.gen(function*() {
    const at = "at" in end ? end.at : (yield* Clock.currentTimeMillis) + Duration.toMillis(end.after)
    while (true) {
      const left = at - (yield* Clock.currentTimeMillis)
      if (left <= 0) return
      yield* Effect.sleep(Math.min(left, 60_000))
    }
  })
