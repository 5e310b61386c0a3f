/**
 * One network connection of the scripted broker: its bytes, its counters and its waiting packets.
 */
import * as Codec from "@effect-mqttx/core/Codec"
import type { Connack, Connect, Packet } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import type { ByteStream } from "@effect-mqttx/core/Transport"
import type { ConnectionRecord, Direction } from "../../PacketRecord.ts"
import type { ActiveFault } from "./faultTable.ts"

export class InflightCounter {
  readonly #identifiers = new Set<number>()
  highest = 0

  get current(): number {
    return this.#identifiers.size
  }

  publish(packetIdentifier: number): void {
    this.#identifiers.add(packetIdentifier)
    if (this.#identifiers.size > this.highest) this.highest = this.#identifiers.size
  }

  settle(packetIdentifier: number): void {
    this.#identifiers.delete(packetIdentifier)
  }
}

export interface HeldPacket {
  readonly packet: Packet
  readonly by: ActiveFault
}

const noChunks: ReadonlyArray<Uint8Array> = []

export class HubConnection {
  readonly id: number
  readonly stream: ByteStream
  readonly network: ConnectionRecord["network"]
  readonly decoder: Codec.Decoder
  readonly openedAt: number
  #encoder: Codec.Encoder | undefined = undefined

  clientId = ""
  connect: Connect | undefined = undefined
  connack: Connack | undefined = undefined
  closed = false
  closedAt: number | undefined = undefined
  closedBy: ConnectionRecord["closedBy"] = undefined
  /** The core has closed it. It ends when the remaining bytes are sent. */
  ending = false
  silent = false
  congested = false
  bytesReceived = 0
  bytesSent = 0
  packetsReceived = 0
  packetsSent = 0
  readonly inflightReceived = new InflightCounter()
  readonly inflightSent = new InflightCounter()
  delayedIn = false
  inQueue: Array<Packet> = []
  delayedOut = false
  outQueue: Array<Packet> = []
  held: Array<HeldPacket> = []
  /** The number of packets until the cutter cuts; undefined: not chosen yet. */
  untilCut: number | undefined = undefined
  /** It is in the list of connections with bytes to write. */
  unwritten = false

  constructor(
    id: number,
    stream: ByteStream,
    network: ConnectionRecord["network"],
    maximumPacketSize: number,
    openedAt: number
  ) {
    this.id = id
    this.stream = stream
    this.network = network
    this.openedAt = openedAt
    this.decoder = Codec.makeDecoder({ role: "server", protocolVersion: undefined, maximumPacketSize })
  }

  get protocolVersion(): ProtocolVersion {
    return this.decoder.protocolVersion ?? 4
  }

  /** Appends a packet to the next write. */
  encode(packet: Packet): void {
    const encoder = this.#encoder ??= Codec.makeEncoder(this.protocolVersion)
    const failure = encoder.write(packet)
    if (failure !== undefined) throw new RangeError(`the broker cannot encode ${failure.packet}: ${failure.detail}`)
  }

  takeBytes(): ReadonlyArray<Uint8Array> {
    return this.#encoder === undefined ? noChunks : this.#encoder.take()
  }

  /** Counts a packet when it passes the wire. */
  account(direction: Direction, packet: Packet): void {
    const received = direction === "received"
    if (received) this.packetsReceived++
    else this.packetsSent++
    switch (packet._tag) {
      case "Publish":
        if (packet.qos > 0) (received ? this.inflightReceived : this.inflightSent).publish(packet.packetIdentifier)
        return
      case "Puback":
      case "Pubcomp":
        return (received ? this.inflightSent : this.inflightReceived).settle(packet.packetIdentifier)
      case "Pubrec":
        if (packet.reasonCode >= 0x80) {
          ;(received ? this.inflightSent : this.inflightReceived).settle(packet.packetIdentifier)
        }
        return
      case "Connect":
        this.connect = packet
        this.clientId = packet.clientId
        return
      case "Connack":
        this.connack = packet
        if (packet.properties.assignedClientIdentifier !== undefined) {
          this.clientId = packet.properties.assignedClientIdentifier
        }
        return
      default:
    }
  }

  /** The current counters; for `record` as a plain value. */
  view(): ConnectionRecord {
    return {
      connection: this.id,
      network: this.network,
      clientId: this.clientId,
      protocolVersion: this.decoder.protocolVersion,
      connect: this.connect,
      connack: this.connack,
      openedAt: this.openedAt,
      closedAt: this.closedAt,
      closedBy: this.closedBy,
      bytesReceived: this.bytesReceived,
      bytesSent: this.bytesSent,
      packetsReceived: this.packetsReceived,
      packetsSent: this.packetsSent,
      inflightReceived: { current: this.inflightReceived.current, highest: this.inflightReceived.highest },
      inflightSent: { current: this.inflightSent.current, highest: this.inflightSent.highest }
    }
  }
}
