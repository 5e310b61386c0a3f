/**
 * What goes into the session engine and what comes out of it.
 *
 * The engine is a pure state machine: it does no I/O, reads no clock (each input carries the time) and knows no Effect.
 * Inputs change its state at once; what the outside has to do about them collects in an `Output`, which the session
 * takes once a loop turn, commits (`changes`), writes (`packets`) and then hands out (`settled`, `deliveries`,
 * `events`).
 */
import type { Message } from "../../Message.ts"
import type { MqttErrorReason, SubscriptionRefused, UnsubscribeRefused } from "../../MqttError.ts"
import type { Packet } from "../../Packet.ts"
import type { MessageProperties } from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import type { OriginKey, StoreChange, StoreRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"

/**
 * The part of the session's options that the engine acts on. Times are milliseconds.
 */
export interface EngineOptions {
  readonly session: string
  /** Unlike that of any other engine of this session, also of earlier processes. */
  readonly life: string
  readonly protocolVersion: ProtocolVersion
  /** What the client announces in CONNECT and enforces: unacknowledged QoS 1 and 2 publishes of the server. */
  readonly receiveMaximum: number
  /** Inbound topic aliases that the client announces. */
  readonly topicAliasMaximum: number
  /** Upper bound of unacknowledged outbound QoS 1 and 2 publishes, whatever the server allows. */
  readonly maxInflight: number
  /** On 3.1.1 only: upper bound of unacknowledged outbound QoS 2 publishes. */
  readonly maxInflightQoS2: number
  /** What received messages may take, in bytes, until they are acknowledged. */
  readonly inboundLimit: number
  readonly queue: {
    readonly messages: number
    /** Of messages that wait to be sent or acknowledged. */
    readonly bytes: number
    readonly policy: "suspend" | "fail" | "dropOldest" | "dropNewest" | "latestPerTopic"
    /** How long any message is worth sending after its acceptance; undefined: for ever. */
    readonly expiresAfter?: number | undefined
  }
  readonly onSessionLost: "resubscribe" | "fail"
  readonly unacknowledgedOnSessionLost: "resend" | "fail"
  /** How many connections a message or a subscription may end before it is given up, see `poison.ts`; 0: any number. */
  readonly poisonThreshold: number
  readonly subscriptionIdentifiers: "auto" | "off"
  /** The session's persistence is `durable`: subscriptions outlive their consumers, and changes are recorded. */
  readonly durable: boolean
  readonly ackDeadline: number
  readonly onAckDeadline: "wait" | "acknowledge" | "reconnect"
  /** How long messages without a consumer are held, and how many once none has come for some in that time. */
  readonly unclaimed: { readonly hold: number; readonly messages: number }
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
  /** A topic alias that the caller chose (1 to the server's maximum), 0: none. */
  readonly topicAlias: number
  /**
   * Milliseconds after acceptance when the message is no longer worth sending; undefined: by its Message Expiry
   * Interval only.
   */
  readonly expiresAfter: number | undefined
  readonly origin: OriginKey | undefined
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
 * An accepted outbound message: the token by which the session follows it. The engine owns all fields but `owner`.
 */
export interface Outbound {
  readonly request: PublishRequest
  readonly sequence: number
  /** Milliseconds, see the input that brought it. */
  readonly acceptedAt: number
  readonly state: "queued" | "publishing" | "releasing" | "settled"
  readonly packetIdentifier: number
  readonly outcome: PublishOutcome | undefined
  /** Free for the session: whom to tell. */
  owner: OutboundOwner | undefined
}

/**
 * Whom the session tells about an outbound message.
 */
export interface OutboundOwner {
  /** The acceptance is committed (at once without a durable store). */
  readonly onAccepted: ((outbound: Outbound) => void) | undefined
  /** `outcome` is set; called exactly once. */
  readonly onSettled: ((outbound: Outbound) => void) | undefined
}

/**
 * The answer to `publish`: accepted, to be tried again after `Output.spaceAvailable` (policy `suspend` with a full
 * queue), or refused for good.
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
   * A consumer with a name stays known when it has left: what it has not finished, and what arrives for it, is not
   * acknowledged until a consumer of this name comes back, or the name is forgotten. A durable session stores it.
   */
  readonly name?: string | undefined
}

/**
 * A registered consumer: the token by which the session and the engine speak about it. The engine owns all fields but
 * `owner`.
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
  /** Why, when failed. */
  readonly reason: MqttErrorReason | undefined
  /** Free for the session. */
  owner: unknown
}

/**
 * A consumer with a name, see `SubscribeOptions.consumer`.
 */
export interface NamedConsumer {
  readonly name: string
  readonly filters: ReadonlyArray<string>
  /** It has left, or has not come since the session was made; messages wait for it. */
  readonly isAbsent: boolean
  /** Messages that it has not finished, or that wait for it. */
  readonly unfinished: number
}

/**
 * An inbound message on its way to its consumers. QoS 1 and 2 deliveries are acknowledged to the server, in the order
 * of arrival, when every consumer is done with them.
 */
