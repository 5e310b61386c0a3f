import { assert, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import type { Packet, Publish } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import { concat, frame, hex, text, unlimited } from "./support.ts"

const { none } = Properties

const publish = (topic: string, payload: Uint8Array): Publish => ({
  _tag: "Publish",
  topic,
  payload,
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: none
})

const client = (maximumPacketSize = unlimited) => makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize })

const payloadOf = (packet: Packet): Uint8Array => {
  assert.strictEqual(packet._tag, "Publish")
  return (packet as Publish).payload
}

describe("decoder", () => {
  it("says nothing about an empty chunk", () => {
    const decoder = client()
    const packets: Array<Packet> = []
    assert.isUndefined(decoder.push(new Uint8Array(0), packets))
    assert.isUndefined(decoder.push(hex("d0"), packets))
    assert.isUndefined(decoder.push(new Uint8Array(0), packets))
    assert.isUndefined(decoder.push(hex("00"), packets))
    assert.deepStrictEqual(packets, [{ _tag: "Pingresp" }])
  })

  it("appends to what the array holds", () => {
    const packets: Array<Packet> = [{ _tag: "Pingreq" }]
    client().push(hex("d0 00 d0 00"), packets)
    assert.deepStrictEqual(packets, [{ _tag: "Pingreq" }, { _tag: "Pingresp" }, { _tag: "Pingresp" }])
  })

  it("delivers the packets before a violation, and returns the violation from then on", () => {
    const decoder = client()
    const packets: Array<Packet> = []
    const violation = decoder.push(hex("d0 00  d0 01 00  d0 00"), packets)
    assert.deepInclude(violation, { kind: "trailing-bytes" })
    assert.strictEqual(decoder.push(hex("d0 00"), packets), violation)
    assert.deepStrictEqual(packets, [{ _tag: "Pingresp" }])
    assert.strictEqual(decoder.bufferedBytes, 0)
  })

  it("delivers what came before a packet that is too large", () => {
    const decoder = client(10)
    const packets: Array<Packet> = []
    assert.deepInclude(decoder.push(concat(hex("d0 00"), frame(0x30, ...text("abcdefghij"), 0)), packets), {
      kind: "packet-too-large"
    })
    assert.deepStrictEqual(packets, [{ _tag: "Pingresp" }])
  })

  it("rejects a packet over the maximum packet size before it buffers it [MQTT5-3.1.2-24]", () => {
    for (const split of [1, 2, 3]) {
      const decoder = client(200)
      const packets: Array<Packet> = []
      // 198 bytes of remaining length make 201 with the header; only the header arrives.
      const header = hex("30 c6 01")
      let violation = decoder.push(header.subarray(0, split), packets)
      if (split < 3) {
        assert.isUndefined(violation)
        assert.isAtMost(decoder.bufferedBytes, 2)
        violation = decoder.push(header.subarray(split), packets)
      }
      assert.deepInclude(violation, { kind: "packet-too-large", reasonCode: 0x95 })
      assert.strictEqual(decoder.bufferedBytes, 0)
    }
    const exact = client(200)
    const packets: Array<Packet> = []
    assert.isUndefined(exact.push(frame(0x30, ...text("a"), 0, ...new Uint8Array(193)), packets))
    assert.lengthOf(packets, 1)
  })

  it("rejects a packet of the wrong type or flags before its body has arrived", () => {
    assert.deepInclude(client().push(hex("82 7f"), []), { kind: "unexpected-packet" })
    assert.deepInclude(client().push(hex("41"), []), { kind: "fixed-header-flags" })
  })

  it("holds at most the announced packet while it waits", () => {
    const decoder = client(100_000)
    const bytes = frame(0x30, ...text("a"), 0, ...new Uint8Array(90_000))
    const packets: Array<Packet> = []
    for (let position = 0; position < bytes.length; position += 1000) {
      assert.isUndefined(decoder.push(bytes.subarray(position, position + 1000), packets))
      assert.isAtMost(decoder.bufferedBytes, bytes.length)
    }
    assert.lengthOf(packets, 1)
    assert.strictEqual(decoder.bufferedBytes, 0)
  })

  it("allocates no more than twice what has arrived of a packet that is only announced", () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 50 }, () => client())
    for (const decoder of decoders) {
      decoder.push(hex("30 ff ff ff 7f 00 01 61"), [])
    }
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 50 * 200_000)
    assert.strictEqual(decoders[0].bufferedBytes, 8)
  })

  it("takes time in proportion to the size of a packet that comes in small chunks", () => {
    const size = 16_000_000
    const payload = new Uint8Array(size).fill(7)
    const bytes = encode(publish("large", payload), 5)
    const decoder = client()
    const packets: Array<Packet> = []
    const start = process.cpuUsage()
    for (let position = 0; position < bytes.length; position += 1000) {
      decoder.push(bytes.subarray(position, position + 1000), packets)
    }
    const { system, user } = process.cpuUsage(start)
    // A copy of everything so far for each chunk would be 128 GB.
    assert.isBelow((system + user) / 1000, 5000)
    assert.strictEqual(payloadOf(packets[0]).length, size)
  })

  it("lets the caller reuse the chunk", () => {
    const decoder = client()
    const chunk = encode(publish("a", Uint8Array.of(1, 2, 3)), 5)
    const packets: Array<Packet> = []
    decoder.push(chunk, packets)
    chunk.fill(0)
    assert.deepStrictEqual(packets, [publish("a", Uint8Array.of(1, 2, 3))])
  })

  it("never changes a payload that it delivered", () => {
    const decoder = client()
    const packets: Array<Packet> = []
    const lent = new Uint8Array(5000)
    for (let i = 0; i < 300; i++) {
      // Small and large copies, and packets that are cut.
      const bytes = encode(publish(`topic/${i}`, new Uint8Array((i * 37) % 4000).fill(i)), 5)
      const cut = i % 3 === 0 ? bytes.length >> 1 : bytes.length
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        lent.set(part)
        decoder.push(lent.subarray(0, part.length), packets)
        lent.fill(0xff)
      }
    }
    assert.lengthOf(packets, 300)
    packets.forEach((packet, i) => {
      assert.deepStrictEqual(packet, publish(`topic/${i}`, new Uint8Array((i * 37) % 4000).fill(i)))
    })
  })

  it("copies all packets of a chunk once: their payloads are views of one buffer", () => {
    const payload = new Uint8Array(1000).fill(1)
    const bytes = concat(...Array.from({ length: 5 }, () => encode(publish("a", payload), 5)))
    const packets: Array<Packet> = []
    client().push(bytes, packets)
    assert.strictEqual(new Set(packets.map((packet) => payloadOf(packet).buffer)).size, 1)
    assert.notStrictEqual(payloadOf(packets[0]).buffer, bytes.buffer)
  })

  it("keeps no more alive than the complete packets of a chunk", () => {
    const first = encode(publish("a", new Uint8Array(3000)), 5)
    const second = encode(publish("a", new Uint8Array(60_000)), 5)
    const packets: Array<Packet> = []
    client().push(concat(first, second.subarray(0, 50_000)), packets)
    assert.isAtMost(payloadOf(packets[0]).buffer.byteLength, 4096)
  })

  it("gives plain Uint8Array views also for a Buffer", () => {
    const packets: Array<Packet> = []
    client().push(Buffer.from(encode(publish("a", Uint8Array.of(1)), 5)), packets)
    assert.strictEqual(Object.getPrototypeOf(payloadOf(packets[0])), Uint8Array.prototype)
  })

  it("reads a chunk that lies in the middle of its buffer", () => {
    const bytes = encode({ ...publish("a/b", Uint8Array.of(9)), properties: { correlationData: Uint8Array.of(8) } }, 5)
    const around = concat(new Uint8Array(13).fill(0xff), bytes, new Uint8Array(7).fill(0xff))
    const packets: Array<Packet> = []
    client().push(around.subarray(13, 13 + bytes.length), packets)
    assert.deepStrictEqual(packets, [
      { ...publish("a/b", Uint8Array.of(9)), properties: { correlationData: Uint8Array.of(8) } }
    ])
  })

  it("distinguishes topics that come repeatedly, of any length", () => {
    const decoder = client()
    // More than any cache holds, with common beginnings and ends, four times over.
    const topics = Array.from({ length: 5000 }, (_, i) => `${"x".repeat(i % 150)}/${i}/é/${"y".repeat(i % 7)}`)
    const packets: Array<Packet> = []
    for (let round = 0; round < 4; round++) {
      for (const topic of topics) {
        assert.isUndefined(decoder.push(encode(publish(topic, new Uint8Array(0)), 5), packets))
      }
    }
    assert.deepStrictEqual(
      packets.map((packet) => (packet as Publish).topic),
      [...topics, ...topics, ...topics, ...topics]
    )
  })

  it("distinguishes topics that have the same hash", () => {
    const decoder = client()
    const packets: Array<Packet> = []
    const topics = ["fhkrvdll/end", "fhkrvdll/end", "fhkrvdll/end", "vjvwfgfj/end", "vjvwfgfj/end", "fhkrvdll/end"]
    for (const topic of topics) {
      decoder.push(encode(publish(topic, new Uint8Array(0)), 5), packets)
    }
    assert.deepStrictEqual(packets.map((packet) => (packet as Publish).topic), topics)
  })

  it("does not take a string of a property for a topic name, however often it came", () => {
    const decoder = client()
    const packets: Array<Packet> = []
    const withType = frame(0x30, ...text("a"), 9, 0x03, ...text("some/+"))
    for (let i = 0; i < 5; i++) {
      assert.isUndefined(decoder.push(withType, packets))
    }
    assert.deepInclude(decoder.push(frame(0x30, ...text("some/+"), 0), packets), { kind: "topic-name-wildcard" })
  })

  it("takes the version of a server's connection from the first CONNECT", () => {
    for (const [level, version] of [[4, 4], [5, 5]] as const) {
      const decoder = makeDecoder({ role: "server", protocolVersion: undefined, maximumPacketSize: 100 })
      assert.isUndefined(decoder.protocolVersion)
      const packets: Array<Packet> = []
      const connect = frame(0x10, ...text("MQTT"), level, 2, 0, 0, ...(level === 5 ? [0] : []), ...text("c"))
      const message = frame(0x30, ...text("a"), ...(level === 5 ? [0] : []), 1)
      assert.isUndefined(decoder.push(concat(connect, message), packets))
      assert.strictEqual(decoder.protocolVersion, version)
      assert.deepStrictEqual(packets[1], publish("a", Uint8Array.of(1)))
    }
  })

  it("shares one value among packets without properties", () => {
    const packets: Array<Packet> = []
    client().push(concat(encode(publish("a", new Uint8Array(0)), 5), hex("40 02 00 01"), hex("e0 00")), packets)
    for (const packet of packets) {
      assert.strictEqual((packet as Publish).properties, none)
    }
  })

  it("keeps a chunk that it owns and that fills most of its buffer, and copies from any other", () => {
    const bytes = encode(publish("a/b", new Uint8Array(1000).fill(7)), 5)
    const inLarger = new Uint8Array(3 * bytes.length)
    inLarger.set(bytes)
    const payloadFrom = (chunk: Uint8Array, ownsChunks: boolean): Uint8Array => {
      const packets: Array<Packet> = []
      makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: unlimited, ownsChunks }).push(chunk, packets)
      return payloadOf(packets[0]!)
    }
    assert.strictEqual(payloadFrom(bytes, true).buffer, bytes.buffer)
    assert.notStrictEqual(payloadFrom(bytes, false).buffer, bytes.buffer)
    assert.notStrictEqual(payloadFrom(inLarger.subarray(0, bytes.length), true).buffer, inLarger.buffer)
    assert.deepStrictEqual(payloadFrom(bytes, true), new Uint8Array(1000).fill(7))
  })

  it("decodes where there is no Buffer, as in browsers", async () => {
    vi.resetModules()
    vi.stubGlobal("Buffer", undefined)
    try {
      const codec = await import("../../src/internal/codec/decoder.ts")
      const packets: Array<Packet> = []
      const bytes = frame(0x30, ...text("a/b"), 0, 1)
      const withoutAscii = frame(0x30, ...text("é/\ufeff"), 0, 2)
      const decoder = codec.makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 100 })
      assert.isUndefined(decoder.push(concat(bytes, withoutAscii), packets))
      assert.deepStrictEqual(packets, [publish("a/b", Uint8Array.of(1)), publish("é/\ufeff", Uint8Array.of(2))])
    } finally {
      vi.unstubAllGlobals()
      vi.resetModules()
    }
  })
})
