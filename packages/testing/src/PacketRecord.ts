/**
 * The records of a scripted broker about connections and packets.
 */
import type { Connack, Connect, Packet } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"

/**
 * The direction from the broker's point of view.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Direction = "received" | "sent"

/**
 * One packet on the wire. Packets hit by a fault are recorded too, with the fault's name: for example a received packet
 * that was dropped, or a sent one that was cut.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RecordedPacket {
  /** Position in the record of the broker, from 0. */
  readonly index: number
  /** Milliseconds, by Effect's Clock. */
  readonly at: number
  /** `received` by the broker, or `sent` by it. */
  readonly direction: Direction
  /** The number of the connection, see `ConnectionRecord`. */
  readonly connection: number
  /** "" before CONNECT. */
  readonly clientId: string
  /** The packet. */
  readonly packet: Packet
  /** Bytes, fixed header included. */
  readonly size: number
  /** The name of the fault that hit it; undefined: none. */
  readonly fault: string | undefined
}

/**
 * Publishes without their last acknowledgement: the current number and the maximum so far.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface InflightRecord {
  /** The number now. */
  readonly current: number
  /** The highest number so far. */
  readonly highest: number
}

/**
 * A network connection, open or closed.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionRecord {
  /** Counts from 1. */
  readonly connection: number
  /** How the client is connected. */
  readonly network: "memory" | "tcp" | "ws"
  /** "" before CONNECT. */
  readonly clientId: string
  /** That of CONNECT; undefined before. */
  readonly protocolVersion: ProtocolVersion | undefined
  /** The CONNECT; undefined: none yet. */
  readonly connect: Connect | undefined
  /** The CONNACK; undefined: none yet. */
  readonly connack: Connack | undefined
  /** Milliseconds, by Effect's Clock. */
  readonly openedAt: number
  /** Milliseconds, by Effect's Clock; undefined: it is open. */
  readonly closedAt: number | undefined
  /** The cause of the end: the client, the broker by the protocol's rules, or a fault. */
  readonly closedBy: "client" | "broker" | "fault" | undefined
  /** Bytes of the client. */
  readonly bytesReceived: number
  /** Bytes to the client. */
  readonly bytesSent: number
  /** Packets of the client. */
  readonly packetsReceived: number
  /** Packets to the client. */
  readonly packetsSent: number
  /** QoS 1 and 2 publishes of the client, from their arrival to the broker's last acknowledgement. */
  readonly inflightReceived: InflightRecord
  /** QoS 1 and 2 publishes to the client, from their sending to the client's last acknowledgement. */
  readonly inflightSent: InflightRecord
}
