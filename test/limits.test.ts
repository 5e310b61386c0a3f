/**
 * Holds the table of docs/limits.md against the tests of the core: every row names its tests, and all of them exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { rowsOf, violations } from "./support/provenTable.ts"
import { filesBelow, root } from "./support/repository.ts"

const header = "| What a peer makes grow | Bound | Beyond it | Test |"

describe("docs/limits.md", () => {
  it("names tests that exist in every row", () => {
    const rows = rowsOf(header, readFileSync(join(root, "docs/limits.md"), "utf8"))
    assert.isAbove(rows.length, 8)
    assert.deepStrictEqual(violations(rows, filesBelow("packages/core/test", ".test.ts")), [])
  })
})
