import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { build, type BuildResult } from "esbuild"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { executablePath, launch } from "../../../../test/support/browsers.ts"
import type { Result } from "./page.ts"

const bundle: Effect.Effect<BuildResult<{ metafile: true; write: false }>> = Effect.promise(() =>
  build({
    entryPoints: [join(import.meta.dirname, "page.ts")],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    conditions: ["@effect-mqttx/source"],
    metafile: true,
    write: false,
    minify: true,
    logLevel: "silent"
  })
)

/** Serves the page with the bundle, on an ephemeral loopback port. */
const serve = (script: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((request, response) => {
        const isScript = request.url === "/page.js"
        response.setHeader("content-type", isScript ? "text/javascript" : "text/html")
        response.end(isScript ? script : "<!doctype html><title>test</title><script type=module src=/page.js></script>")
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`))

const openPage = (browser: Browser, url: string): Effect.Effect<Page> =>
  Effect.promise(async () => {
    const page = await browser.newPage()
    await page.goto(url)
    await page.waitForFunction(() => "run" in globalThis)
    return page
  })

describe("the core in a browser", () => {
  it.live("bundles without any node: module", () =>
    Effect.gen(function*() {
      const { errors, metafile } = yield* bundle
      assert.deepStrictEqual(errors, [])
      const imports = Object.values(metafile.inputs).flatMap((input) => input.imports)
      assert.deepStrictEqual(imports.filter((each) => each.external === true || each.path.startsWith("node:")), [])
      const inputs = Object.keys(metafile.inputs)
      assert.isTrue(inputs.some((path) => path.endsWith("src/internal/browser/transport.ts")))
      assert.isFalse(inputs.some((path) => path.includes("src/internal/node/")))
    }), 180_000)

  it.live.skipIf(executablePath === undefined)(
    "connects over WebSocket, and again after a cut, in Chromium",
    () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.ScriptedBroker
        const { outputFiles } = yield* bundle
        const page = yield* openPage(yield* launch, yield* serve(outputFiles[0]!.text))
        yield* Effect.promise(() =>
          page.exposeFunction("cut", () => Effect.runPromise(broker.cut(broker.connections.at(-1)!.connection)))
        )
        const result = yield* Effect.promise(() =>
          page.evaluate(
            ([url]) => {
              const { cut, run } = globalThis as unknown as {
                readonly cut: () => Promise<void>
                readonly run: (url: string, cut: () => Promise<void>) => Promise<Result>
              }
              return run(url!, cut)
            },
            [broker.urls.ws!]
          )
        )
        assert.deepStrictEqual(
          result.received,
          ["before", "after"].flatMap((when) => [0, 1, 2].map((qos) => `from/browser/${qos}: ${when} ${qos}`))
        )
        assert.strictEqual(result.reconnects, 1)
        assert.deepStrictEqual(broker.violations, [])
      }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer({ webSocket: true }))),
    180_000
  )

  it.live.skipIf(executablePath === undefined)(
    "learns from Chromium that the network is back, or the page visible again",
    () =>
      Effect.gen(function*() {
        const { outputFiles } = yield* bundle
        const page = yield* openPage(yield* launch, yield* serve(outputFiles[0]!.text))
        const wait = () =>
          page.evaluate(() => (globalThis as unknown as { readonly reachable: () => Promise<string> }).reachable())
        const back = wait()
        yield* Effect.promise(async () => {
          await page.context().setOffline(true)
          await page.context().setOffline(false)
        })
        assert.strictEqual(yield* Effect.promise(() => back), "reachable")
        const shown = wait()
        yield* Effect.promise(() => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))))
        assert.strictEqual(yield* Effect.promise(() => shown), "reachable")
      }).pipe(Effect.scoped),
    180_000
  )
})
