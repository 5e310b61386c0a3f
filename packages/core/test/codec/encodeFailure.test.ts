import { assert, describe, it } from "@effect/vitest"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import type * as Packet from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { concat, decode, frame, type Role, text } from "./support.ts"

const { none } = Properties

const publish: Packet.Publish = {
  _tag: "Publish",
  topic: "a",
  payload: new Uint8Array(1),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: none
}

const connect: Packet.Connect = {
  _tag: "Connect",
  protocolVersion: 5,
  clientId: "c",
  cleanStart: true,
  keepAlive: 60,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: none
}

const connect4: Packet.Connect = { ...connect, protocolVersion: 4 }

const will: Packet.Will = { topic: "w", payload: new Uint8Array(0), qos: 0, retain: false, properties: none }

const filter: Packet.SubscribeFilter = {
  filter: "a",
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0
}

const subscribe: Packet.Subscribe = { _tag: "Subscribe", packetIdentifier: 1, filters: [filter], properties: none }

const unsubscribe: Packet.Unsubscribe = { _tag: "Unsubscribe", packetIdentifier: 1, filters: ["a"], properties: none }

const connack: Packet.Connack = { _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: none }

const puback: Packet.Puback = { _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: none }

const failure = (packet: Packet.Packet, version: ProtocolVersion): string | undefined => {
  const encoder = makeEncoder(version)
  const result = encoder.write(packet)
  if (result !== undefined) {
    assert.strictEqual(result.packet, packet._tag)
    assert.deepStrictEqual(encoder.take(), [], "a failure appends nothing")
    assert.strictEqual(encoder.pendingBytes, 0)
  }
  return result?.detail
}

const refuses = (packet: Packet.Packet, version: ProtocolVersion, detail: string): void => {
  assert.include(failure(packet, version) ?? "nothing", detail, packet._tag)
}

const accepts = (packet: Packet.Packet, version: ProtocolVersion): void => {
  assert.isUndefined(failure(packet, version))
}

/** What a caller without types may pass. */
const wrong = <A>(value: unknown): A => value as A

const long = "x".repeat(65_536)

