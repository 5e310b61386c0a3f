import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Difference, Differences, patched } from "../src/internal/differences.ts"
import type { Operation } from "../src/internal/level.ts"
import { Reserve } from "../src/internal/reserve.ts"
import { random } from "./support/corruption.ts"
import { memoryDirectory } from "./support/directories.ts"

const key = (sequence: number, session = "a") => `record/${session}/outbound/${sequence.toString().padStart(16, "0")}`
const del = (key: string): Operation => ({ type: "del", key })
const put = (key: string, ...bytes: ReadonlyArray<number>): Operation => ({
  type: "put",
  key,
  value: new Uint8Array(bytes)
})

const entriesOf = (operations: Iterable<Operation>) =>
  Array.from(operations, (one) => [one.key, one.type === "put" ? Array.from(one.value) : undefined] as const)
    .sort(([a], [b]) => a < b ? -1 : 1)

const madeOf = (operations: Iterable<Difference>): Differences => {
  const differences = new Differences()
  differences.apply(operations)
  return differences
}

/** All that differences say, to be compared. */
const told = (differences: Pick<Differences, "operations" | "patches">) => [
  entriesOf(differences.operations()),
  Array.from(differences.patches, ([name, { at, bytes, tail }]) => [name, at, Array.from(bytes), tail] as const)
    .sort(([a], [b]) => a < b ? -1 : 1)
]

const withReserve = <A>(path: string, use: (reserve: Reserve) => A): A => {
  const reserve = Reserve.open(path, Path.dirname(path))
  try {
    return use(reserve)
  } finally {
    reserve.close()
  }
}

const differencesIn = (path: string) => withReserve(path, ({ differences }) => entriesOf(differences.operations()))

describe("operations as bytes", () => {
  it("any differences come back, the last one for each key", () => {
    const next = random(3)
    for (let time = 0; time < 200; time++) {
      const all = Array.from({ length: Math.floor(next() * 50) }, (): Difference => {
        const numbered = [key(Math.floor(next() * 20)), key(Number.MAX_SAFE_INTEGER - Math.floor(next() * 5), "b")]
        const names = [
          ...numbered,
          "record/a/outbound/9999999999999999",
          "record/a/outbound/12",
          `record/a/subscription/\u{10fffe}d800/${Math.floor(next() * 5)}`,
          "summary/a",
          ""
        ]
        const name = names[Math.floor(next() * names.length)]!
        const bytes = Array.from({ length: Math.floor(next() * 9) }, () => Math.floor(next() * 256))
        const kind = next()
        if (kind < 0.2) {
          const tail = Math.floor(next() * 2 ** 32)
          return { type: "patch", key: numbered[0]!, at: Math.floor(next() * 60), bytes: new Uint8Array(bytes), tail }
        }
        return kind < 0.7 ? del(name) : put(name, ...bytes)
      })
      const last = new Map(all.map((one) => [one.key, one]))
      const expected = [
        entriesOf(Array.from(last.values()).filter((one) => one.type !== "patch")),
        told(madeOf(Array.from(last.values()).filter((one) => one.type === "patch")))[1]
      ]
      const differences = madeOf(all)
      assert.deepStrictEqual(told(differences), expected)
      const decoded = new Differences()
      decoded.decode(differences.encode())
      assert.deepStrictEqual(told(decoded), expected)
      decoded.apply(all)
      assert.deepStrictEqual(told(decoded), expected)
      const values = Array.from(last.values()).reduce(
        (sum, one) => sum + (one.type === "put" ? one.key.length + one.value.length : 0),
        0
      )
      assert.strictEqual(differences.valueBytes, values)
    }
  })

  it("a patch changes some bytes and the last four", () => {
    const value = new Uint8Array(12).fill(7)
    const patch = { type: "patch", key: key(1), at: 2, bytes: new Uint8Array([1, 2]), tail: 0x01020304 } as const
    assert.deepStrictEqual(Array.from(patched(value, patch)), [7, 7, 1, 2, 7, 7, 7, 7, 1, 2, 3, 4])
    assert.isTrue(value.every((byte) => byte === 7))
  })

  it("deletions that follow one another take next to no room", () => {
    const many = Array.from({ length: 100_000 }, (_, i) => del(key(i)))
    assert.isBelow(madeOf(many).encode().length, 100)
    assert.isBelow(madeOf(many.filter((_, i) => i % 2 === 0)).encode().length, 50_000 * 17)
  })
})

