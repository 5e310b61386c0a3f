/**
 * The store and its options with wrong values of every kind.
 */
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path as EffectPath, References } from "effect"
import { KeyValueStore } from "effect/persistence"
import * as Path from "node:path"
import * as T from "../../../test/support/valueTypes.ts"
import { subject, testExports } from "../../../test/support/wrongExports.ts"
import { tryWrongValues } from "../../../test/support/wrongStores.ts"
import { options, parameter } from "../../../test/support/wrongValues.ts"
import { build, over } from "./support.ts"

const storeOptions = options("options", { prefix: T.text, durability: T.oneOf("session", "process", "power") })

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  {
    SessionStoreKvs: {
      make: subject("effect", storeOptions),
      layerKvs: subject("layer", storeOptions),
      layerFileSystem: subject("layer", parameter("directory", T.text))
    }
  },
  Layer.mergeAll(
    KeyValueStore.layerMemory,
    // Every directory is there, and none is touched.
    FileSystem.layerNoop({ exists: () => Effect.succeed(true) }),
    EffectPath.layer
  ) as Layer.Layer<never>
)

describe("a session store over a key-value store with wrong values", () => {
  it.live("fails with a type, and continues", () =>
    Effect.flatMap(build(KeyValueStore.layerMemory), (kvs) => over(kvs)).pipe(
      Effect.flatMap(tryWrongValues),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))
})
