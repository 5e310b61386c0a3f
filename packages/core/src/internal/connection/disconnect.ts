/**
 * Decides which DISCONNECT is sent at the end of a connection, if any (MQTT 3.14). Pure functions: the link sends the
 * packet and ends the stream.
 */
import type { Connack, Connect, Disconnect } from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { sizeOf } from "../codec/size.ts"

/**
 * For an orderly end. On MQTT 3.1.1 DISCONNECT has no reason code and always discards the will (MQTT 3.1.1, 3.14.4), so
 * keeping the will means to send none.
 */
export const ofLeaving = (
  { protocolVersion }: Connect,
  connack: Connack,
  reasonCode: number,
  sessionExpiryInterval: number | undefined
): Disconnect | undefined => {
  if (protocolVersion !== 5) {
    return reasonCode === ReasonCode.success ? plain(reasonCode) : undefined
  }
  if (sessionExpiryInterval === undefined) {
    return plain(reasonCode)
  }
  const disconnect: Disconnect = { ...plain(reasonCode), properties: { sessionExpiryInterval } }
  return fits(disconnect, connack) ? disconnect : plain(reasonCode)
}

/** For a connection that cannot continue (MQTT 4.13). MQTT 3.1.1 closes without a packet. */
export const ofBreaking = ({ protocolVersion }: Connect, reasonCode: number): Disconnect | undefined =>
  protocolVersion === 5 ? plain(reasonCode) : undefined

const plain = (reasonCode: number): Disconnect => ({ _tag: "Disconnect", reasonCode, properties: Properties.none })

/**
 * Whether the packet is within the server's Maximum Packet Size (MQTT 3.2.2.3.6). Without this property the server
 * accepts every size.
 */
const fits = (disconnect: Disconnect, { properties: { maximumPacketSize } }: Connack): boolean =>
  maximumPacketSize === undefined || sizeOf(disconnect, 5) <= maximumPacketSize