export interface Delivery {
  readonly message: Message
  /** When it arrived, by the time of inputs. */
  readonly arrivedAt: number
  readonly packetIdentifier: number
  /** The server delivers the message anew in the resumed session: a copy that no consumer has seen yet is worthless. */
  readonly stale: boolean
  /** Consumers that are not done yet, absent ones included. */
  readonly remaining: number
  /** What the message takes of memory, in bytes. */
  readonly bytes: number
  /**
   * Of QoS 2: the same for a redelivery of the message, also after a restart of a durable session, and different for
   * every other one. Otherwise empty.
   */
  readonly use: string
}

/**
 * A delivery together with one of its consumers, in the order in which they must reach the consumer's stream.
 */
export interface DeliveryFor {
  readonly consumer: Consumer
  readonly delivery: Delivery
}

/**
 * What the session should tell the world, or do.
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
   * The oldest unacknowledged delivery has blocked the acknowledgements behind it; once per delivery. `filters` are
   * those of the consumers that have not finished with it, also of those that have left; `absent` are the names of the
   * consumers that have left and may come back.
   */
  | {
    readonly _tag: "SlowConsumer"
    readonly filters: ReadonlyArray<string>
    readonly absent: ReadonlyArray<string>
    readonly message: Message
    readonly waiting: number
  }
  /** The server has refused the subscription of an absent consumer: its name is forgotten. */
  | { readonly _tag: "ConsumerForgotten"; readonly name: string; readonly reason: MqttErrorReason }
  /** An accepted message failed that has no owner, since the store brought it. Told by the driver. */
  | { readonly _tag: "OrphanFailed"; readonly topic: string; readonly reason: MqttErrorReason }
  /** The server refuses a subscription that stays without consumers, so that none of them fails. */
  | { readonly _tag: "SubscriptionRefused"; readonly reason: SubscriptionRefused }
  /** The server keeps a subscription that nobody wants any more. */
  | { readonly _tag: "UnsubscribeRefused"; readonly reason: UnsubscribeRefused }
  /** A durable session's server has released a QoS 2 identifier: its next message is a new one. */
  | { readonly _tag: "InboundReleased"; readonly packetIdentifier: number }
  /** `onAckDeadline: "reconnect"` wants the connection closed and made anew. */
  | { readonly _tag: "ReconnectWanted" }
  /** The server has sent more than the Receive Maximum of CONNECT; once for each connection. */
  | { readonly _tag: "ReceiveMaximumExceeded"; readonly receiveMaximum: number }
  /** An acknowledgement that belongs to nothing we know (ignored, answered as MQTT says). */
  | { readonly _tag: "UnknownPacketIdentifier"; readonly packet: Packet["_tag"]; readonly packetIdentifier: number }

/**
 * What collected since the last `take`, to be carried out in this order: commit `changes`; write `packets`; call
 * `written`; then hand out the rest.
 */
export interface Output {
  readonly changes: Array<StoreChange>
  readonly packets: Array<Packet>
  /** Newly accepted messages, whose acceptance is safe once `changes` are committed. */
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
 * The part of an output that rests on no change of the session's state, so that it need not wait for a commit: QoS 0
 * and 1 deliveries, messages that were given up before they were sent, and events.
 */
export type IndependentOutput = Pick<Output, "settled" | "deliveries" | "events" | "spaceAvailable">

/**
 * What CONNACK granted, with MQTT's defaults filled in (MQTT 3.2.2.3). On 3.1.1 the limits are those that the protocol
 * itself has.
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
  /** Messages accepted and not yet sent. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** When the first of them was accepted; undefined: there is none. */
  readonly oldestQueuedAt: number | undefined
  /** PUBLISH packets that arrived, on all connections. */
  readonly received: number
  /** Outbound QoS 1 and 2 messages that were sent and not yet acknowledged in full. */
  readonly inflight: number
  /** What they take of memory, in bytes. */
  readonly inflightBytes: number
  /** Inbound deliveries that are not acknowledged yet. */
  readonly unacknowledged: number
  /** What they take of memory, in bytes, until their consumers have finished. */
  readonly heldBytes: number
  /** The server has as many unacknowledged messages under way as it may, or more: reading can wait. */
  readonly isWindowExceeded: boolean
  readonly unclaimed: number
  /** Subscriptions that the server has, as far as known. */
  readonly subscriptions: number
  readonly consumers: number
  /** Filters that wait for a SUBACK or UNSUBACK, or for a connection to ask for one. */
  readonly pendingSubscriptions: number
}

/**
 * The session engine. All times are milliseconds of one monotonic clock, the same for all inputs; only records and
 * messages have milliseconds since the epoch.
 */
export interface SessionEngine {
  readonly stats: EngineStats
  /**
   * What is to be added to the time of inputs for milliseconds since the epoch; it changes when the wall clock is set.
   * Default 0.
   */
  epochOffset: number
  /** The limits of the live connection; undefined while there is none. */
  readonly limits: ServerLimits | undefined

