/**
 * The test files of the repository, by the names that the tables of the documentation have for them.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { filesBelow, packages, root } from "./repository.ts"
import type { Tree } from "./structure.ts"

/**
 * Of the core: by their path below its tests. The behaviours of a session are those that session/behaviour.ts makes
 * tests of.
 */
export const coreTests = (): Tree => {
  const folder = "packages/core/test"
  const behaviours = readFileSync(join(root, folder, "session/behaviour.ts"), "utf8")
  const isBehaviour = (file: string): boolean =>
    file.startsWith("session/behaviour") && behaviours.includes(`"${file.replace("session/", "./")}"`)
  return new Map([...filesBelow(folder, ".ts")].filter(([file]) => file.endsWith(".test.ts") || isBehaviour(file)))
}

/** Tests that several packages declare, each as long as a test file of the map declares them. */
const shared = [
  { file: "test/support/wrongExports.ts", user: "wrong/exports.test.ts", call: "testExports(" },
  { file: "test/support/storeOwnership.ts", user: "store-redis/ownership.test.ts", call: "testOwnership(" },
  { file: "test/support/storeOwnership.ts", user: "store-sql/ownership.test.ts", call: "testOwnership(" }
]

/** Those of the core, of the other packages and the examples behind their names, and of the root behind `test`. */
export const allTests = (): Tree => {
  const others = packages().filter((name) => name !== "core").map((name) => [name, `packages/${name}/test`] as const)
  const tests = new Map(coreTests())
  for (const [name, folder] of [...others, ["examples", "examples/test"], ["test", "test"]] as const) {
    for (const [file, text] of filesBelow(folder, ".test.ts")) tests.set(`${name}/${file}`, text)
  }
  for (const { file, call, user } of shared) {
    if (tests.get(user)?.includes(call) === true) tests.set(file, readFileSync(join(root, file), "utf8"))
  }
  return tests
}
