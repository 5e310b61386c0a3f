import { assert, describe, it } from "@effect/vitest"
import type { Violation } from "../../src/internal/codec/contract.ts"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import { violationKinds } from "../../src/internal/codec/violation.ts"
import type { Packet } from "../../src/Packet.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { arbitraryConnect, arbitraryPacket } from "./arbitrary.ts"
import { concat, Random, type Role } from "./support.ts"

// More cases, or others, from the environment: EFFECT_MQTTX_FUZZ_CASES=5000000 EFFECT_MQTTX_FUZZ_SEED=7
const cases = Number(process.env["EFFECT_MQTTX_FUZZ_CASES"] ?? 100_000)
const firstSeed = Number(process.env["EFFECT_MQTTX_FUZZ_SEED"] ?? 1)

const kinds: ReadonlySet<string> = new Set(violationKinds)
const reasonCodes = [0x81, 0x82, 0x84, 0x85, 0x94, 0x95]

// Bytes that begin, end or break something.
const interesting = [0x00, 0x01, 0x02, 0x03, 0x05, 0x0b, 0x23, 0x26, 0x2b, 0x7f, 0x80, 0x81, 0xc0, 0xed, 0xf4, 0xff]

const mutate = (random: Random, bytes: Uint8Array): Uint8Array => {
  const at = random.int(0, bytes.length - 1)
  switch (random.int(0, 7)) {
    case 0:
      bytes[at] ^= 1 << random.int(0, 7)
      return bytes
    case 1:
      bytes[at] = random.pick(interesting)
      return bytes
    case 2:
      bytes[at] = random.int(0, 255)
      return bytes
    case 3:
      return concat(bytes.subarray(0, at), Uint8Array.of(random.pick(interesting)), bytes.subarray(at))
    case 4:
      return concat(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random.int(1, 4))))
    case 5: {
      const end = Math.min(bytes.length, at + random.int(1, 20))
      return concat(bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end))
    }
    case 6:
      // The remaining length, which most other mutations only break by not fitting any more.
      bytes[Math.min(1, bytes.length - 1)] += random.pick([-2, -1, 1, 2])
      return bytes
    default:
      bytes[0] = random.int(0, 255)
      return bytes
  }
}

interface Outcome {
  readonly packets: Array<Packet>
  readonly violation: Violation | undefined
}

const run = (
  bytes: Uint8Array,
  nextSize: () => number,
  role: Role,
  protocolVersion: ProtocolVersion | undefined,
  maximumPacketSize: number
): Outcome => {
  const decoder = makeDecoder({ role, protocolVersion, maximumPacketSize })
  const packets: Array<Packet> = []
  let violation: Violation | undefined
  for (let position = 0; position < bytes.length;) {
    const size = nextSize()
    violation = decoder.push(bytes.subarray(position, position + size), packets)
    position += size
    if (decoder.bufferedBytes > maximumPacketSize) {
      assert.fail(`${decoder.bufferedBytes} bytes buffered, bound ${maximumPacketSize}`)
    }
    if (violation !== undefined) {
      break
    }
  }
  return { packets, violation }
}

interface Case extends Outcome {
  readonly role: Role
  readonly startVersion: ProtocolVersion | undefined
}

const oneCase = (seed: number): Case => {
  const random = new Random(seed)
  const version = random.pick([4, 5] as const)
  const role = random.pick(["client", "server"] as const)
  const packets = Array.from({ length: random.int(1, 3) }, () => arbitraryPacket(random, version, role))
  if (role === "server" && random.chance(0.5)) {
    packets.unshift(arbitraryConnect(random, version))
  }
  const encoded = packets.map((packet) => encode(packet, version))
  // One packet alone, so that the framing of the others survives.
  const victim = random.int(0, encoded.length - 1)
  for (let i = random.int(1, 4); i > 0 && encoded[victim].length > 0; i--) {
    encoded[victim] = mutate(random, encoded[victim])
  }
  const bytes = random.chance(0.05) ? random.bytes(random.int(1, 40)) : concat(...encoded)
  const maximumPacketSize = random.pick([64, 512, 1_000_000])
  const startVersion = role === "server" && packets[0]._tag === "Connect" ? undefined : version
  const largest = random.pick([1, 3, 20, 300])
  const pieces = run(bytes, () => random.int(1, largest), role, startVersion, maximumPacketSize)
  const whole = run(bytes, () => bytes.length + 1, role, startVersion, maximumPacketSize)
  assert.deepStrictEqual(pieces, whole, "the chunking must not matter")
  const { violation } = whole
  if (violation !== undefined) {
    assert.isTrue(kinds.has(violation.kind), violation.kind)
    assert.include(reasonCodes, violation.reasonCode)
    assert.isAbove(violation.detail.length, 0)
  }
  return { ...whole, role, startVersion }
}

describe("fuzzer", () => {
  it(
    `survives ${cases} mutated packets: never throws, never loops, never over its bound, always a known violation`,
    { timeout: 60_000 + cases },
    () => {
      const seen = new Set<string>()
      let accepted = 0
      for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
        try {
          const { packets, violation } = oneCase(seed)
          seen.add(violation?.kind ?? "none")
          accepted += packets.length
        } catch (cause) {
          throw new Error(`seed ${seed}: ${cause}`, { cause })
        }
      }
      if (cases >= 100_000) {
        // The fuzzer reaches what it is meant to reach.
        assert.isAbove(accepted, cases / 2)
        assert.isAbove(seen.size, 30, [...seen].join(" "))
      }
    }
  )

  it(
    "accepts nothing that its encoder would refuse, and reads the same again",
    { timeout: 60_000 + cases },
    () => {
      for (let seed = firstSeed; seed < firstSeed + cases / 5; seed++) {
        const { packets, role, startVersion } = oneCase(seed + 500_000_000)
        let version = startVersion
        for (const packet of packets) {
          version ??= packet._tag === "Connect" ? packet.protocolVersion : undefined
          assert.isDefined(version)
          const again = run(encode(packet, version), () => 1_000_000, role, version, 1_000_000)
          assert.deepStrictEqual(again, { packets: [packet], violation: undefined }, `seed ${seed}`)
        }
      }
    }
  )
})
