/**
 * What the core costs those who install, import and bundle it, counted: packages, modules, bytes.
 */
import { build } from "esbuild"
import * as Path from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { root } from "./repository.ts"

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

export type Lock = Readonly<Record<string, LockedPackage>>

/** What a package needs in production: its dependencies, and its peers that are not optional. */
const needs = ({ dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }: LockedPackage) => [
  ...Object.keys(dependencies),
  ...Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
]

/**
 * The packages that an installation of a package brings with it, without those that only the packages in `whole` need.
 */
export const runtimePackages = (lock: Lock, start: string, whole: ReadonlySet<string> = new Set()): Array<string> => {
  const found = new Set<string>()
  const visit = (path: string): void => {
    for (const name of needs(lock[path] ?? {})) {
      // npm puts a package below the one that needs it, or as far up as it fits.
      let folder = path
      while (folder !== "" && !(`${folder}/node_modules/${name}` in lock)) {
        folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))
      }
      const target = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`
      if (!(target in lock)) throw new Error(`${name}, which ${path} needs, is not in the lockfile`)
      if (found.has(name)) continue
      found.add(name)
      if (!whole.has(name)) visit(target)
    }
  }
  visit(start)
  return Array.from(found).sort()
}

/** The modules that an entry loads before its first statement runs, and the bytes of their sources. */
export interface Loaded {
  readonly modules: ReadonlyArray<string>
  readonly bytes: number
  /** What it imports of other packages, and of Node. */
  readonly packages: ReadonlyArray<string>
}

const conditions = ["@effect-mqttx/source"]

/** Modules of other packages are named, not entered, unless `packages` says "bundle". */
export const loadedBy = async (entry: string, packages: "external" | "bundle" = "external"): Promise<Loaded> => {
  const { metafile } = await build({
    absWorkingDir: root,
    stdin: {
      contents: `import ${JSON.stringify(entry)}`,
      resolveDir: Path.join(root, "examples"),
      sourcefile: "entry"
    },
    bundle: true,
    write: false,
    metafile: true,
    treeShaking: false,
    platform: "node",
    format: "esm",
    conditions,
    logLevel: "error",
    ...(packages === "external"
      ? { plugins: [{ name: "packages", setup: (api) => api.onResolve({ filter: /^[^./#]/ }, external) }] }
      : undefined)
  })
  const modules = new Set<string>()
  const names = new Set<string>()
  let bytes = 0
  const visit = (path: string): void => {
    for (const { external: isExternal, kind, path: target } of metafile.inputs[path]!.imports) {
      if (kind === "dynamic-import") continue
      if (isExternal === true) names.add(target)
      else if (!modules.has(target)) {
        modules.add(target)
        bytes += metafile.inputs[target]!.bytes
        visit(target)
      }
    }
  }
  visit(Object.values(metafile.outputs)[0]!.entryPoint!)
  return { modules: Array.from(modules), bytes, packages: Array.from(names).sort() }
}

const external = ({ path }: { readonly path: string }) =>
  path.startsWith("@effect-mqttx/") || path === "entry" ? undefined : { path, external: true }

/** Bytes of a program for a browser, bundled as Vite does for production, minified and compressed. */
export const gzippedByVite = async (program: string): Promise<number> => {
  const entry = "entry.ts"
  const bundle = await rolldown({
    cwd: Path.join(root, "examples"),
    input: entry,
    platform: "browser",
    resolve: { conditionNames: [...conditions, "browser", "import", "default"] },
    plugins: [{
      name: "program",
      resolveId: (id) => id === entry ? Path.join(root, "examples", entry) : null,
      load: (id) => id.endsWith(`examples${Path.sep}${entry}`) ? program : null
    }]
  })
  const { output: [chunk] } = await bundle.generate({ format: "esm", minify: true })
  return gzipSync(chunk.code, { level: 9 }).length
}

/** The same by esbuild. */
export const gzippedForBrowser = async (program: string): Promise<{
  readonly bytes: number
  readonly modules: ReadonlyArray<string>
}> => {
  const { metafile, outputFiles: [output] } = await build({
    absWorkingDir: root,
    stdin: { contents: program, resolveDir: Path.join(root, "examples"), loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "browser",
    format: "esm",
    conditions,
    logLevel: "error"
  })
  return { bytes: gzipSync(output!.contents, { level: 9 }).length, modules: Object.keys(metafile.inputs) }
}

/** The same program with Effect's modules imported by their own paths. */
export const byPaths = (program: string): string =>
  program.replace(
    /^import \{ ([^}]+) \} from "effect"$/m,
    (_line, names: string) => names.split(", ").map((name) => `import * as ${name} from "effect/${name}"`).join("\n")
  )
