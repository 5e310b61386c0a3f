/**
 * What every session measures. Each entry is a metric of one session, and a metric of all sessions together.
 */
import type { Latencies } from "@effect-mqttx/core/SessionStatus"
import type { MetricsSnapshot } from "../snapshot/schema.ts"
import { type Counts, type Kind, optionalSeconds, seconds, sum } from "./family.ts"

export interface Measure {
  readonly name: string
  readonly type: Kind
  /** The label of the counts that `read` returns; undefined: it returns one value. */
  readonly key?: string
  readonly help: string
  readonly read: (metrics: MetricsSnapshot) => number | Latencies | Counts | undefined
  /** All sessions together have no such value. */
  readonly isOwn?: true
}

export const measures: ReadonlyArray<Measure> = [
  {
    name: "messages_sent_total",
    type: "counter",
    help: "Messages written (QoS 0) or acknowledged in full (QoS 1 and 2).",
    read: (metrics) => metrics.messagesSent
  },
  {
    name: "messages_received_total",
    type: "counter",
    help: "PUBLISH packets that arrived, redeliveries included.",
    read: (metrics) => metrics.messagesReceived
  },
  {
    name: "messages_delivered_total",
    type: "counter",
    help: "Messages delivered to streams, counted for each stream.",
    read: (metrics) => metrics.messagesDelivered
  },
  {
    name: "bytes_sent_total",
    type: "counter",
    help: "Bytes of MQTT packets of all types that were passed to the network.",
    read: (metrics) => metrics.bytesSent
  },
  {
    name: "bytes_received_total",
    type: "counter",
    help: "Bytes of MQTT packets of all types that came from the network.",
    read: (metrics) => metrics.bytesReceived
  },
  {
    name: "message_rate",
    type: "gauge",
    help: "Messages sent and received a second over the last ten seconds.",
    read: (metrics) => metrics.messageRate
  },
  {
    name: "avg_message_rate",
    type: "gauge",
    help: "Messages sent and received a second since the session was made.",
    read: (metrics) => metrics.averageMessageRate,
    isOwn: true
  },
  {
    name: "bytes_rate",
    type: "gauge",
    help: "Bytes sent and received a second over the last ten seconds.",
    read: (metrics) => metrics.bytesRate
  },
  {
    name: "uptime_seconds",
    type: "gauge",
    help: "Time since the session was made.",
    read: (metrics) => seconds(metrics.uptime),
    isOwn: true
  },
  {
    name: "subscriptions",
    type: "gauge",
    help: "Subscriptions that the server has.",
    read: (metrics) => metrics.subscriptions
  },
  {
    name: "connections_total",
    type: "counter",
    help: "Connections that the server accepted.",
    read: (metrics) => metrics.connections
  },
  {
    name: "reconnects_total",
    type: "counter",
    help: "Connections after the first.",
    read: (metrics) => metrics.reconnects
  },
  {
    name: "reconnects_by_reason_total",
    type: "counter",
    key: "reason",
    help: "Connections after the first, by what ended the connection before.",
    read: (metrics) => metrics.reconnectsByReason
  },
  {
    name: "errors_total",
    type: "counter",
    help: "Failed attempts to connect, lost connections and refused commits.",
    read: (metrics) => metrics.errors
  },
  {
    name: "errors_by_reason_total",
    type: "counter",
    key: "reason",
    help: "Errors by their reason.",
    read: (metrics) => metrics.errorsByReason
  },
  {
    name: "last_message_timestamp_seconds",
    type: "gauge",
    help: "When the last message was sent or received; absent before the first.",
    read: (metrics) => optionalSeconds(metrics.lastMessageAt)
  },
  {
    name: "last_error_timestamp_seconds",
    type: "gauge",
    help: "When the last error happened; absent before the first.",
    read: (metrics) => optionalSeconds(metrics.lastErrorAt)
  },
  {
    name: "messages_accepted_total",
    type: "counter",
    help: "Messages accepted for publishing: sent, failed, withdrawn and pending ones.",
    read: (metrics) => metrics.published.accepted
  },
  {
    name: "messages_failed_total",
    type: "counter",
    help: "Accepted messages that will never be acknowledged.",
    read: (metrics) => sum(metrics.published.failed)
  },
  {
    name: "messages_failed_by_reason_total",
    type: "counter",
    key: "reason",
    help: "Failed messages by the reason of the error.",
    read: (metrics) => metrics.published.failed
  },
  {
    name: "messages_withdrawn_total",
    type: "counter",
    help: "Accepted messages that their publisher withdrew before they were sent.",
    read: (metrics) => metrics.published.withdrawn
  },
  {
    name: "messages_pending",
    type: "gauge",
    help: "Accepted messages that are queued, in flight, or wait for the store.",
    read: (metrics) => metrics.published.pending
  },
  {
    name: "messages_refused_total",
    type: "counter",
    help: "Messages that were never accepted.",
    read: (metrics) => sum(metrics.published.refused)
  },
  {
    name: "messages_refused_by_reason_total",
    type: "counter",
    key: "reason",
    help: "Refused messages by the reason of the error.",
    read: (metrics) => metrics.published.refused
  },
  {
    name: "messages_dropped_total",
    type: "counter",
    key: "cause",
    help: "Messages that a policy dropped: of the queue (outbound), of streams and of unclaimed messages (inbound).",
    read: (metrics) => metrics.dropped
  },
  {
    name: "queue_messages",
    type: "gauge",
    help: "Accepted messages that were not sent yet.",
    read: (metrics) => metrics.queuedMessages
  },
  {
    name: "queue_bytes",
    type: "gauge",
    help: "Size of the queued messages in bytes.",
    read: (metrics) => metrics.queuedBytes
  },
  {
    name: "queue_oldest_age_seconds",
    type: "gauge",
    help: "How long the oldest queued message has waited; 0 when there is none.",
    read: (metrics) => seconds(metrics.oldestQueuedAge)
  },
  {
    name: "memory_inbound_bytes",
    type: "gauge",
    help: "Memory of received messages that their consumers have not finished.",
    read: (metrics) => metrics.memory.inbound
  },
  {
    name: "memory_outbound_bytes",
    type: "gauge",
    help: "Memory of queued and unacknowledged messages.",
    read: (metrics) => metrics.memory.outbound
  },
  {
    name: "memory_limit_bytes",
    type: "gauge",
    help: "Limit for received, queued and unacknowledged messages together.",
    read: (metrics) => metrics.memory.limit
  },
  {
    name: "inflight_messages",
    type: "gauge",
    help: "QoS 1 and 2 messages that were sent and are not acknowledged in full.",
    read: (metrics) => metrics.inflight
  },
  {
    name: "unacknowledged_messages",
    type: "gauge",
    help: "Received messages whose acknowledgement is withheld.",
    read: (metrics) => metrics.unacknowledged
  },
  {
    name: "unclaimed_messages",
    type: "gauge",
    help: "Received messages that no stream has claimed.",
    read: (metrics) => metrics.unclaimed
  },
  {
    name: "handler_failures_total",
    type: "counter",
    help: "Runs of handlers, transformers and codecs that failed.",
    read: (metrics) => metrics.handlers.failures
  },
  {
    name: "handler_retries_total",
    type: "counter",
    help: "Runs that tried a failed message again.",
    read: (metrics) => metrics.handlers.retries
  },
  {
    name: "messages_given_up_total",
    type: "counter",
    help: "Received messages that were acknowledged although no handler took them.",
    read: (metrics) => metrics.handlers.givenUp
  },
  {
    name: "messages_dead_lettered_total",
    type: "counter",
    help: "Received messages that failed and were published to a dead-letter topic.",
    read: (metrics) => metrics.handlers.deadLettered
  },
  {
    name: "failing_messages",
    type: "gauge",
    help: "Received messages that failed, and are neither handled nor given up.",
    read: (metrics) => metrics.handlers.failing
  },
  {
    name: "failing_oldest_age_seconds",
    type: "gauge",
    help: "How long ago the oldest failing message failed first; 0 when there is none.",
    read: (metrics) => seconds(metrics.handlers.oldestFailingAge)
  },
  {
    name: "acknowledgement_latency_seconds",
    type: "histogram",
    help: "From acceptance to the last acknowledgement of QoS 1 and 2 messages, time in the queue included.",
    read: (metrics) => metrics.acknowledgement
  },
  {
    name: "stream_buffer_messages",
    type: "gauge",
    help: "Messages that wait in the buffers of streams.",
    read: (metrics) => metrics.buffered.messages
  },
  {
    name: "stream_buffer_high_water_messages",
    type: "gauge",
    help: "The most messages that the buffer of one stream has ever held.",
    read: (metrics) => metrics.buffered.highWater
  }
]
