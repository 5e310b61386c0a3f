import type { MqttError } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { NewFiles } from "../src/internal/directory.ts"
import { contents, memoryDirectory, temporaryDirectory } from "./support/directories.ts"
import { outbound, put, sequences } from "./support/records.ts"

const refusal = (directory: string): Effect.Effect<string> =>
  Effect.map(
    Effect.flip(Effect.scoped(FileStore.make({ directory }))).pipe(Effect.orDie),
    (error: MqttError.MqttError) => {
      assert.strictEqual(error.reason._tag === "StorageFailed" && error.reason.kind, "refused")
      return error.message
    }
  )

/** A store with one message, closed. */
const filled = (directory: string) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* (yield* FileStore.make({ directory })).open("a")
    yield* handle.commit([put(outbound(1))])
  }))

const loaded = (directory: string) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* (yield* FileStore.make({ directory })).open("a")
    return sequences((yield* handle.load).records)
  }))

const isRoot = process.geteuid?.() === 0
const other = 54_321

describe.skipIf(process.platform === "win32")("what stands in the directory of a store and is none of its own", () => {
  for (const name of ["lock", "records", "rebuilt", "replaced", "tally", "reserve"]) {
    it.live(`a symbolic link in the place of ${name} is refused, and what it leads to is not touched`, () =>
      Effect.gen(function*() {
        const parent = yield* memoryDirectory
        const victim = Path.join(parent, "victim")
        yield* filled(victim)
        const isFile = name === "tally" || name === "reserve"
        for (const isThere of [true, false]) {
          const target = isThere ? Path.join(victim, isFile ? "tally" : "records") : Path.join(parent, "nothing")
          const directory = Path.join(parent, `store ${isThere}`)
          Fs.mkdirSync(directory)
          Fs.symlinkSync(target, Path.join(directory, name))
          const before = contents(victim)
          assert.include(yield* refusal(directory), `${Path.join(directory, name)} is a symbolic link`)
          assert.deepStrictEqual(contents(victim), before)
          assert.isFalse(Fs.existsSync(Path.join(parent, "nothing")))
          Fs.unlinkSync(Path.join(directory, name))
          yield* filled(directory)
        }
      }))
  }

  for (
    const name of ["records/CURRENT", "records/000003.log", "records/LOG", "records/000077.ldb", "lock/LOCK", "lock/x"]
  ) {
    it.live(`a symbolic link at ${name} is refused`, () =>
      Effect.gen(function*() {
        const parent = yield* memoryDirectory
        const directory = Path.join(parent, "store")
        yield* filled(directory)
        const path = Path.join(directory, name)
        const victim = Path.join(parent, "victim")
        Fs.writeFileSync(victim, "precious", { mode: 0o644 })
        Fs.rmSync(path, { force: true })
        Fs.symlinkSync(victim, path)
        assert.include(yield* refusal(directory), `${path} is a symbolic link`)
        assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
        assert.strictEqual(Fs.statSync(victim).mode & 0o777, 0o644)
      }))
  }

  for (const name of ["tally", "reserve", "records", "lock"]) {
    it.live(`a pipe, a file or a directory in the place of ${name} is refused at once`, () =>
      Effect.gen(function*() {
        const directory = yield* memoryDirectory
        const path = Path.join(directory, name)
        if (ChildProcess.spawnSync("mkfifo", [path]).status === 0) {
          assert.include(yield* refusal(directory), `${path} is no`)
          Fs.rmSync(path)
        }
        if (name === "tally" || name === "reserve") Fs.mkdirSync(path)
        else Fs.writeFileSync(path, "")
        yield* refusal(directory)
        Fs.rmSync(path, { recursive: true })
        yield* filled(directory)
      }))
  }

  it.live("a link in the way of what is set aside after damage is left alone", () =>
    Effect.gen(function*() {
      const parent = yield* memoryDirectory
      const directory = Path.join(parent, "store")
      yield* filled(directory)
      Fs.symlinkSync(Path.join(parent, "nothing"), Path.join(directory, "damaged-1"))
      Fs.writeFileSync(Path.join(directory, "records", "CURRENT"), "MANIFEST-999999\n")
      yield* loaded(directory)
      assert.isFalse(Fs.existsSync(Path.join(parent, "nothing")))
      assert.isTrue(Fs.lstatSync(Path.join(directory, "damaged-1")).isSymbolicLink())
      assert.isTrue(Fs.statSync(Path.join(directory, "damaged-2")).isDirectory())
    }))

  it.live.skipIf(!isRoot)(
    "what another user has made is refused where others may write, and only there",
    () =>
      Effect.gen(function*() {
        const directory = Path.join(yield* memoryDirectory, "store")
        yield* filled(directory)
        for (const name of ["lock", "records", "tally", "reserve"]) {
          const path = Path.join(directory, name)
          Fs.chownSync(path, other, other)
          Fs.chmodSync(directory, 0o1777)
          assert.include(yield* refusal(directory), `${path} belongs to another user`)
          Fs.chmodSync(directory, 0o700)
          assert.deepStrictEqual(yield* loaded(directory), [1])
          Fs.chownSync(path, 0, 0)
        }
      })
  )

  it.live.skipIf(!isRoot)(
    "a link of another user to the directory itself is refused, one of our own is followed",
    () =>
      Effect.gen(function*() {
        const parent = yield* memoryDirectory
        const directory = Path.join(parent, "store")
        yield* filled(directory)
        const link = Path.join(parent, "link")
        Fs.symlinkSync(directory, link)
        assert.deepStrictEqual(yield* loaded(link), [1])
        Fs.lchownSync(link, other, other)
        assert.include(yield* refusal(link), `${link} is a symbolic link of another user`)
      })
  )

  it.live(
    "a hundred thousand files that are not the store's delay nothing and stay as they are",
    () =>
      Effect.gen(function*() {
        const directory = yield* memoryDirectory
        yield* filled(directory)
        for (const folder of ["", "records"]) {
          for (let i = 0; i < 50_000; i++) {
            Fs.closeSync(Fs.openSync(Path.join(directory, folder, `foreign ${i}`), "w", 0o644))
          }
        }
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* (yield* FileStore.make({ directory })).open("a")
          assert.deepStrictEqual(sequences((yield* handle.load).records), [1])
          for (let i = 2; i <= 12; i++) yield* handle.commit([put(outbound(i, new Uint8Array(1_000_000)))])
        }))
        assert.strictEqual((yield* loaded(directory)).length, 12)
        assert.strictEqual(Fs.statSync(Path.join(directory, "records", "foreign 7")).mode & 0o777, 0o644)
      }),
    180_000
  )
})

describe.skipIf(process.platform === "win32")("new files", () => {
  it.live("are made private though the time of day went an hour back, and two changes have the same time", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      // All of it happens within a tick of the clock, however long the machine takes.
      const files = new NewFiles(directory, () => 0)
      const anHourAgo = new Date(Date.now() - 3_600_000)
      const add = (name: string) => {
        Fs.writeFileSync(Path.join(directory, name), "")
        Fs.chmodSync(Path.join(directory, name), 0o644)
        // As a system does whose clock was set back, within one tick of it.
        Fs.utimesSync(directory, anHourAgo, anHourAgo)
        files.secure()
        assert.strictEqual(Fs.statSync(Path.join(directory, name)).mode & 0o777, 0o600, name)
      }
      add("000001.log")
      add("000002.log")
      files.secure()
      add("000003.ldb")
    }))
})
