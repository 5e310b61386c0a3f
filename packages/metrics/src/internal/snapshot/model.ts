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
  readonly lastMessageAt?: number | undefined
  readonly lastErrorAt?: number | undefined
}

/**
 * What the server granted on the live connection, see `ConnectionInfo`.
 */
export interface ConnectionSnapshot {
  readonly server: string
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
  readonly sessionPresent: boolean
  /** Seconds, 0: off. */
  readonly keepAlive: number
  readonly receiveMaximum: number
  readonly maximumQoS: QoS
  /** Bytes. */
  readonly maximumPacketSize: number
  readonly retainAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
}

/**
 * The store of a durable session, see `StorageStatus`.
 */
export interface StorageSnapshot {
  readonly durability: Durability
  readonly volatile: boolean
  /** Why the store takes no commits. */
  readonly failure?: Problem | undefined
}

/**
 * A topic filter whose subscription failed, see `SessionStatus.subscriptionFailures`.
 */
export interface SubscriptionFailureSnapshot {
  readonly filter: string
  readonly error: Problem
}

/**
 * A named consumer that is absent while messages wait for it, see `SubscribeOptions.consumer`.
 */
export interface AbsentConsumerSnapshot {
  readonly name: string
  /** The number of unacknowledged messages that wait for it. */
  readonly unfinished: number
}

/**
 * One session.
 */
export interface SessionSnapshot {
  readonly name: string
  readonly state: SessionState
  /** When the state began. */
  readonly since: number
  /** Connected, and every subscription is in force at the server. */
  readonly ready: boolean
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
  readonly connection?: ConnectionSnapshot | undefined
  readonly storage?: StorageSnapshot | undefined
  readonly subscriptionFailures: ReadonlyArray<SubscriptionFailureSnapshot>
  readonly absentConsumers: ReadonlyArray<AbsentConsumerSnapshot>
  readonly persistence: "none" | "process" | "durable"
  /** The session outlives its connection: its persistence is not `none`. */
  readonly persistent: boolean
  /** Its first connection is a clean start: its persistence is not `durable`. */
  readonly cleanSession: boolean
  readonly autoReconnect: boolean
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
  readonly filters: ReadonlyArray<string>
  /** Absent: the route is over all sessions. */
  readonly session?: string | undefined
  readonly description?: string | undefined
  /** The status of the route at each of its sessions. */
  readonly sessions: ReadonlyArray<{
    readonly name: string
    readonly state: "joining" | "active" | "failed"
    readonly error?: Problem | undefined
  }>
  /** Why it has ended. */
  readonly failure?: Problem | undefined
  readonly received: number
  /** Bytes of payloads. */
  readonly bytes: number
  readonly delivered: number
  readonly dropped: number
  readonly overflowed: number
  readonly failures: number
  readonly lastMessageAt?: number | undefined
  readonly lastErrorAt?: number | undefined
  readonly lastError?: Problem | undefined
}

/**
 * The store of one durable session.
 */
export interface StoreSnapshot {
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
  readonly error?: Problem | undefined
}

/**
 * One forwarder and its metrics. Points in time of events that never happened are absent.
 */
export interface ForwarderSnapshot
  extends Omit<ForwarderMetrics, "sources" | "targets" | "lastForwardedAt" | "lastErrorAt" | "lastError">
{
  readonly sources: ReadonlyArray<ForwarderSessionSnapshot>
  readonly targets: ReadonlyArray<ForwarderSessionSnapshot>
  readonly lastForwardedAt?: number | undefined
  readonly lastErrorAt?: number | undefined
  readonly lastError?: Problem | undefined
}

/**
 * Totals over all sessions.
 */
export interface TotalsSnapshot {
  readonly sessions: number
  readonly ready: number
  /** How many sessions are in each state. */
  readonly states: { readonly [State in SessionState]: number }
  readonly routes: number
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
  readonly kind: "session" | "store" | "subscription" | "consumer" | "route" | "forwarder"
  readonly name: string
  /** The session concerned; absent for a route over all sessions that has ended. */
  readonly session?: string | undefined
  /** For a session: its state, when that began, and the address in use or being tried. */
  readonly state?: SessionState | undefined
  readonly since?: number | undefined
  readonly server?: string | undefined
}

/**
 * All metrics at one moment.
 */
export interface MqttSnapshot {
  /** When the snapshot was taken. */
  readonly at: number
  readonly totals: TotalsSnapshot
  /** In the order in which they were added. */
  readonly sessions: ReadonlyArray<SessionSnapshot>
  readonly routes: ReadonlyArray<RouteSnapshot>
  readonly stores: ReadonlyArray<StoreSnapshot>
  readonly forwarders: ReadonlyArray<ForwarderSnapshot>
  /** The causes why the program is not ready; none: it can do its work. */
  readonly unready: ReadonlyArray<UnreadyCause>
}
