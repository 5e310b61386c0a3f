/**
 * A server for operators: the live page, and the routes of `MetricsRoutes` for Prometheus and for health checks.
 *
 * It runs on any `HttpServer` of Effect. On Node, `NodeMetricsServer` includes one.
 *
 * The page shows the current sessions, forwarders, rates and events, and cannot change anything. Any client that can
 * reach it can read the names of sessions, servers and topic filters.
 *
 * **Example** (Serving the page and the metrics)
 *
 * ```ts
 * import { MetricsServer, MqttMetrics } from "@effect-mqttx/metrics"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { createServer } from "node:http"
 *
 * export const Server = MetricsServer.layer({ page: { title: "plant" } }).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 9464, host: "127.0.0.1" })),
 *   Layer.provideMerge(MqttMetrics.layer())
 * )
 * ```
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type * as NetAddress from "effect/net/NetAddress"
import type { MetricsServerOptions, PageOptions } from "./internal/http/options.ts"
import { ServerSchema } from "./internal/http/schema.ts"
import { checkedLayer } from "./internal/options.ts"
import * as PageFeed from "./internal/page/feed.ts"
import * as PageRoutes from "./internal/page/routes.ts"
import * as MetricsRoutes from "./MetricsRoutes.ts"
import type { MqttMetrics } from "./MqttMetrics.ts"
export type { MetricsServerOptions, PageOptions } from "./internal/http/options.ts"

const feedLayer = (
  { history = "5 minutes", interval = "1 second", maximumViewers = 32, title = "", viewerTimeout = "30 seconds" }:
    PageOptions = {}
): Layer.Layer<PageFeed.PageFeed, never, MqttMetrics> => {
  const period = Duration.max(Duration.fromInputUnsafe(interval), Duration.millis(100))
  const points = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(history)) / Duration.toMillis(period))
  return PageFeed.layer({
    title,
    interval: period,
    points: Math.min(Math.max(2, points), 3600),
    maximumViewers,
    viewerTimeout: Duration.fromInputUnsafe(viewerTimeout)
  })
}

const routes = (
  { page, ...paths }: MetricsServerOptions
): Layer.Layer<never, never, HttpRouter.HttpRouter | MqttMetrics | PageFeed.PageFeed> =>
  Layer.merge(MetricsRoutes.layer(paths), PageRoutes.layer(page?.path ?? "/", paths.allowedHosts ?? []))

/**
 * The routes of the server, for programs that have an HTTP server of their own. Dies with an `MqttError` for invalid
 * options.
 *
 * Open pages are requests that do not end. At the end of its scope an HTTP server waits for requests, on Node for 20
 * seconds unless `gracefulShutdownTimeout` is set. `layer` ends the pages first.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerRoutes = (
  options: MetricsServerOptions = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | MqttMetrics> =>
  checkedLayer(
    ServerSchema,
    options,
    "MetricsServer.layerRoutes",
    () => Layer.provide(routes(options), feedLayer(options.page))
  )

/**
 * The running server and its address.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class MetricsServer extends Context.Service<MetricsServer, {
  /** The address that it listens on. */
  readonly address: NetAddress.SocketAddress
  /** The URL of the page. */
  readonly url: string
}>()("@effect-mqttx/metrics/MetricsServer") {}

/**
 * Serves only the page, the metrics and the health checks on the program's `HttpServer`. Ends with the scope, including
 * open pages. Dies with an `MqttError` for invalid options.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MetricsServerOptions = {}
): Layer.Layer<MetricsServer, never, HttpServer.HttpServer | MqttMetrics> =>
  checkedLayer(ServerSchema, options, "MetricsServer.layer", () => serve(options))

const serve = (
  options: MetricsServerOptions
): Layer.Layer<MetricsServer, never, HttpServer.HttpServer | MqttMetrics> =>
  Layer.effect(
    MetricsServer,
    Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const feed = yield* PageFeed.PageFeed
      // Acquired last, so released first: the pages end, and the server has no request to wait for.
      yield* Effect.addFinalizer(() => feed.end)
      return { address, url: HttpServer.formatAddress(address) + (options.page?.path ?? "/") }
    })
  ).pipe(
    Layer.provide(HttpRouter.serve(routes(options), { disableLogger: true, disableListenLog: true })),
    Layer.provide(feedLayer(options.page))
  )
