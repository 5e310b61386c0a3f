import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fencesOf, fenceViolations } from "./support/fences.ts"
import { linkViolations } from "./support/links.ts"
import { lockViolations } from "./support/lockfile.ts"
import { repository } from "./support/packing/tarball.ts"
import { repetitions } from "./support/repetition.ts"
import { effectDeclarations, filesBelow, manifestOf, packages, root } from "./support/repository.ts"
import { find, realServer } from "./support/servers.ts"
import { limits, sizeViolations } from "./support/sizes.ts"
import { importsOf, parse } from "./support/source.ts"
import { stabilityViolations } from "./support/stability.ts"
import {
  barrelViolations,
  circles,
  escapeViolations,
  floorViolations,
  mqttViolations,
  nodeViolations,
  packageFloors,
  packagesBelow,
  reachable
} from "./support/structure.ts"

const core = filesBelow("packages/core/src", ".ts")
const tree = (files: Readonly<Record<string, string>>) => new Map(Object.entries(files))
const published = packages().filter((name) => manifestOf(name).private !== true)
const file = (text: string) => [parse("Some.ts", text)]

describe("floors", () => {
  it("every file of the core stands on a floor and imports only downwards", () => {
    assert.isAbove(core.size, 1)
    assert.deepStrictEqual(floorViolations(core), [])
  })

  it.each(Object.entries(packageFloors))(
    "every file of %s stands on a floor of its own, and on the core",
    (name, all) => {
      const files = filesBelow(`packages/${name}/src`, ".ts")
      assert.isAbove(files.size, 1)
      assert.deepStrictEqual(floorViolations(files, all, packagesBelow[name]), [])
    }
  )

  it("an import that points up is found in a package above the core, and one of another package than the core", () => {
    const all = [[0, ["internal/"]], [1, ["A.ts"]]] as const
    assert.deepStrictEqual(
      floorViolations(
        tree({
          "A.ts": `import "@effect-mqttx/core/Topic"\nimport "@effect-mqttx/testing"`,
          "internal/b.ts": `import type { A } from "../A.ts"`,
          "C.ts": "export {}"
        }),
        all
      ),
      [
        "A.ts:2: imports a package above: @effect-mqttx/testing",
        "internal/b.ts:1: floor 0 imports A.ts of floor 1",
        "C.ts: stands on no floor"
      ]
    )
  })

  it("an import that points up is found, type-only too", () => {
    const files = { "Topic.ts": "export {}", "MqttSession.ts": "export {}" }
    assert.deepStrictEqual(
      floorViolations(tree({ ...files, "internal/codec/encode.ts": `import type { A } from "../../MqttSession.ts"` })),
      ["internal/codec/encode.ts:1: floor 1 imports MqttSession.ts of floor 4"]
    )
    assert.deepStrictEqual(
      floorViolations(tree({ ...files, "Packet.ts": `\nexport type A = import("./MqttSession.ts").A` })),
      ["Packet.ts:2: floor 1 imports MqttSession.ts of floor 4"]
    )
    assert.deepStrictEqual(floorViolations(tree({ ...files, "Packet.ts": `import { A } from "./Topic.ts"` })), [])
  })

  it("a file without a floor is found, and one that imports it", () => {
    assert.deepStrictEqual(
      floorViolations(tree({ "Novelty.ts": "export {}", "Packet.ts": `export * from "./Novelty.ts"` })),
      ["Novelty.ts: stands on no floor", "Packet.ts:1: imports Novelty.ts, which stands on no floor"]
    )
  })

  it("no files of a package import each other in a circle, type-only imports included", () => {
    for (const name of packages()) {
      const files = filesBelow(`packages/${name}/src`, ".ts")
      assert.isNotEmpty(files)
      assert.deepStrictEqual(circles(files), [], name)
    }
  })

  it("a circle is found, and what only leads to it is no part of it", () => {
    const files = {
      "a.ts": `import type { B } from "./b.ts"`,
      "b.ts": `export * from "./c.ts"`,
      "c.ts": `import "./a.ts"`,
      "d.ts": `import "./a.ts"`
    }
    assert.deepStrictEqual(circles(tree(files)), [["a.ts", "b.ts", "c.ts"]])
    assert.deepStrictEqual(circles(tree({ ...files, "c.ts": "export {}" })), [])
  })

  it("the engine and the connection are strangers in both directions", () => {
    assert.deepStrictEqual(
      floorViolations(tree({
        "internal/engine/a.ts": `import "../connection/b.ts"`,
        "internal/connection/b.ts": "export {}"
      })),
      ["internal/engine/a.ts:1: internal/connection/b.ts is a stranger to it"]
    )
    assert.isNotEmpty(floorViolations(tree({
      "internal/connection/b.ts": `import "../engine/a.ts"`,
      "internal/engine/a.ts": "export {}"
    })))
  })

  it("the platform seam is for the transport contract and the floors above the connection, not for the engine", () => {
    const use = `import { a } from "#transport"`
    assert.deepStrictEqual(floorViolations(tree({ "Transport.ts": use, "internal/session/driver.ts": use })), [])
    assert.isNotEmpty(floorViolations(tree({ "Topic.ts": use })))
    assert.isNotEmpty(floorViolations(tree({ "internal/engine/a.ts": use })))
    assert.isNotEmpty(floorViolations(tree({ "Transport.ts": `import { a } from "#elsewhere"` })))
  })

  it("an import of a package above the core is found", () => {
    assert.isNotEmpty(floorViolations(tree({ "Topic.ts": `import "@effect-mqttx/testing"` })))
  })
})

