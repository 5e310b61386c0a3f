/**
 * Distributions of durations: what a sample changes, and what a sum is.
 */
import { assert, describe, it } from "@effect/vitest"
import { addLatencies, LatencyRecorder, noLatencies } from "../../src/internal/session/latencies.ts"

const bounds = [1, 10, 100]

const recorded = (...samples: ReadonlyArray<number>) => {
  const recorder = new LatencyRecorder(bounds)
  for (const sample of samples) recorder.record(sample)
  return recorder.latencies
}

describe("latencies", () => {
  it("an empty distribution stays empty when its recorder, or another one, gets samples", () => {
    const recorder = new LatencyRecorder(bounds)
    const before = recorder.latencies
    recorder.record(5)
    assert.deepStrictEqual(before, { count: 0, total: 0, min: 0, max: 0, bounds, buckets: [0, 0, 0, 0] })
    assert.deepStrictEqual(recorder.latencies, { count: 1, total: 5, min: 5, max: 5, bounds, buckets: [0, 1, 0, 0] })
    assert.deepStrictEqual(new LatencyRecorder(bounds).latencies, before)
    // Distributions with other bounds have their own.
    assert.deepStrictEqual(noLatencies([7]), { count: 0, total: 0, min: 0, max: 0, bounds: [7], buckets: [0, 0] })
  })

  it("a sum has the samples of both, with empty ones on either side", () => {
    const a = recorded(0.5, 5)
    const b = recorded(50, 500)
    const sum = { count: 4, total: 555.5, min: 0.5, max: 500, bounds, buckets: [1, 1, 1, 1] }
    assert.deepStrictEqual(addLatencies(a, b), sum)
    assert.deepStrictEqual(addLatencies(b, a), sum)
    assert.deepStrictEqual(addLatencies(a, noLatencies(bounds)), a)
    assert.deepStrictEqual(addLatencies(noLatencies(bounds), a), a)
    assert.deepStrictEqual(addLatencies(noLatencies(bounds), noLatencies(bounds)), noLatencies(bounds))
  })
})
