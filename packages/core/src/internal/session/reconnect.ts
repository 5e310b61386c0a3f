/**
 * When to connect again: the user's schedule, and longer waits where trying soon cannot help.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { MqttError } from "../../MqttError.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { permanence } from "../classification.ts"

/**
 * A reconnect policy: gets the failure, says when to try again, or that it is over.
 */
export type ReconnectSchedule = Schedule.Schedule<unknown, MqttError>

/**
 * The schedule that the options describe.
 */
export const fromOptions = (options: SessionOptions["reconnect"]): ReconnectSchedule => {
  if (!options.enabled) return Schedule.recurs(0)
  const capped = Schedule.min([
    Schedule.exponential(options.initialDelay, options.factor),
    Schedule.spaced(options.maxDelay)
  ])
  if (options.jitter === "none") return capped
  const floor = options.jitter === "equal" ? 0.5 : 0
  return Schedule.modifyDelay(
    capped,
    ({ duration }) =>
      Effect.map(Random.next, (random) => Duration.millis(Duration.toMillis(duration) * (floor + (1 - floor) * random)))
  )
}

/**
 * What to do after a failure: wait this many milliseconds, or give up.
 */
export type Decision = { readonly _tag: "Wait"; readonly delay: number } | { readonly _tag: "GiveUp" }

/**
 * Steps through the schedule; after a permanent failure the delay is at least `permanentDelay`, or it is over.
 */
export class Reconnect {
  readonly #schedule: ReconnectSchedule | undefined
  readonly #options: SessionOptions["reconnect"]
  // Begins with the first failure: most sessions have none, and a schedule takes its memory.
  #step: Effect.Success<ReturnType<typeof begin>> | undefined

  constructor(schedule: ReconnectSchedule | undefined, options: SessionOptions["reconnect"]) {
    this.#schedule = schedule
    this.#options = options
  }

  /** The delay after this failure. */
  next(error: MqttError): Effect.Effect<Decision> {
    return Effect.gen({ self: this }, function*() {
      const options = this.#options
      const permanent = permanence(error.reason) === "permanent"
      if (permanent && options.onPermanentFailure === "stop") return { _tag: "GiveUp" }
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      this.#step ??= yield* begin(this.#schedule ?? fromOptions(options))
      return yield* this.#step(now, error).pipe(
        Effect.map(([, duration]): Decision => ({
          _tag: "Wait",
          // Whole milliseconds, as timers have them: what is announced is what is waited.
          delay: Math.ceil(
            Math.max(Duration.toMillis(duration), permanent ? Duration.toMillis(options.permanentDelay) : 0)
          )
        })),
        Pull.catchDone(() => Effect.succeed<Decision>({ _tag: "GiveUp" }))
      )
    })
  }

  /** A connection was stable: the schedule starts anew. */
  reset(): void {
    this.#step = undefined
  }
}

const begin = (schedule: ReconnectSchedule) => Schedule.toStep(schedule)
