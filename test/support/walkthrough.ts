/**
 * Follows a page whose fenced blocks are the steps of a reader, in an empty folder: blocks with the name of a file are
 * written, shell blocks are run, and blocks of text are waited for in what the named program prints.
 *
 * Three things stand in for what a reader has: the packages of this repository for those of the registry, a scripted
 * broker for that of the container, and the sources of the packages for their builds.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { blocksOf, type Fence, fileNameOf } from "./fences.ts"
import { root } from "./repository.ts"

/** A program that was started: what it has printed, and how far the page has shown it. */
export class Program {
  text = ""
  shown = 0
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  readonly #changed = new Set<() => void>()

  constructor(child: ChildProcess) {
    this.child = child
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        this.text += part
        this.#changed.forEach((look) => look())
      })
    }
    this.ended = new Promise((resolve) =>
      child.on("close", (code) => {
        resolve(code)
        this.#changed.forEach((look) => look())
      })
    )
  }

  /** Waits until a line is printed after those that were shown before. */
  readonly prints = (line: string): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const look = (): void => {
        const found = this.text.indexOf(line, this.shown)
        if (found !== -1) {
          this.shown = found + line.length
          this.#changed.delete(look)
          resume(Effect.void)
        } else if (this.child.exitCode !== null) {
          resume(Effect.die(`ended without "${line}": ${this.text}`))
        }
      }
      this.#changed.add(look)
      look()
      return Effect.sync(() => this.#changed.delete(look))
    })
}

/** Starts a program in a process of its own, which ends with the scope at the latest. */
export const start = (
  folder: string,
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  shell = false
) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Program(spawn(command, args, { cwd: folder, shell, env: { ...process.env, NO_COLOR: "1", ...env } }))
    ),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Runs a program of the repository to its end, which has to be a good one. */
const run = (folder: string, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const program = yield* start(folder, process.execPath, args)
    assert.strictEqual(yield* Effect.promise(() => program.ended), 0, program.text)
    return program
  })

const bin = (path: string): string => Path.join(root, "node_modules", path)

const source = "@effect-mqttx/source"

/** A file of the folder as a module that Node runs: without its types, and with packages from their sources. */
export const bundle = (folder: string, file: string) =>
  Effect.promise(async () => {
    const outfile = Path.join(folder, "node_modules", ".walkthrough", `${Path.basename(file, ".ts")}.cjs`)
    await build({
      absWorkingDir: folder,
      entryPoints: [file],
      outfile,
      bundle: true,
      platform: "node",
      format: "cjs",
      conditions: [source],
      logLevel: "silent"
    })
    return outfile
  })

/** `npm install`: links packages that this repository has. One that it does not have is a mistake of the page. */
const install = (folder: string, names: ReadonlyArray<string>): void => {
  for (const name of names) {
    const link = Path.join(folder, "node_modules", name)
    assert.isTrue(Fs.existsSync(bin(name)), `the package ${name}`)
    Fs.mkdirSync(Path.dirname(link), { recursive: true })
    Fs.symlinkSync(Fs.realpathSync(bin(name)), link, "junction")
  }
}

/** Follows the page, and answers how many steps it had: files, commands, and lines that were waited for. */
export const follow = (
  page: string,
  markdown: string
): Effect.Effect<Record<"files" | "commands" | "lines", number>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), "walkthrough-")))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const broker = yield* ScriptedBroker.make()
    yield* broker.crash
    const programs = new Map<string, Program>()
    const steps = { files: 0, commands: 0, lines: 0 }
    let last: Program | undefined
    let isBrokerUp = false

    const execute = (line: string): Effect.Effect<void, never, Scope.Scope> =>
      Effect.gen(function*() {
        const [command, ...args] = line.split(" ")
        if (/^mkdir \w+ && cd \w+$/.test(line)) return
        if (line.startsWith("npm install ")) return install(folder, args.slice(1).filter((arg) => !arg.startsWith("-")))
        if (command === "npm") {
          // On Windows npm is a script of the shell.
          const onWindows = process.platform === "win32"
          last = yield* start(folder, onWindows ? "npm.cmd" : "npm", args, {}, onWindows)
          assert.strictEqual(yield* Effect.promise(() => last!.ended), 0, last.text)
        } else if (line.startsWith("docker run ") && line.includes(" mosquitto ")) {
          if (isBrokerUp) assert.fail("the broker runs already")
          yield* broker.start
          isBrokerUp = true
        } else if (line === "docker stop broker") {
          yield* broker.crash
          isBrokerUp = false
        } else if (line === "npx tsc") {
          last = yield* run(folder, [bin("typescript/bin/tsc"), "--customConditions", source])
        } else if (line === "npx vitest run") {
          Fs.writeFileSync(
            Path.join(folder, "node_modules", "conditions.mjs"),
            `const conditions = ["${source}", "module", "node", "development|production"]\n` +
              `export default { root: ${
                JSON.stringify(folder)
              }, resolve: { conditions }, ssr: { resolve: { conditions } } }\n`
          )
          last = yield* run(folder, [bin("vitest/vitest.mjs"), "run", "--config", "node_modules/conditions.mjs"])
        } else if (command === "node" && args.length === 1) {
          const module = yield* bundle(folder, args[0]!)
          last = yield* start(folder, process.execPath, [module], { MQTT_URL: broker.url })
          programs.set(args[0]!, last)
        } else {
          assert.fail(`a command that the walkthrough does not know: ${line}`)
        }
      })

    const step = (block: Fence): Effect.Effect<void, never, Scope.Scope> =>
      Effect.gen(function*() {
        const name = fileNameOf(block)
        const [language, from] = block.info.split(" from=")
        const lines = block.code.split("\n").filter((line) => line.trim() !== "")
        if (name !== undefined) {
          assert.isFalse(Fs.existsSync(Path.join(folder, name)), `${name} stands twice`)
          Fs.writeFileSync(Path.join(folder, name), `${block.code}\n`)
          steps.files++
        } else if (language === "sh") {
          for (const line of lines) yield* execute(line)
          steps.commands += lines.length
        } else if (language === "text") {
          const program = from === undefined ? last : programs.get(from)
          assert.isDefined(program, `${block.file}:${block.line}: the output of no program`)
          for (const line of lines) yield* program!.prints(line.trim())
          steps.lines += lines.length
        } else {
          assert.fail(`${block.file}:${block.line}: a block that is no step`)
        }
      })

    for (const block of blocksOf(page, markdown)) {
      yield* step(block).pipe(
        Effect.timeout("90 seconds"),
        Effect.catchTag("TimeoutError", () =>
          Effect.die(`${page}:${block.line}: did not come to pass; printed was: ${
            [...programs].map(([name, program]) =>
              `${name}: ${program.text}`
            ).join("\n")
          }`))
      )
    }
    return steps
  })
