/**
 * The status of a session: its state, the limits that the server granted, and its metrics.
 *
 * **Example** (Looking at a session)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   yield* session.awaitReady
 *   const { server, state } = yield* session.status
 *   const { messagesSent, queuedMessages } = yield* session.metrics
 *   yield* Effect.log(`${state} to ${server}, ${messagesSent} sent, ${queuedMessages} queued`)
 * })
 * ```
 */
export type { NamedConsumer } from "./internal/engine/contract.ts"
import type { MqttError, MqttErrorReason } from "./MqttError.ts"
import type { ConnackProperties } from "./Properties.ts"
import type { QoS } from "./QoS.ts"
import type { MessageDropped, SessionState } from "./SessionEvent.ts"
import type { Durability } from "./SessionStore.ts"
import type { StreamCertificate } from "./Transport.ts"

/**
 * The state of a session at one moment.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionStatus {
  /** See `SessionState`. */
  readonly state: SessionState
  /** Milliseconds since the epoch when the state began. */
  readonly since: number
  /** Whether it is connected and every subscription is in force at the server. */
  readonly ready: boolean
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** The address in use or being tried, without secrets. */
  readonly server: string | undefined
  /**
   * The protection of its connections. `none`; `verified` by TLS; or `unverified`: TLS with `insecureSkipVerify`, where
   * anyone on the network path can pose as the server.
   */
  readonly tls: "none" | "unverified" | "verified"
  /** Number of attempts to connect since the session was last connected. */
  readonly attempt: number
  /** Why the session is not connected. */
  readonly lastError: MqttError | undefined
  /** A permanent failure: operations that await the server fail with it until a later attempt succeeds. */
  readonly failure: MqttError | undefined
  /**
   * Topic filters whose subscription failed, and why: the latest hundred. A filter is removed when a subscription to it
   * is granted, and by `unsubscribe`.
   */
  readonly subscriptionFailures: ReadonlyMap<string, MqttError>
  /** The store of a durable session; undefined: there is none. */
  readonly storage: StorageStatus | undefined
  /** The messages that handlers currently fail to process. */
  readonly handlers: HandlerStatus
}

/**
 * The messages that fail now. The handler, transformer or codec of each has failed, and it is neither handled nor given
 * up. `statusChanges` emits when the first one begins to fail, and when none fails any more.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface HandlerStatus {
  /** Number of messages that fail now. */
  readonly failing: number
  /** When the oldest of them first failed, in milliseconds since the epoch; undefined: none fails. */
  readonly since: number | undefined
}

/**
 * The status of the store of a session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StorageStatus {
  /** What a successful commit survives at least. */
  readonly durability: Durability
  /** The records are lost when the process that keeps them is killed. */
  readonly volatile: boolean
  /** Why it takes no commits, `StorageFailed`; undefined: it takes them. */
  readonly failure: MqttError | undefined
}

/**
 * The limits that the server granted on the live connection, with MQTT's defaults filled in (MQTT 3.2.2.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionInfo {
  /** The server's address without secrets. */
  readonly server: string
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** Whether the server continues a session that it had. */
  readonly sessionPresent: boolean
  /** Seconds, 0: off. */
  readonly keepAlive: number
  /** Number of QoS 1 and 2 messages that the session may send without acknowledgement. */
  readonly receiveMaximum: number
  /** The highest quality of service that the server accepts. */
  readonly maximumQoS: QoS
  /** Whether the server retains messages. */
  readonly retainAvailable: boolean
  /** Bytes. */
  readonly maximumPacketSize: number
  /** The certificates of the connection; empty without TLS, and in browsers. */
  readonly certificates: ReadonlyArray<StreamCertificate>
  /** The highest topic alias that the server accepts; 0: none. */
  readonly topicAliasMaximum: number
  /** Whether topic filters may have wildcards. */
  readonly wildcardSubscriptionAvailable: boolean
  /** Whether subscriptions may have identifiers. */
  readonly subscriptionIdentifiersAvailable: boolean
  /** Whether subscriptions may be shared. */
  readonly sharedSubscriptionAvailable: boolean
  /** The properties of CONNACK as the server sent them, without the authentication data, which may be secret. */
  readonly properties: ConnackProperties
}

/**
 * Durations in fixed buckets. Times are milliseconds.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Latencies {
  /** Number of durations. */
  readonly count: number
  /** The sum of all durations. */
  readonly total: number
  /** The shortest duration; 0: there was none. */
  readonly min: number
  /** The longest duration; 0: there was none. */
  readonly max: number
  /** The upper bounds of the buckets, ascending. */
  readonly bounds: ReadonlyArray<number>
  /**
   * Number of durations in each bucket: above the bound before and at most its own. The last bucket has no bound and
   * counts the rest.
   */
  readonly buckets: ReadonlyArray<number>
}

