import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { builtinModules } from "node:module"
import * as Path from "node:path"
import { byPaths, gzippedByVite, gzippedForBrowser, loadedBy, type Lock, runtimePackages } from "./support/budgets.ts"
import { fencesOf } from "./support/fences.ts"
import { root } from "./support/repository.ts"

// What the core costs those who use it. Nothing here is timed: modules and bytes are what an import waits for.

const read = (path: string): string => Fs.readFileSync(Path.join(root, path), "utf8")

describe("packages", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as { readonly packages: Lock }

  it("the core brings effect and ws, and nothing else", () => {
    assert.deepStrictEqual(runtimePackages(packages, "packages/core", new Set(["effect"])), ["effect", "ws"])
  })

  it("a package that comes with another, or as a peer that is not optional, is counted", () => {
    const lock: Lock = {
      "packages/a": {
        dependencies: { b: "1" },
        peerDependencies: { c: "1", d: "1" },
        peerDependenciesMeta: { d: { optional: true } }
      },
      "node_modules/b": { dependencies: { e: "1" } },
      "node_modules/b/node_modules/e": { dependencies: { f: "1" } },
      "node_modules/c": { dependencies: { g: "1" } },
      "node_modules/f": {},
      "node_modules/g": {}
    }
    assert.deepStrictEqual(runtimePackages(lock, "packages/a"), ["b", "c", "e", "f", "g"])
    assert.deepStrictEqual(runtimePackages(lock, "packages/a", new Set(["c"])), ["b", "c", "e", "f"])
    assert.throws(
      () => runtimePackages({ "packages/a": { dependencies: { b: "1" } } }, "packages/a"),
      /not in the lock/
    )
  })
})

describe("import", () => {
  it("the core's entry loads 302 modules and 1.68 MB of sources at most, and no package but effect", async () => {
    const { bytes, modules, packages } = await loadedBy("@effect-mqttx/core")
    assert.isAbove(modules.length, 100)
    assert.isAtMost(modules.length, 302)
    assert.isAtMost(bytes, 1_680_000)
    const others = packages.filter((name) => !builtinModules.includes(name.replace(/^node:/, "")))
    assert.deepStrictEqual(others.filter((name) => !name.startsWith("effect/")), [])
    // Node's HTTP, which WebSockets need, is loaded with the first of them.
    assert.notInclude(packages, "node:http")
  })

  it("the core's entry loads no module of effect that effect itself does not load", async () => {
    const effect = new Set((await loadedBy("effect", "bundle")).modules)
    const core = (await loadedBy("@effect-mqttx/core", "bundle")).modules
    assert.isAbove(effect.size, 100)
    assert.deepStrictEqual(
      core.filter((path) => path.includes("node_modules/") && !effect.has(path)),
      []
    )
  })
})

describe("browser", () => {
  const program = fencesOf("README.md", read("README.md"))[0]!.code

  it("the README's program as it stands is 140 KB at most, gzipped, by the bundler of Vite", async () => {
    const bytes = await gzippedByVite(program)
    assert.isAbove(bytes, 50_000)
    assert.isAtMost(bytes, 140_000)
  })

  it("the README's program is 141 KB at most, gzipped, with Effect's modules by their paths, by esbuild", async () => {
    const edited = byPaths(program)
    assert.include(edited, `import * as Stream from "effect/Stream"`)
    const { bytes, modules } = await gzippedForBrowser(edited)
    assert.isAtMost(bytes, 141_000)
    assert.deepStrictEqual(modules.filter((path) => /internal\/node\/|node_modules\/(?!effect\/)/.test(path)), [])
  })

  // esbuild keeps all of a module that another one exports as a namespace, as `effect` does.
  it("the README's program as it stands is 172 KB at most, gzipped, by esbuild", async () => {
    assert.isAtMost((await gzippedForBrowser(program)).bytes, 172_000)
  })
})
