/**
 * All figures of a program at one moment: sessions, routes, stores and forwarders, as plain data that survive JSON.
 *
 * A subpath of its own, `@effect-mqttx/core/MqttSnapshot`, beside `MqttMetrics`, which makes them.
 *
 * No snapshot holds a secret, a payload or the topic of a message: what it names are sessions, servers, the filters of routes, and what
 * went wrong. Times are milliseconds; points in time are counted from the epoch, and absent when there was none.
 */
import type * as Schema from "effect/Schema"
import type { ForwarderMetrics } from "./ForwarderMetrics.ts"
import { snapshotSchema } from "./internal/gateway/snapshotSchema.ts"
import type { ProtocolVersion, QoS } from "./QoS.ts"
import type { SessionState } from "./SessionEvent.ts"
import type { Latencies, SessionMetrics, SessionStatus } from "./SessionStatus.ts"

/**
 * What went wrong.
 */
export interface Problem {
  /** The tag of the reason of an `MqttError`; `Unknown` for anything else. */
  readonly reason: string
  /** In one sentence. */
  readonly message: string
}

/**
 * The figures of a session, where points in time that never were are absent.
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
  /** Why it cannot be connected before something is changed. */
  readonly failure?: Problem | undefined
  readonly connection?: ConnectionSnapshot | undefined
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
  /** What tells routes apart: the description, with a number behind it where several have the same, or a number alone. */
  readonly name: string
  readonly filters: ReadonlyArray<string>
  /** Absent: over all sessions. */
  readonly session?: string | undefined
  readonly description?: string | undefined
  /** How it stands with each of its sessions. */
  readonly sessions: ReadonlyArray<{
    readonly name: string
    readonly state: "joining" | "active" | "failed"
    readonly error?: Problem | undefined
  }>
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
  /** The commits that succeeded. */
  readonly commits: Latencies
  /** Attempts that the store refused. */
  readonly failures: number
}

/**
 * One forwarder: its figures, where points in time that never were are absent.
 */
export interface ForwarderSnapshot extends Omit<ForwarderMetrics, "lastForwardedAt" | "lastErrorAt" | "lastError"> {
  readonly lastForwardedAt?: number | undefined
  readonly lastErrorAt?: number | undefined
  readonly lastError?: Problem | undefined
}

/**
 * All sessions together.
 */
export interface TotalsSnapshot {
  readonly sessions: number
  readonly ready: number
  /** How many sessions are in each state. */
  readonly states: { readonly [State in SessionState]: number }
  readonly routes: number
  readonly forwarders: number
  /** Sessions that were removed are included. */
  readonly metrics: MetricsSnapshot
}

/**
 * Everything, at one moment.
 */
export interface MqttSnapshot {
  /** When. */
  readonly at: number
  readonly totals: TotalsSnapshot
  /** In the order in which they were added. */
  readonly sessions: ReadonlyArray<SessionSnapshot>
  readonly routes: ReadonlyArray<RouteSnapshot>
  readonly stores: ReadonlyArray<StoreSnapshot>
  readonly forwarders: ReadonlyArray<ForwarderSnapshot>
}

/**
 * The schema of snapshots: what it encodes is JSON as it is.
 */
export const MqttSnapshot: Schema.Codec<MqttSnapshot> = snapshotSchema
