/**
 * The packages as they are published: what is in the tarballs, and that they work for those who install them in an
 * empty folder. Installing needs a registry; without one these tests are skipped, except in CI.
 */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { fencesOf } from "./support/fences.ts"
import { writeBillOfMaterials } from "./support/packing/billOfMaterials.ts"
import { check, configuration, install, registry, run, tool, write } from "./support/packing/consumer.ts"
import type { PackageJson } from "./support/packing/manifest.ts"
import { directory, pack, type Packed, published } from "./support/packing/pack.ts"
import { type Contents, contentViolations } from "./support/packing/tarball.ts"
import { root } from "./support/repository.ts"

let packed: ReadonlyArray<Packed> = []
beforeAll(async () => {
  packed = await pack()
}, 240_000)

const contents = (name: string): Contents => {
  const read = (path: string): string => Fs.readFileSync(Path.join(directory, name, path), "utf8")
  return {
    manifest: JSON.parse(read("package.json")) as PackageJson,
    files: packed.find((each) => each.name === name)!.files,
    read
  }
}

/** What programs may import of a package, as its exports say. */
const subpaths = (name: string): ReadonlyArray<string> => [
  ".",
  ...contents(name).files.flatMap((file) => {
    const module = /^dist\/(\w+)\.js$/.exec(file)?.[1]
    return module === undefined || module === "index" ? [] : [`./${module}`]
  })
]

const specifier = (name: string, subpath: string): string => `@effect-mqttx/${name}${subpath.slice(1)}`

/** Bytes of a tarball. A package that has no budget of its own may have the last one. */
const budgets: Readonly<Record<string, number>> = {
  cli: 310_000,
  core: 1_650_000,
  metrics: 140_000,
  testing: 280_000
}
const otherBudget = 110_000

const readme = fencesOf("README.md", Fs.readFileSync(Path.join(root, "README.md"), "utf8"))[0]!.code

describe.each(published())("the tarball of %s", (name) => {
  it("holds what its manifest says, and nothing else", () => {
    const problems = contentViolations(contents(name), name)
    assert.deepStrictEqual(problems, [])
  })

  it("is within its budget", () => {
    assert.isAtMost(packed.find((each) => each.name === name)!.size, budgets[name] ?? otherBudget)
  })

  it("passes publint", async () => {
    const { messages, pkg } = await publint({ pkgDir: Path.join(directory, name), pack: false, strict: true })
    assert.deepStrictEqual(messages.map((message) => formatMessage(message, pkg, { color: false })), [])
  })

  it("has types for every module, for bundlers and for modules on Node", async () => {
    const { tarball } = packed.find((each) => each.name === name)!
    const entrypoints = Array.from(subpaths(name))
    const result = await checkPackage(createPackageFromTarballData(Fs.readFileSync(tarball)), { entrypoints })
    if (result.types === false) throw new Error("no types")
    assert.sameMembers(Object.keys(result.entrypoints), entrypoints)
    // `require` of a module and the resolution before Node 12 are for programs that these packages are not for.
    const problems = result.problems.filter((problem) =>
      !("resolutionKind" in problem) || problem.resolutionKind === "node16-esm" || problem.resolutionKind === "bundler"
    )
    assert.deepStrictEqual(problems, [])
  })
})

