/**
 * The batch encoder: the packets of one turn of the event loop become one chunk. The connection's sender calls it.
 */
import type * as Packet from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import { acquireBuffer, type PoolBuffer, releaseBuffer, separatePayload } from "./bufferPool.ts"
import type { EncodeFailure, Encoder } from "./contract.ts"
import { copyInto } from "./copy.ts"
import { type Measure, measureFor } from "./measure.ts"
import { fixedHeaderSize, writePacket } from "./writePacket.ts"

/**
 * Options of an encoder in addition to the version.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface EncoderOptions {
  /** Payloads of at least this many bytes are handed out without a copy; 4096 by default. */
  readonly separatePayload?: number
}

const noChunks: ReadonlyArray<Uint8Array> = []

/**
 * An encoder for one direction of one connection.
 */
export const makeEncoder = (protocolVersion: ProtocolVersion, options?: EncoderOptions): Encoder =>
  new PacketEncoder(protocolVersion, options?.separatePayload ?? separatePayload)

class PacketEncoder implements Encoder {
  readonly #measure: Measure
  readonly #separatePayload: number
  #buffer: PoolBuffer | undefined = undefined
  // The end of the written bytes, which begin at `#buffer.position`.
  #position = 0
  #chunks: Array<Uint8Array> = []
  #chunkBytes = 0

  constructor(protocolVersion: ProtocolVersion, separatePayload: number) {
    this.#measure = measureFor(protocolVersion)
    this.#separatePayload = separatePayload
  }

  get pendingBytes(): number {
    return this.#chunkBytes + (this.#buffer === undefined ? 0 : this.#position - this.#buffer.position)
  }

  write(packet: Packet.Packet): EncodeFailure | undefined {
    const measure = this.#measure
    const remaining = measure.begin(packet)
    if (measure.failure !== undefined) {
      measure.end()
      return { packet: packet._tag, detail: measure.failure }
    }
    const payload = packet._tag === "Publish" ? packet.payload : undefined
    const separate = payload !== undefined && payload.length >= this.#separatePayload
    const size = fixedHeaderSize(remaining) + remaining - (separate ? payload.length : 0)
    const buffer = this.#room(size)
    let position = writePacket(buffer.bytes, this.#position, packet, remaining, measure)
    measure.end()
    if (payload !== undefined) {
      if (separate) {
        this.#position = position
        this.#seal(buffer)
        this.#chunks.push(payload)
        this.#chunkBytes += payload.length
        return undefined
      }
      copyInto(buffer.bytes, payload, position)
      position += payload.length
    }
    this.#position = position
    return undefined
  }

  take(): ReadonlyArray<Uint8Array> {
    const buffer = this.#buffer
    if (buffer !== undefined) {
      this.#seal(buffer)
      releaseBuffer(buffer)
      this.#buffer = undefined
    }
    if (this.#chunks.length === 0) {
      return noChunks
    }
    const chunks = this.#chunks
    this.#chunks = []
    this.#chunkBytes = 0
    return chunks
  }

  /** The buffer, with space for one packet. */
  #room(size: number): PoolBuffer {
    const buffer = this.#buffer
    if (buffer !== undefined) {
      if (buffer.bytes.length - this.#position >= size) {
        return buffer
      }
      this.#seal(buffer)
      releaseBuffer(buffer)
    }
    const fresh = acquireBuffer(size)
    this.#buffer = fresh
    this.#position = fresh.position
    return fresh
  }

  /** Makes a chunk of the written bytes. */
  #seal(buffer: PoolBuffer): void {
    if (this.#position > buffer.position) {
      this.#chunks.push(buffer.bytes.subarray(buffer.position, this.#position))
      this.#chunkBytes += this.#position - buffer.position
      buffer.position = this.#position
    }
  }
}

/**
 * Encodes one packet into its own bytes. Throws a RangeError for a packet that cannot be encoded. For tests, and for
 * packets that are known to be valid.
 */
export const encode = (packet: Packet.Packet, protocolVersion: ProtocolVersion): Uint8Array => {
  const encoder = new PacketEncoder(protocolVersion, Number.POSITIVE_INFINITY)
  const failure = encoder.write(packet)
  if (failure !== undefined) {
    throw new RangeError(`${failure.packet}: ${failure.detail}`)
  }
  return encoder.take()[0].slice()
}
