/**
 * The registry of the running forwarders of each manager. A program may make forwarders by `Forwarder` or by a
 * `ForwarderManager`. Metrics and readiness read all of them from here, so the program need not name them.
 */
import * as Effect from "effect/Effect"
import type { ForwarderMetrics } from "../../ForwarderMetrics.ts"
import type { Manager } from "../manager/contract.ts"
import { registryOf } from "../manager/registry.ts"

const announced = new WeakMap<object, Set<Effect.Effect<ForwarderMetrics>>>()

/** Adds the figures of a forwarder, until the returned function is called. */
export const announce = (manager: Manager, metrics: Effect.Effect<ForwarderMetrics>): () => void => {
  const key = registryOf(manager) ?? manager
  const all = announced.get(key) ?? new Set()
  announced.set(key, all)
  all.add(metrics)
  return () => all.delete(metrics)
}

/** The figures of all forwarders of a manager, in the order in which they were made. */
export const announcedTo = (manager: Manager): Effect.Effect<ReadonlyArray<ForwarderMetrics>> =>
  Effect.suspend(() => Effect.all(Array.from(announced.get(registryOf(manager) ?? manager) ?? [])))
