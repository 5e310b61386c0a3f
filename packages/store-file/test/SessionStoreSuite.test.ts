import { FileStore } from "@effect-mqttx/store-file"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { temporaryDirectory } from "./support/directories.ts"

for (const durability of ["fsync", "os"] as const) {
  describe(`a file store with the durability ${durability}`, () => {
    for (const { name, run } of SessionStoreSuite.cases) {
      it.live(name, () =>
        Effect.gen(function*() {
          const directory = yield* temporaryDirectory
          const outer = yield* Effect.scope
          let current: Scope.Closeable | undefined
          const open = Effect.gen(function*() {
            if (current !== undefined) yield* Scope.close(current, Exit.void)
            current = yield* Scope.fork(outer)
            return yield* Scope.provide(FileStore.make({ directory, durability }), current)
          })
          const close = Effect.suspend(() => current === undefined ? Effect.void : Scope.close(current, Exit.void))
          yield* run({ ...yield* open, reopen: open, close })
        }))
    }
  })
}
