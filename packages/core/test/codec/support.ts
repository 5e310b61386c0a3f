/**
 * What the codec's tests share: bytes by hand, and short ways to decode them.
 */
import type { Violation } from "../../src/internal/codec/contract.ts"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import type { Packet } from "../../src/Packet.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"

export type Role = "client" | "server"

/** The largest packet of MQTT. */
export const unlimited = 268_435_460

/** Bytes from hexadecimal digits; blanks do not count. */
export const hex = (digits: string): Uint8Array => {
  const compact = digits.replaceAll(/\s/g, "")
  return Uint8Array.from({ length: compact.length / 2 }, (_, i) => Number.parseInt(compact.slice(2 * i, 2 * i + 2), 16))
}

/** A string of MQTT: two bytes of length and UTF-8. */
export const text = (value: string): Array<number> => {
  const bytes = new TextEncoder().encode(value)
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes]
}

/** A whole packet: the remaining length is put in, everything else is by hand. */
export const frame = (first: number, ...body: ReadonlyArray<number>): Uint8Array => {
  const length: Array<number> = []
  let rest = body.length
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Uint8Array.from([first, ...length, ...body])
}

/** Properties with their length. */
export const properties = (...body: ReadonlyArray<number>): Array<number> => [body.length, ...body]

export const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let position = 0
  for (const part of parts) {
    all.set(part, position)
    position += part.length
  }
  return all
}

export interface Decoded {
  readonly packets: Array<Packet>
  readonly violation: Violation | undefined
}

/** Decodes bytes that come in one chunk. */
export const decode = (
  bytes: Uint8Array,
  role: Role,
  protocolVersion: ProtocolVersion | undefined,
  maximumPacketSize = unlimited
): Decoded => {
  const packets: Array<Packet> = []
  const violation = makeDecoder({ role, protocolVersion, maximumPacketSize }).push(bytes, packets)
  return { packets, violation }
}

/** A deterministic source of numbers (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** From 0 to just below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.int(0, values.length - 1)]
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int(0, 255))
  }
}
