/**
 * Holds the table of docs/storage.md against the tests of the core: every row names its tests, and all of them exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { filesBelow, root } from "./support/repository.ts"
import type { Tree } from "./support/structure.ts"
import { titlesOf } from "./support/titles.ts"

const header = "| What happens | What the session does | Test |"

/** The rows of the table, cell by cell. */
const rowsOf = (markdown: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = markdown.split("\n")
  const rows: Array<ReadonlyArray<string>> = []
  // Below the header and the line that separates it.
  for (let i = lines.indexOf(header) + 2; i > 1 && lines[i]?.startsWith("|") === true; i++) {
    rows.push(lines[i]!.split("|").slice(1, -1).map((cell) => cell.trim()))
  }
  return rows
}

/** A title with `…` for what is not the same in every run; a name that ends in `…` leaves the rest of the title out. */
const names = (title: string, name: string): boolean =>
  name.endsWith("…") ? title.startsWith(name.slice(0, -1)) : title === name

/** What is wrong with the last cells: tests that do not exist, and cells that name none. */
const violations = (rows: ReadonlyArray<ReadonlyArray<string>>, tests: Tree): ReadonlyArray<string> =>
  rows.flatMap(([what = "", , cell = ""]) =>
    cell.split(/; (?=\S+\.test\.ts › )/).flatMap((proof) => {
      const [file = "", name] = proof.split(" › ")
      if (name === undefined) return [`${what}: names no test: ${proof}`]
      const text = tests.get(file)
      const { titles } = text === undefined ? { titles: [] } : titlesOf(file, text)
      return titles.some((title) => names(title, name)) ? [] : [`${what}: no such test: ${proof}`]
    })
  )

describe("docs/storage.md", () => {
  it("names tests that exist in every row", () => {
    const rows = rowsOf(readFileSync(join(root, "docs/storage.md"), "utf8"))
    assert.isAbove(rows.length, 20)
    assert.deepStrictEqual(violations(rows, filesBelow("packages/core/test", ".test.ts")), [])
  })
})

describe("the checker of docs/storage.md", () => {
  const tests: Tree = new Map([[
    "a/b.test.ts",
    "it.live(`keeps ${count} messages, and all of them`, f); it.skip('waits', f)"
  ]])
  const check = (...cells: ReadonlyArray<string>): ReadonlyArray<string> =>
    violations(rowsOf([header, "| --- | --- | --- |", ...cells.map((cell) => `| x | y | ${cell} |`)].join("\n")), tests)

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
