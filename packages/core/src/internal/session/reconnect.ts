/**
 * Decides when to connect again: by the user's schedule, and later than that where an early attempt cannot help. The
 * supervisor calls it. It never connects.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { ConnectionLost, MqttError } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { ReconnectSchedule, SessionOptions } from "../../SessionOptions.ts"
import { isClosedByPeer } from "./endedByServer.ts"

/**
 * The schedule that the options describe. Each delay is multiplied by `slowdown()`, up to `maxDelay`.
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

/** From this number of such connections in a row on, a takeover is suspected. */
const suspicious = 3

/** Number of steps of the schedule that each further one skips. */
const skippedSteps = 4

/**
 * Whether the peer ended the connection without a reason. A takeover looks like this on MQTT 3.1.1, whose server sends
 * no DISCONNECT, and with old MQTT 5 servers. "Normal disconnection" and "Unspecified error" give no reason either.
 */
const isUnexplained = ({ code, reasonCode }: ConnectionLost): boolean =>
  reasonCode === undefined
    ? isClosedByPeer(code)
    : reasonCode === ReasonCode.success || reasonCode === ReasonCode.unspecifiedError

/** Reason codes by which a server asks for fewer connections or packets. */
const throttling: ReadonlySet<number | undefined> = new Set([
  ReasonCode.serverBusy,
  ReasonCode.messageRateTooHigh,
  ReasonCode.quotaExceeded,
  ReasonCode.connectionRateExceeded
])

const isThrottled = ({ reason }: MqttError): boolean => "reasonCode" in reason && throttling.has(reason.reasonCode)

/**
 * What to do after a failure: wait this many milliseconds, or give up.
 */
export type Decision = { readonly _tag: "Wait"; readonly delay: number } | { readonly _tag: "GiveUp" }

/**
 * Steps through the schedule. After a permanent failure the delay is at least `permanentDelay`, or there is no further
 * attempt.
 *
 * Two clients with one client identifier take over each other's session repeatedly. The schedule alone begins with
 * short delays, so they would keep the server busy. Therefore the third connection in a row that ended within ten
 * seconds and without a reason skips four steps of the schedule, and so does each further one that was not stable, up
 * to `maxDelay`. Two clients with the default options then send at most 12 CONNECTs in a minute. The count restarts
 * after a stable connection, and after a failed attempt. A server that says that it is busy, or that a rate or quota
 * is exceeded, gets the same: each such failure in a row skips four steps. A constant delay (`factor` 1) and a user's
 * own schedule are not changed.
 */
export class Reconnect {
  readonly #schedule: ReconnectSchedule | undefined
  readonly #options: SessionOptions["reconnect"]
  #shortConnections = 0
  /** Failures in a row by which the server asked for less. */
  #throttled = 0
  // Made with the first failure, because a schedule takes memory and most sessions have no failure.
  #step: Effect.Success<ReturnType<typeof begin>> | undefined

  constructor({ reconnect, reconnectSchedule }: Pick<SessionOptions, "reconnect" | "reconnectSchedule">) {
    this.#schedule = reconnectSchedule
    this.#options = reconnect
  }

  /** The delay after this failure. */
  next(error: MqttError): Effect.Effect<Decision> {
    return Effect.gen({ self: this }, function*() {
      const options = this.#options
      const permanent = !error.isRetryable
      this.#throttled = isThrottled(error) ? this.#throttled + 1 : 0
      if (permanent && options.onPermanentFailure === "stop") return { _tag: "GiveUp" }
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      this.#step ??= yield* begin(this.#schedule ?? fromOptions(options, () => this.#slowdown()))
      return yield* this.#step(now, error).pipe(
        Effect.map(([, duration]): Decision => ({
          _tag: "Wait",
          // Whole milliseconds, as timers use them, so that the announced delay is the real one.
          delay: Math.ceil(
            Math.max(Duration.toMillis(duration), permanent ? Duration.toMillis(options.permanentDelay) : 0)
          )
        })),
        Pull.catchDone(() => Effect.succeed<Decision>({ _tag: "GiveUp" }))
      )
    })
  }

  /**
   * A connection ended after this many milliseconds. After a stable one the schedule restarts. Answers the error, with
   * the suspected takeover.
   */
  ended(error: MqttError, lasted: number): MqttError {
    if (lasted >= Duration.toMillis(this.#options.stableAfter)) {
      this.#step = undefined
      this.#shortConnections = 0
      return error
    }
    const { reason } = error
    if (reason._tag !== "ConnectionLost" || !isUnexplained(reason)) return error
    // Once a takeover is suspected, every connection that was not stable counts, because the other client may wait
    // longer.
    if (lasted < shortLived || this.#shortConnections >= suspicious) this.#shortConnections++
    if (this.#shortConnections < suspicious) return error
    return new MqttError({
      session: error.session,
      reason: new ConnectionLost({ ...reason, shortConnections: this.#shortConnections })
    })
  }

  /** An attempt failed: another client is not the cause. */
  failed(): void {
    this.#shortConnections = 0
  }

  #slowdown(): number {
    const suspected = Math.max(0, this.#shortConnections - suspicious + 1)
    return this.#options.factor ** (skippedSteps * (suspected + this.#throttled))
  }
}

const begin = (schedule: ReconnectSchedule) => Schedule.toStep(schedule)
