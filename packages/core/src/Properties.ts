/**
 * The properties of MQTT 5 (section 2.2.2.2), one interface for each packet type that carries them.
 *
 * Absent means not sent: the codec never fills in defaults. Intervals are whole seconds, as on the wire. User
 * properties keep their order and their duplicates. On MQTT 3.1.1 every properties object is empty.
 *
 * In a received packet, more than 32 user properties or subscription identifiers are decoded on each access. The
 * message keeps only their bytes, because the decoded list could take ten times as much memory, and a peer chooses its
 * length. Keep the list in a variable while you work with it.
 */

/**
 * A name and value pair; the same name may appear more than once (MQTT 2.2.2.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type UserProperty = readonly [name: string, value: string]

/**
 * Properties that describe the application message itself and travel with it from publisher to subscriber (MQTT
 * 3.3.2.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface MessageProperties {
  /** 0: unspecified bytes, 1: UTF-8 text. */
  readonly payloadFormatIndicator?: 0 | 1
  /** Lifetime in seconds. */
  readonly messageExpiryInterval?: number
  /** The MIME type of the payload, or any other text that describes it (MQTT 3.3.2.3.9). */
  readonly contentType?: string
  /** The topic name for the answer to a request (MQTT 3.3.2.3.5). */
  readonly responseTopic?: string
  /** The bytes by which a requester knows the answer to its request (MQTT 3.3.2.3.6). */
  readonly correlationData?: Uint8Array
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of a PUBLISH packet (MQTT 3.3.2.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishProperties extends MessageProperties {
  /** A number that stands for the topic name on this connection, from 1 on (MQTT 3.3.2.3.4). */
  readonly topicAlias?: number
  /** Present on packets from a server only: the identifiers of the subscriptions that matched (MQTT 3.3.2.3.8). */
  readonly subscriptionIdentifiers?: ReadonlyArray<number>
}

/**
 * Properties of a will (MQTT 3.1.3.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface WillProperties extends MessageProperties {
  /** Seconds that the server waits before it publishes the will. */
  readonly willDelayInterval?: number
}

/**
 * Properties of CONNECT (MQTT 3.1.2.11).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConnectProperties {
  /** Seconds for which the server keeps the session after the connection; 0xffffffff: without limit. Default 0. */
  readonly sessionExpiryInterval?: number
  /** Number of QoS 1 and 2 messages that the server may send without acknowledgement. Default 65,535. */
  readonly receiveMaximum?: number
  /** The largest packet in bytes that the client accepts. Default: no limit. */
  readonly maximumPacketSize?: number
  /** The highest topic alias that the client accepts. Default 0: none. */
  readonly topicAliasMaximum?: number
  /** Asks the server for Response Information in CONNACK. Default false. */
  readonly requestResponseInformation?: boolean
  /** Whether the server may send reason strings and user properties with any packet. Default true. */
  readonly requestProblemInformation?: boolean
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
  /** The name of the method of enhanced authentication (MQTT 4.12). */
  readonly authenticationMethod?: string
  /** The bytes of that method. */
  readonly authenticationData?: Uint8Array
}

/**
 * Properties of CONNACK: what the server grants and limits (MQTT 3.2.2.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConnackProperties {
  /** Seconds for which the server keeps the session. Default: as requested. */
  readonly sessionExpiryInterval?: number
  /** Number of QoS 1 and 2 messages that the client may send without acknowledgement. Default 65,535. */
  readonly receiveMaximum?: number
  /** The highest quality of service that the server accepts. Default 2. */
  readonly maximumQoS?: 0 | 1
  /** Whether the server retains messages. Default true. */
  readonly retainAvailable?: boolean
  /** The largest packet in bytes that the server accepts. Default: no limit. */
  readonly maximumPacketSize?: number
  /** The client identifier that the server chose, where the client had none. */
  readonly assignedClientIdentifier?: string
  /** The highest topic alias that the server accepts. Default 0: none. */
  readonly topicAliasMaximum?: number
  /** A text of the peer for people, for logs only. */
  readonly reasonString?: string
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
  /** Whether topic filters may have wildcards. Default true. */
  readonly wildcardSubscriptionAvailable?: boolean
  /** Whether subscriptions may have identifiers. Default true. */
  readonly subscriptionIdentifiersAvailable?: boolean
  /** Whether subscriptions may be shared. Default true. */
  readonly sharedSubscriptionAvailable?: boolean
  /** Seconds of keep alive that the client must use instead of its own; 0: off. */
  readonly serverKeepAlive?: number
  /** The beginning of topic names for answers (MQTT 3.2.2.3.15). */
  readonly responseInformation?: string
  /** Other servers that the client can use (MQTT 4.11). */
  readonly serverReference?: string
  /** The name of the method of enhanced authentication (MQTT 4.12). */
  readonly authenticationMethod?: string
  /** The bytes of that method. */
  readonly authenticationData?: Uint8Array
}

/**
 * Properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK (MQTT 3.4.2.2 and alike).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface AcknowledgementProperties {
  /** A text of the peer for people, for logs only. */
  readonly reasonString?: string
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of SUBSCRIBE (MQTT 3.8.2.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscribeProperties {
  /** 1 to 268,435,455. */
  readonly subscriptionIdentifier?: number
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of UNSUBSCRIBE (MQTT 3.10.2.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface UnsubscribeProperties {
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of DISCONNECT (MQTT 3.14.2.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface DisconnectProperties {
  /** Seconds for which the server keeps the session, instead of those of CONNECT. Of clients only. */
  readonly sessionExpiryInterval?: number
  /** A text of the peer for people, for logs only. */
  readonly reasonString?: string
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
  /** Other servers that the client can use (MQTT 4.11). Of servers only. */
  readonly serverReference?: string
}

/**
 * Properties of AUTH (MQTT 3.15.2.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface AuthProperties {
  /** The name of the method of enhanced authentication (MQTT 4.12). */
  readonly authenticationMethod?: string
  /** The bytes of that method. */
  readonly authenticationData?: Uint8Array
  /** A text of the peer for people, for logs only. */
  readonly reasonString?: string
  /** The user properties, in their order. */
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * The shared object for "no properties", so that a packet without properties costs no allocation.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const none: {} = Object.freeze({})
