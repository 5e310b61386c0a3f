/**
 * The records of a session store, and the changes that the session engine makes to them.
 */
import type { PublishProperties } from "./Properties.ts"
import type { ProtocolVersion, QoS } from "./QoS.ts"

/**
 * An outbound message that the session has accepted and the server has not yet acknowledged in full.
 *
 * `state` is one of: `queued`, no packet identifier yet. `publishing`, PUBLISH sent or about to be sent. `releasing`,
 * PUBREC received: only PUBREL is sent from now on, and the payload is dropped. `quarantined`, abandoned after it was
 * sent: the server may hold its packet identifier, which is not used again as long as the server has the session; the
 * payload is dropped.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface OutboundRecord {
  /** The type of the record. */
  readonly _tag: "Outbound"
  /** Position in the order of acceptance; unique in the session, never reused. */
  readonly sequence: number
  /** See `OutboundRecord`. */
  readonly state: "queued" | "publishing" | "releasing" | "quarantined"
  /** 0 while queued. */
  readonly packetIdentifier: number
  /** The topic name. */
  readonly topic: string
  /** The payload; empty once it is dropped. */
  readonly payload: Uint8Array
  /** The quality of service. */
  readonly qos: QoS
  /** Whether the server retains the message. */
  readonly retain: boolean
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: PublishProperties
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number
  /** Milliseconds since the epoch at which the message expires; undefined: never. */
  readonly expiresAt: number | undefined
}

/**
 * Identifies a message that a forwarder made of an inbound QoS 2 message. Packet identifiers are reused; `use`
 * distinguishes the messages that had the same one: see `InboundRecord`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface OriginKey {
  /** The name of the forwarder. */
  readonly forwarder: string
  /** The source session. */
  readonly session: string
  /** The packet identifier of the inbound message. */
  readonly packetIdentifier: number
  /** The `use` of the inbound message. */
  readonly use: string
}

/**
 * The inbound message from which an accepted outbound message was made. It is kept in the target's store from the
 * acceptance on, in the same commit, so that a redelivery after a crash is recognised. It is replaced by the next
 * message that the same forwarder makes from the same packet identifier of the same session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface OriginRecord {
  /** The type of the record. */
  readonly _tag: "Origin"
  /** The inbound message. */
  readonly origin: OriginKey
}

/**
 * A QoS 2 packet identifier that was received and that the sender has not released (MQTT 4.3.3). `acknowledged` tells
 * whether PUBREC may be repeated at once; otherwise the delivery is still with its consumers.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface InboundRecord {
  /** The type of the record. */
  readonly _tag: "Inbound"
  /** 1 to 65,535. */
  readonly packetIdentifier: number
  /** Whether PUBREC may be repeated at once. */
  readonly acknowledged: boolean
  /** Unique to this message: no other message under this packet identifier has the same value. */
  readonly use: string
  /** The names of the consumers that have finished the message, while others have not. */
  readonly finished: ReadonlyArray<string>
}

/**
 * A named consumer. Messages that arrive while it is away wait for it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConsumerRecord {
  /** The type of the record. */
  readonly _tag: "Consumer"
  /** The name, unique in the session. */
  readonly name: string
  /** Its topic filters. */
  readonly filters: ReadonlyArray<string>
  /** The maximum quality of service of its deliveries. */
  readonly qos: QoS
}

/**
 * A subscription that the server has, or was about to be asked for. Its identifier must mean the same in the next
 * process.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionRecord {
  /** The type of the record. */
  readonly _tag: "Subscription"
  /** The topic filter. */
  readonly filter: string
  /** The server has granted it. */
  readonly granted: boolean
  /** The granted quality of service, and the requested one until it is granted. */
  readonly qos: QoS
  /** MQTT 5; false on 3.1.1. */
  readonly noLocal: boolean
  /** MQTT 5; false on 3.1.1. */
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionIdentifier: number
}

/**
 * The identity of the session at its server.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface IdentityRecord {
  /** The type of the record. */
  readonly _tag: "Identity"
  /** The format of this record's fields. The format of the encoded bytes is `StoreRecordCodec.format`. */
  readonly format: 1
  /** The version that the session spoke last. */
  readonly protocolVersion: ProtocolVersion
  /** The client identifier, which the server may have assigned. */
  readonly clientId: string
  /** Changes whenever the server began a new session. */
  readonly incarnation: string
  /** Seconds; undefined: unknown. */
  readonly sessionExpiryInterval: number | undefined
}

/**
 * Any record of a store.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type StoreRecord =
  | OutboundRecord
  | InboundRecord
  | SubscriptionRecord
  | ConsumerRecord
  | IdentityRecord
  | OriginRecord

/**
 * A change of one record. `keyOf` derives the key from the record.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type StoreChange =
  | { readonly _tag: "Put"; readonly record: StoreRecord }
  | { readonly _tag: "Delete"; readonly key: string }

/**
 * The key of a record, unique in its session. Outbound records sort by `sequence`. Throws a TypeError for a value that
 * is not a record.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const keyOf = (record: StoreRecord): string => {
  switch (record._tag) {
    case "Outbound":
      return outboundKey(record.sequence)
    case "Inbound":
      return inboundKey(record.packetIdentifier)
    case "Subscription":
      return subscriptionKey(record.filter)
    case "Consumer":
      return consumerKey(record.name)
    case "Identity":
      return "identity"
    case "Origin":
      return originKey(record.origin)
    default:
      throw new TypeError("what should have a key is no record of a session")
  }
}

/**
 * The key of an outbound record. Keys sort as the sequence does.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const outboundKey = (sequence: number): string => `outbound/${sequence.toString().padStart(16, "0")}`
/**
 * The key of an inbound record.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const inboundKey = (packetIdentifier: number): string => `inbound/${packetIdentifier}`
/**
 * The key of a subscription record.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const subscriptionKey = (filter: string): string => `subscription/${filter}`
/**
 * The key of a consumer record.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const consumerKey = (name: string): string => `consumer/${name}`
/**
 * The key of an origin record: one for each forwarder and packet identifier of a source session.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const originKey = ({ forwarder, packetIdentifier, session }: Omit<OriginKey, "use">): string =>
  // The length makes the key unique for each pair of names.
  `origin/${packetIdentifier}/${forwarder.length}/${forwarder}/${session}`
