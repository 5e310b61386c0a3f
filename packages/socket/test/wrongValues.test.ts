/**
 * Every exported function of the package with wrong values of every kind in each of its places.
 */
import { Effect, Layer } from "effect"
import * as Path from "node:path"
import * as T from "../../../test/support/valueTypes.ts"
import { subject, testExports } from "../../../test/support/wrongExports.ts"
import { parameter } from "../../../test/support/wrongValues.ts"

const makeSocket = parameter("makeSocket", T.callable(() => () => Effect.never))

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  { SocketTransport: { make: subject("effect", makeSocket), layer: subject("layer", makeSocket) } },
  Layer.empty
)
