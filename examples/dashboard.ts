/**
 * A dashboard in a browser, with one session for all its tabs: `tsc -b examples && node examples/dist/dashboard.js`.
 *
 * Thermometers publish from this process, and the page shows them. Chromium opens the page in two tabs: both show the
 * temperatures over one connection, a command of one tab arrives here, and when the tab with the session is closed the
 * other one takes over. With `--serve` it waits for your own browser instead.
 */
import { MqttSession } from "@effect-mqttx/core"
import { RealServer, ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Schedule, Stream } from "effect"
import { type Browser, chromium } from "playwright-core"
import { serve } from "./dashboard/server.ts"

const rooms = ["kitchen", "cellar", "attic"]

/** Publishes a temperature of each room, as a retained message, five times a second. */
const measure = (session: MqttSession.Session) => {
  let celsius = 20
  return Effect.repeat(
    Effect.suspend(() => {
      celsius += 0.1
      return Effect.forEach(
        rooms,
        (room) => session.publish(`rooms/${room}/temperature`, `${celsius.toFixed(1)} °C`, { qos: 1, retain: true })
      )
    }),
    Schedule.spaced("200 millis")
  )
}

const open = (browser: Browser, url: string) =>
  Effect.promise(async () => {
    // The tabs of a window have the same data.
    const window = await browser.newContext()
    const tab = async () => {
      const page = await window.newPage()
      await page.goto(url)
      return page
    }
    return [await tab(), await tab()] as const
  })

const look = Effect.fnUntraced(function*(
  executablePath: string,
  url: string,
  broker: ScriptedBroker.Service,
  session: MqttSession.Session
) {
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() => chromium.launch({ executablePath, args: ["--no-sandbox"] })),
    (browser) => Effect.promise(() => browser.close())
  )
  const { messages: commands } = yield* session.subscription("rooms/+/target", { qos: 1 })
  const tabs = yield* open(browser, url)

  const roles = yield* Effect.promise(() =>
    Promise.all(tabs.map(async (tab) => {
      await tab.locator("#room-attic", { hasText: "°C" }).waitFor()
      return await tab.locator("#role").textContent()
    }))
  )
  const clients = broker.received("Connect").map(({ packet }) => packet.clientId)
  yield* Effect.log(`the tabs are ${roles.join(" and ")}; clients of the broker: ${clients.join(", ")}`)
  if ([...roles].sort().join() !== "follower,owner" || clients.length !== 2) yield* Effect.die("not one session")

  const [owner, follower] = roles[0] === "owner" ? tabs : [tabs[1], tabs[0]]
  yield* Effect.promise(() => follower.getByRole("button", { name: "Set" }).click())
  const [command] = yield* Stream.runCollect(Stream.take(commands, 1))
  yield* Effect.promise(() => follower.locator("#outcome", { hasText: "the server has it" }).waitFor())
  yield* Effect.log(`a command of the second tab: ${command?.topic} ${command?.text}`)

  yield* Effect.promise(() => owner.close())
  yield* Effect.promise(() => follower.locator("#role", { hasText: "owner" }).waitFor())
  const shown = yield* Effect.promise(() => follower.locator("#room-attic").textContent())
  yield* Effect.promise(() =>
    follower.waitForFunction((before) => document.getElementById("room-attic")!.textContent !== before, shown)
  )
  yield* Effect.log("its tab is closed, and the other one has the session and shows new temperatures")
}, Effect.timeout("40 seconds"))

const main = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.make({ webSocket: true })
  const session = yield* MqttSession.make({ name: "thermometers", servers: [broker.url] })
  yield* Effect.forkScoped(measure(session))
  const url = yield* serve(broker.urls.ws!)
  yield* Effect.log(`the dashboard is at ${url}`)
  if (process.argv.includes("--serve")) return yield* Effect.never
  const browser = RealServer.find("chromium") ?? RealServer.find("google-chrome")
  if (browser === undefined) return yield* Effect.log("skipped, there is no Chromium on this machine")
  yield* look(browser, url, broker, session)
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
