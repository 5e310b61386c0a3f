/**
 * What the tests of the figures share: a world whose figures are watched, in a metric registry of its own.
 */
import type * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { type Context, Effect, Metric } from "effect"
import { makeWorld } from "../../../test/support/managers.ts"
import { parse } from "./textFormat.ts"

/** What `Metric.MetricRegistry` holds. */
export type Registry = typeof Metric.MetricRegistry extends Context.Reference<infer Shape> ? Shape : never

export const makeWatchedWorld = (
  options?: SessionManager.ManagerOptions<"none" | "process">,
  brokerOptions?: ScriptedBroker.ScriptedBrokerOptions,
  sources?: Omit<MqttMetrics.MetricsSources, "manager">
) =>
  Effect.gen(function*() {
    const world = yield* makeWorld(options, brokerOptions)
    const registry: Registry = new Map()
    const metrics = yield* MqttMetrics.make({ ...sources, manager: world.manager }).pipe(
      Effect.provideService(Metric.MetricRegistry, registry)
    )
    return { ...world, metrics, registry, exposed: Effect.map(metrics.prometheus, parse) }
  })
