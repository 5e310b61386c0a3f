/**
 * Holds docs/architecture.md against the sources: the files that it names, and the imports between floors that it
 * draws.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { filesBelow, root } from "./support/repository.ts"
import { importsOf, parse } from "./support/source.ts"
import { floorOf, resolveRelative } from "./support/structure.ts"

const page = Fs.readFileSync(Path.join(root, "docs/architecture.md"), "utf8")
const core = filesBelow("packages/core/src", ".ts")

const floorNames: Readonly<Record<number, string>> = {
  0: "leaves",
  1: "codec",
  2: "connection",
  3: "engine",
  4: "session",
  5: "manager",
  6: "forwarder"
}

/** `a --> b` for every floor that imports from another one. */
const imported = (): ReadonlyArray<string> => {
  const arrows = new Set<string>()
  for (const [path, text] of core) {
    const from = floorNames[floorOf(path) ?? -1]
    if (from === undefined) continue
    for (const { specifier } of importsOf(parse(path, text))) {
      const to = floorNames[floorOf(resolveRelative(path, specifier)) ?? -1]
      if (specifier.startsWith(".") && to !== undefined && to !== from) arrows.add(`${from} --> ${to}`)
    }
  }
  return Array.from(arrows).sort()
}

describe("docs/architecture.md", () => {
  it("names files that exist", () => {
    const named = Array.from(page.matchAll(/`([\w/]+\.ts|internal\/\w+\/)`/g), ([, path]) => path!)
      .filter((path) => path !== "contract.ts")
    assert.isAbove(named.length, 30)
    const exists = (path: string): boolean =>
      path.endsWith("/") ? Array.from(core.keys()).some((file) => file.startsWith(path)) : core.has(path)
    assert.deepStrictEqual(named.filter((path) => !exists(path)), [])
  })

  it("draws the imports between floors that there are", () => {
    const drawn = Array.from(page.matchAll(/^ {2}(\w+ --> \w+)$/gm), ([, arrow]) => arrow!).sort()
    assert.deepStrictEqual(drawn, imported())
  })

  it("lists the stages of a forwarder in the order in which they know each other: none imports an earlier one", () => {
    const section = page.slice(page.indexOf("## One forwarded message"), page.indexOf("## Where to find"))
    const stages = Array.from(section.matchAll(/\| `([\w/]+\.ts)` *\|/g), ([, path]) => path!)
      .filter((path) =>
        /\/(?:messageFilter|transformations|topicMapping|targetQueue|settlement|inFlight)\.ts$/.test(path)
      )
    assert.strictEqual(stages.length, 6)
    const backwards = stages.flatMap((path, index) =>
      importsOf(parse(path, core.get(path)!))
        .map(({ specifier }) => resolveRelative(path, specifier))
        .filter((target) => stages.includes(target) && stages.indexOf(target) < index)
        .map((target) => `${path}: imports ${target}`)
    )
    assert.deepStrictEqual(backwards, [])
  })
})
