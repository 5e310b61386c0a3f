/**
 * The server that people run beside their program, over real HTTP.
 */
import * as MetricsServer from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Metric, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { connect, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { makeWorld } from "../../../test/support/managers.ts"
import * as Scripted from "./scriptedMetrics.ts"
import { view } from "./viewer.ts"

const get = (url: string): Effect.Effect<Response> => Effect.promise(() => fetch(url))

/** A server on a free port, until the scope ends. */
const serving = (
  metrics: Layer.Layer<MqttMetrics.MqttMetrics>,
  options?: Partial<NodeMetricsServer.NodeMetricsServerOptions>
) =>
  Effect.map(
    Layer.build(Layer.provide(NodeMetricsServer.layer({ port: 0, ...options }), metrics)),
    (context) => Context.get(context, MetricsServer.MetricsServer)
  )

const plant = Scripted.everything([Scripted.session("plant")])

/** A client that connects and asks for the events, and then does not read. */
const deafViewer = (url: string): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname, () => {
        socket.write(`GET /events HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`)
        socket.pause()
        resume(Effect.succeed(socket))
      })
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Whether something accepts connections there. */
const reachable = (host: string, port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = connect(port, host)
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.on("error", () => resume(Effect.succeed(false)))
  })

const otherAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address

describe("MetricsServer", () => {
  it.live("serves the page, the metrics and the health checks, and nothing else", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      const metrics = Layer.effect(MqttMetrics.MqttMetrics, MqttMetrics.make({ manager })).pipe(
        Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
      )
      const { url } = yield* serving(metrics)
      yield* ready("plant")
      const page = yield* get(url)
      assert.strictEqual(page.status, 200)
      assert.strictEqual(page.headers.get("content-type"), "text/html; charset=utf-8")
      assert.include(yield* Effect.promise(() => page.text()), "<!doctype html>")
      const figures = yield* Effect.flatMap(get(`${url}metrics`), (answer) => Effect.promise(() => answer.text()))
      assert.include(figures, `mqtt_session_connected{session="plant"} 1`)
      for (const path of ["healthz", "readyz"]) assert.strictEqual((yield* get(url + path)).status, 200)
      assert.strictEqual((yield* get(`${url}elsewhere`)).status, 404)
      assert.strictEqual((yield* Effect.promise(() => fetch(url, { method: "POST" }))).status, 404)
    }))

  it.live("the page may load and connect to nothing but itself", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const page = yield* get((yield* serving(layer)).url)
      const policy = page.headers.get("content-security-policy")!.split("; ")
      assert.include(policy, "default-src 'none'")
      assert.include(policy, "connect-src 'self'")
      assert.include(policy, "frame-ancestors 'none'")
      assert.isUndefined(policy.find((directive) => /unsafe|\*|https?:/.test(directive)))
    }))

  it.live("listens on loopback by default", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const quiet = yield* serving(layer)
      const { port } = new URL(quiet.url)
      assert.strictEqual(quiet.url, `http://127.0.0.1:${port}/`)
      const open = yield* serving(layer, { host: "0.0.0.0" })
      if (otherAddress !== undefined) {
        assert.isFalse(yield* reachable(otherAddress, Number(port)))
        assert.isTrue(yield* reachable(otherAddress, Number(new URL(open.url).port)))
      }
    }))

  it.live("a port in use is a typed failure", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const { url } = yield* serving(layer)
      const failure = yield* Effect.flip(serving(layer, { port: Number(new URL(url).port) }))
      assert.strictEqual(failure._tag, "ServeError")
      assert.strictEqual((failure.cause as { readonly code?: string }).code, "EADDRINUSE")
    }))

  it.live("paths are as one likes, and the page finds its events", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const { url } = yield* serving(layer, { page: { path: "/ops/mqtt" }, metricsPath: "/ops/metrics" })
      assert.match(url, /\/ops\/mqtt$/)
      const html = yield* Effect.flatMap(get(url), (page) => Effect.promise(() => page.text()))
      const events = /data-events="([^"]*)"/.exec(html)![1]!
      const viewer = yield* view(new URL(events, url).href)
      assert.strictEqual((yield* viewer.next("hello")).snapshot.sessions[0]!.name, "plant")
      assert.strictEqual((yield* get(new URL("/ops/metrics", url).href)).status, 200)
    }))

  it.live("a page first gets everything, then snapshots and events as they come", () =>
    Effect.gen(function*() {
      const metrics = yield* Scripted.make(plant)
      const { url } = yield* serving(metrics.layer, { page: { title: "gateway 7" } })
      const viewer = yield* view(`${url}events`)
      const hello = yield* viewer.next("hello")
      assert.strictEqual(hello.title, "gateway 7")
      assert.strictEqual(hello.snapshot.at, plant.at)
      yield* metrics.emit({ _tag: "Ready", session: "plant", at: 7, subscriptions: 2 })
      assert.deepStrictEqual(yield* viewer.next("event"), {
        at: 7,
        session: "plant",
        type: "Ready",
        level: "good",
        text: "2 subscriptions"
      })
      const messagesReceived = 500
      metrics.snapshot = Scripted.everything(
        [Scripted.session("plant", { metrics: Scripted.metricsOf({ messagesReceived }) })],
        { at: plant.at + 2000, metrics: Scripted.metricsOf({ messagesReceived }) }
      )
      yield* metrics.tick
      const { sessions, totals } = yield* viewer.next("snapshot")
      assert.strictEqual(totals.rates.received, 250)
      assert.strictEqual(sessions[0]!.rates.received, 250)
    }))

  it.live("a page that is opened later shows the last minutes and the last events", () =>
    Effect.gen(function*() {
      const metrics = yield* Scripted.make(plant)
      const { url } = yield* serving(metrics.layer, { page: { history: "3 seconds" } })
      const first = yield* view(`${url}events`)
      yield* first.next("hello")
      for (let second = 1; second <= 5; second++) {
        const of = Scripted.metricsOf({ messagesSent: second * second })
        metrics.snapshot = Scripted.everything([Scripted.session("plant", { metrics: of })], {
          at: plant.at + second * 1000,
          metrics: of
        })
        yield* metrics.tick
        yield* first.next("snapshot")
      }
      yield* metrics.emit({ _tag: "Added", session: "plant", at: 1 })
      yield* first.next("event")
      const { events, history } = yield* Effect.flatMap(view(`${url}events`), (viewer) => viewer.next("hello"))
      assert.deepStrictEqual(history.at, [3, 4, 5].map((second) => plant.at + second * 1000))
      assert.deepStrictEqual(history.totals.sent, [5, 7, 9])
      assert.deepStrictEqual(history.sessions, [{ name: "plant", received: [0, 0, 0], sent: [5, 7, 9] }])
      assert.deepStrictEqual(events.map(({ type }) => type), ["Added"])
    }))

  it.live("more viewers than allowed are refused until one leaves", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const { url } = yield* serving(layer, { page: { maximumViewers: 1 } })
      const scope = yield* Scope.make()
      yield* Effect.flatMap(view(`${url}events`), (viewer) => viewer.next("hello")).pipe(Scope.provide(scope))
      const refused = yield* get(`${url}events`)
      assert.strictEqual(refused.status, 503)
      assert.isNotNull(refused.headers.get("retry-after"))
      yield* Scope.close(scope, Exit.void)
      // The server hears of it a moment later.
      const again = get(`${url}events`).pipe(
        Effect.tap((answer) => Effect.promise(() => answer.body!.cancel())),
        Effect.repeat({ until: ({ status }) => status === 200 })
      )
      yield* Effect.timeout(again, "20 seconds")
    }))

  it.live("ends with its scope, although pages are open, one of which does not read", () =>
    Effect.gen(function*() {
      const long = Array.from({ length: 2000 }, (_, index) => Scripted.session(`session ${index} ${"x".repeat(1000)}`))
      const metrics = yield* Scripted.make(Scripted.everything(long))
      const scope = yield* Scope.make()
      const { url } = yield* Scope.provide(serving(metrics.layer), scope)
      const viewer = yield* view(`${url}events`)
      yield* viewer.next("hello")
      yield* deafViewer(url)
      yield* metrics.tick
      yield* viewer.next("snapshot")
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      yield* viewer.end
      assert.isFalse(yield* reachable("127.0.0.1", Number(new URL(url).port)))
      assert.isBelow(Duration.toMillis(took), 10_000)
    }))

  it.live("on any HTTP server the pages end first, so that it has nothing to wait for", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const scope = yield* Scope.make()
      const patient = NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })
      const context = yield* Layer.buildWithScope(Layer.provide(MetricsServer.layer(), [patient, layer]), scope)
      const viewer = yield* view(`${Context.get(context, MetricsServer.MetricsServer).url}events`)
      yield* viewer.next("hello")
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      // It would wait for 20 seconds.
      assert.isBelow(Duration.toMillis(took), 10_000)
      yield* viewer.end
    }))

  it.live("its routes also work in the program's own HTTP server", () =>
    Effect.gen(function*() {
      const { layer } = yield* Scripted.make(plant)
      const routes = Layer.provide(MetricsServer.layerRoutes({ page: { title: "mine" } }), layer)
      const app = Layer.merge(routes, HttpRouter.add("GET", "/mine", Effect.die("never asked")))
      yield* Effect.gen(function*() {
        const { address } = yield* HttpServer.HttpServer
        const viewer = yield* view(`${HttpServer.formatAddress(address)}/events`)
        assert.strictEqual((yield* viewer.next("hello")).title, "mine")
      }).pipe(
        Effect.scoped,
        Effect.provide(
          HttpRouter.serve(app, { disableLogger: true, disableListenLog: true }).pipe(
            Layer.provideMerge(NodeHttpServer.layerTest)
          )
        )
      )
    }))
})
