/**
 * The live page in a real browser.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as MetricsServer from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Metric, Schedule, Scope } from "effect"
import type { Page } from "playwright-core"
import { executablePath } from "../../../test/support/browsers.ts"
import { Chromium, open, shows } from "./chromium.ts"
import { contrastViolations } from "./contrast.ts"
import * as Scripted from "./scriptedMetrics.ts"

const serve = (
  metrics: Layer.Layer<MqttMetrics.MqttMetrics>,
  options?: Partial<NodeMetricsServer.NodeMetricsServerOptions>
) =>
  Effect.map(
    Layer.build(Layer.provide(NodeMetricsServer.layer({ port: 0, ...options }), metrics)),
    (context) => Context.get(context, MetricsServer.MetricsServer).url
  )

const metricsOf = (manager: SessionManager.SessionManager["Service"]) =>
  Layer.effect(MqttMetrics.MqttMetrics, MqttMetrics.make({ manager })).pipe(
    Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
  )

/** A page with sessions, forwarders, losses and events of every kind. */
const busy = Effect.gen(function*() {
  const metrics = Scripted.metricsOf({
    messagesReceived: 120_000,
    dropped: { ...Scripted.metricsOf().dropped, expired: 3 }
  })
  const lastError = { reason: "ConnectionRefused", message: "connect ECONNREFUSED" }
  const world = yield* Scripted.make(Scripted.everything([
    Scripted.session("plant", { metrics }),
    Scripted.session("cloud", { state: "reconnecting", ready: false, attempt: 2, lastError }),
    Scripted.session("lab", { state: "disconnected", ready: false }),
    Scripted.session("new", { state: "connecting", ready: false })
  ], {
    metrics,
    forwarders: [
      Scripted.forwarder("bridge", { received: 10, forwarded: 6, filtered: 2, deadLettered: 1, failed: 1 }),
      Scripted.forwarder("halted", { targetConnected: false, lastError })
    ],
    unready: [
      { kind: "route", name: "alarms", session: "plant", reason: "SubscriptionRefused", message: "Not authorized" }
    ]
  }))
  const error = new MqttError({ session: "cloud", reason: new ConnectionRefused({ server: "broker" }) })
  yield* world.emit({ _tag: "Ready", session: "plant", at: 1, subscriptions: 1 })
  yield* world.emit({ _tag: "Added", session: "lab", at: 2 })
  yield* world.emit({ _tag: "Disconnected", session: "cloud", at: 3, error })
  yield* world.emit({ _tag: "Reconnecting", session: "cloud", at: 4, attempt: 2, delay: 500, error })
  return world
})

const colour = (page: Page): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
const light = "rgb(245, 246, 248)"
const dark = "rgb(13, 15, 19)"

