/**
 * How a session is doing: its state, what the server granted, and its figures.
 */
export type { NamedConsumer } from "./internal/engine/contract.ts"
import type { MqttError, MqttErrorReason } from "./MqttError.ts"
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
  /**
   * How its connections are protected: `none`, `verified` by TLS, or `unverified`: by TLS with `insecureSkipVerify`,
   * where anyone on the way can pose as the server.
   */
  readonly tls: "none" | "unverified" | "verified"
  /** The attempts to connect since the session was last connected. */
  readonly attempt: number
  /** Why the session is not connected. */
  readonly lastError: MqttError | undefined
  /** A permanent failure: operations that await the server fail with it until a later attempt succeeds. */
  readonly failure: MqttError | undefined
  /**
   * Topic filters whose subscription failed, and why: the latest hundred. A filter leaves when a subscription to it is
   * granted, and with
   * `unsubscribe`.
   */
  readonly subscriptionFailures: ReadonlyMap<string, MqttError>
  /** The store of a durable session; undefined: there is none. */
  readonly storage: StorageStatus | undefined
  /** The messages that handlers cannot take. */
  readonly handlers: HandlerStatus
}

/**
 * The messages that fail now: the handler, transformer or codec of each has failed, and it is neither handled nor
 * given up. `statusChanges` tells when the first one begins to fail, and when none fails any more.
 */
export interface HandlerStatus {
  readonly failing: number
  /** When the oldest of them failed first, in milliseconds since the epoch; undefined: none fails. */
  readonly since: number | undefined
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
 * How long things took, in fixed buckets. Times are milliseconds.
 */
export interface Latencies {
  readonly count: number
  /** All of them together. */
  readonly total: number
  /** The shortest and the longest one, 0: there was none. */
  readonly min: number
  readonly max: number
  /** The upper bounds of the buckets, ascending. */
  readonly bounds: ReadonlyArray<number>
  /**
   * How many fell into each bucket: above the bound before and at most its own; the last one, without a bound, has the
   * rest.
   */
  readonly buckets: ReadonlyArray<number>
}

/**
 * How often, by the tag of an `MqttError`'s reason. Reasons that never occurred are absent.
 */
export type ReasonCounts = { readonly [Reason in MqttErrorReason["_tag"]]?: number }

/**
 * What became of the messages that a session took to publish: at any time `accepted` is the sum of `acknowledged`, all
 * of `failed`, `withdrawn` and `pending`.
 */
export interface PublishedMessages {
  /** Taken into the session; those that a durable session found in its store are among them. */
  readonly accepted: number
  /** Written (QoS 0), or acknowledged in full by the server (QoS 1 and 2). */
  readonly acknowledged: number
  /**
   * Neither, and never will be: dropped, expired, refused by the server, lost with the session, or left over when it
   * ended.
   */
  readonly failed: ReasonCounts
  /** Given up by the publisher before they were sent. */
  readonly withdrawn: number
  /** Queued, in flight, or waiting for the store. */
  readonly pending: number
  /** Never taken in, hence not among the accepted. */
  readonly refused: ReasonCounts
}

/**
 * What messages take in memory, in bytes, weighed with what their properties cost.
 */
export interface MessageMemory {
  /** Received messages, until their consumers have finished with them. */
  readonly inbound: number
  /** Messages in the queue and those that are not acknowledged in full. */
  readonly outbound: number
  /** The option `memoryLimit`. */
  readonly limit: number
}

/**
 * What waits in the buffers of a session's streams.
 */
export interface BufferedMessages {
  readonly messages: number
  /** The most that one stream's buffer has ever held. */
  readonly highWater: number
}

/**
 * The commits of a durable session's store.
 */
export interface StoreCommits {
  /** Attempts that the store refused; made again, unless the store is lost for good. */
  readonly failures: number
  /** From the first attempt to success. */
  readonly latency: Latencies
}

/**
 * What handlers, transformers and codecs could not take. Numbers of messages, but for the first two.
 */
export interface HandlerMetrics {
  /** Runs that failed: those that died or interrupted themselves too. */
  readonly failures: number
  /** Runs that tried a message again. */
  readonly retries: number
  /**
   * Acknowledged although no run succeeded, and not among the dead letters: skipped, or the dead letter was refused for
   * good.
   */
  readonly givenUp: number
  /** Published to a dead-letter topic. */
  readonly deadLettered: number
  /** Those that fail now, see `HandlerStatus`. */
  readonly failing: number
  /** Milliseconds since the oldest of them failed first, 0: none fails. */
  readonly oldestFailingAge: number
}

/**
 * The figures of a session since it was made. Times are milliseconds; points in time are counted from the epoch,
 * undefined: never.
 *
 * "Bytes" are those of whole MQTT packets of all types, as they are handed to and taken from the network: below TLS and
 * WebSocket frames.
 */
export interface SessionMetrics {
  /** Since the session was made, or added to its manager. */
  readonly uptime: number
  /** Messages written (QoS 0) or acknowledged in full (QoS 1 and 2): `published.acknowledged`. */
  readonly messagesSent: number
  /** PUBLISH packets that arrived, redeliveries included. */
  readonly messagesReceived: number
  /** Messages handed to streams, counted for each stream. */
  readonly messagesDelivered: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Messages sent and received a second, over the last ten seconds (less, as long as the session is younger). */
  readonly messageRate: number
  /** The same over the whole uptime. */
  readonly averageMessageRate: number
  /** Bytes sent and received a second, over the same ten seconds. */
  readonly bytesRate: number
  /** The last message sent or received. */
  readonly lastMessageAt: number | undefined
  readonly published: PublishedMessages
  /**
   * From acceptance to the last acknowledgement of QoS 1 and 2 messages, time in the queue included; resolved to a
   * millisecond.
   */
  readonly acknowledgement: Latencies
  readonly connections: number
  readonly reconnects: number
  /** By what ended the connection before. */
  readonly reconnectsByReason: ReasonCounts
  /** Failed attempts to connect, lost connections and refused commits. */
  readonly errors: number
  readonly errorsByReason: ReasonCounts
  readonly lastErrorAt: number | undefined
  readonly dropped: { readonly [Cause in MessageDropped["cause"]]: number }
  readonly queuedMessages: number
  /** What the messages in the queue weigh. */
  readonly queuedBytes: number
  /** How long the oldest message has been in the queue, 0: none is. */
  readonly oldestQueuedAge: number
  /** QoS 1 and 2 messages that were sent and are not acknowledged in full. */
  readonly inflight: number
  /** Received messages whose acknowledgement is withheld. */
  readonly unacknowledged: number
  readonly unclaimed: number
  /** Subscriptions that the server has. */
  readonly subscriptions: number
  readonly buffered: BufferedMessages
  readonly memory: MessageMemory
  readonly commits: StoreCommits
  readonly handlers: HandlerMetrics
}
