/**
 * Holds docs/promises.md against the tests of all packages, against the README's list of promises, and against the
 * sections of all pages.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { linksOf, missing, sectionsOf, sentencesOf } from "./support/promises.ts"
import { rowsOf, violations } from "./support/provenTable.ts"
import { filesBelow, root } from "./support/repository.ts"
import { allTests } from "./support/tests.ts"

const header = "| Promise | Where | Limits | Test |"

const read = (path: string): string => readFileSync(join(root, path), "utf8")

/** All pages but this one and the index; decisions are no promises, and guides have tests of their own. */
const pages = (): ReadonlyMap<string, string> => {
  const docs = [...filesBelow("docs", ".md")].filter(([file]) =>
    !file.includes("/") && file !== "promises.md" && file !== "README.md"
  )
  return new Map([["README.md", read("README.md")], ...docs])
}

const page = read("docs/promises.md")
const rows = rowsOf(header, page)
const [, without = ""] = page.split("\n## Sections without a promise\n")

describe("docs/promises.md", () => {
  it("names tests that exist in every row", () => {
    assert.isAbove(rows.length, 100)
    assert.deepStrictEqual(violations(rows, allTests()), [])
  })

  it("has a row for every sentence of the README's list of promises, in its words", () => {
    const sentences = sentencesOf(read("README.md"), "What a session promises, whatever the network does:")
    assert.isAbove(sentences.length, 5)
    const promised = new Set(
      rows.filter(([, where]) => linksOf(where!).includes("README.md")).map(([promise]) => promise!)
    )
    assert.deepStrictEqual(sentences.filter((sentence) => !promised.has(sentence)), [])
  })

  it("knows every section of every page: it stands in a row, or promises nothing", () => {
    const named = linksOf(rows.map(([, where]) => where).join())
    assert.deepStrictEqual(missing(pages(), named, linksOf(without)), [])
  })
})

describe("the checker of docs/promises.md", () => {
  it("finds the sentences of a list, and no others", () => {
    const markdown = "A list:\n\n- One, `a.b` and\n  two. Three: four.\n- Five.\n\nSix.\n\n- Seven.\n"
    assert.deepStrictEqual(sentencesOf(markdown, "A list:"), ["One, `a.b` and two.", "Three: four.", "Five."])
  })

  it("finds the sections of a page, as GitHub names them, and no comments of programs", () => {
    const markdown = "# A page\n\n```sh\n## no section\n```\n\n## What it is, `x` and 3.1.1\n\n### More\n"
    assert.deepStrictEqual(sectionsOf("a.md", markdown), ["a.md", "a.md#what-it-is-x-and-311", "a.md#more"])
  })

  it("reports a section that is named nowhere or twice, and a name that is no section", () => {
    const known = new Map([["a.md", "# A\n\n## B\n\n## C\n"]])
    assert.deepStrictEqual(missing(known, ["a.md", "a.md", "a.md#b"], ["a.md#c"]), [])
    assert.deepStrictEqual(missing(known, ["a.md#b", "a.md#d"], ["a.md#b", "b.md"]), [
      "a.md: in no row, and not among those without a promise",
      "a.md#b: in a row, and among those without a promise",
      "a.md#c: in no row, and not among those without a promise",
      "a.md#d: no such section",
      "b.md: no such section"
    ])
  })
})
