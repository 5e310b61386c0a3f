/**
 * Judges the packets of a handshake: CONNACK (MQTT 3.2), AUTH (MQTT 3.15, 4.12), and any other packet in their place.
 * Pure functions without state: they send nothing. The link calls them and does what they answer.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { Auth, Connack, Connect, Packet } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { type Attempt, fromConnack } from "../classification.ts"

/** The step for a packet that arrives before the server has accepted CONNECT. */
export type Step =
  | { readonly _tag: "Accepted"; readonly connack: Connack }
  /** The connection ends without another packet: a server that has refused closes it (MQTT 3.2.2.2). */
  | { readonly _tag: "Refused"; readonly reason: MqttErrorReason }
  | Breach

/** The packet violates the protocol. The connection ends with this reason code (MQTT 4.13). */
export interface Breach {
  readonly _tag: "Breach"
  readonly reasonCode: number
  readonly detail: string
}

const breach = (detail: string): Breach => ({ _tag: "Breach", reasonCode: ReasonCode.protocolError, detail })

/**
 * Judges a packet that arrives after CONNECT and before an accepting CONNACK.
 */
export const beforeConnack = (packet: Packet, connect: Connect, attempt: Attempt): Step => {
  switch (packet._tag) {
    case "Connack":
      return packet.reasonCode === ReasonCode.success
        ? { _tag: "Accepted", connack: packet }
        : { _tag: "Refused", reason: fromConnack(packet.reasonCode, attempt, packet.properties) }
    case "Auth":
      return answerAuth(packet, connect)
    default:
      return breach(`${packet._tag} before CONNACK`)
  }
}

/**
 * Judges an AUTH before CONNACK, and one on an open connection, which asks to authenticate again (MQTT 4.12.1).
 *
 * Enhanced authentication is not implemented. It would add a step that answers with an AUTH of the client. Until then a
 * valid AUTH ends the connection too.
 */
export const answerAuth = ({ properties }: Auth, connect: Connect): Breach => {
  const method = connect.properties.authenticationMethod
  if (method === undefined) {
    return breach("AUTH without an authentication method in CONNECT")
  }
  return properties.authenticationMethod === method
    ? breach("enhanced authentication is not supported")
    : breach("the authentication method of AUTH does not match that of CONNECT")
}
