/**
 * A program that installs the tarballs in an empty folder, as someone who has only read the README does.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { root } from "../repository.ts"
import type { Packed } from "./pack.ts"

export interface Result {
  readonly status: number | null
  readonly output: string
}

/** Runs a program to its end. A program that takes longer than `timeout` milliseconds is killed. */
export const run = (
  cwd: string,
  program: string,
  words: ReadonlyArray<string>,
  timeout = 120_000
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const child = ChildProcess.spawn(program, words, {
      cwd,
      shell: process.platform === "win32" && program === "npm",
      stdio: ["ignore", "pipe", "pipe"],
      timeout
    })
    let output = ""
    const add = (bytes: Buffer) => {
      output += bytes.toString("utf8")
    }
    child.stdout.on("data", add)
    child.stderr.on("data", add)
    child.on("error", reject)
    child.on("close", (status) => resolve({ status, output }))
  })

/** Runs a program of the repository's own node_modules. */
export const tool = (cwd: string, path: string, ...words: ReadonlyArray<string>): Promise<Result> =>
  run(cwd, process.execPath, [Path.join(root, "node_modules", path), ...words])

/**
 * Whether the registry answers. Where servers are required, as in CI, it has to.
 */
export const registry = async (
  required: boolean = process.env["EFFECT_MQTTX_REQUIRE_SERVERS"] === "1"
): Promise<boolean> => {
  const { output, status } = await run(root, "npm", ["view", "effect@4.1.0", "version", "--fetch-retries=0"], 20_000)
  if (status !== 0 && required) {
    throw new Error(`the registry cannot be reached, and EFFECT_MQTTX_REQUIRE_SERVERS=1 demands it: ${output}`)
  }
  return status === 0
}

/** Writes files into a folder of the consumer. */
export const write = (folder: string, files: Readonly<Record<string, string>>): void => {
  for (const [path, text] of Object.entries(files)) {
    const file = Path.join(folder, path)
    Fs.mkdirSync(Path.dirname(file), { recursive: true })
    Fs.writeFileSync(file, text)
  }
}

/** An empty folder with the tarballs in it, and what the README's programs import. */
export const install = async (folder: string, packed: ReadonlyArray<Packed>): Promise<Result> => {
  Fs.rmSync(folder, { recursive: true, force: true })
  write(folder, { "package.json": `{ "private": true, "type": "module" }\n` })
  return await run(folder, "npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--prefer-offline",
    ...packed.map(({ tarball }) => Path.relative(folder, tarball).replaceAll(Path.sep, "/")),
    "effect@4.1.0",
    "@effect/platform-node@4.1.0",
    "aedes@2.0.0-beta.1",
    "mqtt@5",
    "typescript@5.9",
    "@types/node@22"
  ], 240_000)
}

/** A configuration of the compiler for programs of the consumer. */
export const configuration = (resolution: "nodenext" | "bundler"): string =>
  JSON.stringify({
    compilerOptions: {
      target: "ES2022",
      lib: ["ES2022", "DOM", "DOM.Iterable"],
      module: resolution === "nodenext" ? "nodenext" : "esnext",
      moduleResolution: resolution,
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true
    },
    include: ["src"]
  })

/**
 * A program of the consumer that compiles with its own compiler, and checks its programs and the declarations of these
 * packages. `tsc` would check those of all dependencies too, which takes the older compiler ten seconds.
 */
export const check = `
const ts = require("typescript")
const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: ({ messageText }) => { throw new Error(messageText) } }
const { errors, fileNames, options } = ts.getParsedCommandLineOfConfigFile(process.argv[2], {}, host)
const program = ts.createProgram(fileNames, options)
const own = program.getSourceFiles().filter(({ fileName }) => !/node_modules\\/(?!@effect-mqttx\\/)/.test(fileName))
const found = [
  ...errors,
  ...program.getOptionsDiagnostics(),
  ...program.getGlobalDiagnostics(),
  ...own.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
]
for (const { file, messageText } of found) {
  console.log(\`\${file?.fileName}: \${ts.flattenDiagnosticMessageText(messageText, " ")}\`)
}
console.log(\`\${ts.versionMajorMinor}: checked\`)
if (found.length > 0) process.exitCode = 1
`
