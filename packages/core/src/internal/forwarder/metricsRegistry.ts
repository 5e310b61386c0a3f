/**
 * The metrics of the forwarders of each manager. A program may make forwarders by `Forwarder` or by a
 * `ForwarderManager`. Metrics and readiness read all of them from here, so the program need not name them.
 */
import * as Effect from "effect/Effect"
import type { ForwarderMetrics } from "../../ForwarderMetrics.ts"
import type { Manager } from "../manager/contract.ts"
import { registryOf } from "../manager/registry.ts"

const registered = new WeakMap<object, Set<Effect.Effect<ForwarderMetrics>>>()

/** Registers the metrics of a forwarder, until the returned function is called. */
export const registerMetrics = (manager: Manager, metrics: Effect.Effect<ForwarderMetrics>): () => void => {
  const key = registryOf(manager) ?? manager
  const all = registered.get(key) ?? new Set()
  registered.set(key, all)
  all.add(metrics)
  return () => all.delete(metrics)
}

/** The metrics of all forwarders of a manager, in the order in which they were made. */
export const registeredMetrics = (manager: Manager): Effect.Effect<ReadonlyArray<ForwarderMetrics>> =>
  Effect.suspend(() => Effect.all(Array.from(registered.get(registryOf(manager) ?? manager) ?? [])))
