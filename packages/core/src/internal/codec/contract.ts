/**
 * The codec's contract: control packets to bytes and back, strict, incremental, and bounded in memory.
 */
import type { Packet, Tag } from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"

/**
 * A protocol violation by the peer. The connection must be closed with this reason code (MQTT 4.13).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  /**
   * The reason code for DISCONNECT on MQTT 5: 0x81 Malformed Packet, 0x82 Protocol Error, 0x95 Packet too large, and so
   * on.
   */
  readonly reasonCode: number
  /** The broken rule in words, with the packet type and, where it helps, the offset. */
  readonly detail: string
  /** The class of the violation, for tests and metrics. */
  readonly kind: string
}

/**
 * Options of a decoder.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface DecoderOptions {
  /**
   * The role of the decoding side. A client accepts only packets that a server may send, and a server only those of a
   * client.
   */
  readonly role: "client" | "server"
  /** Undefined for a server before CONNECT, which then gives the version. */
  readonly protocolVersion: ProtocolVersion | undefined
  /** Maximum bytes of a packet, fixed header included. A longer one is refused before it is buffered. */
  readonly maximumPacketSize: number
  /** The same for packets up to and including the first CONNACK, where it is smaller. Default: `maximumPacketSize`. */
  readonly maximumConnackSize?: number
  /** Maximum number of packets that one call decodes; the rest waits for `next`. Default: all. */
  readonly packetsPerCall?: number
  /**
   * Whether the decoder owns the chunks: nothing writes to them after `push`. Then a chunk that fills most of its
   * buffer is not copied. Default false.
   */
  readonly ownsChunks?: boolean
}

/**
 * An incremental decoder for one direction of one connection.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Decoder {
  /** The version that it decodes; undefined until a server's decoder has read CONNECT. */
  readonly protocolVersion: ProtocolVersion | undefined
  /**
   * Takes the next bytes, in any chunking, and appends the complete packets to `into`. Unless `ownsChunks`, the caller
   * may reuse the chunk afterwards: payloads and binary properties are views of a copy (one copy for all packets of the
   * call). A violation is final: packets before it are in `into`, and every later call answers the same violation.
   * Throws when `hasMore`.
   */
  readonly push: (chunk: Uint8Array, into: Array<Packet>) => Violation | undefined
  /** The last call left bytes of its chunk. The caller must not write to that chunk until `next` has taken them. */
  readonly hasMore: boolean
  /** Continues with the bytes that the last call left. */
  readonly next: (into: Array<Packet>) => Violation | undefined
  /** Bytes of an incomplete packet; never more than `maximumPacketSize`. */
  readonly bufferedBytes: number
}

/**
 * Why a packet cannot be encoded: a mistake of the caller, never of the peer.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface EncodeFailure {
  /** The type of the packet. */
  readonly packet: Tag
  /** What cannot be encoded, in words. */
  readonly detail: string
}

/**
 * A batch encoder with a pooled buffer.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Encoder {
  /** Appends one packet. A failure appends nothing. */
  readonly write: (packet: Packet) => EncodeFailure | undefined
  /** Bytes that were appended and not taken. */
  readonly pendingBytes: number
  /**
   * The appended bytes, usually one chunk. A new chunk begins when the pool's buffer is full; large payloads may be
   * chunks of their own. The caller owns the bytes: the encoder never writes to them again.
   */
  readonly take: () => ReadonlyArray<Uint8Array>
}
