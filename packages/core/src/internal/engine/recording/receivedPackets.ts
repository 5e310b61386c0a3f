/**
 * Reads the packets in the received bytes of a flight record, when the record is written. What is missing of payloads
 * is zeros. `recordLines.ts` calls it.
 */
import type { Packet } from "../../../Packet.ts"
import type { ProtocolVersion } from "../../../QoS.ts"
import type { Decoder } from "../../codec/contract.ts"
import { makeDecoder } from "../../codec/decoder.ts"
import type { KeptBytes, PacketStart } from "./receivedBytes.ts"

/** Bytes that are decoded at once. */
const portion = 16_384

const zeros = new Uint8Array(portion)

export class ReceivedPackets {
  readonly #kept: KeptBytes
  readonly #decoder: Decoder
  #packets: Array<Packet> = []
  #next = 0
  #position: number
  #gap = 0
  /** Bytes of the gap that are still to come. */
  #missing = 0
  #isBroken = false

  constructor(kept: KeptBytes, { position, skipped }: PacketStart, protocolVersion: ProtocolVersion) {
    this.#kept = kept
    this.#position = position
    this.#decoder = makeDecoder({ role: "client", protocolVersion, maximumPacketSize: Infinity, ownsChunks: true })
    while (this.#gap < kept.gaps.length && kept.gaps[this.#gap]!.position <= position) this.#gap++
    this.take(skipped)
  }

  /** The next packets that an engine gets: AUTH is not among them. Fewer, if the bytes have no more. */
  take(count: number): ReadonlyArray<Packet> {
    const taken: Array<Packet> = []
    while (taken.length < count) {
      if (this.#next === this.#packets.length && !this.#decode()) break
      for (; this.#next < this.#packets.length && taken.length < count; this.#next++) {
        const packet = this.#packets[this.#next]!
        if (packet._tag !== "Auth") taken.push(packet)
      }
    }
    return taken
  }

  /** Decodes the next bytes. False: there are none. */
  #decode(): boolean {
    const bytes = this.#isBroken ? undefined : this.#bytes()
    if (bytes === undefined) return false
    this.#packets = []
    this.#next = 0
    this.#isBroken = this.#decoder.push(bytes, this.#packets) !== undefined
    return true
  }

  #bytes(): Uint8Array | undefined {
    const { bytes, gaps, position } = this.#kept
    const gap = gaps[this.#gap]
    if (gap !== undefined && gap.position === this.#position) {
      if (this.#missing === 0) this.#missing = gap.missing
      const count = Math.min(this.#missing, portion)
      this.#missing -= count
      if (this.#missing === 0) this.#gap++
      return zeros.subarray(0, count)
    }
    const from = this.#position - position
    const to = Math.min(from + portion, bytes.length, gap === undefined ? Infinity : gap.position - position)
    if (from >= to) return undefined
    this.#position += to - from
    return bytes.subarray(from, to)
  }
}
