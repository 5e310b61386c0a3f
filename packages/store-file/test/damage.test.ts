import { type SessionStore, StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { crc32 } from "node:zlib"
import { loadEngine, openLevel } from "../src/internal/level.ts"
import { readRecords } from "../src/internal/levelFormat.ts"
import { idOf } from "../src/internal/sessionState.ts"
import { corrupt, random } from "./support/corruption.ts"
import { contents, currentLog, memoryDirectory, temporaryDirectory } from "./support/directories.ts"
import { outbound, put, remove, same, sequences } from "./support/records.ts"

type Loaded = SessionStore.LoadedRecords

const commits = (
  directory: string,
  session: string,
  ...commits: ReadonlyArray<ReadonlyArray<StoreRecord.StoreChange>>
) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make({ directory })
    const handle = yield* store.open(session)
    for (const changes of commits) yield* handle.commit(changes)
  }).pipe(Effect.scoped)

const load = (options: FileStore.FileStoreInput, session: string) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make(options)
    return yield* (yield* store.open(session)).load
  }).pipe(Effect.scoped)

const copy = (from: string, to: string) => {
  Fs.rmSync(to, { recursive: true, force: true })
  Fs.cpSync(from, to, { recursive: true })
}

const oneToFive = [1, 2, 3, 4, 5].map((sequence) => [put(outbound(sequence))])

/** Opens the database as another program would. */
const withLevel = (directory: string, use: (level: Awaited<ReturnType<typeof openLevel>>) => Promise<void>) =>
  Effect.promise(async () => {
    const level = await openLevel(await loadEngine(), Path.join(directory, "records"))
    await use(level)
    await level.close()
  })

const keyOf = (session: string, sequence: number) => `record/${idOf(session)}/${StoreRecord.outboundKey(sequence)}`

const isSame = (a: Loaded, records: ReadonlyArray<StoreRecord.StoreRecord>) =>
  a.records.length === records.length && a.records.every((record, index) => same(record, records[index]!))

describe("a record that is not what was written", () => {
  it.live("is not delivered, is reported once with what was kept, and is gone", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* withLevel(directory, async (level) => {
        const bytes = Uint8Array.from((await level.get(keyOf("a", 3)))!)
        bytes[40]! ^= 1
        await level.put(keyOf("a", 3), bytes)
      })
      const first = yield* load({ directory }, "a")
      assert.deepStrictEqual(sequences(first.records), [1, 2, 4, 5])
      assert.deepStrictEqual(first.damage, { lost: 1, detail: "1 record cannot be read; 4 records kept" })
      const second = yield* load({ directory }, "a")
      assert.deepStrictEqual(sequences(second.records), [1, 2, 4, 5])
      assert.isUndefined(second.damage)
    }))

  it.live("a record of another key or session is not taken for one of this", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* withLevel(directory, async (level) => {
        await level.put(keyOf("a", 3), (await level.get(keyOf("a", 4)))!)
      })
      const { damage, records } = yield* load({ directory }, "a")
      assert.deepStrictEqual(sequences(records), [1, 2, 4, 5])
      assert.strictEqual(damage?.lost, 1)
    }))
})

describe("a record that is missing, or came back", () => {
  it.live("is noticed by the sum of the last commit", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* withLevel(directory, (level) => level.del(keyOf("a", 3)))
      assert.deepStrictEqual((yield* load({ directory }, "a")).damage, {
        lost: 1,
        detail: "1 record is missing; 4 records kept"
      })
      assert.isUndefined((yield* load({ directory }, "a")).damage)
    }))

  it.live("an earlier version of a record is noticed, and what is kept is said to be older", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* withLevel(directory, (level) => level.put(keyOf("a", 3), StoreRecordCodec.encode(outbound(3, "older"))))
      const { damage } = yield* load({ directory }, "a")
      assert.include(damage?.detail, "some records are older than the last commit")
    }))

  it.live("commits before the load do not hide it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* withLevel(directory, (level) => level.del(keyOf("a", 3)))
      yield* commits(directory, "a", [put(outbound(6))], [remove(1)])
      const { damage, records } = yield* load({ directory }, "a")
      assert.deepStrictEqual(sequences(records), [2, 4, 5, 6])
      assert.strictEqual(damage?.lost, 1)
    }))
})

