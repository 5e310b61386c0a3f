/**
 * Adds up the metrics of sessions.
 */
import type { SessionState } from "../../SessionEvent.ts"
import type { ReasonCounts, SessionMetrics } from "../../SessionStatus.ts"
import { acknowledgementBounds, addLatencies, commitBounds, noLatencies } from "../session/latencies.ts"

const none: SessionMetrics["dropped"] = {
  dropOldest: 0,
  dropNewest: 0,
  latestPerTopic: 0,
  expired: 0,
  poison: 0,
  streamOverflow: 0,
  unclaimed: 0
}

/** A count of zero for each session state. */
export const noStates = (): { [State in SessionState]: number } => ({
  disconnected: 0,
  connecting: 0,
  connected: 0,
  reconnecting: 0,
  closed: 0
})

/** What a session holds at the moment; it holds nothing after its end. */
const nothingHeld = {
  queuedMessages: 0,
  queuedBytes: 0,
  oldestQueuedAge: 0,
  inflight: 0,
  unacknowledged: 0,
  unclaimed: 0,
  subscriptions: 0,
  memory: { inbound: 0, outbound: 0, limit: 0 }
}

export const noMetrics: SessionMetrics = {
  uptime: 0,
  messagesSent: 0,
  messagesReceived: 0,
  messagesDelivered: 0,
  bytesSent: 0,
  bytesReceived: 0,
  messageRate: 0,
  averageMessageRate: 0,
  bytesRate: 0,
  lastMessageAt: undefined,
  published: { accepted: 0, acknowledged: 0, failed: {}, withdrawn: 0, pending: 0, refused: {} },
  acknowledgement: noLatencies(acknowledgementBounds),
  connections: 0,
  reconnects: 0,
  reconnectsByReason: {},
  errors: 0,
  errorsByReason: {},
  lastErrorAt: undefined,
  dropped: none,
  ...nothingHeld,
  buffered: { messages: 0, highWater: 0 },
  commits: { failures: 0, latency: noLatencies(commitBounds) },
  handlers: { failures: 0, retries: 0, givenUp: 0, deadLettered: 0, failing: 0, oldestFailingAge: 0 }
}

/**
 * The sum of two sessions, or of two consecutive lives of one session (`uptime` is that of the sum).
 */
export const addMetrics = (a: SessionMetrics, b: SessionMetrics, uptime: number): SessionMetrics => {
  const messagesSent = a.messagesSent + b.messagesSent
  const messagesReceived = a.messagesReceived + b.messagesReceived
  return {
    uptime,
    messagesSent,
    messagesReceived,
    messagesDelivered: a.messagesDelivered + b.messagesDelivered,
    bytesSent: a.bytesSent + b.bytesSent,
    bytesReceived: a.bytesReceived + b.bytesReceived,
    messageRate: a.messageRate + b.messageRate,
    averageMessageRate: uptime === 0 ? 0 : (messagesSent + messagesReceived) * 1000 / uptime,
    bytesRate: a.bytesRate + b.bytesRate,
    lastMessageAt: later(a.lastMessageAt, b.lastMessageAt),
    published: {
      accepted: a.published.accepted + b.published.accepted,
      acknowledged: a.published.acknowledged + b.published.acknowledged,
      failed: addCounts(a.published.failed, b.published.failed),
      withdrawn: a.published.withdrawn + b.published.withdrawn,
      pending: a.published.pending + b.published.pending,
      refused: addCounts(a.published.refused, b.published.refused)
    },
    acknowledgement: addLatencies(a.acknowledgement, b.acknowledgement),
    connections: a.connections + b.connections,
    reconnects: a.reconnects + b.reconnects,
    reconnectsByReason: addCounts(a.reconnectsByReason, b.reconnectsByReason),
    errors: a.errors + b.errors,
    errorsByReason: addCounts(a.errorsByReason, b.errorsByReason),
    lastErrorAt: later(a.lastErrorAt, b.lastErrorAt),
    dropped: {
      dropOldest: a.dropped.dropOldest + b.dropped.dropOldest,
      dropNewest: a.dropped.dropNewest + b.dropped.dropNewest,
      latestPerTopic: a.dropped.latestPerTopic + b.dropped.latestPerTopic,
      expired: a.dropped.expired + b.dropped.expired,
      poison: a.dropped.poison + b.dropped.poison,
      streamOverflow: a.dropped.streamOverflow + b.dropped.streamOverflow,
      unclaimed: a.dropped.unclaimed + b.dropped.unclaimed
    },
    queuedMessages: a.queuedMessages + b.queuedMessages,
    queuedBytes: a.queuedBytes + b.queuedBytes,
    oldestQueuedAge: Math.max(a.oldestQueuedAge, b.oldestQueuedAge),
    inflight: a.inflight + b.inflight,
    unacknowledged: a.unacknowledged + b.unacknowledged,
    unclaimed: a.unclaimed + b.unclaimed,
    subscriptions: a.subscriptions + b.subscriptions,
    buffered: {
      messages: a.buffered.messages + b.buffered.messages,
      highWater: Math.max(a.buffered.highWater, b.buffered.highWater)
    },
    memory: {
      inbound: a.memory.inbound + b.memory.inbound,
      outbound: a.memory.outbound + b.memory.outbound,
      limit: a.memory.limit + b.memory.limit
    },
    commits: {
      failures: a.commits.failures + b.commits.failures,
      latency: addLatencies(a.commits.latency, b.commits.latency)
    },
    handlers: {
      failures: a.handlers.failures + b.handlers.failures,
      retries: a.handlers.retries + b.handlers.retries,
      givenUp: a.handlers.givenUp + b.handlers.givenUp,
      deadLettered: a.handlers.deadLettered + b.handlers.deadLettered,
      failing: a.handlers.failing + b.handlers.failing,
      oldestFailingAge: Math.max(a.handlers.oldestFailingAge, b.handlers.oldestFailingAge)
    }
  }
}

/** The sum of sessions that exist at the same time. */
export const sumOf = (all: Iterable<SessionMetrics>): SessionMetrics => {
  let sum = noMetrics
  for (const metrics of all) sum = addMetrics(sum, metrics, Math.max(sum.uptime, metrics.uptime))
  return sum
}

/**
 * Keeps the counters of an ended session and drops what it held. Publishes that were unfinished, because its store did
 * not take them before the end, count as failed.
 */
export const countersOnly = ({ published, ...metrics }: SessionMetrics): SessionMetrics => ({
  ...metrics,
  published: published.pending === 0 ? published : {
    ...published,
    failed: addCounts(published.failed, { Closed: published.pending }),
    pending: 0
  },
  messageRate: 0,
  bytesRate: 0,
  ...nothingHeld,
  buffered: { ...metrics.buffered, messages: 0 },
  handlers: { ...metrics.handlers, failing: 0, oldestFailingAge: 0 }
})

const addCounts = (a: ReasonCounts, b: ReasonCounts): ReasonCounts => {
  const sum: { -readonly [Reason in keyof ReasonCounts]: number } = { ...a }
  for (const [reason, count] of Object.entries(b)) {
    const key = reason as keyof ReasonCounts
    sum[key] = (sum[key] ?? 0) + count
  }
  return sum
}

const later = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? a ?? b : Math.max(a, b)
