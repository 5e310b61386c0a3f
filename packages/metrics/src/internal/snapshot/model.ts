/**
 * The types of a snapshot. `MqttSnapshot` exports them.
 */
import type { ForwarderMetrics, ForwarderSession } from "@effect-mqttx/core/ForwarderMetrics"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import type { SessionState } from "@effect-mqttx/core/SessionEvent"
import type { Latencies, SessionMetrics, SessionStatus } from "@effect-mqttx/core/SessionStatus"
import type { Durability } from "@effect-mqttx/core/SessionStore"

/**
 * An error as data.
 */
export interface Problem {
  /** The tag of the reason of an `MqttError`; `Unknown` for anything else. */
  readonly reason: string
  /** One sentence. */
  readonly message: string
}

/**
 * The metrics of a session. Points in time of events that never happened are absent.
 */
export interface MetricsSnapshot extends Omit<SessionMetrics, "lastMessageAt" | "lastErrorAt"> {
  /** The last message sent or received, in milliseconds since the epoch. */
  readonly lastMessageAt?: number | undefined
  /** The last failed attempt to connect, lost connection or refused commit, in milliseconds since the epoch. */
  readonly lastErrorAt?: number | undefined
}

/**
 * What the server granted on the live connection, see `ConnectionInfo`.
 */
export interface ConnectionSnapshot {
  /** The server's address without secrets. */
  readonly server: string
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** 4 for MQTT 3.1.1, 5 for MQTT 5. */
  readonly protocolVersion: ProtocolVersion
  /** Whether the server continues a session that it had. */
  readonly sessionPresent: boolean
  /** Seconds, 0: off. */
  readonly keepAlive: number
  /** Number of QoS 1 and 2 messages that the session may send without acknowledgement. */
  readonly receiveMaximum: number
  /** The highest quality of service that the server accepts. */
  readonly maximumQoS: QoS
  /** Bytes. */
  readonly maximumPacketSize: number
  /** Whether the server retains messages. */
  readonly retainAvailable: boolean
  /** Whether subscriptions may be shared. */
  readonly sharedSubscriptionAvailable: boolean
}

/**
 * The store of a durable session, see `StorageStatus`.
 */
export interface StorageSnapshot {
  /** What a successful commit survives at least. */
  readonly durability: Durability
  /** The records are lost when the process that keeps them is killed. */
  readonly volatile: boolean
  /** Why the store takes no commits. */
  readonly failure?: Problem | undefined
}

/**
 * A topic filter whose subscription failed, see `SessionStatus.subscriptionFailures`.
 */
export interface SubscriptionFailureSnapshot {
  /** The topic filter. */
  readonly filter: string
  /** Why the subscription failed. */
  readonly error: Problem
}

/**
 * A named consumer that is absent while messages wait for it, see `SubscribeOptions.consumer`.
 */
export interface AbsentConsumerSnapshot {
  /** The name of the consumer. */
  readonly name: string
  /** The number of unacknowledged messages that wait for it. */
  readonly unfinished: number
}

/**
 * One session.
 */
export interface SessionSnapshot {
  /** The name of the session. */
  readonly name: string
  /** See `SessionState`. */
  readonly state: SessionState
  /** When the state began. */
  readonly since: number
  /** Connected, and every subscription is in force at the server. */
  readonly ready: boolean
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** The address in use or being tried, without secrets. */
  readonly server?: string | undefined
  /** How its connections are protected, see `SessionStatus`. */
  readonly tls: SessionStatus["tls"]
  /** The attempts to connect since the session was last connected. */
  readonly attempt: number
  /** Why it is not connected. */
  readonly lastError?: Problem | undefined
  /** The permanent failure: the session cannot connect before the cause is fixed. */
  readonly failure?: Problem | undefined
  /** What the server granted; absent while there is no connection. */
  readonly connection?: ConnectionSnapshot | undefined
  /** The store of a durable session; absent: there is none. */
  readonly storage?: StorageSnapshot | undefined
  /** Topic filters whose subscription failed: the latest hundred. */
  readonly subscriptionFailures: ReadonlyArray<SubscriptionFailureSnapshot>
  /** Named consumers that are absent while messages wait for them. */
  readonly absentConsumers: ReadonlyArray<AbsentConsumerSnapshot>
  /** The option `persistence`. */
  readonly persistence: "none" | "process" | "durable"
  /** The session outlives its connection: its persistence is not `none`. */
  readonly persistent: boolean
  /** Its first connection is a clean start: its persistence is not `durable`. */
  readonly cleanSession: boolean
  /** Whether the session connects again after a loss. */
  readonly autoReconnect: boolean
  /** Its metrics. */
  readonly metrics: MetricsSnapshot
}

