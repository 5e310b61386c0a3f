/**
 * Accepted messages per second of a session on each durable store, beside the engine under that store doing the same
 * writes.
 */
import { RedisServer } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../median.ts"
import { crowds, type Setup, setups, type SideRequest, type SideResult } from "./contract.ts"

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** An empty place for one run. */
const placeOf = (setup: Setup): Effect.Effect<string, never, Scope.Scope> =>
  setups[setup].engine === "LevelDB"
    ? directory
    : Effect.map(
      Effect.orDie(
        RedisServer.make(setups[setup].sync ? { appendonly: true, appendfsync: "always" } : { appendonly: false })
      ),
      (redis) => redis.url
    )

const measure = Effect.fnUntraced(function*(request: Omit<SideRequest, "place">) {
  const place = yield* placeOf(request.setup)
  return yield* Effect.callback<SideResult, Error>((resume) => {
    const child = fork(new URL("./side.js", import.meta.url), [JSON.stringify({ ...request, place })])
    child.once("message", (result) => resume(Effect.succeed(result as SideResult)))
    child.once("exit", (code) => resume(Effect.fail(new Error(`a side ended with ${code}`))))
    return Effect.sync(() => child.kill())
  })
}, Effect.scoped)

export interface StorageOptions {
  readonly runs: number
  readonly millis: number
  readonly rows: string
}

const line = (cells: ReadonlyArray<string>): string =>
  cells[0]!.padEnd(16) + cells.slice(1).map((cell) => cell.padStart(13)).join("")

/** Prints the table and answers the lowest ratio. */
export const benchmarkStorage = (options: StorageOptions): Promise<number> =>
  Effect.runPromise(Effect.gen(function*() {
    console.log(`Accepted messages per second, median of ${options.runs} runs, Node ${process.version}\n`)
    console.log(line(["store", "publishers", "in a commit", "session/s", "engine/s", "ratio"]))
    let lowest = Infinity
    for (const setup of Object.keys(setups) as ReadonlyArray<Setup>) {
      if (!setup.includes(options.rows)) continue
      for (const size of crowds) {
        const sessions: Array<SideResult> = []
        const engines: Array<SideResult> = []
        for (let run = 0; run < options.runs; run++) {
          const session = yield* measure({ setup, side: "session", size, millis: options.millis })
          sessions.push(session)
          // The engine gets its records in writes as large as those that the session made of them.
          const batch = Math.max(1, Math.round(session.batch))
          engines.push(yield* measure({ setup, side: "engine", size: batch, millis: options.millis }))
        }
        const session = median(sessions.map(({ rate }) => rate))
        const engine = median(engines.map(({ rate }) => rate))
        const batch = median(sessions.map(({ batch }) => batch))
        lowest = Math.min(lowest, session / engine)
        console.log(line([
          setup,
          String(size),
          batch.toFixed(1),
          session.toFixed(0),
          engine.toFixed(0),
          (session / engine).toFixed(2)
        ]))
      }
    }
    return lowest
  }))