describe("the last write, cut at every byte", () => {
  const cuts = (directory: string) => {
    const log = currentLog(directory)
    const bytes = Fs.readFileSync(log)
    let last = 0
    readRecords(bytes, (record) => {
      last = bytes.indexOf(record) - 7
    })
    return { name: Path.basename(log), from: last, to: bytes.length }
  }

  it.live(
    "was never accepted: what was accepted before is there, and nothing is said to be lost",
    () =>
      Effect.gen(function*() {
        const template = yield* memoryDirectory
        const directory = Path.join(template, "cut")
        const source = Path.join(template, "source")
        yield* commits(source, "a", ...oneToFive.slice(0, 4))
        const commitCounts = Fs.readFileSync(Path.join(source, "tally"))
        // The last write goes into the same log only if the store is not opened in between.
        Fs.rmSync(source, { recursive: true })
        yield* commits(source, "a", ...oneToFive)
        Fs.writeFileSync(Path.join(source, "tally"), commitCounts)
        const { from, name, to } = cuts(source)
        assert.isAbove(to - from, 100)
        let whole = 0
        for (let size = from; size < to; size++) {
          copy(source, directory)
          Fs.truncateSync(Path.join(directory, "records", name), size)
          const loaded = yield* load({ directory }, "a")
          if (isSame(loaded, [1, 2, 3, 4].map((sequence) => outbound(sequence))) && loaded.damage === undefined) whole++
        }
        console.log(
          `cut at every byte of the last record, before it was accepted: ${to - from} cuts, ${whole} as before`
        )
        assert.strictEqual(whole, to - from)
      }),
    180_000
  )

  it.live("was accepted: it is reported as lost, and what was accepted before is there", () =>
    Effect.gen(function*() {
      const template = yield* memoryDirectory
      const directory = Path.join(template, "cut")
      const source = Path.join(template, "source")
      yield* commits(source, "a", ...oneToFive)
      const { from, name, to } = cuts(source)
      let reported = 0
      for (let size = from; size < to; size++) {
        copy(source, directory)
        Fs.truncateSync(Path.join(directory, "records", name), size)
        const loaded = yield* load({ directory }, "a")
        if (
          isSame(loaded, [1, 2, 3, 4].map((sequence) => outbound(sequence))) &&
          loaded.damage?.detail === "the last 1 commit is missing; 4 records kept"
        ) reported++
      }
      console.log(
        `cut at every byte of the last record, after it was accepted: ${to - from} cuts, ${reported} reported`
      )
      assert.strictEqual(reported, to - from)
    }), 180_000)

  it.live("with the durability os the report names the reason", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      Fs.truncateSync(currentLog(directory), cuts(directory).from)
      const { damage } = yield* load({ directory, durability: "os" }, "a")
      assert.include(damage?.detail, `the last 1 commit is missing, as after a power cut with the durability "os"`)
    }))
})

