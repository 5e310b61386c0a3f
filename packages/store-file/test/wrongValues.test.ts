/**
 * The store and its options with wrong values of every kind.
 */
import * as FileStore from "@effect-mqttx/store-file/FileStore"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Schema } from "effect"
import * as Path from "node:path"
import { tryWrongValues } from "../../../test/support/wrongStores.ts"
import { type Answer, options, parameter, shown, type, violationsOf } from "../../../test/support/wrongValues.ts"
import { memoryDirectory } from "./support/directories.ts"

// The system has no paths with U+0000 in them.
const directory = type(
  "directory",
  () => "text",
  (value) => typeof value === "string" && value !== "" && value !== "a\u0000"
)
const input = options(
  "options",
  { directory, durability: type("durability", () => "os", () => false) },
  () => ({ directory: "text" }),
  false
)
const config = parameter("config", type("config", () => Config.succeed({ directory: "text" }), () => false))

const subjects: { readonly [name: string]: readonly [Answer, typeof input] } = {
  make: ["effect", input],
  layer: ["layer", input],
  layerConfig: ["layer", config]
}

/** Directories that can be made are made below this one. */
const below = (parent: string, given: unknown): unknown =>
  typeof given === "object" && given !== null && "directory" in given && typeof given.directory === "string" &&
    given.directory !== ""
    ? { ...given, directory: Path.join(parent, given.directory) }
    : given

describe("a file store with wrong values", () => {
  it("has no function that is not looked at here", () => {
    const functions = Object.entries(FileStore).filter(([, value]) =>
      typeof value === "function" && !Schema.isSchema(value)
    )
    assert.sameMembers(functions.map(([name]) => name), Object.keys(subjects))
  })

  it.live.each(Object.entries(subjects))(
    "%s takes wrong options as the rule says",
    ([name, [answer, wrong]]) =>
      Effect.gen(function*() {
        const parent = yield* memoryDirectory
        const call = FileStore[name as "make"] as (given: unknown) => unknown
        const violations = yield* violationsOf(
          `FileStore.${name}`,
          answer,
          [wrong],
          (given) => call(below(parent, given))
        )
        assert.strictEqual(shown(violations), "")
      }).pipe(Effect.scoped),
    180_000
  )

  it.live("fails with a type, and continues", () =>
    Effect.gen(function*() {
      yield* tryWrongValues(yield* FileStore.make({ directory: yield* memoryDirectory, durability: "os" }))
    }).pipe(Effect.scoped), 180_000)
})
