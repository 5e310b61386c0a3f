/**
 * Runs the suite of stores on a prototype, and prints the cases that fail.
 */
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { PrototypeOptions } from "./contract.ts"

type Make = (options: PrototypeOptions) => Effect.Effect<SessionStore["Service"], never, Scope.Scope>

export const runSuite = async (name: string, make: Make, parent: string): Promise<void> => {
  let failures = 0
  for (const { name: title, run } of SessionStoreSuite.cases) {
    const directory = mkdtempSync(join(parent, "suite-"))
    const exit = await Effect.runPromiseExit(Effect.scoped(Effect.gen(function*() {
      const outer = yield* Effect.scope
      let current: Scope.Closeable | undefined
      const open = Effect.gen(function*() {
        if (current !== undefined) yield* Scope.close(current, Exit.void)
        current = yield* Scope.fork(outer)
        return yield* Scope.provide(make({ directory, sync: true }), current)
      })
      const close = Effect.suspend(() => current === undefined ? Effect.void : Scope.close(current, Exit.void))
      yield* run({ ...yield* open, reopen: open, close })
    })))
    rmSync(directory, { recursive: true, force: true })
    if (Exit.isSuccess(exit)) continue
    failures++
    console.log(`${name}: ${title}: ${Cause.pretty(exit.cause).split("\n")[0]}`)
  }
  console.log(`${name}: ${SessionStoreSuite.cases.length - failures} of ${SessionStoreSuite.cases.length} cases pass`)
}
