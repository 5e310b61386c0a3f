/**
 * The numbers of the control packet types and the flags that the fixed header requires (MQTT 2.1).
 */
import type { Tag } from "../../Packet.ts"

export const connect = 1
export const connack = 2
export const publish = 3
export const puback = 4
export const pubrec = 5
export const pubrel = 6
export const pubcomp = 7
export const subscribe = 8
export const suback = 9
export const unsubscribe = 10
export const unsuback = 11
export const pingreq = 12
export const pingresp = 13
export const disconnect = 14
export const auth = 15

/** The names of the specification by type number. */
export const names: ReadonlyArray<string> = [
  "packet type 0",
  "CONNECT",
  "CONNACK",
  "PUBLISH",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBSCRIBE",
  "SUBACK",
  "UNSUBSCRIBE",
  "UNSUBACK",
  "PINGREQ",
  "PINGRESP",
  "DISCONNECT",
  "AUTH"
]

/** The type number of each tag. */
export const numbers: Readonly<Record<Tag, number>> = {
  Connect: connect,
  Connack: connack,
  Publish: publish,
  Puback: puback,
  Pubrec: pubrec,
  Pubrel: pubrel,
  Pubcomp: pubcomp,
  Subscribe: subscribe,
  Suback: suback,
  Unsubscribe: unsubscribe,
  Unsuback: unsuback,
  Pingreq: pingreq,
  Pingresp: pingresp,
  Disconnect: disconnect,
  Auth: auth
}

/**
 * The low four bits of the first byte: 0010 for three types, 0 for all others except PUBLISH, where they have a
 * meaning.
 */
export const fixedFlags = (type: number): number =>
  type === pubrel || type === subscribe || type === unsubscribe ? 2 : 0