  /**
   * Takes the collected output and starts a new one; undefined when there is nothing to do. An output holds about a
   * mebibyte of PUBLISH packets at most: take again after `written` to get the rest (`nextDeadline` answers a time that
   * has come while there is more).
   */
  readonly take: () => Output | undefined
  /**
   * Takes, out of the collecting output or of one that was taken, what may be handed out while the rest waits for a
   * commit.
   */
  readonly takeIndependent: (output?: Output) => IndependentOutput | undefined
  /**
   * The output that was taken last is carried out: its packets are handed to the network. (When the connection ends
   * between `take` and `written`, the session calls `disconnected` in its stead: the QoS 0 messages of that output are
   * queued again.)
   */
  readonly written: () => void
  /**
   * In place of `written`, when the connection breaks: the network has the first `count` of the new PUBLISH packets of
   * the output that was taken last (those that are not sent again). A `failure` settles the message behind them, whose
   * packet cannot be encoded. QoS 0 messages behind that have no outcome: `disconnected`, before which nothing more is
   * taken, queues them again.
   */
  readonly partlyWritten: (count: number, failure: MqttErrorReason | undefined) => void
  /** The network can (not) take more bytes: while it cannot, new publishes wait in the queue. */
  readonly setWritable: (writable: boolean, now: number) => void

  /** Restores the state from a store's records, before the first connection. */
  readonly restore: (records: ReadonlyArray<StoreRecord>, now: number) => void
  /**
   * A CONNECT with this clean start flag, and this receive maximum (by default that of the options), is about to be
   * sent. `receive` answers a violation when the CONNACK says session present although it was a clean start, or
   * although there has been neither a connection nor a restored record (an `Identity` is enough) before.
   */
  readonly connecting: (cleanStart: boolean, receiveMaximum?: number) => void
  /**
   * Takes packets from the wire, in order, CONNACK included (which begins the connection). A violation ends the input:
   * what follows is ignored until the next CONNACK.
   */
  readonly receive: (packets: ReadonlyArray<Packet>, now: number) => Violation | undefined
  /**
   * The connection is over, or an attempt failed. `endedByServer` says how, when the server has ended it for a reason
   * that may lie in what it was sent. `wasAsked` is false when the network has got nothing of CONNECT; otherwise the
   * server may have begun a new session without the client knowing.
   */
  readonly disconnected: (now: number, endedByServer?: string, wasAsked?: boolean) => void

  readonly publish: (request: PublishRequest, now: number) => Admission
  /** Withdraws a message that was never sent (true: it is settled, with no outcome to hand out). False: too late. */
  readonly withdraw: (outbound: Outbound, now: number) => boolean
  /**
   * Takes back the acceptance of everything that this output (taken, and neither committed nor written) and the
   * collecting one have accepted: it fails with this reason and is never sent. Answers the keys of the records that
   * must not be in the store.
   */
  readonly reject: (output: Output | undefined, reason: MqttErrorReason, now: number) => ReadonlyArray<string>
  /** Settles everything that is not settled yet as failed with this reason: the session ends. */
  readonly abandon: (reason: MqttErrorReason, now: number) => void

  /** Registers a consumer; a refusal is answered at once and registers nothing. */
  readonly addConsumer: (
    request: ConsumerRequest,
    now: number
  ) => Consumer | { readonly _tag: "Refused"; readonly reason: MqttErrorReason }
  /**
   * The consumer has left. QoS 1 and 2 deliveries that it has not acknowledged stay unacknowledged, whatever others
   * have done with them: with a name until a consumer of this name comes back or the name is forgotten; without one for
   * the next consumer that matches, until the session ends (durable) or for `unclaimed.hold`, or until `unsubscribe`.
   * The last consumer of a filter removes the subscription at the server, unless it is kept (`keep`, a name, or a
   * durable session).
   */
  readonly removeConsumer: (consumer: Consumer, now: number) => void
  /**
   * Forgets the name of a consumer: what it has not finished counts as unclaimed. One that is not absent goes on
   * without a name. False: the name is not known.
   */
  readonly forgetConsumer: (name: string, now: number) => boolean
  /** The consumers that have a name, absent ones included. */
  readonly namedConsumers: () => ReadonlyArray<NamedConsumer>
  /** Removes the subscription at the server, and fails or ends nothing: consumers on the filter end up without it. */
  readonly unsubscribe: (filter: string, now: number) => void
  /** Whether the server has, or has not, a subscription to this filter as it is wanted, as far as known. */
  readonly isSettled: (filter: string) => boolean
  /** A consumer is done with a delivery; a reason code of 0x80 or more refuses the message (MQTT 5). */
  readonly acknowledge: (consumer: Consumer, delivery: Delivery, now: number, reasonCode?: number) => void

  /** The use of an inbound QoS 2 packet identifier that the server has not released, see `Delivery.use`. */
  readonly inboundUse: (packetIdentifier: number) => string | undefined

  /** When `tick` has something to do; undefined: never. */
  readonly nextDeadline: () => number | undefined
  readonly tick: (now: number) => void
}
