/**
 * Pages for contributors name files, commands and packages that exist, and a package stands wherever it has to.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { filesBelow, manifestOf, packages, root } from "./support/repository.ts"

const read = (path: string): string => Fs.readFileSync(Path.join(root, path), "utf8")
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "AGENTS.md", "packages/core/AGENTS.md"]
const published = packages().filter((name) => manifestOf(name).private !== true)
const scripts = (JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> }).scripts

const codeOf = (markdown: string): ReadonlyArray<string> =>
  Array.from(markdown.replace(/^```[^]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g), ([, code]) => code!)

/** Paths of this repository that a page names in code, from its root. */
const pathsOf = (markdown: string): ReadonlyArray<string> =>
  codeOf(markdown).filter((code) =>
    /^(?:packages|test|docs|examples|\.changeset|\.ci)\/[\w./-]+$|^[.\w-]+\.(?:json|ts)$/.test(code) &&
    // A file whose name is to be filled in, and one of the reader.
    !/NAME|^program\.ts$/.test(code)
  )

/** Commands of npm that a page names and package.json does not have. */
const missingScripts = (markdown: string): ReadonlyArray<string> =>
  Array.from(markdown.matchAll(/\bnpm run ([a-z:]+)/g), ([, name]) => name!).filter((name) => !(name in scripts))

