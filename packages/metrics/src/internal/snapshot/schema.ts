/**
 * The schema of snapshots. The types of snapshots follow from it, with the documentation of its fields. What sessions
 * and forwarders count is declared and documented in the core; here the compiler checks that no count is forgotten.
 * `MqttSnapshot` exports the types. Size: one list of fields, with the documentation of each.
 */
import type { ForwarderDrops, ForwarderMetrics, ForwarderSession } from "@effect-mqttx/core/ForwarderMetrics"
import type { SessionState } from "@effect-mqttx/core/SessionEvent"
import type {
  BufferedMessages,
  HandlerMetrics,
  Latencies,
  MessageMemory,
  PublishedMessages,
  ReasonCounts,
  SessionMetrics,
  StoreCommits
} from "@effect-mqttx/core/SessionStatus"
import * as Schema from "effect/Schema"

const { Array, Boolean, Literals, Number, Record, String, Struct, optional } = Schema

/** A schema for each member of a type of the core. The compiler reports a missing and an unknown one. */
type SchemasOf<A> = { readonly [Name in keyof A]-?: Schema.Constraint }

type TypeOf<F extends Schema.Struct.Fields> = Schema.Struct.Type<F>

const problemFields = {
  /** The tag of the reason of an `MqttError`; `Unknown` for anything else. */
  reason: String,
  /** One sentence. */
  message: String
}

/**
 * An error as data.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Problem extends TypeOf<typeof problemFields> {}

const problem: Schema.Codec<Problem> = Struct(problemFields)

const latencies: Schema.Codec<Latencies> = Struct(
  {
    count: Number,
    total: Number,
    min: Number,
    max: Number,
    bounds: Array(Number),
    buckets: Array(Number)
  } satisfies SchemasOf<Latencies>
)

const counts: Schema.Codec<ReasonCounts> = Record(String, Number)

/**
 * The metrics of a session. Points in time of events that never happened are absent.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface MetricsSnapshot extends Omit<SessionMetrics, "lastMessageAt" | "lastErrorAt"> {
  /** The last message sent or received, in milliseconds since the epoch. */
  readonly lastMessageAt?: number | undefined
  /** The last failed attempt to connect, lost connection or refused commit, in milliseconds since the epoch. */
  readonly lastErrorAt?: number | undefined
}

const metrics: Schema.Codec<MetricsSnapshot> = Struct(
  {
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
    published: Struct(
      {
        accepted: Number,
        acknowledged: Number,
        failed: counts,
        withdrawn: Number,
        pending: Number,
        refused: counts
      } satisfies SchemasOf<PublishedMessages>
    ),
    acknowledgement: latencies,
    connections: Number,
    reconnects: Number,
    reconnectsByReason: counts,
    errors: Number,
    errorsByReason: counts,
    lastErrorAt: optional(Number),
    dropped: Struct(
      {
        dropOldest: Number,
        dropNewest: Number,
        latestPerTopic: Number,
        expired: Number,
        poison: Number,
        streamOverflow: Number,
        unclaimed: Number
      } satisfies SchemasOf<SessionMetrics["dropped"]>
    ),
    queuedMessages: Number,
    queuedBytes: Number,
    oldestQueuedAge: Number,
    inflight: Number,
    unacknowledged: Number,
    unclaimed: Number,
    subscriptions: Number,
    buffered: Struct({ messages: Number, highWater: Number } satisfies SchemasOf<BufferedMessages>),
    memory: Struct({ inbound: Number, outbound: Number, limit: Number } satisfies SchemasOf<MessageMemory>),
    commits: Struct({ failures: Number, latency: latencies } satisfies SchemasOf<StoreCommits>),
    handlers: Struct(
      {
        failures: Number,
        retries: Number,
        givenUp: Number,
        deadLettered: Number,
        failing: Number,
        oldestFailingAge: Number
      } satisfies SchemasOf<HandlerMetrics>
    )
  } satisfies SchemasOf<SessionMetrics>
)

