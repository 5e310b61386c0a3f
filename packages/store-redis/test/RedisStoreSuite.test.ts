import { RedisServer, SessionStoreSuite } from "@effect-mqttx/testing"
import { describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { store } from "./support/redis.ts"

describe.skipIf(!RedisServer.isPresent())("the behaviour of every store", () => {
  layer(RedisServer.layer({ appendonly: true, appendfsync: "no" }), { excludeTestServices: true })((it) => {
    for (const [index, { name, run }] of SessionStoreSuite.cases.entries()) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const server = yield* RedisServer.RedisServer
          const options = { keyPrefix: `case${index}:` }
          const first = yield* store(server, options)
          yield* run({ ...first, reopen: store(server, options) })
        }), 60_000)
    }
  })
})
