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
    if (this.#buckets === undefined) return noLatencies(bounds)
    const { counts, sums } = this.#buckets
    const count = counts.reduce((sum, each) => sum + each, 0)
    return {
      count,
      total: sums[0]!,
      min: sums[1]!,
      max: sums[2]!,
      bounds,
      buckets: Array.from(counts)
    }
  }
}

/** Adds two distributions with the same bounds. */
export const addLatencies = (a: Latencies, b: Latencies): Latencies => {
  // Of most sessions: the sum over thousands of them would add up zeros.
  if (b.count === 0) return a
  if (a.count === 0) return b
  return {
    count: a.count + b.count,
    total: a.total + b.total,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    bounds: a.bounds,
    buckets: a.buckets.map((count, index) => count + b.buckets[index]!)
  }
}

const empty = new WeakMap<ReadonlyArray<number>, Latencies>()

/** An empty distribution: one object for all sessions, because a snapshot has two of each of them. */
export const noLatencies = (bounds: ReadonlyArray<number>): Latencies => {
  let none = empty.get(bounds)
  if (none === undefined) {
    const buckets = Object.freeze(Array.from({ length: bounds.length + 1 }, () => 0))
    empty.set(bounds, none = Object.freeze({ count: 0, total: 0, min: 0, max: 0, bounds, buckets }))
  }
  return none
}
