/**
 * How often something is told that goes on and on: at once, then after a pause, then after twice that pause, up to a
 * longest one, each time with the count since it was told last. After a quiet time as long as its pause it is new, and
 * told at once again.
 *
 * It knows neither what is told nor to whom, and has no clock: times are milliseconds of a monotonic clock, given by
 * the caller.
 */

/** The longest pause, in milliseconds. */
export const longestPause = 600_000

export class Pace {
  readonly #first: number
  /** 0: what happens next is told at once. */
  #pause = 0
  #toldAt = -Infinity
  #seenAt = -Infinity
  #untold = 0

  constructor(firstPause: number) {
    this.#first = firstPause
  }

  /** Something happened: answers how often since the last line when a line is due, otherwise 0. */
  note(now: number, count = 1): number {
    if (now - this.#seenAt > this.#pause && now - this.#toldAt > this.#pause) this.#pause = 0
    this.#seenAt = now
    this.#untold += count
    return this.take(now)
  }

  /** The count that is due to be told now, otherwise 0. */
  take(now: number): number {
    return now < this.dueAt ? 0 : this.#tell(now)
  }

  /** The count that was not told, whether it is due or not. */
  takeAll(now: number): number {
    return this.#untold === 0 ? 0 : this.#tell(now)
  }

  /** When the next line is due; Infinity: nothing is untold. */
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
