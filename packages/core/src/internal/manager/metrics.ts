/**
 * Adding up the figures of sessions.
 */
import type { SessionMetrics } from "../../SessionStatus.ts"

export const noMetrics: SessionMetrics = {
  messagesSent: 0,
  messagesReceived: 0,
  bytesSent: 0,
  bytesReceived: 0,
  connections: 0,
  reconnects: 0,
  errors: 0,
  lastErrorAt: undefined,
  dropped: { dropOldest: 0, dropNewest: 0, latestPerTopic: 0, expired: 0, streamOverflow: 0, unclaimed: 0 },
  queuedMessages: 0,
  queuedBytes: 0,
  inflight: 0,
  unacknowledged: 0,
  unclaimed: 0,
  subscriptions: 0
}

export const addMetrics = (a: SessionMetrics, b: SessionMetrics): SessionMetrics => ({
  messagesSent: a.messagesSent + b.messagesSent,
  messagesReceived: a.messagesReceived + b.messagesReceived,
  bytesSent: a.bytesSent + b.bytesSent,
  bytesReceived: a.bytesReceived + b.bytesReceived,
  connections: a.connections + b.connections,
  reconnects: a.reconnects + b.reconnects,
  errors: a.errors + b.errors,
  lastErrorAt: a.lastErrorAt === undefined || b.lastErrorAt === undefined
    ? a.lastErrorAt ?? b.lastErrorAt
    : Math.max(a.lastErrorAt, b.lastErrorAt),
  dropped: {
    dropOldest: a.dropped.dropOldest + b.dropped.dropOldest,
    dropNewest: a.dropped.dropNewest + b.dropped.dropNewest,
    latestPerTopic: a.dropped.latestPerTopic + b.dropped.latestPerTopic,
    expired: a.dropped.expired + b.dropped.expired,
    streamOverflow: a.dropped.streamOverflow + b.dropped.streamOverflow,
    unclaimed: a.dropped.unclaimed + b.dropped.unclaimed
  },
  queuedMessages: a.queuedMessages + b.queuedMessages,
  queuedBytes: a.queuedBytes + b.queuedBytes,
  inflight: a.inflight + b.inflight,
  unacknowledged: a.unacknowledged + b.unacknowledged,
  unclaimed: a.unclaimed + b.unclaimed,
  subscriptions: a.subscriptions + b.subscriptions
})

/** What stays of the figures of a session that is no more: the counters, and nothing of what it held. */
export const countersOnly = (metrics: SessionMetrics): SessionMetrics => ({
  ...metrics,
  queuedMessages: 0,
  queuedBytes: 0,
  inflight: 0,
  unacknowledged: 0,
  unclaimed: 0,
  subscriptions: 0
})