const connectionFields = {
  /** The address of the server, without secrets. */
  server: String,
  /** The client identifier, which the server may have assigned. */
  clientId: String,
  /** 4 for MQTT 3.1.1, 5 for MQTT 5. */
  protocolVersion: Literals([4, 5]),
  /** Whether the server continues a session that it had. */
  sessionPresent: Boolean,
  /** Seconds, 0: off. */
  keepAlive: Number,
  /** The certificates of the connection. Left out where there are none to read. */
  certificates: optional(
    Array(
      Struct({
        /** Whose certificate it is. */
        owner: Literals(["server", "client"]),
        /** Its subject as text. */
        subject: String,
        /** When it expires, in milliseconds since the epoch. */
        expiresAt: Number
      })
    )
  ),
  /** Number of QoS 1 and 2 messages that the session may send without acknowledgement. */
  receiveMaximum: Number,
  /** The highest quality of service that the server accepts. */
  maximumQoS: Literals([0, 1, 2]),
  /** Bytes. */
  maximumPacketSize: Number,
  /** Whether the server retains messages. */
  retainAvailable: Boolean,
  /** Whether subscriptions may be shared. */
  sharedSubscriptionAvailable: Boolean
}

/**
 * What the server granted on the live connection, see `ConnectionInfo`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionSnapshot extends TypeOf<typeof connectionFields> {}

const storageFields = {
  /** What a successful commit survives at least. */
  durability: Literals(["session", "process", "power"]),
  /** The records are lost when the process that keeps them is killed. */
  volatile: Boolean,
  /** Why the store takes no commits. */
  failure: optional(problem)
}

/**
 * The store of a durable session, see `StorageStatus`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StorageSnapshot extends TypeOf<typeof storageFields> {}

const subscriptionFailureFields = {
  /** The topic filter. */
  filter: String,
  /** Why the subscription failed. */
  error: problem
}

/**
 * A topic filter whose subscription failed, see `SessionStatus.subscriptionFailures`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionFailureSnapshot extends TypeOf<typeof subscriptionFailureFields> {}

const absentConsumerFields = {
  /** The name of the consumer. */
  name: String,
  /** The number of unacknowledged messages that wait for it. */
  unfinished: Number
}

/**
 * A named consumer that is absent while messages wait for it, see `SubscribeOptions.consumer`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface AbsentConsumerSnapshot extends TypeOf<typeof absentConsumerFields> {}

const states: Schema.Codec<SessionState> = Literals([
  "disconnected",
  "connecting",
  "connected",
  "reconnecting",
  "closed"
])

const connection: Schema.Codec<ConnectionSnapshot> = Struct(connectionFields)
const storage: Schema.Codec<StorageSnapshot> = Struct(storageFields)
const subscriptionFailure: Schema.Codec<SubscriptionFailureSnapshot> = Struct(subscriptionFailureFields)
const absentConsumer: Schema.Codec<AbsentConsumerSnapshot> = Struct(absentConsumerFields)

const sessionFields = {
  /** The name of the session. */
  name: String,
  /** See `SessionState`. */
  state: states,
  /** When the state began. */
  since: Number,
  /** Connected, and every subscription is in force at the server. */
  ready: Boolean,
  /** The client identifier, which the server may have assigned. */
  clientId: String,
  /** The address in use or being tried, without secrets. */
  server: optional(String),
  /** How its connections are protected, see `SessionStatus`. */
  tls: Literals(["none", "unverified", "verified"]),
  /** The attempts to connect since the session was last connected. */
  attempt: Number,
  /** Why it is not connected. */
  lastError: optional(problem),
  /** The permanent failure: the session cannot connect before the cause is fixed. */
  failure: optional(problem),
  /** What the server granted; absent while there is no connection. */
  connection: optional(connection),
  /** The store of a durable session; absent: there is none. */
  storage: optional(storage),
  /** Topic filters whose subscription failed: the latest hundred. */
  subscriptionFailures: Array(subscriptionFailure),
  /** Named consumers that are absent while messages wait for them. */
  absentConsumers: Array(absentConsumer),
  /** The option `persistence`. */
  persistence: Literals(["none", "process", "durable"]),
  /** The session outlives its connection: its persistence is not `none`. */
  persistent: Boolean,
  /** Its first connection is a clean start: its persistence is not `durable`. */
  cleanSession: Boolean,
  /** Whether the session connects again after a loss. */
  autoReconnect: Boolean,
  /** Its metrics. */
  metrics
}

