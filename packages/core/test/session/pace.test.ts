import { assert, describe, it } from "@effect/vitest"
import { longestPause, Pace } from "../../src/internal/session/pace.ts"

const second = 1000

/** Something happens each second: the times and counts of the lines. */
const steady = (pace: Pace, seconds: number): ReadonlyArray<readonly [at: number, count: number]> => {
  const told: Array<readonly [number, number]> = []
  for (let at = 0; at <= seconds; at++) {
    const count = pace.note(at * second)
    if (count > 0) told.push([at, count])
  }
  return told
}

describe("Pace", () => {
  it("reports at once, then after pauses that double, each time with the count since the last report", () => {
    assert.deepStrictEqual(steady(new Pace(10 * second), 160), [[0, 1], [10, 10], [30, 20], [70, 40], [150, 80]])
  })

  it("never pauses longer than ten minutes", () => {
    const told = steady(new Pace(10 * second), 10_000)
    const pauses = told.slice(1).map(([at], index) => at - told[index]![0])
    assert.strictEqual(Math.max(...pauses), longestPause / second)
    assert.strictEqual(told.reduce((sum, [, count]) => sum + count, 0), told.at(-1)![0] + 1)
  })

  it("reports what is outstanding when that is due, and all of it when asked", () => {
    const pace = new Pace(10 * second)
    assert.strictEqual(pace.note(0, 5), 5)
    assert.strictEqual(pace.dueAt, Infinity)
    assert.strictEqual(pace.note(1 * second, 2), 0)
    assert.strictEqual(pace.dueAt, 10 * second)
    assert.strictEqual(pace.take(10 * second - 1), 0)
    assert.strictEqual(pace.take(10 * second), 2)
    assert.strictEqual(pace.take(11 * second), 0)
    assert.strictEqual(pace.note(12 * second, 3), 0)
    assert.strictEqual(pace.takeAll(12 * second), 3)
    assert.strictEqual(pace.takeAll(12 * second), 0)
  })

  it("begins again after a quiet time as long as its pause", () => {
    const pace = new Pace(10 * second)
    steady(pace, 30)
    // The pause is 40 s by now.
    assert.strictEqual(pace.note(69 * second), 0)
    assert.strictEqual(pace.note(75 * second), 2)
    assert.strictEqual(pace.note(156 * second), 1)
    assert.strictEqual(pace.note(157 * second), 0)
    assert.strictEqual(pace.note(166 * second), 2)
  })
})
