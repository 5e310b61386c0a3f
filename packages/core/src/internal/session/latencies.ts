/**
 * Counts durations in fixed buckets. One sample costs a few comparisons and three additions.
 */
import type { Latencies } from "../../SessionStatus.ts"

/** Bucket bounds for acknowledgements by a server, in milliseconds. */
export const acknowledgementBounds: ReadonlyArray<number> = Object.freeze([
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1000,
  2000,
  5000,
  10_000,
  30_000,
  60_000
])

/** Bucket bounds for commits to a disk, in milliseconds. */
export const commitBounds: ReadonlyArray<number> = Object.freeze([
  0.1,
  0.2,
  0.5,
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1000,
  5000,
  30_000
])

/**
 * Numbers that change with every message are in typed arrays, because a field with a fraction or a large number may
 * cost an allocation per change.
 */
interface Buckets {
  readonly bounds: Float64Array
  readonly counts: Float64Array
  /** Total, minimum, maximum. */
  readonly sums: Float64Array
}

const makeBuckets = (bounds: ReadonlyArray<number>): Buckets => ({
  bounds: Float64Array.from(bounds),
  counts: new Float64Array(bounds.length + 1),
  sums: Float64Array.of(0, Infinity, 0)
})

export class LatencyRecorder {
  readonly #bounds: ReadonlyArray<number>
  /** Made with the first duration, because a program may have many idle sessions. */
  #buckets: Buckets | undefined

  constructor(bounds: ReadonlyArray<number>) {
    this.#bounds = bounds
  }

  record(millis: number): void {
    const { bounds, counts, sums } = this.#buckets ??= makeBuckets(this.#bounds)
    let index = 0
    while (index < bounds.length && millis > bounds[index]!) index++
    counts[index]!++
    sums[0]! += millis
    if (millis < sums[1]!) sums[1] = millis
    if (millis > sums[2]!) sums[2] = millis
  }

  get latencies(): Latencies {
    const bounds = this.#bounds
    const { counts, sums } = this.#buckets ?? makeBuckets(bounds)
    const count = counts.reduce((sum, each) => sum + each, 0)
    return {
      count,
      total: sums[0]!,
      min: count === 0 ? 0 : sums[1]!,
      max: sums[2]!,
      bounds,
      buckets: Array.from(counts)
    }
  }
}

/** Adds two distributions with the same bounds. */
export const addLatencies = (a: Latencies, b: Latencies): Latencies => ({
  count: a.count + b.count,
  total: a.total + b.total,
  min: a.count === 0 || b.count === 0 ? a.min + b.min : Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
  bounds: a.bounds,
  buckets: a.buckets.map((count, index) => count + b.buckets[index]!)
})

/** An empty distribution. */
export const noLatencies = (bounds: ReadonlyArray<number>): Latencies => new LatencyRecorder(bounds).latencies
