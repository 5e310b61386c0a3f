/**
 * What `bench` found, as JSON and as a table.
 */
import type { Histogram } from "./histogram.ts"

/** Durations in milliseconds. */
export interface Durations {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export interface Report {
  readonly server: string
  readonly protocolVersion: "5" | "3.1.1"
  readonly connections: number
  readonly qos: number
  readonly size: number
  /** Seconds in which messages were published. */
  readonly seconds: number
  /** Messages a second that were asked for; null: as many as possible. */
  readonly rate: number | null
  readonly sent: number
  readonly acknowledged: number
  readonly received: number | null
  /** Acknowledged messages that did not arrive; null: nothing was subscribed. */
  readonly lost: number | null
  readonly doubled: number | null
  readonly sentPerSecond: number
  readonly receivedPerSecond: number | null
  readonly reconnects: number
  readonly latency: {
    readonly connect: Durations
    readonly acknowledged: Durations | null
    readonly delivered: Durations | null
    readonly behindRate: Durations | null
  }
  readonly client: {
    /** Share of the time in which the event loop was busy, 0 to 1. */
    readonly eventLoopUtilization: number
    /** In milliseconds. */
    readonly eventLoopDelayP99: number
    /** This program, and not the server, limited the traffic. */
    readonly isLimit: boolean
  }
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000

export const durationsOf = (histogram: Histogram): Durations | null =>
  histogram.count === 0 ? null : {
    p50: rounded(histogram.percentile(0.5)),
    p90: rounded(histogram.percentile(0.9)),
    p99: rounded(histogram.percentile(0.99)),
    p999: rounded(histogram.percentile(0.999)),
    max: rounded(histogram.maximum)
  }

const numbers = new Intl.NumberFormat("en")
const cell = (value: number | string): string =>
  (typeof value === "string" ? value : numbers.format(value >= 100 ? Math.round(value) : Math.round(value * 100) / 100))
    .padStart(11)
const row = (name: string, ...cells: ReadonlyArray<number | string>): string =>
  `${name.padEnd(14)}${cells.map(cell).join("")}`

const latencyRow = (name: string, durations: Durations | null): ReadonlyArray<string> =>
  durations === null
    ? []
    : [row(name, durations.p50, durations.p90, durations.p99, durations.p999, durations.max)]

/** What a reader must know before the numbers are believed. */
export const remarksOf = (report: Report): ReadonlyArray<string> => {
  const { client, rate } = report
  const busy = `${Math.round(client.eventLoopUtilization * 100)} % of the time`
  return [
    ...(client.isLimit
      ? [
        `This program was the limit: its event loop was busy ${busy}, and late by ` +
        `${numbers.format(client.eventLoopDelayP99)} ms (p99). The server may do better.`
      ]
      : []),
    ...(rate !== null && report.sentPerSecond < rate * 0.95
      ? [`The rate was not reached: ${numbers.format(report.sentPerSecond)} of ${numbers.format(rate)} a second.`]
      : []),
    ...(report.sent > report.acknowledged
      ? [`${numbers.format(report.sent - report.acknowledged)} messages were never acknowledged.`]
      : []),
    ...(report.reconnects > 0 ? [`Connections were lost: ${report.reconnects} reconnects.`] : [])
  ]
}

/** A report as a table, without its last line feed. */
export const tableOf = (report: Report): string => {
  const { latency, lost, received } = report
  const wanted = report.rate === null ? "as fast as possible" : `${numbers.format(report.rate)} a second`
  return [
    `${report.server}, MQTT ${report.protocolVersion}: ${numbers.format(report.connections)} connections, ` +
    `QoS ${report.qos}, ${numbers.format(report.size)} bytes, ${wanted}, ${report.seconds} s`,
    "",
    row("", "messages", "a second"),
    row("sent", report.sent, report.sentPerSecond),
    ...(received === null || lost === null ? [] : [
      row("received", received, report.receivedPerSecond!),
      row("lost", lost),
      row("doubled", report.doubled!)
    ]),
    "",
    row("milliseconds", "p50", "p90", "p99", "p99.9", "max"),
    ...latencyRow("connect", latency.connect),
    ...latencyRow(report.qos === 0 ? "written" : "acknowledged", latency.acknowledged),
    ...latencyRow("delivered", latency.delivered),
    ...latencyRow("behind rate", latency.behindRate),
    ...remarksOf(report).flatMap((remark) => ["", remark])
  ].join("\n")
}
