/**
 * The routes of an HTTP server that tell how a program is doing: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever
 * keeps it alive.
 *
 * A subpath of its own, `@effect-mqttx/core/MetricsRoutes`, for programs with an HTTP server: Effect's HTTP modules are unstable.
 *
 * @example
 * const Server = HttpRouter.serve(MetricsRoutes.layer()).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 9464, host: "127.0.0.1" }))
 * )
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { routeChecks } from "./internal/gateway/checks.ts"
import { orDie } from "./internal/options/plain.ts"
import { MqttMetrics } from "./MqttMetrics.ts"
import type { SessionSnapshot } from "./MqttSnapshot.ts"

/**
 * Paths, and what being ready means.
 */
export interface MetricsRoutesOptions {
  /** Default `/metrics`. */
  readonly metricsPath?: HttpRouter.PathInput | undefined
  /** Default `/healthz`. */
  readonly healthPath?: HttpRouter.PathInput | undefined
  /** Default `/readyz`. */
  readonly readyPath?: HttpRouter.PathInput | undefined
  /** Which sessions hold back readiness. Default: those that are not ready. */
  readonly isReady?: ((session: SessionSnapshot) => boolean) | undefined
}

/** The content type of the text format. */
const prometheusText = "text/plain; version=0.0.4; charset=utf-8"

/**
 * Adds the routes to the router. Dies with an `MqttError` for options that are wrong.
 *
 * `/metrics` answers the text format of Prometheus. `/healthz` answers 200 as long as the process can. `/readyz` answers 200 when all
 * sessions are ready, otherwise 503, with the sessions that are not, and why, as JSON. Nothing but these sessions' names, states, servers
 * and errors is told to whoever asks.
 */
export const layer = (
  options: MetricsRoutesOptions = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | MqttMetrics> =>
  Layer.effectDiscard(Effect.gen(function*() {
    yield* orDie(options, routeChecks, "MetricsRoutes.layer")
    const router = yield* HttpRouter.HttpRouter
    const metrics = yield* MqttMetrics
    const isReady = options.isReady ?? (({ ready }: SessionSnapshot) => ready)
    yield* router.add(
      "GET",
      options.metricsPath ?? "/metrics",
      Effect.map(metrics.prometheus, (text) => HttpServerResponse.text(text, { contentType: prometheusText }))
    )
    yield* router.add("GET", options.healthPath ?? "/healthz", HttpServerResponse.text("ok\n"))
    yield* router.add(
      "GET",
      options.readyPath ?? "/readyz",
      Effect.map(metrics.snapshot, ({ sessions }) => {
        const missing = sessions.filter((session) => !isReady(session)).map(
          ({ failure, lastError, name, server, since, state }) => ({
            name,
            state,
            since,
            server,
            error: failure ?? lastError
          })
        )
        return HttpServerResponse.jsonUnsafe(
          { ready: missing.length === 0, sessions: missing },
          { status: missing.length === 0 ? 200 : 503 }
        )
      })
    )
  }))
