/**
 * The server for operators of a gateway: `/metrics`, `/healthz`, `/readyz` and the live page.
 */
import * as MetricsServer from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type CommandFailed, usage } from "../failure.ts"
import { listenCode } from "./listener.ts"
import type { GatewayRuntime } from "./runtime.ts"
import type { GatewayFile } from "./schema.ts"

/** Listens until the scope ends, and answers the URL of the page. */
export const listenForMetrics =
  ({ forwarders, manager }: GatewayRuntime) =>
  ({ allowedHosts, host, perSessionSeries, port, title }: NonNullable<GatewayFile["metrics"]>): Effect.Effect<
    string,
    CommandFailed,
    Scope.Scope
  > =>
    Effect.gen(function*() {
      const metrics = yield* MqttMetrics.make({ manager, forwarders }, { perSessionSeries })
      const context = yield* Layer.build(
        NodeMetricsServer.layer({ host, port: Number(port), allowedHosts, page: { title } }).pipe(
          Layer.provide(Layer.succeed(MqttMetrics.MqttMetrics, metrics))
        )
      )
      return Context.get(context, MetricsServer.MetricsServer).url
    }).pipe(
      Effect.mapError(({ cause }) =>
        usage(
          `the metrics server cannot listen on ${host}:${port}: ${listenCode(cause)}`,
          "Give it another [metrics] port."
        )
      )
    )
