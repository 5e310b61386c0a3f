/**
 * Installs the tarballs in empty folders with each package manager, and runs the README's program there, over TCP, over
 * a WebSocket and with a store in files: `npm run pack -- --install`. The package managers come from the registry.
 */
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fencesOf } from "../fences.ts"
import { root } from "../repository.ts"
import { run, write } from "./consumer.ts"
import type { Packed } from "./pack.ts"

interface Installer {
  readonly name: string
  /** What prints its version. */
  readonly version: ReadonlyArray<string>
  readonly install: ReadonlyArray<string>
  readonly run: ReadonlyArray<string>
  readonly files?: Readonly<Record<string, string>>
}

const npx = (
  tool: string,
  ...words: ReadonlyArray<string>
): ReadonlyArray<string> => ["npx", "-y", "-p", tool, ...words]

const yarn = "@yarnpkg/cli-dist@4.18.1"
const deno = "deno@2.9.6"
const bun = "bun@1.4.5"
const pnpm = "pnpm@12.21.0"

/** In CI yarn keeps the lockfile as it is, unless it is told not to. */
const yarnSettings = (linker: "node-modules" | "pnp"): string =>
  `nodeLinker: ${linker}\nenableImmutableInstalls: false\nenableTelemetry: false\n`

/** All that is tried, each in a folder of its name. */
const installers: ReadonlyArray<Installer> = [
  { name: "npm", version: ["npm", "--version"], install: ["npm", "install"], run: [process.execPath] },
  {
    name: "pnpm",
    version: npx(pnpm, "pnpm", "--version"),
    install: npx(pnpm, "pnpm", "install"),
    run: [process.execPath],
    // pnpm fails until someone has decided about the script of classic-level, which has its binaries without it.
    files: { "pnpm-workspace.yaml": "allowBuilds:\n  classic-level: false\n" }
  },
  {
    name: "yarn",
    version: npx(yarn, "yarn", "--version"),
    install: npx(yarn, "yarn", "install"),
    run: [process.execPath],
    files: { ".yarnrc.yml": yarnSettings("node-modules"), "yarn.lock": "" }
  },
  {
    name: "yarn-pnp",
    version: npx(yarn, "yarn", "--version"),
    install: npx(yarn, "yarn", "install"),
    run: npx(yarn, "yarn", "node"),
    files: { ".yarnrc.yml": yarnSettings("pnp"), "yarn.lock": "" }
  },
  {
    name: "bun",
    version: npx(bun, "bun", "--version"),
    install: npx(bun, "bun", "install"),
    run: npx(bun, "bun", "run", "--bun")
  },
  {
    name: "deno",
    version: npx(deno, "deno", "--version"),
    install: npx(deno, "deno", "install"),
    run: npx(deno, "deno", "run", "--allow-all")
  }
]

const durable = (program: string): string =>
  program
    .replace("MqttSession.layer(", "MqttSession.layerDurable(")
    .replace(
      /(MqttSession\.layerDurable\(.*\}\))\)/,
      `$1.pipe(Layer.provide(FileStore.layer({ directory: "store" }))))`
    )
    .replace("import { Effect,", `import { FileStore } from "@effect-mqttx/store-file"\nimport { Effect, Layer,`)

const packages: ReadonlySet<string> = new Set(["core", "store-file"])

const must = async (folder: string, words: ReadonlyArray<string>, timeout: number): Promise<string> => {
  const { output, status } = await run(folder, words[0]!, words.slice(1), timeout)
  if (status !== 0) throw new Error(`${words.join(" ")}: ${status}\n${output}`)
  return output
}

const tryOne = async (
  installer: Installer,
  packed: ReadonlyArray<Packed>,
  programs: Readonly<Record<string, string>>
): Promise<void> => {
  const folder = Path.join(root, "build/installers", installer.name)
  Fs.rmSync(folder, { recursive: true, force: true })
  const tarballs = packed.filter(({ name }) => packages.has(name)).map(({ name, tarball }) => {
    const path = Path.relative(folder, tarball).replaceAll(Path.sep, "/")
    return [`@effect-mqttx/${name}`, `file:${path}`] as const
  })
  const manifest = { private: true, type: "module", dependencies: { ...Object.fromEntries(tarballs), effect: "4.1.0" } }
  write(folder, { "package.json": `${JSON.stringify(manifest)}\n`, ...installer.files, ...programs })
  const start = Date.now()
  const [version = ""] = (await must(folder, installer.version, 120_000)).trim().split("\n")
  await must(folder, installer.install, 240_000)
  for (const program of Object.keys(programs)) {
    const output = await must(folder, [...installer.run, program], 60_000)
    if (!output.includes("sensors/room1/temperature 23.5")) throw new Error(`${installer.name}: ${program}: ${output}`)
  }
  const seconds = Math.ceil((Date.now() - start) / 1000)
  if (seconds > 300) throw new Error(`${installer.name}: ${seconds} seconds for a first message`)
  console.log(`${installer.name} ${/\d[\d.]*/.exec(version)?.[0]}: ${Object.keys(programs).join(", ")} in ${seconds} s`)
}

/** Tries the installers of these names, or all. Fails with the output of the first program that fails. */
export const tryInstallers = (packed: ReadonlyArray<Packed>, names: ReadonlyArray<string>): Promise<void> =>
  Effect.gen(function*() {
    // The testing package is compiled by then.
    const { ScriptedBroker } = yield* Effect.promise(() => import("@effect-mqttx/testing"))
    const { url, urls } = yield* ScriptedBroker.make({ webSocket: true })
    const readme = fencesOf("README.md", Fs.readFileSync(Path.join(root, "README.md"), "utf8"))[0]!.code
    const at = (server: string): string => readme.replace("mqtt://localhost:1883", server)
    const programs = { "tcp.mjs": at(url), "webSocket.mjs": at(urls.ws!), "durable.mjs": durable(at(url)) }
    const unknown = names.filter((name) => !installers.some((each) => each.name === name))
    if (unknown.length > 0) return yield* Effect.die(new Error(`no installers: ${unknown.join(", ")}`))
    for (const installer of installers) {
      if (names.length > 0 && !names.includes(installer.name)) continue
      yield* Effect.promise(() => tryOne(installer, packed, programs))
    }
  }).pipe(Effect.scoped, Effect.runPromise)
