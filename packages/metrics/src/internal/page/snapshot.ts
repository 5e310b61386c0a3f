/**
 * Converts snapshots of the metrics to what the page shows: the values, the rates since the previous snapshot, and the
 * losses.
 */
import type { Latencies, SessionMetrics } from "@effect-mqttx/core/SessionStatus"
import type { ForwarderSnapshot, MetricsSnapshot, MqttSnapshot, SessionSnapshot } from "../snapshot/schema.ts"
import type {
  PageFate,
  PageForwarder,
  PageLoss,
  PageMetrics,
  PageRates,
  PageReason,
  PageSession,
  PageSnapshot
} from "./model.ts"

/** Rates are those since the previous snapshot; without one they are unknown, and 0. */
export const pageSnapshot = (now: MqttSnapshot, before: MqttSnapshot | undefined): PageSnapshot => {
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
  const earlier = new Map(before?.sessions.map((session) => [session.name, session.metrics]))
  return {
    at: now.at,
    totals: pageMetricsOf(now.totals.metrics, before?.totals.metrics, seconds),
    sessions: now.sessions.map((session) => sessionOf(session, earlier.get(session.name), seconds)),
    forwarders: now.forwarders.map(forwarderOf),
    ...causesOf(now)
  }
}

/** Further rows would only make the page slow. */
const maximumCauses = 50

const causesOf = ({ unready }: MqttSnapshot): Pick<PageSnapshot, "causes" | "causeCount"> => {
  const causes = unready.filter(({ kind }) => kind !== "session")
  return {
    causes: causes.slice(0, maximumCauses).map(({ kind, message, name, reason, session }) => ({
      what: `${kind} ${name}`,
      session,
      reason,
      message
    })),
    causeCount: causes.length
  }
}

const sessionOf = (session: SessionSnapshot, before: MetricsSnapshot | undefined, seconds: number): PageSession => {
  const { attempt, metrics, name, ready, server, since, state, tls } = session
  return {
    ...pageMetricsOf(metrics, before, seconds),
    name,
    state,
    since,
    ready,
    server: server === undefined || tls !== "unverified" ? server : `${server}, whose certificate is not verified`,
    attempt,
    why: whyOf(session)
  }
}

const whyOf = ({ failure, lastError, state }: SessionSnapshot): PageReason | undefined => {
  const problem = failure ?? lastError
  return problem === undefined || state === "connected" ? undefined : { ...problem, permanent: failure !== undefined }
}

const pageMetricsOf = (now: MetricsSnapshot, before: MetricsSnapshot | undefined, seconds: number): PageMetrics => ({
  received: now.messagesReceived,
  sent: now.messagesSent,
  bytesReceived: now.bytesReceived,
  bytesSent: now.bytesSent,
  rates: ratesOf(now, before, seconds),
  inflight: now.inflight,
  queued: now.queuedMessages,
  queuedBytes: now.queuedBytes,
  queuedFor: now.oldestQueuedAge,
  reconnects: now.reconnects,
  errors: now.errors,
  lost: lossesOf(now),
  replaced: now.dropped.latestPerTopic,
  acknowledged: acknowledgedOf(now.acknowledgement)
})

const ratesOf = (now: MetricsSnapshot, before: MetricsSnapshot | undefined, seconds: number): PageRates => {
  const rate = (counter: keyof PageRates): number => {
    const [later, earlier] = [counters[counter](now), before === undefined ? 0 : counters[counter](before)]
    // A new session of the same name begins at 0.
    return seconds <= 0 || before === undefined || later < earlier
      ? 0
      : Math.round((later - earlier) / seconds * 10) / 10
  }
  return {
    received: rate("received"),
    sent: rate("sent"),
    bytesReceived: rate("bytesReceived"),
    bytesSent: rate("bytesSent")
  }
}

const counters: { readonly [Counter in keyof PageRates]: (metrics: MetricsSnapshot) => number } = {
  received: (metrics) => metrics.messagesReceived,
  sent: (metrics) => metrics.messagesSent,
  bytesReceived: (metrics) => metrics.bytesReceived,
  bytesSent: (metrics) => metrics.bytesSent
}

/**
 * `latestPerTopic` is missing: a message that a newer one replaced is not lost but outdated, as the queue's policy
 * says.
 */
