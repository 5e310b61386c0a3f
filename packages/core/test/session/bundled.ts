/**
 * Programs of the tests in processes of their own: bundled, since not every Node runs TypeScript.
 */
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"

export interface BundledProgram {
  /** Runs it and parses what it prints. */
  readonly run: (...parameters: ReadonlyArray<string | number>) => Effect.Effect<unknown>
}

/** A program next to this file, which lasts as long as the scope. */
export const bundle = Effect.fnUntraced(function*(
  name: string,
  nodeOptions: ReadonlyArray<string> = []
): Effect.fn.Return<BundledProgram, never, Scope.Scope> {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bundled-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const outfile = join(directory, `${name}.cjs`)
  yield* Effect.promise(() =>
    build({
      entryPoints: [fileURLToPath(new URL(`./${name}.ts`, import.meta.url))],
      outfile,
      bundle: true,
      platform: "node",
      format: "cjs",
      conditions: ["@effect-mqttx/source"],
      logLevel: "silent"
    })
  )
  return {
    run: (...parameters) =>
      Effect.callback((resume) => {
        const child = execFile(
          execPath,
          [...nodeOptions, outfile, ...parameters.map(String)],
          { maxBuffer: 64 * 1024 * 1024 },
          (error, stdout, stderr) =>
            resume(error === null ? Effect.succeed(JSON.parse(stdout)) : Effect.die(new Error(stderr || error.message)))
        )
        return Effect.sync(() => child.kill())
      })
  }
})
