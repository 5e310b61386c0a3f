import { assert, describe, it } from "@effect/vitest"
import { Fifo } from "../src/internal/fifo.ts"

describe("first-in, first-out queue", () => {
  it("keeps its order while it is emptied and filled", () => {
    const fifo = new Fifo<number>()
    const plain: Array<number> = []
    for (let i = 0; i < 10_000; i++) {
      fifo.push(i)
      plain.push(i)
      for (let taken = 0; taken < (i * 7) % 3; taken++) assert.strictEqual(fifo.shift(), plain.shift())
      assert.strictEqual(fifo.size, plain.length)
      assert.strictEqual(fifo.at(plain.length >> 1), plain[plain.length >> 1])
    }
  })

  it("takes, inserts, puts back and removes like an array, however full it is", () => {
    const fifo = new Fifo<number>()
    let plain: Array<number> = []
    for (let i = 0; i < 6000; i++) {
      for (let added = 0; added < 5; added++) {
        fifo.push(i * 5 + added)
        plain.push(i * 5 + added)
      }
      if (i % 7 === 0) {
        const index = (i * 31) % (plain.length + 1)
        fifo.insert(index, -i)
        plain.splice(index, 0, -i)
      }
      if (i % 11 === 0) {
        const taken = fifo.take(i % 43)
        assert.deepStrictEqual(taken, plain.splice(0, i % 43))
        if (i % 2 === 0) {
          fifo.putBack(taken)
          plain = taken.concat(plain)
        }
      }
      if (i % 97 === 0) {
        fifo.retain((item) => item % 3 !== 0)
        plain = plain.filter((item) => item % 3 !== 0)
      }
      if (i % 1013 === 0) {
        assert.deepStrictEqual(fifo.take(Infinity), plain.splice(0))
        assert.isUndefined(fifo.shift())
        assert.isUndefined(fifo.at(0))
      }
      assert.strictEqual(fifo.size, plain.length)
      assert.strictEqual(fifo.at(0), plain[0])
    }
    assert.deepStrictEqual(Array.from({ length: fifo.size }, () => fifo.shift()), plain)
    fifo.push(1)
    fifo.clear()
    assert.strictEqual(fifo.size, 0)
  })
})
