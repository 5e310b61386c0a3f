/**
 * The codec's contract: control packets to bytes and back, strict, incremental, and bounded in memory.
 */
import type { Packet, Tag } from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"

/**
 * A violation of the protocol by the peer: the connection must be closed with this reason code (MQTT 4.13).
 */
export interface Violation {
  /** 0x81 Malformed Packet, 0x82 Protocol Error, 0x95 Packet too large, ...: what DISCONNECT says on MQTT 5. */
  readonly reasonCode: number
  /** Which rule was broken, in words, with the packet type and, where it helps, the offset. */
  readonly detail: string
  /** Which class of malformation it is, for tests and statistics. */
  readonly kind: string
}

export interface DecoderOptions {
  /** Who decodes: a client accepts only what a server may send, and the other way round. */
  readonly role: "client" | "server"
  /** Undefined for a server that has not seen CONNECT yet: the version is taken from there. */
  readonly protocolVersion: ProtocolVersion | undefined
  /** Bytes of a whole packet, fixed header included; a longer one is refused before it is buffered. */
  readonly maximumPacketSize: number
  /**
   * The same for packets up to the first CONNACK, itself included, where that is less; default: `maximumPacketSize`.
   */
  readonly maximumConnackSize?: number
  /** How many packets one call decodes at most; the rest waits for `next`. Default: all. */
  readonly packetsPerCall?: number
  /**
   * The chunks belong to the decoder: nobody writes to them after `push`. Then a chunk that fills most of its buffer is
   * not copied. Default false.
   */
  readonly ownsChunks?: boolean
}

/**
 * An incremental decoder for one direction of one connection.
 */
export interface Decoder {
  readonly protocolVersion: ProtocolVersion | undefined
  /**
   * Takes the next bytes, in any chunking, and appends the complete packets to `into`. The chunk may be reused by the
   * caller afterwards (unless `ownsChunks`): payloads and binary properties are views of a copy (one copy for all
   * packets of the call). A violation is final: packets before it are in `into`, and every later call answers the same
   * violation. Throws when `hasMore`.
   */
  readonly push: (chunk: Uint8Array, into: Array<Packet>) => Violation | undefined
  /** The last call has left bytes of its chunk. The caller does not write to that chunk until `next` has taken them. */
  readonly hasMore: boolean
  /** Goes on with what the last call has left. */
  readonly next: (into: Array<Packet>) => Violation | undefined
  /** Bytes of an incomplete packet that wait for the rest; never more than `maximumPacketSize`. */
  readonly bufferedBytes: number
}

/**
 * Why a packet cannot be encoded: the caller's mistake, never the peer's.
 */
export interface EncodeFailure {
  readonly packet: Tag
  readonly detail: string
}

/**
 * A batch encoder with a pooled buffer.
 */
export interface Encoder {
  /** Appends one packet. A failure appends nothing. */
  readonly write: (packet: Packet) => EncodeFailure | undefined
  /** Bytes appended and not taken yet. */
  readonly pendingBytes: number
  /**
   * The appended bytes, usually one chunk (a new one begins when the pool's buffer is full; large payloads may stand
   * alone), which belong to the caller from now on: the encoder never writes to them again.
   */
  readonly take: () => ReadonlyArray<Uint8Array>
}
