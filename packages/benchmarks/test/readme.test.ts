/**
 * The table of the README is what the bench makes of docs/performance.json, and every row has its place.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { groups } from "../src/harness/model.ts"
import { begin, end, tables, withSection } from "../src/report/readme.ts"
import type { Report } from "../src/report/report.ts"
import { rowsOf, select } from "../src/rows.ts"

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

const report = JSON.parse(read("docs/performance.json")) as Report
const readme = read("README.md")
const all = (await Promise.all(groups.map(rowsOf))).flat()

describe("the README's table of speed", () => {
  it("is what `npm run bench -- --readme` makes of docs/performance.json", () => {
    assert.strictEqual(withSection(readme, report), readme)
  })

  it("has a line for each of its rows that was measured, and says when, on what and how", () => {
    const section = readme.slice(readme.indexOf(begin), readme.indexOf(end))
    const measured = tables.flatMap(({ ids }) => report.rows.filter(({ id }) => ids.includes(id)))
    assert.isNotEmpty(measured)
    for (const { title } of measured) assert.include(section, `| ${title} `)
    assert.include(section, report.command)
    assert.include(section, report.date.slice(0, 10))
    assert.include(section, report.machine.processor)
  })

  it("that was edited by hand is found", () => {
    const [row] = tables.flatMap(({ ids }) => report.rows.filter(({ id }) => ids.includes(id)))
    const edited = readme.replace(`| ${row!.title} `, "| receive twice as fast ")
    assert.notStrictEqual(edited, readme)
    assert.notStrictEqual(withSection(edited, report), edited)
  })
})

describe("the rows of the bench", () => {
  it("have identifiers of their own that begin with their group", async () => {
    assert.strictEqual(new Set(all.map(({ id }) => id)).size, all.length)
    for (const group of groups) {
      const rows = await rowsOf(group)
      assert.isNotEmpty(rows, group)
      for (const { id } of rows) assert.match(id, new RegExp(`^${group}\\.`))
    }
  })

  it("compare this library, first, with something", () => {
    for (const { id, sides } of all) {
      assert.strictEqual(sides[0]!.role, "ours", id)
      assert.isTrue(sides.slice(1).every(({ role }) => role !== "ours"), id)
    }
    const alone = all.filter(({ sides }) => sides.length === 1).map(({ id }) => id)
    const withoutOthers = /^metrics\.export\.|^storage\.open\..*\.held$/
    assert.deepStrictEqual(alone.filter((id) => !withoutOthers.test(id)), ["growth.routing.10"])
  })

  it("contain those of the README", () => {
    const ids = new Set(all.map(({ id }) => id))
    assert.deepStrictEqual(tables.flatMap((table) => table.ids).filter((id) => !ids.has(id)), [])
  })

  it("are found by a pattern for identifiers and titles", () => {
    assert.isNotEmpty(select(all, "session.publish.*"))
    assert.isTrue(select(all, "*QoS 1*").every(({ title }) => title.includes("QoS 1")))
    assert.deepStrictEqual(select(all, "session.publish"), [])
    assert.strictEqual(
      select(all, "session.publish.*", "e2e.*").length,
      select(all, "session.publish.*").length + select(all, "e2e.*").length
    )
    assert.strictEqual(select(all, "*").length, all.length)
  })
})