describe.skipIf(executablePath === undefined)("the live page", () => {
  layer(Chromium.layer, { excludeTestServices: true, timeout: "90 seconds" })((it) => {
    it.effect(
      "shows traffic, the end of the broker in red with the reason, and the recovery in green",
      () =>
        Effect.gen(function*() {
          const broker = yield* ScriptedBroker.make()
          const manager = yield* SessionManager.make()
          const url = yield* serve(metricsOf(manager), { page: { interval: "200 millis" } })
          const { complaints, page } = yield* open(url)
          yield* shows(page, "#verdict-title", "No session yet")

          const plant = yield* manager.add({
            name: "plant",
            servers: [broker.url],
            reconnect: { initialDelay: "50 millis", maxDelay: "50 millis" }
          })
          yield* shows(page, "#sessions tr[data-level=good] .state", "Connected")
          yield* shows(page, "#verdict[data-level=good] h1", "Nothing lost")
          yield* Effect.forEach(Array.from({ length: 40 }), () => plant.publish("a/b", "23.5", { qos: 1 }))
          yield* shows(page, "#sessions td[data-label=Sent] small", /^40$/)
          const curve = yield* Effect.promise(() => page.locator("#plots .curve").first().getAttribute("d"))
          assert.match(curve!, /^M.+L/)

          yield* broker.crash
          yield* shows(page, "#sessions tr[data-level=bad] .state", "Down")
          yield* shows(page, "#sessions .why", "ConnectionRefused")
          yield* shows(page, "#verdict[data-level=bad] h1", "plant is down")
          yield* shows(page, "#events li[data-level=bad] .what", "Disconnected")
          yield* shows(page, "#announcement", "plant is down")
          assert.include(yield* Effect.promise(() => page.title()), "plant is down")

          yield* broker.start
          yield* shows(page, "#sessions tr[data-level=good] .state", "Connected")
          yield* shows(page, "#verdict[data-level=good] h1", "Nothing lost")
          yield* shows(page, "#announcement", "Nothing lost")
          yield* shows(page, "#sessions td[data-label=Reconnects]", "1")
          assert.deepStrictEqual(complaints, [])
        }).pipe(Effect.scoped),
      180_000
    )

    it.effect("asks no other than its own server, and its policy keeps scripts out that are not its own", () =>
      Effect.gen(function*() {
        const world = yield* busy
        const url = yield* serve(world.layer)
        const { complaints, page, requests } = yield* open(url)
        yield* shows(page, "#link", "Live")
        assert.deepStrictEqual(requests.filter((each) => !each.startsWith("data:")), [url, `${url}events`])
        assert.deepStrictEqual(complaints, [])
        const ran = yield* Effect.promise(() =>
          page.evaluate(() => {
            const script = document.createElement("script")
            script.textContent = "globalThis.intruder = true"
            document.body.append(script)
            return "intruder" in globalThis
          })
        )
        assert.isFalse(ran)
        const fetched = yield* Effect.promise(() =>
          page.evaluate(() => fetch("http://127.0.0.1:1/").then(() => "ok", (error: unknown) => String(error)))
        )
        assert.include(fetched, "Failed to fetch")
        assert.isTrue(complaints.every((complaint) => complaint.includes("Content Security Policy")))
      }).pipe(Effect.scoped))

    it.effect("shows what does not work although its sessions do, in the words of /readyz", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make()
        yield* broker.refuseSubscribe("secret/#", 0x87)
        const manager = yield* SessionManager.make()
        const url = yield* serve(metricsOf(manager), { page: { interval: "200 millis" } })
        const plant = yield* manager.add({ name: "plant", servers: [broker.url] })
        yield* plant.awaitReady
        yield* Effect.exit(plant.subscription("secret/#"))
        const { complaints, page } = yield* open(url)
        yield* shows(page, "#verdict[data-level=bad] h1", "subscription secret/# does not work")
        yield* shows(page, "#causes li .who", "subscription secret/# at plant")
        yield* shows(page, "#causes li .what", "SubscriptionRefused")
        const { causes } = yield* Effect.promise(() => fetch(`${url}readyz`).then((answer) => answer.json()))
        yield* shows(page, "#causes li .text", causes[0].message)
        yield* plant.unsubscribe("secret/#")
        yield* shows(page, "#verdict[data-level=good] h1", "Nothing lost")
        assert.isTrue(yield* Effect.promise(() => page.locator("#causes-card").isHidden()))
        assert.deepStrictEqual(complaints, [])
      }).pipe(Effect.scoped))

    it.effect("names are text, whatever they look like", () =>
      Effect.gen(function*() {
        const hostile = `<img src=x onerror="globalThis.hacked=1">`
        const problem = { reason: hostile, message: hostile }
        const world = yield* Scripted.make(Scripted.everything([
          Scripted.session(hostile, { server: hostile, state: "reconnecting", ready: false, lastError: problem }),
          Scripted.session("__proto__"),
          Scripted.session("</script><script>globalThis.hacked=1</script>")
        ], { forwarders: [Scripted.forwarder(hostile, { targetConnected: false, lastError: problem })] }))
        const url = yield* serve(world.layer, { page: { title: hostile } })
        const { complaints, page } = yield* open(url)
        yield* world.emit({
          _tag: "SlowConsumer",
          session: hostile,
          at: 1,
          filters: [`${hostile}\nevent: snapshot\ndata: {}`],
          topic: hostile,
          absent: [],
          waiting: 1
        })
        yield* shows(page, "#events .text", hostile)
        for (
          const membership of ["#title", "#sessions .name", "#sessions .server", "#sessions .why", "#forwarders .name"]
        ) {
          yield* shows(page, membership, hostile)
        }
        yield* shows(page, "#sessions .name", "__proto__")
        assert.include(yield* Effect.promise(() => page.title()), hostile)
        assert.isFalse(yield* Effect.promise(() => page.evaluate(() => "hacked" in globalThis)))
        assert.strictEqual(yield* Effect.promise(() => page.locator("img, script:not([type=module])").count()), 0)
        assert.deepStrictEqual(complaints, [])
      }).pipe(Effect.scoped))

    it.effect("is light or dark as the system is, or as the viewer chose, also after a reload", () =>
      Effect.gen(function*() {
        const world = yield* busy
        const { page } = yield* open(yield* serve(world.layer), { colorScheme: "dark" })
        yield* Effect.promise(async () => {
          assert.strictEqual(await colour(page), dark)
          await page.emulateMedia({ colorScheme: "light" })
          assert.strictEqual(await colour(page), light)
          const theme = page.getByRole("button", { name: "Theme: System" })
          await theme.click()
          await page.getByRole("button", { name: "Theme: Light" }).click()
          assert.strictEqual(await colour(page), dark)
          await page.reload()
          await page.getByRole("button", { name: "Theme: Dark" }).waitFor()
          assert.strictEqual(await colour(page), dark)
        })
      }).pipe(Effect.scoped))

    for (const colorScheme of ["light", "dark"] as const) {
      it.effect(`all text can be read: contrast 4.5 at least, ${colorScheme}`, () =>
        Effect.gen(function*() {
          const world = yield* busy
          const { page } = yield* open(yield* serve(world.layer), { colorScheme })
          yield* shows(page, "#events .what", "Reconnecting")
          yield* shows(page, "#forwarders .state", "Running")
          assert.deepStrictEqual(yield* Effect.promise(() => page.evaluate(contrastViolations, 4.5)), [])
        }).pipe(Effect.scoped))
    }

    it.effect("works with the keyboard alone, and the focus can be seen", () =>
      Effect.gen(function*() {
        const many = Array.from({ length: 12 }, (_, index) => Scripted.session(`session ${index}`))
        const world = yield* Scripted.make(Scripted.everything(many))
        const { page } = yield* open(yield* serve(world.layer))
        yield* shows(page, "#sessions .name", "session 11")
        const focused = () =>
          page.evaluate(() => {
            const element = document.activeElement!
            const { outlineStyle, outlineWidth } = getComputedStyle(element)
            return {
              what: element.id || element.className,
              visible: outlineStyle !== "none" && outlineWidth !== "0px"
            }
          })
        yield* Effect.promise(async () => {
          const walk: Array<string> = []
          for (let step = 0; step < 4; step++) {
            await page.keyboard.press("Tab")
            const { visible, what } = await focused()
            assert.isTrue(visible, what)
            walk.push(what)
          }
          assert.deepStrictEqual(walk, ["skip", "theme", "sessions-filter", "scroll"])

          await page.locator("#theme").focus()
          await page.keyboard.press("Enter")
          await page.getByRole("button", { name: "Theme: Light" }).waitFor()
          await page.keyboard.press("Tab")
          await page.keyboard.type("11")
          await page.getByRole("row").filter({ hasText: "session 10" }).waitFor({ state: "detached" })
          assert.strictEqual(await page.locator("#sessions tr").count(), 1)

          await page.reload()
          await page.keyboard.press("Tab")
          await page.keyboard.press("Enter")
          assert.strictEqual((await focused()).what, "content")
        })
      }).pipe(Effect.scoped))

    for (const width of [1280, 390]) {
      it.effect(`is a table for assistive technology, and fits ${width} pixels`, () =>
        Effect.gen(function*() {
          const world = yield* busy
          const { page } = yield* open(yield* serve(world.layer), { viewport: { width, height: 800 } })
          yield* shows(page, "#sessions .name", "plant")
          world.snapshot = { ...world.snapshot, at: world.snapshot.at + 1000 }
          yield* world.tick
          yield* Effect.promise(async () => {
            const table = page.getByRole("table", { name: "Sessions" })
            assert.strictEqual(await table.getByRole("columnheader").count(), 9)
            assert.strictEqual(await table.getByRole("row").count(), 5)
            assert.strictEqual(await table.getByRole("row").nth(1).getByRole("cell").count(), 9)
            await page.getByRole("img", { name: /^Messages per second: received now/ }).waitFor()
            assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), width)
          })
        }).pipe(Effect.scoped))
    }

    it.effect("nothing moves with prefers-reduced-motion", () =>
      Effect.gen(function*() {
        const world = yield* busy
        const { page } = yield* open(yield* serve(world.layer), { reducedMotion: "reduce" })
        yield* shows(page, "#link", "Live")
        assert.strictEqual(yield* Effect.promise(() => page.evaluate(() => document.getAnimations().length)), 0)
      }).pipe(Effect.scoped))

    it.effect("says that the process does not answer, and continues when it does again", () =>
      Effect.gen(function*() {
        const world = yield* busy
        const first = yield* Scope.make()
        const url = yield* Scope.provide(serve(world.layer), first)
        const { page } = yield* open(url)
        yield* shows(page, "#link[data-state=live]", "Live")
        yield* Scope.close(first, Exit.void)
        yield* shows(page, "#verdict[data-level=bad] h1", "No answer")
        yield* Effect.retry(serve(world.layer, { port: Number(new URL(url).port) }), Schedule.spaced("50 millis"))
        yield* shows(page, "#link[data-state=live]", "Live")
        yield* shows(page, "#verdict h1", "cloud is down")
      }).pipe(Effect.scoped))
  })
})