describe("files that are damaged", () => {
  it.live("a log that is damaged in its middle loses nothing behind the next block, and is set aside", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const changes = Array.from({ length: 1000 }, (_, index) => [put(outbound(index + 1, "x".repeat(100)))])
      yield* commits(directory, "a", ...changes)
      const log = currentLog(directory)
      const bytes = Fs.readFileSync(log)
      bytes[bytes.length >> 1]! ^= 0x10
      Fs.writeFileSync(log, bytes)
      const { damage, records } = yield* load({ directory }, "a")
      assert.isAbove(records.length, 700)
      assert.strictEqual(damage?.lost, 1000 - records.length)
      assert.match(damage?.detail ?? "", /are set aside in .*damaged-1; \d+ records kept/)
      assert.deepStrictEqual(Fs.readFileSync(Path.join(directory, "damaged-1", Path.basename(log))), bytes)
      assert.isUndefined((yield* load({ directory }, "a")).damage)
    }))

  it.live("records whose database is gone are all reported", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      Fs.rmSync(Path.join(directory, "records"), { recursive: true })
      const { damage, records } = yield* load({ directory }, "a")
      assert.deepStrictEqual(records, [])
      assert.deepStrictEqual(damage, { lost: 5, detail: "the last 5 commits are missing; 0 records kept" })
    }))

  it.live("a session that lost nothing gets no report of what others lost", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "b", ...oneToFive)
      yield* commits(directory, "a", ...oneToFive)
      const log = currentLog(directory)
      Fs.truncateSync(log, Fs.statSync(log).size - 10)
      assert.isDefined((yield* load({ directory }, "a")).damage)
      assert.isUndefined((yield* load({ directory }, "b")).damage)
    }))

  it.live("without its file tally a store cannot tell whether the last commits are there, and says so once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      Fs.rmSync(Path.join(directory, "tally"))
      const { damage, records } = yield* load({ directory }, "a")
      assert.deepStrictEqual(sequences(records), [1, 2, 3, 4, 5])
      assert.include(damage?.detail, "it is unknown whether the last commits are there")
      assert.isUndefined(damage?.lost)
      assert.isUndefined((yield* load({ directory }, "a")).damage)
    }))

  it.live("a session that was deleted is not missed", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* FileStore.make({ directory })
        yield* (yield* store.open("a")).clear
      }))
      assert.deepStrictEqual(yield* load({ directory }, "a"), { records: [], damage: undefined })
    }))

  it.live("a replacement that a crash interrupted is finished by the next start", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      Fs.renameSync(Path.join(directory, "records"), Path.join(directory, "rebuilt"))
      assert.deepStrictEqual(sequences((yield* load({ directory }, "a")).records), [1, 2, 3, 4, 5])
      copy(Path.join(directory, "records"), Path.join(directory, "rebuilt"))
      assert.isUndefined((yield* load({ directory }, "a")).damage)
      assert.notInclude(Fs.readdirSync(directory), "rebuilt")
    }))

  it.live("damage to the lock's database does not matter", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      Fs.writeFileSync(Path.join(directory, "lock", "CURRENT"), "MANIFEST-999999\n")
      assert.isUndefined((yield* load({ directory }, "a")).damage)
    }))
})

describe("a store of a newer format", () => {
  const sealTally = (directory: string, format: number) => {
    const path = Path.join(directory, "tally")
    const commitCounts = Fs.readFileSync(path)
    commitCounts.writeUInt32LE(format, 13)
    commitCounts.writeUInt32LE(crc32(commitCounts.subarray(0, 28)), 28)
    Fs.writeFileSync(path, commitCounts)
  }

  it.live("is refused, and no byte of it is changed", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      sealTally(directory, 2)
      const before = contents(directory)
      const error = yield* Effect.flip(Effect.scoped(FileStore.make({ directory })))
      assert.strictEqual(error.reason._tag === "StorageFailed" && error.reason.kind, "newerFormat")
      assert.deepStrictEqual(contents(directory), before)
    }))

  it.live("a session with a newer record is refused, its records stay, and other sessions work", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commits(directory, "a", ...oneToFive)
      const bytes = StoreRecordCodec.encode(outbound(6))
      bytes[0] = StoreRecordCodec.format + 1
      const key = StoreRecord.outboundKey(6)
      new DataView(bytes.buffer).setUint32(
        bytes.length - 4,
        crc32(bytes.subarray(0, bytes.length - 4), crc32(Buffer.from(key)))
      )
      yield* withLevel(directory, (level) => level.put(keyOf("a", 6), bytes))
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* FileStore.make({ directory })
        const handle = yield* store.open("a")
        const other = yield* store.open("b")
        const [loaded, committed, otherCommitted] = yield* Effect.all([
          Effect.flip(handle.load),
          Effect.flip(handle.commit([put(outbound(7))])),
          Effect.exit(other.commit([put(outbound(1))]))
        ], { concurrency: "unbounded" })
        assert.strictEqual(loaded.reason._tag === "StorageFailed" && loaded.reason.kind, "newerFormat")
        assert.strictEqual(committed.reason._tag === "StorageFailed" && committed.reason.kind, "newerFormat")
        assert.strictEqual(otherCommitted._tag, "Success")
      }))
      yield* withLevel(directory, async (level) => {
        assert.deepStrictEqual(Uint8Array.from((await level.get(keyOf("a", 6)))!), bytes)
        assert.isUndefined(await level.get(keyOf("a", 7)))
      })
    }))
})

