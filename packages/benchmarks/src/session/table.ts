/**
 * The session table: messages a second of a session beside MQTT.js with its default options.
 */
import { availableParallelism, loadavg } from "node:os"
import { median } from "../median.ts"
import type { Side } from "./contract.ts"
import { measure, type Plan, type Run } from "./orchestrator.ts"

/** One row: a use of a session, and the uses of MQTT.js that do the same job; the fastest of these counts. */
interface Row {
  readonly name: string
  readonly session: Side
  readonly raw: ReadonlyArray<Side>
}

const session = (mode: Side["mode"], qos: 0 | 1, outstanding = 0): Side => ({
  client: "session",
  mode,
  qos,
  outstanding
})
const raw = (mode: Side["mode"], qos: 0 | 1, outstanding = 0): Side => ({ client: "raw", mode, qos, outstanding })

const rowsOf = (qos: 0 | 1): ReadonlyArray<ReadonlyArray<Row>> => {
  const onMessage = [raw("onMessage", qos)]
  const awaited = (outstanding: number) => [raw("callback", qos, outstanding), raw("async", qos, outstanding)]
  const bulk = [...awaited(100), ...awaited(1000)]
  // Nobody awaits the outcome: what QoS 0 allows, and what a bulk of messages competes with.
  if (qos === 0) bulk.push(raw("bare", qos, 100))
  return [
    [
      { name: `receive, QoS ${qos}, batches`, session: session("batches", qos), raw: onMessage },
      { name: `receive, QoS ${qos}, messages`, session: session("messages", qos), raw: onMessage }
    ],
    [
      { name: `publishAll, QoS ${qos}`, session: session("publishAll", qos), raw: bulk },
      { name: `publish, QoS ${qos}, 100 at a time`, session: session("publish", qos, 100), raw: awaited(100) },
      { name: `publish, QoS ${qos}, 1000 at a time`, session: session("publish", qos, 1000), raw: awaited(1000) }
    ]
  ]
}

export interface TableOptions extends Plan {
  /** Only rows whose name contains this text. */
  readonly rows: string
}

/** Measures every row and prints the table; answers the lowest ratio. */
export const benchmarkSessions = async (options: TableOptions): Promise<number> => {
  const groups = [...rowsOf(0), ...rowsOf(1)]
    .map((rows) => rows.filter((row) => row.name.includes(options.rows)))
    .filter((rows) => rows.length > 0)
  console.log(conditions(options))
  const ratios: Array<number> = []
  const lines: Array<ReadonlyArray<string>> = [[
    "",
    "session msg/s",
    "MQTT.js msg/s",
    "ratio",
    "by CPU",
    "MQTT.js by",
    "load",
    "peer"
  ]]
  const notes: Array<string> = []
  for (const rows of groups) {
    const sides = distinct(rows.flatMap((row) => [row.session, ...row.raw]))
    const results = await measure(
      sides,
      options,
      (side, run) => console.error(`  ${nameOf(side)}: ${format(run.rate)}${run.note === "" ? "" : ` (${run.note})`}`)
    )
    const resultOf = (side: Side): Result => summary(side, results[sides.findIndex((each) => same(each, side))]!)
    for (const side of sides) notes.push(...resultOf(side).notes)
    for (const row of rows) {
      const ours = resultOf(row.session)
      const best = row.raw.map(resultOf).reduce((a, b) => (a.median >= b.median ? a : b))
      const ratio = ours.median / best.median
      ratios.push(ratio)
      lines.push([
        row.name,
        `${format(ours.median)} (${format(ours.minimum)}..${format(ours.maximum)})`,
        `${format(best.median)} (${format(best.minimum)}..${format(best.maximum)})`,
        `${ratio.toFixed(2)}x`,
        `${(ours.perCpu / best.perCpu).toFixed(2)}x`,
        nameOf(best.side),
        `${ours.sideLoad.toFixed(2)} / ${best.sideLoad.toFixed(2)}`,
        `${ours.peerLoad.toFixed(2)} / ${best.peerLoad.toFixed(2)}`
      ])
    }
  }
  printTable(lines)
  for (const note of new Set(notes)) console.log(`! ${note}`)
  return Math.min(...ratios)
}

export interface Result {
  readonly side: Side
  readonly median: number
  readonly minimum: number
  readonly maximum: number
  /** Messages for each second of processor time. */
  readonly perCpu: number
  readonly sideLoad: number
  readonly peerLoad: number
  readonly notes: ReadonlyArray<string>
}

export const summary = (side: Side, runs: ReadonlyArray<Run>): Result => {
  const rates = runs.map((run) => run.rate).sort((a, b) => a - b)
  return {
    side,
    median: median(rates),
    minimum: rates[0]!,
    maximum: rates.at(-1)!,
    perCpu: median(runs.map((run) => run.rate / run.sideLoad)),
    sideLoad: median(runs.map((run) => run.sideLoad)),
    peerLoad: median(runs.map((run) => run.peerLoad)),
    notes: runs.filter((run) => run.note !== "").map((run) => `${nameOf(side)}, QoS ${side.qos}: ${run.note}`)
  }
}

const nameOf = (side: Side): string => {
  switch (side.mode) {
    case "onMessage":
      return `on("message")`
    case "callback":
      return `publish(callback) x${side.outstanding}`
    case "async":
      return `publishAsync x${side.outstanding}`
    case "bare":
      return "publish(), drain"
    case "publish":
      return `session publish x${side.outstanding}`
    default:
      return `session ${side.mode}`
  }
}

const same = (a: Side, b: Side): boolean => nameOf(a) === nameOf(b) && a.qos === b.qos

const distinct = (sides: ReadonlyArray<Side>): ReadonlyArray<Side> =>
  sides.filter((side, index) => sides.findIndex((each) => same(each, side)) === index)

const conditions = (options: TableOptions): string =>
  `Sessions beside MQTT.js with its default options, on the same scripted peer, MQTT ${
    options.protocolVersion === 5 ? "5.0" : "3.1.1"
  }, ${options.payloadBytes} B payload, 8 topics.
Each side in a process of its own, interleaved; ${options.runs} runs of ${options.measureMillis / 1000} s after ${
    options.warmUpMillis / 1000
  } s of warm-up; median (minimum..maximum).
Counted: QoS 0 received = handled by the consumer; QoS 1 received = PUBACKs at the peer; published = PUBLISH packets at the peer.
Nothing may be lost: streams take QoS 0 with onOverflow "suspend", since MQTT.js stops reading too; all other options are defaults.
After each run both accounts must agree to the message. Of several ways to use MQTT.js the fastest counts.
By CPU = the ratio of messages for each second of the client's processor time, which moves less with what else the machine does.
Load = busy processors of client and of peer, session / MQTT.js: the client is the bottleneck where its own is near 1.
Node ${process.version}, ${process.platform} ${process.arch}, ${availableParallelism()} processors, load average ${
    loadavg()[0]!.toFixed(2)
  } before the start`

export const format = (rate: number): string => {
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(2)}M`
  return rate >= 1e4 ? `${Math.round(rate / 1e3)}k` : rate.toFixed(0)
}

export const printTable = (lines: ReadonlyArray<ReadonlyArray<string>>): void => {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  for (const line of lines) console.log(line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
}
