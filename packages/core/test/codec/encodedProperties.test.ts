import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import { none, type UserProperty } from "@effect-mqttx/core/Properties"
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { encodeUserProperties } from "../../src/internal/codec/encodeProperties.ts"
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
