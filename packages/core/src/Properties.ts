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
 */
export type UserProperty = readonly [name: string, value: string]

/**
 * Properties that describe the application message itself and travel with it from publisher to subscriber (MQTT
 * 3.3.2.3).
 */
export interface MessageProperties {
  /** 0: unspecified bytes, 1: UTF-8 text. */
  readonly payloadFormatIndicator?: 0 | 1
  /** Lifetime in seconds. */
  readonly messageExpiryInterval?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of a PUBLISH packet (MQTT 3.3.2.3).
 */
export interface PublishProperties extends MessageProperties {
  readonly topicAlias?: number
  /** Present on packets from a server only: the identifiers of the subscriptions that matched (MQTT 3.3.2.3.8). */
  readonly subscriptionIdentifiers?: ReadonlyArray<number>
}

/**
 * Properties of a will (MQTT 3.1.3.2).
 */
export interface WillProperties extends MessageProperties {
  /** Seconds that the server waits before it publishes the will. */
  readonly willDelayInterval?: number
}

/**
 * Properties of CONNECT (MQTT 3.1.2.11).
 */
export interface ConnectProperties {
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  readonly maximumPacketSize?: number
  readonly topicAliasMaximum?: number
  readonly requestResponseInformation?: boolean
  readonly requestProblemInformation?: boolean
  readonly userProperties?: ReadonlyArray<UserProperty>
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

/**
 * Properties of CONNACK: what the server grants and limits (MQTT 3.2.2.3).
 */
export interface ConnackProperties {
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  readonly maximumQoS?: 0 | 1
  readonly retainAvailable?: boolean
  readonly maximumPacketSize?: number
  readonly assignedClientIdentifier?: string
  readonly topicAliasMaximum?: number
  readonly reasonString?: string
  readonly userProperties?: ReadonlyArray<UserProperty>
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifiersAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  readonly serverKeepAlive?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

/**
 * Properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK (MQTT 3.4.2.2 and alike).
 */
export interface AcknowledgementProperties {
  readonly reasonString?: string
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of SUBSCRIBE (MQTT 3.8.2.1).
 */
export interface SubscribeProperties {
  /** 1 to 268,435,455. */
  readonly subscriptionIdentifier?: number
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of UNSUBSCRIBE (MQTT 3.10.2.1).
 */
export interface UnsubscribeProperties {
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * Properties of DISCONNECT (MQTT 3.14.2.2).
 */
export interface DisconnectProperties {
  readonly sessionExpiryInterval?: number
  readonly reasonString?: string
  readonly userProperties?: ReadonlyArray<UserProperty>
  readonly serverReference?: string
}

/**
 * Properties of AUTH (MQTT 3.15.2.2).
 */
export interface AuthProperties {
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
  readonly reasonString?: string
  readonly userProperties?: ReadonlyArray<UserProperty>
}

/**
 * The shared object for "no properties", so that a packet without properties costs no allocation.
 */
export const none: {} = Object.freeze({})
