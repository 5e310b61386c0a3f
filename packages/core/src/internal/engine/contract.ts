/**
 * The contract of the session engine: its inputs, its output and its options.
 *
 * The engine is a pure state machine: it does no I/O, reads no clock (each input carries the time) and knows no Effect.
 * Inputs change its state at once; what the outside has to do about them collects in an `Output`, which the session
 * takes once a loop turn, commits (`changes`), writes (`packets`) and then hands out (`settled`, `deliveries`,
 * `events`).
 */
import type { Message } from "../../Message.ts"
import type { MqttErrorReason, SubscriptionRefused, UnsubscribeRefused } from "../../MqttError.ts"
import type { Packet, Publish } from "../../Packet.ts"
import type { MessageProperties } from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import type { OriginKey, StoreChange, StoreRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { QueuedRecords } from "../store/queuedRecords.ts"

/**
 * The part of the session's options that the engine acts on. Times are milliseconds.
 */
export interface EngineOptions {
  readonly session: string
  /** Unique among all engines that ever ran this session, those of earlier processes included. */
  readonly life: string
  readonly protocolVersion: ProtocolVersion
  /** Receive Maximum of CONNECT, which the engine enforces: unacknowledged QoS 1 and 2 publishes of the server. */
  readonly receiveMaximum: number
  /** Highest topic alias that the client accepts from the server (Topic Alias Maximum of CONNECT). */
  readonly topicAliasMaximum: number
  /** Whether the engine chooses topic aliases for outbound messages itself. */
  readonly topicAliases: "auto" | "explicit"
  /** Upper bound of unacknowledged outbound QoS 1 and 2 publishes; a smaller Receive Maximum of the server wins. */
  readonly maxInflight: number
  /** On 3.1.1 only: upper bound of unacknowledged outbound QoS 2 publishes. */
  readonly maxInflightQoS2: number
  /** Upper bound, in bytes, of received messages that are not acknowledged yet. */
  readonly inboundLimit: number
  readonly queue: {
    readonly messages: number
    /** Of messages that wait to be sent or to be acknowledged. */
    readonly bytes: number
    readonly policy: "suspend" | "fail" | "dropOldest" | "dropNewest" | "latestPerTopic"
    /** Upper bound of the time that a message may wait after its acceptance; undefined: none. */
    readonly expiresAfter?: number | undefined
  }
  readonly onSessionLost: "resubscribe" | "fail"
  readonly unacknowledgedOnSessionLost: "resend" | "fail"
  /**
   * Number of connections that the server may end over one message or subscription before the engine gives it up, see
   * `poison.ts`. 0: no limit.
   */
  readonly poisonThreshold: number
  /** How long a SUBSCRIBE or UNSUBSCRIBE that is refused over a quota is repeated, in milliseconds. */
  readonly subscribeTimeout: number
  readonly subscriptionIdentifiers: "auto" | "off"
  /** Limits that the server has and does not announce. Default: none, and 100 filters in a packet. */
  readonly serverLimits?: UnannouncedLimits | undefined
  /** The session's persistence is `durable`: subscriptions outlive their consumers, and changes are recorded. */
  readonly durable: boolean
  readonly ackDeadline: number
  readonly onAckDeadline: "wait" | "acknowledge" | "reconnect"
  /**
   * How long messages without a consumer are held, and how many are held after no consumer has come within that time.
   */
  readonly unclaimed: { readonly hold: number; readonly messages: number }
}

/**
 * Limits of a server that CONNACK does not tell: all of them on 3.1.1.
 */
export interface UnannouncedLimits {
  /** Bytes; undefined: no limit. */
  readonly maximumPacketSize?: number | undefined
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  /** Topic filters in a SUBSCRIBE or UNSUBSCRIBE. */
  readonly filtersPerSubscribe: number
  /** Subscriptions of the session; undefined: no limit. */
  readonly subscriptions?: number | undefined
}

/**
 * A message to publish. The caller has validated topic and properties.
 */
export interface PublishRequest {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: MessageProperties
  /** A topic alias that the caller chose (1 to the server's Topic Alias Maximum); 0: none. */
  readonly topicAlias: number
  /** Milliseconds after acceptance at which the message expires, unless another limit is reached before. */
  readonly expiresAfter: number | undefined
  /** The inbound message from which a forwarder has made it, or all of them for a batch. */
  readonly origin: OriginKey | ReadonlyArray<OriginKey> | undefined
}

/**
 * How an outbound message ended.
 *
 * `Acknowledged`: QoS 0 was written, QoS 1 and 2 completed the handshake; `reasonCode` is the server's (below 0x80).
 */
export type PublishOutcome =
  | { readonly _tag: "Acknowledged"; readonly reasonCode: number; readonly reasonString: string | undefined }
  | { readonly _tag: "Failed"; readonly reason: MqttErrorReason }

/**
 * An accepted outbound message. The session follows the message by this object. The engine owns all fields but `owner`.
 */
export interface Outbound {
  readonly request: PublishRequest
  readonly sequence: number
  /** Time of acceptance, in the milliseconds of the input that brought the message. */
  readonly acceptedAt: number
  readonly state: "queued" | "publishing" | "releasing" | "settled"
  readonly packetIdentifier: number
  readonly outcome: PublishOutcome | undefined
  /** For the session: the observer of this message. The engine never reads it. */
  owner: OutboundOwner | undefined
}

/**
 * The session's observer of an outbound message.
 */
export interface OutboundOwner {
  /** The acceptance is committed (at once without a durable store). */
  readonly onAccepted: ((outbound: Outbound) => void) | undefined
  /** `outcome` is set; called exactly once. */
  readonly onSettled: ((outbound: Outbound) => void) | undefined
}

/**
 * The answer to `publish`: accepted; `Full` (policy `suspend` with a full queue: try again after
 * `Output.spaceAvailable`); or refused permanently.
 */
export type Admission =
  | { readonly _tag: "Accepted"; readonly outbound: Outbound }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Refused"; readonly reason: MqttErrorReason }

/**
 * One stream of a subscriber, on one or several filters.
 */
export interface ConsumerRequest {
  readonly filters: ReadonlyArray<string>
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retained: "each" | "first" | "none"
  /** Keep the subscription at the server when the last consumer has left. */
  readonly keep: boolean
  /**
   * A named consumer stays known after it has left. Its unfinished messages, and those that arrive for it later, are
   * not acknowledged until a consumer of this name comes back or the name is forgotten. A durable session stores the
   * name.
   */
  readonly name?: string | undefined
}

/**
 * A registered consumer. The session and the engine refer to the consumer by this object. The engine owns all fields
 * but `owner`.
 */
export interface Consumer {
  readonly request: ConsumerRequest
  /**
   * `joining` until every filter has a SUBACK, then `active`; `failed` when a filter was refused or the session was
   * lost with `onSessionLost: "fail"`; after `removeConsumer` `absent` with a name, and otherwise `closed`.
   */
  readonly state: "joining" | "active" | "failed" | "absent" | "closed"
  /** The granted QoS of each filter, in the order of the request, once active. */
  readonly granted: ReadonlyArray<QoS>
  /** The failure, when `failed`. */
  readonly reason: MqttErrorReason | undefined
  /** For the session. The engine never reads it. */
  owner: unknown
}

/**
 * A consumer with a name, see `SubscribeOptions.consumer`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface NamedConsumer {
  /** The name, unique in the session. */
  readonly name: string
  /** Its topic filters. */
  readonly filters: ReadonlyArray<string>
  /** It has left, or has not come since the session was made. Messages wait for it. */
  readonly isAbsent: boolean
  /** Number of messages that it has not finished or that wait for it. */
  readonly unfinished: number
}

