/**
 * The program `effect-mqttx` in a process of its own, bundled from its sources once for each test file.
 */
import { afterAll } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const packageRoot = Path.join(import.meta.dirname, "../..")
// One folder below the package, as the module itself: it reads the version from package.json.
const outfile = Path.join(packageRoot, "build", `effect-mqttx-${process.pid}.mjs`)

afterAll(() => Fs.rmSync(outfile, { force: true }))

let bundled: Promise<unknown> | undefined

const bundle = Effect.promise(() =>
  bundled ??= build({
    entryPoints: [Path.join(packageRoot, "src/internal/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    conditions: ["@effect-mqttx/source"],
    // It loads its binaries from its own folder.
    external: ["classic-level"],
    // ws is CommonJS.
    banner: {
      js: `import { createRequire as toRequire } from "node:module"; const require = toRequire(import.meta.url);`
    },
    logLevel: "silent"
  })
)

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** Waits until the standard error has a text. */
  readonly says: (text: string) => Effect.Effect<void>
  /** Waits until the standard error fulfils a condition. */
  readonly saysThat: (holds: (log: string) => boolean) => Effect.Effect<void>
  /** What the standard error has so far. */
  readonly log: () => string
  /** Waits until the standard output has a text. */
  readonly prints: (text: string) => Effect.Effect<void>
  readonly ended: Effect.Effect<Outcome>
}

export interface Settings {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string | Uint8Array
  /** The current folder. */
  readonly cwd?: string
}

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MQTT_")))

/** The command line that runs the program with these arguments, for a shell. */
export const shellCommand = (args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.as(bundle, [process.execPath, outfile, ...args].map((part) => `'${part}'`).join(" "))

/** Starts the program; it is killed with the scope. */
export const start = (
  args: ReadonlyArray<string>,
  settings: Settings = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* bundle
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [outfile, ...args], {
          env: { ...environment, NO_COLOR: "1", ...settings.env },
          cwd: settings.cwd
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const text = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (part: string) => {
        text[name] += part
      })
    }
    const closed = new Promise<number | null>((resolve) => child.on("close", resolve))
    const fulfils = (
      name: "stdout" | "stderr",
      holds: (text: string) => boolean,
      wanted: string
    ): Effect.Effect<void> =>
      Effect.callback<void>((resume) => {
        const look = (): void => {
          if (holds(text[name])) resume(Effect.void)
        }
        child[name].on("data", look)
        void closed.then(() => resume(Effect.die(`ended without ${wanted}: ${text.stdout}${text.stderr}`)))
        look()
        return Effect.sync(() => child[name].off("data", look))
      })
    const has = (name: "stdout" | "stderr") => (wanted: string): Effect.Effect<void> =>
      fulfils(name, (found) => found.includes(wanted), JSON.stringify(wanted))
    if (settings.stdin !== undefined) child.stdin.end(settings.stdin)
    return {
      child,
      says: has("stderr"),
      saysThat: (holds) => fulfils("stderr", holds, "what was expected"),
      log: () => text.stderr,
      prints: has("stdout"),
      ended: Effect.map(Effect.promise(() => closed), (code) => ({ code, ...text }))
    }
  })

/** Runs the program to its end. */
export const run = (args: ReadonlyArray<string>, settings?: Settings): Effect.Effect<Outcome> =>
  Effect.scoped(Effect.flatMap(start(args, settings), ({ ended }) => ended))