describe("packages", () => {
  it("MQTT.js is imported by the module MqttJs only, which nothing imports", () => {
    assert.deepStrictEqual(mqttViolations(core, "MqttJs.ts"), [])
    const importers = Array.from(core.keys()).filter((path) =>
      importsOf(parse(path, core.get(path)!)).some(({ specifier }) => /(?:^|\/)MqttJs\.ts$/.test(specifier))
    )
    assert.deepStrictEqual(importers, [])
    for (const name of packages().filter((name) => name !== "core" && name !== "benchmarks")) {
      assert.deepStrictEqual(mqttViolations(filesBelow(`packages/${name}/src`, ".ts")), [])
    }
  })

  it("an import of MQTT.js elsewhere is found, of a part of it and dynamic too", () => {
    const files = tree({
      "MqttSession.ts": `import type { MqttClient } from "mqtt"\nconst a = import("mqtt/dist/mqtt")`,
      "MqttJs.ts": `import { MqttClient } from "mqtt"`,
      "internal/codec/encode.ts": `import * as P from "mqtt-packet"`
    })
    assert.deepStrictEqual(mqttViolations(files, "MqttJs.ts"), [
      "MqttSession.ts:1: imports mqtt",
      "MqttSession.ts:2: imports mqtt/dist/mqtt",
      "internal/codec/encode.ts:1: imports mqtt-packet"
    ])
  })

  it("packages know each other by name only", () => {
    for (const name of packages()) {
      assert.deepStrictEqual(escapeViolations(filesBelow(`packages/${name}/src`, ".ts")), [])
    }
    assert.isNotEmpty(escapeViolations(tree({ "internal/a.ts": `import "../../../core/src/Topic.ts"` })))
  })

  it("every concept of a package is exported by its barrel", () => {
    for (const name of published) {
      assert.deepStrictEqual(barrelViolations(filesBelow(`packages/${name}/src`, ".ts")), [], name)
    }
  })

  it("a package brings neither Effect nor the core a second time: both are peers", () => {
    for (const name of published) {
      const { dependencies = {}, peerDependencies = {} } = manifestOf(name)
      const shared = name === "core" ? ["effect"] : ["effect", "@effect-mqttx/core"]
      assert.includeMembers(Object.keys(peerDependencies), shared, name)
      const twice = Object.keys(dependencies).filter((each) =>
        each === "effect" || each.startsWith("@effect/") || each.startsWith("@effect-mqttx/")
      )
      assert.deepStrictEqual(twice, [], name)
    }
  })

  it("the core has one optional peer at most", () => {
    assert.isAtMost(Object.keys(manifestOf("core").peerDependenciesMeta ?? {}).length, 1)
  })

  it("a concept that the barrel lacks or misnames is found, and an export of what is no concept", () => {
    assert.deepStrictEqual(
      barrelViolations(tree({
        "index.ts": `export * as Topics from "./Topic.ts"\nexport * as Inner from "./internal/inner.ts"`,
        "Topic.ts": "",
        "QoS.ts": "",
        "internal/inner.ts": ""
      })),
      [
        `index.ts: lacks export * as Topic from "./Topic.ts"`,
        `index.ts: lacks export * as QoS from "./QoS.ts"`,
        "index.ts: exports ./internal/inner.ts, which is not a concept of src"
      ]
    )
  })
})

