/**
 * Opens a store and commits to it: `storeProgram <directory> <durability> <sessions> <commits>`.
 *
 * Every session puts a record and deletes the one 20 before it, again and again, and says so only when the commit has
 * succeeded. A commit that fails is said to have failed, and tried again.
 */
import { Effect } from "effect"
import * as Fs from "node:fs"
import { argv } from "node:process"
import * as FileStore from "../../src/FileStore.ts"
import { outbound, put, remove } from "./records.ts"

const [directory, durability, sessions, commits] = argv.slice(2)

// Written at once: what was said before the process is killed was said.
const say = (line: string) => Fs.writeSync(1, `${line}\n`)

const program = Effect.gen(function*() {
  const store = yield* FileStore.make({ directory: directory!, durability: durability === "os" ? "os" : "fsync" })
  say("opened")
  yield* Effect.forEach(
    Array.from({ length: Number(sessions) }, (_, index) => `session ${index}`),
    (session) =>
      Effect.gen(function*() {
        const handle = yield* store.open(session)
        const { damage, records } = yield* handle.load
        if (damage !== undefined) say(`damage ${session}: ${damage.detail}`)
        let sequence = records.reduce((last, record) => record._tag === "Outbound" ? record.sequence : last, 0)
        for (let left = Number(commits); left > 0; left--) {
          sequence++
          yield* handle.commit([put(outbound(sequence)), remove(sequence - 20)]).pipe(
            Effect.tapError((error) =>
              Effect.sync(() => say(`failed ${error.reason._tag === "StorageFailed" ? error.reason.kind : ""}`))
            ),
            Effect.retry({ times: 100 })
          )
          say(`accepted ${session} ${sequence}`)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
}).pipe(
  Effect.scoped,
  Effect.catch((error) =>
    Effect.sync(() => say(`failed ${error.reason._tag === "StorageFailed" ? error.reason.kind : ""}: ${error.message}`))
  )
)

void Effect.runPromise(program)
