import { SessionStoreSuite } from "@effect-mqttx/testing"
import { describe, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Database, databases, store } from "./support/databases.ts"

for (const { database, isPresent, name: kind } of databases) {
  describe.skipIf(!isPresent())(`the behaviour of every store, in ${kind}`, () => {
    layer(database, { excludeTestServices: true })((it) => {
      for (const [index, { name, run }] of SessionStoreSuite.cases.entries()) {
        it.effect(name, () =>
          Effect.gen(function*() {
            const server = yield* Database
            const options = { tablePrefix: `case${index}`, acquireTimeout: 0 }
            const scope = yield* Scope.fork(yield* Effect.scope)
            const first = yield* Scope.provide(store(server, options), scope)
            yield* run({ ...first, reopen: store(server, options), close: Scope.close(scope, Exit.void) })
          }), 180_000)
      }
    })
  })
}
