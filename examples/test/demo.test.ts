/**
 * The demo as people run it, in a process of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, type Scope } from "effect"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

interface Demo {
  /** The next line that fits. */
  readonly line: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly interrupt: Effect.Effect<void>
  /** The exit code. */
  readonly ended: Effect.Effect<number | null>
}

const start = (...parameters: ReadonlyArray<string>): Effect.Effect<Demo, never, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "demo-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const outfile = Path.join(directory, "demo.cjs")
    yield* Effect.promise(() =>
      build({
        entryPoints: [Path.join(import.meta.dirname, "../demo.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "cjs",
        conditions: ["@effect-mqttx/source"],
        logLevel: "silent"
      })
    )
    const lines = yield* Queue.unbounded<string>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [outfile, ...parameters], { stdio: ["ignore", "pipe", "inherit"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let rest = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const all = (rest + text).split("\n")
      rest = all.pop()!
      Queue.offerAllUnsafe(lines, all)
    })
    const exit = new Promise<number | null>((resolve) => child.on("exit", resolve))
    const line = (pattern: RegExp): Effect.Effect<RegExpExecArray> =>
      Effect.flatMap(Queue.take(lines), (text) => {
        const found = pattern.exec(text)
        return found === null ? line(pattern) : Effect.succeed(found)
      })
    return {
      line,
      interrupt: Effect.sync(() => {
        child.kill("SIGINT")
      }),
      ended: Effect.promise(() => exit)
    }
  })

/** The server-sent events of the live page, as they arrive, until the server ends them. */
const watch = (url: string): Effect.Effect<AsyncIterator<string>> =>
  Effect.promise(async () => {
    const response = await fetch(`${url}events`)
    return response.body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]()
  })

describe("the demo", () => {
  it.live("ends by itself, has lost nothing, and says so", () =>
    Effect.gen(function*() {
      const demo = yield* start("--seconds", "3")
      const [, published, delivered, lost] = yield* demo.line(/^published (\d+), delivered (\d+), .*lost (\d+)$/)
      assert.isAbove(Number(published), 0)
      assert.strictEqual(delivered, published)
      assert.strictEqual(lost, "0")
      assert.strictEqual(yield* demo.ended, 0)
    }), 180_000)

  it.live(
    "shows both sessions on its page, and ends on Ctrl-C although the page is open",
    () =>
      Effect.gen(function*() {
        const demo = yield* start()
        const [, url] = yield* demo.line(/^Live page: (.*)$/)
        const events = yield* watch(url!)
        let told = ""
        yield* Effect.promise(async () => {
          while (!/"name":"plant"[^]*"name":"cloud"[^]*event: snapshot/.test(told)) told += (await events.next()).value
        })
        yield* demo.interrupt
        yield* demo.line(/^published .* lost 0$/)
        assert.strictEqual(yield* demo.ended, 130)
        yield* Effect.promise(async () => {
          while ((await events.next()).done !== true);
        })
      }),
    180_000
  )
})
