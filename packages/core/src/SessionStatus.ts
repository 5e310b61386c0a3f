/**
 * How a session is doing: its state, what the server granted, and its figures.
 */
import type { MqttError } from "./MqttError.ts"
import type { ConnackProperties } from "./Properties.ts"
import type { QoS } from "./QoS.ts"
import type { MessageDropped, SessionState } from "./SessionEvent.ts"
import type { Durability } from "./SessionStore.ts"

/**
 * Where a session stands.
 */
export interface SessionStatus {
  readonly state: SessionState
  /** Milliseconds since the epoch when the state began. */
  readonly since: number
  /** Connected, and every subscription is in force at the server. */
  readonly ready: boolean
  readonly clientId: string
  /** The address in use or being tried, without secrets. */
  readonly server: string | undefined
  /** The attempts to connect since the session was last connected. */
  readonly attempt: number
  /** Why the session is not connected. */
  readonly lastError: MqttError | undefined
  /** A permanent failure: operations that await the server fail with it until a later attempt succeeds. */
  readonly failure: MqttError | undefined
  /** The store of a durable session; undefined: there is none. */
  readonly storage: StorageStatus | undefined
}

/**
 * How the store of a session is doing.
 */
export interface StorageStatus {
  readonly durability: Durability
  /** A kill of the process that keeps the records loses them. */
  readonly volatile: boolean
  /** Why it takes no commits, `StorageFailed`; undefined: it does. */
  readonly failure: MqttError | undefined
}

/**
 * What the server granted on the live connection, with MQTT's defaults filled in (MQTT 3.2.2.3).
 */
export interface ConnectionInfo {
  readonly server: string
  readonly clientId: string
  readonly sessionPresent: boolean
  /** Seconds, 0: off. */
  readonly keepAlive: number
  readonly receiveMaximum: number
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  /** Bytes. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  /** All properties of CONNACK as the server sent them. */
  readonly properties: ConnackProperties
}

/**
 * The figures of a session since it was made.
 */
export interface SessionMetrics {
  /** Messages written (QoS 0) or acknowledged in full (QoS 1 and 2). */
  readonly messagesSent: number
  /** Messages handed to streams, counted for each stream. */
  readonly messagesReceived: number
  /** Bytes of MQTT packets, all types. */
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly connections: number
  readonly reconnects: number
  readonly errors: number
  /** Milliseconds since the epoch; undefined: none yet. */
  readonly lastErrorAt: number | undefined
  readonly dropped: { readonly [Cause in MessageDropped["cause"]]: number }
  readonly queuedMessages: number
  readonly queuedBytes: number
  readonly inflight: number
  readonly unacknowledged: number
  readonly unclaimed: number
  readonly subscriptions: number
}
