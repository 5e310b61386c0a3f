import { assert, describe, it } from "@effect/vitest"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import { sizeOf } from "../../src/internal/codec/size.ts"
import type { Publish } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import { concat, decode, hex, Random } from "./support.ts"

const publish = (topic: string, payload: Uint8Array): Publish => ({
  _tag: "Publish",
  topic,
  payload,
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: Properties.none
})

describe("encoder", () => {
  it("joins packets into one chunk, in order", () => {
    const encoder = makeEncoder(4)
    encoder.write({ _tag: "Pingreq" })
    encoder.write(publish("a", Uint8Array.of(1)))
    encoder.write({ _tag: "Disconnect", reasonCode: 0, properties: Properties.none })
    assert.strictEqual(encoder.pendingBytes, 10)
    assert.deepStrictEqual(encoder.take(), [hex("c0 00  30 04 00 01 61 01  e0 00")])
    assert.strictEqual(encoder.pendingBytes, 0)
  })

  it("has nothing to take when nothing was written", () => {
    const encoder = makeEncoder(5)
    assert.deepStrictEqual(encoder.take(), [])
    encoder.write({ _tag: "Pingreq" })
    encoder.take()
    assert.deepStrictEqual(encoder.take(), [])
  })

  it("never writes again to bytes that were taken", () => {
    const random = new Random(1)
    // Two at once, since they share buffers.
    const encoders = [makeEncoder(4), makeEncoder(5)]
    const taken: Array<readonly [chunk: Uint8Array, copy: Uint8Array]> = []
    for (let i = 0; i < 20_000; i++) {
      const encoder = random.pick(encoders)
      encoder.write(publish(`t/${i}`, new Uint8Array(random.int(0, 300)).fill(i)))
      if (random.chance(0.2)) {
        for (const chunk of encoder.take()) {
          taken.push([chunk, chunk.slice()])
        }
      }
    }
    for (const [chunk, copy] of taken) {
      assert.deepStrictEqual(chunk, copy)
    }
  })

  it("continues in the rest of a buffer after take", () => {
    const encoder = makeEncoder(4)
    const chunks = Array.from({ length: 50 }, () => {
      encoder.write(publish("a", new Uint8Array(100)))
      return encoder.take()[0]
    })
    assert.isAtMost(new Set(chunks.map((chunk) => chunk.buffer)).size, 2)
  })

  it("begins another chunk when a buffer is full, without a gap", () => {
    const encoder = makeEncoder(4)
    const packets = Array.from({ length: 1000 }, (_, i) => publish(`topic/${i}`, new Uint8Array(200).fill(i)))
    for (const packet of packets) {
      encoder.write(packet)
    }
    const size = packets.reduce((sum, packet) => sum + sizeOf(packet, 4), 0)
    assert.strictEqual(encoder.pendingBytes, size)
    const chunks = encoder.take()
    assert.isAtMost(chunks.length, 6)
    assert.deepStrictEqual(decode(concat(...chunks), "client", 4), { packets, violation: undefined })
  })

  it("returns a large payload without a copy", () => {
    const encoder = makeEncoder(4)
    const payload = new Uint8Array(100_000).fill(1)
    encoder.write({ _tag: "Pingreq" })
    encoder.write(publish("a", payload))
    encoder.write({ _tag: "Pingreq" })
    assert.strictEqual(encoder.pendingBytes, 2 + sizeOf(publish("a", payload), 4) + 2)
    const chunks = encoder.take()
    assert.deepStrictEqual(chunks.map((chunk) => chunk.length), [2 + 7, 100_000, 2])
    assert.strictEqual(chunks[1], payload)
    assert.strictEqual(encoder.pendingBytes, 0)
  })

  it("copies a small payload, which the caller may change afterwards", () => {
    const encoder = makeEncoder(4)
    const payload = Uint8Array.of(1, 2)
    encoder.write(publish("a", payload))
    payload.fill(0)
    assert.deepStrictEqual(encoder.take(), [hex("30 05 00 01 61 01 02")])
  })

  it("takes the size of separate payloads from its options", () => {
    const encoder = makeEncoder(4, { separatePayload: 10 })
    encoder.write(publish("a", new Uint8Array(9)))
    encoder.write(publish("a", new Uint8Array(10)))
    assert.deepStrictEqual(encoder.take().map((chunk) => chunk.length), [14 + 5, 10])
  })

  it("encodes one packet into bytes of its own", () => {
    const bytes = encode(publish("a", new Uint8Array(50_000)), 4)
    assert.strictEqual(bytes.buffer.byteLength, bytes.length)
    assert.strictEqual(bytes.length, sizeOf(publish("a", new Uint8Array(50_000)), 4))
  })

  it("writes more different topics than it keeps encoded", () => {
    const encoder = makeEncoder(5)
    const packets = Array.from({ length: 12_000 }, (_, i) => publish(`topic/é/${i % 6000}`, new Uint8Array(0)))
    for (const topic of ["x".repeat(2000), "é".repeat(250), "é".repeat(250)]) {
      packets.push(publish(topic, new Uint8Array(0)))
    }
    for (const packet of packets) {
      assert.isUndefined(encoder.write(packet))
    }
    const decoded = decode(concat(...encoder.take()), "client", 5).packets
    assert.deepStrictEqual(decoded.map((packet) => (packet as Publish).topic), packets.map((packet) => packet.topic))
  })

  it("writes long strings like short ones", () => {
    const value = `${"x".repeat(500)}→${"y".repeat(500)}`
    const packet = {
      ...publish("a", new Uint8Array(0)),
      properties: { userProperties: [["n".repeat(100), value]] as const }
    }
    assert.deepStrictEqual(decode(encode(packet, 5), "client", 5).packets, [packet])
  })

  it("writes nothing for an empty list of user properties", () => {
    const packet = {
      _tag: "Connect",
      protocolVersion: 5,
      clientId: "c",
      cleanStart: true,
      keepAlive: 0,
      username: undefined,
      password: undefined,
      properties: { userProperties: [] },
      will: { topic: "w", payload: new Uint8Array(0), qos: 0, retain: false, properties: { contentType: "t" } }
    } as const
    assert.deepStrictEqual(
      encode(packet, 5),
      hex("10 18 00 04 4d 51 54 54 05 06 00 00 00 00 01 63 04 03 00 01 74 00 01 77 00 00")
    )
  })

  it("returns a size also for a packet that cannot be encoded", () => {
    assert.strictEqual(sizeOf(publish("\ud800", new Uint8Array(1)), 4), 8)
    assert.strictEqual(sizeOf(publish("#", new Uint8Array(1)), 4), 6)
  })
})