const causes: ReadonlyArray<readonly [cause: keyof SessionMetrics["dropped"], words: string]> = [
  ["expired", "expired"],
  ["dropOldest", "dropped by a full queue"],
  ["dropNewest", "refused by a full queue"],
  ["poison", "ended several connections"],
  ["streamOverflow", "over the buffer of a stream"],
  ["unclaimed", "without a consumer"]
]

/** Failures that are not drops; drops are counted by their causes. */
const failures: Readonly<Record<string, string>> = {
  PublishRefused: "refused by the server",
  PacketTooLarge: "too large for the server",
  NotSupported: "not supported by the server",
  SessionLost: "lost with the server's session",
  StorageFailed: "not stored",
  Timeout: "not acknowledged in time",
  Closed: "not finished when the session ended"
}

const countedAsDrops = new Set(["Dropped", "Expired"])

const lossesOf = ({ dropped, published }: MetricsSnapshot): ReadonlyArray<PageLoss> => {
  const losses: Array<PageLoss> = []
  for (const [cause, words] of causes) {
    if (dropped[cause] > 0) losses.push({ cause: words, count: dropped[cause] })
  }
  for (const [reason, count] of Object.entries(published.failed)) {
    if (count > 0 && !countedAsDrops.has(reason)) losses.push({ cause: failures[reason] ?? reason, count })
  }
  return losses.sort((a, b) => b.count - a.count)
}

const acknowledgedOf = (latencies: Latencies): PageMetrics["acknowledged"] =>
  latencies.count === 0 ? undefined : { half: within(latencies, 0.5), most: within(latencies, 0.99) }

/**
 * The upper bound of the bucket that completes this part of all values. The last bucket has no upper bound, so its
 * lower one is used.
 */
const within = ({ bounds, buckets, count }: Latencies, part: number): number => {
  let reached = 0
  for (let i = 0; i < bounds.length; i++) {
    reached += buckets[i]!
    if (reached >= count * part) return bounds[i]!
  }
  return bounds.at(-1) ?? 0
}

const forwarderOf = (forwarder: ForwarderSnapshot): PageForwarder => {
  const { inFlight, lag, lastError, name, rates, received, sources, targets } = forwarder
  const { level, state } = forwarderState(forwarder)
  const refusal = [...sources, ...targets].find(({ error }) => error !== undefined)?.error
  const why = refusal ?? lastError
  return {
    name,
    state,
    level,
    rate: rates.forwarded,
    lag,
    inflight: inFlight,
    received,
    fates: fatesOf(forwarder),
    why: level === "bad" && why !== undefined ? { ...why, permanent: false } : undefined
  }
}

const forwarderState = (
  { activeSources, sources, state, targetConnected, targets }: ForwarderSnapshot
): Pick<PageForwarder, "state" | "level"> => {
  if (state === "stopped") return { state: "Stopped", level: "off" }
  if (state === "stopping") return { state: "Stopping", level: "waiting" }
  const all = [...sources, ...targets]
  if (all.some((session) => session.state === "missing")) return { state: "Session missing", level: "bad" }
  if (all.some(({ error }) => error !== undefined)) return { state: "Refused", level: "bad" }
  if (!targetConnected) return { state: "Target down", level: "bad" }
  return activeSources === 0 ? { state: "Source down", level: "bad" } : { state: "Running", level: "good" }
}

const fatesOf = (forwarder: ForwarderSnapshot): ReadonlyArray<PageFate> => {
  const { deadLettered, dropped, duplicates, failed, filtered, forwarded, returned } = forwarder
  const all: ReadonlyArray<PageFate> = [
    { name: "forwarded", count: forwarded, kind: "good" },
    { name: "filtered", count: filtered, kind: "intended" },
    { name: "unmapped", count: dropped.unmapped, kind: "intended" },
    { name: "dropped by a transformation", count: dropped.transformed, kind: "intended" },
    { name: "looped", count: dropped.looped, kind: "intended" },
    { name: "after too many hops", count: dropped.tooManyHops, kind: "intended" },
    { name: "duplicates", count: duplicates, kind: "intended" },
    { name: "returned to the source", count: returned, kind: "intended" },
    { name: "dead-lettered", count: deadLettered, kind: "aside" },
    { name: "failed", count: failed, kind: "lost" },
    { name: "expired", count: dropped.expired, kind: "lost" },
    { name: "over the buffer", count: dropped.overflow, kind: "lost" },
    { name: "dropped by the target's queue", count: dropped.targetQueue, kind: "lost" },
    { name: "in flight at a stop", count: dropped.stopped, kind: "lost" }
  ]
  return all.filter(({ count }) => count > 0)
}
