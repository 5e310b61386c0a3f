/**
 * Whom the metrics server answers, and for how long: over raw sockets, since no HTTP client misbehaves on command.
 */
import * as MetricsRoutes from "@effect-mqttx/metrics/MetricsRoutes"
import * as MetricsServer from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { connect, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { within } from "../../../test/support/within.ts"
import * as Scripted from "./scriptedMetrics.ts"
import { view } from "./viewer.ts"

type Options = Partial<NodeMetricsServer.NodeMetricsServerOptions>

const serving = (metrics: Layer.Layer<MqttMetrics.MqttMetrics>, options?: Options) =>
  Effect.map(
    Layer.build(Layer.provide(NodeMetricsServer.layer({ port: 0, ...options }), metrics)),
    (context) => new URL(Context.get(context, MetricsServer.MetricsServer).url)
  )

const plant = Scripted.make(Scripted.everything([Scripted.session("plant")]))

/** A plain connection, until the scope ends. */
const dial = (host: string, port: number): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect(port, host, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Waits until the other side has ended the connection, and answers what it has sent. */
const remains = (socket: Socket): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let text = ""
    const done = (): void => resume(Effect.succeed(text))
    socket.setEncoding("utf8").on("data", (data) => {
      text += data
    })
    if (socket.closed) done()
    else socket.on("close", done)
  })

/** The answer to a request with these lines, host and all. */
const ask = (
  { hostname, port }: { readonly hostname: string; readonly port: string | number },
  path: string,
  ...lines: ReadonlyArray<string>
): Effect.Effect<{ readonly status: number; readonly head: string; readonly body: string }> =>
  Effect.scoped(Effect.gen(function*() {
    const socket = yield* dial(hostname.replace(/[[\]]/g, ""), Number(port))
    socket.write([`GET ${path} HTTP/1.1`, ...lines, "Connection: close", "", ""].join("\r\n"))
    const text = yield* remains(socket)
    const [head = "", body = ""] = text.split("\r\n\r\n")
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head, body }
  }))

const otherAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address

const paths = ["/", "/events", "/metrics", "/healthz", "/readyz"]

describe("the Host header", () => {
  it.live("of another site gets nothing from a server on loopback, whatever it asks for", () =>
    Effect.gen(function*() {
      const url = yield* serving((yield* plant).layer)
      const hosts = [
        "evil.example",
        `evil.example:${url.port}`,
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "10.0.0.1",
        "localhost@evil.example",
        "evil.example#localhost",
        ""
      ]
      for (const host of hosts) {
        for (const path of paths) {
          const { body, head, status } = yield* ask(url, path, `Host: ${host}`)
          assert.strictEqual(status, 421, `${path} for ${host}`)
          assert.strictEqual(
            body.replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, ""),
            "This server answers to localhost, 127.0.0.1 and [::1] only. Other names are an option: allowedHosts.\n"
          )
          assert.match(head, /content-type: text\/plain/i)
          assert.notMatch(body, /evil|plant/)
        }
      }
    }))

  it.live("of this machine is answered, with any port and in any case", () =>
    Effect.gen(function*() {
      const url = yield* serving((yield* plant).layer)
      for (
        const host of ["localhost", "LocalHost:1", "localhost.", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:9464"]
      ) {
        for (const path of ["/", "/metrics", "/healthz", "/readyz"]) {
          assert.strictEqual((yield* ask(url, path, `Host: ${host}`)).status, 200, `${path} for ${host}`)
        }
      }
    }))

  it.live("that is absent is that of no browser", () =>
    Effect.gen(function*() {
      const url = yield* serving((yield* plant).layer)
      const socket = yield* dial(url.hostname, Number(url.port))
      socket.write("GET /healthz HTTP/1.0\r\n\r\n")
      assert.match(yield* remains(socket), /^HTTP\/1\.1 200 /)
    }))

  it.live("may have the names of an option, and the address that the server is bound to", () =>
    Effect.gen(function*() {
      const { layer } = yield* plant
      const named = yield* serving(layer, { allowedHosts: ["Metrics.example", "proxy.example:8443"] })
      for (const host of ["metrics.example", "metrics.example:9464", "proxy.example", "localhost"]) {
        assert.strictEqual((yield* ask(named, "/readyz", `Host: ${host}`)).status, 200, host)
      }
      assert.strictEqual((yield* ask(named, "/readyz", "Host: other.example")).status, 421)
      const bound = yield* serving(layer, { host: "127.0.0.2" })
      assert.strictEqual((yield* ask(bound, "/readyz", "Host: 127.0.0.2")).status, 200)
      assert.strictEqual((yield* ask(bound, "/readyz", "Host: 127.0.0.3")).status, 421)
    }))

  it.live("is also checked where every interface is open, for what comes over loopback", () =>
    Effect.gen(function*() {
      const { port } = yield* serving((yield* plant).layer, { host: "0.0.0.0" })
      const at = (hostname: string) => ask({ hostname, port }, "/readyz", "Host: metrics.example")
      assert.strictEqual((yield* at("127.0.0.1")).status, 421)
      if (otherAddress !== undefined) assert.strictEqual((yield* at(otherAddress)).status, 200)
    }))

  it.live("is checked by the routes in a server of one's own, for these routes only", () =>
    Effect.gen(function*() {
      const { layer } = yield* plant
      const elsewhere = { metricsPath: "/m", readyPath: "/r", healthPath: "/h" } as const
      const app = Layer.mergeAll(
        Layer.provide(MetricsServer.layerRoutes(elsewhere), layer),
        Layer.provide(MetricsRoutes.layer(), layer),
        HttpRouter.add("GET", "/mine", HttpServerResponse.text("mine"))
      )
      const context = yield* Layer.build(
        HttpRouter.serve(app, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
        )
      )
      const url = new URL(HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address))
      for (const path of ["/", "/events", "/m", "/r", "/h", ...paths.slice(2)]) {
        assert.strictEqual((yield* ask(url, path, "Host: evil.example")).status, 421, path)
      }
      assert.strictEqual((yield* ask(url, "/mine", "Host: evil.example")).status, 200)
    }))
})