describe("lockfile", () => {
  it("names no registry and has the native packages of every platform", () => {
    for (const path of ["package-lock.json", "site/package-lock.json", "test/frameworks/package-lock.json"]) {
      assert.deepStrictEqual(lockViolations(Fs.readFileSync(Path.join(root, path), "utf8")), [], path)
    }
  })

  it("a registry and a native package that is missing are found", () => {
    const packages = {
      "node_modules/a": { version: "1.0.0", resolved: "https://registry.example/a.tgz" },
      "node_modules/b": {
        version: "1.0.0",
        optionalDependencies: { "@b/linux-x64": "1.0.0", "@b/win32-x64": "1.0.0" }
      },
      "node_modules/@b/linux-x64": { version: "1.0.0" }
    }
    assert.deepStrictEqual(lockViolations(JSON.stringify({ packages })), [
      "node_modules/a: is resolved to https://registry.example/a.tgz",
      "node_modules/b: @b/win32-x64 is not in the lockfile"
    ])
  })
})

describe("core entry", () => {
  const browser = reachable(core, "index.ts", { "#transport": "internal/browser/transport.ts" })
  const node = reachable(core, "index.ts", { "#transport": "internal/node/transport.ts" })

  it("everything that it reaches exists", () => {
    assert.deepStrictEqual(browser.violations, [])
    assert.deepStrictEqual(node.violations, [])
  })

  it("reaches no Node module and no Node global in a browser", () => {
    assert.isNotEmpty(browser.files)
    assert.deepStrictEqual(nodeViolations(browser.files), [])
  })

  it("takes only stable parts of Effect, and so does every other file of the core", () => {
    const files = Array.from(core, ([path, text]) => parse(path, text))
    assert.isAtLeast(files.length, browser.files.length)
    assert.deepStrictEqual(stabilityViolations(files, effectDeclarations), [])
  })

  it("what is reached through other files, re-exports and the seam counts", () => {
    const files = tree({
      "index.ts": `export * as Transport from "./Transport.ts"`,
      "Transport.ts": `import { a } from "#transport"\nimport type { B } from "./internal/b.ts"`,
      "internal/b.ts": `export type { C } from "../C.ts"`,
      "internal/node/transport.ts": `import * as Net from "node:net"`
    })
    const { files: reached, violations } = reachable(files, "index.ts", { "#transport": "internal/node/transport.ts" })
    assert.sameMembers(reached.map(({ path }) => path), Array.from(files.keys()))
    assert.deepStrictEqual(violations, ["internal/b.ts:1: imports C.ts, which is not a file of src"])
    assert.deepStrictEqual(nodeViolations(reached), ["internal/node/transport.ts:1: imports node:net"])
  })

  it("Node modules and globals are found by any name", () => {
    assert.deepStrictEqual(nodeViolations(file(`import type { Duplex } from "stream"`)), ["Some.ts:1: imports stream"])
    assert.deepStrictEqual(nodeViolations(file(`import * as F from "@effect/platform-node/NodeFileSystem"`)).length, 1)
    assert.deepStrictEqual(nodeViolations(file(`export const a = Buffer.alloc(1)`)), [
      "Some.ts:1: uses the global Buffer"
    ])
    assert.deepStrictEqual(nodeViolations(file(`export type A = NodeJS.Timeout`)), [
      "Some.ts:1: uses the global NodeJS"
    ])
    assert.deepStrictEqual(nodeViolations(file(`export const a = { process: 1 }\nexport const b = a.process`)), [])
    assert.deepStrictEqual(nodeViolations(file(`export const a = (process: string) => process`)), [])
  })

  it("a value, a module and a barrel that are not stable are found; a type of a stable module is not", () => {
    const check = (text: string) => stabilityViolations(file(text), effectDeclarations)
    assert.deepStrictEqual(
      check(`import * as Metric from "effect/Metric"\nexport const a = Metric.remove`),
      ["Some.ts:2: effect/Metric.remove is unstable"]
    )
    assert.deepStrictEqual(check(`import { remove } from "effect/Metric"`), [
      "Some.ts:1: effect/Metric.remove is unstable"
    ])
    assert.deepStrictEqual(check(`import type * as F from "effect/FileSystem"`), [
      "Some.ts:1: effect/FileSystem is unstable"
    ])
    assert.deepStrictEqual(
      check(`import * as Redis from "effect/persistence/Redis"`),
      ["Some.ts:1: effect/persistence/Redis is unstable"]
    )
    assert.isNotEmpty(check(`import { Effect } from "effect"`))
    assert.isNotEmpty(check(`import * as A from "effect/NoSuchModule"`))
    assert.isNotEmpty(check(`import * as Queue from "effect/Queue"\nexport const a = Queue["offer"]`))
    assert.isNotEmpty(check(`import * as Queue from "effect/Queue"\nexport const a = Queue.noSuchExport`))
    assert.deepStrictEqual(
      check(`import * as Queue from "effect/Queue"\nexport const a = Queue.offer\nexport type B = Queue.Queue<1>`),
      []
    )
  })
})

