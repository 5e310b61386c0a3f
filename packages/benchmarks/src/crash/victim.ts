/**
 * A child process that can be killed, as a resource.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { type Orders, parseReport, type Report, toArguments } from "./contract.ts"

export interface Victim {
  /** Succeeds with the first report, fails when the process ends before, or reports nothing for two minutes. */
  readonly reported: Effect.Effect<void, Error>
  /** The same with its first report that a message has begun. */
  readonly begun: Effect.Effect<void, Error>
  /** kill -9, and waits until all that it had reported is read. */
  readonly kill: Effect.Effect<void>
  /** The exit code of a process that ends by itself, null after a kill. */
  readonly ended: Effect.Effect<number | null>
  /** What it wrote to its standard error. */
  readonly complaints: () => string
}

export const start = (orders: Orders, onReport: (report: Report) => void): Effect.Effect<Victim, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const reported = yield* Deferred.make<void, Error>()
      const begun = yield* Deferred.make<void, Error>()
      const ended = yield* Deferred.make<number | null>()
      const child = spawn(process.execPath, [new URL("./child.js", import.meta.url).pathname, ...toArguments(orders)], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      let complaints = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        complaints = (complaints + text).slice(-4000)
      })
      createInterface({ input: child.stdout }).on("line", (line) => {
        const report = parseReport(line)
        if (report === undefined) return
        onReport(report)
        Deferred.doneUnsafe(reported, Effect.void)
        if (report[0] === "begun") Deferred.doneUnsafe(begun, Effect.void)
      })
      // After the end of its output, not only of the process.
      child.on("close", (code) => {
        const early = Effect.fail(new Error(`a process ended early: ${complaints}`))
        Deferred.doneUnsafe(reported, early)
        Deferred.doneUnsafe(begun, early)
        Deferred.doneUnsafe(ended, Effect.succeed(code))
      })
      const awaitReport = (deferred: Deferred.Deferred<void, Error>): Effect.Effect<void, Error> =>
        Effect.timeoutOrElse(Deferred.await(deferred), {
          duration: "2 minutes",
          orElse: () => Effect.fail(new Error(`a process reports nothing: ${complaints}`))
        })
      const victim: Victim = {
        reported: awaitReport(reported),
        begun: awaitReport(begun),
        kill: Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(ended)),
        ended: Deferred.await(ended),
        complaints: () => complaints
      }
      return victim
    }),
    (victim) => victim.kill
  )
