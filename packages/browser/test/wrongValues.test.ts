/**
 * Every exported function of the package with wrong values of every kind in each of its places. Node has no IndexedDB,
 * so right values fail with `NotSupported` there.
 */
import { Effect, Layer } from "effect"
import * as Path from "node:path"
import * as T from "../../../test/support/valueTypes.ts"
import { subject, testExports } from "../../../test/support/wrongExports.ts"
import { options } from "../../../test/support/wrongValues.ts"

const storeOptions = options("options", { database: T.text })

const sharedOptions = options(
  "options",
  {
    name: T.text,
    session: T.effect,
    publishTimeout: T.duration,
    maximumMessageBytes: T.integer(1, 268_435_455),
    windowBytes: T.integer(1, 268_435_455)
  },
  () => ({ name: "tabs", session: Effect.never }),
  false
)

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  {
    IndexedDbStore: { make: subject("effect", storeOptions), layer: subject("layer", storeOptions) },
    SharedSession: { make: subject("effect", sharedOptions), layer: subject("layer", sharedOptions) }
  },
  Layer.empty
)