describe("the reserve", () => {
  it.live("keeps what was appended, over many generations, for the next process", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* memoryDirectory, "reserve")
      const next = random(5)
      const model = new Map<string, Operation>()
      for (let round = 0; round < 20; round++) {
        withReserve(path, (reserve) => {
          assert.isTrue(reserve.isHeld)
          assert.deepStrictEqual(entriesOf(reserve.differences.operations()), entriesOf(model.values()))
          for (let i = 0; i < 100; i++) {
            const operations = Array.from({ length: 1 + Math.floor(next() * 5) }, (): Operation =>
              next() < 0.8
                ? del(key(Math.floor(next() * 3000)))
                : put(key(Math.floor(next() * 30), "b"), ...Array.from({ length: 100 }, () => next() * 256)))
            reserve.append(operations)
            for (const one of operations) model.set(one.key, one)
          }
          assert.deepStrictEqual(entriesOf(reserve.differences.operations()), entriesOf(model.values()))
          if (round === 12) {
            reserve.clear()
            model.clear()
          }
        })
      }
    }))

  it.live("a write that was cut off at any byte leaves what was before it, or all of it", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      const path = Path.join(directory, "reserve")
      // The first and the last entry of a half: an entry, and a new generation.
      for (const fill of [0, 1, 30]) {
        Fs.rmSync(path, { force: true })
        withReserve(path, (reserve) => {
          for (let i = 0; i < fill; i++) reserve.append([put(`k${i}`, ...new Uint8Array(i === 0 ? 10 : 4300))])
        })
        const before = Fs.readFileSync(path)
        const old = differencesIn(path)
        withReserve(path, (reserve) =>
          reserve.append([del(key(7)), put("summary/a", 1, 2, 3), put("large", ...new Uint8Array(4300))]))
        const after = Fs.readFileSync(path)
        const new_ = differencesIn(path)
        const changed = Array.from(after.keys()).filter((i) =>
          after[i] !== before[i]
        )
        let whole = 0
        for (const [index, at] of changed.entries()) {
          if (index % 397 !== 0 && index > 60 && index < changed.length - 60) continue
          Fs.writeFileSync(path, Buffer.concat([after.subarray(0, at), before.subarray(at)]))
          const found = differencesIn(path)
          if (found.length !== old.length) whole++
          assert.deepStrictEqual(found, found.length === old.length ? old : new_, `byte ${at}, fill ${fill}`)
        }
        Fs.writeFileSync(path, after)
        assert.deepStrictEqual(differencesIn(path), new_)
        assert.isBelow(whole, changed.length)
      }
    }))

  it.live("a byte that is changed anywhere delivers nothing altered", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* memoryDirectory, "reserve")
      const states: Array<string> = []
      withReserve(path, (reserve) => {
        states.push(JSON.stringify([]))
        for (let i = 0; i < 10; i++) {
          reserve.append([del(key(i)), put("summary/a", i)])
          states.push(JSON.stringify(entriesOf(reserve.differences.operations())))
        }
      })
      const bytes = Fs.readFileSync(path)
      // The half in use is the second one.
      for (let at = 131_072; at < 131_072 + 600; at += 3) {
        const damaged = Buffer.from(bytes)
        damaged[at]! ^= 1 << (at % 8)
        Fs.writeFileSync(path, damaged)
        assert.include(states, JSON.stringify(differencesIn(path)), `byte ${at}`)
      }
    }))

  it.live("is full when what is known does not fit any more, and says so", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* memoryDirectory, "reserve")
      withReserve(path, (reserve) => {
        let kind = ""
        let count = 0
        for (; kind === "" && count < 2000; count++) {
          try {
            reserve.append([put(`key ${count}`, ...new Uint8Array(1000).map(() => count))])
          } catch (error) {
            kind = (error as { readonly kind: string }).kind
          }
        }
        assert.strictEqual(kind, "full")
        const before = entriesOf(reserve.differences.operations())
        assert.strictEqual(before.length, count - 1)
        // Less than before is taken again.
        reserve.append(before.map(([name]) => del(name)))
      })
      assert.isTrue(differencesIn(path).every(([, value]) => value === undefined))
    }))

  it.live("has all its room from the beginning, is readable by its owner only, and frees the spare part", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* memoryDirectory, "reserve")
      const umask = process.umask(0)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.umask(umask)))
      const size = () => Fs.statSync(path).size
      withReserve(path, (reserve) => {
        const whole = size()
        const { blocks, mode } = Fs.statSync(path)
        assert.isAtLeast(blocks * 512, whole)
        assert.strictEqual(mode & 0o777, 0o600)
        reserve.append([del(key(1))])
        assert.isTrue(reserve.releaseSpare())
        assert.isBelow(size(), whole)
        assert.isFalse(reserve.releaseSpare())
        reserve.append([del(key(2))])
        reserve.hold()
        assert.strictEqual(size(), whole)
      })
      assert.deepStrictEqual(differencesIn(path).map(([name]) => name), [key(1), key(2)])
      let times = 0
      while (Reserve.releaseBlocks(path)) times++
      assert.strictEqual(times, 6)
      assert.isFalse(Reserve.releaseBlocks(`${path}-none`))
      assert.deepStrictEqual(differencesIn(path).map(([name]) => name), [key(1), key(2)])
    }))
})
