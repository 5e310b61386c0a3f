/**
 * The memory that user properties and subscription identifiers take: no more than their bytes, until they are read.
 */
import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import { weighPublish } from "../../src/internal/codec/weigh.ts"
import { deferredOf } from "../../src/internal/deferredLists.ts"
import { Message } from "../../src/Message.ts"
import type { Packet, Publish } from "../../src/Packet.ts"
import type { PublishProperties, UserProperty } from "../../src/Properties.ts"

setFlagsFromString("--expose-gc")
const gc = runInNewContext("gc") as () => void

const held = (): number => {
  gc()
  gc()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const publish = (properties: PublishProperties, payload = new Uint8Array(3), topic = "a/b"): Publish => ({
  _tag: "Publish",
  topic,
  payload,
  qos: 1,
  retain: false,
  dup: false,
  packetIdentifier: 1,
  properties
})

/** The only packet of these bytes, which are the decoder's own. */
const decodeOne = (bytes: Uint8Array, role: "client" | "server" = "client"): Packet => {
  const own = new Uint8Array(bytes)
  const decoder = makeDecoder({ role, protocolVersion: 5, maximumPacketSize: 2_000_000, ownsChunks: true })
  const into: Array<Packet> = []
  assert.isUndefined(decoder.push(own, into))
  assert.lengthOf(into, 1)
  return into[0]!
}

const decodePublish = (properties: PublishProperties): Publish => decodeOne(encode(publish(properties), 5)) as Publish

const pairs = (count: number): ReadonlyArray<UserProperty> =>
  Array.from({ length: count }, (_, index): UserProperty => [`n${index}é`, index % 3 === 0 ? "" : `value ${index}`])

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => 1 + 300 * index)

describe("decoding", () => {
  for (const count of [1, 31, 32, 33, 34, 1000]) {
    it(`gives ${count} user properties and subscription identifiers in order, and all other properties too`, () => {
      const properties: PublishProperties = {
        contentType: "text",
        userProperties: pairs(count),
        messageExpiryInterval: 7,
        subscriptionIdentifiers: numbers(count),
        correlationData: new Uint8Array([1, 2]),
        responseTopic: "r"
      }
      const decoded = decodePublish(properties)
      assert.strictEqual(deferredOf(decoded.properties) !== undefined, count > 32)
      assert.deepStrictEqual(Object.keys(decoded.properties), Object.keys(properties))
      assert.deepStrictEqual(decoded.properties, properties)
      assert.deepStrictEqual({ ...decoded.properties }, properties)
      assert.deepStrictEqual(encode(decoded, 5), encode(publish(properties), 5))
    })
  }

  it("defers only the list that is long", () => {
    const many = decodePublish({ userProperties: pairs(40), subscriptionIdentifiers: [5] })
    assert.deepStrictEqual(deferredOf(many.properties)?.names, ["userProperties"])
    assert.deepStrictEqual(many.properties, { userProperties: pairs(40), subscriptionIdentifiers: [5] })
    const ids = decodePublish({ userProperties: pairs(2), subscriptionIdentifiers: numbers(40) })
    assert.deepStrictEqual(deferredOf(ids.properties)?.names, ["subscriptionIdentifiers"])
    assert.deepStrictEqual(ids.properties, { userProperties: pairs(2), subscriptionIdentifiers: numbers(40) })
  })

  it("decodes once for a loop over the elements", () => {
    const { properties } = decodePublish({ userProperties: pairs(50) })
    assert.strictEqual(properties.userProperties, properties.userProperties)
  })

  it("decodes user properties of every packet that has them, even when the chunk is reused", () => {
    const userProperties = pairs(100)
    const packets: ReadonlyArray<Packet> = [
      { _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: { userProperties } },
      { _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: { userProperties } },
      { _tag: "Suback", packetIdentifier: 1, reasonCodes: [0], properties: { userProperties } },
      { _tag: "Unsuback", packetIdentifier: 1, reasonCodes: [0], properties: { userProperties } },
      publish({ userProperties }),
      { _tag: "Disconnect", reasonCode: 0x8b, properties: { userProperties } }
    ]
    for (const packet of packets) {
      const chunk = encode(packet, 5)
      const decoder = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 1_000_000 })
      const into: Array<Packet> = []
      assert.isUndefined(decoder.push(chunk, into))
      chunk.fill(0)
      assert.deepStrictEqual(into, [packet])
    }
  })
})