/**
 * Counts by the tag of an `MqttError`'s reason. Reasons that never occurred are absent.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ReasonCounts = { readonly [Reason in MqttErrorReason["_tag"]]?: number }

/**
 * Outcomes of the messages that a session accepted. At any time `accepted` is the sum of `acknowledged`, all of
 * `failed`, `withdrawn` and `pending`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishedMessages {
  /** Accepted by the session, including those that a durable session found in its store. */
  readonly accepted: number
  /** Written (QoS 0), or acknowledged in full by the server (QoS 1 and 2). */
  readonly acknowledged: number
  /** Failed permanently: dropped, expired, refused by the server, lost with the session, or unfinished at its end. */
  readonly failed: ReasonCounts
  /** Withdrawn by the publisher before they were sent. */
  readonly withdrawn: number
  /** Queued, in flight, or waiting for the store. */
  readonly pending: number
  /** Never accepted, hence not counted in `accepted`. */
  readonly refused: ReasonCounts
}

/**
 * Memory that messages take, in bytes, including their properties.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface MessageMemory {
  /** Received messages, until their consumers have finished with them. */
  readonly inbound: number
  /** Messages in the queue, and messages that are not acknowledged in full. */
  readonly outbound: number
  /** The option `memoryLimit`. */
  readonly limit: number
}

/**
 * Messages in the buffers of a session's streams.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface BufferedMessages {
  /** Number of messages that wait for their consumers. */
  readonly messages: number
  /** The highest fill that one stream's buffer has had. */
  readonly highWater: number
}

/**
 * The commits of a durable session's store.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StoreCommits {
  /** Attempts that the store refused. They are repeated, unless the store has failed permanently. */
  readonly failures: number
  /** From the first attempt to success. */
  readonly latency: Latencies
}

/**
 * Failures of handlers, transformers and codecs. All are numbers of messages, except the first two.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface HandlerMetrics {
  /** Failed runs, including those that died or interrupted themselves. */
  readonly failures: number
  /** Runs that repeated a message. */
  readonly retries: number
  /**
   * Messages that were acknowledged without a successful run and without a dead letter: skipped, or with a dead letter
   * that was refused permanently.
   */
  readonly givenUp: number
  /** Published to a dead-letter topic. */
  readonly deadLettered: number
  /** Messages that fail now, see `HandlerStatus`. */
  readonly failing: number
  /** Milliseconds since the oldest of them first failed; 0: none fails. */
  readonly oldestFailingAge: number
}

/**
 * The metrics of a session since it was made. Durations are milliseconds. Points in time are milliseconds since the
 * epoch; undefined: never.
 *
 * "Bytes" counts whole MQTT packets of all types, as they are passed to and read from the network: below TLS and
 * WebSocket frames.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionMetrics {
  /** Since the session was made, or added to its manager. */
  readonly uptime: number
  /** Messages written (QoS 0) or acknowledged in full (QoS 1 and 2): `published.acknowledged`. */
  readonly messagesSent: number
  /** PUBLISH packets that arrived, redeliveries included. */
  readonly messagesReceived: number
  /** Messages delivered to streams, counted for each stream. */
  readonly messagesDelivered: number
  /** Bytes passed to the network. */
  readonly bytesSent: number
  /** Bytes read from the network. */
  readonly bytesReceived: number
  /** Messages sent and received per second, over the last ten seconds, or over the uptime if it is shorter. */
  readonly messageRate: number
  /** The same over the whole uptime. */
  readonly averageMessageRate: number
  /** Bytes sent and received per second, over the same ten seconds. */
  readonly bytesRate: number
  /** The last message sent or received. */
  readonly lastMessageAt: number | undefined
  /** Outcomes of the messages that the session accepted. */
  readonly published: PublishedMessages
  /**
   * From acceptance to the last acknowledgement of QoS 1 and 2 messages, time in the queue included; resolved to a
   * millisecond.
   */
  readonly acknowledgement: Latencies
  /** Number of times that a server accepted the connection. */
  readonly connections: number
  /** The same without the first time. */
  readonly reconnects: number
  /** Keyed by the reason that ended the connection before. */
  readonly reconnectsByReason: ReasonCounts
  /** Failed attempts to connect, lost connections and refused commits. */
  readonly errors: number
  /** The same by the reason of the error. */
  readonly errorsByReason: ReasonCounts
  /** The last of these errors. */
  readonly lastErrorAt: number | undefined
  /** Dropped messages by their cause, see `MessageDropped`. */
  readonly dropped: { readonly [Cause in MessageDropped["cause"]]: number }
  /** Messages in the queue. */
  readonly queuedMessages: number
  /** Memory that the messages in the queue take, in bytes. */
  readonly queuedBytes: number
  /** Milliseconds for which the oldest message has been in the queue; 0: the queue is empty. */
  readonly oldestQueuedAge: number
  /** QoS 1 and 2 messages that were sent and are not acknowledged in full. */
  readonly inflight: number
  /** Received messages whose acknowledgement is withheld. */
  readonly unacknowledged: number
  /** Received messages that were dropped because no consumer claimed them in time. */
  readonly unclaimed: number
  /** Subscriptions that the server has. */
  readonly subscriptions: number
  /** Messages in the buffers of its streams. */
  readonly buffered: BufferedMessages
  /** Memory that messages take. */
  readonly memory: MessageMemory
  /** The commits of its store; all 0 without one. */
  readonly commits: StoreCommits
  /** Failures of handlers, transformers and codecs. */
  readonly handlers: HandlerMetrics
}
