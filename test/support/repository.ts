import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { Tree } from "./structure.ts"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * The files with one ending below a folder of the repository, by their path with `/`; none if there is no such folder.
 */
export const filesBelow = (folder: string, ending: string): Tree => {
  const absolute = Path.join(root, folder)
  const files = new Map<string, string>()
  if (!Fs.existsSync(absolute)) return files
  const entries = Fs.readdirSync(absolute, { recursive: true, encoding: "utf8" })
  for (const entry of entries.sort()) {
    if (!entry.endsWith(ending)) continue
    files.set(entry.replaceAll(Path.sep, "/"), Fs.readFileSync(Path.join(absolute, entry), "utf8"))
  }
  return files
}

export const packages = (): ReadonlyArray<string> => Fs.readdirSync(Path.join(root, "packages"))

interface Manifest {
  readonly private?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>
}

/** The package.json of a package. */
export const manifestOf = (name: string): Manifest =>
  JSON.parse(Fs.readFileSync(Path.join(root, "packages", name, "package.json"), "utf8")) as Manifest

const requireFromCore = createRequire(Path.join(root, "packages/core/package.json"))

/** The declaration text of a module of `effect`, found beside what its `exports` name. */
export const effectDeclarations = (module: string): string | undefined => {
  try {
    return Fs.readFileSync(requireFromCore.resolve(module).replace(/\.js$/, ".d.ts"), "utf8")
  } catch {
    return undefined
  }
}
