/**
 * Durable sessions in the IndexedDB of a real Chromium: the suite of stores, reloads, and tabs that crash.
 */
import { ScriptedBroker, SessionStoreSuite } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Page } from "playwright-core"
import { executablePath } from "../../../test/support/browsers.ts"
import type { Tab } from "./page.ts"
import { call, makeTabs } from "./tabs.ts"

/** What the page and the test put there. */
interface Globals {
  readonly tab: Tab
  readonly accepted: (n: number) => Promise<void>
}

class Chromium extends Context.Service<Chromium, Page>()("Chromium") {
  static readonly layer = Layer.effect(Chromium, Effect.flatMap(makeTabs, ({ open }) => open))
}

describe.skipIf(executablePath === undefined)("IndexedDbStore in Chromium", () => {
  layer(Chromium.layer, { timeout: "90 seconds" })((it) => {
    for (const [index, { name }] of SessionStoreSuite.cases.entries()) {
      it.effect(name, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* call(yield* Chromium, "runCase", index), "ok")
        }), 180_000)
    }
  })

  it.live(
    "keeps accepted messages when the page is reloaded, and when its tab is killed",
    () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make({ webSocket: true })
        const tabs = yield* makeTabs
        const accepted: Array<number> = []
        const waiters = new Set<() => void>()
        yield* Effect.promise(() =>
          tabs.context.exposeFunction("accepted", (n: number) => {
            accepted.push(n)
            for (const waiter of waiters) waiter()
          })
        )
        const until = (count: number): Effect.Effect<void> =>
          Effect.callback((resume) => {
            const look = () => {
              if (accepted.length >= count) resume(Effect.void)
            }
            waiters.add(look)
            look()
          })
        const enqueue = (page: Page, first: number, count: number) =>
          Effect.promise(() =>
            page.evaluate(
              ([url, first, count]) => {
                const { accepted, tab } = globalThis as unknown as Globals
                void tab.enqueue(url, first, count, accepted)
              },
              [broker.urls.ws!, first, count] as const
            )
          )
        // Nothing leaves: all of it stands in the store.
        yield* broker.refuseNetwork
        const first = yield* tabs.open
        yield* enqueue(first, 0, 100)
        yield* until(100)
        yield* Effect.promise(async () => {
          await first.reload()
          await first.waitForFunction(() => "isReady" in globalThis)
        })
        yield* enqueue(first, 1000, 1_000_000)
        yield* until(150)
        yield* Effect.promise(() => first.close())
        const before = [...accepted]
        yield* broker.acceptNetwork
        const second = yield* tabs.open
        yield* enqueue(second, 2_000_000, 1)
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: before.length + 1 })
        const arrived = new Set(
          broker.received("Publish").map(({ packet }) => Number(new TextDecoder().decode(packet.payload)))
        )
        for (const n of before) assert.isTrue(arrived.has(n), `${n}`)
      }),
    180_000
  )

  it.live("has one owner among all tabs", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make({ webSocket: true })
      const tabs = yield* makeTabs
      yield* Effect.promise(() => tabs.context.exposeFunction("accepted", () => {}))
      const [first, second] = [yield* tabs.open, yield* tabs.open]
      const start = (page: Page) =>
        Effect.promise(() =>
          page.evaluate((url) => {
            const { accepted, tab } = globalThis as unknown as Globals
            return Promise.race([
              tab.enqueue(url, 0, 1, accepted),
              new Promise<string>((resolve) => {
                const look = (): void => {
                  navigator.locks.query().then(({ held }) => held!.length > 0 ? resolve("open") : setTimeout(look, 10))
                }
                look()
              })
            ])
          }, broker.urls.ws!)
        )
      assert.strictEqual(yield* start(first), "open")
      const refused = yield* Effect.promise(() =>
        second.evaluate((url) => {
          const { accepted, tab } = globalThis as unknown as Globals
          return tab.enqueue(url, 0, 1, accepted)
        }, broker.urls.ws!)
      )
      assert.strictEqual(refused, "StorageFailed")
    }), 180_000)
})