describe("packets that cannot be encoded", () => {
  it("refuses to encode a string with a lone surrogate [MQTT3-1.5.3-1] [MQTT5-1.5.4-1] [MQTT5-1.5.7-1] [MQTT3-3.3.2-1] [MQTT5-3.3.2-1]", () => {
    for (const bad of ["\ud800", "a\udc00", "\ud800a", "\udc00\ud800", "\udc00\udc00", "\ud83d\ud83d\ude00"]) {
      refuses({ ...publish, topic: bad }, 4, "lone surrogate")
      refuses({ ...publish, topic: bad }, 5, "lone surrogate")
      refuses({ ...connect, clientId: bad }, 5, "lone surrogate")
      refuses({ ...publish, properties: { contentType: bad } }, 5, "lone surrogate")
      refuses({ ...publish, properties: { userProperties: [["name", bad]] } }, 5, "lone surrogate")
      refuses({ ...publish, properties: { userProperties: [[bad, "value"]] } }, 5, "lone surrogate")
    }
    accepts({ ...publish, topic: "\u{1f600}" }, 5)
  })

  it("refuses to encode a string that holds U+0000 [MQTT3-1.5.3-2] [MQTT5-1.5.4-2]", () => {
    for (const version of [4, 5] as const) {
      refuses({ ...publish, topic: "a\0" }, version, "U+0000")
      refuses({ ...connect, protocolVersion: version, clientId: "\0" }, version, "U+0000")
      refuses({ ...unsubscribe, filters: ["\0"] }, version, "null character")
    }
    refuses({ ...publish, properties: { responseTopic: "a\0" } }, 5, "U+0000")
  })

  it("refuses to encode a client identifier, will topic or user name that is not well-formed [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11] [MQTT5-3.1.3-4] [MQTT5-3.1.3-11] [MQTT5-3.1.3-12]", () => {
    for (const [version, base] of [[4, connect4], [5, connect]] as const) {
      refuses({ ...base, clientId: "\ud800" }, version, "the client identifier holds a lone surrogate")
      refuses({ ...base, username: "\ud800" }, version, "the user name holds a lone surrogate")
      refuses({ ...base, will: { ...will, topic: "\ud800" } }, version, "the will topic holds a lone surrogate")
    }
  })

  it("refuses to encode a string or binary data of more than 65,535 bytes", () => {
    for (const version of [4, 5] as const) {
      refuses({ ...publish, topic: long }, version, "longer than 65535 bytes")
      refuses({ ...publish, topic: "é".repeat(32_768) }, version, "longer than 65535 bytes")
      const base = { ...connect, protocolVersion: version }
      refuses({ ...base, username: "u", password: new Uint8Array(65_536) }, version, "longer than 65535 bytes")
      refuses({ ...base, will: { ...will, payload: new Uint8Array(65_536) } }, version, "longer than 65535 bytes")
      accepts({ ...publish, topic: long.slice(1) }, version)
    }
    refuses({ ...publish, properties: { correlationData: new Uint8Array(65_536) } }, 5, "longer than 65535 bytes")
    refuses({ ...publish, properties: { userProperties: [["a", long]] } }, 5, "longer than 65535 bytes")
  })

  it("refuses to encode a packet of more than 268,435,455 bytes behind its fixed header", () => {
    const payload = new Uint8Array(268_435_455 - 3)
    refuses({ ...publish, payload: new Uint8Array(268_435_456 - 3) }, 4, "larger than a packet can be")
    refuses({ ...publish, payload }, 5, "larger than a packet can be")
    accepts({ ...publish, payload }, 4)
  })

  it("refuses to encode PUBLISH (QoS > 0), SUBSCRIBE and UNSUBSCRIBE with packet identifier 0 [MQTT3-2.3.1-1] [MQTT5-2.2.1-3]", () => {
    for (const version of [4, 5] as const) {
      for (const packetIdentifier of [0, -1, 65_536, 1.5, Number.NaN]) {
        for (
          const packet of [{ ...publish, qos: 1 as const }, { ...publish, qos: 2 as const }, subscribe, unsubscribe]
        ) {
          refuses({ ...packet, packetIdentifier }, version, "packet identifier")
        }
        for (const _tag of ["Puback", "Pubrec", "Pubrel", "Pubcomp"] as const) {
          refuses({ _tag, packetIdentifier, reasonCode: 0, properties: none }, version, "packet identifier")
        }
        refuses(
          { _tag: "Suback", packetIdentifier, reasonCodes: [0], properties: none },
          version,
          "packet identifier"
        )
      }
      accepts({ ...publish, qos: 1, packetIdentifier: 65_535 }, version)
    }
  })

  it("refuses to encode a QoS 0 PUBLISH with DUP set [MQTT3-3.3.1-2] [MQTT5-3.3.1-2]", () => {
    refuses({ ...publish, dup: true }, 4, "DUP with QoS 0")
    refuses({ ...publish, dup: true }, 5, "DUP with QoS 0")
  })

  it("refuses to encode a QoS 0 PUBLISH with a packet identifier [MQTT3-2.3.1-5] [MQTT5-2.2.1-2]", () => {
    refuses({ ...publish, packetIdentifier: 1 }, 4, "a packet identifier with QoS 0")
    refuses({ ...publish, packetIdentifier: 1 }, 5, "a packet identifier with QoS 0")
  })

  it("refuses to encode QoS 3 [MQTT3-3.3.1-4] [MQTT5-3.3.1-4] [MQTT3-3.1.2-14] [MQTT5-3.1.2-12] [MQTT3-3.8.3-4]", () => {
    for (const version of [4, 5] as const) {
      refuses({ ...publish, qos: wrong(3), packetIdentifier: 1 }, version, "QoS 3")
      refuses({ ...subscribe, filters: [{ ...filter, qos: wrong(3) }] }, version, "QoS 3")
      refuses({ ...connect, protocolVersion: version, will: { ...will, qos: wrong(3) } }, version, "will QoS 3")
    }
  })

  it("refuses to encode a topic name with a wildcard [MQTT3-3.3.2-2] [MQTT5-3.3.2-2] [MQTT5-3.3.2-14] [MQTT3-4.7.1-1] [MQTT5-4.7.0-1]", () => {
    for (const topic of ["#", "a/+", "a+"]) {
      refuses({ ...publish, topic }, 4, "wildcard")
      refuses({ ...publish, topic }, 5, "wildcard")
      refuses({ ...publish, properties: { responseTopic: topic } }, 5, "wildcard")
      refuses({ ...connect4, will: { ...will, topic } }, 4, "wildcard")
      refuses({ ...connect, will: { ...will, topic } }, 5, "wildcard")
    }
  })

  it("refuses to encode an empty topic name but in a PUBLISH with a topic alias [MQTT3-4.7.3-1] [MQTT5-4.7.3-1]", () => {
    refuses({ ...publish, topic: "" }, 4, "the topic name is empty")
    refuses({ ...publish, topic: "" }, 5, "the topic name is empty")
    refuses({ ...publish, properties: { responseTopic: "" } }, 5, "response topic is empty")
    refuses({ ...connect, will: { ...will, topic: "" } }, 5, "the will topic is empty")
    accepts({ ...publish, topic: "", properties: { topicAlias: 1 } }, 5)
  })

  it("refuses to encode a topic filter that is not well-formed in SUBSCRIBE and UNSUBSCRIBE [MQTT3-3.8.3-1] [MQTT3-3.10.3-1] [MQTT5-3.8.3-1] [MQTT5-3.10.3-1]", () => {
    for (const version of [4, 5] as const) {
      for (const bad of ["\ud800", "a/\udc00", "\0", "", "a#", "+a", "#/b", long]) {
        refuses({ ...subscribe, filters: [filter, { ...filter, filter: bad }] }, version, "topic filter")
        refuses({ ...unsubscribe, filters: ["a", bad] }, version, "topic filter")
      }
    }
  })

  it("refuses to encode a SUBSCRIBE without a topic filter [MQTT3-3.8.3-3] [MQTT5-3.8.3-2]", () => {
    refuses({ ...subscribe, filters: [] }, 4, "no topic filter")
    refuses({ ...subscribe, filters: [] }, 5, "no topic filter")
  })

  it("refuses to encode an UNSUBSCRIBE without a topic filter [MQTT3-3.10.3-2] [MQTT5-3.10.3-2]", () => {
    refuses({ ...unsubscribe, filters: [] }, 4, "no topic filter")
    refuses({ ...unsubscribe, filters: [] }, 5, "no topic filter")
  })

  it("refuses to encode no local on a shared subscription [MQTT5-3.8.3-4]", () => {
    refuses({ ...subscribe, filters: [{ ...filter, filter: "$share/g/a", noLocal: true }] }, 5, "no local")
  })

  it("refuses to encode subscription options that the version does not have", () => {
    refuses({ ...subscribe, filters: [{ ...filter, retainHandling: wrong(3) }] }, 5, "retain handling")
    for (const option of [{ noLocal: true }, { retainAsPublished: true }, { retainHandling: 1 as const }]) {
      refuses({ ...subscribe, filters: [{ ...filter, ...option }] }, 4, "subscription options")
      accepts({ ...subscribe, filters: [{ ...filter, ...option }] }, 5)
    }
  })

  it("refuses a password without a user name on 3.1.1 and allows it on 5 [MQTT3-3.1.2-22]", () => {
    refuses({ ...connect4, password: new Uint8Array(1) }, 4, "a password without a user name")
    accepts({ ...connect, password: new Uint8Array(1) }, 5)
  })

  it("refuses an empty client identifier without Clean Session on 3.1.1 [MQTT3-3.1.3-7]", () => {
    refuses({ ...connect4, clientId: "", cleanStart: false }, 4, "an empty client identifier")
    accepts({ ...connect4, clientId: "" }, 4)
    accepts({ ...connect, clientId: "", cleanStart: false }, 5)
  })

  it("refuses to encode a CONNECT of another version", () => {
    refuses(connect, 4, "protocol version 5")
    refuses(connect4, 5, "protocol version 4")
  })

  it("refuses to encode a keep alive that is out of range", () => {
    for (const keepAlive of [-1, 65_536, 0.5]) {
      refuses({ ...connect, keepAlive }, 5, "keep alive")
    }
  })

  it("refuses to encode authentication without its method", () => {
    refuses({ ...connect, properties: { authenticationData: new Uint8Array(1) } }, 5, "authentication method")
    refuses({ _tag: "Auth", reasonCode: 0x18, properties: none }, 5, "authentication method")
    refuses({ _tag: "Auth", reasonCode: 0, properties: none }, 4, "AUTH does not exist")
  })

  it("refuses to encode a CONNACK that refuses the connection and says session present [MQTT3-3.2.2-4] [MQTT5-3.2.2-6]", () => {
    refuses({ ...connack, sessionPresent: true, reasonCode: 5 }, 4, "session present")
    refuses({ ...connack, sessionPresent: true, reasonCode: 0x80 }, 5, "session present")
  })

  it("refuses to encode properties and reason codes on 3.1.1, which has none", () => {
    refuses({ ...publish, properties: { contentType: "t" } }, 4, "contentType does not exist in MQTT 3.1.1")
    refuses({ ...puback, reasonCode: 0x80 }, 4, "reason code")
    refuses({ _tag: "Disconnect", reasonCode: 4, properties: none }, 4, "reason code")
    refuses({ _tag: "Unsuback", packetIdentifier: 1, reasonCodes: [0], properties: none }, 4, "reason codes")
    accepts({ ...publish, properties: wrong({ contentType: undefined }) }, 4)
  })

  it("refuses to encode a property that the packet must not have", () => {
    const cases: ReadonlyArray<Packet.Packet> = [
      { ...publish, properties: wrong({ reasonString: "r" }) },
      { ...publish, properties: wrong({ subscriptionIdentifier: 1 }) },
      { ...puback, properties: wrong({ contentType: "t" }) },
      { ...connect, properties: wrong({ assignedClientIdentifier: "c" }) },
      { ...connect, will: { ...will, properties: wrong({ topicAlias: 1 }) } },
      { ...connack, properties: wrong({ willDelayInterval: 1 }) },
      { ...subscribe, properties: wrong({ subscriptionIdentifiers: [1] }) },
      { ...unsubscribe, properties: wrong({ subscriptionIdentifier: 1 }) },
      { _tag: "Disconnect", reasonCode: 0, properties: wrong({ authenticationMethod: "m" }) },
      { ...publish, properties: wrong({ unknown: 1 }) }
    ]
    for (const packet of cases) {
      refuses(packet, 5, "is not allowed here")
    }
  })

  it("refuses to encode a property that is out of range", () => {
    const publishes: ReadonlyArray<Properties.PublishProperties> = [
      { topicAlias: 0 },
      { topicAlias: 65_536 },
      { messageExpiryInterval: -1 },
      { messageExpiryInterval: 4_294_967_296 },
      { messageExpiryInterval: 0.5 },
      { payloadFormatIndicator: wrong(2) },
      { subscriptionIdentifiers: [0] },
      { subscriptionIdentifiers: [1, 268_435_456] }
    ]
    for (const properties of publishes) {
      assert.isDefined(failure({ ...publish, properties }, 5), JSON.stringify(properties))
    }
    const connacks: ReadonlyArray<Properties.ConnackProperties> = [
      { receiveMaximum: 0 },
      { maximumPacketSize: 0 },
      { maximumQoS: wrong(2) },
      { retainAvailable: wrong(1) },
      { serverKeepAlive: Number.NaN }
    ]
    for (const properties of connacks) {
      assert.isDefined(failure({ ...connack, properties }, 5), JSON.stringify(properties))
    }
    refuses({ ...subscribe, properties: { subscriptionIdentifier: 0 } }, 5, "subscription identifier")
  })

  it("continues after a failure as if the packet had never been", () => {
    const encoder = makeEncoder(5)
    assert.isUndefined(encoder.write({ ...publish, properties: { contentType: "one" } }))
    assert.isDefined(encoder.write({ ...publish, properties: { contentType: "two", responseTopic: "#" } }))
    assert.isUndefined(encoder.write({ ...publish, properties: { contentType: "three" } }))
    const { packets } = decode(concat(...encoder.take()), "client", 5)
    assert.deepStrictEqual(
      packets.map((packet) => packet._tag === "Publish" ? packet.properties.contentType : packet._tag),
      ["one", "three"]
    )
  })

  it("throws from encode with the packet and the reason", () => {
    assert.throws(() => encode({ ...publish, topic: "#" }, 5), RangeError, "Publish: the topic name holds a wildcard")
  })
})

