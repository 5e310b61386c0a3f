/**
 * A real browser for tests.
 */
import { Effect, type Scope } from "effect"
import { type Browser, chromium } from "playwright-core"
import { realServer } from "./servers.ts"

export const executablePath = realServer("chromium")

/** Starts it, without anything that would use a network by itself. */
export const launch: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: executablePath!,
      // A machine with other work takes long to start it.
      timeout: 80_000,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)
