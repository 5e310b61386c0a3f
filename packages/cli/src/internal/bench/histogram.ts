/**
 * Counts durations in buckets of a bounded number, each at most 1.6 % wide, so that a long run takes no more memory
 * than a short one. The maximum is exact.
 */

/** Buckets of a power of two. */
const steps = 64
const powers = 40

export class Histogram {
  readonly #counts = new Float64Array(steps * powers)
  #count = 0
  #maximum = 0

  get count(): number {
    return this.#count
  }

  /** In milliseconds. */
  get maximum(): number {
    return this.#maximum
  }

  /** Takes a duration in milliseconds. */
  add(millis: number): void {
    const micros = Math.max(1, millis * 1000)
    const power = Math.floor(Math.log2(micros))
    const step = Math.floor((micros / 2 ** power - 1) * steps)
    const bucket = Math.min(this.#counts.length - 1, power * steps + step)
    this.#counts[bucket] = this.#counts[bucket]! + 1
    this.#count++
    if (millis > this.#maximum) this.#maximum = millis
  }

  /** The duration in milliseconds that this share of all durations, 0 to 1, does not exceed; 0 without any. */
  percentile(share: number): number {
    const wanted = Math.ceil(share * this.#count)
    let count = 0
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      count += this.#counts[bucket]!
      if (count >= wanted) {
        const power = Math.floor(bucket / steps)
        const step = bucket - power * steps
        const upper = 2 ** power * (1 + (step + 1) / steps) / 1000
        return Math.min(upper, this.#maximum)
      }
    }
    return 0
  }
}