// From the tables of sections 2.4 and 3 of MQTT 5, by hand.
const publishCodes = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const releaseCodes = [0x00, 0x92]
const subackCodes = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
const unsubackCodes = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]
const connackCodes = [
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99],
  ...[0x9a, 0x9b, 0x9c, 0x9d, 0x9f]
]
const serverDisconnectCodes = [
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97],
  ...[0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]
]

const everyCode = Array.from({ length: 256 }, (_, code) => code)

interface Carrier {
  readonly packet: (code: number) => Packet.Packet
  readonly bytes: (code: number) => Uint8Array
}

const check = (
  version: ProtocolVersion,
  role: Role,
  accepted: ReadonlyArray<number>,
  encoded: ReadonlyArray<number>,
  { bytes, packet }: Carrier
): void => {
  for (const code of everyCode) {
    assert.strictEqual(failure(packet(code), version) === undefined, encoded.includes(code), `encode ${code}`)
    const { violation } = decode(bytes(code), role, version)
    assert.strictEqual(violation?.kind, accepted.includes(code) ? undefined : "reason-code", `decode ${code}`)
  }
}

describe("reason codes", () => {
  it("encodes and accepts only the reason codes that PUBACK, PUBREC, PUBREL and PUBCOMP define [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] [MQTT5-3.6.2-1] [MQTT5-3.7.2-1]", () => {
    const cases = [
      ["Puback", 0x40, publishCodes],
      ["Pubrec", 0x50, publishCodes],
      ["Pubrel", 0x62, releaseCodes],
      ["Pubcomp", 0x70, releaseCodes]
    ] as const
    for (const [_tag, first, codes] of cases) {
      for (const role of ["client", "server"] as const) {
        check(5, role, codes, codes, {
          packet: (reasonCode) => ({ _tag, packetIdentifier: 1, reasonCode, properties: none }),
          bytes: (code) => frame(first, 0, 1, code)
        })
      }
    }
  })

  it("rejects a SUBACK with a reason code that its version does not define [MQTT3-3.9.3-2] [MQTT5-3.9.3-2]", () => {
    const packet = (code: number): Packet.Packet => ({
      _tag: "Suback",
      packetIdentifier: 1,
      reasonCodes: [0, code],
      properties: none
    })
    const codes4 = [0, 1, 2, 0x80]
    check(4, "client", codes4, codes4, { packet, bytes: (code) => frame(0x90, 0, 1, 0, code) })
    check(5, "client", subackCodes, subackCodes, { packet, bytes: (code) => frame(0x90, 0, 1, 0, 0, code) })
  })

  it("rejects an UNSUBACK with a reason code that MQTT 5 does not define [MQTT5-3.11.3-2]", () => {
    check(5, "client", unsubackCodes, unsubackCodes, {
      packet: (code) => ({ _tag: "Unsuback", packetIdentifier: 1, reasonCodes: [0, code], properties: none }),
      bytes: (code) => frame(0xb0, 0, 1, 0, 0, code)
    })
  })

  it("encodes and accepts only the reason codes that CONNACK defines [MQTT5-3.2.2-8]", () => {
    const packet = (reasonCode: number): Packet.Packet => ({ ...connack, reasonCode })
    check(5, "client", connackCodes, connackCodes, { packet, bytes: (code) => frame(0x20, 0, code, 0) })
    const codes4 = [0, 1, 2, 3, 4, 5]
    // A server of MQTT 5 says 0x84 to a client of 3.1.1 (MQTT 3.1.2.2).
    check(4, "client", [...codes4, 0x84], codes4, { packet, bytes: (code) => frame(0x20, 0, code) })
  })

  it("accepts a refusal in the form of the other version, because the server may not know the version of CONNECT", () => {
    for (const code of everyCode) {
      // Two bytes, as 3.1.1 has them, to a client of MQTT 5. 0 would accept the connection as 3.1.1.
      const short = decode(frame(0x20, 0, code), "client", 5)
      const isRefusal4 = (code >= 1 && code <= 5) || code === 0x84
      assert.deepStrictEqual(short.packets, isRefusal4 ? [{ ...connack, reasonCode: code }] : [], `short ${code}`)
      assert.strictEqual(short.violation === undefined, isRefusal4, `short ${code}`)
      // With properties, as MQTT 5 has them, to a client of 3.1.1.
      const long = decode(frame(0x20, 0, code, 4, 0x1f, 0, 1, 0x61), "client", 4)
      const isRefusal5 = code >= 0x80 && connackCodes.includes(code)
      assert.deepStrictEqual(
        long.packets,
        isRefusal5 ? [{ ...connack, reasonCode: code, properties: { reasonString: "a" } }] : [],
        `long ${code}`
      )
      assert.strictEqual(long.violation === undefined, isRefusal5, `long ${code}`)
    }
    for (const flags of [0, 1]) {
      assert.deepInclude(decode(frame(0x20, flags, 0), "client", 5).violation, {
        kind: "protocol-version",
        reasonCode: 0x84
      })
    }
    // No refusal keeps a session.
    for (const sample of [frame(0x20, 1, 1), frame(0x20, 1, 0x84)]) {
      assert.deepInclude(decode(sample, "client", 5).violation, { kind: "session-present" })
    }
  })

  it("encodes and accepts only the reason codes that DISCONNECT defines [MQTT5-3.14.2-1]", () => {
    const all = [...serverDisconnectCodes, 0x04]
    const carrier: Carrier = {
      packet: (reasonCode) => ({ _tag: "Disconnect", reasonCode, properties: none }),
      bytes: (code) => frame(0xe0, code)
    }
    // Only a client ends a connection with its will.
    check(5, "client", serverDisconnectCodes, all, carrier)
    check(5, "server", all, all, carrier)
  })

  it("encodes and accepts only the reason codes that AUTH defines [MQTT5-3.15.2-1]", () => {
    const carrier: Carrier = {
      packet: (reasonCode) => ({ _tag: "Auth", reasonCode, properties: { authenticationMethod: "m" } }),
      bytes: (code) => frame(0xf0, code, 4, 0x15, ...text("m"))
    }
    assert.deepInclude(decode(frame(0xf0), "server", 5).violation, { kind: "reason-code" })
    // Success is the server's answer, re-authentication the client's wish.
    check(5, "client", [0x00, 0x18], [0x00, 0x18, 0x19], carrier)
    check(5, "server", [0x18, 0x19], [0x00, 0x18, 0x19], carrier)
  })
})
