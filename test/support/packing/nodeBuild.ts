/**
 * The build of a package for Node: one file with everything, and a small one for each public module that exports its
 * part of it. Importing some 250 files costs Node more time than running what is in them.
 *
 * All public modules share the one file, so that a tag or a class of errors is the same through each of them. What is
 * loaded on demand stays a file of its own, and so does a module that needs an optional peer, or that the package's
 * entry does not have.
 */
import { build } from "esbuild"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** Where the build is in a package. Everything but the public modules is internal. */
export const nodeFolder = "node"

const esbuild = (folder: string) => ({
  ...({
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node22",
    packages: "external",
    logLevel: "error",
    // Names of classes are what programs see when they print a value. Without this, esbuild changes some of them.
    keepNames: true
  } as const),
  absWorkingDir: folder,
  conditions: ["@effect-mqttx/source"]
})

/** The names that each module exports at run time, and the packages that it imports before its first statement. */
const inspect = async (folder: string, modules: ReadonlyArray<string>) => {
  const { metafile } = await build({
    ...esbuild(folder),
    entryPoints: modules.map((name) => `src/${name}.ts`),
    splitting: true,
    outdir: "out"
  })
  const outputs = new Map(
    Object.values(metafile.outputs).flatMap((output) =>
      output.entryPoint === undefined ? [] : [[Path.basename(output.entryPoint, ".ts"), output] as const]
    )
  )
  return new Map(modules.map((name) => {
    const { exports, imports } = outputs.get(name)!
    const external = imports.filter(({ external, kind }) => external === true && kind === "import-statement")
    return [name, { exports, packages: external.map(({ path }) => path.split("/")[0]!) }] as const
  }))
}

/**
 * Writes the build of the package in `folder` to `node` in `target`. A module that imports an optional peer, or that
 * the entry does not have, is built on its own, on top of what it shares with the others.
 */
export const writeNodeBuild = async (
  folder: string,
  target: string,
  optionalPeers: ReadonlyArray<string>
): Promise<void> => {
  const modules = Fs.readdirSync(Path.join(folder, "src"))
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .map((file) => Path.basename(file, ".ts"))
  const inspected = await inspect(folder, modules)
  const barrel = Fs.readFileSync(Path.join(folder, "src/index.ts"), "utf8")
  const concepts = [...barrel.matchAll(/^export \* as (\w+) from "\.\/(\w+)\.ts"$/gm)]
  const isApart = (name: string): boolean =>
    inspected.get(name)!.packages.some((imported) => optionalPeers.includes(imported)) ||
    concepts.every(([, , module]) => module !== name)
  const together = modules.filter((name) => !isApart(name))
  const all = together.map((name) => {
    const names = inspected.get(name)!.exports.map((exported) => `${exported} as ${name}$${exported}`)
    return names.length === 0 ? "" : `export { ${names.join(", ")} } from "./src/${name}.ts"\n`
  })
  const entries = new Map([
    ["internal/all", all.join("")],
    ...modules.filter(isApart).map((name) => [name, `export * from "./src/${name}.ts"`] as const)
  ])
  const { outputFiles } = await build({
    ...esbuild(folder),
    entryPoints: Array.from(entries.keys(), (name) => ({ in: `entry:${name}`, out: name })),
    plugins: [{
      name: "entries",
      setup: (api) => {
        api.onResolve({ filter: /^entry:/ }, ({ path }) => ({ path: path.slice("entry:".length), namespace: "entry" }))
        api.onLoad({ filter: /.*/, namespace: "entry" }, ({ path }) => ({
          contents: entries.get(path)!,
          resolveDir: folder,
          loader: "ts"
        }))
      }
    }],
    splitting: true,
    chunkNames: "internal/[name]-[hash]",
    outdir: Path.join(target, nodeFolder)
  })
  for (const { contents, path } of outputFiles) {
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.writeFileSync(path, contents)
  }
  const write = (name: string, text: string) =>
    Fs.writeFileSync(Path.join(target, nodeFolder, `${name}.js`), text === "" ? "export {}\n" : text)
  for (const name of together) {
    const names = inspected.get(name)!.exports.map((exported) => `${name}$${exported} as ${exported}`)
    write(name, names.length === 0 ? "" : `export { ${names.join(", ")} } from "./internal/all.js"\n`)
  }
  write("index", concepts.map(([, name, module]) => `export * as ${name} from "./${module}.js"\n`).join(""))
}
