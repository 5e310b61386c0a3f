/**
 * The received bytes of a flight record: the packets that a connection made of them come back, from wherever an engine
 * was, for all ways in which the bytes may have come. Long payloads are not kept, and the memory is bounded.
 */
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { makeEncoder } from "../../src/internal/codec/encoder.ts"
import { type PacketStart, ReceivedBytes } from "../../src/internal/engine/recording/receivedBytes.ts"
import { ReceivedPackets } from "../../src/internal/engine/recording/receivedPackets.ts"
import { jsonOf } from "../../src/internal/engine/recording/recordedValues.ts"
import type { Packet } from "../../src/Packet.ts"
import { none } from "../../src/Properties.ts"

/** The same choices for the same seed. */
const choices = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return (state >>> 8) % below
  }
}

type Choose = ReturnType<typeof choices>

const connack: Packet = { _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: none }

const auth: Packet = {
  _tag: "Auth",
  reasonCode: 0x18,
  properties: { authenticationMethod: "method", authenticationData: new Uint8Array(9) }
}

const publishOf = (protocolVersion: 4 | 5, qos: 0 | 1 | 2, payload: Uint8Array, choose: Choose): Packet => ({
  _tag: "Publish",
  topic: "t".repeat(1 + choose(40)),
  payload,
  qos,
  retain: choose(2) === 0,
  dup: false,
  packetIdentifier: qos === 0 ? 0 : 1 + choose(60_000),
  properties: protocolVersion === 4 || choose(3) > 0
    ? none
    : { subscriptionIdentifiers: [1 + choose(300)], userProperties: [["name", "v".repeat(choose(300))]] }
})

const packetOf = (protocolVersion: 4 | 5, long: number, choose: Choose): Packet => {
  switch (choose(8)) {
    case 0:
      return { _tag: "Puback", packetIdentifier: 1 + choose(60_000), reasonCode: 0, properties: none }
    case 1:
      return protocolVersion === 5 ? auth : { _tag: "Pingresp" }
    default:
      return publishOf(protocolVersion, choose(3) as 0 | 1 | 2, new Uint8Array(choose(long)).fill(0x70), choose)
  }
}

const bytesOf = (packets: ReadonlyArray<Packet>, protocolVersion: 4 | 5): Uint8Array => {
  const encoder = makeEncoder(protocolVersion)
  for (const packet of packets) assert.isUndefined(encoder.write(packet))
  return new Uint8Array(Buffer.concat(encoder.take()))
}

/** An engine that has got so many packets, and where their bytes are read from. */
interface Moment {
  readonly start: PacketStart
  readonly count: number
}

/** Brings packets as a connection does. `onPackets` is called after an engine got some. */
const bring = (
  received: ReceivedBytes,
  packets: ReadonlyArray<Packet>,
  protocolVersion: 4 | 5,
  choose: Choose,
  onPackets: (count: number) => void
): void => {
  const decoder = makeDecoder({ role: "client", protocolVersion, maximumPacketSize: Infinity, packetsPerCall: 5 })
  const bytes = bytesOf(packets, protocolVersion)
  const backlog: Array<Uint8Array> = []
  let count = 0
  const decode = (): void => {
    const into: Array<Packet> = []
    assert.isUndefined(decoder.hasMore ? decoder.next(into) : decoder.push(backlog.shift()!, into))
    const forEngine = into.filter(({ _tag }) => _tag !== "Auth").length
    if (forEngine === 0) return
    received.delivered(forEngine)
    onPackets(count += forEngine)
  }
  let from = 0
  while (from < bytes.length || backlog.length > 0 || decoder.hasMore) {
    const isDone = backlog.length === 0 && !decoder.hasMore
    if (from < bytes.length && (isDone || choose(8) === 0)) {
      const to = Math.min(bytes.length, from + 1 + choose(choose(2) === 0 ? 60 : 8000))
      const chunk = bytes.slice(from, to)
      received.add(chunk, isDone ? decoder.bufferedBytes : -1)
      backlog.push(chunk)
      from = to
    } else decode()
  }
}

describe("received bytes", () => {
  for (const protocolVersion of [4, 5] as const) {
    it(`packets of version ${protocolVersion} come back, from any state of the engine`, () => {
      let cut = 0
      for (let seed = 0; seed < 120; seed++) {
        const choose = choices(seed)
        const received = new ReceivedBytes(40_000, protocolVersion)
        const long = [20, 400, 3000, 30_000][seed % 4]!
        const packets = [connack, ...Array.from({ length: 60 }, () => packetOf(protocolVersion, long, choose))]
        // An earlier connection, which ended within a packet.
        received.add(new Uint8Array([0x30, 100, 0]), 0)
        received.connecting()
        const moments: Array<Moment> = []
        bring(received, packets, protocolVersion, choose, (count) => moments.push({ start: received.start, count }))
        const forEngine = packets.filter(({ _tag }) => _tag !== "Auth").map(jsonOf)
        const kept = moments.filter(({ start }) => received.has(start.position))
        assert.isAbove(kept.length, 0)
        for (const { count, start } of kept) {
          const bytes = received.keep(kept[0]!.start.position)
          const reader = new ReceivedPackets(bytes, start, protocolVersion)
          assert.deepStrictEqual(reader.take(1000).map(jsonOf), forEngine.slice(count), `seed ${seed}, ${count}`)
          if (bytes.gaps.length > 0) cut++
        }
        assert.isAtMost(received.bytes, 40_000)
      }
      assert.isAbove(cut, 300)
    })
  }

  it("long payloads are not kept", () => {
    const received = new ReceivedBytes(1_000_000, 5)
    const choose = choices(1)
    const payload = new Uint8Array(10_000)
    const packets = [connack, ...Array.from({ length: 1000 }, () => publishOf(5, 1, payload, choose))]
    bring(received, packets, 5, choose, () => {})
    // Of 10 MB: the first chunks, before it is known that payloads are long, and what came before others were decoded.
    assert.isAtMost(received.end, 1_000_000)
  })

  it("keeps whole payloads where the note of what is missing would be as long", () => {
    const received = new ReceivedBytes(10_000, 5)
    const choose = choices(1)
    const packets = [connack, ...Array.from({ length: 300 }, () => publishOf(5, 0, new Uint8Array(500), choose))]
    const moments: Array<Moment> = []
    bring(received, packets, 5, choose, (count) => moments.push({ start: received.start, count }))
    assert.isAbove(received.end, 60_000)
    const { count, start } = moments.find(({ start }) => received.has(start.position))!
    const reader = new ReceivedPackets(received.keep(start.position), start, 5)
    assert.deepStrictEqual(reader.take(1000).map(jsonOf), packets.slice(count).map(jsonOf))
    received.forget(received.end)
    const before = received.end
    bring(received, [connack, ...packets.slice(1, 30)], 5, choose, () => {})
    assert.isAbove(received.keep(before).gaps.length, 5)
  })
})
