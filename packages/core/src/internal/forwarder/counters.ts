/**
 * The running counters of a forwarder, see `ForwarderMetrics`. The clocks are read once for all messages that are
 * forwarded in one turn of the event loop, and not for each.
 */
import type * as Clock from "effect/Clock"
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { MqttError } from "../../MqttError.ts"
import { monotonicMillis } from "../time.ts"

/** Length of the window over which rates are computed, in seconds. */
const window = 10

/** Counts the events of the last seconds. */
export class Rate {
  readonly #counts: Array<number> = Array.from({ length: window + 1 }, () => 0)
  #second = 0
  #since: number | undefined = undefined

  add(now: number, count = 1): void {
    this.#counts[this.#advance(now) % (window + 1)]! += count
  }

  /** Events per second, over the whole seconds that have passed, at most ten. */
  at(now: number): number {
    const second = this.#advance(now)
    const passed = Math.min(window, second - this.#since!)
    if (passed <= 0) return this.#counts[second % (window + 1)]!
    let total = 0
    for (let i = 1; i <= passed; i++) total += this.#counts[(second - i) % (window + 1)]!
    return total / passed
  }

  #advance(now: number): number {
    const second = Math.floor(now / 1000)
    if (this.#since === undefined) {
      this.#since = second
      this.#second = second
    }
    if (second <= this.#second) return this.#second
    const from = Math.max(this.#second + 1, second - window)
    for (let i = from; i <= second; i++) this.#counts[i % (window + 1)] = 0
    return this.#second = second
  }
}

export class Counters {
  readonly #clock: Clock.Clock
  /** Forwarded messages whose time is not noted yet. */
  #untimed = 0
  received = 0
  forwarded = 0
  filtered = 0
  readonly dropped: { -readonly [Reason in keyof ForwarderDrops]: number } = {
    unmapped: 0,
    transformed: 0,
    looped: 0,
    tooManyHops: 0,
    expired: 0,
    overflow: 0,
    targetQueue: 0,
    stopped: 0
  }
  deadLettered = 0
  failed = 0
  duplicates = 0
  returned = 0
  retried = 0
  refusedLater = 0
  bytesForwarded = 0
  lastForwardedAt: number | undefined = undefined
  lastErrorAt: number | undefined = undefined
  lastError: MqttError | undefined = undefined
  readonly receivedRate = new Rate()
  readonly forwardedRate = new Rate()

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  noteForwarded(bytes: number): void {
    this.forwarded++
    this.bytesForwarded += bytes
    if (this.#untimed++ === 0) queueMicrotask(this.noteTime)
  }

  /** Notes the time of the messages that were forwarded in this turn. */
  readonly noteTime = (): void => {
    if (this.#untimed === 0) return
    this.forwardedRate.add(monotonicMillis(this.#clock), this.#untimed)
    this.lastForwardedAt = this.#clock.currentTimeMillisUnsafe()
    this.#untimed = 0
  }

  error(error: MqttError, now: number): void {
    this.lastError = error
    this.lastErrorAt = now
  }
}
