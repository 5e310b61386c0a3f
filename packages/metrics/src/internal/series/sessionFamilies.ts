/**
 * The metrics of sessions.
 */
import type { SessionState } from "@effect-mqttx/core/SessionEvent"
import type { SessionSnapshot } from "../snapshot/schema.ts"
import { each, type Family, flag, optionalSeconds, seconds, sum } from "./family.ts"

/** The numbers of states, as the gauge `mqtt_session_status` shows them. */
const statusCodes: { readonly [State in SessionState]: number } = {
  disconnected: 0,
  connecting: 1,
  connected: 2,
  reconnecting: 3,
  closed: 4
}

const session = each<SessionSnapshot>("mqtt_session", "session", ({ sessions }) => sessions, ({ name }) => name)

export const sessionFamilies: ReadonlyArray<Family> = [
  session.one(
    "messages_sent_total",
    "counter",
    "Messages written (QoS 0) or acknowledged in full (QoS 1 and 2).",
    ({ metrics }) => metrics.messagesSent
  ),
  session.one(
    "messages_received_total",
    "counter",
    "PUBLISH packets that arrived, redeliveries included.",
    ({ metrics }) => metrics.messagesReceived
  ),
  session.one(
    "messages_delivered_total",
    "counter",
    "Messages delivered to streams, counted for each stream.",
    ({ metrics }) => metrics.messagesDelivered
  ),
  session.one(
    "bytes_sent_total",
    "counter",
    "Bytes of MQTT packets of all types that were passed to the network.",
    ({ metrics }) => metrics.bytesSent
  ),
  session.one(
    "bytes_received_total",
    "counter",
    "Bytes of MQTT packets of all types that came from the network.",
    ({ metrics }) => metrics.bytesReceived
  ),
  session.one(
    "message_rate",
    "gauge",
    "Messages sent and received a second over the last ten seconds.",
    ({ metrics }) => metrics.messageRate
  ),
  session.one(
    "avg_message_rate",
    "gauge",
    "Messages sent and received a second since the session was made.",
    ({ metrics }) => metrics.averageMessageRate
  ),
  session.one(
    "bytes_rate",
    "gauge",
    "Bytes sent and received a second over the last ten seconds.",
    ({ metrics }) => metrics.bytesRate
  ),
  session.one("uptime_seconds", "gauge", "Since the session was made.", ({ metrics }) => seconds(metrics.uptime)),
  session.one(
    "connected",
    "gauge",
    "1 while there is a connection, otherwise 0.",
    ({ state }) => flag(state === "connected")
  ),
  session.one("ready", "gauge", "1 while it is connected and all its subscriptions are in force, otherwise 0.", (
    { ready }
  ) => flag(ready)),
  session.one(
    "status",
    "gauge",
    "0 disconnected, 1 connecting, 2 connected, 3 reconnecting, 4 closed.",
    ({ state }) => statusCodes[state]
  ),
  {
    name: "mqtt_session_certificate_expiry_seconds",
    type: "gauge",
    help: "Until a certificate of the connection expires, negative afterwards; absent where there is none to read.",
    labels: ["session", "certificate"],
    read: ({ at, sessions }, add) => {
      for (const { connection, name } of sessions) {
        for (const { expiresAt, owner } of connection?.certificates ?? []) add(seconds(expiresAt - at), name, owner)
      }
    }
  },
  session.one(
    "subscriptions",
    "gauge",
    "Subscriptions that the server has.",
    ({ metrics }) => metrics.subscriptions
  ),
  session.one(
    "subscriptions_failed",
    "gauge",
    "Filters whose subscription failed.",
    ({ subscriptionFailures }) => subscriptionFailures.length
  ),
  session.one(
    "connections_total",
    "counter",
    "Connections that the server accepted.",
    ({ metrics }) => metrics.connections
  ),
  session.one("reconnects_total", "counter", "Connections but the first.", ({ metrics }) => metrics.reconnects),
  session.by(
    "reconnects_by_reason_total",
    "counter",
    "reason",
    "Connections but the first, by what ended the connection before.",
    ({ metrics }) => metrics.reconnectsByReason
  ),
  session.one(
    "errors_total",
    "counter",
    "Failed attempts to connect, lost connections and refused commits.",
    ({ metrics }) => metrics.errors
  ),
  session.by(
    "errors_by_reason_total",
    "counter",
    "reason",
    "Errors by their reason.",
    ({ metrics }) => metrics.errorsByReason
  ),
  session.one(
    "last_message_timestamp_seconds",
    "gauge",
    "When the last message was sent or received; absent before the first.",
    ({ metrics }) => optionalSeconds(metrics.lastMessageAt)
  ),
  session.one(
    "last_error_timestamp_seconds",
    "gauge",
    "When the last error happened; absent before the first.",
    ({ metrics }) => optionalSeconds(metrics.lastErrorAt)
  ),
  session.one(
    "persistent",
    "gauge",
    "1 when the session outlives its connection, otherwise 0.",
    ({ persistent }) => flag(persistent)
  ),
  session.one(
    "clean_session",
    "gauge",
    "1 when its first connection is a clean start, otherwise 0.",
    ({ cleanSession }) => flag(cleanSession)
  ),
  session.one(
    "auto_reconnect",
    "gauge",
    "1 when it reconnects by itself, otherwise 0.",
    ({ autoReconnect }) => flag(autoReconnect)
  ),
  session.one(
    "messages_accepted_total",
    "counter",
    "Messages taken to be published: those sent, failed, withdrawn and pending.",
    ({ metrics }) => metrics.published.accepted
  ),
  session.one(
    "messages_failed_total",
    "counter",
    "Accepted messages that will never be acknowledged.",
    ({ metrics }) => sum(metrics.published.failed)
  ),
  session.by(
    "messages_failed_by_reason_total",
    "counter",
    "reason",
    "Failed messages by the reason of the error.",
    ({ metrics }) => metrics.published.failed
  ),
  session.one(
    "messages_withdrawn_total",
    "counter",
    "Accepted messages that their publisher gave up before they were sent.",
    ({ metrics }) => metrics.published.withdrawn
  ),
  session.one(
    "messages_pending",
    "gauge",
    "Accepted messages that are queued, in flight, or wait for the store.",
    ({ metrics }) => metrics.published.pending
  ),
  session.one(
    "messages_refused_total",
    "counter",
    "Messages that were never accepted.",
    ({ metrics }) => sum(metrics.published.refused)
  ),
  session.by(
    "messages_refused_by_reason_total",
    "counter",
    "reason",
    "Refused messages by the reason of the error.",
    ({ metrics }) => metrics.published.refused
  ),
  session.by(
    "messages_dropped_total",
    "counter",
    "cause",
    "Messages that a policy dropped: of the queue outbound, of streams and of unclaimed messages inbound.",
    ({ metrics }) => metrics.dropped
  ),
  session.one(
    "queue_messages",
    "gauge",
    "Accepted messages that were not sent yet.",
    ({ metrics }) => metrics.queuedMessages
  ),
  session.one("queue_bytes", "gauge", "What they weigh in bytes.", ({ metrics }) => metrics.queuedBytes),
  session.one(
    "queue_oldest_age_seconds",
    "gauge",
    "How long the oldest of them has waited; 0 when there is none.",
    ({ metrics }) => seconds(metrics.oldestQueuedAge)
  ),
  session.one(
    "memory_inbound_bytes",
    "gauge",
    "What received messages take until their consumers have finished with them.",
    ({ metrics }) => metrics.memory.inbound
  ),
  session.one(
    "memory_outbound_bytes",
    "gauge",
    "What queued and unacknowledged messages take.",
    ({ metrics }) => metrics.memory.outbound
  ),
  session.one("memory_limit_bytes", "gauge", "What both may take together.", ({ metrics }) => metrics.memory.limit),
  session.one(
    "inflight_messages",
    "gauge",
    "QoS 1 and 2 messages that were sent and are not acknowledged in full.",
    ({ metrics }) => metrics.inflight
  ),
  session.one(
    "unacknowledged_messages",
    "gauge",
    "Received messages whose acknowledgement is withheld.",
    ({ metrics }) => metrics.unacknowledged
  ),
  session.one(
    "unclaimed_messages",
    "gauge",
    "Received messages that no stream has claimed.",
    ({ metrics }) => metrics.unclaimed
  ),
  session.one(
    "handler_failures_total",
    "counter",
    "Runs of handlers, transformers and codecs that failed.",
    ({ metrics }) => metrics.handlers.failures
  ),
  session.one(
    "handler_retries_total",
    "counter",
    "Runs that tried a failed message again.",
    ({ metrics }) => metrics.handlers.retries
  ),
  session.one(
    "messages_given_up_total",
    "counter",
    "Received messages that were acknowledged although no handler took them.",
    ({ metrics }) => metrics.handlers.givenUp
  ),
  session.one(
    "messages_dead_lettered_total",
    "counter",
    "Received messages that failed and were published to a dead-letter topic.",
    ({ metrics }) => metrics.handlers.deadLettered
  ),
  session.one(
    "failing_messages",
    "gauge",
    "Received messages that failed, and are neither handled nor given up.",
    ({ metrics }) => metrics.handlers.failing
  ),
  session.one(
    "failing_oldest_age_seconds",
    "gauge",
    "How long ago the oldest of them failed first; 0 when there is none.",
    ({ metrics }) => seconds(metrics.handlers.oldestFailingAge)
  ),
  session.one(
    "acknowledgement_latency_seconds",
    "histogram",
    "From acceptance to the last acknowledgement of QoS 1 and 2 messages, time in the queue included.",
    ({ metrics }) => metrics.acknowledgement
  ),
  session.one(
    "stream_buffer_messages",
    "gauge",
    "Messages that wait in the buffers of streams.",
    ({ metrics }) => metrics.buffered.messages
  ),
  session.one(
    "stream_buffer_high_water_messages",
    "gauge",
    "The most messages that the buffer of one stream has ever held.",
    ({ metrics }) => metrics.buffered.highWater
  )
]
