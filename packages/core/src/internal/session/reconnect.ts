/**
 * When to connect again: the user's schedule, and longer waits where trying soon cannot help.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { ConnectionLost, MqttError } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { permanence } from "../classification.ts"
import { isClosedByPeer } from "./endedByServer.ts"

/**
 * A reconnect policy: gets the failure, says when to try again, or that it is over.
 */
export type ReconnectSchedule = Schedule.Schedule<unknown, MqttError>

/**
 * The schedule that the options describe; `slowdown` is asked for each delay, and multiplies it up to `maxDelay`.
 */
export const fromOptions = (
  options: SessionOptions["reconnect"],
  slowdown: () => number = () => 1
): ReconnectSchedule => {
  if (!options.enabled) return Schedule.recurs(0)
  const maximum = Duration.toMillis(options.maxDelay)
  const capped = Schedule.min([
    Schedule.exponential(options.initialDelay, options.factor),
    Schedule.spaced(options.maxDelay)
  ])
  const floor = { none: 1, equal: 0.5, full: 0 }[options.jitter]
  return Schedule.modifyDelay(
    capped,
    ({ duration }) => {
      const delay = Math.min(maximum, Duration.toMillis(duration) * slowdown())
      return floor === 1
        ? Effect.succeed(Duration.millis(delay))
        : Effect.map(Random.next, (random) => Duration.millis(delay * (floor + (1 - floor) * random)))
    }
  )
}

/** A connection that ended sooner than this after CONNACK, in milliseconds, may have been taken over. */
const shortLived = 10_000

/** So many such connections in a row are no accident any more. */
const suspicious = 3

/** How many steps of the schedule each of them skips from then on. */
const skippedSteps = 4

/**
 * Whether the server, or someone before it, ended the connection and did not say why. Nothing else is seen of a
 * takeover on MQTT 3.1.1, which has no DISCONNECT from the server, and at old servers of MQTT 5. "Normal disconnection"
 * and "Unspecified error" say nothing either.
 */
const isUnexplained = ({ code, reasonCode }: ConnectionLost): boolean =>
  reasonCode === undefined
    ? isClosedByPeer(code)
    : reasonCode === ReasonCode.success || reasonCode === ReasonCode.unspecifiedError

/**
 * What to do after a failure: wait this many milliseconds, or give up.
 */
export type Decision = { readonly _tag: "Wait"; readonly delay: number } | { readonly _tag: "GiveUp" }

/**
 * Steps through the schedule; after a permanent failure the delay is at least `permanentDelay`, or it is over.
 *
 * Two clients with one client identifier take each other's session over again and again. With the schedule alone, which
 * begins with short delays, they would keep the server busy. Therefore the third connection in a row that ended within
 * ten seconds and without a reason skips four steps of the schedule, and so does each further one that was not stable,
 * up to `maxDelay`: two clients with the default options make at most 12 CONNECTs in a minute. The count begins again
 * after a connection that was stable, and after an attempt that failed. A constant delay (`factor` 1) and a schedule of
 * the user's own are left alone.
 */
export class Reconnect {
  readonly #schedule: ReconnectSchedule | undefined
  readonly #options: SessionOptions["reconnect"]
  #shortConnections = 0
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
      this.#step ??= yield* begin(this.#schedule ?? fromOptions(options, () => this.#slowdown()))
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

  /**
   * A connection ended after so many milliseconds. After one that was stable the schedule begins again. Answers the
   * error, with what is suspected.
   */
  ended(error: MqttError, lasted: number): MqttError {
    if (lasted >= Duration.toMillis(this.#options.stableAfter)) {
      this.#step = undefined
      this.#shortConnections = 0
      return error
    }
    const { reason } = error
    if (reason._tag !== "ConnectionLost" || !isUnexplained(reason)) return error
    // Once it is suspected, any that was not stable counts: the other client takes its time too.
    if (lasted < shortLived || this.#shortConnections >= suspicious) this.#shortConnections++
    if (this.#shortConnections < suspicious) return error
    return new MqttError({
      session: error.session,
      reason: new ConnectionLost({ ...reason, shortConnections: this.#shortConnections })
    })
  }

  /** No connection came about: what keeps the session from its server is not another client. */
  failed(): void {
    this.#shortConnections = 0
  }

  #slowdown(): number {
    return this.#options.factor ** (skippedSteps * Math.max(0, this.#shortConnections - suspicious + 1))
  }
}

const begin = (schedule: ReconnectSchedule) => Schedule.toStep(schedule)
