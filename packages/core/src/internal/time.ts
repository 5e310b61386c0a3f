/**
 * Monotonic time: what durations and deadlines are measured by. The wall clock may be set at any moment; it is for
 * points in time only, those that users see and those that are stored.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds since some moment, which never jump and never go back. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** The same of the fiber's clock. */
export const monotonicNow: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => monotonicMillis(clock))
)