/**
 * One session.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface SessionSnapshot extends TypeOf<typeof sessionFields> {}

const routeSessionFields = {
  /** The name of the session. */
  name: String,
  /** Whether the subscription of the route is in force at the session. */
  state: Literals(["joining", "active", "failed"]),
  /** Why it is not active, if known. */
  error: optional(problem)
}

/**
 * The status of a route at one of its sessions.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface RouteSessionSnapshot extends TypeOf<typeof routeSessionFields> {}

const routeSession: Schema.Codec<RouteSessionSnapshot> = Struct(routeSessionFields)

const routeFields = {
  /**
   * Identifies the route: the description, with a number if several routes have the same, or a number alone.
   */
  name: String,
  /** The topic filters to which it subscribes. */
  filters: Array(String),
  /** Absent: the route is over all sessions. */
  session: optional(String),
  /** The option `description`. */
  description: optional(String),
  /** The status of the route at each of its sessions. */
  sessions: Array(routeSession),
  /** Why it has ended. */
  failure: optional(problem),
  /** Messages that arrived. */
  received: Number,
  /** Bytes of payloads. */
  bytes: Number,
  /** Messages that a handler processed successfully, or that the consumer took from the stream. */
  delivered: Number,
  /** Messages that the filter or the transformer dropped. */
  dropped: Number,
  /** QoS 0 messages that were lost because buffers were full. */
  overflowed: Number,
  /** Messages whose transformer or handler failed. */
  failures: Number,
  /** The last message, in milliseconds since the epoch. */
  lastMessageAt: optional(Number),
  /** When `lastError` occurred, in milliseconds since the epoch. */
  lastErrorAt: optional(Number),
  /** The last failure of a message, or of a subscription. */
  lastError: optional(problem)
}

/**
 * One route, see `RouteMetrics`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface RouteSnapshot extends TypeOf<typeof routeFields> {}

const storeFields = {
  /** The name of the session. */
  session: String,
  /** The latencies of the commits that succeeded. */
  commits: latencies,
  /** The number of attempts that the store refused. */
  failures: Number
}

/**
 * The store of one durable session.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StoreSnapshot extends TypeOf<typeof storeFields> {}

const forwarderSessionFields = {
  /** The name of the session. */
  name: String,
  /** See `ForwarderSession`. */
  state: Literals(["missing", "joining", "active", "failed"]),
  /** Why it is not active, if known. */
  error: optional(problem)
} satisfies SchemasOf<ForwarderSession>

/**
 * The status of a forwarder at one of its sessions, see `ForwarderSession`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderSessionSnapshot extends TypeOf<typeof forwarderSessionFields> {}

const forwarderSession: Schema.Codec<ForwarderSessionSnapshot> = Struct(forwarderSessionFields)

/**
 * One forwarder and its metrics. Points in time of events that never happened are absent.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderSnapshot
  extends Omit<ForwarderMetrics, "sources" | "targets" | "lastForwardedAt" | "lastErrorAt" | "lastError">
{
  /** State at each source, in the order of the options; empty unless the forwarder runs. */
  readonly sources: ReadonlyArray<ForwarderSessionSnapshot>
  /** State at the target and, if it is another session, at the session of the dead letters. */
  readonly targets: ReadonlyArray<ForwarderSessionSnapshot>
  /** The last forwarded message, in milliseconds since the epoch. */
  readonly lastForwardedAt?: number | undefined
  /** When `lastError` occurred, in milliseconds since the epoch. */
  readonly lastErrorAt?: number | undefined
  /** The last failure of a message, or of a subscription. */
  readonly lastError?: Problem | undefined
}