describe("sizes", () => {
  it("a function has 120 lines at most, a class 300 and a file 500, or the file's header says why not", () => {
    const violations = packages().flatMap((name) => {
      const files = filesBelow(`packages/${name}/src`, ".ts")
      assert.isNotEmpty(files)
      return sizeViolations(files).map((violation) => `${name}/${violation}`)
    })
    assert.deepStrictEqual(violations, [])
  })

  it("what is too long is found, and what has the last allowed line is not", () => {
    const body = (lines: number): string => "  // line\n".repeat(lines - 2)
    const check = (text: string) => sizeViolations(tree({ "a.ts": text }))
    assert.deepStrictEqual(check(`const f = () => {\n${body(limits.function)}}\n`), [])
    assert.deepStrictEqual(check(`const f = () => {\n${body(limits.function + 1)}}\n`), [
      "a.ts:1: the function f has 121 lines"
    ])
    assert.deepStrictEqual(check(`\nclass A {\n  m() {\n${body(limits.function + 1)}}\n}\n`), [
      "a.ts:3: the function m has 121 lines"
    ])
    assert.deepStrictEqual(check(`class A {\n${body(limits.class)}}\n`), [])
    assert.deepStrictEqual(check(`export class A {\n${body(limits.class + 1)}}\n`), [
      "a.ts:1: the class A has 301 lines"
    ])
    assert.deepStrictEqual(check("export {}\n".repeat(limits.file)), [])
    assert.deepStrictEqual(check("export {}\n".repeat(limits.file + 1)), ["a.ts: has 501 lines"])
  })

  it("only a sentence of the header that gives the reason excuses a size", () => {
    const rest = "export {}\n".repeat(limits.file + 1)
    const check = (header: string) => sizeViolations(tree({ "a.ts": header + rest })).length
    assert.strictEqual(check("/**\n * Holds a table. Size: one table, whose rows belong\n * together.\n */\n"), 0)
    assert.strictEqual(check("/**\n * Holds a table.\n */\n"), 1)
    assert.strictEqual(check("/**\n * The Size: one table of rows.\n */\n"), 1)
    assert.strictEqual(check("/** Size: */\n"), 1)
    assert.strictEqual(check("export {}\n/** Size: one table of rows. */\n"), 1)
  })
})

