/**
 * Packs every package that is published: a folder and a tarball for each in build/packages, with the version and the
 * changelog of the next release. Nothing outside of build is changed. `npm run pack` and the test of packages call it.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { manifestOf, packages, root } from "../repository.ts"
import { type PackageJson, publishedManifest } from "./manifest.ts"
import { writeNodeBuild } from "./nodeBuild.ts"
import { applyChangesets } from "./release.ts"

/** Packages with a build for Node: those whose import is felt. */
export const withNodeBuild: ReadonlyArray<string> = ["core"]

export const published = (): ReadonlyArray<string> => packages().filter((name) => manifestOf(name).private !== true)

export const directory: string = Path.join(root, "build/packages")

/** The programs that npm and the compiler are, run by this Node. */
const run = (words: ReadonlyArray<string>, cwd: string = root): string => {
  const { error, status, stderr, stdout } = ChildProcess.spawnSync(words[0]!, words.slice(1), {
    cwd,
    encoding: "utf8",
    shell: process.platform === "win32" && words[0] === "npm",
    maxBuffer: 1 << 28
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stdout}${stderr}`)
  return stdout
}

/** Copies a folder without what the compiler left of sources that are no longer there. */
const copyBuilt = (source: string, target: string): void => {
  const built = Path.join(source, "dist")
  for (const file of Fs.readdirSync(built, { recursive: true, encoding: "utf8" })) {
    const module = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1]
    if (module === undefined || !Fs.existsSync(Path.join(source, "src", `${module}.ts`))) continue
    Fs.cpSync(Path.join(built, file), Path.join(target, "dist", file))
  }
}

const stage = async (name: string, release: string): Promise<void> => {
  const source = Path.join(root, "packages", name)
  const target = Path.join(directory, name)
  const manifest = JSON.parse(Fs.readFileSync(Path.join(release, "packages", name, "package.json"), "utf8"))
  const folders = (manifest as PackageJson).files!.map((pattern) => pattern.split("/")[0]!)
  for (const folder of new Set(folders.filter((folder) => folder !== "dist"))) {
    Fs.cpSync(Path.join(source, folder), Path.join(target, folder), { recursive: true })
  }
  copyBuilt(source, target)
  const page = (from: string, file: string): void => {
    if (Fs.existsSync(Path.join(from, file))) Fs.copyFileSync(Path.join(from, file), Path.join(target, file))
  }
  page(source, "README.md")
  page(source, "LICENSE")
  page(Path.join(release, "packages", name), "CHANGELOG.md")
  const node = withNodeBuild.includes(name)
  if (node) {
    const optional = Object.entries((manifest as PackageJson).peerDependenciesMeta ?? {})
    await writeNodeBuild(source, target, optional.map(([peer]) => peer))
  }
  Fs.writeFileSync(
    Path.join(target, "package.json"),
    `${JSON.stringify(publishedManifest(manifest as PackageJson, { node, files: ["CHANGELOG.md"] }), null, 2)}\n`
  )
}

/** A tarball, and its contents by their paths in the package. */
export interface Packed {
  readonly name: string
  readonly tarball: string
  readonly size: number
  readonly files: ReadonlyArray<string>
}

/** Builds and packs everything. */
export const pack = async (): Promise<ReadonlyArray<Packed>> => {
  const names = published()
  Fs.rmSync(directory, { recursive: true, force: true })
  Fs.mkdirSync(directory, { recursive: true })
  const compiler = Path.join(root, "node_modules/typescript/bin/tsc")
  run([process.execPath, compiler, "-b", ...names.map((name) => `packages/${name}`)])
  const release = Path.join(root, "build/release")
  applyChangesets(release)
  for (const name of names) await stage(name, release)
  const packed = JSON.parse(run(["npm", "pack", "--json", ...names.map((name) => `./${name}`)], directory)) as unknown
  // npm 12 answers with a record by name, npm 11 and older with a list.
  return Object.values(
    packed as Record<string, { name: string; filename: string; size: number; files: ReadonlyArray<{ path: string }> }>
  ).map(({ filename, files, name, size }) => ({
    name: name.replace("@effect-mqttx/", ""),
    tarball: Path.join(directory, filename),
    size,
    files: files.map(({ path }) => path)
  }))
}
