import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { runStoreProcess, startStoreProcess } from "./support/child.ts"
import { random } from "./support/corruption.ts"
import { temporaryDirectory } from "./support/directories.ts"
import { sequences } from "./support/records.ts"

const canTrace = process.platform === "linux" &&
  ChildProcess.spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0

const rounds = Number(process.env["STORE_FILE_ROUNDS"] ?? 10)

/** The last sequence that each session said to be accepted. */
const acceptedIn = (output: string): ReadonlyMap<string, number> => {
  const last = new Map<string, number>()
  // The last line may be incomplete.
  for (const line of output.split("\n").slice(0, -1)) {
    const match = /^accepted (.*) (\d+)$/.exec(line)
    if (match !== null) last.set(match[1]!, Number(match[2]))
  }
  return last
}

for (const durability of ["fsync", "os"] as const) {
  describe(`kill -9 of a process with the durability ${durability}`, () => {
    it.live(
      `loses nothing that was accepted, in ${rounds} rounds, and blocks no next start`,
      () =>
        Effect.gen(function*() {
          const directory = yield* temporaryDirectory
          const next = random(7)
          let accepted = 0
          const lost: Array<string> = []
          const before = new Map<string, number>()
          for (let round = 1; round <= rounds; round++) {
            const output = yield* Effect.scoped(Effect.gen(function*() {
              const child = yield* startStoreProcess([directory, durability, 8, 1_000_000])
              yield* child.lines(20 + Math.floor(next() * 400))
              yield* child.kill
              return yield* child.ended
            }))
            assert.notInclude(output, "damage")
            assert.notInclude(output, "failed")
            yield* Effect.scoped(Effect.gen(function*() {
              const store = yield* FileStore.make({ directory, durability })
              for (const [session, last] of acceptedIn(output)) {
                accepted += last - (before.get(session) ?? 0)
                const handle = yield* store.open(session)
                const { damage, records } = yield* handle.load
                const found = sequences(records)
                // One more commit than was accepted may have been written.
                const newest = found.at(-1) ?? 0
                before.set(session, newest)
                const expected = Array.from({ length: Math.min(20, newest) }, (_, index) => newest - index).reverse()
                if (newest < last || newest > last + 1 || found.join() !== expected.join() || damage !== undefined) {
                  lost.push(`round ${round}, ${session}: accepted ${last}, found ${found.join()}, ${damage?.detail}`)
                }
              }
            }))
          }
          console.log(`kill -9, ${durability}: ${rounds} rounds, ${accepted} commits accepted, ${lost.length} lost`)
          assert.deepStrictEqual(lost, [])
          assert.isAbove(accepted, 100)
        }),
      300_000
    )
  })
}

describe.skipIf(!canTrace)("what the system is asked to do (strace)", () => {
  const trace = (path: string) => Fs.readFileSync(path, "utf8").split("\n")

  it.live("no commit is accepted before a sync that followed its write", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const log = `${directory}.strace`
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(log, { force: true })))
      const output = yield* runStoreProcess([directory, "fsync", 1, 200], {
        by: ["strace", "-f", "-s", "64", "-y", "-e", "trace=write,fdatasync,fsync", "-o", log]
      })
      assert.strictEqual(acceptedIn(output).get("session 0"), 200)
      let written = 0
      let synced = 0
      let accepted = 0
      const pending = new Map<string, number>()
      for (const line of trace(log)) {
        const [thread = ""] = line.split(" ", 1)
        if (/ write\(\d+<[^>]*\/records\/\d+\.log>/.test(line)) written++
        else if (/ fdatasync\(\d+<[^>]*\/records\/\d+\.log>/.test(line)) {
          if (line.includes("<unfinished")) pending.set(thread, written)
          else synced = written
        } else if (/fdatasync resumed/.test(line) && pending.has(thread)) {
          synced = pending.get(thread)!
          pending.delete(thread)
        } else if (/ write\(1<.*"accepted /.test(line)) {
          accepted++
          assert.isAtLeast(synced, accepted, `accepted ${accepted} after ${synced} synced writes: ${line}`)
        }
      }
      console.log(
        `strace: ${accepted} accepted, ${written} writes to the log, the last ${synced} of them synced before`
      )
      assert.strictEqual(accepted, 200)
    }), 180_000)

  it.live("with the durability os nothing but the file tally is synced", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const log = `${directory}.strace`
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(log, { force: true })))
      yield* runStoreProcess([directory, "os", 1, 50], {
        by: ["strace", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", log]
      })
      assert.isEmpty(trace(log).filter((line) => /fdatasync\(\d+<[^>]*\/records\/\d+\.log>/.test(line)))
    }), 180_000)

  for (
    const [error, failed] of [
      ["EIO", "fails its commit as unavailable"],
      ["EROFS", "fails its commit as readOnly"],
      ["ENOSPC", "leaves its commit to the reserve"]
    ] as const
  ) {
    it.live(
      `a sync that fails with ${error} ${failed}; the next ones succeed, and nothing is lost`,
      () =>
        Effect.gen(function*() {
          const directory = yield* temporaryDirectory
          const prepared = yield* runStoreProcess([directory, "fsync", 1, 5])
          assert.strictEqual(acceptedIn(prepared).get("session 0"), 5)
          const output = yield* runStoreProcess([directory, "fsync", 1, 50], {
            by: [
              "strace",
              "-f",
              "-e",
              "trace=fdatasync",
              "-e",
              `inject=fdatasync:error=${error}:when=20..24`,
              "-o",
              "/dev/null"
            ],
            // strace counts for each thread.
            environment: { UV_THREADPOOL_SIZE: "1" }
          })
          if (error === "ENOSPC") assert.notInclude(output, "failed")
          else assert.include(output, `failed ${failed.split(" ").at(-1)}`)
          assert.strictEqual(acceptedIn(output).get("session 0"), 55)
          yield* Effect.gen(function*() {
            const store = yield* FileStore.make({ directory })
            const { damage, records } = yield* (yield* store.open("session 0")).load
            assert.deepStrictEqual(sequences(records), Array.from({ length: 20 }, (_, index) => 36 + index))
            assert.isUndefined(damage)
          }).pipe(Effect.scoped)
        }),
      180_000
    )
  }
})

describe("a lock", () => {
  it.live("that a killed process left is free", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const child = yield* startStoreProcess([directory, "fsync", 1, 1_000_000])
      yield* child.lines(5)
      const refused = yield* Effect.flip(FileStore.make({ directory }))
      assert.strictEqual(refused.reason._tag === "StorageFailed" && refused.reason.kind, "owned")
      assert.include(refused.message, "another process has the store in")
      yield* child.kill
      yield* child.ended
      yield* FileStore.make({ directory })
      assert.isTrue(Fs.existsSync(Path.join(directory, "lock", "LOCK")))
    }))
})
