/**
 * The bytes that a session received last, as they came: a ring, whose memory never grows. A flight record keeps them in
 * place of packets, because a copy of a chunk costs next to nothing, and reads packets in them when it is written. Long
 * payloads are left out. `recordedEngine.ts` adds the chunks, `receivedPackets.ts` reads them.
 */

import type { ProtocolVersion } from "../../../QoS.ts"
import { type Gap, Gaps } from "./gaps.ts"

/** Where in the bytes of a connection its packets are read from. */
export interface PacketStart {
  /** Where a packet begins, counted from the begin of the session. */
  readonly position: number
  /** Number of packets from there on that the engine had already. */
  readonly skipped: number
}

/** A copy of the ring: the bytes from a position on, and where bytes of payloads were left out. */
export interface KeptBytes {
  readonly position: number
  readonly bytes: Uint8Array
  readonly gaps: ReadonlyArray<Gap>
}

/** Payloads of fewer bytes are kept, because it costs more to find where they begin. */
const longPayload = 128
/** Payloads are looked for where the packets of the last chunk had more bytes than this on average. */
const longPacket = 256

const publish = 3

/**
 * The part of the ring that is filled before packets are read from a later position: more than half, because what came
 * before is read until it is overwritten. Two reads have to find room after it.
 */
const fullShare = 3 / 4
const roomForReads = 2 * 65_536

/** The part of the memory that the places of missing bytes take. */
const gapShare = 1 / 16

export class ReceivedBytes {
  readonly #size: number
  readonly #full: number
  readonly #hasProperties: boolean
  readonly #gaps: Gaps
  /** Made with the first chunk: most sessions wait long for it. */
  #ring: Uint8Array | undefined = undefined
  #end = 0
  #start: PacketStart = { position: 0, skipped: 0 }
  /** Number of packets from the start on that the engine has. */
  #delivered = 0
  /** Bytes of chunks from the start on. */
  #added = 0
  /** Bytes of a payload to come that are left out, and where its packet began. */
  #missing = 0
  #cutPacket = 0
  /** The packets before the start were long on average. */
  #isLong = false
  /** There are bytes of this connection, and the engine has its CONNACK. */
  #isOpen = false
  #isAccepted = false

  /** Takes at most so many bytes of memory. */
  constructor(bytes: number, protocolVersion: ProtocolVersion) {
    const forGaps = Math.floor(bytes * gapShare)
    this.#gaps = new Gaps(forGaps)
    this.#size = bytes - forGaps
    this.#full = Math.max(this.#size / 2, Math.min(this.#size * fullShare, this.#size - roomForReads))
    this.#hasProperties = protocolVersion === 5
  }

  /** Where the bytes end. */
  get end(): number {
    return this.#end
  }

