/**
 * What a profile says about one kind of server: the limits that it announces, the quotas that it enforces, and what it
 * does when a client exceeds one. Data only; `guard.ts` enforces it.
 *
 * Every value has its source in a comment beside it. What a vendor does not document is left out, so that a profile
 * permits it. Where a vendor documents a quota and not what follows, the profile does the hardest that MQTT has for it:
 * it ends the connection, on MQTT 5 with the reason code that MQTT has for the case, or with 0x97, quota exceeded.
 */
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import type { BrokerCoreOptions, BrokerLimits } from "../broker/contract.ts"

/**
 * The servers that have a profile.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ProfileName =
  | "aws-iot"
  | "azure-event-grid"
  | "azure-iot-hub"
  | "hivemq-cloud"
  | "emqx"
  | "rabbitmq"
  | "nats"
  | "mosquitto-2.0"
  | "mosquitto-2.1"

/**
 * `Disconnect` ends the connection, with this reason code on MQTT 5. `Ignore` answers nothing and keeps the connection.
 * `Downgrade` treats a PUBLISH of QoS 2 as one of QoS 1.
 */
export type Reaction =
  | { readonly _tag: "Disconnect"; readonly reasonCode: number }
  | { readonly _tag: "Ignore" }
  | { readonly _tag: "Downgrade" }

export const disconnects = (reasonCode: number): Reaction => ({ _tag: "Disconnect", reasonCode })
export const ignores: Reaction = { _tag: "Ignore" }
export const downgrades: Reaction = { _tag: "Downgrade" }

/** A number that must not be exceeded, and what happens when it is. */
export interface Quota {
  readonly maximum: number
  readonly reaction: Reaction
}

/** The same where a topic filter is refused in SUBACK, with this reason code on MQTT 5 and 0x80 on 3.1.1. */
export interface FilterQuota {
  readonly maximum: number
  readonly reasonCode: number
}

/**
 * The quotas of a server. An absent one is not enforced.
 */
export interface Quotas {
  /** Bytes of a client identifier. A longer one is refused with 0x85. */
  readonly clientIdBytes?: number
  /** `false`: an empty client identifier is refused with 0x85. */
  readonly assignsClientIds?: false
  /** Seconds. A keep alive outside, and none, is replaced; MQTT 5 clients are told so. */
  readonly keepAlive?: { readonly minimum: number; readonly maximum: number }
  /** Seconds. A longer will delay is refused with 0x83. */
  readonly willDelay?: number
  /** `false`: user properties on other packets than PUBLISH end the connection. */
  readonly userPropertiesBesidePublish?: false
  /** CONNECT packets of one client identifier. `reasonCode` refuses the next one. */
  readonly connectsPerSecond?: FilterQuota
  /** SUBSCRIBE and UNSUBSCRIBE packets on one connection. */
  readonly subscribesPerSecond?: Quota
  /** PUBLISH packets on one connection. */
  readonly publishesPerSecond?: Quota
  /** Topic filters in one SUBSCRIBE. */
  readonly filtersPerSubscribe?: Quota
  /** Topic filters in one UNSUBSCRIBE. */
  readonly filtersPerUnsubscribe?: Quota
  /** Subscriptions of one session: refused in SUBACK, or with the end of the connection. */
  readonly subscriptions?: Quota | FilterQuota
  /** Levels of a topic name. */
  readonly topicLevels?: Quota
  /** Levels of a topic filter, without `$share/name/`. */
  readonly filterLevels?: Quota | FilterQuota
  /** Bytes of a topic name or topic filter. */
  readonly topicBytes?: Quota
  /** Bytes of a payload. */
  readonly payloadBytes?: Quota
  /** A PUBLISH above the maximum QoS. Default: the connection ends with 0x9B. */
  readonly publishAboveMaximumQoS?: { readonly [Version in ProtocolVersion]?: Reaction }
  /** A SUBSCRIBE above the maximum QoS. Default: the maximum QoS is granted. */
  readonly subscribeAboveMaximumQoS?: { readonly [Version in ProtocolVersion]?: Reaction }
  /** Characters that neither a topic name (the connection ends) nor a topic filter (it is refused) may contain. */
  readonly forbiddenCharacters?: string
  /** A PUBACK with a reason code of 0x80 or more. Default: the message is dropped. */
  readonly negativeAcknowledgement?: Reaction
  /** The only topic names that clients publish to and topic filters that they subscribe to, for a client identifier. */
  readonly topics?: {
    readonly publish: (clientId: string) => ReadonlyArray<string>
    readonly subscribe: (clientId: string) => ReadonlyArray<string>
  }
  /** Seconds after which a connection over WebSocket is closed without a packet. */
  readonly webSocketLifetime?: number
  /** The versions whose clients get a copy for each of their overlapping subscriptions. Default: none. */
  readonly separatesOverlapping?: ReadonlyArray<ProtocolVersion>
  /** `false`: a subscription with a wildcard brings no retained messages. */
  readonly retainedForWildcards?: false
  /** `false`: `a/#` does not match `a`. */
  readonly multiLevelWildcardMatchesParent?: false
}

/**
 * One kind of server.
 */
export interface BrokerProfile {
  /** A CONNECT of another version is refused with 0x84. */
  readonly versions: ReadonlyArray<ProtocolVersion>
  /** The limits of both versions, announced in CONNACK on MQTT 5. */
  readonly limits: Partial<BrokerLimits>
  readonly behaviour: Pick<BrokerCoreOptions, "assignTopicAliases" | "queueQoS0">
  readonly quotas: Quotas
}
