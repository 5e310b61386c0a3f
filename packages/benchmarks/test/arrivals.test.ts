import { assert, describe, it } from "@effect/vitest"
import { Arrivals } from "../src/drill/arrivals.ts"

const after = (...numbers: ReadonlyArray<number>): Arrivals => {
  const arrivals = new Arrivals()
  for (const [index, number] of numbers.entries()) arrivals.see(number, index * index)
  return arrivals
}

describe("Arrivals", () => {
  it("counts messages that arrive once, twice, and after a later one", () => {
    const { arrived, disordered, distinct, isThere } = after(0, 1, 3, 3, 2, 4, 2)
    assert.deepStrictEqual({ arrived, disordered, distinct, isThere }, {
      arrived: 7,
      disordered: 1,
      distinct: 5,
      isThere: true
    })
  })

  it("knows the longest time between two messages, and does not count messages that are only a signal", () => {
    assert.isFalse(after().isThere)
    const { arrived, longestGap } = after(-1, -1, 0, 1, 2)
    assert.deepStrictEqual([arrived, longestGap], [3, 7])
  })
})
