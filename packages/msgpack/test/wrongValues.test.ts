/**
 * Every exported function of the package with wrong values of every kind in each of its places.
 */
import { Layer, Schema } from "effect"
import * as Path from "node:path"
import * as T from "../../../test/support/valueTypes.ts"
import { subject, testExports } from "../../../test/support/wrongExports.ts"
import { parameter } from "../../../test/support/wrongValues.ts"

const schema = parameter("schema", T.type("schema", () => Schema.String, () => false))

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  { MessagePack: { codec: subject("value", schema) } },
  Layer.empty
)
