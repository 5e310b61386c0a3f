/**
 * A real browser that the tests of the page share, and pages in it that know what they asked for.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { launch } from "../../../test/support/browsers.ts"

export class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {
  static readonly layer = Layer.effect(Chromium, launch)
}

export interface OpenPage {
  readonly page: Page
  /** Every address that the browser asked for. */
  readonly requests: Array<string>
  /** What the console said, and what was thrown. */
  readonly complaints: Array<string>
}

/** Opens an address in a profile of its own, and closes it with the scope. Nothing but loopback is let through. */
export const open = (
  url: string,
  options: BrowserContextOptions = {}
): Effect.Effect<OpenPage, never, Chromium | Scope.Scope> =>
  Effect.gen(function*() {
    const browser = yield* Chromium
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })),
      (context) => Effect.promise(() => context.close())
    )
    const requests: Array<string> = []
    const complaints: Array<string> = []
    const page = yield* Effect.promise(() => context.newPage())
    page.setDefaultTimeout(50_000)
    page.on("request", (request) => requests.push(request.url()))
    page.on("console", (message) => complaints.push(message.text()))
    page.on("pageerror", (error) => complaints.push(error.message))
    yield* Effect.promise(async () => {
      await page.route("**", (route) => route.request().url().startsWith(url) ? route.continue() : route.abort())
      await page.goto(url)
    })
    return { page, requests, complaints }
  })

/** Waits until an element that fits the selector has this text. */
export const shows = (page: Page, selector: string, text: string | RegExp): Effect.Effect<void> =>
  Effect.promise(() => page.locator(selector).filter({ hasText: text }).first().waitFor())