/**
 * An inbound message on its way to its consumers. A QoS 1 or 2 delivery is acknowledged to the server when every
 * consumer has finished it, and in the order of arrival.
 */
export interface Delivery {
  readonly message: Message
  /** Time of arrival, on the clock of the engine's inputs. */
  readonly arrivedAt: number
  readonly packetIdentifier: number
  /**
   * The server will send the message again in the resumed session. A copy that no consumer has seen yet is discarded.
   */
  readonly stale: boolean
  /** Number of consumers that have not finished, absent ones included. */
  readonly remaining: number
  /** Memory that the message takes, in bytes. */
  readonly bytes: number
  /**
   * QoS 2 only: identifies one use of the packet identifier. A redelivery of the message has the same value, also after
   * a restart of a durable session; every other message has a different one. Empty for QoS 0 and 1.
   */
  readonly use: string
}

/**
 * A delivery and one of its consumers. These pairs stand in the order in which they must reach the consumer's stream.
 */
export interface DeliveryFor {
  readonly consumer: Consumer
  readonly delivery: Delivery
}

/**
 * What the session should report or do.
 */
export type EngineEvent =
  | { readonly _tag: "SessionLost"; readonly unacknowledged: number; readonly subscriptions: number }
  /** An outbound message was dropped by the queue's policy (its outcome is `Failed` with `Dropped`) or expired. */
  | {
    readonly _tag: "OutboundDropped"
    readonly topic: string
    readonly reason: "dropOldest" | "dropNewest" | "latestPerTopic" | "expired" | "poison"
  }
  /** An inbound message that no consumer claimed was dropped. */
  | { readonly _tag: "UnclaimedDropped"; readonly message: Message }
  /**
   * The oldest unacknowledged delivery has blocked the acknowledgements behind it. Emitted once per delivery. `filters`
   * are those of the consumers that have not finished it, including consumers that have left. `absent` are the names of
   * the consumers that have left and may come back.
   */
  | {
    readonly _tag: "SlowConsumer"
    readonly filters: ReadonlyArray<string>
    readonly absent: ReadonlyArray<string>
    readonly message: Message
    readonly waiting: number
  }
  /** The server refused the subscription of an absent consumer. The engine has forgotten its name. */
  | { readonly _tag: "ConsumerForgotten"; readonly name: string; readonly reason: MqttErrorReason }
  /** Messages of the store failed, which have no owner. The engine loop reports those that were settled. */
  | { readonly _tag: "OrphanFailed"; readonly topic: string; readonly reason: MqttErrorReason; readonly count: number }
  /** The server refused a subscription that is kept without consumers, so no consumer fails. */
  | { readonly _tag: "SubscriptionRefused"; readonly reason: SubscriptionRefused }
  /** The server refused to remove a subscription that has no consumer any more. */
  | { readonly _tag: "UnsubscribeRefused"; readonly reason: UnsubscribeRefused }
  /** A durable session's server has released a QoS 2 packet identifier. Its next use is a new message. */
  | { readonly _tag: "InboundReleased"; readonly packetIdentifier: number }
  /** `onAckDeadline: "reconnect"`: the session should close the connection and connect again. */
  | { readonly _tag: "ReconnectWanted" }
  /** The server has exceeded the Receive Maximum of CONNECT. Emitted once per connection. */
  | { readonly _tag: "ReceiveMaximumExceeded"; readonly receiveMaximum: number }
  /** An acknowledgement with an unknown packet identifier. It is ignored, or answered as MQTT requires. */
  | { readonly _tag: "UnknownPacketIdentifier"; readonly packet: Packet["_tag"]; readonly packetIdentifier: number }

