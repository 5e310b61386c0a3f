import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isCollected, levelDatabase, loadEngine, openLevel, type Operation } from "../src/internal/level.ts"
import { memoryDirectory } from "./support/directories.ts"

describe("a batch", () => {
  it("is collected by LevelDB if it is small, or has small operations, of which it may have a megabyte", () => {
    assert.isTrue(isCollected(1, 65_536))
    assert.isFalse(isCollected(1, 65_537))
    assert.isTrue(isCollected(1000, 110_000))
    assert.isFalse(isCollected(500, 513_000))
    assert.isTrue(isCollected(9000, 1_048_576))
    assert.isFalse(isCollected(9000, 1_048_577))
  })

  for (const [operations, size] of [[3, 100], [1000, 110], [3, 50_000], [2000, 1000]] as const) {
    it.live(`of ${operations} values with ${size} bytes is written with its deletions, in either way`, () =>
      Effect.gen(function*() {
        const directory = yield* memoryDirectory
        const found = yield* Effect.promise(async () => {
          const database = levelDatabase(await openLevel(await loadEngine(), directory))
          const batch = Array.from({ length: operations }, (_, index): Operation => ({
            type: "put",
            key: `key ${index}`,
            value: new Uint8Array(size).fill(index)
          }))
          batch.push({ type: "del", key: "key 0" })
          await database.write(batch, { sync: false })
          const values = new Map<string, Uint8Array>()
          await database.range("key", "kez", (key, value) => void values.set(key, value.slice()))
          await database.close()
          return values
        })
        assert.strictEqual(found.size, operations - 1)
        assert.deepStrictEqual(found.get("key 1"), new Uint8Array(size).fill(1))
      }))
  }
})
