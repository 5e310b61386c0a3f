import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import { type MessageProperties, none, type PublishProperties, type UserProperty } from "@effect-mqttx/core/Properties"
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encodeUserProperties, notePassed, withTopicAlias } from "../../src/internal/codec/encodeProperties.ts"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import { sizeOf } from "../../src/internal/codec/size.ts"
import { EncodedProperties } from "../../src/internal/encodedProperties.ts"
import { unlimited } from "./support.ts"

const publishOf = (properties: Publish["properties"], fields: Partial<Publish> = {}): Publish => ({
  _tag: "Publish",
  topic: "a/b",
  payload: new Uint8Array([1, 2, 3]),
  qos: 1,
  retain: false,
  dup: false,
  packetIdentifier: 7,
  properties,
  ...fields
})

const lists: ReadonlyArray<readonly [string, ReadonlyArray<UserProperty>]> = [
  ["none", []],
  ["one", [["name", "value"]]],
  ["empty texts", [["", ""]]],
  ["characters of several bytes", [["größe", "𝄞 ≥ 1"], ["größe", "2"]]],
  ["127 bytes", [["n", "x".repeat(121)]]],
  ["128 bytes, with a longer length", [["n", "x".repeat(122)]]],
  ["more than the decoder decodes at once", Array.from({ length: 40 }, (_, i): UserProperty => ["n", String(i)])],
  ["a value as long as one can be", [["n", "x".repeat(65_535)]]]
]

describe("user properties that were encoded before", () => {
  for (const [what, userProperties] of lists) {
    it(`have the same bytes and the same size in a packet: ${what}`, () => {
      const properties = encodeUserProperties(userProperties)
      assert.isDefined(EncodedProperties.bytesOf(properties))
      assert.deepStrictEqual({ ...properties }, { userProperties })
      for (const fields of [{}, { qos: 0, packetIdentifier: 0 }, { topic: "x".repeat(300) }] as const) {
        const plain = publishOf({ userProperties }, fields)
        const encoded = publishOf(properties, fields)
        assert.deepStrictEqual(encode(encoded, 5), encode(plain, 5))
        assert.strictEqual(sizeOf(encoded, 5), sizeOf(plain, 5))
      }
    })
  }

  it("leave no trace in the next packet of the encoder", () => {
    const encoder = makeEncoder(5)
    const userProperties: ReadonlyArray<UserProperty> = [["name", "value"]]
    const packets = [publishOf(encodeUserProperties(userProperties)), publishOf(none), publishOf({ userProperties })]
    for (const packet of packets) assert.isUndefined(encoder.write(packet))
    const decoder = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: unlimited })
    const decoded: Array<Packet> = []
    for (const chunk of encoder.take()) assert.isUndefined(decoder.push(chunk, decoded))
    assert.deepStrictEqual(
      decoded.map((packet) => (packet as Publish).properties.userProperties),
      [userProperties, undefined, userProperties]
    )
  })

  it("a copy with another property is encoded as a whole", () => {
    const copy = { ...encodeUserProperties([["name", "value"]]), messageExpiryInterval: 5 }
    assert.isUndefined(EncodedProperties.bytesOf(copy))
    const plain = { userProperties: [["name", "value"]] as const, messageExpiryInterval: 5 }
    assert.deepStrictEqual(encode(publishOf(copy), 5), encode(publishOf(plain), 5))
  })

  it("that cannot be encoded are refused by the encoder, with the reason", () => {
    for (const value of ["x".repeat(65_536), "\ud800", "a\0b"]) {
      const properties = encodeUserProperties([["name", value]])
      assert.isUndefined(EncodedProperties.bytesOf(properties))
      assert.include(makeEncoder(5).write(publishOf(properties))?.detail, "the value of a user property")
    }
  })

  it("do not exist in MQTT 3.1.1", () => {
    assert.isDefined(makeEncoder(4).write(publishOf(encodeUserProperties([["name", "value"]]))))
  })
})

