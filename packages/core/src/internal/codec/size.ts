/**
 * The size of encoded packets.
 */
import type { Packet } from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import { measureFor } from "./measure.ts"
import { variableByteIntegerSize } from "./variableByteInteger.ts"

/**
 * The exact number of bytes of a packet on the wire, fixed header included: a peer's Maximum Packet Size limits it
 * (MQTT 3.1.2.11.4). For a packet that cannot be encoded it is the size that it would have; the encoder gives the
 * reason.
 */
export const sizeOf = (packet: Packet, protocolVersion: ProtocolVersion): number => {
  const measure = measureFor(protocolVersion)
  const remaining = measure.begin(packet)
  measure.end()
  return 1 + variableByteIntegerSize(remaining) + remaining
}
