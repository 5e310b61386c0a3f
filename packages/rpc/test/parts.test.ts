/**
 * Frames from parts in any order, and numbers of calls, against simple models.
 */
import { assert, describe, it } from "@effect/vitest"
import { Assembly, Budget } from "../src/internal/assembly.ts"
import { CallNumbers } from "../src/internal/callNumbers.ts"
import type { Part } from "../src/internal/packets.ts"

const generator = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const part = (sequence: number, isLast: boolean, body: Uint8Array): Part => ({
  _tag: "Part",
  kind: "response",
  sender: "a/1",
  call: 0,
  sequence,
  isLast,
  body
})

describe("frames", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    "are complete, in order and each once, whatever happens to their parts, seed %s",
    (seed) => {
      const random = generator(seed)
      const frames = Array.from({ length: 20 }, () => Uint8Array.from({ length: random(40) }, () => random(256)))
      const parts: Array<Part> = []
      for (const frame of frames) {
        let at = 0
        do {
          const end = Math.min(frame.length, at + 1 + random(12))
          parts.push(part(parts.length, end === frame.length, frame.subarray(at, end)))
          at = end
        } while (at < frame.length)
      }
      const sent = parts.flatMap((each) => random(3) === 0 ? [each, each] : [each])
      for (let n = 0; n < sent.length; n++) {
        const other = Math.min(sent.length - 1, n + random(6))
        const swapped = sent[n]!
        sent[n] = sent[other]!
        sent[other] = swapped
      }
      const budget = new Budget(10_000)
      const assembly = new Assembly(budget, 1000)
      const joined: Array<Uint8Array> = []
      for (const each of sent) {
        const taken = assembly.accept(each)
        if (typeof taken === "string") assert.strictEqual(taken, "duplicate")
        else joined.push(...taken.map(({ body }) => body))
      }
      assert.deepStrictEqual(joined.map((each) => Array.from(each)), frames.map((each) => Array.from(each)))
      assert.strictEqual(assembly.received, parts.length)
      assert.strictEqual(budget.used, 0)
    }
  )

  it("hold no more than the budget, and release it", () => {
    const budget = new Budget(100)
    const assembly = new Assembly(budget, 1000)
    assert.deepStrictEqual(assembly.accept(part(0, false, new Uint8Array(60))), [])
    assert.deepStrictEqual(assembly.accept(part(2, false, new Uint8Array(40))), [])
    assert.strictEqual(assembly.accept(part(3, false, new Uint8Array(1))), "overloaded")
    assert.strictEqual(budget.used, 100)
    assembly.dispose()
    assert.strictEqual(budget.used, 0)
  })

  it("are no larger than they may be, and no part is far ahead", () => {
    const assembly = new Assembly(new Budget(10_000), 100)
    assert.deepStrictEqual(assembly.accept(part(0, false, new Uint8Array(60))), [])
    assert.strictEqual(assembly.accept(part(2000, false, new Uint8Array(1))), "overloaded")
    assert.strictEqual(assembly.accept(part(1, true, new Uint8Array(60))), "tooLarge")
  })
})

describe("numbers of calls", () => {
  it.each([1, 2, 3, 4])("are new once, seed %s", (seed) => {
    const random = generator(seed)
    const numbers = new CallNumbers()
    const seen = new Set<number>()
    let highest = 0
    for (let n = 0; n < 20_000; n++) {
      const number = Math.max(0, highest + random(40) - 30)
      highest = Math.max(highest, number)
      assert.strictEqual(numbers.add(number), !seen.has(number))
      seen.add(number)
    }
  })

  it("far below the highest one count as seen", () => {
    const numbers = new CallNumbers()
    assert.isTrue(numbers.add(0))
    assert.isTrue(numbers.add(Number.MAX_SAFE_INTEGER))
    assert.isFalse(numbers.add(5))
    assert.isTrue(numbers.add(Number.MAX_SAFE_INTEGER - 4095))
    assert.isFalse(numbers.add(Number.MAX_SAFE_INTEGER - 4095))
    assert.isFalse(numbers.add(Number.MAX_SAFE_INTEGER - 4096))
  })
})
