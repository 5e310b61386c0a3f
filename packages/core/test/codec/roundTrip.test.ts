import { assert, describe, it } from "@effect/vitest"
import type { Decoder } from "../../src/internal/codec/contract.ts"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import { sizeOf } from "../../src/internal/codec/size.ts"
import type { Packet } from "../../src/Packet.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { arbitraryConnect, arbitraryPacket } from "./arbitrary.ts"
import { concat, Random, type Role, unlimited } from "./support.ts"

const sequences = 300

interface Sequence {
  readonly packets: Array<Packet>
  readonly decoder: Decoder
}

const arbitrarySequence = (random: Random, version: ProtocolVersion, role: Role): Sequence => {
  const packets: Array<Packet> = Array.from({ length: random.int(1, 12) }, () => arbitraryPacket(random, version, role))
  if (role === "server") {
    packets.unshift(arbitraryConnect(random, version))
  }
  return {
    packets,
    decoder: makeDecoder({
      role,
      protocolVersion: role === "server" && random.chance(0.5) ? undefined : version,
      maximumPacketSize: unlimited
    })
  }
}

const encodeAll = (packets: ReadonlyArray<Packet>, version: ProtocolVersion): Uint8Array => {
  const encoder = makeEncoder(version)
  for (const packet of packets) {
    assert.isUndefined(encoder.write(packet))
  }
  return concat(...encoder.take())
}

/** Pieces of any size, now and then an empty one; always the same array, as a caller may reuse it. */
const inChunks = (random: Random, bytes: Uint8Array, push: (chunk: Uint8Array) => void): void => {
  const largest = random.pick([1, 2, 5, 50, 1000, bytes.length])
  const lent = new Uint8Array(largest)
  let position = 0
  while (position < bytes.length) {
    const size = Math.min(random.int(random.chance(0.1) ? 0 : 1, largest), bytes.length - position)
    lent.set(bytes.subarray(position, position + size))
    push(lent.subarray(0, size))
    lent.fill(0xee)
    position += size
  }
}

describe("round trip", () => {
  for (const version of [4, 5] as const) {
    for (const role of ["client", "server"] as const) {
      const name = `${version === 4 ? "3.1.1" : "5"}, decoded by a ${role}`

      it(`gives back arbitrary packets in arbitrary chunks (${name})`, () => {
        for (let seed = 1; seed <= sequences; seed++) {
          const random = new Random(seed * 7919 + version)
          const { decoder, packets } = arbitrarySequence(random, version, role)
          const decoded: Array<Packet> = []
          inChunks(random, encodeAll(packets, version), (chunk) => {
            assert.isUndefined(decoder.push(chunk, decoded), `seed ${seed}`)
          })
          assert.deepStrictEqual(decoded, packets, `seed ${seed}`)
          assert.strictEqual(decoder.bufferedBytes, 0)
          assert.strictEqual(decoder.protocolVersion, version)
        }
      })

      it(`gives back arbitrary packets byte by byte (${name})`, () => {
        for (let seed = 1; seed <= 30; seed++) {
          const random = new Random(seed * 104_729 + version)
          const { decoder, packets } = arbitrarySequence(random, version, role)
          const bytes = encodeAll(packets, version)
          const decoded: Array<Packet> = []
          for (let i = 0; i < bytes.length; i++) {
            assert.isUndefined(decoder.push(bytes.subarray(i, i + 1), decoded), `seed ${seed}`)
          }
          assert.deepStrictEqual(decoded, packets, `seed ${seed}`)
        }
      })

      it(`writes the same bytes in a batch as alone, as many as sizeOf says (${name})`, () => {
        for (let seed = 1; seed <= sequences; seed++) {
          const random = new Random(seed * 31 + version)
          const { packets } = arbitrarySequence(random, version, role)
          const alone = packets.map((packet) => encode(packet, version))
          assert.deepStrictEqual(encodeAll(packets, version), concat(...alone), `seed ${seed}`)
          assert.deepStrictEqual(alone.map((bytes) => bytes.length), packets.map((packet) => sizeOf(packet, version)))
        }
      })
    }
  }
})
