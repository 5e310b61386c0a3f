import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loadEngine, openLevel } from "../src/internal/level.ts"
import { readLog, readManifest, readTable, type Visit } from "../src/internal/levelFormat.ts"
import { memoryDirectory } from "./support/directories.ts"

/** A database with records over several blocks, in a log and, once it was opened again, in a table. */
const sample = (directory: string, reopen: boolean) =>
  Effect.promise(async () => {
    const engine = await loadEngine()
    let level = await openLevel(engine, directory)
    for (let index = 0; index < 50; index++) {
      await level.batch([
        { type: "put", key: `key ${index}`, value: new Uint8Array(index * 100).fill(index) },
        { type: "del", key: `key ${index - 10}` }
      ])
    }
    await level.close()
    if (reopen) {
      level = await openLevel(engine, directory)
      await level.close()
    }
  })

const filesOf = (directory: string, suffix: RegExp) =>
  Fs.readdirSync(directory).filter((name) => suffix.test(name)).map((name) =>
    Fs.readFileSync(Path.join(directory, name))
  )

const collect = (read: (visit: Visit) => ReadonlyArray<string>) => {
  const newest = new Map<string, { readonly sequence: number; readonly size: number | undefined }>()
  const damage = read((key, sequence, value) => {
    if ((newest.get(key)?.sequence ?? -1) < sequence) newest.set(key, { sequence, size: value?.length })
  })
  const sizes = Array.from(newest, ([key, { size }]) => [key, size] as const).filter(([, size]) => size !== undefined)
  return { damage, sizes: Object.fromEntries(sizes) }
}

const expected = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`key ${index + 40}`, (index + 40) * 100]))

describe("the files of LevelDB", () => {
  it.live("a log is read as LevelDB wrote it", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* sample(directory, false)
      const [log] = filesOf(directory, /\.log$/)
      assert.deepStrictEqual(collect((visit) => readLog(log!, visit)), { damage: [], sizes: expected })
    }))

  it.live("a table is read as LevelDB wrote it, and its manifest names it", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* sample(directory, true)
      const [table] = filesOf(directory, /\.ldb$/)
      assert.deepStrictEqual(collect((visit) => readTable(table!, visit)), { damage: [], sizes: expected })
      const [manifest] = filesOf(directory, /^MANIFEST/)
      assert.deepStrictEqual(Array.from(readManifest(manifest!)!.tables.values()), [{ size: table!.length }])
    }))

  it.live("no bit of a table flips without being found", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* sample(directory, true)
      const [table] = filesOf(directory, /\.ldb$/)
      const missed: Array<number> = []
      for (let position = 0; position < table!.length; position += position > table!.length - 400 ? 1 : 37) {
        table![position]! ^= 1 << (position % 8)
        if (readTable(table!, () => {}).length === 0) missed.push(position)
        table![position]! ^= 1 << (position % 8)
      }
      // What is between the two handles of the footer and its magic number is padding.
      assert.isEmpty(missed.filter((position) => position < table!.length - 48 || position >= table!.length - 8))
    }))

  it.live("no bit of a log flips without being found, but in its last block, where a crash looks the same", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* sample(directory, false)
      const [log] = filesOf(directory, /\.log$/)
      const missed: Array<number> = []
      for (let position = 0; position < log!.length; position += 41) {
        log![position]! ^= 1 << (position % 8)
        if (readLog(log!, () => {}).length === 0) missed.push(position)
        log![position]! ^= 1 << (position % 8)
      }
      const lastBlock = Math.floor(log!.length / 32_768) * 32_768
      assert.isAbove(lastBlock, 0)
      assert.isEmpty(missed.filter((position) => position < lastBlock))
    }))
})
