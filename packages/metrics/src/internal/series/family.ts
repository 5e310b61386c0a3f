/**
 * One metric family of Prometheus.
 */
import type { Latencies } from "@effect-mqttx/core/SessionStatus"
import type { MqttSnapshot } from "../snapshot/schema.ts"

/** Adds one series. Without a value there is no series. */
export type Add = (value: number | Latencies | undefined, ...labels: ReadonlyArray<string>) => void

/**
 * All series of one name.
 */
export interface Family {
  readonly name: string
  readonly type: "counter" | "gauge" | "histogram"
  readonly help: string
  /** The names of the labels. Never a topic: their number has no bound. */
  readonly labels: ReadonlyArray<string>
  readonly read: (snapshot: MqttSnapshot, add: Add) => void
}

export type Kind = Family["type"]

export const seconds = (millis: number): number => millis / 1000

export const optionalSeconds = (millis: number | undefined): number | undefined =>
  millis === undefined ? undefined : millis / 1000

export const flag = (value: boolean): number => value ? 1 : 0

export type Counts = { readonly [key: string]: number | undefined }

export const sum = (counts: Counts): number =>
  Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0)

/** One series for each item of a kind, or one for each of its counts where `read` returns counts. */
export const each = <A>(
  prefix: string,
  label: string,
  list: (snapshot: MqttSnapshot) => ReadonlyArray<A>,
  nameOf: (item: A) => string
) => ({
  one: (name: string, type: Kind, help: string, read: (item: A) => number | Latencies | undefined): Family => ({
    name: `${prefix}_${name}`,
    type,
    help,
    labels: [label],
    read: (snapshot, add) => {
      for (const item of list(snapshot)) add(read(item), nameOf(item))
    }
  }),
  by: (name: string, type: Kind, key: string, help: string, read: (item: A) => Counts): Family => ({
    name: `${prefix}_${name}`,
    type,
    help,
    labels: [label, key],
    read: (snapshot, add) => {
      for (const item of list(snapshot)) {
        for (const [value, count] of Object.entries(read(item))) add(count, nameOf(item), value)
      }
    }
  })
})
