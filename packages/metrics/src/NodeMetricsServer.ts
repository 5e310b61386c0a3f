/**
 * The `MetricsServer` on an HTTP server of Node.
 *
 * It has the separate subpath `@effect-mqttx/metrics/NodeMetricsServer`, because it needs the package
 * `@effect/platform-node`, which is an optional peer.
 *
 * **Example** (Serving on any free port)
 *
 * ```ts
 * import { MetricsServer, MqttMetrics } from "@effect-mqttx/metrics"
 * import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
 * import { Effect, Layer } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const { url } = yield* MetricsServer.MetricsServer
 *   yield* Effect.log(`the page is at ${url}`)
 * }).pipe(Effect.provide(NodeMetricsServer.layer({ port: 0 }).pipe(Layer.provide(MqttMetrics.layer()))))
 * ```
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import { NodeServerSchema } from "./internal/http/schema.ts"
import { checkedLayer } from "./internal/options.ts"
import * as MetricsServer from "./MetricsServer.ts"
import type { PageOptions } from "./MetricsServer.ts"
import type { MqttMetrics } from "./MqttMetrics.ts"

/**
 * Options of a server with its own listener.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface NodeMetricsServerOptions extends MetricsServer.MetricsServerOptions {
  /** 0: any free port, see `MetricsServer.url`. */
  readonly port: number
  /**
   * The address to listen on. Default `127.0.0.1`, so that only this machine can connect; `::` is every interface.
   * There is no authentication: put a proxy in front of a server that others can reach.
   */
  readonly host?: string | undefined
  /**
   * How long a connection may take to send a request, to read a part of an answer, or to stay without a request after
   * the first one. Default ten seconds. Open pages have `page.viewerTimeout`.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /** The number of connections at the same time; further ones are closed at once. Default 128. */
  readonly maximumConnections?: number | undefined
}

/**
 * Listens, and serves the page, the metrics and the health checks until the scope ends, which takes at most a second.
 *
 * Fails with `ServeError` when it cannot listen, for example because the port is in use (its `cause` has the code
 * `EADDRINUSE`). Dies with an `MqttError` for invalid options.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: NodeMetricsServerOptions
): Layer.Layer<MetricsServer.MetricsServer, ServeError, MqttMetrics> =>
  checkedLayer(
    NodeServerSchema,
    options,
    "NodeMetricsServer.layer",
    () => {
      const { host: _host, idleTimeout: _idle, maximumConnections: _maximum, port: _port, ...rest } = options
      return Layer.provide(MetricsServer.layer(rest), httpServer(options))
    }
  )

/** At the end, requests that are unfinished after this time are cut off. */
const grace = "1 second"

/** The page's limit takes precedence on its connection: a quiet page has nothing to read for its whole interval. */
const inactivity = (idle: number, { interval = "1 second", viewerTimeout = "30 seconds" }: PageOptions): number =>
  Math.max(idle, 3 * Duration.toMillis(interval), Duration.toMillis(viewerTimeout))

const httpServer = (
  { host = "127.0.0.1", idleTimeout = "10 seconds", maximumConnections = 128, page = {}, port }:
    NodeMetricsServerOptions
): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.effect(
    HttpServer.HttpServer,
    Effect.gen(function*() {
      const idle = Math.max(1, Math.ceil(Duration.toMillis(idleTimeout)))
      const server = Http.createServer({
        headersTimeout: idle,
        requestTimeout: idle,
        keepAliveTimeout: idle,
        connectionsCheckingInterval: Math.min(1000, idle)
      })
      server.maxConnections = maximumConnections
      server.timeout = inactivity(idle, page)
      const made = yield* NodeHttpServer.make(() => server, { host, port, gracefulShutdownTimeout: grace })
      yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
      return made
    })
  )
