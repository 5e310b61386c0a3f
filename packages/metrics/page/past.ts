/** The last minutes, as the server told them and as the snapshots go on. */
import type { PageHello, PageSeries, PageSnapshot } from "../src/internal/page/model.ts"

export type SeriesName = keyof PageSeries

const seriesNames = ["received", "sent", "bytesReceived", "bytesSent", "inflight", "queued"] as const

export interface Past {
  readonly at: Array<number>
  readonly totals: Readonly<Record<SeriesName, Array<number>>>
  readonly sessions: Map<string, { readonly received: Array<number>; readonly sent: Array<number> }>
  readonly points: number
  readonly interval: number
}

export const makePast = ({ history, interval, points }: PageHello): Past => ({
  at: [...history.at],
  totals: {
    received: [...history.totals.received],
    sent: [...history.totals.sent],
    bytesReceived: [...history.totals.bytesReceived],
    bytesSent: [...history.totals.bytesSent],
    inflight: [...history.totals.inflight],
    queued: [...history.totals.queued]
  },
  sessions: new Map(history.sessions.map(({ name, received, sent }) => [
    name,
    { received: [...received], sent: [...sent] }
  ])),
  points,
  interval
})

export const remember = (past: Past, { at, sessions, totals }: PageSnapshot): void => {
  const add = (values: Array<number>, value: number): void => {
    values.push(value)
    if (values.length > past.points) values.shift()
  }
  add(past.at, at)
  const now = { ...totals.rates, inflight: totals.inflight, queued: totals.queued }
  for (const name of seriesNames) add(past.totals[name], now[name])
  const gone = new Set(past.sessions.keys())
  for (const { name, rates } of sessions) {
    gone.delete(name)
    let series = past.sessions.get(name)
    if (series === undefined) {
      series = { received: [], sent: [] }
      past.sessions.set(name, series)
    }
    add(series.received, rates.received)
    add(series.sent, rates.sent)
  }
  for (const name of gone) past.sessions.delete(name)
}
