/**
 * The control packets of MQTT 3.1.1 and 5.0 as plain values (MQTT section 3). The codec reads and writes them; the
 * session engine consumes and produces them.
 *
 * One shape serves both versions. On 3.1.1 properties are `Properties.none`, reason codes of acknowledgements are 0,
 * and `reasonCode` of CONNACK is the return code that 3.1.1 defines (0 to 5).
 */
import type * as Properties from "./Properties.ts"
import type { ProtocolVersion, QoS } from "./QoS.ts"

/**
 * The will of a CONNECT packet (MQTT 3.1.3.2).
 */
export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties.WillProperties
}

/**
 * CONNECT (MQTT 3.1).
 */
export interface Connect {
  readonly _tag: "Connect"
  readonly protocolVersion: ProtocolVersion
  readonly clientId: string
  /** Clean Session on 3.1.1, Clean Start on 5. */
  readonly cleanStart: boolean
  /** Seconds; 0 switches keep alive off. */
  readonly keepAlive: number
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly will: Will | undefined
  readonly properties: Properties.ConnectProperties
}

/**
 * CONNACK (MQTT 3.2).
 */
export interface Connack {
  readonly _tag: "Connack"
  readonly sessionPresent: boolean
  readonly reasonCode: number
  readonly properties: Properties.ConnackProperties
}

/**
 * PUBLISH (MQTT 3.3). `packetIdentifier` is 0 when `qos` is 0. With a topic alias and no topic name, `topic` is "".
 */
export interface Publish {
  readonly _tag: "Publish"
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly packetIdentifier: number
  readonly properties: Properties.PublishProperties
}

/**
 * The four acknowledgements of the PUBLISH flows share one shape (MQTT 3.4 to 3.7).
 */
interface PublishAcknowledgement<Tag extends string> {
  readonly _tag: Tag
  readonly packetIdentifier: number
  readonly reasonCode: number
  readonly properties: Properties.AcknowledgementProperties
}

/** PUBACK (MQTT 3.4). */
export interface Puback extends PublishAcknowledgement<"Puback"> {}
/** PUBREC (MQTT 3.5). */
export interface Pubrec extends PublishAcknowledgement<"Pubrec"> {}
/** PUBREL (MQTT 3.6). */
export interface Pubrel extends PublishAcknowledgement<"Pubrel"> {}
/** PUBCOMP (MQTT 3.7). */
export interface Pubcomp extends PublishAcknowledgement<"Pubcomp"> {}

/**
 * One topic filter of a SUBSCRIBE with its subscription options (MQTT 3.8.3.1).
 */
export interface SubscribeFilter {
  readonly filter: string
  readonly qos: QoS
  /** MQTT 5; false on 3.1.1. */
  readonly noLocal: boolean
  /** MQTT 5; false on 3.1.1. */
  readonly retainAsPublished: boolean
  /** MQTT 5: 0 send retained messages, 1 only for a new subscription, 2 never; 0 on 3.1.1. */
  readonly retainHandling: 0 | 1 | 2
}

/**
 * SUBSCRIBE (MQTT 3.8).
 */
export interface Subscribe {
  readonly _tag: "Subscribe"
  readonly packetIdentifier: number
  readonly filters: ReadonlyArray<SubscribeFilter>
  readonly properties: Properties.SubscribeProperties
}

/**
 * SUBACK (MQTT 3.9).
 */
export interface Suback {
  readonly _tag: "Suback"
  readonly packetIdentifier: number
  readonly reasonCodes: ReadonlyArray<number>
  readonly properties: Properties.AcknowledgementProperties
}

/**
 * UNSUBSCRIBE (MQTT 3.10).
 */
export interface Unsubscribe {
  readonly _tag: "Unsubscribe"
  readonly packetIdentifier: number
  readonly filters: ReadonlyArray<string>
  readonly properties: Properties.UnsubscribeProperties
}

/**
 * UNSUBACK (MQTT 3.11). `reasonCodes` is empty on 3.1.1.
 */
export interface Unsuback {
  readonly _tag: "Unsuback"
  readonly packetIdentifier: number
  readonly reasonCodes: ReadonlyArray<number>
  readonly properties: Properties.AcknowledgementProperties
}

/** PINGREQ (MQTT 3.12). */
export interface Pingreq {
  readonly _tag: "Pingreq"
}

/** PINGRESP (MQTT 3.13). */
export interface Pingresp {
  readonly _tag: "Pingresp"
}

/**
 * DISCONNECT (MQTT 3.14).
 */
export interface Disconnect {
  readonly _tag: "Disconnect"
  readonly reasonCode: number
  readonly properties: Properties.DisconnectProperties
}

/**
 * AUTH, MQTT 5 only (MQTT 3.15).
 */
export interface Auth {
  readonly _tag: "Auth"
  readonly reasonCode: number
  readonly properties: Properties.AuthProperties
}

/**
 * Any control packet.
 */
export type Packet =
  | Connect
  | Connack
  | Publish
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Suback
  | Unsubscribe
  | Unsuback
  | Pingreq
  | Pingresp
  | Disconnect
  | Auth

/** The name of a control packet type. */
export type Tag = Packet["_tag"]

/** The one PINGREQ value. */
export const pingreq: Pingreq = Object.freeze({ _tag: "Pingreq" })

/** The one PINGRESP value. */
export const pingresp: Pingresp = Object.freeze({ _tag: "Pingresp" })