const others: MessageProperties = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 70_000,
  contentType: "größe",
  responseTopic: "answers/1",
  correlationData: new Uint8Array([0, 35, 11, 38])
}
const ofConnection = { subscriptionIdentifiers: [1, 300, 268_435_455], topicAlias: 9 }
const received: Readonly<Record<string, PublishProperties>> = {
  "user properties": { userProperties: [["a", "b"], ["a", ""], ["größe", "𝄞"]] },
  "all others": others,
  "everything, those of the connection first": { ...ofConnection, ...others, userProperties: [["a", "b"]] },
  "everything, those of the connection last": { userProperties: [["a", "b"]], ...others, ...ofConnection },
  "an alias alone": { topicAlias: 1 },
  "a length of two bytes": { ...ofConnection, userProperties: [["a", "x".repeat(300)]] },
  "more than shares a buffer": { ...ofConnection, userProperties: [["a", "x".repeat(3000)]] },
  "more than is decoded at once": { userProperties: Array.from({ length: 50 }, (_, i) => ["n", String(i)] as const) }
}

/** The properties as a session receives them. */
const receive = (properties: PublishProperties, fields: Partial<Publish> = {}): PublishProperties => {
  const packets: Array<Packet> = []
  const decoder = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: unlimited })
  // Behind another packet, because the bytes of a read do not begin with the properties.
  decoder.push(encode(publishOf({ contentType: "another" }), 5), packets)
  assert.isUndefined(decoder.push(encode(publishOf(properties, fields), 5), packets))
  return (packets[1] as Publish).properties
}

describe("properties of a received message that is passed on", () => {
  const added = [["route", "x"]] as const
  for (const [what, properties] of Object.entries(received)) {
    it(`are the bytes that came, without those of the connection: ${what}`, () => {
      const { subscriptionIdentifiers: _, topicAlias: __, ...carried } = receive(properties)
      const plain = { ...carried, userProperties: [...properties.userProperties ?? [], ...added] }
      const passed = { ...plain }
      notePassed(passed, receive(properties), encodeUserProperties(added))
      assert.isDefined(EncodedProperties.bytesOf(passed))
      assert.deepStrictEqual(passed, plain)
      // The order of different properties is free (MQTT 2.2.2.2), that of user properties is not.
      const packet = encode(publishOf(passed), 5)
      assert.strictEqual(packet.length, sizeOf(publishOf(plain), 5))
      assert.deepStrictEqual({ ...receive(passed) }, { ...plain })
      const aliased = withTopicAlias(passed, 0x2324)
      assert.isDefined(EncodedProperties.bytesOf(aliased))
      assert.deepStrictEqual({ ...receive(aliased, { topic: "" }) }, { topicAlias: 0x2324, ...plain })
      assert.strictEqual(sizeOf(publishOf(aliased), 5), packet.length + 3)
    })
  }

  it("are encoded as a whole where the bytes are not known", () => {
    const user: MessageProperties = { userProperties: [["a", "b"]] }
    const added = encodeUserProperties([["route", "x"]])
    const cases: ReadonlyArray<readonly [PublishProperties, MessageProperties]> = [
      [user, added],
      [{ ...receive(user) }, added],
      [receive(user), { userProperties: [["route", "x"]] }],
      // They would keep the whole read in memory.
      [receive(user, { payload: new Uint8Array(0) }), added],
      [receive({ subscriptionIdentifiers: [1] }), added]
    ]
    for (const [from, tail] of cases) {
      const passed = { ...user }
      notePassed(passed, from, tail)
      assert.isUndefined(EncodedProperties.bytesOf(passed))
    }
  })

  it("a topic alias that does not exist is refused", () => {
    for (const alias of [0, 65_536, 1.5]) {
      const properties = withTopicAlias(encodeUserProperties([["name", "value"]]), alias)
      assert.include(makeEncoder(5).write(publishOf(properties))?.detail, "topic alias")
    }
  })
})