const forwarder: Schema.Codec<ForwarderSnapshot> = Struct(
  {
    name: String,
    state: Literals(["stopped", "running", "stopping"]),
    sources: Array(forwarderSession),
    targets: Array(forwarderSession),
    activeSources: Number,
    targetConnected: Boolean,
    received: Number,
    forwarded: Number,
    filtered: Number,
    dropped: Struct(
      {
        unmapped: Number,
        transformed: Number,
        looped: Number,
        tooManyHops: Number,
        expired: Number,
        overflow: Number,
        targetQueue: Number,
        stopped: Number
      } satisfies SchemasOf<ForwarderDrops>
    ),
    deadLettered: Number,
    failed: Number,
    duplicates: Number,
    returned: Number,
    inFlight: Number,
    retried: Number,
    refusedLater: Number,
    lag: Number,
    rates: Struct({ received: Number, forwarded: Number } satisfies SchemasOf<ForwarderMetrics["rates"]>),
    bytesForwarded: Number,
    lastForwardedAt: optional(Number),
    lastErrorAt: optional(Number),
    lastError: optional(problem)
  } satisfies SchemasOf<ForwarderMetrics>
)

const totalsFields = {
  /** Number of sessions. */
  sessions: Number,
  /** Number of sessions that are ready. */
  ready: Number,
  /** How many sessions are in each state. */
  states: Struct(
    {
      disconnected: Number,
      connecting: Number,
      connected: Number,
      reconnecting: Number,
      closed: Number
    } satisfies Record<SessionState, Schema.Constraint>
  ),
  /** Number of routes. */
  routes: Number,
  /** Number of forwarders. */
  forwarders: Number,
  /** Includes sessions that were removed. */
  metrics
}

/**
 * Totals over all sessions.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface TotalsSnapshot extends TypeOf<typeof totalsFields> {}

const unreadyCauseFields = {
  ...problemFields,
  /** What keeps the program from its work. */
  kind: Literals(["session", "store", "subscription", "consumer", "route", "forwarder"]),
  /** Its name, see `UnreadyCause`. */
  name: String,
  /** The session concerned; absent for a route over all sessions that has ended. */
  session: optional(String),
  /** For a session: its state. */
  state: optional(states),
  /** For a session: when its state began. */
  since: optional(Number),
  /** For a session: the address in use or being tried. */
  server: optional(String)
}

/**
 * A cause that keeps the program from all or some of its work.
 *
 * | `kind` | `name` | when |
 * | --- | --- | --- |
 * | `session` | of the session | it is not connected, or its subscriptions are not in force |
 * | `store` | of the session | the store takes no commits, is lost, or closed |
 * | `subscription` | the topic filter | the program's own subscription was refused, or ended with a failure |
 * | `consumer` | of the consumer | it is away, and messages wait for it unacknowledged |
 * | `route` | of the route | its subscription at `session` was refused or is not in force, or it ended with a failure |
 * | `forwarder` | of the forwarder | it runs, and its session is missing or cannot be used |
 *
 * There may be further kinds in later versions.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface UnreadyCause extends TypeOf<typeof unreadyCauseFields> {}

const totals: Schema.Codec<TotalsSnapshot> = Struct(totalsFields)
const session: Schema.Codec<SessionSnapshot> = Struct(sessionFields)
const route: Schema.Codec<RouteSnapshot> = Struct(routeFields)
const store: Schema.Codec<StoreSnapshot> = Struct(storeFields)
const unreadyCause: Schema.Codec<UnreadyCause> = Struct(unreadyCauseFields)

const snapshotFields = {
  /** When the snapshot was taken. */
  at: Number,
  /** Totals over all sessions. */
  totals,
  /** In the order in which they were added. */
  sessions: Array(session),
  /** The routes of the manager. */
  routes: Array(route),
  /** The stores of the durable sessions. */
  stores: Array(store),
  /** The forwarders. */
  forwarders: Array(forwarder),
  /** The causes why the program is not ready; none: it can do its work. */
  unready: Array(unreadyCause)
}

/**
 * All metrics at one moment.
 */
export interface MqttSnapshot extends TypeOf<typeof snapshotFields> {}

export const snapshotSchema: Schema.Codec<MqttSnapshot> = Struct(snapshotFields)
