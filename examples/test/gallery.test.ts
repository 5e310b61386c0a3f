/**
 * The gallery lists every example, each with the words of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"

const folder = new URL("../", import.meta.url)
const page = Fs.readFileSync(new URL("README.md", folder), "utf8")
const examples = Fs.readdirSync(folder).filter((file) => file.endsWith(".ts"))

describe("the gallery", () => {
  it("has a row for each example, and no other", () => {
    const listed = Array.from(page.matchAll(/^\| \[([\w-]+\.ts)\]\(\1\) +\| \S/gm), ([, file]) => file!)
    assert.isAbove(listed.length, 10)
    assert.sameMembers(listed, examples)
  })

  it("is run by CI", () => {
    const read = (path: string): string => Fs.readFileSync(new URL(`../${path}`, folder), "utf8")
    assert.match(read(".ci/examples"), /^for source in examples\/\*\.ts; do$/m)
    for (const path of [".ci/run", ".github/workflows/ci.yml"]) assert.match(read(path), /\.ci\/examples$/m, path)
  })

  it.each(examples)("%s says in its header how it is run", (file) => {
    const [header = ""] = Fs.readFileSync(new URL(file, folder), "utf8").split("*/")
    assert.match(header, /^\/\*\*/)
    assert.include(header, file === "demo.ts" ? "npm start" : `node examples/dist/${file.replace(/\.ts$/, ".js")}`)
  })
})