describe("200 seeds of random damage", () => {
  const sessions = ["a", "b", "c", "d"]
  const textOf = (record: StoreRecord.StoreRecord) => Buffer.from(StoreRecordCodec.encode(record)).toString("latin1")
  /** What is there at last: the bytes of each record. */
  const contentsOf = new Map(sessions.map((session) => [session, new Map<number, string>()]))
  /** Everything that was ever committed: what comes back older than the last commit was true once. */
  const history = new Map(sessions.map((session) => [session, new Set<string>()]))

  const build = (directory: string) =>
    Effect.gen(function*() {
      const next = random(1)
      for (let generation = 0; generation < 3; generation++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* FileStore.make({ directory, durability: "os" })
          for (const session of sessions) {
            const handle = yield* store.open(session)
            const content = contentsOf.get(session)!
            for (let index = 0; index < 40; index++) {
              const sequence = 1 + Math.floor(next() * 100)
              if (next() < 0.25) {
                yield* handle.commit([remove(sequence)])
                content.delete(sequence)
              } else {
                const record = outbound(
                  sequence,
                  `${session} ${generation} ${index} `.repeat(1 + Math.floor(next() * 20))
                )
                yield* handle.commit([put(record)])
                content.set(sequence, textOf(record))
                history.get(session)!.add(textOf(record))
              }
            }
          }
        }))
      }
    })

  it.live("crash nothing, alter nothing, and every loss is reported, once", () =>
    Effect.gen(function*() {
      const root = yield* memoryDirectory
      const template = Path.join(root, "template")
      const directory = Path.join(root, "damaged")
      yield* build(template)
      const figures = {
        seeds: 0,
        "refused to open": 0,
        "sessions loaded": 0,
        "sessions whole": 0,
        "sessions that lost something": 0,
        "losses not reported": 0,
        "reports without a loss": 0,
        "altered records": 0,
        "records kept of those there were": "",
        "commits refused afterwards": 0,
        "reported twice": 0
      }
      let kept = 0
      let expected = 0
      const problems: Array<string> = []
      for (let seed = 1; seed <= 200; seed++) {
        copy(template, directory)
        const what = corrupt(directory, seed)
        figures.seeds++
        const outcome = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
          const store = yield* FileStore.make({ directory, durability: "os" })
          for (const session of sessions) {
            const handle = yield* store.open(session)
            const loaded = yield* handle.load
            const content = contentsOf.get(session)!
            const last = new Set(content.values())
            let found = 0
            for (const record of loaded.records) {
              const text = textOf(record)
              if (last.has(text)) found++
              if (!history.get(session)!.has(text)) figures["altered records"]++
            }
            const whole = found === last.size && loaded.records.length === found
            figures["sessions loaded"]++
            expected += last.size
            kept += found
            if (whole) figures["sessions whole"]++
            else figures["sessions that lost something"]++
            if (!whole && loaded.damage === undefined) {
              figures["losses not reported"]++
              problems.push(`seed ${seed}, session ${session}: ${what}`)
            }
            if (whole && loaded.damage !== undefined) figures["reports without a loss"]++
            const commit = yield* Effect.exit(handle.commit([put(outbound(1000))]))
            if (commit._tag === "Failure") figures["commits refused afterwards"]++
          }
        })))
        if (outcome._tag === "Failure") {
          figures["refused to open"]++
          problems.push(`seed ${seed}: ${what}: ${outcome.failure.message}`)
          continue
        }
        for (const session of sessions) {
          if ((yield* load({ directory }, session)).damage !== undefined) figures["reported twice"]++
        }
      }
      figures["records kept of those there were"] = `${(kept / expected * 100).toFixed(1)} %`
      for (const [what, figure] of Object.entries(figures)) console.log(`${what}: ${figure}`)
      assert.deepStrictEqual(problems, [])
      assert.strictEqual(figures["altered records"], 0)
      assert.strictEqual(figures["losses not reported"], 0)
      assert.strictEqual(figures["commits refused afterwards"], 0)
      assert.strictEqual(figures["reported twice"], 0)
      assert.isAbove(figures["sessions that lost something"], 50)
    }), 300_000)
})
