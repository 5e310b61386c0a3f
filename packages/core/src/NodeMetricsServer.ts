/**
 * The `MetricsServer` on an HTTP server of Node.
 *
 * A subpath of its own, `@effect-mqttx/core/NodeMetricsServer`: it needs the package `@effect/platform-node`, which is an optional peer, and
 * stands on Effect's HTTP modules, which are unstable.
 *
 * @example
 * program.pipe(Effect.provide(NodeMetricsServer.layer({ port: 9464 }).pipe(Layer.provideMerge(MqttMetrics.layer()))))
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import { checkedLayer, serverChecks } from "./internal/gateway/checks.ts"
import { type Checks, integer, isRecord, text } from "./internal/options/plain.ts"
import * as MetricsServer from "./MetricsServer.ts"
import type { MqttMetrics } from "./MqttMetrics.ts"

/**
 * Options of a server that listens by itself.
 */
export interface NodeMetricsServerOptions extends MetricsServer.MetricsServerOptions {
  /** 0: any free one, see `MetricsServer.url`. */
  readonly port: number
  /**
   * Where to listen. Default `127.0.0.1`, so that only this machine can connect; `::` is every interface. There is no authentication: put
   * a proxy in front of what others shall reach.
   */
  readonly host?: string | undefined
}

/**
 * Listens, and serves the page, the metrics and the health checks until the scope ends, which takes at most a second.
 *
 * Fails with `ServeError` when it cannot listen, for example because the port is in use (its `cause` has the code `EADDRINUSE`). Dies with
 * an `MqttError` for options that are wrong.
 */
export const layer = (
  options: NodeMetricsServerOptions
): Layer.Layer<MetricsServer.MetricsServer, ServeError, MqttMetrics> =>
  checkedLayer(
    isRecord(options) ? { ...options, port: options.port ?? null } : null,
    checks,
    "NodeMetricsServer.layer",
    () => {
      const { host, port, ...rest } = options
      return Layer.provide(MetricsServer.layer(rest), httpServer({ host, port }))
    }
  )

const checks: Checks<NodeMetricsServerOptions> = { ...serverChecks, port: integer(0, 65_535), host: text }

/** What a client does not read or finish within this time at the end is cut off. */
const grace = "1 second"

const httpServer = (
  { host = "127.0.0.1", port }: NodeMetricsServerOptions
): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.effect(
    HttpServer.HttpServer,
    Effect.gen(function*() {
      const server = Http.createServer()
      const made = yield* NodeHttpServer.make(() => server, { host, port, gracefulShutdownTimeout: grace })
      yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
      return made
    })
  )
