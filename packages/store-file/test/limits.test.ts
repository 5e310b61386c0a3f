import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { readLog } from "../src/internal/levelFormat.ts"
import { prepare } from "../src/internal/sessionState.ts"
import { withFile } from "../src/internal/source.ts"
import { currentLog, memoryDirectory } from "./support/directories.ts"
import { outbound, put, remove, sequences } from "./support/records.ts"

describe("what is large", () => {
  it.live("a message of 250 MB is stored, comes back, and is deleted", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* memoryDirectory, "store")
      const payload = Buffer.alloc(250_000_000)
      for (let i = 0; i < payload.length; i += 4096) payload.writeUInt32LE(i, i)
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* FileStore.make({ directory })).open("a")
        yield* handle.commit([put(outbound(1, payload)), put(outbound(2))])
      }))
      const handle = yield* (yield* FileStore.make({ directory })).open("a")
      const { damage, records } = yield* handle.load
      assert.isUndefined(damage)
      assert.deepStrictEqual(sequences(records), [1, 2])
      const [record] = records
      assert.isTrue(record?._tag === "Outbound" && payload.equals(record.payload))
      yield* handle.commit([remove(1)])
      assert.deepStrictEqual(sequences((yield* handle.load).records), [2])
    }), 180_000)

  it.live("a log that is larger than what Node reads at once is read", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* FileStore.make({ directory })).open("a")
        for (let i = 1; i <= 40; i++) yield* handle.commit([put(outbound(i, new Uint8Array(50_000).fill(i)))])
      }))
      const path = currentLog(directory)
      const read = () => {
        let count = 0
        const damage = withFile(path, (source) => readLog(source, () => count++))
        return { count, damage }
      }
      const whole = read()
      assert.deepStrictEqual(whole, { count: 80, damage: [] })
      // Room that was taken for more, and never written.
      Fs.truncateSync(path, 2 ** 31 + 500_000_000)
      assert.deepStrictEqual(read(), whole)
    }), 180_000)

  it("a commit of more than LevelDB should have in memory is refused finally", () => {
    const changes = [put(outbound(1, new Uint8Array(600))), put(outbound(2, new Uint8Array(600)))]
    assert.throws(() => prepare(changes, 1000), "a commit has more than 1000 bytes")
    assert.strictEqual(prepare(changes, 2000).changes.length, 2)
  })

  it.live(
    "writes that wait go together up to a bound, and one that is larger goes alone",
    () =>
      Effect.gen(function*() {
        const store = yield* FileStore.make({ directory: yield* memoryDirectory, durability: "os" })
        const handles = yield* Effect.forEach(Array.from({ length: 12 }, (_, i) => `s${i}`), store.open)
        const payload = new Uint8Array(15_000_000)
        yield* Effect.forEach(handles, (handle) => handle.commit([put(outbound(1, payload)), put(outbound(2))]), {
          concurrency: "unbounded",
          discard: true
        })
        for (const handle of handles) assert.deepStrictEqual(sequences((yield* handle.load).records), [1, 2])
      }),
    180_000
  )
})