describe("comments", () => {
  it("are at most 120 columns wide", () => {
    const wide: Array<string> = []
    for (const folder of [...packages().map((name) => `packages/${name}`), "test", "examples"]) {
      for (const [path, text] of filesBelow(folder, ".ts")) {
        text.split("\n").forEach((line, index) => {
          if (line.length > 120 && /^\s*(?:\/\/|\*|\/\*)/.test(line)) wide.push(`${folder}/${path}:${index + 1}`)
        })
      }
    }
    assert.deepStrictEqual(wide.filter((place) => !/\/(?:dist|node_modules)\//.test(place)), [])
  })
})

describe("code", () => {
  it("has no block of six equal lines twice", () => {
    const all = packages().flatMap((name) =>
      Array.from(filesBelow(`packages/${name}/src`, ".ts"), ([path, text]) => [`${name}/${path}`, text] as const)
    )
    assert.deepStrictEqual(repetitions(new Map(all)), [
      // The type parameters of two constructors, which TypeScript cannot name.
      ...repetitions(new Map(all.filter(([path]) => path === "core/TopicTemplate.ts")))
    ])
  })

  it("that stands twice is found, whatever comments and blank lines stand between", () => {
    const lines = ["one()", "two()", "three()", "four()", "five()", "six()", "seven()"]
    const twice = tree({ "a.ts": lines.join("\n"), "b.ts": `before()\n${lines.join("\n\n// Why.\n")}` })
    assert.deepStrictEqual(repetitions(twice), ["a.ts:1 and b.ts:2"])
    assert.deepStrictEqual(repetitions(tree({ "a.ts": [...lines, "eight()", ...lines].join("\n") })), [
      "a.ts:1 and a.ts:9"
    ])
    assert.deepStrictEqual(repetitions(tree({ "a.ts": lines.join("\n"), "b.ts": lines.slice(2).join("\n") })), [])
  })
})

describe("documentation", () => {
  const pages = Fs.readdirSync(root).filter((file) => file.endsWith(".md"))
  const markdown = [
    ...pages.map((page) => [page, Fs.readFileSync(Path.join(root, page), "utf8")] as const),
    ...["docs", "examples", ".github", ...packages().map((name) => `packages/${name}`)].flatMap((folder) =>
      Array.from(filesBelow(folder, ".md"), ([path, text]) => [`${folder}/${path}`, text] as const)
    )
  ].filter(([path]) => !/\/(?:node_modules|build|dist|src|test)\/|\/(?:api|CHANGELOG)\.md$/.test(path))
  const fences = markdown.flatMap(([path, text]) => fencesOf(path, text))

  it("every package that is published has a README", () => {
    const readmes = published.map((name) => `packages/${name}/README.md`)
    assert.deepStrictEqual(readmes.filter((readme) => !markdown.some(([path]) => path === readme)), [])
  })

  it("every link leads to a file, and to a heading of it where it names one", () => {
    assert.isAbove(markdown.length, 30)
    assert.deepStrictEqual(linkViolations(new Map(markdown), (path) => Fs.existsSync(Path.join(root, path))), [])
  })

  it("a link that leads nowhere is found, and one to the repository on the web", () => {
    const pages = new Map([
      ["a.md", "# A\n\n[b](docs/b.md#some-b) [c](docs/c.md) [d](#d)\n\n```\n[e](e.md)\n```\n"],
      ["docs/b.md", `# B\n\n## Some \`b\`\n\n[a](../a.md#a) [x](${repository}/blob/main/x.md) [y](https://y.example)\n`]
    ])
    assert.deepStrictEqual(linkViolations(pages, (path) => pages.has(path)), [
      "a.md: docs/c.md leads to no file",
      "a.md: #d leads to no heading",
      `docs/b.md: ${repository}/blob/main/x.md leads to no file`
    ])
  })

  it("every TypeScript fence of the README and the docs compiles", () => {
    assert.deepStrictEqual(fenceViolations(root, Path.join(root, "build/fences"), fences), [])
  }, 180_000)

  it("a fence that does not compile or asks to be ignored is found at its line", () => {
    const bad = fencesOf(
      "a.md",
      "# A\n\n```ts\nexport const a = 1\nexport const b: string = a\n```\n\n```ts ignore\nexport {}\n```\n\n```sh\nls\n```\n"
    )
    assert.strictEqual(bad.length, 2)
    assert.deepStrictEqual(fenceViolations(root, Path.join(root, "build/fences-checked"), bad), [
      "a.md:8: a fence is ```ts and nothing else, not ```ts ignore",
      "a.md:5: error TS2322: Type 'number' is not assignable to type 'string'."
    ])
  })

  it("fences with the names of files import each other on their page, and are found at their lines", () => {
    const page =
      "```ts file=a.ts\nexport const a = 1\n```\n\n```ts file=b.ts\nimport { a } from \"./a.ts\"\nexport const b: string = a\n```\n"
    const directory = Path.join(root, "build/fences-checked")
    const other = fencesOf("b.md", "```ts\nexport * from \"./a.ts\"\n```\n\n```ts file=../c.ts\n```")
    assert.deepStrictEqual(fenceViolations(root, directory, [...fencesOf("a.md", page), ...other]), [
      "b.md:5: a fence is ```ts and nothing else, not ```ts file=../c.ts",
      "a.md:7: error TS2322: Type 'number' is not assignable to type 'string'.",
      "b.md:2: error TS2307: Cannot find module './a.ts' or its corresponding type declarations."
    ])
  })

  it("a fence sees the packages by their names, and only what they export", () => {
    const good = fencesOf("a.md", "```ts\nimport * as Core from \"@effect-mqttx/core\"\nexport const a = Core\n```")
    const inner = fencesOf("a.md", "```ts\nexport * from \"@effect-mqttx/core/internal/memoryStore\"\n```")
    const directory = Path.join(root, "build/fences-checked")
    assert.deepStrictEqual(fenceViolations(root, directory, good), [])
    assert.match(fenceViolations(root, directory, inner).join("\n"), /a\.md:2: error TS2307/)
  })
})

describe("real servers", () => {
  for (const server of ["mosquitto", "redis-server", "chromium"] as const) {
    it.skipIf(realServer(server) === undefined)(`${server} is installed`, () => {
      assert.isDefined(find(server))
    })
  }

  it("a missing server is a skip, and a failure where it is required", () => {
    assert.isUndefined(realServer("mosquitto", { folders: [], required: false }))
    assert.throws(() => realServer("mosquitto", { folders: [], required: true }), /mosquitto is not installed/)
  })
})