  /** Where the packets begin that the engine does not have yet. */
  get start(): PacketStart {
    return { position: this.#start.position, skipped: this.#delivered }
  }

  /** Whether the bytes from there on are still there. */
  get hasStart(): boolean {
    return this.has(this.#start.position)
  }

  /** Whether the packets of the engine come from these bytes. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Memory that it takes, in bytes. */
  get bytes(): number {
    return (this.#ring?.length ?? 0) + this.#gaps.bytes
  }

  /** Whether the bytes from a position on are still there. */
  has(position: number): boolean {
    return this.#end - position <= this.#size
  }

  /** The bytes from a position on as a share of those after which packets should be read from a later one. */
  fullnessFrom(position: number): number {
    return (this.#end - position) / this.#full
  }

  /** The next bytes are those of another connection. */
  connecting(): void {
    this.#isOpen = this.#isAccepted = false
    this.#missing = 0
    this.#begin(this.#end)
  }

  /** The engine gets so many packets. */
  delivered(count: number): void {
    this.#isAccepted = true
    this.#delivered += count
  }

  /**
   * The connection has made packets of all bytes but the last `pending`, which are of an incomplete packet; negative:
   * it has not.
   */
  decoded(pending: number): void {
    // Before CONNACK is accepted the connection may hold packets back.
    if (!this.#isAccepted || pending < 0) return
    if (this.#added > 0) this.#isLong = this.#added > this.#delivered * longPacket
    this.#begin(this.#missing > 0 ? this.#cutPacket : this.#end - pending)
  }

  /** Adds a chunk. `pending` as in `decoded`. */
  add(chunk: Uint8Array, pending: number): void {
    this.#isOpen = true
    this.decoded(pending)
    const isLong = this.#isLong && this.#isAccepted && pending >= 0
    this.#added += chunk.length
    let from = 0
    if (this.#missing > 0) {
      from = Math.min(this.#missing, chunk.length)
      this.#missing -= from
      this.#leaveOut(from)
      if (from === chunk.length) return
      if (isLong) return this.#addHeads(chunk, from, from)
    } else if (isLong) return this.#addHeads(chunk, 0, -pending)
    this.#write(chunk, from, chunk.length)
  }

  /** Forgets what is missing before a position. */
  forget(position: number): void {
    this.#gaps.forget(position)
  }

  /** A copy of the bytes from a position on. */
  keep(position: number): KeptBytes {
    const size = this.#size
    const ring = this.#ring
    const length = this.#end - position
    const bytes = new Uint8Array(length)
    if (ring !== undefined) {
      const offset = position % size
      const first = Math.min(length, size - offset)
      bytes.set(ring.subarray(offset, offset + first))
      bytes.set(ring.subarray(0, length - first), first)
    }
    return { position, bytes, gaps: this.#gaps.keep() }
  }

  #begin(position: number): void {
    this.#start = { position, skipped: 0 }
    this.#delivered = 0
    this.#added = 0
  }

  /**
   * Adds a chunk without its long payloads. A packet begins at `at`; below 0 it is that many bytes before the chunk.
   */
  #addHeads(chunk: Uint8Array, from: number, at: number): void {
    const { length } = chunk
    const end = this.#end
    const byteAt = (index: number): number => index < 0 ? this.#ring![(end + index) % this.#size]! : chunk[index]!
    let written = from
    while (at < length) {
      // The fixed header, and of PUBLISH what comes before the payload.
      let position = at + 1
      let remaining = 0
      let isComplete = false
      for (let shift = 0; shift < 28 && position < length && !isComplete; shift += 7) {
        const byte = byteAt(position++)
        remaining |= (byte & 0x7f) << shift
        isComplete = byte < 0x80
      }
      if (!isComplete) break
      const next = position + remaining
      if (remaining >= longPayload && byteAt(at) >> 4 === publish && !this.#gaps.isFull) {
        const payload = payloadOf(byteAt, at, position, length, this.#hasProperties)
        if (payload === undefined) break
        const cut = Math.max(payload, 0)
        if (next - cut >= longPayload && cut < length) {
          const packet = this.#end + at - written
          this.#write(chunk, written, cut)
          written = Math.min(next, length)
          this.#leaveOut(written - cut)
          if (next > length) {
            this.#cutPacket = packet
            this.#missing = next - length
          }
        }
      }
      at = next
    }
    this.#write(chunk, written, length)
  }

  #write(chunk: Uint8Array, from: number, to: number): void {
    const size = this.#size
    const ring = this.#ring ??= new Uint8Array(size)
    // Only the last bytes of a chunk that is larger than the ring: nothing before them is read.
    const first = Math.max(from, to - size)
    const offset = (this.#end + first - from) % size
    const room = size - offset
    if (to - first <= room) ring.set(first === 0 && to === chunk.length ? chunk : chunk.subarray(first, to), offset)
    else {
      ring.set(chunk.subarray(first, first + room), offset)
      ring.set(chunk.subarray(first + room, to))
    }
    this.#end += to - from
  }

  #leaveOut(count: number): void {
    this.#gaps.add(this.#end, count)
  }
}

/** Where the payload of a PUBLISH begins; undefined: its header goes beyond `end`. `body` follows the fixed header. */
const payloadOf = (
  byteAt: (index: number) => number,
  packet: number,
  body: number,
  end: number,
  hasProperties: boolean
): number | undefined => {
  if (body + 2 > end) return undefined
  let position = body + 2 + (byteAt(body) << 8 | byteAt(body + 1))
  if ((byteAt(packet) & 6) !== 0) position += 2
  if (!hasProperties) return position > end ? undefined : position
  let length = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (position >= end) return undefined
    const byte = byteAt(position++)
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  return position + length > end ? undefined : position + length
}
