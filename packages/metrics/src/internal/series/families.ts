/**
 * The metrics of the library as Prometheus shows them: names, types, meanings, and their places in a snapshot.
 */
import type { ForwarderSnapshot, MqttSnapshot, RouteSnapshot } from "../snapshot/schema.ts"
import { each, type Family, flag, type Kind, optionalSeconds, seconds, sum } from "./family.ts"
import { sessionFamilies, totalFamilies } from "./sessionFamilies.ts"

const total = (
  name: string,
  type: Kind,
  help: string,
  read: (totals: MqttSnapshot["totals"]) => number | undefined
): Family => ({
  name: `mqtt_manager_${name}`,
  type,
  help,
  labels: [],
  read: ({ totals }, add) => add(read(totals))
})

const totals: ReadonlyArray<Family> = [
  {
    name: "mqtt_manager_sessions",
    type: "gauge",
    help: "Sessions, by their state.",
    labels: ["state"],
    read: ({ totals }, add) => {
      for (const [state, count] of Object.entries(totals.states)) add(count, state)
    }
  },
  total("sessions_ready", "gauge", "Sessions that are ready.", ({ ready }) => ready),
  total("routes", "gauge", "Running routes.", ({ routes }) => routes),
  total("forwarders", "gauge", "Forwarders.", ({ forwarders }) => forwarders),
  total(
    "messages_dropped_total",
    "counter",
    "Messages dropped by all sessions, removed ones included.",
    ({ metrics }) => sum(metrics.dropped)
  )
]

/** When a route or a forwarder failed last. */
const lastError = <A extends { readonly lastErrorAt?: number | undefined }>(
  { one }: ReturnType<typeof each<A>>
): Family =>
  one(
    "last_error_timestamp_seconds",
    "gauge",
    "When a message or a subscription failed last; absent before the first.",
    ({ lastErrorAt }) => optionalSeconds(lastErrorAt)
  )

const route = each<RouteSnapshot>("mqtt_route", "route", ({ routes }) => routes, ({ name }) => name)

const routes: ReadonlyArray<Family> = [
  route.by(
    "sessions",
    "gauge",
    "state",
    "Sessions of the route, by the state of its subscription there.",
    ({ sessions }) => {
      const states = { joining: 0, active: 0, failed: 0 }
      for (const { state } of sessions) states[state]++
      return states
    }
  ),
  route.one("messages_received_total", "counter", "Messages that arrived.", ({ received }) => received),
  route.one("bytes_received_total", "counter", "Payload bytes of the messages that arrived.", ({ bytes }) => bytes),
  route.one(
    "messages_delivered_total",
    "counter",
    "Messages that a handler finished successfully, or the consumer took from the stream.",
    ({ delivered }) => delivered
  ),
  route.one(
    "messages_dropped_total",
    "counter",
    "Messages that the filter or the transformer dropped.",
    ({ dropped }) => dropped
  ),
  route.one(
    "messages_overflowed_total",
    "counter",
    "QoS 0 messages that were lost because buffers were full.",
    ({ overflowed }) => overflowed
  ),
  route.one(
    "failures_total",
    "counter",
    "Messages whose transformer or handler failed after its retries; each counts once.",
    ({ failures }) => failures
  ),
  route.one(
    "last_message_timestamp_seconds",
    "gauge",
    "When the last message arrived; absent before the first.",
    ({ lastMessageAt }) => optionalSeconds(lastMessageAt)
  ),
  lastError<RouteSnapshot>(route)
]

const forwarder = each<ForwarderSnapshot>(
  "mqtt_forwarder",
  "forwarder",
  ({ forwarders }) => forwarders,
  ({ name }) => name
)

const forwarders: ReadonlyArray<Family> = [
  forwarder.one("running", "gauge", "1 while it runs, otherwise 0.", ({ state }) => flag(state === "running")),
  forwarder.one(
    "active_sources",
    "gauge",
    "Source sessions at which its subscription is in force.",
    ({ activeSources }) => activeSources
  ),
  forwarder.one(
    "target_connected",
    "gauge",
    "1 while the target session has a connection, otherwise 0.",
    ({ targetConnected }) => flag(targetConnected)
  ),
  forwarder.one(
    "messages_received_total",
    "counter",
    "Messages from the sources: the sum of all outcomes and of those in flight.",
    ({ received }) => received
  ),
  forwarder.one(
    "messages_forwarded_total",
    "counter",
    "Messages that the target acknowledged or its durable queue accepted.",
    ({ forwarded }) => forwarded
  ),
  forwarder.one(
    "messages_filtered_total",
    "counter",
    "Messages that a filter rejected.",
    ({ filtered }) => filtered
  ),
  forwarder.by(
    "messages_dropped_total",
    "counter",
    "cause",
    "Messages that were dropped without a failure.",
    ({ dropped }) => ({ ...dropped })
  ),
  forwarder.one(
    "messages_dead_lettered_total",
    "counter",
    "Messages that failed permanently and went to the dead-letter topic.",
    ({ deadLettered }) => deadLettered
  ),
  forwarder.one(
    "messages_failed_total",
    "counter",
    "Messages that failed permanently and were dropped.",
    ({ failed }) => failed
  ),
  forwarder.one(
    "messages_duplicate_total",
    "counter",
    "Redelivered messages that the target already has.",
    ({ duplicates }) => duplicates
  ),
  forwarder.one(
    "messages_returned_total",
    "counter",
    "Messages that were returned to the source unacknowledged.",
    ({ returned }) => returned
  ),
  forwarder.one(
    "inflight_messages",
    "gauge",
    "Messages that were received and have no outcome yet.",
    ({ inFlight }) => inFlight
  ),
  forwarder.one("retries_total", "counter", "Attempts that were repeated.", ({ retried }) => retried),
  forwarder.one(
    "messages_refused_later_total",
    "counter",
    "Messages that the target server refused after the durable queue had accepted them.",
    ({ refusedLater }) => refusedLater
  ),
  forwarder.one(
    "lag_seconds",
    "gauge",
    "How long ago the oldest message in flight arrived; 0 when there is none.",
    ({ lag }) => seconds(lag)
  ),
  forwarder.one(
    "received_rate",
    "gauge",
    "Messages received a second over the last ten seconds.",
    ({ rates }) => rates.received
  ),
  forwarder.one(
    "forwarded_rate",
    "gauge",
    "Messages forwarded a second over the last ten seconds.",
    ({ rates }) => rates.forwarded
  ),
  forwarder.one(
    "bytes_forwarded_total",
    "counter",
    "Bytes of the payloads that were forwarded.",
    ({ bytesForwarded }) => bytesForwarded
  ),
  forwarder.one(
    "last_forwarded_timestamp_seconds",
    "gauge",
    "When the last message was forwarded; absent before the first.",
    ({ lastForwardedAt }) => optionalSeconds(lastForwardedAt)
  ),
  lastError<ForwarderSnapshot>(forwarder)
]

export const families: ReadonlyArray<Family> = [
  ...totals,
  ...totalFamilies,
  ...sessionFamilies,
  ...routes,
  ...forwarders
]

/** The families of an export with or without series for each session. */
export const familiesOf = (perSessionSeries: boolean): ReadonlyArray<Family> =>
  perSessionSeries ? families : families.filter((family) => !sessionFamilies.includes(family))
