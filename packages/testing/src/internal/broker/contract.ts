/**
 * The interface of the scripted broker's protocol core. `BrokerCore` exports it.
 */
import type { Violation } from "@effect-mqttx/core/Codec"
import type {
  Connect,
  Packet,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  SubscribeFilter,
  Will
} from "@effect-mqttx/core/Packet"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import type { Journal } from "../../Journal.ts"
import type { BrokerGuard } from "./guard.ts"
import type { PublishedMessage } from "./publishedMessage.ts"

export type { PublishedMessage }

/**
 * The limits and features of the server. Each connection keeps those that were in force when its CONNECT arrived. On
 * MQTT 5, CONNACK announces those that differ from the protocol's defaults (MQTT 3.2.2.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface BrokerLimits {
  /**
   * The number of QoS 1 and 2 publishes of a client that may be unacknowledged. A further one is answered with
   * DISCONNECT 0x93. Default 65,535.
   */
  readonly receiveMaximum: number
  /**
   * The same on 3.1.1, where it cannot be announced and the connection is closed without a packet; undefined: no limit.
   * Default undefined.
   */
  readonly receiveMaximum311: number | undefined
  /**
   * The number of unacknowledged QoS 1 and 2 publishes to one client, even if the client allows more. Default 65,535.
   */
  readonly maximumInflight: number
  /** The number of messages that may wait in one session; further ones are dropped. Default unlimited. */
  readonly maximumQueued: number
  /** The largest packet from a client in bytes; undefined: the largest of the protocol. Default undefined. */
  readonly maximumPacketSize: number | undefined
  /** Default 2. */
  readonly maximumQoS: QoS
  /** Default true. */
  readonly retainAvailable: boolean
  /** Default true. */
  readonly wildcardSubscriptionAvailable: boolean
  /** Default true. */
  readonly subscriptionIdentifiersAvailable: boolean
  /** Default true. */
  readonly sharedSubscriptionAvailable: boolean
  /** The number of topic aliases that a client may use; 0: none. Default 10. */
  readonly topicAliasMaximum: number
  /** Keep alive in seconds that replaces the client's; undefined: the client's applies. Default undefined. */
  readonly serverKeepAlive: number | undefined
  /** The upper limit of every session expiry interval, in seconds. Default unlimited. */
  readonly maximumSessionExpiryInterval: number | undefined
}

/**
 * The client that an authorisation decision is about.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ClientInfo {
  /** The number of its connection. */
  readonly connection: number
  /** The client identifier. */
  readonly clientId: string
  /** The version that it speaks. */
  readonly protocolVersion: ProtocolVersion
  /** The user name of CONNECT; undefined: none. */
  readonly username: string | undefined
}

/**
 * A violation of the protocol, or behaviour that a correct client would avoid.
 *
 * `fatal` violations close the connection. The others are tolerated as the specification demands, and are still
 * mistakes: acknowledgements out of order, or a publish that is resent while the connection lasts.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ClientViolation {
  /** Milliseconds, by the owner's clock. */
  readonly at: number
  /** The number of the connection. */
  readonly connection: number
  /** The client identifier. */
  readonly clientId: string
  /** The reason code of DISCONNECT on MQTT 5. */
  readonly reasonCode: number
  /** The violated rule, in words. */
  readonly detail: string
  /** Whether the connection was closed. */
  readonly fatal: boolean
}

/**
 * How the delivery of one message to one session ended.
 *
 * `Sent`: QoS 0, passed to the network. `Acknowledged`: PUBACK or PUBCOMP. `Refused`: a reason code of 0x80 or more.
 * `Dropped`: the message was too large for the client, its queue was full, or it was QoS 0 and the client was not
 * connected. `SessionEnded`: the session has ended.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface DeliveryOutcome {
  /** The message. */
  readonly message: PublishedMessage
  /** The client identifier. */
  readonly clientId: string
  /** The quality of service of the delivery. */
  readonly qos: QoS
  /** See `DeliveryOutcome`. */
  readonly outcome: "Sent" | "Acknowledged" | "Refused" | "Expired" | "Dropped" | "SessionEnded"
  /** The reason code of the acknowledgement; 0 where there is none. */
  readonly reasonCode: number
}

/**
 * A published message together with the state of its deliveries; `outstanding` counts the sessions that have not
 * finished it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Publication {
  /** The message. */
  readonly message: PublishedMessage
  /** The number of sessions that it is delivered to. */
  readonly deliveries: number
  /** The number of sessions that have not finished it. */
  readonly outstanding: number
  /** For the owner's use, see `BrokerCoreOptions.onPublicationSettled`. */
  owner: unknown
}

