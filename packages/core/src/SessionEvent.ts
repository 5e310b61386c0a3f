/**
 * Events of a session, as values.
 *
 * **Example** (Reacting to one kind of event)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 * import { Effect, Stream } from "effect"
 *
 * export const report = Effect.gen(function*() {
 *   const manager = yield* SessionManager.SessionManager
 *   yield* manager.eventsOf({ type: "MessageDropped" }).pipe(
 *     Stream.runForEach(({ cause, count, session }) => Effect.logWarning(`${session}: ${count} dropped, ${cause}`))
 *   )
 * })
 * ```
 */
import type * as Cause from "effect/Cause"
import type { MqttError } from "./MqttError.ts"
import type { FailureOutcome } from "./Subscription.ts"

/**
 * The state of a session: `disconnected` (not started, or stopped after a permanent failure), `connecting` (for the
 * first time), `connected`, `reconnecting` (after a loss, including the wait for the next attempt) and `closed`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type SessionState = "disconnected" | "connecting" | "connected" | "reconnecting" | "closed"

interface Base<Tag extends string> {
  /** The kind of event. */
  readonly _tag: Tag
  /** The name of the session. */
  readonly session: string
  /** Milliseconds since the epoch, by Effect's Clock. */
  readonly at: number
}

/**
 * An attempt to connect begins.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Connecting extends Base<"Connecting"> {
  /** The server's address without secrets. */
  readonly server: string
  /** 1 for the first attempt since the session started or was last connected. */
  readonly attempt: number
}

/**
 * The server accepted the connection.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Connected extends Base<"Connected"> {
  /** The server's address without secrets. */
  readonly server: string
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** Whether the session asked for a new session at the server. */
  readonly cleanStart: boolean
  /** Whether the server continues a session that it had. */
  readonly sessionPresent: boolean
  /** Whether the persistence of the session is `process` or `durable`. */
  readonly persistent: boolean
  /** Whether the session connects again after a loss. */
  readonly autoReconnect: boolean
  /** Number of subscriptions that the session holds. */
  readonly subscriptions: number
}

/**
 * The session is connected and every subscription it holds is in force at the server.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Ready extends Base<"Ready"> {
  /** Number of subscriptions that are in force. */
  readonly subscriptions: number
}

/**
 * The connection has ended. `error` is absent after an orderly end by this client.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Disconnected extends Base<"Disconnected"> {
  /** Why the connection ended; undefined after an orderly end by this client. */
  readonly error: MqttError | undefined
}

/**
 * The next attempt follows after `delay` milliseconds. This is the real delay.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Reconnecting extends Base<"Reconnecting"> {
  /** The number of the attempt that follows, see `Connecting.attempt`. */
  readonly attempt: number
  /** Milliseconds until the attempt. */
  readonly delay: number
  /** Why the session is not connected. */
  readonly error: MqttError
}

/**
 * New credentials are in force on the open connection, or on the one that follows a planned reconnect.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CredentialsRefreshed extends Base<"CredentialsRefreshed"> {
  /** When they expire, in milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined
}

/**
 * New credentials could not be fetched. The connection continues with the old ones, and the session tries again.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CredentialsNotRefreshed extends Base<"CredentialsNotRefreshed"> {
  /** Why, as the provider says. */
  readonly error: MqttError
  /** When the old ones expire, in milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined
}

/**
 * A certificate of the connection is about to expire: that of the server, or that of this client. Reported once for
 * each of the `certificateThresholds` and connection.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CertificateExpiring extends Base<"CertificateExpiring"> {
  /** Whose certificate it is. */
  readonly certificate: "server" | "client"
  /** Its subject, for example `CN=broker.example`. */
  readonly subject: string
  /** When it expires, in milliseconds since the epoch. */
  readonly expiresAt: number
  /** Days until then, rounded up; 0: it has expired. */
  readonly daysLeft: number
}

/**
 * The state changed.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StateChanged extends Base<"StateChanged"> {
  /** The state before. */
  readonly from: SessionState
  /** The state now. */
  readonly to: SessionState
}

/**
 * The session joined a manager.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Added extends Base<"Added"> {}

/**
 * The session left a manager.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Removed extends Base<"Removed"> {}

/**
 * The server no longer had the session. The counts say what this affects in the client.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionLost extends Base<"SessionLost"> {
  /** Outbound QoS 1 and 2 messages whose handshake was not complete. */
  readonly unacknowledged: number
  /** Subscriptions that the session had at the server. */
  readonly subscriptions: number
}

/**
 * Messages were dropped, counted by cause over one turn of the event loop.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface MessageDropped extends Base<"MessageDropped"> {
  /** `inbound`: received messages. `outbound`: messages to publish. */
  readonly direction: "inbound" | "outbound"
  /**
   * The policy of the queue, the expiry of the message, a message that ends the connection each time (`poison`), a slow
   * stream, or no consumer.
   */
  readonly cause: "dropOldest" | "dropNewest" | "latestPerTopic" | "expired" | "poison" | "streamOverflow" | "unclaimed"
  /** The topic of the last dropped message. */
  readonly topic: string
  /** Number of messages in this turn. */
  readonly count: number
}

