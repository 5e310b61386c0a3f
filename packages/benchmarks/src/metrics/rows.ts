/**
 * A session whose figures are exported to the text format of Prometheus once a second, and the same session without.
 *
 * Compared are messages for each second of the process' own processor time, of the best run: where the client is the
 * bottleneck this is the throughput, and what else the machine does can only make a run worse.
 *
 * What one export for many sessions takes stands alone: nothing does the same.
 */
import { resultOf } from "../harness/child.ts"
import type { Parts, Row, Source } from "../harness/model.ts"
import { brokerOf, requireDescriptors } from "../memory/broker.ts"
import type { Side } from "../session/contract.ts"
import { sideSource } from "../session/source.ts"
import type { ScrapeRequest, ScrapeResult } from "./contract.ts"

const uses: ReadonlyArray<readonly [id: string, title: string, side: Side]> = [
  ["receive.qos0", "receive QoS 0, in batches", { client: "session", mode: "batches", qos: 0, outstanding: 0 }],
  ["receive.qos1", "receive QoS 1, one by one", { client: "session", mode: "messages", qos: 1, outstanding: 0 }],
  ["publishAll.qos0", "publishAll QoS 0", { client: "session", mode: "publishAll", qos: 0, outstanding: 0 }],
  ["publishAll.qos1", "publishAll QoS 1", { client: "session", mode: "publishAll", qos: 1, outstanding: 0 }],
  ["publish.qos1", "publish QoS 1, 100 at a time", { client: "session", mode: "publish", qos: 1, outstanding: 100 }]
]

const scrapePath = new URL("./scrapeSide.js", import.meta.url)

const scrapeOf = (sessions: number, perSessionSeries: boolean): Source => ({
  name: `export of ${sessions} sessions${perSessionSeries ? "" : ", totals"}`,
  measure: async ({ nodeOptions }, fixtures): Promise<Parts> => {
    requireDescriptors(sessions)
    const { port } = await brokerOf(fixtures)
    const request: ScrapeRequest = { port, sessions, perSessionSeries }
    const { bytes, millis } = await resultOf<ScrapeResult>(scrapePath, request, { nodeOptions, millis: 300_000 })
    return { millis: { value: millis }, bytes: { value: bytes / 2 ** 20 } }
  },
  maxRounds: sessions > 1000 ? 1 : 3
})

const scrapes: ReadonlyArray<Row> = ([[1, true], [1000, true], [10_000, true], [10_000, false]] as const).flatMap((
  [sessions, perSessionSeries]
) => {
  const source = scrapeOf(sessions, perSessionSeries)
  const kind = perSessionSeries ? "" : ", without series for each session"
  return ([["millis", "ms", "time"], ["bytes", "MiB", "length"]] as const).map(([part, unit, what]): Row => ({
    id: `metrics.export.${sessions}.${perSessionSeries ? "" : "totals."}${part}`,
    title: `one export for Prometheus, sessions: ${sessions.toLocaleString("en")}${kind}, ${what}`,
    unit,
    better: "lower",
    sides: [{ role: "ours", name: "export", source, part }]
  }))
})

const costs: ReadonlyArray<Row> = uses.map(([id, title, side]) => ({
  id: `metrics.${id}`,
  title: `${title}, with metrics`,
  unit: "msg/CPU s",
  better: "higher",
  statistic: "best",
  promise: { atLeast: 0.95, tolerance: 0.05 },
  sides: [
    { role: "ours", name: "with metrics", source: sideSource({ ...side, watched: true }), part: "perCpu" },
    { role: "other", name: "without", source: sideSource(side), part: "perCpu" }
  ]
}))

export const rows: ReadonlyArray<Row> = costs.concat(scrapes)