/**
 * A message that the server itself publishes. Defaults: QoS 0, not retained, no properties.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ServerMessage {
  /** The topic name. */
  readonly topic: string
  /** The payload. */
  readonly payload: Uint8Array
  /** The quality of service. Default 0. */
  readonly qos?: QoS
  /** Whether it is retained. Default false. */
  readonly retain?: boolean
  /** The MQTT 5 properties. Default: none. */
  readonly properties?: MessageProperties
}

/**
 * A subscription of a session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionView extends SubscribeFilter {
  /** 0: none (MQTT 3.8.2.1.2). */
  readonly subscriptionIdentifier: number
}

/**
 * The observable state of a session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionView {
  /** The client identifier. */
  readonly clientId: string
  /** The version that the client spoke last. */
  readonly protocolVersion: ProtocolVersion
  /** Its current connection. */
  readonly connection: number | undefined
  /** Seconds; Infinity: never. */
  readonly sessionExpiryInterval: number
  /** Its subscriptions. */
  readonly subscriptions: ReadonlyArray<SubscriptionView>
  /** The number of queued messages. */
  readonly queued: number
  /** The number of QoS 1 and 2 messages that were sent and are not completely acknowledged. */
  readonly inflight: number
  /** QoS 2 packet identifiers received from the client and not released. */
  readonly unreleased: ReadonlyArray<number>
  /** The will of its connection; undefined: none. */
  readonly will: Will | undefined
}

/**
 * What a client sent for its authentication: in CONNECT, in an AUTH, or in the AUTH that begins a renewal.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface AuthenticationRequest {
  /** The client identifier of CONNECT. */
  readonly clientId: string
  /** The Authentication Method (MQTT 3.1.2.11.9). */
  readonly method: string
  /** The Authentication Data (MQTT 3.1.2.11.10); undefined: none. */
  readonly data: Uint8Array | undefined
  /** 1 for the packet that begins the exchange, 2 for the client's next answer. */
  readonly round: number
  /** The client is connected, and authenticates again (MQTT 4.12.1). */
  readonly isRenewal: boolean
}

/**
 * The server's answer: ask for more (AUTH 0x18), accept (CONNACK, or AUTH 0x00 for a renewal), or refuse (CONNACK, or
 * DISCONNECT for a renewal).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type AuthenticationAnswer =
  | { readonly _tag: "Continue"; readonly data?: Uint8Array | undefined }
  | { readonly _tag: "Accept"; readonly data?: Uint8Array | undefined }
  | { readonly _tag: "Refuse"; readonly reasonCode: number }

/**
 * Options of the server's behaviour. Callbacks are called synchronously and must not call the core.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface BrokerCoreOptions {
  /** The limits that differ from `defaultLimits`. */
  readonly limits?: Partial<BrokerLimits>
  /**
   * Overlapping subscriptions of one client: `merge` sends one copy with all subscription identifiers (MQTT 3.3.4),
   * `separate` one copy for each subscription, as mosquitto does. Default `merge`.
   */
  readonly overlapping?: "merge" | "separate"
  /** Use topic aliases towards clients that allow them. Default false. */
  readonly assignTopicAliases?: boolean
  /** Keep QoS 0 messages for sessions without a connection. Default false. */
  readonly queueQoS0?: boolean
  /** Send retained messages before SUBACK, which the protocol allows (MQTT 3.8.4). Default false. */
  readonly retainedBeforeSuback?: boolean
  /** Close connections after one and a half keep alive intervals of silence (MQTT 3.1.2.10). Default true. */
  readonly enforceKeepAlive?: boolean
  /**
   * Decides on a CONNECT: 0 accepts, any other reason code of MQTT 5 refuses (translated for 3.1.1). Default: accept.
   */
  readonly authenticate?: (connect: Connect) => number
  /**
   * Decides on each step of an enhanced authentication (MQTT 4.12). Default: every method is refused with 0x8C.
   */
  readonly authenticateEnhanced?: (request: AuthenticationRequest) => AuthenticationAnswer
  /** Decides on a PUBLISH: 0 accepts, a reason code of 0x80 or more refuses. Default: accept. */
  readonly authorizePublish?: (client: ClientInfo, publish: Publish) => number
  /** Decides on a topic filter: 0 accepts, a reason code of 0x80 or more refuses (0x80 on 3.1.1). Default: accept. */
  readonly authorizeSubscribe?: (client: ClientInfo, filter: SubscribeFilter) => number
  /**
   * The journal that state is written to before any of its effects is sent, and read from at the start. Default: none.
   */
  readonly journal?: Journal
  /** The sequence number of the first message, if the journal has none that is higher. Default 1. */
  readonly firstSequence?: number
  /** Returns true for an acknowledgement that must not be sent until `releaseAcknowledgements`. Default: none. */
  readonly holdAcknowledgement?: (client: ClientInfo, packet: Puback | Pubrec | Pubcomp) => boolean
  /** A message was accepted: called for all publishers, in order and after the de-duplication of QoS 2. */
  readonly onPublished?: (message: PublishedMessage) => void
  /** A delivery to one session ended. */
  readonly onDelivery?: (outcome: DeliveryOutcome) => void
  /** No delivery of this publication is outstanding any more; not called for publications without deliveries. */
  readonly onPublicationSettled?: (publication: Publication) => void
  /** A client broke a rule. */
  readonly onViolation?: (violation: ClientViolation) => void
}

