import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { crc32c } from "../src/internal/crc32c.ts"
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

/** A table with one block of these entries, whose checksums are right. */
const tableOf = (entries: ReadonlyArray<number>): Uint8Array => {
  const bytes: Array<number> = []
  const uint32 = (value: number) => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24]
  const add = (content: ReadonlyArray<number>): ReadonlyArray<number> => {
    const block = [...content, ...uint32(0), ...uint32(1), 0]
    const checksum = crc32c(Uint8Array.from(block), 0, block.length)
    const masked = (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0
    const handle = [bytes.length, block.length - 1]
    bytes.push(...block, ...uint32(masked))
    return handle
  }
  const data = add(entries)
  const filters = add([])
  const index = add([0, 1, data.length, 0x7a, ...data])
  const handles = [...filters, ...index]
  const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]
  return Uint8Array.from([...bytes, ...handles, ...Array.from({ length: 40 - handles.length }, () => 0), ...magic])
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
        const found = readTable(table!, () => {})
        if (found.length === 0) missed.push(position)
        // Checking without reading finds the same.
        assert.deepStrictEqual(readTable(table!, undefined), found)
        table![position]! ^= 1 << (position % 8)
      }
      // What is between the two handles of the footer and its magic number is padding.
      assert.isEmpty(missed.filter((position) => position < table!.length - 48 || position >= table!.length - 8))
    }))

  it("entries that no table can have are damage under a right checksum, also where nothing is read", () => {
    const tag = [1, 0, 0, 0, 0, 0, 0, 0]
    const entries: Record<string, ReadonlyArray<number>> = {
      "a key shorter than its tag": [0, 1, 0, 0x6b],
      "more of the key before than it has": [3, 8, 0, ...tag],
      "a value that leaves the block": [0, 9, 9, 0x6b, ...tag]
    }
    for (const [what, entry] of Object.entries(entries)) {
      const table = tableOf(entry)
      assert.deepStrictEqual(readTable(table, () => {}), ["a block"], what)
      assert.deepStrictEqual(readTable(table, undefined), ["a block"], what)
    }
    const whole = tableOf([0, 9, 1, 0x6b, ...tag, 7])
    assert.deepStrictEqual(collect((visit) => readTable(whole, visit)), { damage: [], sizes: { k: 1 } })
    assert.deepStrictEqual(readTable(whole, undefined), [])
  })

  it.live("no bit of a log flips without being found, but in its last block, where a crash looks the same", () =>
    Effect.gen(function*() {
      const directory = yield* memoryDirectory
      yield* sample(directory, false)
      const [log] = filesOf(directory, /\.log$/)
      const missed: Array<number> = []
      for (let position = 0; position < log!.length; position += 41) {
        log![position]! ^= 1 << (position % 8)
        const found = readLog(log!, () => {})
        if (found.length === 0) missed.push(position)
        assert.deepStrictEqual(readLog(log!, undefined), found)
        log![position]! ^= 1 << (position % 8)
      }
      const lastBlock = Math.floor(log!.length / 32_768) * 32_768
      assert.isAbove(lastBlock, 0)
      assert.isEmpty(missed.filter((position) => position < lastBlock))
    }))
})
