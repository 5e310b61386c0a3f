/**
 * Keeps the series of a snapshot in Effect's metric registry.
 *
 * No metric is ever updated: each series reads its value from the current snapshot when the registry is read, which
 * costs sessions nothing. All series that are read together show the same moment.
 */
import type { Latencies } from "@effect-mqttx/core/SessionStatus"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { MqttSnapshot } from "../snapshot/schema.ts"
import type { Family } from "./family.ts"

type Value = number | Latencies

interface Series {
  readonly family: Family
  readonly labels: ReadonlyArray<string>
  readonly value: Value
}

interface Registered {
  /** The value shown while the series exists and the snapshot does not contain it. */
  last: Value
  readonly registration: Metric.Registration
}

export class MetricRegistration {
  readonly #context: Context.Context<never>
  readonly #families: ReadonlyArray<Family>
  readonly #snapshot: () => MqttSnapshot
  readonly #registered = new Map<string, Registered>()
  #current: ReadonlyMap<string, Series> | undefined

  /** `snapshot` is called when the registry is read, so it must not wait. */
  constructor(context: Context.Context<never>, families: ReadonlyArray<Family>, snapshot: () => MqttSnapshot) {
    this.#context = context
    this.#families = families
    this.#snapshot = snapshot
  }

  /** Registers the series that are new, and removes those whose session, route, store or forwarder is gone. */
  reconcile(): void {
    this.#current = undefined
    const current = this.#read()
    for (const [key, { registration }] of this.#registered) {
      if (current.has(key)) continue
      registration.remove()
      this.#registered.delete(key)
    }
    for (const [key, series] of current) {
      if (!this.#registered.has(key)) this.#registered.set(key, this.#register(key, series))
    }
  }

  /** Removes all of them. */
  clear(): void {
    for (const { registration } of this.#registered.values()) registration.remove()
    this.#registered.clear()
  }

  #read(): ReadonlyMap<string, Series> {
    if (this.#current !== undefined) return this.#current
    // A reader of one series reads all of them, in one turn.
    queueMicrotask(() => {
      this.#current = undefined
    })
    return this.#current = seriesOf(this.#families, this.#snapshot())
  }

  #register(key: string, { family, labels, value }: Series): Registered {
    const latest = (): Value => {
      const found = this.#read().get(key)
      if (found !== undefined) registered.last = found.value
      return registered.last
    }
    const options = {
      description: family.help,
      attributes: Object.fromEntries(family.labels.map((label, index) => [label, labels[index]!]))
    }
    const registered: Registered = { last: value, registration: register(this.#context, family, options, latest) }
    return registered
  }
}

const seriesOf = (families: ReadonlyArray<Family>, snapshot: MqttSnapshot): ReadonlyMap<string, Series> => {
  const all = new Map<string, Series>()
  for (const family of families) {
    family.read(snapshot, (value, ...labels) => {
      if (value !== undefined) all.set(keyOf(family, labels), { family, labels, value })
    })
  }
  return all
}

/** Families have two labels at most. The second one is never a name from the user. */
const keyOf = ({ name }: Family, labels: ReadonlyArray<string>): string =>
  labels.length === 2 ? `${name} ${labels[1]} ${labels[0]}` : `${name} ${labels[0] ?? ""}`

const nothing = (): void => {}

const hooks = <State>(get: () => State): Metric.Metric.Hooks<number, State> => ({
  get,
  update: nothing,
  modify: nothing
})

const register = (
  context: Context.Context<never>,
  { name, type }: Family,
  options: { readonly description: string; readonly attributes: { readonly [label: string]: string } },
  latest: () => Value
): Metric.Registration => {
  switch (type) {
    case "counter":
      return Metric.registerUnsafe(
        Metric.counter(name, { ...options, incremental: true }),
        context,
        hooks(() => ({ count: latest() as number, incremental: true }))
      )
    case "gauge":
      return Metric.registerUnsafe(Metric.gauge(name, options), context, hooks(() => ({ value: latest() as number })))
    case "histogram":
      return Metric.registerUnsafe(
        Metric.histogram(name, { ...options, boundaries: [] }),
        context,
        hooks(() => histogramState(latest() as Latencies))
      )
  }
}

/** In seconds, with cumulative buckets. */
const histogramState = ({ bounds, buckets, count, max, min, total }: Latencies): Metric.HistogramState => {
  let cumulated = 0
  return {
    buckets: bounds.map((bound, index) => {
      cumulated += buckets[index]!
      return [bound / 1000, cumulated] as const
    }),
    count,
    min: min / 1000,
    max: max / 1000,
    sum: total / 1000
  }
}
