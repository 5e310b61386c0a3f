import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Found, publicDeclarations, Resolver } from "./publicApi.ts"
import { filesBelow, manifestOf, packages, root } from "./repository.ts"
import type { Node, Source } from "./source.ts"
import type { Tree } from "./structure.ts"

/** Emits the declarations of packages, without comments, below a folder. Throws for what does not compile. */
const emit = (names: ReadonlyArray<string>, directory: string): void => {
  Fs.rmSync(directory, { recursive: true, force: true })
  Fs.mkdirSync(directory, { recursive: true })
  const toRoot = (path: string): string => Path.relative(directory, Path.join(root, path)).replaceAll(Path.sep, "/")
  Fs.writeFileSync(
    Path.join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: toRoot("tsconfig.base.json"),
      compilerOptions: {
        composite: false,
        incremental: false,
        declarationMap: false,
        sourceMap: false,
        emitDeclarationOnly: true,
        removeComments: true,
        rootDir: toRoot("packages"),
        outDir: "types",
        lib: ["ES2022", "DOM", "DOM.Iterable"],
        types: ["node"]
      },
      include: names.map((name) => toRoot(`packages/${name}/src/*.ts`))
    })
  )
  // TypeScript 7.0.2 now and then loses a file, most often in a folder that it has to make itself.
  for (const name of names) {
    for (const path of filesBelow(`packages/${name}/src`, ".ts").keys()) {
      Fs.mkdirSync(Path.join(directory, "types", name, "src", Path.dirname(path)), { recursive: true })
    }
  }
  for (let attempt = 1; attempt <= 10; attempt++) {
    compile(directory)
    if (names.every((name) => isWhole(emittedBy(name, directory), filesBelow(`packages/${name}/src`, ".ts")))) return
  }
  throw new Error("the declarations were not written in full")
}

const compile = (directory: string): void => {
  const tsc = ChildProcess.spawnSync(
    process.execPath,
    [Path.join(root, "node_modules/typescript/bin/tsc"), "-p", directory, "--pretty", "false"],
    { cwd: directory, encoding: "utf8" }
  )
  if (tsc.error !== undefined) throw tsc.error
  if (tsc.status !== 0) throw new Error(`the declarations were not emitted: ${tsc.stdout}${tsc.stderr}`)
}

/** The declarations of a package, by the paths of their sources. */
const emittedBy = (name: string, directory: string): Tree =>
  new Map(
    Array.from(
      filesBelow(Path.relative(root, Path.join(directory, "types", name, "src")), ".d.ts"),
      ([path, text]) => [path.replace(/\.d\.ts$/, ".ts"), text] as const
    )
  )

/** Whether every public module is there, and every file of the package that a declaration imports. */
const isWhole = (emitted: Tree, sources: Tree): boolean =>
  Array.from(sources.keys()).every((path) => path.includes("/") || emitted.has(path)) &&
  Array.from(emitted).every(([path, text]) =>
    Array.from(
      text.matchAll(/(?:from |import\()"(\.[^"]+)"/g),
      ([, target]) => Path.posix.join(Path.posix.dirname(path), target!.replace(/\.js$/, ".ts"))
    ).every((target) => emitted.has(target) || !sources.has(target))
  )

/** The text of a statement, with two spaces for each level, and without the paths of imported types. */
const textOf = (source: Source, { end, start }: Node): string =>
  source.text.slice(start, end)
    .replace(/^export /, "")
    .replace(/^declare /, "")
    .replaceAll(/import\("[^"]*"\)\./g, "")
    .replaceAll(/^ +/gm, (spaces) => " ".repeat(spaces.length / 2))

/**
 * The public names of a package with their signatures, sorted. What a signature names and no module exports follows it.
 */
export const apiReport = (name: string, declarations: Tree): string => {
  const resolver = new Resolver(declarations)
  const all = publicDeclarations(declarations, resolver)
  const published = new Set(all.map(({ node }) => node))
  const modules = new Map<string, Map<string, string>>()
  for (const declaration of all) {
    const entries = modules.get(declaration.module) ?? new Map<string, string>()
    modules.set(declaration.module, entries)
    const seen = new Set<Node>()
    const add = (key: string, found: Found): void => {
      seen.add(found.node)
      entries.set(`${key}\n${entries.size}`, textOf(found.source, found.node))
      for (const each of resolver.referencesOf(found)) {
        if (!seen.has(each.node) && !published.has(each.node)) add(`${key} `, each)
      }
    }
    add(declaration.name, declaration)
  }
  const sections = Array.from(modules).sort(([a], [b]) => a < b ? -1 : 1).map(([module, entries]) => {
    const sorted = Array.from(entries).sort(([a], [b]) => a.split("\n")[0]! < b.split("\n")[0]! ? -1 : 1).map((
      [, text]
    ) => text)
    return `## ${module}\n\n\`\`\`ts\n${Array.from(new Set(sorted)).join("\n")}\n\`\`\`\n`
  })
  return `# The public API of @effect-mqttx/${name}\n\n\`npm run api\` writes this file.\n\n${sections.join("\n")}`
}

/** The reports of all published packages, by the path of their files. */
export const apiReports = (directory: string): ReadonlyMap<string, string> => {
  const names = packages().filter((name) => manifestOf(name).private !== true)
  emit(names, directory)
  return new Map(names.map((name) => {
    return [`packages/${name}/api.md`, apiReport(name, emittedBy(name, directory))] as const
  }))
}
