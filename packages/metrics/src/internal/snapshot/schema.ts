/**
 * The schema of snapshots. The types in `model.ts` document the fields.
 */
import * as Schema from "effect/Schema"
import type { MqttSnapshot } from "./model.ts"

const { Array, Boolean, Literals, Number, Record, String, Struct, optional } = Schema

const problem = Struct({ reason: String, message: String })

const latencies = Struct({
  count: Number,
  total: Number,
  min: Number,
  max: Number,
  bounds: Array(Number),
  buckets: Array(Number)
})

const counts = Record(String, Number)

const metrics = Struct({
  uptime: Number,
  messagesSent: Number,
  messagesReceived: Number,
  messagesDelivered: Number,
  bytesSent: Number,
  bytesReceived: Number,
  messageRate: Number,
  averageMessageRate: Number,
  bytesRate: Number,
  lastMessageAt: optional(Number),
  published: Struct({
    accepted: Number,
    acknowledged: Number,
    failed: counts,
    withdrawn: Number,
    pending: Number,
    refused: counts
  }),
  acknowledgement: latencies,
  connections: Number,
  reconnects: Number,
  reconnectsByReason: counts,
  errors: Number,
  errorsByReason: counts,
  lastErrorAt: optional(Number),
  dropped: Struct({
    dropOldest: Number,
    dropNewest: Number,
    latestPerTopic: Number,
    expired: Number,
    poison: Number,
    streamOverflow: Number,
    unclaimed: Number
  }),
  queuedMessages: Number,
  queuedBytes: Number,
  oldestQueuedAge: Number,
  inflight: Number,
  unacknowledged: Number,
  unclaimed: Number,
  subscriptions: Number,
  buffered: Struct({ messages: Number, highWater: Number }),
  memory: Struct({ inbound: Number, outbound: Number, limit: Number }),
  commits: Struct({ failures: Number, latency: latencies }),
  handlers: Struct({
    failures: Number,
    retries: Number,
    givenUp: Number,
    deadLettered: Number,
    failing: Number,
    oldestFailingAge: Number
  })
})

const connection = Struct({
  server: String,
  clientId: String,
  protocolVersion: Literals([4, 5]),
  sessionPresent: Boolean,
  keepAlive: Number,
  receiveMaximum: Number,
  maximumQoS: Literals([0, 1, 2]),
  maximumPacketSize: Number,
  retainAvailable: Boolean,
  sharedSubscriptionAvailable: Boolean
})

const states = Literals(["disconnected", "connecting", "connected", "reconnecting", "closed"])

const session = Struct({
  name: String,
  state: states,
  since: Number,
  ready: Boolean,
  clientId: String,
  server: optional(String),
  tls: Literals(["none", "unverified", "verified"]),
  attempt: Number,
  lastError: optional(problem),
  failure: optional(problem),
  connection: optional(connection),
  storage: optional(Struct({
    durability: Literals(["session", "process", "power"]),
    volatile: Boolean,
    failure: optional(problem)
  })),
  subscriptionFailures: Array(Struct({ filter: String, error: problem })),
  absentConsumers: Array(Struct({ name: String, unfinished: Number })),
  persistence: Literals(["none", "process", "durable"]),
  persistent: Boolean,
  cleanSession: Boolean,
  autoReconnect: Boolean,
  metrics
})

const route = Struct({
  name: String,
  filters: Array(String),
  session: optional(String),
  description: optional(String),
  sessions: Array(Struct({
    name: String,
    state: Literals(["joining", "active", "failed"]),
    error: optional(problem)
  })),
  failure: optional(problem),
  received: Number,
  bytes: Number,
  delivered: Number,
  dropped: Number,
  overflowed: Number,
  failures: Number,
  lastMessageAt: optional(Number),
  lastErrorAt: optional(Number),
  lastError: optional(problem)
})

const forwarderSessions = Array(Struct({
  name: String,
  state: Literals(["missing", "joining", "active", "failed"]),
  error: optional(problem)
}))

const forwarder = Struct({
  name: String,
  state: Literals(["stopped", "running", "stopping"]),
  sources: forwarderSessions,
  targets: forwarderSessions,
  activeSources: Number,
  targetConnected: Boolean,
  received: Number,
  forwarded: Number,
  filtered: Number,
  dropped: Struct({
    unmapped: Number,
    transformed: Number,
    looped: Number,
    tooManyHops: Number,
    expired: Number,
    overflow: Number,
    targetQueue: Number,
    stopped: Number
  }),
  deadLettered: Number,
  failed: Number,
  duplicates: Number,
  returned: Number,
  inFlight: Number,
  retried: Number,
  refusedLater: Number,
  lag: Number,
  rates: Struct({ received: Number, forwarded: Number }),
  bytesForwarded: Number,
  lastForwardedAt: optional(Number),
  lastErrorAt: optional(Number),
  lastError: optional(problem)
})

const totals = Struct({
  sessions: Number,
  ready: Number,
  states: Struct({
    disconnected: Number,
    connecting: Number,
    connected: Number,
    reconnecting: Number,
    closed: Number
  }),
  routes: Number,
  forwarders: Number,
  metrics
})

const unreadyCause = Struct({
  kind: Literals(["session", "store", "subscription", "consumer", "route", "forwarder"]),
  name: String,
  session: optional(String),
  reason: String,
  message: String,
  state: optional(states),
  since: optional(Number),
  server: optional(String)
})

export const snapshotSchema: Schema.Codec<MqttSnapshot> = Struct({
  at: Number,
  totals,
  sessions: Array(session),
  routes: Array(route),
  stores: Array(Struct({ session: String, commits: latencies, failures: Number })),
  forwarders: Array(forwarder),
  unready: Array(unreadyCause)
})
