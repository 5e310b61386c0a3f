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
  | AuthStep

/** The step for an AUTH. */
export type AuthStep =
  /** The server asks for more: the exchange answers this data. */
  | { readonly _tag: "Continue"; readonly data: Uint8Array | undefined }
  /** The server has accepted a renewal. */
  | { readonly _tag: "Renewed"; readonly data: Uint8Array | undefined }
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
      if (packet.reasonCode === ReasonCode.success) {
        if (isUnnamed(packet, connect)) return breach("CONNACK without the client identifier that CONNECT asked for")
        return isOtherMethod(packet, connect)
          ? breach("the authentication method of CONNACK does not match that of CONNECT")
          : { _tag: "Accepted", connack: packet }
      }
      return { _tag: "Refused", reason: fromConnack(packet.reasonCode, attempt, packet.properties) }
    case "Auth":
      return onAuth(packet, connect, "connect")
    default:
      return breach(`${packet._tag} before CONNACK`)
  }
}

// [MQTT5-3.2.2-16]
const isUnnamed = ({ properties }: Connack, { clientId, protocolVersion }: Connect): boolean =>
  protocolVersion === 5 && clientId === "" &&
  (properties.assignedClientIdentifier === undefined || properties.assignedClientIdentifier === "")

// Some servers leave the method out of CONNACK, although it should repeat it (MQTT 4.12.0-5).
const isOtherMethod = ({ properties }: Connack, connect: Connect): boolean =>
  properties.authenticationMethod !== undefined &&
  properties.authenticationMethod !== connect.properties.authenticationMethod

/**
 * Judges an AUTH before CONNACK, where the exchange is that of CONNECT, and on an open connection, where it is a
 * renewal that this client began (MQTT 4.12.1).
 */
export const onAuth = (
  { properties, reasonCode }: Auth,
  connect: Connect,
  exchange: "connect" | "renewal"
): AuthStep => {
  const method = connect.properties.authenticationMethod
  if (method === undefined) {
    return breach("AUTH without an authentication method in CONNECT")
  }
  const isRenewed = exchange === "renewal" && reasonCode === ReasonCode.success
  // A success may leave the method out (MQTT 3.15.2.1).
  if (properties.authenticationMethod !== method && !(isRenewed && properties.authenticationMethod === undefined)) {
    return breach("the authentication method of AUTH does not match that of CONNECT")
  }
  const data = properties.authenticationData
  if (reasonCode === ReasonCode.continueAuthentication) {
    return { _tag: "Continue", data }
  }
  return isRenewed
    ? { _tag: "Renewed", data }
    : breach(`AUTH with reason code ${reasonCode} before CONNACK`)
}