/**
 * What the engine collected since the last `take`. The session carries it out in this order: commit `changes`; write
 * `packets`; call `written`; then hand out the rest.
 */
export interface Output {
  readonly changes: Array<StoreChange>
  readonly packets: Array<Packet>
  /** Newly accepted messages. Their acceptance may be reported once `changes` are committed. */
  readonly accepted: Array<Outbound>
  /** Messages whose `outcome` is set. QoS 0 messages of this output appear here too: they count as written. */
  readonly settled: Array<Outbound>
  readonly deliveries: Array<DeliveryFor>
  /** Consumers that became `active` or `failed`. */
  readonly consumers: Array<Consumer>
  readonly events: Array<EngineEvent>
  /** The queue has room again after `Full` was answered. */
  spaceAvailable: boolean
}

/**
 * The part of an output that depends on no change of the session's state and need not wait for a commit: QoS 0 and 1
 * deliveries, messages that were given up before they were sent, and events.
 */
export type IndependentOutput = Pick<Output, "settled" | "deliveries" | "events" | "spaceAvailable">

/**
 * The limits that CONNACK granted, with MQTT's defaults filled in (MQTT 3.2.2.3). On 3.1.1 they are the limits of the
 * protocol itself.
 */
export interface ServerLimits {
  readonly receiveMaximum: number
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  /** Bytes; 268,435,460 when the server names none. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
}

/**
 * Figures for status, metrics and tests.
 */
export interface EngineStats {
  /** The session of the server, see `Message.serverSession`; before the first connection that of the store. */
  readonly serverSession: string
  /** Messages accepted and not yet sent. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** When the oldest of them was accepted; undefined: none waits. */
  readonly oldestQueuedAt: number | undefined
  /** PUBLISH packets that arrived, on all connections. */
  readonly received: number
  /** Outbound QoS 1 and 2 messages that were sent and not yet acknowledged in full. */
  readonly inflight: number
  /** Memory that they take, in bytes. */
  readonly inflightBytes: number
  /** Inbound deliveries that are not acknowledged yet. */
  readonly unacknowledged: number
  /** Memory that received messages take until their consumers have finished, in bytes. */
  readonly heldBytes: number
  /** The server has reached or exceeded the allowed number of unacknowledged messages. Reading may pause. */
  readonly isWindowExceeded: boolean
  readonly unclaimed: number
  /** Subscriptions that the server is known to have. */
  readonly subscriptions: number
  readonly consumers: number
  /** Filters that wait for SUBACK or UNSUBACK, or for a connection on which to send the request. */
  readonly pendingSubscriptions: number
  /** A publish found the queue full, and `Output.spaceAvailable` has not been set since. */
  readonly isQueueFull: boolean
}

/**
 * Publishes QoS 0 without an output and an outcome. The session tells what becomes of each packet.
 */
export interface Direct {
  /**
   * The packet of a message that may be written before everything that the engine has collected. Undefined: the message
   * has to wait, or is refused; `SessionEngine.publish` says which.
   */
  readonly publish: (request: PublishRequest, now: number) => Publish | undefined
  /**
   * The packet of a message to this topic is in the next write. Answers the sequence number that the message has if it
   * is queued again.
   */
  readonly appended: (topic: string) => number
  /** There are appended packets of which the network may not have all. */
  readonly hasAny: boolean
  /** The topics of these packets. The list does not change any more once they are written, or have returned. */
  readonly topics: ReadonlyArray<string>
  /** There are messages whose publishers were told of success, and that no write has taken on any connection. */
  readonly isOwed: boolean
  /** The network has all appended packets. Answers their number. */
  readonly written: () => number
  /**
   * The connection has ended, and the network has not got the last ones, which are these. `disconnected`, which
   * follows, queues their messages again. Answers the number of those that the network has.
   */
  readonly returned: (packets: ReadonlyArray<Publish>, now: number) => number
}

/**
 * The session engine. All times are milliseconds of one monotonic clock, the same for all inputs; only records and
 * messages have milliseconds since the epoch.
 */
export interface SessionEngine {
  readonly stats: EngineStats
  /**
   * Milliseconds to add to the time of inputs to get milliseconds since the epoch. Changes when the wall clock is set.
   * Default 0.
   */
  epochOffset: number
  /** The limits of the live connection; undefined while there is none. */
  readonly limits: ServerLimits | undefined
  /** There are outcomes, deliveries or events, and nothing has to be written or stored before them. */
  readonly canHandOut: boolean

