/**
 * HTTP routes for monitoring a program: `/metrics` for Prometheus, `/healthz` and `/readyz` for an orchestrator such as
 * Kubernetes.
 *
 * For programs with an HTTP server of their own; `MetricsServer` is for programs without one.
 *
 * **Example** (Serving the routes on Node)
 *
 * ```ts
 * import { MetricsRoutes } from "@effect-mqttx/metrics"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * export const Server = HttpRouter.serve(MetricsRoutes.layer()).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 9464, host: "127.0.0.1" }))
 * )
 * ```
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { makeHostGuard } from "./internal/http/hostGuard.ts"
import type { MetricsRoutesOptions } from "./internal/http/options.ts"
import { RoutesSchema } from "./internal/http/schema.ts"
import { check } from "./internal/options.ts"
import { MqttMetrics } from "./MqttMetrics.ts"
export type { MetricsRoutesOptions } from "./internal/http/options.ts"

/** The content type of the text format. */
const prometheusText = "text/plain; version=0.0.4; charset=utf-8"

/**
 * Adds the routes to the router. Dies with an `MqttError` for invalid options.
 *
 * `/metrics` returns the text format of Prometheus. `/healthz` returns 200 while the process responds. `/readyz`
 * returns 200 when the program can do its work, otherwise 503 with the causes as JSON: see `UnreadyCause`. The routes
 * reveal nothing else.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MetricsRoutesOptions = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | MqttMetrics> =>
  Layer.effectDiscard(Effect.gen(function*() {
    yield* check(RoutesSchema, options, "MetricsRoutes.layer")
    const router = yield* HttpRouter.HttpRouter
    const metrics = yield* MqttMetrics
    const holdsBack = options.holdsBack ?? (() => true)
    const guard = yield* makeHostGuard(options.allowedHosts ?? [])
    yield* router.add(
      "GET",
      options.metricsPath ?? "/metrics",
      guard(Effect.map(metrics.prometheus, (text) => HttpServerResponse.text(text, { contentType: prometheusText })))
    )
    yield* router.add("GET", options.healthPath ?? "/healthz", guard(Effect.succeed(HttpServerResponse.text("ok\n"))))
    yield* router.add(
      "GET",
      options.readyPath ?? "/readyz",
      guard(Effect.map(metrics.snapshot, ({ unready }) => {
        const causes = unready.filter(holdsBack)
        const ready = causes.length === 0
        return HttpServerResponse.jsonUnsafe({ ready, causes }, { status: ready ? 200 : 503 })
      }))
    )
  }))
