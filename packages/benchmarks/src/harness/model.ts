/**
 * What a row of the bench is: data that says which processes run and what is compared.
 *
 * A source is one thing that runs, such as a session that receives. One run of it gives one or more figures, its parts.
 * A side of a row is one part of a source. Rows share sources, so that what several rows compare is measured once.
 */
import type { Fixtures } from "./fixtures.ts"

export const groups = [
  "codec",
  "engine",
  "session",
  "e2e",
  "latency",
  "growth",
  "forwarder",
  "storage",
  "memory",
  "metrics",
  "hostile",
  "import"
] as const

export type Group = typeof groups[number]

/** What the flags say about a run of the bench. */
export interface Plan {
  /** How often each source runs; the sources of a row take turns. */
  readonly rounds: number
  /** Seconds of one run that are measured. */
  readonly seconds: number
  /** Seconds before them. */
  readonly warmUp: number
  readonly protocolVersion: 4 | 5
  /** Bytes of a payload, where the row does not say it. */
  readonly payloadBytes: number
  /** Options of Node for the measured processes, for example `--cpu-prof`. */
  readonly nodeOptions: ReadonlyArray<string>
  /** MiB that a session may take for what its peers send. */
  readonly budget: number
  /** Messages on their way through a forwarder. */
  readonly inFlight: number
  /** Queued messages of a store that is opened. */
  readonly records: number
  /** Messages of a session that is watched for growth. */
  readonly messages: number
}

/** One figure of one run. */
export interface Measurement {
  readonly value: number
  /** Microseconds of processor time of the measured process for each message. */
  readonly cpu?: number
  /** What a reader should know about this run, such as messages that were lost. */
  readonly note?: string
}

export type Parts = Readonly<Record<string, Measurement>>

export interface Source {
  /** Says in the log of a run what is measured. */
  readonly name: string
  readonly measure: (plan: Plan, fixtures: Fixtures) => Promise<Parts>
  /** The highest number of rounds, where one run is long or repeats by itself. */
  readonly maxRounds?: number
}

/**
 * - `ours`: this library; the first side of every row, and of no other one.
 * - `other`: what `ours` is compared with; of several the best one counts.
 * - `limit`: the least that the same work takes, such as bare sockets that write ready-made bytes.
 * - `c`: a client in C.
 */
export type Role = "ours" | "other" | "limit" | "c"

export interface Side {
  readonly role: Role
  readonly name: string
  readonly source: Source
  /** Which figure of the source. */
  readonly part: string
}

/** A promise is a ratio of one run on one machine; figures are never promised. */
export interface RatioPromise {
  /** How much better `ours` is than the best `other` side: 2 is twice as fast, or half of the memory. */
  readonly atLeast: number
  /** The share by which a ratio may miss the promise because of noise. Default 0.15. */
  readonly tolerance?: number
}

export interface Row {
  /** Unique and stable: its first word is the group. */
  readonly id: string
  readonly title: string
  /** Of the figures: `msg/s`, `ns`, `KiB`. */
  readonly unit: string
  /** Whether a higher or a lower figure is better. */
  readonly better: "higher" | "lower"
  /** Which of the runs counts. Default `median`. */
  readonly statistic?: "median" | "best"
  readonly sides: ReadonlyArray<Side>
  readonly promise?: RatioPromise | undefined
}

/** The same sides with another figure of their sources. */
export const sidesOf = (sides: ReadonlyArray<Omit<Side, "part">>, part: string): ReadonlyArray<Side> =>
  sides.map(({ name, role, source }) => ({ role, name, source, part }))

export const groupOf = (row: { readonly id: string }): Group => row.id.split(".")[0] as Group
