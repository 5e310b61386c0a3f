/**
 * What a session keeps: the records of a session store, and the changes that the session engine makes to them.
 */
import type { PublishProperties } from "./Properties.ts"
import type { ProtocolVersion, QoS } from "./QoS.ts"

/**
 * An outbound message that the session has accepted and the server has not yet acknowledged in full.
 *
 * `state` is `queued` (no packet identifier yet), `publishing` (PUBLISH sent or about to be sent), `releasing` (PUBREC
 * received: only PUBREL is sent from now on, and the payload is dropped) or `quarantined` (given up after it was sent:
 * the server may hold its packet identifier, which is used for nothing else as long as the server has the session; the
 * payload is dropped).
 */
export interface OutboundRecord {
  readonly _tag: "Outbound"
  /** Position in the order of acceptance; unique in the session, never reused. */
  readonly sequence: number
  readonly state: "queued" | "publishing" | "releasing" | "quarantined"
  /** 0 while queued. */
  readonly packetIdentifier: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PublishProperties
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number
  /** Milliseconds since the epoch, when the message stops being worth sending; undefined: never. */
  readonly expiresAt: number | undefined
}

/**
 * Identifies what a forwarder made of an inbound QoS 2 message. Packet identifiers are used again and again; `use`
 * tells the messages apart that have had the same one: see `InboundRecord`.
 */
export interface OriginKey {
  readonly forwarder: string
  /** The source session. */
  readonly session: string
  readonly packetIdentifier: number
  readonly use: string
}

/**
 * The inbound message that an accepted outbound one was made from: kept in the target's store from the acceptance on,
 * in the same commit, so that a redelivery after a crash is recognised. The next message that the same forwarder makes
 * of the same packet identifier of the same session replaces it.
 */
export interface OriginRecord {
  readonly _tag: "Origin"
  readonly origin: OriginKey
}

/**
 * A QoS 2 packet identifier that was received and not yet released by the sender (MQTT 4.3.3). `acknowledged` tells
 * whether PUBREC may be repeated at once, or the delivery is still with its consumers.
 */
export interface InboundRecord {
  readonly _tag: "Inbound"
  readonly packetIdentifier: number
  readonly acknowledged: boolean
  /** Made for this message: no other message under this packet identifier has the same. */
  readonly use: string
  /** The names of the consumers that have finished with the message, while others have not. */
  readonly finished: ReadonlyArray<string>
}

/**
 * A consumer with a name: what arrives for it while it is away waits for it.
 */
export interface ConsumerRecord {
  readonly _tag: "Consumer"
  readonly name: string
  readonly filters: ReadonlyArray<string>
  readonly qos: QoS
}

/**
 * A subscription that the server has, or was about to be asked for: its identifier must mean the same in the next
 * process.
 */
export interface SubscriptionRecord {
  readonly _tag: "Subscription"
  readonly filter: string
  /** The server has granted it. */
  readonly granted: boolean
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionIdentifier: number
}

/**
 * Who the session is.
 */
export interface IdentityRecord {
  readonly _tag: "Identity"
  /** Of this record's fields. How records become bytes has a format of its own: `StoreRecordCodec.format`. */
  readonly format: 1
  readonly protocolVersion: ProtocolVersion
  readonly clientId: string
  /** New whenever the server began a new session. */
  readonly incarnation: string
  /** Seconds; undefined: unknown. */
  readonly sessionExpiryInterval: number | undefined
}

/**
 * Anything that a store holds.
 */
export type StoreRecord =
  | OutboundRecord
  | InboundRecord
  | SubscriptionRecord
  | ConsumerRecord
  | IdentityRecord
  | OriginRecord

/**
 * A change of one record. The key of a record follows from it: see `keyOf`.
 */
export type StoreChange =
  | { readonly _tag: "Put"; readonly record: StoreRecord }
  | { readonly _tag: "Delete"; readonly key: string }

/**
 * The key of a record, unique in its session: outbound records sort by `sequence`. Throws a TypeError for what is no
 * record.
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

/** The key of an outbound record; keys sort as the sequence does. */
export const outboundKey = (sequence: number): string => `outbound/${sequence.toString().padStart(16, "0")}`
/** The key of an inbound record. */
export const inboundKey = (packetIdentifier: number): string => `inbound/${packetIdentifier}`
/** The key of a subscription record. */
export const subscriptionKey = (filter: string): string => `subscription/${filter}`
/** The key of a consumer record. */
export const consumerKey = (name: string): string => `consumer/${name}`
/** The key of an origin record: one for each forwarder and packet identifier of a source session. */
export const originKey = ({ forwarder, packetIdentifier, session }: Omit<OriginKey, "use">): string =>
  // With its length, so that no two pairs of names make one key.
  `origin/${packetIdentifier}/${forwarder.length}/${forwarder}/${session}`