/**
 * Messages could not be handled, transformed or decoded, counted by outcome over one turn of the event loop. All fields
 * except the count are those of the last message.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface HandlerFailed extends Base<"HandlerFailed"> {
  /** What happened to the message. */
  readonly outcome: FailureOutcome
  /** The topic of the message. */
  readonly topic: string
  /** Number of times that this message has failed. */
  readonly attempt: number
  /** Milliseconds until the message is tried again, or its dead letter is published again; undefined: never. */
  readonly delay: number | undefined
  /** The handler's own error, or the cause of its death. */
  readonly cause: Cause.Cause<unknown>
  /** Why the dead letter was refused. */
  readonly error: MqttError | undefined
  /** Number of messages in this turn. */
  readonly count: number
}

/**
 * Accepted messages failed whose outcome no fiber awaits, counted by reason over one turn of the event loop. They are
 * messages of `enqueue`, and messages that a durable session found in its store. Messages that a queue's policy
 * dropped, and expired messages, are reported as MessageDropped.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface MessageFailed extends Base<"MessageFailed"> {
  /** The reason, with the topic of the last message. */
  readonly error: MqttError
  /** Number of messages in this turn. */
  readonly count: number
}

/**
 * A message that a consumer has not finished blocks the acknowledgements behind it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SlowConsumer extends Base<"SlowConsumer"> {
  /** The topic filters of the consumers that have not finished. */
  readonly filters: ReadonlyArray<string>
  /**
   * The names of those that are absent. The message waits until they come back or are forgotten, see
   * `SubscribeOptions.consumer`.
   */
  readonly absent: ReadonlyArray<string>
  /** The topic of the message. */
  readonly topic: string
  /** Number of messages whose acknowledgement waits. */
  readonly waiting: number
}

/**
 * The server refused the subscription of an absent consumer. No messages wait for the consumer any more.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConsumerForgotten extends Base<"ConsumerForgotten"> {
  /** Its name. */
  readonly consumer: string
  /** Why the server refused the subscription. */
  readonly error: MqttError
}

/**
 * A subscription was refused, or ended because of a failure. It delivers no messages until it is made again.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionFailed extends Base<"SubscriptionFailed"> {
  /** Its topic filters. */
  readonly filters: ReadonlyArray<string>
  /** The route or forwarder that owns it; undefined: the program itself subscribed. */
  readonly consumer: string | undefined
  /** Why it failed. */
  readonly error: MqttError
}

/**
 * The server granted a subscription that it had refused before.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionRestored extends Base<"SubscriptionRestored"> {
  /** Its topic filters. */
  readonly filters: ReadonlyArray<string>
}

/**
 * Received messages reached the limit that `memoryLimit` sets for them. Either reading from the network has waited a
 * second for their consumers, or the connection is closed (Quota exceeded, 0x97) because more messages came with an
 * answer for which the session waited.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface MemoryLimitReached extends Base<"MemoryLimitReached"> {
  /** Memory that received messages take, in bytes. */
  readonly bytes: number
  /** Limit of this memory, in bytes. */
  readonly limit: number
  /** Whether the connection is closed. */
  readonly isClosing: boolean
}

/**
 * The server has sent more unacknowledged messages than the session's Receive Maximum allows (MQTT 3.3.4). The session
 * accepts them while it has memory. Emitted once for each connection.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ReceiveMaximumExceeded extends Base<"ReceiveMaximumExceeded"> {
  /** The number of messages that the session allows. */
  readonly receiveMaximum: number
}

/**
 * A session that outlives its connection joined a group of subscribers. While it is away, the server may continue to
 * assign it a share of the messages, which then wait for it instead of going to the other members (MQTT 4.8.2). Members
 * with `persistence: "none"` have no such messages.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SharedSubscriptionAtRisk extends Base<"SharedSubscriptionAtRisk"> {
  /** The filters of the shared subscription. */
  readonly filters: ReadonlyArray<string>
  /** The persistence of the session. */
  readonly persistence: "process" | "durable"
}

/**
 * The store did not take a commit. The session tries again, and settles nothing that depends on the commit meanwhile.
 * Emitted once until StorageRecovered, whatever the number of attempts.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StorageDegraded extends Base<"StorageDegraded"> {
  /** Why the store did not take the commit. */
  readonly error: MqttError
}

/**
 * The store takes commits again.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StorageRecovered extends Base<"StorageRecovered"> {}

/**
 * The store held records that it could not read. Those records are lost.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StorageDamaged extends Base<"StorageDamaged"> {
  /** Number of records with which the session continues. */
  readonly kept: number
  /** Number of lost records, as far as the store can tell. */
  readonly lost: number | undefined
  /** What the store found, in words. */
  readonly detail: string
}

/**
 * An event in the life of a session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type SessionEvent =
  | Connecting
  | Connected
  | Ready
  | Disconnected
  | Reconnecting
  | CredentialsRefreshed
  | CredentialsNotRefreshed
  | CertificateExpiring
  | StateChanged
  | Added
  | Removed
  | SessionLost
  | MessageDropped
  | HandlerFailed
  | MessageFailed
  | SlowConsumer
  | ConsumerForgotten
  | MemoryLimitReached
  | ReceiveMaximumExceeded
  | SubscriptionFailed
  | SubscriptionRestored
  | SharedSubscriptionAtRisk
  | StorageDegraded
  | StorageRecovered
  | StorageDamaged
