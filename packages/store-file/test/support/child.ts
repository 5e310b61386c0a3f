/**
 * The program beside this file in a process of its own: bundled, since not every Node runs TypeScript.
 */
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const here = fileURLToPath(new URL(".", import.meta.url))
// Inside of the package, so that it finds LevelDB.
const folder = Path.join(here, "../../build")

let bundled: Promise<string> | undefined

const bundle = Effect.promise(() =>
  bundled ??= (async () => {
    const outfile = Path.join(folder, `storeProgram-${process.pid}.mjs`)
    await build({
      entryPoints: [Path.join(here, "storeProgram.ts")],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      external: ["classic-level"],
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` },
      conditions: ["@effect-mqttx/source"],
      logLevel: "silent"
    })
    process.once("exit", () => Fs.rmSync(outfile, { force: true }))
    return outfile
  })()
)

export interface StoreProcess {
  /** Everything that it has printed so far. */
  readonly output: () => string
  /** Completes when it has printed that many lines, or has ended. */
  readonly lines: (count: number) => Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Completes with the output when it has ended. */
  readonly ended: Effect.Effect<string>
}

export interface StoreProcessOptions {
  readonly environment?: Readonly<Record<string, string>>
  /** What runs node, for example strace with its parameters. */
  readonly by?: ReadonlyArray<string>
}

/** Starts the program; it is killed when the scope ends. */
export const startStoreProcess = Effect.fnUntraced(function*(
  parameters: ReadonlyArray<string | number>,
  options: StoreProcessOptions = {}
): Effect.fn.Return<StoreProcess, never, Scope.Scope> {
  const outfile = yield* bundle
  const [command, ...rest] = [...options.by ?? [], process.execPath, outfile, ...parameters.map(String)]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      ChildProcess.spawn(command!, rest, {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...options.environment }
      })
    ),
    (running) => Effect.sync(() => running.kill("SIGKILL"))
  )
  let output = ""
  let hasEnded = false
  const listeners = new Set<() => void>()
  const changed = () => {
    for (const listener of listeners) listener()
  }
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString()
    changed()
  })
  child.stderr.on("data", (chunk: Buffer) => output += chunk.toString())
  child.on("close", () => {
    hasEnded = true
    changed()
  })
  const until = (condition: () => boolean): Effect.Effect<void> =>
    Effect.callback((resume) => {
      const check = () => {
        if (!condition()) return
        listeners.delete(check)
        resume(Effect.void)
      }
      listeners.add(check)
      check()
      return Effect.sync(() => listeners.delete(check))
    })
  return {
    output: () => output,
    lines: (count) => until(() => hasEnded || output.split("\n").length > count),
    kill: Effect.sync(() => child.kill("SIGKILL")),
    ended: Effect.map(until(() => hasEnded), () => output)
  }
})

/** Runs the program to its end, and yields what it printed. */
export const runStoreProcess = (
  parameters: ReadonlyArray<string | number>,
  options?: StoreProcessOptions
): Effect.Effect<string> =>
  Effect.scoped(Effect.flatMap(startStoreProcess(parameters, options), (child) => child.ended))
