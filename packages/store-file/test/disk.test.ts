import type { MqttError } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { contents, temporaryDirectory } from "./support/directories.ts"
import { outbound, put, remove, sequences } from "./support/records.ts"

const mount = (...parameters: ReadonlyArray<string>): boolean =>
  ChildProcess.spawnSync("mount", parameters).status === 0

const unmount = (path: string) => ChildProcess.spawnSync("umount", [path])

/** Whether this process may mount file systems. */
const canMount = (() => {
  if (process.platform !== "linux") return false
  const path = Fs.mkdtempSync(Path.join(Os.tmpdir(), "store-file-mount-"))
  const mounted = mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", path)
  if (mounted) unmount(path)
  Fs.rmdirSync(path)
  return mounted
})()

const smallDisk = (size: string) =>
  Effect.gen(function*() {
    const path = yield* temporaryDirectory
    yield* Effect.acquireRelease(
      Effect.sync(() => assert.isTrue(mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path))),
      () => Effect.sync(() => unmount(path))
    )
    return path
  })

const kindOf = (error: MqttError.MqttError): string =>
  error.reason._tag === "StorageFailed" ? error.reason.kind : error.reason._tag

const loadOnce = (directory: string, session: string) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make({ directory })
    return yield* (yield* store.open(session)).load
  }).pipe(Effect.scoped)

describe.skipIf(!canMount)("a full disk", () => {
  for (const durability of ["fsync", "os"] as const) {
    it.live(
      `fails commits as full with ${durability}, loses nothing, and serves again when there is room`,
      () =>
        Effect.gen(function*() {
          const disk = yield* smallDisk("8m")
          const directory = Path.join(disk, "store")
          const ballast = Path.join(disk, "ballast")
          const payload = new Uint8Array(50_000).fill(7)
          const accepted = { a: new Array<number>(), b: new Array<number>() }
          const failures = new Map<string, number>()
          yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* FileStore.make({ directory, durability })
            const handles = { a: yield* store.open("a"), b: yield* store.open("b") }
            let sequence = 0
            const fill = (count: number) =>
              Effect.gen(function*() {
                for (let left = count; left > 0; left--) {
                  sequence++
                  for (const session of ["a", "b"] as const) {
                    const outcome = yield* Effect.result(handles[session].commit([put(outbound(sequence, payload))]))
                    if (outcome._tag === "Success") accepted[session].push(sequence)
                    else failures.set(kindOf(outcome.failure), (failures.get(kindOf(outcome.failure)) ?? 0) + 1)
                  }
                }
              })
            for (let time = 0; time < 3; time++) {
              Fs.writeFileSync(ballast, "")
              yield* fill(5)
              const room = Fs.statfsSync(disk)
              Fs.writeFileSync(ballast, new Uint8Array(Math.max(0, room.bavail * room.bsize - 170_000)))
              const before = failures.get("full") ?? 0
              yield* fill(10)
              assert.isAbove(failures.get("full") ?? 0, before)
              Fs.rmSync(ballast)
              const count = accepted.a.length
              yield* fill(2)
              assert.strictEqual(accepted.a.length, count + 2)
            }
          }))
          let lost = 0
          for (const session of ["a", "b"] as const) {
            const { damage, records } = yield* loadOnce(directory, session)
            assert.isUndefined(damage)
            const found = new Set(sequences(records))
            lost += accepted[session].filter((sequence) => !found.has(sequence)).length
            for (const record of records) {
              if (record._tag === "Outbound") assert.strictEqual(Buffer.compare(record.payload, payload), 0)
            }
          }
          console.log(
            `disk full, ${durability}: accepted ${accepted.a.length + accepted.b.length}, failed as full ${
              failures.get("full")
            }, as anything else ${failures.size - 1}, accepted lost ${lost}`
          )
          assert.deepStrictEqual(Array.from(failures.keys()), ["full"])
          assert.strictEqual(lost, 0)
        }),
      60_000
    )
  }

  it.live(
    "what was deleted makes room: a disk of 64 MB takes any number of messages, one after the other",
    () =>
      Effect.gen(function*() {
        const directory = Path.join(yield* smallDisk("64m"), "store")
        const store = yield* FileStore.make({ directory })
        const handle = yield* store.open("a")
        const payload = new Uint8Array(100_000).fill(7)
        for (let sequence = 1; sequence <= 1600; sequence++) {
          yield* handle.commit([put(outbound(sequence, payload)), remove(sequence - 5)])
        }
        assert.deepStrictEqual(sequences((yield* handle.load).records), [1596, 1597, 1598, 1599, 1600])
      }),
    60_000
  )

  it.live("no store is opened where there is no room for one", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("64k")
      Fs.writeFileSync(Path.join(disk, "ballast"), new Uint8Array(52_000))
      const error = yield* Effect.flip(Effect.scoped(FileStore.make({ directory: Path.join(disk, "store") })))
      assert.strictEqual(kindOf(error), "full")
      Fs.rmSync(Path.join(disk, "ballast"))
      yield* FileStore.make({ directory: Path.join(disk, "store") })
    }))
})

describe.skipIf(!canMount)("a read-only file system", () => {
  it.live("fails as readOnly, changes nothing, and serves when it is writable again", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("8m")
      const directory = Path.join(disk, "store")
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* FileStore.make({ directory })).open("a")
        yield* handle.commit([put(outbound(1))])
      }))
      const before = contents(directory)
      assert.isTrue(mount("-o", "remount,ro", disk))
      assert.strictEqual(kindOf(yield* Effect.flip(Effect.scoped(FileStore.make({ directory })))), "readOnly")
      assert.deepStrictEqual(contents(directory), before)
      assert.isTrue(mount("-o", "remount,rw", disk))
      assert.deepStrictEqual(sequences((yield* loadOnce(directory, "a")).records), [1])
    }))
})
