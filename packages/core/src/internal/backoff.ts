/**
 * The increasing delays after temporary failures: of handlers, of transformers, and of refused dead letters.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

/**
 * One second, doubled up to a minute, without end. Each delay is a random time between half of it and all of it.
 */
export const backoff: Schedule.Schedule<unknown> = Schedule.modifyDelay(
  Schedule.min([Schedule.exponential("1 second", 2), Schedule.spaced("1 minute")]),
  ({ duration }) =>
    Effect.map(Random.next, (random) => Duration.millis(Duration.toMillis(duration) * (0.5 + 0.5 * random)))
)

/**
 * The delay after a failure, in whole milliseconds; undefined when the schedule has ended.
 */
export type NextDelay<Input, R> = (input: Input) => Effect.Effect<number | undefined, never, R>

/**
 * Starts a schedule.
 */
export const delaysOf = <Input, R>(
  schedule: Schedule.Schedule<unknown, Input, never, R>
): Effect.Effect<NextDelay<Input, R>, never, R> =>
  Effect.map(
    Schedule.toStep(schedule),
    (step) => (input) =>
      Effect.clockWith((clock) => step(clock.currentTimeMillisUnsafe(), input)).pipe(
        Effect.map(([, delay]): number | undefined => Math.ceil(Duration.toMillis(delay))),
        Pull.catchDone(() => Effect.succeed(undefined))
      )
  )
