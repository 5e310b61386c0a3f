import { assert, describe, it } from "@effect/vitest"
import { encode } from "../../src/internal/codec/encoder.ts"
import { sizeOf } from "../../src/internal/codec/size.ts"
import type * as Packet from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { connect, type Golden, goldens, publish, utf8, will } from "./goldens.ts"
import { decode, hex } from "./support.ts"

const { none } = Properties

const find = (version: ProtocolVersion, name: string): Golden => {
  const golden = goldens.find((one) => one.version === version && one.name === name)
  assert.isDefined(golden, name)
  return golden
}

describe("golden bytes", () => {
  for (const { bytes, from, name, packet, version } of goldens) {
    const specification = version === 4 ? "3.1.1" : "5"
    it(`writes ${name} of ${specification}`, () => {
      assert.deepStrictEqual(encode(packet, version), hex(bytes))
      assert.strictEqual(sizeOf(packet, version), hex(bytes).length)
    })
    it(`reads ${name} of ${specification}`, () => {
      const decoded = decode(hex(bytes), from === "client" ? "server" : "client", version)
      assert.deepStrictEqual(decoded, { packets: [packet], violation: undefined })
    })
  }

  it("reads an empty AUTH as success", () => {
    const auth = { _tag: "Auth", reasonCode: 0, properties: none } as const
    assert.deepStrictEqual(decode(hex("f0 00"), "client", 5).packets, [auth])
  })

  it("reads the short forms of acknowledgements and DISCONNECT, reason code without property length", () => {
    const puback = { _tag: "Puback", packetIdentifier: 1, reasonCode: 0x80, properties: none } as const
    assert.deepStrictEqual(decode(hex("40 03 00 01 80"), "client", 5).packets, [puback])
    const disconnect = { _tag: "Disconnect", reasonCode: 0x8b, properties: none } as const
    assert.deepStrictEqual(decode(hex("e0 01 8b"), "client", 5).packets, [disconnect])
  })

  it("encodes the fixed header flags that the specification fixes for every packet type [MQTT3-2.2.2-1] [MQTT3-3.6.1-1] [MQTT3-3.8.1-1] [MQTT3-3.10.1-1] [MQTT3-3.14.1-1] [MQTT5-2.1.3-1] [MQTT5-3.6.1-1] [MQTT5-3.8.1-1] [MQTT5-3.10.1-1] [MQTT5-3.15.1-1]", () => {
    const flags: Readonly<Record<Exclude<Packet.Tag, "Publish">, number>> = {
      Connect: 0x10,
      Connack: 0x20,
      Puback: 0x40,
      Pubrec: 0x50,
      Pubrel: 0x62,
      Pubcomp: 0x70,
      Subscribe: 0x82,
      Suback: 0x90,
      Unsubscribe: 0xa2,
      Unsuback: 0xb0,
      Pingreq: 0xc0,
      Pingresp: 0xd0,
      Disconnect: 0xe0,
      Auth: 0xf0
    }
    const seen = new Set<string>()
    for (const { packet, version } of goldens) {
      if (packet._tag !== "Publish") {
        assert.strictEqual(encode(packet, version)[0], flags[packet._tag], packet._tag)
        seen.add(packet._tag)
      }
    }
    assert.strictEqual(seen.size, 14)
  })

  it("encodes a variable byte integer in the fewest bytes [MQTT5-1.5.5-1]", () => {
    const sizes: ReadonlyArray<readonly [number, string]> = [
      [0, "00"],
      [127, "7f"],
      [128, "80 01"],
      [16_383, "ff 7f"],
      [16_384, "80 80 01"],
      [2_097_151, "ff ff 7f"],
      [2_097_152, "80 80 80 01"]
    ]
    for (const [remaining, length] of sizes.slice(1)) {
      const bytes = encode({ ...publish, payload: new Uint8Array(remaining - 5) }, 4)
      const expected = hex(length)
      assert.deepStrictEqual(bytes.subarray(1, 1 + expected.length), expected)
      assert.strictEqual(bytes.length, 1 + expected.length + remaining)
    }
    const identifiers = [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]
    const expected = hex("01 7f 8001 ff7f 808001 ffff7f 80808001 ffffff7f")
    const bytes = encode({ ...publish, properties: { subscriptionIdentifiers: identifiers } }, 5)
    const written = identifiers.length + expected.length
    assert.strictEqual(bytes[7], written)
    const withoutIds: Array<number> = []
    let position = 8
    for (const identifier of identifiers) {
      const size = identifier < 128 ? 1 : identifier < 16_384 ? 2 : identifier < 2_097_152 ? 3 : 4
      assert.strictEqual(bytes[position], 0x0b)
      withoutIds.push(...bytes.subarray(position + 1, position + 1 + size))
      position += 1 + size
    }
    assert.deepStrictEqual(Uint8Array.from(withoutIds), expected)
  })

  it("writes property length 0 when a packet has no properties [MQTT5-2.2.2-1]", () => {
    assert.deepStrictEqual(encode(publish, 5), hex("30 08 00 03 61 2f 62 00 68 69"))
    assert.deepStrictEqual(encode({ ...publish, properties: {} }, 5), hex("30 08 00 03 61 2f 62 00 68 69"))
    assert.strictEqual(encode({ ...connect, protocolVersion: 5 }, 5)[12], 0)
    assert.strictEqual(encode({ ...connect, protocolVersion: 5, will }, 5)[17], 0)
    assert.strictEqual(encode(find(5, "CONNACK").packet, 5)[4], 0)
    assert.strictEqual(encode(find(5, "UNSUBACK").packet, 5)[4], 0)
  })

  it("reads and writes no packet identifier in a QoS 0 PUBLISH [MQTT3-2.3.1-5] [MQTT5-2.2.1-2]", () => {
    assert.deepStrictEqual(encode(publish, 4), hex("30 07 00 03 61 2f 62 68 69"))
    assert.deepStrictEqual(decode(hex("30 07 00 03 61 2f 62 68 69"), "client", 4).packets, [publish])
    assert.deepStrictEqual(encode(publish, 5), hex("30 08 00 03 61 2f 62 00 68 69"))
    assert.deepStrictEqual(decode(hex("30 08 00 03 61 2f 62 00 68 69"), "client", 5).packets, [publish])
  })

  it("encodes the topic name as the first field of PUBLISH [MQTT3-3.3.2-1] [MQTT5-3.3.2-1]", () => {
    const packet = { ...publish, qos: 2, packetIdentifier: 1 } as const
    assert.deepStrictEqual(encode(packet, 4).subarray(2, 7), hex("00 03 61 2f 62"))
    assert.deepStrictEqual(encode(packet, 5).subarray(2, 7), hex("00 03 61 2f 62"))
  })

  it("encodes CONNECT with the protocol name MQTT and level 4 or 5 [MQTT3-3.1.2-1] [MQTT3-3.1.2-2] [MQTT5-3.1.2-1] [MQTT5-3.1.2-2]", () => {
    assert.deepStrictEqual(encode(connect, 4).subarray(2, 9), hex("00 04 4d 51 54 54 04"))
    assert.deepStrictEqual(encode({ ...connect, protocolVersion: 5 }, 5).subarray(2, 9), hex("00 04 4d 51 54 54 05"))
  })

  it("encodes CONNECT with its reserved flag 0 [MQTT3-3.1.2-3] [MQTT5-3.1.2-3]", () => {
    for (const { packet, version } of goldens) {
      if (packet._tag === "Connect") {
        assert.strictEqual(encode(packet, version)[9] & 1, 0)
      }
    }
  })

  it("encodes will topic, will payload and will properties when there is a will [MQTT3-3.1.2-9] [MQTT5-3.1.2-9]", () => {
    assert.deepStrictEqual(
      encode({ ...connect, will }, 4),
      hex("10 16 00 04 4d 51 54 54 04 06 00 3c 00 02 63 31 00 01 77 00 03 62 79 65")
    )
    assert.deepStrictEqual(
      encode({ ...connect, protocolVersion: 5, will: { ...will, properties: { willDelayInterval: 1 } } }, 5),
      hex("10 1d 00 04 4d 51 54 54 05 06 00 3c 00 00 02 63 31 05 18 00 00 00 01 00 01 77 00 03 62 79 65")
    )
  })

  it("encodes will QoS 0, will retain 0 and no will fields when there is no will [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15] [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]", () => {
    assert.deepStrictEqual(encode(connect, 4), hex("10 0e 00 04 4d 51 54 54 04 02 00 3c 00 02 63 31"))
    assert.deepStrictEqual(
      encode({ ...connect, protocolVersion: 5 }, 5),
      hex("10 0f 00 04 4d 51 54 54 05 02 00 3c 00 00 02 63 31")
    )
  })

  it("writes user name and password exactly when their flags are set [MQTT3-3.1.2-18] [MQTT3-3.1.2-19] [MQTT3-3.1.2-20] [MQTT3-3.1.2-21] [MQTT5-3.1.2-16] [MQTT5-3.1.2-17] [MQTT5-3.1.2-18] [MQTT5-3.1.2-19]", () => {
    const password = utf8("p")
    const cases: ReadonlyArray<readonly [Partial<Packet.Connect>, flags: number, tail: string]> = [
      [{}, 0x02, ""],
      [{ username: "u" }, 0x82, "00 01 75"],
      [{ username: "u", password }, 0xc2, "00 01 75 00 01 70"]
    ]
    for (const [fields, flags, tail] of cases) {
      const bytes4 = encode({ ...connect, ...fields }, 4)
      assert.strictEqual(bytes4[9], flags)
      assert.deepStrictEqual(bytes4.subarray(16), hex(tail))
      const bytes5 = encode({ ...connect, ...fields, protocolVersion: 5 }, 5)
      assert.strictEqual(bytes5[9], flags)
      assert.deepStrictEqual(bytes5.subarray(17), hex(tail))
    }
    const only = encode({ ...connect, password, protocolVersion: 5 }, 5)
    assert.strictEqual(only[9], 0x42)
    assert.deepStrictEqual(only.subarray(17), hex("00 01 70"))
  })

  it("encodes the CONNECT payload in the order of the specification, client identifier first [MQTT3-3.1.3-1] [MQTT3-3.1.3-3] [MQTT5-3.1.3-1] [MQTT5-3.1.3-3]", () => {
    const packet = { ...connect, will, username: "u", password: utf8("p") }
    assert.deepStrictEqual(
      encode(packet, 4).subarray(12),
      hex("00 02 63 31  00 01 77  00 03 62 79 65  00 01 75  00 01 70")
    )
    assert.deepStrictEqual(
      encode({ ...packet, protocolVersion: 5 }, 5).subarray(13),
      hex("00 02 63 31  00  00 01 77  00 03 62 79 65  00 01 75  00 01 70")
    )
  })

  it("encodes subscription options with reserved bits 0 [MQTT3-3.8.3-4] [MQTT5-3.8.3-5]", () => {
    for (const qos of [0, 1, 2] as const) {
      const plain = { filter: "a", qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
      const packet: Packet.Subscribe = { _tag: "Subscribe", packetIdentifier: 1, filters: [plain], properties: none }
      assert.strictEqual(encode(packet, 4).at(-1), qos)
      for (const retainHandling of [0, 1, 2] as const) {
        const full = { ...plain, noLocal: true, retainAsPublished: true, retainHandling }
        assert.strictEqual(encode({ ...packet, filters: [full] }, 5).at(-1), 0x0c | (retainHandling << 4) | qos)
      }
    }
  })

  it("keeps U+FEFF wherever it stands in a string [MQTT3-1.5.3-3] [MQTT5-1.5.4-3]", () => {
    const topic = "\ufeffa/\ufeff"
    const bytes = hex("30 0a 00 08 ef bb bf 61 2f ef bb bf")
    assert.deepStrictEqual(encode({ ...publish, topic, payload: new Uint8Array(0) }, 4), bytes)
    assert.deepInclude(decode(bytes, "client", 4).packets[0], { topic })
    const clientId = "\ufeff"
    const connect5 = encode({ ...connect, protocolVersion: 5, clientId }, 5)
    assert.deepStrictEqual(connect5.subarray(13), hex("00 03 ef bb bf"))
    assert.deepInclude(decode(connect5, "server", 5).packets[0], { clientId })
  })

  it("carries every character of Unicode but U+0000", () => {
    const clientId = "\u0001\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}"
    const bytes = encode({ ...connect, clientId }, 4)
    assert.deepStrictEqual(
      bytes.subarray(14),
      hex("01 7f c280 dfbf e0a080 ed9fbf ee8080 efbfbf f0908080 f48fbfbf")
    )
    assert.deepInclude(decode(bytes, "server", 4).packets[0], { clientId })
  })

  it("carries user properties in their order, duplicates included", () => {
    const userProperties = [["b", "2"], ["a", "1"], ["b", "2"], ["", ""]] as const
    const bytes = encode({ ...publish, properties: { userProperties } }, 5)
    assert.deepStrictEqual(decode(bytes, "client", 5).packets, [{ ...publish, properties: { userProperties } }])
  })
})
