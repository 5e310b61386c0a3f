/**
 * Framing: turns bytes in any chunking into packets, with bounded memory. The connection's intake calls it. Size: one
 * state machine, whose states are where in a packet and in a chunk the next byte stands; every method moves them.
 */
import * as Packet from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import type { Decoder, DecoderOptions } from "./contract.ts"
import { copyOf } from "./copy.ts"
import { decodeAuth, decodeConnack, decodeConnect, decodeDisconnect } from "./decodeConnect.ts"
import { decodeAcknowledgement, decodePublish } from "./decodePublish.ts"
import { decodeSuback, decodeSubscribe, decodeUnsuback, decodeUnsubscribe } from "./decodeSubscribe.ts"
import * as PacketType from "./packetType.ts"
import { Reader } from "./reader.ts"
import { type CodecViolation, makeViolation, type ViolationKind } from "./violation.ts"

// Initial allocation in bytes for an incomplete packet. Beyond it the buffer doubles with the bytes that have arrived,
// so a peer cannot claim memory by announcing a large packet.
const firstAllocation = 65_536
// The first byte and up to four bytes of remaining length.
const maximumHeaderBytes = 5

// Packet types that the peer may send, as a bit set (MQTT 2.1.2, table 2-1).
const bits = (...types: ReadonlyArray<number>): number => types.reduce((all, type) => all | (1 << type), 0)
const bothWays = [PacketType.publish, PacketType.puback, PacketType.pubrec, PacketType.pubrel, PacketType.pubcomp]
const fromServer4 = bits(
  ...bothWays,
  PacketType.connack,
  PacketType.suback,
  PacketType.unsuback,
  PacketType.pingresp
)
const fromServer5 = fromServer4 | bits(PacketType.disconnect, PacketType.auth)
const fromClient4 = bits(
  ...bothWays,
  PacketType.connect,
  PacketType.subscribe,
  PacketType.unsubscribe,
  PacketType.pingreq,
  PacketType.disconnect
)
const fromClient5 = fromClient4 | bits(PacketType.auth)
const onlyConnect = bits(PacketType.connect)
// Types whose packets may contain bytes that are handed out as views.
const withBinary = bits(PacketType.connect, PacketType.connack, PacketType.publish, PacketType.auth)

// The bits of the QoS of PUBLISH in the first byte.
const qosBits = 6

// A chunk with QoS 0 and other messages that is no larger than this, in bytes, is not split.
const smallMixture = 8192

const nothing = new Uint8Array(0)

/**
 * The decoder of one direction of one connection.
 */
export const makeDecoder = (options: DecoderOptions): Decoder => new PacketDecoder(options)

class PacketDecoder implements Decoder {
  readonly #fromServer: boolean
  readonly #maximumPacketSize: number
  readonly #packetsPerCall: number
  readonly #ownsChunks: boolean
  readonly #reader = new Reader()
  #version: ProtocolVersion | undefined
  #expected: number
  #violation: CodecViolation | undefined = undefined
  // The limit for packets that are scanned now: smaller than `#maximumPacketSize` until CONNACK.
  #limit: number
  // Number of packets that the current call may still decode.
  #room = 0
  // The rest of the chunk that the last call left.
  #rest: Uint8Array | undefined = undefined

  // The first `#pendingLength` bytes of the incomplete packet, and its whole size once its header is there, else 0.
  #pending: Uint8Array = nothing
  #pendingLength = 0
  #pendingTotal = 0

  // Further results of the last `#scan`.
  #scannedBinary = false
  #scannedMixture = false
  #scannedTotal = 0

  constructor(options: DecoderOptions) {
    this.#fromServer = options.role === "client"
    this.#maximumPacketSize = options.maximumPacketSize
    this.#limit = Math.min(options.maximumConnackSize ?? Infinity, options.maximumPacketSize)
    this.#packetsPerCall = options.packetsPerCall ?? Infinity
    this.#ownsChunks = options.ownsChunks ?? false
    this.#version = options.protocolVersion
    this.#expected = this.#expectedTypes()
  }

