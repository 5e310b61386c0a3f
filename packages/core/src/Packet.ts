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
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Will {
  /** The topic name to which the server publishes the will. */
  readonly topic: string
  /** The payload of the will. */
  readonly payload: Uint8Array
  /** The quality of service of the will. */
  readonly qos: QoS
  /** Whether the server retains the will. */
  readonly retain: boolean
  /** The MQTT 5 properties of the will; empty on 3.1.1. */
  readonly properties: Properties.WillProperties
}

/**
 * CONNECT (MQTT 3.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Connect {
  /** The type of the packet. */
  readonly _tag: "Connect"
  /** 4 for MQTT 3.1.1, 5 for MQTT 5. */
  readonly protocolVersion: ProtocolVersion
  /** The client identifier; `""` asks the server to assign one. */
  readonly clientId: string
  /** Clean Session on 3.1.1, Clean Start on 5. */
  readonly cleanStart: boolean
  /** Seconds; 0 switches keep alive off. */
  readonly keepAlive: number
  /** The user name; undefined: none. */
  readonly username: string | undefined
  /** The password, any bytes; undefined: none. */
  readonly password: Uint8Array | undefined
  /** The will; undefined: none. */
  readonly will: Will | undefined
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.ConnectProperties
}

/**
 * CONNACK (MQTT 3.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Connack {
  /** The type of the packet. */
  readonly _tag: "Connack"
  /** Whether the server continues a session that it had (MQTT 3.2.2.1.1). */
  readonly sessionPresent: boolean
  /** 0: accepted. Otherwise why the server refuses: a reason code of MQTT 5, or a return code of 3.1.1. */
  readonly reasonCode: number
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.ConnackProperties
}

/**
 * PUBLISH (MQTT 3.3). `packetIdentifier` is 0 when `qos` is 0. With a topic alias and no topic name, `topic` is "".
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Publish {
  /** The type of the packet. */
  readonly _tag: "Publish"
  /** The topic name; `""` where a topic alias stands for it. */
  readonly topic: string
  /** The payload. */
  readonly payload: Uint8Array
  /** The quality of service. */
  readonly qos: QoS
  /** Client to server: retain the message. Server to client: see MQTT 3.3.1.3. */
  readonly retain: boolean
  /** Whether the packet may be a repetition. */
  readonly dup: boolean
  /** 1 to 65,535; 0 for QoS 0, which has none. */
  readonly packetIdentifier: number
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.PublishProperties
}

/**
 * The four acknowledgements of the PUBLISH flows share one shape (MQTT 3.4 to 3.7).
 */
interface PublishAcknowledgement<Tag extends string> {
  /** The type of the packet. */
  readonly _tag: Tag
  /** That of the PUBLISH. */
  readonly packetIdentifier: number
  /** 0: success, and always on 3.1.1 (MQTT 3.4.2.1 and alike). */
  readonly reasonCode: number
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.AcknowledgementProperties
}

/**
 * PUBACK (MQTT 3.4).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Puback extends PublishAcknowledgement<"Puback"> {}
/**
 * PUBREC (MQTT 3.5).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Pubrec extends PublishAcknowledgement<"Pubrec"> {}
/**
 * PUBREL (MQTT 3.6).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Pubrel extends PublishAcknowledgement<"Pubrel"> {}
/**
 * PUBCOMP (MQTT 3.7).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Pubcomp extends PublishAcknowledgement<"Pubcomp"> {}

/**
 * One topic filter of a SUBSCRIBE with its subscription options (MQTT 3.8.3.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscribeFilter {
  /** The topic filter. */
  readonly filter: string
  /** The maximum quality of service of the deliveries. */
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
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Subscribe {
  /** The type of the packet. */
  readonly _tag: "Subscribe"
  /** 1 to 65,535. */
  readonly packetIdentifier: number
  /** At least one topic filter. */
  readonly filters: ReadonlyArray<SubscribeFilter>
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.SubscribeProperties
}

/**
 * SUBACK (MQTT 3.9).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Suback {
  /** The type of the packet. */
  readonly _tag: "Suback"
  /** That of the SUBSCRIBE. */
  readonly packetIdentifier: number
  /** One for each topic filter, in their order: the granted quality of service, or 0x80 and more for a refusal. */
  readonly reasonCodes: ReadonlyArray<number>
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.AcknowledgementProperties
}

/**
 * UNSUBSCRIBE (MQTT 3.10).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Unsubscribe {
  /** The type of the packet. */
  readonly _tag: "Unsubscribe"
  /** 1 to 65,535. */
  readonly packetIdentifier: number
  /** At least one topic filter. */
  readonly filters: ReadonlyArray<string>
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.UnsubscribeProperties
}

/**
 * UNSUBACK (MQTT 3.11). `reasonCodes` is empty on 3.1.1.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Unsuback {
  /** The type of the packet. */
  readonly _tag: "Unsuback"
  /** That of the UNSUBSCRIBE. */
  readonly packetIdentifier: number
  /** One for each topic filter, in their order; empty on 3.1.1. */
  readonly reasonCodes: ReadonlyArray<number>
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.AcknowledgementProperties
}

/**
 * PINGREQ (MQTT 3.12).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Pingreq {
  /** The type of the packet. */
  readonly _tag: "Pingreq"
}

/**
 * PINGRESP (MQTT 3.13).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Pingresp {
  /** The type of the packet. */
  readonly _tag: "Pingresp"
}

/**
 * DISCONNECT (MQTT 3.14).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Disconnect {
  /** The type of the packet. */
  readonly _tag: "Disconnect"
  /** Why the sender disconnects (MQTT 3.14.2.1); 0 on 3.1.1. */
  readonly reasonCode: number
  /** The MQTT 5 properties; empty on 3.1.1. */
  readonly properties: Properties.DisconnectProperties
}

/**
 * AUTH, MQTT 5 only (MQTT 3.15).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Auth {
  /** The type of the packet. */
  readonly _tag: "Auth"
  /** 0x00 success, 0x18 continue, or 0x19 authenticate again (MQTT 3.15.2.1). */
  readonly reasonCode: number
  /** The properties, with the authentication method and data. */
  readonly properties: Properties.AuthProperties
}

/**
 * Any control packet.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
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

/**
 * The name of a control packet type.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Tag = Packet["_tag"]

/**
 * The one PINGREQ value.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const pingreq: Pingreq = Object.freeze({ _tag: "Pingreq" })

/**
 * The one PINGRESP value.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const pingresp: Pingresp = Object.freeze({ _tag: "Pingresp" })
