import { type MqttError, SessionStore, StoreRecord } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Exit, Fiber, Layer, Result, Schema, Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { readRecords } from "../src/internal/levelFormat.ts"
import { runStoreProcess } from "./support/child.ts"
import { currentLog, temporaryDirectory } from "./support/directories.ts"
import { outbound, put, remove, sequences } from "./support/records.ts"

const kindOf = (error: MqttError.MqttError): string =>
  error.reason._tag === "StorageFailed" ? error.reason.kind : error.reason._tag

const failure = <A, R>(effect: Effect.Effect<A, MqttError.MqttError, R>) => Effect.map(Effect.flip(effect), kindOf)

/** Commits to one session of a store that is opened for it, and closed again. */
const commitOnce = (directory: string, session: string, ...sequences: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make({ directory })
    const handle = yield* store.open(session)
    yield* handle.commit(sequences.map((sequence) => put(outbound(sequence))))
  }).pipe(Effect.scoped)

const loadOnce = (directory: string, session: string) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make({ directory })
    const handle = yield* store.open(session)
    return yield* handle.load
  }).pipe(Effect.scoped)

describe("a store in a directory", () => {
  it.live("keeps records for the next program", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* commitOnce(directory, "a", 2, 1)
      const { damage, records } = yield* loadOnce(directory, "a")
      assert.deepStrictEqual(records, [outbound(1), outbound(2)])
      assert.isUndefined(damage)
    }))

  it.live("applies changes in order, and none of a session to another one", () =>
    Effect.gen(function*() {
      const store = yield* FileStore.make({ directory: yield* temporaryDirectory })
      const a = yield* store.open("a")
      const b = yield* store.open("b")
      yield* b.commit([put(outbound(1))])
      yield* a.commit([put(outbound(1)), put(outbound(2)), remove(1), put(outbound(3)), put(outbound(3, "later"))])
      assert.deepStrictEqual((yield* a.load).records, [outbound(2), outbound(3, "later")])
      yield* a.clear
      assert.deepStrictEqual(yield* a.load, { records: [], damage: undefined })
      assert.deepStrictEqual((yield* b.load).records, [outbound(1)])
      yield* a.commit([put(outbound(4))])
      assert.deepStrictEqual(yield* a.load, { records: [outbound(4)], damage: undefined })
    }))

  it.live("says what a commit survives", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const durability = (options: FileStore.FileStoreInput) =>
        Effect.scoped(Effect.map(
          Effect.flatMap(FileStore.make(options), (store) => store.open("a")),
          (handle) => handle.durability
        ))
      assert.strictEqual(yield* durability({ directory }), "power")
      assert.strictEqual(yield* durability({ directory, durability: "os" }), "process")
    }))

  it.live("is provided to sessions by a layer, with options from Config too", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const use = Effect.flatMap(SessionStore.SessionStore, (store) =>
        Effect.scoped(Effect.flatMap(store.open("a"), (handle) => Effect.as(handle.load, handle.durability))))
      assert.strictEqual(yield* Effect.provide(use, FileStore.layer({ directory })), "power")
      const fromConfig = FileStore.layerConfig(Config.schema(FileStore.FileStoreOptions, "store")).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ store: { directory, durability: "os" } })))
      )
      assert.strictEqual(yield* Effect.provide(use, fromConfig), "process")
    }))

  it.live("refuses options that are wrong, all at once", () =>
    Effect.gen(function*() {
      const bad = { directory: "", durability: "paper", mode: 1 } as unknown as FileStore.FileStoreInput
      const error = yield* Effect.flip(Effect.scoped(FileStore.make(bad)))
      assert.strictEqual(error.reason._tag, "InvalidOptions")
      if (error.reason._tag === "InvalidOptions") {
        assert.sameMembers(error.reason.issues.map(({ path }) => path), ["directory", "durability", "mode"])
      }
    }))

  it.effect("refuses options of every wrong kind, in code, JSON and Config", () =>
    Effect.gen(function*() {
      const inJson: unknown = JSON.parse("{\"directory\":\"/x\",\"__proto__\":{\"durability\":\"os\"}}")
      for (const wrong of [undefined, null, 5, "/x", [], { directory: 5 }, inJson, { directory: "/x", dir: "/y" }]) {
        const error = yield* Effect.flip(Effect.scoped(FileStore.make(wrong as never)))
        assert.strictEqual(error.reason._tag, "InvalidOptions")
        assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(FileStore.FileStoreOptions)(wrong)))
      }
      const provider = ConfigProvider.fromUnknown({ store: { directory: "/x", durabilty: "os" } })
      const config = yield* Effect.exit(Config.schema(FileStore.FileStoreOptions, "store").parse(provider))
      assert.isTrue(Exit.isFailure(config))
    }))

  it.live("takes commits that were begun before it closes, and none after", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(FileStore.make({ directory }), scope)
      const handle = yield* Scope.provide(store.open("a"), scope)
      const commit = yield* Effect.forkChild(handle.commit([put(outbound(1))]), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(commit)
      assert.strictEqual(yield* failure(handle.commit([put(outbound(2))])), "closed")
      assert.deepStrictEqual(sequences((yield* loadOnce(directory, "a")).records), [1])
    }))
})

