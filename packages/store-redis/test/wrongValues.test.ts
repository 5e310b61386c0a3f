/**
 * The store and its options with wrong values of every kind.
 */
import { RedisServer } from "@effect-mqttx/testing"
import { describe, layer } from "@effect/vitest"
import { Config, Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import * as Path from "node:path"
import { subject, testExports } from "../../../test/support/wrongExports.ts"
import { tryWrongValues } from "../../../test/support/wrongStores.ts"
import { options, parameter, type } from "../../../test/support/wrongValues.ts"
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

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  {
    RedisStore: {
      make: subject("effect", input),
      layer: subject("layer", input),
      layerConfig: subject("layer", config)
    }
  },
  Layer.effect(
    Redis.Redis,
    Redis.make({ send: () => Effect.never, subscribe: () => Effect.never, connect: Effect.never })
  ) as Layer.Layer<never>
)

describe.skipIf(!RedisServer.isPresent())("a Redis store that is called with wrong values", () => {
  layer(RedisServer.layer(), { excludeTestServices: true })((it) => {
    it.effect("fails with a type, and continues", () =>
      Effect.gen(function*() {
        yield* tryWrongValues(yield* store(yield* RedisServer.RedisServer))
      }), 180_000)
  })
})
