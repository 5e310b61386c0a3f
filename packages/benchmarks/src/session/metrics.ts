/**
 * The metrics table: messages a second of a session whose figures are exported and read once a second, beside the same
 * session without.
 */
import { availableParallelism, loadavg } from "node:os"
import type { Side } from "./contract.ts"
import { measure, type Plan, type Run } from "./orchestrator.ts"
import { format, printTable, summary } from "./table.ts"

const uses: ReadonlyArray<readonly [name: string, side: Side]> = [
  ["receive, QoS 0, batches", { client: "session", mode: "batches", qos: 0, outstanding: 0 }],
  ["receive, QoS 1, Stream.runForEach", { client: "session", mode: "messages", qos: 1, outstanding: 0 }],
  ["publishAll, QoS 0", { client: "session", mode: "publishAll", qos: 0, outstanding: 0 }],
  ["publishAll, QoS 1", { client: "session", mode: "publishAll", qos: 1, outstanding: 0 }],
  ["publish, QoS 1, 100 at a time", { client: "session", mode: "publish", qos: 1, outstanding: 100 }]
]

/** Measures every use with and without metrics, prints the table, and answers the lowest ratio. */
export const benchmarkMetrics = async (plan: Plan & { readonly rows: string }): Promise<number> => {
  console.log(
    `Sessions whose figures are exported to the text format of Prometheus once a second, beside the same sessions without metrics.
Each side in a process of its own, taking turns; ${plan.runs} runs of ${plan.measureMillis / 1000} s; medians.
Ratio = messages for each second of the client's processor time, the best run with metrics by the best one without: where the client is
the bottleneck this is the throughput, and what else the machine does can only make a run worse.
Node ${process.version}, ${process.platform} ${process.arch}, ${availableParallelism()} processors, load average ${
      loadavg()[0]!.toFixed(2)
    } before the start`
  )
  const lines: Array<ReadonlyArray<string>> = [["", "off msg/s", "on msg/s", "ratio", "by rate"]]
  const ratios: Array<number> = []
  for (const [name, side] of uses.filter(([name]) => name.includes(plan.rows))) {
    const watched: Side = { ...side, watched: true }
    const [off, on] = await measure(
      [side, watched],
      plan,
      (side, { note, rate }) =>
        console.error(`  ${name}${side.watched === true ? ", metrics" : ""}: ${format(rate)} ${note}`)
    )
    const ratio = best(on!) / best(off!)
    const without = summary(side, off!)
    const withMetrics = summary(watched, on!)
    ratios.push(ratio)
    lines.push([
      name,
      `${format(without.median)} (${format(without.minimum)}..${format(without.maximum)})`,
      `${format(withMetrics.median)} (${format(withMetrics.minimum)}..${format(withMetrics.maximum)})`,
      `${ratio.toFixed(3)}x`,
      `${(withMetrics.median / without.median).toFixed(3)}x`
    ])
  }
  printTable(lines)
  return Math.min(...ratios)
}

const best = (runs: ReadonlyArray<Run>): number => Math.max(...runs.map(({ rate, sideLoad }) => rate / sideLoad))
