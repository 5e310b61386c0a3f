/**
 * Holds the table of docs/storage.md against the tests of the core: every row names its tests, and all of them exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { rowsOf, violations } from "./support/provenTable.ts"
import { root } from "./support/repository.ts"
import type { Tree } from "./support/structure.ts"
import { coreTests } from "./support/tests.ts"

const header = "| What happens | What the session does | Test |"

describe("docs/storage.md", () => {
  it("names tests that exist in every row", () => {
    const rows = rowsOf(header, readFileSync(join(root, "docs/storage.md"), "utf8"))
    assert.isAbove(rows.length, 20)
    assert.deepStrictEqual(violations(rows, coreTests()), [])
  })
})

describe("the checker of docs/storage.md", () => {
  const tests: Tree = new Map([[
    "a/b.test.ts",
    "it.live(`keeps ${count} messages, and all of them`, f); it.skip('waits', f)"
  ]])
  const check = (...cells: ReadonlyArray<string>): ReadonlyArray<string> =>
    violations(
      rowsOf(header, [header, "| --- | --- | --- |", ...cells.map((cell) => `| x | y | ${cell} |`)].join("\n")),
      tests
    )

  it("accepts a title, its beginning, and several of them", () => {
    const whole = "a/b.test.ts › keeps … messages, and all of them"
    assert.deepStrictEqual(check(whole, "a/b.test.ts › keeps … messages, …", `${whole}; ${whole}`), [])
  })

  it("reports a test that does not exist, has another title, stands in another file, or is skipped", () => {
    const names = ["a/b.test.ts › keeps", "a/b.test.ts › loses …", "b.test.ts › keeps …", "a/b.test.ts › waits"]
    assert.deepStrictEqual(check(...names), names.map((name) => `x: no such test: ${name}`))
    assert.deepStrictEqual(check("a/b.test.ts › keeps …; c.test.ts › keeps"), ["x: no such test: c.test.ts › keeps"])
  })

  it("reports a row that names no test", () => {
    assert.deepStrictEqual(check("", "later"), ["x: names no test: ", "x: names no test: later"])
  })
})
