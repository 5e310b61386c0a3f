/**
 * Tabs of a real Chromium with the page of the tests.
 */
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { BrowserContext, Page } from "playwright-core"
import { launch } from "../../../test/support/browsers.ts"
import type { Tab } from "./page.ts"

const script = Effect.promise(async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "page.ts")],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    conditions: ["@effect-mqttx/source"],
    write: false,
    logLevel: "silent"
  })
  return outputFiles[0]!.text
})

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

export interface Tabs {
  readonly context: BrowserContext
  readonly url: string
  readonly open: Effect.Effect<Page>
}

/** Tabs of one profile, at one origin. */
export const makeTabs: Effect.Effect<Tabs, never, Scope.Scope> = Effect.gen(function*() {
  const url = yield* serve(yield* script)
  const browser = yield* launch
  const context = yield* Effect.promise(() => browser.newContext())
  const open = Effect.promise(async () => {
    const page = await context.newPage()
    page.setDefaultTimeout(50_000)
    await page.goto(url)
    await page.waitForFunction(() => "isReady" in globalThis)
    return page
  })
  return { context, url, open }
})

/** Calls a function of the page. */
export const call = <
  Name extends { [K in keyof Tab]: Tab[K] extends (...args: never) => unknown ? K : never }[keyof Tab]
>(
  page: Page,
  name: Name,
  ...args: Parameters<Tab[Name]>
): Effect.Effect<Awaited<ReturnType<Tab[Name]>>> =>
  Effect.promise(() =>
    page.evaluate(
      ([name, args]) => {
        const { tab } = globalThis as unknown as { readonly tab: Record<string, (...args: Array<unknown>) => unknown> }
        return tab[name as string]!(...args as Array<unknown>)
      },
      [name, args] as const
    )
  ) as Effect.Effect<Awaited<ReturnType<Tab[Name]>>>