/**
 * One route, see `RouteStatistics`.
 */
export interface RouteSnapshot {
  /**
   * Identifies the route: the description, with a number if several routes have the same, or a number alone.
   */
  readonly name: string
  /** The topic filters to which it subscribes. */
  readonly filters: ReadonlyArray<string>
  /** Absent: the route is over all sessions. */
  readonly session?: string | undefined
  /** The option `description`. */
  readonly description?: string | undefined
  /** The status of the route at each of its sessions. */
  readonly sessions: ReadonlyArray<{
    readonly name: string
    readonly state: "joining" | "active" | "failed"
    readonly error?: Problem | undefined
  }>
  /** Why it has ended. */
  readonly failure?: Problem | undefined
  /** Messages that arrived. */
  readonly received: number
  /** Bytes of payloads. */
  readonly bytes: number
  /** Messages that a handler processed successfully, or that the consumer took from the stream. */
  readonly delivered: number
  /** Messages that the filter or the transformer dropped. */
  readonly dropped: number
  /** QoS 0 messages that were lost because buffers were full. */
  readonly overflowed: number
  /** Messages whose transformer or handler failed. */
  readonly failures: number
  /** The last message, in milliseconds since the epoch. */
  readonly lastMessageAt?: number | undefined
  /** When `lastError` occurred, in milliseconds since the epoch. */
  readonly lastErrorAt?: number | undefined
  /** The last failure of a message, or of a subscription. */
  readonly lastError?: Problem | undefined
}

/**
 * The store of one durable session.
 */
export interface StoreSnapshot {
  /** The name of the session. */
  readonly session: string
  /** The latencies of the commits that succeeded. */
  readonly commits: Latencies
  /** The number of attempts that the store refused. */
  readonly failures: number
}

/**
 * The status of a forwarder at one of its sessions, see `ForwarderSession`.
 */
export interface ForwarderSessionSnapshot extends Omit<ForwarderSession, "error"> {
  /** Why it is not active, if known. */
  readonly error?: Problem | undefined
}

/**
 * One forwarder and its metrics. Points in time of events that never happened are absent.
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

/**
 * Totals over all sessions.
 */
export interface TotalsSnapshot {
  /** Number of sessions. */
  readonly sessions: number
  /** Number of sessions that are ready. */
  readonly ready: number
  /** How many sessions are in each state. */
  readonly states: { readonly [State in SessionState]: number }
  /** Number of routes. */
  readonly routes: number
  /** Number of forwarders. */
  readonly forwarders: number
  /** Includes sessions that were removed. */
  readonly metrics: MetricsSnapshot
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
 */
export interface UnreadyCause extends Problem {
  /** What keeps the program from its work. */
  readonly kind: "session" | "store" | "subscription" | "consumer" | "route" | "forwarder"
  /** Its name, see `UnreadyCause`. */
  readonly name: string
  /** The session concerned; absent for a route over all sessions that has ended. */
  readonly session?: string | undefined
  /** For a session: its state. */
  readonly state?: SessionState | undefined
  /** For a session: when its state began, in milliseconds since the epoch. */
  readonly since?: number | undefined
  /** For a session: the address in use or being tried, without secrets. */
  readonly server?: string | undefined
}

/**
 * All metrics at one moment.
 */
export interface MqttSnapshot {
  /** When the snapshot was taken. */
  readonly at: number
  /** Totals over all sessions. */
  readonly totals: TotalsSnapshot
  /** In the order in which they were added. */
  readonly sessions: ReadonlyArray<SessionSnapshot>
  /** The routes of the manager. */
  readonly routes: ReadonlyArray<RouteSnapshot>
  /** The stores of the durable sessions. */
  readonly stores: ReadonlyArray<StoreSnapshot>
  /** The forwarders. */
  readonly forwarders: ReadonlyArray<ForwarderSnapshot>
  /** The causes why the program is not ready; none: it can do its work. */
  readonly unready: ReadonlyArray<UnreadyCause>
}