describe("validation", () => {
  const last = (pair: ReadonlyArray<number>): Uint8Array => {
    const good = Array.from({ length: 100 }, () => [0x26, 0, 1, 0x61, 0, 1, 0x62]).flat()
    const properties = [...good, ...pair]
    const body = [0, 1, 0x61, 0x80 | (properties.length & 0x7f), properties.length >> 7, ...properties]
    return Uint8Array.from([0x30, 0x80 | (body.length & 0x7f), body.length >> 7, ...body])
  }

  const cases: ReadonlyArray<readonly [string, ReadonlyArray<number>, string]> = [
    ["a null character in a name", [0x26, 0, 1, 0, 0, 0], "utf8-nul"],
    ["a null character in a value", [0x26, 0, 0, 0, 1, 0], "utf8-nul"],
    ["a name that is not UTF-8", [0x26, 0, 1, 0xff, 0, 0], "utf8"],
    ["a value with an encoded surrogate", [0x26, 0, 0, 0, 3, 0xed, 0xa0, 0x80], "utf8"],
    ["a name beyond the properties", [0x26, 0, 9, 0x61], "truncated"],
    ["no value", [0x26, 0, 1, 0x61], "truncated"],
    ["another property twice", [0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1], "property-duplicate"],
    ["subscription identifier 0", [...Array.from({ length: 40 }, () => [0x0b, 1]).flat(), 0x0b, 0], "property-value"]
  ]
  for (const [title, pair, kind] of cases) {
    it(`refuses ${title} behind a hundred user properties`, () => {
      const decoder = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 10_000 })
      const into: Array<Packet> = []
      assert.strictEqual(decoder.push(last(pair), into)?.kind, kind)
      assert.deepStrictEqual(into, [])
    })
  }
})