describe("ownership", () => {
  it.live("a second store on the directory is refused, by whatever path it is reached", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const alias = `${directory}-alias`
      Fs.symlinkSync(directory, alias)
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(alias)))
      yield* FileStore.make({ directory })
      assert.strictEqual(yield* failure(FileStore.make({ directory })), "owned")
      assert.strictEqual(yield* failure(FileStore.make({ directory: alias })), "owned")
      assert.strictEqual(
        yield* failure(FileStore.make({ directory: Path.join(directory, "..", Path.basename(directory)) })),
        "owned"
      )
    }))

  it.live("a second process is refused, also after this one tried twice", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* FileStore.make({ directory })
      assert.strictEqual(yield* failure(FileStore.make({ directory })), "owned")
      assert.include(yield* runStoreProcess([directory]), "failed owned")
    }))

  it.live("a session that is open is refused, and free again when its scope ends", () =>
    Effect.gen(function*() {
      const store = yield* FileStore.make({ directory: yield* temporaryDirectory })
      yield* Effect.scoped(Effect.andThen(
        store.open("a"),
        Effect.gen(function*() {
          assert.strictEqual(yield* failure(store.open("a")), "owned")
          yield* store.open("b")
        })
      ))
      yield* store.open("a")
    }))

  it.live("a store is free again when its scope ends", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.scoped(FileStore.make({ directory }))
      assert.include(yield* runStoreProcess([directory]), "opened")
      yield* FileStore.make({ directory })
    }))
})

describe("names of sessions", () => {
  const names = [
    "",
    ".",
    "..",
    "../x",
    "../../etc/passwd",
    "a/b",
    "a/",
    "a",
    "A",
    "a\0",
    "\0",
    "a\0b",
    "/",
    "C:\\x",
    "CON",
    "\u00e9",
    "e\u0301",
    "\ud800",
    "\ufffd",
    "\udc00",
    " ",
    "a ",
    "a".repeat(10_000),
    "a".repeat(10_001),
    "summary/x",
    "record/a/outbound/1"
  ]

  it.live("neither leave the directory nor collide", () =>
    Effect.gen(function*() {
      const parent = yield* temporaryDirectory
      const directory = Path.join(parent, "store")
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* FileStore.make({ directory })
        const handles = yield* Effect.forEach(names, (name) => store.open(name))
        yield* Effect.forEach(handles, (handle, index) => handle.commit([put(outbound(index + 1))]), {
          concurrency: "unbounded"
        })
        yield* handles[3]!.clear
      }))
      assert.deepStrictEqual(Fs.readdirSync(parent), ["store"])
      assert.sameMembers(Fs.readdirSync(directory), ["lock", "records", "reserve", "tally"])
      yield* Effect.gen(function*() {
        const store = yield* FileStore.make({ directory })
        for (const [index, name] of names.entries()) {
          const handle = yield* store.open(name)
          const { damage, records } = yield* handle.load
          assert.deepStrictEqual(sequences(records), index === 3 ? [] : [index + 1], JSON.stringify(name.slice(0, 20)))
          assert.isUndefined(damage)
        }
      })
    }))
})

