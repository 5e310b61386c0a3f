/**
 * What an installation of all published packages consists of, as CycloneDX: the tarballs, their dependencies and peers.
 * `npm run pack -- --sbom` writes it into build/packages, and a release publishes it.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { root } from "../repository.ts"
import { run, write } from "./consumer.ts"
import { directory, type Packed } from "./pack.ts"

const npm = async (folder: string, ...words: ReadonlyArray<string>): Promise<string> => {
  const { output, status } = await run(folder, "npm", [...words, "--loglevel", "error"], 240_000)
  if (status !== 0) throw new Error(`npm ${words.join(" ")}: ${output}`)
  return output
}

/** Writes it. Answers its path. Needs a registry. */
export const writeBillOfMaterials = async (packed: ReadonlyArray<Packed>): Promise<string> => {
  // npm names the whole by its folder.
  const folder = Path.join(root, "build/sbom/effect-mqttx")
  Fs.rmSync(folder, { recursive: true, force: true })
  const dependencies = packed.map(({ name, tarball }) => {
    const path = Path.relative(folder, tarball).replaceAll(Path.sep, "/")
    return [`@effect-mqttx/${name}`, `file:${path}`] as const
  })
  const [{ name: first }] = packed as [Packed]
  const { version } = JSON.parse(Fs.readFileSync(Path.join(directory, first, "package.json"), "utf8")) as {
    readonly version: string
  }
  const manifest = { name: "effect-mqttx", version, dependencies: Object.fromEntries(dependencies) }
  write(folder, { "package.json": `${JSON.stringify(manifest)}\n` })
  await npm(folder, "install", "--package-lock-only", "--ignore-scripts", "--prefer-offline")
  const file = Path.join(directory, "sbom.cdx.json")
  Fs.writeFileSync(file, await npm(folder, "sbom", "--package-lock-only", "--sbom-format", "cyclonedx"))
  return file
}