describe("memory", () => {
  const size = 200_000
  const lists: Record<string, PublishProperties> = {
    "empty user properties": { userProperties: Array.from({ length: size / 5 }, (): UserProperty => ["", ""]) },
    "short user properties": {
      userProperties: Array.from({ length: size / 13 }, (): UserProperty => ["name", "valu"])
    },
    "subscription identifiers": { subscriptionIdentifiers: Array.from({ length: size / 2 }, () => 1) }
  }
  for (const [title, properties] of Object.entries(lists)) {
    it(`what is sent as ${title} takes no more than its bytes, also after it was read`, async () => {
      const bytes = encode(publish(properties), 5)
      const count = 12
      const before = held()
      const packets: Array<Publish> = []
      for (let index = 0; index < count; index++) {
        packets.push(decodeOne(bytes) as Publish)
      }
      assert.isBelow(held() - before, 1.1 * count * bytes.length)
      for (const { properties } of packets) {
        assert.isAbove((properties.userProperties ?? properties.subscriptionIdentifiers!).length, 1000)
      }
      // What was decoded is in use until the end of the turn.
      await new Promise((resolve) => setImmediate(resolve))
      assert.isBelow(held() - before, 1.1 * count * bytes.length)
      assert.isBelow(packets.reduce((sum, packet) => sum + weighPublish(packet), 0), 1.1 * count * bytes.length)
    })
  }

  it("a copy of a message keeps its lists deferred, and no buffer of the network", () => {
    const bytes = encode(publish({ userProperties: pairs(1000), correlationData: new Uint8Array(2) }), 5)
    const before = held()
    const copies: Array<Message> = []
    for (let index = 0; index < 100; index++) {
      const rest = encode(publish({}, new Uint8Array(900_000)), 5)
      const chunk = new Uint8Array(bytes.length + rest.length)
      chunk.set(bytes)
      chunk.set(rest, bytes.length)
      const decoder = makeDecoder({
        role: "client",
        protocolVersion: 5,
        maximumPacketSize: 2_000_000,
        ownsChunks: true
      })
      const into: Array<Packet> = []
      assert.isUndefined(decoder.push(chunk, into))
      const [first] = into as ReadonlyArray<Publish>
      copies.push(new Message({ ...first!, session: "s", receivedAt: 0 }).copy())
    }
    assert.isBelow(held() - before, 100 * 60_000)
    for (const copy of copies) {
      assert.isDefined(deferredOf(copy.properties))
      assert.deepStrictEqual(copy.properties, { userProperties: pairs(1000), correlationData: new Uint8Array(2) })
    }
  })

  let texts = 0
  /** A text that no cache knows. */
  const random = (length: number): string => String(texts++).padEnd(length, "x")
  const messages: Record<string, () => Publish> = {
    "nothing but a topic": () => publish({}, new Uint8Array(0)),
    "a small payload": () => publish({}, new Uint8Array(40)),
    "a content type": () => publish({ contentType: random(20) }),
    "correlation data": () => publish({ correlationData: new Uint8Array(16), responseTopic: random(20) }),
    "two user properties": () => publish({ userProperties: [[random(8), random(8)], [random(8), random(8)]] }),
    "thirty user properties": () =>
      publish({ userProperties: Array.from({ length: 30 }, (): UserProperty => [random(6), random(6)]) }),
    "thirty empty user properties": () =>
      publish({ userProperties: Array.from({ length: 30 }, (): UserProperty => ["", ""]) }),
    "a hundred user properties": () => publish({ userProperties: pairs(100) }),
    "thirty subscription identifiers": () => publish({ subscriptionIdentifiers: numbers(30) }),
    "text beyond Latin-1": () => publish({ contentType: `${random(500)}€` }, new Uint8Array(0), `${random(1000)}€`)
  }
  const count = 2000
  /** What `count` messages weigh, and what they take. */
  const keep = (make: () => Publish): { readonly weight: number; readonly taken: number } => {
    const decoder = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 100_000, ownsChunks: true })
    const chunks: Array<Uint8Array> = []
    for (let index = 0; index < count; index += 50) {
      const packets = Array.from({ length: 50 }, () => encode(make(), 5))
      const chunk = new Uint8Array(packets.reduce((sum, bytes) => sum + bytes.length, 0))
      let position = 0
      for (const bytes of packets) {
        chunk.set(bytes, position)
        position += bytes.length
      }
      chunks.push(chunk)
    }
    const before = held() - chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const kept: Array<Message> = []
    let weight = 0
    for (let index = 0; index < chunks.length; index++) {
      const into: Array<Packet> = []
      assert.isUndefined(decoder.push(chunks[index]!, into))
      for (const packet of into as ReadonlyArray<Publish>) {
        weight += weighPublish(packet)
        kept.push(new Message({ ...packet, session: "s", receivedAt: 0 }))
      }
    }
    chunks.length = 0
    const taken = held() - before
    assert.lengthOf(kept, count)
    return { weight, taken }
  }
  for (const [title, make] of Object.entries(messages)) {
    it(`counts at least the memory that a message with ${title} takes`, () => {
      // The engine of JavaScript keeps compiled code and type feedback on the same heap, mostly in the first round.
      // Such things only add to what is measured: the least of a few rounds is what the messages take.
      const rounds = Array.from({ length: 4 }, () => keep(make))
      assert.isAtLeast(rounds[0]!.weight, Math.min(...rounds.map(({ taken }) => taken)))
    })
  }
})