  /**
   * Takes the collected output and starts a new one; undefined when there is nothing to do. An output holds at most
   * about 1 MiB of PUBLISH packets. Take again after `written` to get the rest: `nextDeadline` answers a time in the
   * past while there is more.
   */
  readonly take: () => Output | undefined
  /**
   * Takes the part that may be handed out while the rest waits for a commit. Works on the collecting output, or on one
   * that was taken.
   */
  readonly takeIndependent: (output?: Output) => IndependentOutput | undefined
  /**
   * The output that was taken last is carried out: its packets are handed to the network. When the connection ends
   * between `take` and `written`, the session calls `disconnected` instead, which queues the QoS 0 messages of that
   * output again.
   */
  readonly written: () => void
  /**
   * Called instead of `written` when the connection breaks. The network has the first `count` new PUBLISH packets of
   * the output that was taken last; retransmissions do not count. A `failure` settles the next message, whose packet
   * cannot be encoded. The QoS 0 messages after it have no outcome: `disconnected` queues them again, and nothing is
   * taken before.
   */
  readonly partlyWritten: (count: number, failure: MqttErrorReason | undefined) => void
  /** Whether the network can take more bytes. While it cannot, new publishes wait in the queue. */
  readonly setWritable: (writable: boolean, now: number) => void

