/**
 * The store and its options with wrong values of every kind.
 */
import * as RedisStore from "@effect-mqttx/store-redis/RedisStore"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Config, Effect, Schema } from "effect"
import { Redis } from "effect/persistence"
import { tryWrongValues } from "../../../test/support/wrongStores.ts"
import { type Answer, options, parameter, shown, type, violationsOf } from "../../../test/support/wrongValues.ts"
import { store } from "./support/redis.ts"

// Which of the numbers are in the bounds is a matter of other tests.
const some = type("duration", () => "1 day")
const input = options("options", {
  keyPrefix: type("prefix", () => "text", (value) => typeof value === "string"),
  expiry: some,
  leaseDuration: some,
  acquireTimeout: some,
  commandTimeout: some
})
const config = parameter("config", type("config", () => Config.succeed({})))

const subjects: { readonly [name: string]: readonly [Answer, typeof input] } = {
  make: ["effect", input],
  layer: ["layer", input],
  layerConfig: ["layer", config]
}

const nowhere = Redis.make({ send: () => Effect.never, subscribe: () => Effect.never, connect: Effect.never })

describe("a Redis store with wrong values", () => {
  it("has no function that is not looked at here", () => {
    const functions = Object.entries(RedisStore).filter(([, value]) =>
      typeof value === "function" && !Schema.isSchema(value)
    )
    assert.sameMembers(functions.map(([name]) => name), Object.keys(subjects))
  })

  it.live.each(Object.entries(subjects))(
    "%s takes wrong options as the rule says",
    ([name, [answer, wrong]]) =>
      Effect.gen(function*() {
        const call = RedisStore[name as "make"] as unknown as (given: unknown) => unknown
        const violations = yield* violationsOf(`RedisStore.${name}`, answer, [wrong], call)
        assert.strictEqual(shown(violations), "")
      }).pipe(Effect.provideServiceEffect(Redis.Redis, nowhere))
  )
})

describe.skipIf(!RedisServer.isPresent())("a Redis store that is called with wrong values", () => {
  layer(RedisServer.layer(), { excludeTestServices: true })((it) => {
    it.effect("fails with a type, and goes on", () =>
      Effect.gen(function*() {
        yield* tryWrongValues(yield* store(yield* RedisServer.RedisServer))
      }), 60_000)
  })
})