describe("pages for contributors", () => {
  const folders = [
    "packages/core/src/internal/options",
    "packages/core/src/internal/errors",
    "packages/core/test",
    "packages/testing/src/internal/profiles"
  ]

  it("name files that exist", () => {
    const named = pages.flatMap((page) => pathsOf(read(page)).map((path) => [page, path] as const))
    assert.isAbove(named.length, 20)
    const places = ["", ...folders].map((folder) => Path.join(root, folder))
    // What a build makes has its source, also where nothing was built.
    const sourceOf = (path: string) => path.replace(/\/dist\/(.+)\.js$/, "/src/$1.ts")
    const exists = (path: string) => places.some((place) => Fs.existsSync(Path.join(place, sourceOf(path))))
    // A file without its folder stands after one of the same folder, as `rules.ts` after `.../options/fields.ts`.
    assert.deepStrictEqual(named.filter(([, path]) => !exists(path)), [])
    assert.deepStrictEqual(pathsOf("`packages/none.ts` and `README`"), ["packages/none.ts"])
  })

  it("name commands that package.json has", () => {
    for (const page of pages) assert.deepStrictEqual(missingScripts(read(page)), [], page)
    assert.deepStrictEqual(missingScripts("`npm run nothing`"), ["nothing"])
  })

  it("CONTRIBUTING names every command", () => {
    const page = read("CONTRIBUTING.md")
    const others = new Set(["start", "test", "clean", "screenshot"])
    const unnamed = Object.keys(scripts).filter((name) => !others.has(name) && !page.includes(`npm run ${name}`))
    assert.deepStrictEqual(unnamed, [])
  })

  it("says how to add an option and a reason as the code has it", () => {
    assert.match(read("packages/core/src/internal/options/fields.ts"), /export const fields = \{/)
    assert.match(read("packages/core/src/MqttError.ts"), /^const reasons = \[|^export const reasons = \[/m)
    assert.include(
      read("packages/core/test/SessionOptions.test.ts"),
      "fills in everything but the name and the servers"
    )
    assert.match(read("packages/testing/src/internal/profiles/profiles.ts"), /export const profiles:/)
  })
})

describe("a published package", () => {
  it.each(published)("%s is compiled, tested, released, linted and listed", (name) => {
    assert.include(read("tsconfig.json"), `"packages/${name}"`)
    assert.include(read("vitest.workspace.ts"), `"packages/${name}"`)
    assert.include(read(".changeset/config.json"), `"@effect-mqttx/${name}"`)
    assert.match(scripts["build"]!, new RegExp(`packages/${name}(?: |$)`))
    const linted = read(".oxlintrc.json")
    assert.isTrue(linted.includes(`"packages/${name}/src/**"`) || name.startsWith("store-"), name)
    assert.include(read("README.md"), `(packages/${name})`)
  })

  it("takes the other packages and Effect in the same versions as its siblings, and is on the same Node", () => {
    const { version } = JSON.parse(read("packages/core/package.json")) as { readonly version: string }
    for (const name of published) {
      const { engines, peerDependencies = {} } = manifestOf(name) as ReturnType<typeof manifestOf> & {
        readonly engines?: unknown
      }
      const own = Object.entries(peerDependencies).filter(([peer]) => peer.startsWith("@effect-mqttx/"))
      assert.deepStrictEqual(own.filter(([, range]) => range !== `^${version}`), [], name)
      assert.strictEqual(peerDependencies["effect"], "^4.1.0", name)
      assert.deepStrictEqual(engines, { node: ">=22.19" }, name)
    }
  })
})

describe("workflows", () => {
  const workflows = filesBelow(".github/workflows", ".yml")

  it("have the least rights, and take actions of GitHub only, each by its commit", () => {
    assert.isAbove(workflows.size, 1)
    for (const [path, text] of workflows) {
      assert.match(text, /^permissions:\n {2}contents: read$/m, path)
      const foreign = Array.from(text.matchAll(/uses: (\S+)/g), ([, action]) => action!).filter((action) =>
        !/^actions\/[\w-]+@[0-9a-f]{40}$/.test(action)
      )
      assert.deepStrictEqual(foreign, [], path)
    }
  })

  it("publish with provenance what the test of packages has accepted", () => {
    const release = workflows.get("release.yml")!
    assert.match(
      release,
      /test\/packages\.test\.ts[^]*npm run pack -- --sbom --install[^]*npm publish "\$tarball" .*--provenance/
    )
    assert.include(release, "id-token: write")
  })

  it.skipIf(process.platform === "win32")("publish what npm does not have yet, and stop at the first failure", () => {
    const [, step = ""] =
      /name: Publish with provenance\n[^]*?run: \|\n((?: {10}.*\n)+)/.exec(workflows.get("release.yml")!) ?? []
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "release-"))
    const tarballs = Path.join(directory, "build/packages")
    Fs.mkdirSync(Path.join(directory, "package"), { recursive: true })
    Fs.mkdirSync(tarballs, { recursive: true })
    for (const name of ["a", "b", "c", "d"]) {
      Fs.writeFileSync(
        Path.join(directory, "package/package.json"),
        JSON.stringify({ name: `@x/${name}`, version: "0.1.0" })
      )
      execFileSync("tar", ["-czf", Path.join(tarballs, `x-${name}.tgz`), "-C", directory, "package"])
    }
    // npm has `a` already, knows no package `b`, has no such version of `c`, and does not take `c`.
    Fs.writeFileSync(
      Path.join(directory, "npm"),
      `#!/bin/sh
case "$1 $2" in
  "view @x/a@0.1.0") echo 0.1.0 ;;
  "view @x/b@0.1.0") exit 1 ;;
  publish*) echo "$@" >> published; case "$2" in *x-c.tgz) exit 1 ;; esac ;;
esac
`,
      { mode: 0o755 }
    )
    const { status } = spawnSync("bash", ["-e", "-c", step.replace(/^ {10}/gm, "")], {
      cwd: directory,
      env: { ...process.env, PATH: `${directory}:${process.env["PATH"]}` }
    })
    assert.notStrictEqual(status, 0)
    assert.deepStrictEqual(
      Fs.readFileSync(Path.join(directory, "published"), "utf8").trim().split("\n"),
      ["b", "c"].map((name) => `publish build/packages/x-${name}.tgz --access public --provenance`)
    )
    Fs.rmSync(directory, { recursive: true })
  })
})