describe("tarballs", () => {
  it("have one version, which is 0.1.0 or later", () => {
    const versions = new Set(published().map((name) => contents(name).manifest.version))
    assert.strictEqual(versions.size, 1)
    assert.match([...versions][0]!, /^0\.[1-9]/)
  })

  it("with something missing, too much or wrong are found", () => {
    const files: Readonly<Record<string, string>> = {
      "package.json": "",
      "README.md": "# Another\n\n[here](docs/a.md)\n",
      "dist/a.js.map": `{ "sources": ["../src/a.ts"] }`,
      "dist/a.js": "",
      "dist/.tsbuildinfo": "",
      "src/a.test.ts": ""
    }
    const manifest: PackageJson = {
      name: "@effect-mqttx/a",
      version: "0.0.0",
      exports: { ".": { default: "./dist/index.js" }, "./*": { types: "./dist/*.d.ts", default: "./dist/*.js" } },
      peerDependencies: { effect: "^4.1.0" }
    }
    const problems = contentViolations({ manifest, files: Object.keys(files), read: (path) => files[path]! }, "a")
    for (
      const problem of [
        "lacks LICENSE",
        "lacks CHANGELOG.md",
        "has the version 0.0.0",
        "has no licence",
        "has another repository",
        "has another core",
        ".: types are not first",
        ".: no ./dist/index.js",
        "./*: no ./dist/*.d.ts",
        "holds dist/.tsbuildinfo",
        "holds src/a.test.ts",
        "dist/a.js.map: no src/a.ts",
        "README.md: has another title",
        "README.md: does not install effect",
        "README.md: a link to docs/a.md leads nowhere on npm"
      ]
    ) {
      assert.include(problems, problem)
    }
  })

  it("of the core and of metrics have what only they have: rules for assistants, dashboard and alerts", () => {
    assert.include(contents("core").files, "AGENTS.md")
    assert.includeMembers(
      [...contents("metrics").files],
      Fs.readdirSync(Path.join(root, "packages/metrics/grafana")).map((file) => `grafana/${file}`)
    )
  })

  it("of the core load 60 files and 1.08 MB on Node at most", async () => {
    const { metafile } = await build({
      absWorkingDir: Path.join(directory, "core"),
      entryPoints: ["node/index.js"],
      bundle: true,
      splitting: true,
      treeShaking: false,
      write: false,
      metafile: true,
      platform: "node",
      format: "esm",
      packages: "external",
      outdir: "out"
    })
    const loaded = new Set<string>()
    const visit = (path: string): void => {
      if (loaded.has(path) || metafile.inputs[path] === undefined) return
      loaded.add(path)
      for (const { kind, path: target } of metafile.inputs[path].imports) {
        if (kind !== "dynamic-import") visit(target)
      }
    }
    visit("node/index.js")
    assert.isAbove(loaded.size, 10)
    assert.isAtMost(loaded.size, 60)
    const bytes = [...loaded].map((path) => metafile.inputs[path]!.bytes).reduce((sum, size) => sum + size, 0)
    assert.isAtMost(bytes, 1_080_000)
  })
})

const folder = Path.join(root, "build/consumer")

