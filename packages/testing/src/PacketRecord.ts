/**
 * The records of a scripted broker about connections and packets.
 */
import type { Connack, Connect, Packet } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"

/**
 * The direction from the broker's point of view.
 */
export type Direction = "received" | "sent"

/**
 * One packet on the wire. Packets hit by a fault are recorded too, with the fault's name: for example a received packet
 * that was dropped, or a sent one that was cut.
 */
export interface RecordedPacket {
  /** Position in the record of the broker, from 0. */
  readonly index: number
  /** Milliseconds, by Effect's Clock. */
  readonly at: number
  readonly direction: Direction
  readonly connection: number
  /** "" before CONNECT. */
  readonly clientId: string
  readonly packet: Packet
  /** Bytes, fixed header included. */
  readonly size: number
  readonly fault: string | undefined
}

/**
 * Publishes without their last acknowledgement: the current number and the maximum so far.
 */
export interface InflightRecord {
  readonly current: number
  readonly highest: number
}

/**
 * A network connection, open or closed.
 */
export interface ConnectionRecord {
  /** Counts from 1. */
  readonly connection: number
  readonly network: "memory" | "tcp" | "ws"
  /** "" before CONNECT. */
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion | undefined
  readonly connect: Connect | undefined
  readonly connack: Connack | undefined
  readonly openedAt: number
  readonly closedAt: number | undefined
  /** The cause of the end: the client, the broker by the protocol's rules, or a fault. */
  readonly closedBy: "client" | "broker" | "fault" | undefined
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly packetsReceived: number
  readonly packetsSent: number
  /** QoS 1 and 2 publishes of the client, from their arrival to the broker's last acknowledgement. */
  readonly inflightReceived: InflightRecord
  /** QoS 1 and 2 publishes to the client, from their sending to the client's last acknowledgement. */
  readonly inflightSent: InflightRecord
}
