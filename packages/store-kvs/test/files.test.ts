import * as SessionStoreKvs from "@effect-mqttx/store-kvs/SessionStoreKvs"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { KeyValueStore } from "effect/persistence"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { build, drop, outbound, over, put, subject } from "./support.ts"

const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "mqtt-kvs-" })
)

const files = (directory: string) => build(SessionStoreKvs.layerFileSystem(directory))

const withoutUmask = Effect.acquireRelease(
  Effect.sync(() => process.umask(0)),
  (umask) => Effect.sync(() => process.umask(umask))
)

const modeOf = (path: string): string => (Fs.statSync(path).mode & 0o777).toString(8)

describe("SessionStoreKvs in private files", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        yield* run(yield* subject(files(directory)))
      }).pipe(Effect.provide(NodeServices.layer)), 180_000)
  }
})

describe.skipIf(process.platform === "win32")("the files of SessionStoreKvs", () => {
  it.live("are 0600 in a directory of 0700 from the first moment on, with a umask of 0", () =>
    Effect.gen(function*() {
      yield* withoutUmask
      const directory = Path.join(yield* temporaryDirectory, "parents", "store")
      const kvs = yield* files(directory)
      const modes = new Set<string>()
      const watched = KeyValueStore.make({
        ...kvs,
        set: (key, value) =>
          Effect.andThen(
            kvs.set(key, value),
            Effect.sync(() => {
              for (const name of Fs.readdirSync(directory)) modes.add(modeOf(Path.join(directory, name)))
            })
          )
      })
      const handle = yield* (yield* over(watched)).open("plant")
      // Enough for a log that is written anew, with its heads.
      for (let i = 0; i < 150; i++) yield* handle.commit([put(outbound(i, "a", new Uint8Array(2000))), drop(i - 3)])
      yield* kvs.set("text", "secret")
      modes.add(modeOf(Path.join(directory, "text")))
      assert.deepStrictEqual(Array.from(modes), ["600"])
      assert.strictEqual(modeOf(directory), "700")
      assert.strictEqual(modeOf(Path.dirname(directory)), "700")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("an existing file with another mode is replaced by a private one", () =>
    Effect.gen(function*() {
      yield* withoutUmask
      const directory = yield* temporaryDirectory
      const path = Path.join(directory, "key")
      Fs.writeFileSync(path, "old", { mode: 0o666 })
      const kvs = yield* files(directory)
      yield* kvs.set("key", "new")
      assert.strictEqual(modeOf(path), "600")
      assert.strictEqual(yield* kvs.get("key"), "new")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("a symbolic link is never written through, and reading one is refused", () =>
    Effect.gen(function*() {
      const parent = yield* temporaryDirectory
      const directory = Path.join(parent, "store")
      Fs.mkdirSync(directory)
      const victim = Path.join(parent, "victim")
      Fs.writeFileSync(victim, "precious")
      const kvs = yield* files(directory)
      const first = Path.join(directory, encodeURIComponent("mqtt/plant/0"))
      for (const name of [first, `${first}.tmp`]) {
        Fs.symlinkSync(victim, name)
        yield* kvs.set("mqtt/plant/0", new Uint8Array([1, 2, 3]))
        assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
        assert.isTrue(Fs.lstatSync(first).isFile())
        assert.deepStrictEqual(Fs.readdirSync(directory), [Path.basename(first)])
        Fs.rmSync(first)
      }
      Fs.symlinkSync(victim, first)
      const handle = yield* (yield* over(kvs)).open("plant")
      const { reason } = yield* Effect.flip(handle.load)
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "refused")
      assert.strictEqual(Fs.readFileSync(victim, "utf8"), "precious")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("a pipe or a directory in the place of a value is refused at once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const kvs = yield* files(directory)
      const first = Path.join(directory, encodeURIComponent("mqtt/plant/0"))
      const refused = Effect.gen(function*() {
        const handle = yield* (yield* over(kvs)).open("plant")
        const { reason } = yield* Effect.flip(handle.load)
        assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "refused")
      }).pipe(Effect.scoped)
      Fs.mkdirSync(first)
      yield* refused
      Fs.rmdirSync(first)
      if (ChildProcess.spawnSync("mkfifo", [first]).status === 0) yield* refused
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("of others do no harm, however many there are", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (let i = 0; i < 20_000; i++) Fs.closeSync(Fs.openSync(Path.join(directory, `foreign%2${i}`), "w"))
      const kvs = yield* files(directory)
      const read = Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* over(kvs)).open("plant")
        return (yield* handle.load).records.length
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* over(kvs)).open("plant")
        for (let i = 0; i < 150; i++) yield* handle.commit([put(outbound(i)), drop(i - 3)])
      }))
      assert.strictEqual(yield* read, 3)
      // Where the heads are damaged, the values are looked for among all names.
      for (const name of Fs.readdirSync(directory)) {
        if (name.includes("head")) Fs.writeFileSync(Path.join(directory, name), "odd")
      }
      assert.strictEqual(yield* read, 3)
    }).pipe(Effect.provide(NodeServices.layer)), 180_000)

  it.live(
    "on a full disk: a commit fails as full, what was there can be opened, and it continues when there is room",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const mounted =
          ChildProcess.spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]).status === 0
        if (!mounted) return
        yield* Effect.addFinalizer(() => Effect.sync(() => ChildProcess.spawnSync("umount", [directory])))
        const store = yield* over(yield* files(Path.join(directory, "store")))
        const accepted: Array<number> = []
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* store.open("plant")
          for (let i = 0;; i++) {
            const exit = yield* Effect.exit(handle.commit([put(outbound(i, "a", new Uint8Array(20_000)))]))
            if (exit._tag === "Failure") {
              const { reason } = yield* Effect.flip(exit)
              assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "full")
              break
            }
            accepted.push(i)
          }
        }))
        Fs.writeFileSync(Path.join(directory, "ballast"), new Uint8Array(Fs.statfsSync(directory).bavail * 4096))
        const handle = yield* store.open("plant")
        const { damage, records } = yield* handle.load
        assert.isUndefined(damage)
        assert.strictEqual(records.length, accepted.length)
        Fs.rmSync(Path.join(directory, "ballast"))
        yield* handle.commit(accepted.map(drop))
        assert.deepStrictEqual((yield* handle.load).records, [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    180_000
  )
})