  get protocolVersion(): ProtocolVersion | undefined {
    return this.#version
  }

  get bufferedBytes(): number {
    return this.#pendingLength
  }

  get hasMore(): boolean {
    return this.#rest !== undefined
  }

  push(chunk: Uint8Array, into: Array<Packet.Packet>): CodecViolation | undefined {
    if (this.#rest !== undefined) {
      throw new Error("push before next has taken the rest of the last chunk")
    }
    return this.#decode(chunk, into)
  }

  next(into: Array<Packet.Packet>): CodecViolation | undefined {
    const rest = this.#rest
    this.#rest = undefined
    return rest === undefined ? this.#violation : this.#decode(rest, into)
  }

  #decode(chunk: Uint8Array, into: Array<Packet.Packet>): CodecViolation | undefined {
    if (this.#violation !== undefined) {
      return this.#violation
    }
    this.#room = this.#packetsPerCall
    let position = 0
    if (this.#pendingLength > 0) {
      position = this.#resume(chunk, into)
    }
    if (this.#violation === undefined && position < chunk.length) {
      this.#frames(chunk, position, into)
    }
    if (this.#violation !== undefined) {
      this.#pending = nothing
      this.#pendingLength = 0
      this.#rest = undefined
    }
    this.#reader.release()
    return this.#violation
  }

  #expectedTypes(): number {
    if (this.#version === undefined) {
      return onlyConnect
    }
    if (this.#version === 5) {
      return this.#fromServer ? fromServer5 : fromClient5
    }
    return this.#fromServer ? fromServer4 : fromClient4
  }

  /** Decodes all complete packets in the chunk. The rest waits. */
  #frames(chunk: Uint8Array, position: number, into: Array<Packet.Packet>): void {
    const end = this.#scan(chunk, position)
    const badLength = this.#violation
    const isFull = this.#room === 0
    const total = this.#scannedTotal
    // Packets before an unacceptable header come first.
    this.#violation = undefined
    if (end > position) {
      // One copy serves all packets up to the last complete one, so that a view keeps as little as possible alive. An
      // owned chunk that fills its buffer would not shrink by a copy.
      let bytes = chunk
      let offset = position
      if (this.#scannedBinary && !(this.#ownsChunks && 2 * (end - position) >= chunk.buffer.byteLength)) {
        const copy = copyOf(position === 0 && end === chunk.length ? chunk : chunk.subarray(position, end))
        bytes = copy.bytes
        offset = copy.offset
        this.#reader.attach(bytes, copy.dataView)
      } else {
        this.#reader.attach(bytes, undefined)
      }
      const limit = offset + end - position
      if (this.#scannedMixture && limit - offset > smallMixture) {
        this.#mixture(bytes, offset, limit, into)
      } else {
        while (offset < limit && this.#violation === undefined) {
          offset = this.#packet(bytes, offset, into)
        }
      }
      if (this.#violation !== undefined) {
        return
      }
    }
    if (isFull) {
      this.#rest = end < chunk.length ? chunk.subarray(end) : undefined
      return
    }
    // A first byte that cannot begin a packet is refused now, not when its body has arrived.
    if (end < chunk.length && this.#acceptable(chunk[end])) {
      this.#violation = badLength
      if (badLength === undefined) {
        this.#store(chunk, end, total)
      }
    }
  }

  /**
   * A chunk with messages that are held and others that are released soon. QoS 1 and 2 messages, which may wait for a
   * slow consumer, get their own bytes, so that a small one does not keep the whole chunk alive.
   */
  #mixture(bytes: Uint8Array, position: number, end: number, into: Array<Packet.Packet>): void {
    const dataView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    while (position < end && this.#violation === undefined) {
      const total = this.#totalLength(bytes, position, end)
      if (bytes[position] >> 4 === PacketType.publish && (bytes[position] & qosBits) !== 0) {
        const copy = copyOf(bytes.subarray(position, position + total))
        this.#reader.attach(copy.bytes, copy.dataView)
        this.#packet(copy.bytes, copy.offset, into)
      } else {
        this.#reader.attach(bytes, dataView)
        this.#packet(bytes, position, into)
      }
      position += total
    }
  }

  /**
   * Answers the end of the last complete packet that this call may decode. A malformed remaining length, or one above
   * the maximum packet size, ends the scan with a violation.
   */
  #scan(bytes: Uint8Array, position: number): number {
    const length = bytes.length
    let types = 0
    let qos = 0
    let room = this.#room
    this.#scannedTotal = 0
    while (room > 0 && position + 1 < length) {
      const total = this.#totalLength(bytes, position, length)
      if (total <= 0) {
        break
      }
      if (total > length - position) {
        this.#scannedTotal = total
        break
      }
      const type = bytes[position] >> 4
      if (type === PacketType.connack) {
        this.#limit = this.#maximumPacketSize
      }
      types |= 1 << type
      if (type === PacketType.publish) {
        qos |= (bytes[position] & qosBits) === 0 ? 1 : 2
      }
      position += total
      room--
    }
    this.#room = room
    this.#scannedBinary = (types & withBinary) !== 0
    this.#scannedMixture = qos === 3
    return position
  }

  /** The size of the packet at a position, 0 when its header is incomplete, -1 with a violation. */
  #totalLength(bytes: Uint8Array, position: number, end: number): number {
    let value = 0
    let index = position + 1
    for (let shift = 0; shift < 28; shift += 7) {
      if (index >= end) {
        return 0
      }
      const byte = bytes[index++]
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        const total = index - position + value
        if (total > this.#limit) {
          this.#fail(
            "packet-too-large",
            bytes[position],
            `${total} bytes, more than the maximum packet size of ${this.#limit}` +
              (this.#limit < this.#maximumPacketSize ? " before CONNACK" : "")
          )
          return -1
        }
        return total
      }
    }
    this.#fail("remaining-length", bytes[position], "the remaining length is longer than four bytes")
    return -1
  }

  #fail(kind: ViolationKind, first: number, detail: string): void {
    this.#violation = makeViolation(kind, `${PacketType.names[first >> 4]}: ${detail}`)
  }

  /** Keeps the beginning of an incomplete packet. */
  #store(chunk: Uint8Array, position: number, total: number): void {
    const length = chunk.length - position
    const pending = new Uint8Array(
      total === 0 ? maximumHeaderBytes : Math.min(total, Math.max(length, firstAllocation))
    )
    pending.set(chunk.subarray(position))
    this.#pending = pending
    this.#pendingLength = length
    this.#pendingTotal = total
  }

  /** Continues the incomplete packet. Returns the number of bytes that it took from the chunk. */
  #resume(chunk: Uint8Array, into: Array<Packet.Packet>): number {
    let position = 0
    while (this.#pendingTotal === 0) {
      if (position === chunk.length) {
        return position
      }
      this.#pending[this.#pendingLength++] = chunk[position++]
      const total = this.#totalLength(this.#pending, 0, this.#pendingLength)
      if (total < 0) {
        return position
      }
      this.#pendingTotal = total
    }
    const total = this.#pendingTotal
    const length = this.#pendingLength
    const take = Math.min(total - length, chunk.length - position)
    const needed = length + take
    if (needed > this.#pending.length || needed === total && this.#pending.length < total) {
      const larger = new Uint8Array(Math.min(total, Math.max(needed, firstAllocation, this.#pending.length * 2)))
      larger.set(this.#pending.subarray(0, length))
      this.#pending = larger
    }
    this.#pending.set(chunk.subarray(position, position + take), length)
    this.#pendingLength = needed
    position += take
    if (needed === total) {
      // The packet owns the buffer from now on: its payload is a view of it.
      const bytes = this.#pending
      if (bytes[0] >> 4 === PacketType.connack) {
        this.#limit = this.#maximumPacketSize
      }
      this.#room--
      this.#pending = nothing
      this.#pendingLength = 0
      this.#pendingTotal = 0
      this.#reader.attach(bytes, undefined)
      this.#packet(bytes, 0, into)
    }
    return position
  }

  /** Whether a packet may begin with this byte now. */
  #acceptable(first: number): boolean {
    const type = first >> 4
    if (((this.#expected >> type) & 1) === 0) {
      if (type === 0 || (type === PacketType.auth && this.#version === 4)) {
        this.#fail("packet-type", first, "the type is reserved")
      } else {
        this.#fail(
          "unexpected-packet",
          first,
          this.#version === undefined
            ? "the first packet is not CONNECT"
            : `a ${this.#fromServer ? "server" : "client"} must not send it now`
        )
      }
      return false
    }
    if (type !== PacketType.publish && (first & 15) !== PacketType.fixedFlags(type)) {
      this.#fail("fixed-header-flags", first, `fixed header flags 0x${(first & 15).toString(16)}`)
      return false
    }
    return true
  }

  /** Decodes the complete packet at a position. Returns its end. */
  #packet(bytes: Uint8Array, start: number, into: Array<Packet.Packet>): number {
    const first = bytes[start]
    if (!this.#acceptable(first)) {
      return start
    }
    let position = start + 1
    let remaining = 0
    let byte = 0
    let shift = 0
    do {
      byte = bytes[position++]
      remaining |= (byte & 0x7f) << shift
      shift += 7
    } while (byte >= 0x80)
    const end = position + remaining
    const reader = this.#reader
    reader.begin(start, position, end, PacketType.names[first >> 4])
    const packet = this.#body(first)
    // MQTT 5 forbids an encoding that is longer than needed [MQTT5-1.5.5-1]. 3.1.1 has no such rule, and only CONNECT
    // gives the version.
    if (byte === 0 && shift > 7 && this.#version !== 4) {
      reader.violation = undefined
      reader.fail("remaining-length", "the remaining length is encoded in more bytes than needed")
    }
    if (reader.violation !== undefined) {
      this.#violation = reader.violation
      return start
    }
    into.push(packet)
    return end
  }

  #body(first: number): Packet.Packet {
    const reader = this.#reader
    const version = this.#version ?? 4
    switch (first >> 4) {
      case PacketType.publish:
        return decodePublish(reader, first, version, this.#fromServer)
      case PacketType.puback:
        return decodeAcknowledgement(reader, "Puback", version)
      case PacketType.pubrec:
        return decodeAcknowledgement(reader, "Pubrec", version)
      case PacketType.pubrel:
        return decodeAcknowledgement(reader, "Pubrel", version)
      case PacketType.pubcomp:
        return decodeAcknowledgement(reader, "Pubcomp", version)
      case PacketType.connect:
        return this.#connect()
      case PacketType.connack:
        return decodeConnack(reader, version)
      case PacketType.subscribe:
        return decodeSubscribe(reader, version)
      case PacketType.suback:
        return decodeSuback(reader, version)
      case PacketType.unsubscribe:
        return decodeUnsubscribe(reader, version)
      case PacketType.unsuback:
        return decodeUnsuback(reader, version)
      case PacketType.pingreq:
        reader.finish()
        return Packet.pingreq
      case PacketType.pingresp:
        reader.finish()
        return Packet.pingresp
      case PacketType.disconnect:
        return decodeDisconnect(reader, version, this.#fromServer)
      default:
        return decodeAuth(reader, this.#fromServer)
    }
  }

  #connect(): Packet.Connect {
    const packet = decodeConnect(this.#reader)
    if (this.#reader.violation === undefined) {
      if (this.#version !== undefined && this.#version !== packet.protocolVersion) {
        this.#reader.fail("protocol-version", `protocol version ${packet.protocolVersion} was not expected`)
      }
      this.#version = packet.protocolVersion
      // A second CONNECT is a protocol error [MQTT5-3.1.0-2].
      this.#expected = this.#expectedTypes() & ~onlyConnect
    }
    return packet
  }
}