/**
 * The options of the core inside this package.
 */
export interface CoreOptions extends BrokerCoreOptions {
  /** Enforces what the server of a profile enforces. Default: nothing beyond the limits. */
  readonly guard?: BrokerGuard | undefined
}

/**
 * The owner's work for one connection: send the packets in order, then close it if asked to. With `close`, the
 * connection no longer exists for the core.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionOutput {
  /** The number of the connection. */
  readonly connection: number
  /** The packets to send, in order. */
  readonly packets: ReadonlyArray<Packet>
  /** Whether to close the connection after them. */
  readonly close: boolean
}

/**
 * The state machine. The owner chooses the numbers of connections and never reuses them. All times are milliseconds of
 * one clock.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface BrokerCore {
  /** The limits of future connections. */
  readonly limits: BrokerLimits
  /** Changes the limits of future connections. */
  readonly setLimits: (limits: Partial<BrokerLimits>) => void

  /** Reports a network connection under a number that was not used before. */
  readonly connectionOpened: (connection: number, now: number) => void
  /** Processes packets of one connection in the order of the wire. Unknown or closed connections are ignored. */
  readonly receive: (connection: number, packets: ReadonlyArray<Packet>, now: number) => void
  /** Reports a violation that the decoder found. The core answers with DISCONNECT on MQTT 5, and closes. */
  readonly malformed: (connection: number, violation: Violation, now: number) => void
  /** Reports the end of the network connection; ignored if the core has closed the connection itself. */
  readonly connectionClosed: (connection: number, now: number) => void
  /** While a connection is not writable, QoS 0 messages to it are dropped and others wait. */
  readonly setWritable: (connection: number, writable: boolean, now: number) => void

  /** Returns the outputs since the last call, by connection. The journal has been written. */
  readonly take: () => ReadonlyArray<ConnectionOutput>

  /** When `tick` may have something to do; undefined: never. */
  readonly nextDeadline: () => number | undefined
  /** Does what is due at this time: keep alive, expiries, delayed wills. */
  readonly tick: (now: number) => void

  /** Publishes as the server itself. */
  readonly publish: (message: ServerMessage, now: number) => Publication
  /** Closes a connection, with DISCONNECT and this reason code on MQTT 5. */
  readonly disconnect: (connection: number, reasonCode: number, now: number) => void
  /**
   * Discards a session like a server that lost its state: no will, no notice; false when there is none. Its connection
   * stays open.
   */
  readonly forgetSession: (clientId: string) => boolean
  /**
   * Sends acknowledgements that `holdAcknowledgement` held back: all of them, or those that `choose` returns, in its
   * order. Returns their number.
   */
  readonly releaseAcknowledgements: (
    connection: number,
    choose?: (held: ReadonlyArray<Puback | Pubrec | Pubcomp>) => ReadonlyArray<Puback | Pubrec | Pubcomp>
  ) => number

  /** The session of a client; undefined: there is none. */
  readonly session: (clientId: string) => SessionView | undefined
  /** All sessions. */
  readonly sessions: () => ReadonlyArray<SessionView>
  /** Retained messages by topic. */
  readonly retained: () => ReadonlyArray<PublishedMessage>
  /** The number of deliveries that are queued or in flight, over all sessions. */
  readonly outstanding: () => number
  /** The same for connected sessions. */
  readonly outstandingConnected: () => number
}
