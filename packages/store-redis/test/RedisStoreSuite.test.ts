import { RedisServer, SessionStoreSuite } from "@effect-mqttx/testing"
import { describe, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { store } from "./support/redis.ts"

describe.skipIf(!RedisServer.isPresent())("the behaviour of every store", () => {
  layer(RedisServer.layer({ appendonly: true, appendfsync: "no" }), { excludeTestServices: true })((it) => {
    for (const [index, { name, run }] of SessionStoreSuite.cases.entries()) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const server = yield* RedisServer.RedisServer
          const options = { keyPrefix: `case${index}:` }
          const scope = yield* Scope.fork(yield* Effect.scope)
          const first = yield* Scope.provide(store(server, options), scope)
          yield* run({ ...first, reopen: store(server, options), close: Scope.close(scope, Exit.void) })
        }), 180_000)
    }
  })
})