  /**
   * Restores the state from a store's records, before the first connection. `queued` has queued messages that are not
   * among the records. The engine takes them out.
   */
  readonly restore: (records: ReadonlyArray<StoreRecord>, now: number, queued?: QueuedRecords) => void
  /**
   * A CONNECT with this clean start flag and this receive maximum (default: that of the options) is about to be sent.
   * `receive` answers a violation when CONNACK says session present after a clean start, or when there was neither an
   * earlier connection nor a restored record. An `Identity` record is enough.
   */
  readonly connecting: (cleanStart: boolean, receiveMaximum?: number) => void
  /**
   * Takes packets from the wire in order. CONNACK is one of them and begins the connection. A violation ends the input:
   * later packets are ignored until the next CONNACK.
   */
  readonly receive: (packets: ReadonlyArray<Packet>, now: number) => Violation | undefined
  /**
   * The connection has ended, or an attempt failed. `endedByServer` describes how, when the server may have ended it
   * because of a packet that it was sent. `wasAsked` is false when the network got no byte of CONNECT. Otherwise the
   * server may have begun a new session without the client knowing. `isOverQuota`: the server gave a quota as the
   * reason, which is blamed on subscriptions only.
   */
  readonly disconnected: (
    now: number,
    endedByServer?: string,
    wasAsked?: boolean,
    isOverQuota?: boolean
  ) => void

  readonly publish: (request: PublishRequest, now: number) => Admission
  readonly direct: Direct
  /** Withdraws a message that was never sent. True: it is settled, and no outcome is handed out. False: too late. */
  readonly withdraw: (outbound: Outbound, now: number) => boolean
  /**
   * Takes back all acceptances of this output (taken, and neither committed nor written) and of the collecting one.
   * Those messages fail with this reason and are never sent. Answers the keys of the records that must not be in the
   * store.
   */
  readonly reject: (output: Output | undefined, reason: MqttErrorReason, now: number) => ReadonlyArray<string>
  /** Ends the session: settles everything that is not settled yet as failed with this reason. */
  readonly abandon: (reason: MqttErrorReason, now: number) => void

  /** Registers a consumer; a refusal is answered at once and registers nothing. */
  readonly addConsumer: (
    request: ConsumerRequest,
    now: number
  ) => Consumer | { readonly _tag: "Refused"; readonly reason: MqttErrorReason }
  /**
   * The consumer has left. QoS 1 and 2 deliveries that it has not acknowledged stay unacknowledged, whatever other
   * consumers did with them. With a name they wait until a consumer of this name comes back or the name is forgotten.
   * Without one they wait for the next consumer that matches: until the session ends (durable), for `unclaimed.hold`
   * (otherwise), or until `unsubscribe`. The last consumer of a filter removes the subscription at the server, unless
   * it is kept (`keep`, a name, or a durable session).
   */
  readonly removeConsumer: (consumer: Consumer, now: number) => void
  /**
   * Forgets the name of a consumer. Its unfinished messages become unclaimed. A consumer that is present continues
   * without a name. Answers false when the name is not known.
   */
  readonly forgetConsumer: (name: string, now: number) => boolean
  /** The named consumers, absent ones included. */
  readonly namedConsumers: () => ReadonlyArray<NamedConsumer>
  /**
   * Removes the subscription at the server. Does not end or fail consumers on the filter: they just get no more
   * messages.
   */
  readonly unsubscribe: (filter: string, now: number) => void
  /** Whether the server is known to have, or not to have, a subscription to this filter, as wanted. */
  readonly isSettled: (filter: string) => boolean
  /** A consumer has finished a delivery. A reason code of 0x80 or more refuses the message (MQTT 5). */
  readonly acknowledge: (consumer: Consumer, delivery: Delivery, now: number, reasonCode?: number) => void

  /** The use of an inbound QoS 2 packet identifier that the server has not released, see `Delivery.use`. */
  readonly inboundUse: (packetIdentifier: number) => string | undefined

  /** When `tick` has something to do; undefined: never. */
  readonly nextDeadline: () => number | undefined
  readonly tick: (now: number) => void
}