describe.skipIf(!(await registry()))("in an empty folder, the packages", () => {
  beforeAll(async () => {
    const { output, status } = await install(folder, packed)
    assert.strictEqual(status, 0, output)
    assert.notMatch(output, /ERESOLVE|unmet peer|invalid/i)
    const modules = published().flatMap((name) => subpaths(name).map((subpath) => specifier(name, subpath)))
    assert.isAbove(modules.length, 80)
    write(folder, {
      "src/program.ts": readme,
      "src/modules.ts": modules.map((each, i) => `export * as m${i} from "${each}"\n`).join(""),
      "tsconfig.nodenext.json": configuration("nodenext"),
      "tsconfig.bundler.json": configuration("bundler"),
      "check.cjs": check
    })
  }, 300_000)

  describe.each(["nodenext", "bundler"] as const)("compile with moduleResolution %s", (resolution) => {
    it("by TypeScript 5.9", async () => {
      const { output, status } = await run(folder, process.execPath, ["check.cjs", `tsconfig.${resolution}.json`])
      assert.deepStrictEqual({ output: output.split("\n"), status }, { output: ["5.9: checked", ""], status: 0 })
    })

    it("by TypeScript 7", async () => {
      const compiler = Path.join(root, "node_modules/typescript/bin/tsc")
      assert.include((await run(folder, process.execPath, [compiler, "--version"])).output, "Version 7.")
      const words = [compiler, "-p", `tsconfig.${resolution}.json`, "--pretty", "false"]
      assert.strictEqual((await run(folder, process.execPath, words)).output, "")
    })
  })

  it("that do not compile are found by TypeScript 5.9", async () => {
    write(folder, {
      "wrong/tsconfig.json": `{ "compilerOptions": { "types": [] } }`,
      "wrong/a.ts": "export const a: string = 1\n"
    })
    const { output, status } = await run(folder, process.execPath, ["check.cjs", "wrong/tsconfig.json"])
    assert.strictEqual(status, 1)
    assert.match(output, /a\.ts: Type 'number' is not assignable to type 'string'/)
  })

  /** The README's program with the address of a broker, compiled by nothing: its syntax is erasable. */
  const program = (url: string): string => readme.replace("mqtt://localhost:1883", url)

  it.live("run the README's program, as it is and bundled by esbuild and by Vite", () =>
    Effect.gen(function*() {
      const { url } = yield* ScriptedBroker.make()
      write(folder, {
        "run/program.mjs": program(url),
        "run/program.ts": program(url),
        "vite.config.mjs": `export default {
          logLevel: "error",
          ssr: { noExternal: true },
          build: { ssr: "run/program.mjs", outDir: "run/vite", minify: false }
        }\n`
      })
      const bundled = yield* Effect.promise(() =>
        tool(
          folder,
          "esbuild/bin/esbuild",
          "run/program.mjs",
          "--bundle",
          "--platform=node",
          "--format=esm",
          "--log-level=warning",
          "--outfile=run/esbuild.mjs",
          // The package `ws` is CommonJS, and requires modules of Node.
          "--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
        )
      )
      assert.deepStrictEqual(bundled, { status: 0, output: "" })
      const vite = yield* Effect.promise(() => tool(folder, "vite/bin/vite.js", "build"))
      assert.strictEqual(vite.status, 0, vite.output)
      const built = Fs.readdirSync(Path.join(folder, "run/vite")).find((file) => /^program\.m?js$/.test(file))
      // Node 22.18 and newer run TypeScript whose types can be left out.
      const typed = "typescript" in process.features && process.features.typescript !== false ? ["run/program.ts"] : []
      for (const file of ["run/program.mjs", ...typed, "run/esbuild.mjs", `run/vite/${built}`]) {
        const { output, status } = yield* Effect.promise(() => run(folder, process.execPath, [file], 30_000))
        assert.strictEqual(status, 0, output)
        assert.include(output, "sensors/room1/temperature 23.5", file)
      }
    }), 180_000)

  it("are bundled for browsers by esbuild and by Vite, from the files for browsers", async () => {
    write(folder, {
      "browser/index.html": `<script type="module" src="./program.mjs"></script>`,
      "browser/program.mjs": program("wss://broker.example/mqtt"),
      "browser/vite.config.mjs": `export default { logLevel: "error", build: { sourcemap: true } }\n`
    })
    const { metafile } = await build({
      absWorkingDir: folder,
      entryPoints: ["browser/program.mjs"],
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      logLevel: "error"
    })
    const core = Object.keys(metafile.inputs).filter((path) => path.includes("@effect-mqttx/core/"))
    assert.isNotEmpty(core)
    assert.deepStrictEqual(core.filter((path) => !/\/core\/dist\/(?!internal\/node\/)/.test(path)), [])
    const { output, status } = await tool(Path.join(folder, "browser"), "vite/bin/vite.js", "build")
    assert.strictEqual(status, 0, output)
    const assets = Path.join(folder, "browser/dist/assets")
    const map = Fs.readdirSync(assets).find((file) => file.endsWith(".js.map"))!
    const { sources } = JSON.parse(Fs.readFileSync(Path.join(assets, map), "utf8")) as { sources: Array<string> }
    assert.isTrue(sources.some((source) => source.includes("/core/")))
    assert.deepStrictEqual(sources.filter((source) => /\/core\/(?:node\/|\w+\/internal\/node\/)/.test(source)), [])
  })

  it("have one core on Node: its tags and classes are the same through every module and package", async () => {
    const modules = subpaths("core").filter((subpath) => subpath !== ".").map((subpath) => subpath.slice(2))
    write(folder, {
      "one/core.mjs": `
import * as Core from "@effect-mqttx/core"
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import { MqttMetrics } from "@effect-mqttx/metrics"
import { FileStore } from "@effect-mqttx/store-file"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { Effect, Layer, Option } from "effect"
import { strictEqual as same } from "node:assert"

for (const name of ${JSON.stringify(modules)}) {
  const module = await import(\`@effect-mqttx/core/\${name}\`)
  same(new URL(import.meta.resolve(\`@effect-mqttx/core/\${name}\`)).pathname.endsWith(\`/core/node/\${name}.js\`), true)
  if (name === "FlightRecorder" || name === "MqttJs") continue
  same(Object.keys(module).join(), Object.keys(Core[name]).join())
  for (const key of Object.keys(module)) same(module[key], Core[name][key], \`\${name}.\${key}\`)
}

const { MqttError, MqttSession, SessionManager, SessionMap, SessionStore } = Core
// Names that programs see are not those of a bundler.
const Files = await import("../node_modules/@effect-mqttx/core/dist/index.js")
for (const [name, module] of Object.entries(Core)) {
  for (const [key, value] of Object.entries(module)) same(value?.name, Files[name][key]?.name, \`\${name}.\${key}\`)
}

const Plant = MqttSession.layerDurable({
  name: "plant",
  servers: [ScriptedBroker.memoryUrl],
  flightRecorder: 65_536
}).pipe(Layer.provide([FileStore.layer({ directory: "one/store" }), FlightRecorder.layer()]))
const Sessions = SessionManager.layer({ sessions: [{ name: "cloud", servers: [ScriptedBroker.memoryUrl] }] })

await Effect.gen(function*() {
  // The testing package provides the transport that the core asks for, and the file store its SessionStore.
  const session = yield* MqttSession.MqttSession
  yield* session.enqueue("a/b", "1", { qos: 1 })
  same(Option.isSome(yield* FlightRecorder.of(session)), true)
  const manager = yield* SessionManager.SessionManager
  yield* manager.awaitAllReady()
  yield* manager.publishTo("cloud", "c/d", "2", { qos: 1 })
  const snapshot = yield* (yield* MqttMetrics.MqttMetrics).snapshot
  same(snapshot.sessions.map(({ metrics, name }) => \`\${name} \${metrics.messagesSent}\`).join(), "cloud 1")
  const failure = yield* Effect.flip(session.publish("a/#", "1", { qos: 1 }))
  same(failure instanceof MqttError.MqttError, true)
  same(failure.reason instanceof MqttError.InvalidTopic, true)
}).pipe(
  Effect.provide(MqttMetrics.layer().pipe(Layer.provideMerge(Layer.mergeAll(Plant, Sessions)))),
  Effect.provide(ScriptedBroker.layerMemory()),
  Effect.scoped,
  Effect.runPromise
)
console.log("one core")
`
    })
    const { output, status } = await run(folder, process.execPath, ["one/core.mjs"], 60_000)
    assert.strictEqual(status, 0, output)
    assert.include(output, "one core")
  })

  it("have a bill of materials: all packages, their dependencies and peers", async () => {
    const { components } = JSON.parse(Fs.readFileSync(await writeBillOfMaterials(packed), "utf8")) as {
      readonly components: ReadonlyArray<{ readonly group?: string; readonly name: string; readonly version: string }>
    }
    const names = components.map(({ group, name }) => group === undefined ? name : `${group}/${name}`)
    const needed = new Set<string>()
    for (const each of published()) {
      const { dependencies = {}, name, peerDependencies = {}, peerDependenciesMeta = {} } = contents(each).manifest
      needed.add(name)
      for (const dependency of Object.keys(dependencies)) needed.add(dependency)
      for (const peer of Object.keys(peerDependencies)) {
        if (peerDependenciesMeta[peer]?.optional !== true) needed.add(peer)
      }
    }
    assert.includeMembers(names, ["ws", "effect", "classic-level"])
    assert.includeMembers(names, [...needed])
    assert.notInclude(names, "vitest")
  })

  it("have the program effect-mqttx", async () => {
    const { output, status } = await run(folder, "npm", ["exec", "--offline", "--", "effect-mqttx", "--version"])
    assert.strictEqual(status, 0, output)
    assert.include(output, contents("cli").manifest.version)
  })
})

describe("a registry that cannot be reached", () => {
  it("is a skip, and a failure where servers are required", async () => {
    const before = process.env["npm_config_registry"]
    process.env["npm_config_registry"] = "http://127.0.0.1:9/"
    process.env["npm_config_prefer_online"] = "true"
    try {
      assert.isFalse(await registry(false))
      const failure = await registry(true).then(() => "", String)
      assert.include(failure, "EFFECT_MQTTX_REQUIRE_SERVERS=1 demands it")
    } finally {
      if (before === undefined) delete process.env["npm_config_registry"]
      else process.env["npm_config_registry"] = before
      delete process.env["npm_config_prefer_online"]
    }
  })
})
