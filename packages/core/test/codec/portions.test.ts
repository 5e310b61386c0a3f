/**
 * Decoding in portions, and what a packet that is held keeps alive of its chunk.
 */
import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { DecoderOptions } from "../../src/internal/codec/contract.ts"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import type { Packet, Publish } from "../../src/Packet.ts"
import type { QoS } from "../../src/QoS.ts"

const publish = (topic: string, qos: QoS, payload: Uint8Array): Publish => ({
  _tag: "Publish",
  topic,
  payload,
  qos,
  retain: false,
  dup: false,
  packetIdentifier: qos === 0 ? 0 : 7,
  properties: {}
})

const puback: Packet = { _tag: "Puback", packetIdentifier: 9, reasonCode: 0, properties: {} }

/** Small and large ones of all qualities of service, with others between them. */
const packets: ReadonlyArray<Packet> = Array.from({ length: 120 }, (_, index): ReadonlyArray<Packet> => [
  publish(`t/${index}`, (index % 3) as QoS, new Uint8Array(index * index % 997).fill(index)),
  ...(index % 5 === 0 ? [puback] : [])
]).flat()

const bytes = new Uint8Array(Buffer.concat(packets.map((packet) => encode(packet, 5))))

const decoderOf = (options: Partial<DecoderOptions> = {}) =>
  makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 100_000, ...options })

describe("in portions", () => {
  for (const packetsPerCall of [1, 2, 7, 1000]) {
    for (const chunkSize of [1, 3, 100, 5000, bytes.length]) {
      it(`gives all packets in order, ${packetsPerCall} at a time, out of chunks of ${chunkSize} bytes`, () => {
        for (const ownsChunks of [false, true]) {
          const decoder = decoderOf({ packetsPerCall, ownsChunks })
          const all: Array<Packet> = []
          for (let at = 0; at < bytes.length; at += chunkSize) {
            const chunk = bytes.slice(at, at + chunkSize)
            const into: Array<Packet> = []
            assert.isUndefined(decoder.push(chunk, into))
            while (decoder.hasMore) {
              assert.lengthOf(into, packetsPerCall)
              all.push(...into.splice(0))
              assert.isUndefined(decoder.next(into))
            }
            all.push(...into)
            if (!ownsChunks) chunk.fill(0)
          }
          assert.deepStrictEqual(all, packets)
          assert.strictEqual(decoder.bufferedBytes, 0)
        }
      })
    }
  }

  it("has no more when the last call took all", () => {
    const decoder = decoderOf({ packetsPerCall: 2 })
    const into: Array<Packet> = []
    const two = Buffer.concat([encode(puback, 5), encode(puback, 5)])
    assert.isUndefined(decoder.push(two, into))
    assert.isFalse(decoder.hasMore)
    assert.isUndefined(decoder.next(into))
    assert.lengthOf(into, 2)
  })

  it("throws when bytes are pushed between", () => {
    const decoder = decoderOf({ packetsPerCall: 1 })
    assert.isUndefined(decoder.push(Buffer.concat([encode(puback, 5), encode(puback, 5)]), []))
    assert.throws(() => decoder.push(new Uint8Array(1), []), /rest of the last chunk/)
  })

  it("finds a violation in the portion where it stands, and has no more then", () => {
    const decoder = decoderOf({ packetsPerCall: 2 })
    const into: Array<Packet> = []
    assert.isUndefined(
      decoder.push(Buffer.concat([...[1, 2, 3].map(() => encode(puback, 5)), Uint8Array.of(0, 0)]), into)
    )
    assert.isTrue(decoder.hasMore)
    assert.strictEqual(decoder.next(into)?.kind, "packet-type")
    assert.lengthOf(into, 3)
    assert.isFalse(decoder.hasMore)
    assert.strictEqual(decoder.next(into)?.kind, "packet-type")
  })
})

describe("memory", () => {
  setFlagsFromString("--expose-gc")
  const gc = runInNewContext("gc") as () => void

  const buffers = (): number => {
    gc()
    gc()
    return process.memoryUsage().arrayBuffers
  }

  it("a small message of QoS 1 among others of QoS 0 keeps little of its chunk alive", () => {
    const small = encode(publish("a", 1, new Uint8Array(20)), 5)
    const filler = encode(publish("b", 0, new Uint8Array(200)), 5)
    const count = 200
    const before = buffers()
    const held: Array<Packet> = []
    for (let index = 0; index < count; index++) {
      const chunk = new Uint8Array(Buffer.concat([filler, small, ...Array.from({ length: 300 }, () => filler)]))
      const into: Array<Packet> = []
      assert.isUndefined(decoderOf({ ownsChunks: true }).push(chunk, into))
      held.push(into.find((packet) => packet._tag === "Publish" && packet.qos === 1)!)
    }
    assert.isBelow(buffers() - before, count * 1000)
    assert.deepStrictEqual(held, held.map(() => publish("a", 1, new Uint8Array(20))))
  })
})