describe("connections that do nothing", () => {
  const timed = { idleTimeout: "200 millis" } as const

  it.live("or send half a request, or none after the first, are closed", () =>
    Effect.gen(function*() {
      const url = yield* serving((yield* plant).layer, timed)
      const host = `Host: ${url.host}`
      for (
        const words of [
          "",
          "GET / HT",
          `GET / HTTP/1.1\r\n${host}\r\n`,
          `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 9\r\n\r\n1`
        ]
      ) {
        const socket = yield* dial(url.hostname, Number(url.port))
        socket.write(words)
        yield* within(10_000)(remains(socket))
      }
      // The request of this one has to arrive in time, on a machine with other work too.
      const patient = yield* serving((yield* plant).layer, { idleTimeout: "3 seconds" })
      const kept = yield* dial(patient.hostname, Number(patient.port))
      kept.write(`GET /healthz HTTP/1.1\r\nHost: ${patient.host}\r\n\r\n`)
      assert.match(yield* within(10_000)(remains(kept)), /^HTTP\/1\.1 200 [^]*ok\n$/)
    }), 180_000)

  it.live("and those that take nothing of a large answer", () =>
    Effect.gen(function*() {
      const { layer } = yield* plant
      const large = Layer.effect(
        MqttMetrics.MqttMetrics,
        Effect.map(MqttMetrics.MqttMetrics, (metrics) => ({
          ...metrics,
          prometheus: Effect.succeed("x".repeat(64 * 1024 * 1024))
        }))
      ).pipe(Layer.provide(layer))
      const url = yield* serving(large, {
        ...timed,
        maximumConnections: 1,
        page: { interval: "100 millis", viewerTimeout: "100 millis" }
      })
      const deaf = yield* dial(url.hostname, Number(url.port))
      deaf.pause()
      deaf.write(`GET /metrics HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
      yield* Effect.repeat(ask(url, "/healthz", "Host: localhost"), { until: ({ status }) => status === 200 })
      deaf.resume()
      assert.isBelow((yield* remains(deaf)).length, 64 * 1024 * 1024)
    }), 180_000)

  it.live("more than there may be are turned away, and the others served", () =>
    Effect.gen(function*() {
      const url = yield* serving((yield* plant).layer, { maximumConnections: 3 })
      const three = yield* Effect.forEach([1, 2, 3], () => dial(url.hostname, Number(url.port)))
      const fourth = yield* dial(url.hostname, Number(url.port))
      assert.strictEqual(yield* remains(fourth), "")
      three[0]!.write(`GET /healthz HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`)
      assert.match(yield* remains(three[0]!), /^HTTP\/1\.1 200 /)
    }))
})

describe("viewers that do not read", () => {
  /** Snapshots of two megabytes: more than the buffers of a connection hold. */
  const large = Scripted.make(Scripted.everything(
    Array.from({ length: 2000 }, (_, index) => Scripted.session(`session ${index} ${"x".repeat(1000)}`))
  ))

  for (const server of ["NodeMetricsServer", "another HTTP server"] as const) {
    it.live(`lose their place after a while, and their connection (${server})`, () =>
      Effect.gen(function*() {
        const metrics = yield* large
        const page = { maximumViewers: 1, viewerTimeout: "300 millis" } as const
        const url = server === "NodeMetricsServer"
          ? yield* serving(metrics.layer, { page })
          : new URL(
            Context.get(
              yield* Layer.build(Layer.provide(MetricsServer.layer({ page }), [
                NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" }),
                metrics.layer
              ])),
              MetricsServer.MetricsServer
            ).url
          )
        const deaf = yield* dial(url.hostname, Number(url.port))
        deaf.pause()
        deaf.write(`GET /events HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
        const events = new URL("/events", url).href
        const refused = Effect.promise(() => fetch(events)).pipe(
          Effect.tap((answer) => Effect.promise(() => answer.body!.cancel())),
          Effect.map(({ status }) => status === 503)
        )
        yield* Effect.repeat(refused, { until: (is) => is })
        yield* Effect.repeat(Effect.andThen(metrics.tick, Effect.andThen(Effect.sleep(50), refused)), {
          until: (is) => !is
        })
        // What the system had taken for it comes, and then the end.
        yield* within(10_000)(remains(deaf.resume()))
        const viewer = yield* view(events)
        yield* viewer.next("hello")
      }), 180_000)
  }

  it.live("do not make those leave that read, however quiet it is", () =>
    Effect.gen(function*() {
      const metrics = yield* plant
      const url = yield* serving(metrics.layer, {
        page: { viewerTimeout: "100 millis", interval: "2 seconds" },
        idleTimeout: "100 millis"
      })
      const viewer = yield* view(new URL("/events", url).href)
      yield* viewer.next("hello")
      yield* Effect.sleep("1500 millis")
      yield* metrics.tick
      yield* viewer.next("snapshot")
    }))
})
