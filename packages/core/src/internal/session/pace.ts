/**
 * Paces the reports of a repeated event: at once, then after a pause that doubles each time up to a maximum, each
 * report with the count since the last one. After a quiet time as long as its pause, an event is new and reported at
 * once.
 *
 * It does not report anything itself and has no clock: the caller gives times in milliseconds of a monotonic clock.
 */

/** The longest pause, in milliseconds. */
export const longestPause = 600_000

export class Pace {
  readonly #first: number
  /** 0: the next event is reported at once. */
  #pause = 0
  #toldAt = -Infinity
  #seenAt = -Infinity
  #untold = 0

  constructor(firstPause: number) {
    this.#first = firstPause
  }

  /** Counts an event. Answers the number since the last report when one is due, otherwise 0. */
  note(now: number, count = 1): number {
    if (now - this.#seenAt > this.#pause && now - this.#toldAt > this.#pause) this.#pause = 0
    this.#seenAt = now
    this.#untold += count
    return this.take(now)
  }

  /** Takes the count when a report is due, otherwise 0. */
  take(now: number): number {
    return now < this.dueAt ? 0 : this.#tell(now)
  }

  /** Takes the unreported count, due or not. */
  takeAll(now: number): number {
    return this.#untold === 0 ? 0 : this.#tell(now)
  }

  /** When the next report is due; Infinity: everything is reported. */
  get dueAt(): number {
    return this.#untold === 0 ? Infinity : this.#toldAt + this.#pause
  }

  #tell(now: number): number {
    const count = this.#untold
    this.#untold = 0
    this.#toldAt = now
    this.#pause = this.#pause === 0 ? this.#first : Math.min(longestPause, this.#pause * 2)
    return count
  }
}
