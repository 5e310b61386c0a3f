/**
 * What happens to a session over its life, as values.
 */
import type * as Cause from "effect/Cause"
import type { MqttError } from "./MqttError.ts"
import type { FailureOutcome } from "./Subscription.ts"

/**
 * Where a session stands: `disconnected` (not started, or stopped after a permanent failure), `connecting` (for the
 * first time), `connected`, `reconnecting` (after a loss, also while it waits for the next attempt) and `closed`.
 */
export type SessionState = "disconnected" | "connecting" | "connected" | "reconnecting" | "closed"

interface Base<Tag extends string> {
  readonly _tag: Tag
  /** The name of the session. */
  readonly session: string
  /** Milliseconds since the epoch, by Effect's Clock. */
  readonly at: number
}

/** An attempt to connect begins. */
export interface Connecting extends Base<"Connecting"> {
  /** The server's address without secrets. */
  readonly server: string
  /** 1 for the first attempt since the session started or was last connected. */
  readonly attempt: number
}

/** The server accepted the connection. */
export interface Connected extends Base<"Connected"> {
  readonly server: string
  readonly clientId: string
  readonly cleanStart: boolean
  readonly sessionPresent: boolean
  readonly persistent: boolean
  readonly autoReconnect: boolean
  /** Subscriptions that the session holds. */
  readonly subscriptions: number
}

/** The session is connected and every subscription it holds is in force at the server. */
export interface Ready extends Base<"Ready"> {
  readonly subscriptions: number
}

/** The connection is over; `error` is absent after an orderly end on our side. */
export interface Disconnected extends Base<"Disconnected"> {
  readonly error: MqttError | undefined
}

/** The next attempt is due after `delay` milliseconds, the delay that is really waited. */
export interface Reconnecting extends Base<"Reconnecting"> {
  readonly attempt: number
  readonly delay: number
  readonly error: MqttError
}

/** The state changed. */
export interface StateChanged extends Base<"StateChanged"> {
  readonly from: SessionState
  readonly to: SessionState
}

/** The session joined a manager. */
export interface Added extends Base<"Added"> {}

/** The session left a manager. */
export interface Removed extends Base<"Removed"> {}

/** The server no longer had the session: what that concerned at our side. */
export interface SessionLost extends Base<"SessionLost"> {
  /** Outbound QoS 1 and 2 messages whose handshake was not complete. */
  readonly unacknowledged: number
  readonly subscriptions: number
}

/** Messages were dropped, counted by cause over one turn of the event loop. */
export interface MessageDropped extends Base<"MessageDropped"> {
  readonly direction: "inbound" | "outbound"
  readonly cause: "dropOldest" | "dropNewest" | "latestPerTopic" | "expired" | "poison" | "streamOverflow" | "unclaimed"
  /** The topic of the last one. */
  readonly topic: string
  readonly count: number
}

/**
 * Messages could not be handled, transformed or decoded, counted by what became of them over one turn of the event
 * loop. All fields but the count are those of the last one.
 */
export interface HandlerFailed extends Base<"HandlerFailed"> {
  readonly outcome: FailureOutcome
  readonly topic: string
  /** How often this message has failed. */
  readonly attempt: number
  /** Milliseconds until it is tried again, or its dead letter is published again; undefined: never. */
  readonly delay: number | undefined
  /** What failed: the handler's own error, or what it died of. */
  readonly cause: Cause.Cause<unknown>
  /** Why its dead letter was refused. */
  readonly error: MqttError | undefined
  readonly count: number
}

/**
 * Accepted messages failed whose outcome is awaited by no one, counted by reason over one turn of the event loop: those
 * of `enqueue`, and those that a durable session found in its store. What a queue's policy dropped, and what expired,
 * is MessageDropped.
 */
export interface MessageFailed extends Base<"MessageFailed"> {
  /** The reason, with the topic of the last one. */
  readonly error: MqttError
  readonly count: number
}

/** A message that a consumer has not finished holds back the acknowledgements of those behind it. */
export interface SlowConsumer extends Base<"SlowConsumer"> {
  /** The topic filters of the consumers that have not finished. */
  readonly filters: ReadonlyArray<string>
  /**
   * The names of those that are absent: the message waits until they are back or forgotten, see
   * `SubscribeOptions.consumer`.
   */
  readonly absent: ReadonlyArray<string>
  readonly topic: string
  /** Messages whose acknowledgement waits. */
  readonly waiting: number
}

/** The server refused the subscription of an absent consumer: nothing waits for it any more. */
export interface ConsumerForgotten extends Base<"ConsumerForgotten"> {
  /** Its name. */
  readonly consumer: string
  readonly error: MqttError
}

/** A subscription was refused, or is over because of a failure: nothing arrives by it until it is made again. */
export interface SubscriptionFailed extends Base<"SubscriptionFailed"> {
  readonly filters: ReadonlyArray<string>
  /** The route or forwarder that it belongs to; undefined: it is the program's own. */
  readonly consumer: string | undefined
  readonly error: MqttError
}

/** A subscription that the server had refused is in force. */
export interface SubscriptionRestored extends Base<"SubscriptionRestored"> {
  readonly filters: ReadonlyArray<string>
}

/**
 * Received messages took all that `memoryLimit` leaves for them. Reading from the network has waited a second for their
 * consumers; or the connection is closed (Quota exceeded, 0x97), since more came with what the session was waiting for.
 */
export interface MemoryLimitReached extends Base<"MemoryLimitReached"> {
  /** What received messages take, in bytes. */
  readonly bytes: number
  /** What they may take. */
  readonly limit: number
  readonly isClosing: boolean
}

/**
 * The server has sent more unacknowledged messages than the session's Receive Maximum allows (MQTT 3.3.4). They are
 * taken as long as there is memory; told once for each connection.
 */
export interface ReceiveMaximumExceeded extends Base<"ReceiveMaximumExceeded"> {
  readonly receiveMaximum: number
}

/**
 * A session that outlives its connection joined a group of subscribers: while it is away the server may go on giving it
 * its share of the messages, which then wait for it instead of going to the others (MQTT 4.8.2). Members with
 * `persistence: "none"` strand nothing.
 */
export interface SharedSubscriptionAtRisk extends Base<"SharedSubscriptionAtRisk"> {
  readonly filters: ReadonlyArray<string>
  readonly persistence: "process" | "durable"
}

/**
 * The store did not take a commit; the session tries again and settles nothing that depends on it meanwhile. Told once,
 * until StorageRecovered, however often it tries.
 */
export interface StorageDegraded extends Base<"StorageDegraded"> {
  readonly error: MqttError
}

/** The store takes commits again. */
export interface StorageRecovered extends Base<"StorageRecovered"> {}

/** The store held records that it could not read; they are gone. */
export interface StorageDamaged extends Base<"StorageDamaged"> {
  /** Records that the session goes on with. */
  readonly kept: number
  /** As far as the store can tell. */
  readonly lost: number | undefined
  readonly detail: string
}

/**
 * An event in the life of a session.
 */
export type SessionEvent =
  | Connecting
  | Connected
  | Ready
  | Disconnected
  | Reconnecting
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