describe("keys", () => {
  it.live("that are no well-formed text come back as they were, and do not collide", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const sessions = [
        "\ud800",
        "\ud801",
        "\udc00",
        "\ufffd",
        "a\ud83d",
        "\u{10fffe}",
        "\u{10fffe}d800",
        "\u{10fffe}0000",
        "\u{1f600}"
      ]
      const origins = sessions.map((session) =>
        ({ _tag: "Origin", origin: { forwarder: "f", session, packetIdentifier: 1, use: "1" } }) as const
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* FileStore.make({ directory })).open("a")
        yield* handle.commit(origins.map(put))
        yield* handle.commit([{ _tag: "Delete", key: StoreRecord.keyOf(origins[0]!) }])
      }))
      const { damage, records } = yield* loadOnce(directory, "a")
      assert.isUndefined(damage)
      assert.sameDeepMembers(Array.from(records), origins.slice(1))
    }))
})

describe.skipIf(process.platform === "win32")("who may read it", () => {
  const modes = (path: string): ReadonlyArray<string> =>
    Fs.readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) =>
      `${entry.isDirectory() ? "directory" : "file"} ${
        (Fs.statSync(Path.join(entry.parentPath, entry.name)).mode & 0o777).toString(8)
      }`
    )

  it.live("files are 0600 and directories 0700 whatever the umask, after the log was changed too", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporaryDirectory, "parents", "store")
      const umask = process.umask(0)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.umask(umask)))
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* FileStore.make({ directory })
        const handle = yield* store.open("a")
        const payload = new Uint8Array(1_000_000)
        const log = currentLog(directory)
        for (let sequence = 1; sequence <= 12; sequence++) {
          yield* handle.commit([put(outbound(sequence, payload))])
          assert.strictEqual(Fs.statSync(currentLog(directory)).mode & 0o777, 0o600)
        }
        assert.notStrictEqual(currentLog(directory), log)
      }))
      assert.deepStrictEqual(Array.from(new Set(modes(directory))).sort(), ["directory 700", "file 600"])
      assert.strictEqual(Fs.statSync(directory).mode & 0o777, 0o700)
    }))

  it.live("an existing directory keeps its mode, and what is in it is private all the same", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      Fs.chmodSync(directory, 0o755)
      yield* commitOnce(directory, "a", 1)
      assert.strictEqual(Fs.statSync(directory).mode & 0o777, 0o755)
      assert.deepStrictEqual(Array.from(new Set(modes(directory))).sort(), ["directory 700", "file 600"])
    }))
})

describe("group commit", () => {
  /** The log has one record for each write. */
  const writes = (directory: string): number => {
    let count = 0
    readRecords(Fs.readFileSync(currentLog(directory)), () => count++)
    return count
  }

  it.live("commits of all sessions that arrive together are one write", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const store = yield* FileStore.make({ directory, durability: "os" })
      const handles = yield* Effect.forEach(Array.from({ length: 64 }, (_, index) => `s${index}`), store.open)
      const commitAll = (sequence: number) =>
        Effect.forEach(handles, (handle) => handle.commit([put(outbound(sequence))]), { concurrency: "unbounded" })
      yield* commitAll(1)
      const before = writes(directory)
      yield* commitAll(2)
      assert.strictEqual(writes(directory) - before, 1)
    }))
})

describe("the engine", () => {
  it.live("a platform without its binary is a typed failure that says so", () =>
    Effect.gen(function*() {
      const output = yield* runStoreProcess([yield* temporaryDirectory], {
        environment: { npm_config_arch: "no-such" }
      })
      assert.include(output, "failed unavailable")
      assert.include(output, "classic-level cannot be loaded: No native build was found")
    }))
})
