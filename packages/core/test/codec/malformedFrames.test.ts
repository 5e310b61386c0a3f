import { assert, describe, it } from "@effect/vitest"
import {
  assertRejected,
  both,
  connack5,
  connect,
  illFormed,
  type Malformed,
  publish5,
  raw,
  same,
  type Sample
} from "./malformed.ts"
import { concat, decode, frame, hex, properties, text } from "./support.ts"

const framing: ReadonlyArray<Malformed> = [
  {
    title: "rejects a remaining length of more than four bytes",
    kind: "remaining-length",
    reasonCode: 0x81,
    samples: same("client", hex("30 80 80 80 80 01"))
  },
  {
    title: "rejects a variable byte integer that is longer than it must be [MQTT5-1.5.5-1]",
    kind: "remaining-length",
    reasonCode: 0x81,
    samples: [
      ["client", 5, hex("d0 80 00")],
      ["client", 5, hex("40 82 00 00 01")],
      ["client", 5, hex("40 82 80 80 00 00 01")]
    ]
  },
  {
    title: "rejects a property length that is longer than it must be [MQTT5-1.5.5-1]",
    kind: "variable-byte-integer",
    reasonCode: 0x81,
    samples: [
      ["client", 5, frame(0x30, ...text("a"), 0x80, 0x00)],
      ["client", 5, publish5(0x0b, 0x81, 0x00)]
    ]
  },
  {
    title: "rejects a variable byte integer of more than four bytes",
    kind: "variable-byte-integer",
    reasonCode: 0x81,
    samples: [
      ["client", 5, frame(0x30, ...text("a"), 0xff, 0xff, 0xff, 0xff, 0x01)],
      ["client", 5, publish5(0x0b, 0xff, 0xff, 0xff, 0xff, 0x01)]
    ]
  },
  {
    title: "rejects the reserved packet type 0",
    kind: "packet-type",
    reasonCode: 0x81,
    samples: [...same("client", frame(0x00)), ...same("server", frame(0x00))]
  },
  {
    title: "rejects AUTH on 3.1.1, where its type is reserved",
    kind: "packet-type",
    reasonCode: 0x81,
    samples: [["client", 4, frame(0xf0)], ["server", 4, frame(0xf0)]]
  },
  {
    title: "rejects reserved fixed header flags of every packet type [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT5-2.1.3-1]",
    kind: "fixed-header-flags",
    reasonCode: 0x81,
    samples: [
      ...both("server", connect(4, 2, ...text("c")), connect(5, 2, ...text("c"))).map(
        ([role, version, bytes]): Sample => [role, version, concat(Uint8Array.of(0x11), bytes.subarray(1))]
      ),
      ...both("client", frame(0x22, 0, 0), frame(0x21, 0, 0, 0)),
      ...same("client", frame(0x41, 0, 1)),
      ...same("client", frame(0x58, 0, 1)),
      ...same("client", frame(0x74, 0, 1)),
      ...both("server", frame(0x80, 0, 1, ...text("a"), 0), frame(0x80, 0, 1, 0, ...text("a"), 0)),
      ...both("server", frame(0x8a, 0, 1, ...text("a"), 0), frame(0x83, 0, 1, 0, ...text("a"), 0)),
      ...both("client", frame(0x92, 0, 1, 0), frame(0x92, 0, 1, 0, 0)),
      ...both("server", frame(0xa0, 0, 1, ...text("a")), frame(0xa0, 0, 1, 0, ...text("a"))),
      ...both("client", frame(0xb2, 0, 1), frame(0xb2, 0, 1, 0, 0)),
      ...same("server", frame(0xc1)),
      ...same("client", frame(0xd8)),
      ["server", 4, frame(0xe1)],
      ["client", 5, frame(0xe2)],
      ["client", 5, frame(0xf1)]
    ]
  },
  {
    title: "rejects a PUBREL whose fixed header flags are not 0010 [MQTT3-3.6.1-1] [MQTT5-3.6.1-1]",
    kind: "fixed-header-flags",
    reasonCode: 0x81,
    samples: [0, 1, 3, 4, 6, 8, 10, 15].flatMap((flags) => same("client", frame(0x60 | flags, 0, 1)))
  },
  {
    title:
      "rejects a DISCONNECT with reserved flag bits as a malformed packet (0x81) [MQTT3-3.14.1-1] [MQTT5-3.14.1-1]",
    kind: "fixed-header-flags",
    reasonCode: 0x81,
    samples: [["server", 4, frame(0xe1)], ["client", 5, frame(0xe1)], ["server", 5, frame(0xe8, 0, 0)]]
  },
  {
    title: "rejects an AUTH with reserved flag bits as a malformed packet (0x81) [MQTT5-3.15.1-1]",
    kind: "fixed-header-flags",
    reasonCode: 0x81,
    samples: [["client", 5, frame(0xf2)], ["server", 5, frame(0xf1)]]
  },
  {
    title: "rejects a packet over the maximum packet size with 0x95",
    kind: "packet-too-large",
    reasonCode: 0x95,
    samples: same("client", frame(0x30, ...text("a"), ...Array.from({ length: 1100 }, () => 0)))
  },
  {
    title: "rejects from a server what only a client may send",
    kind: "unexpected-packet",
    reasonCode: 0x82,
    samples: [
      ...both("client", connect(4, 2, ...text("c")), connect(5, 2, ...text("c"))),
      ...both("client", frame(0x82, 0, 1, ...text("a"), 0), frame(0x82, 0, 1, 0, ...text("a"), 0)),
      ...both("client", frame(0xa2, 0, 1, ...text("a")), frame(0xa2, 0, 1, 0, ...text("a"))),
      ...same("client", frame(0xc0)),
      ["client", 4, frame(0xe0)]
    ]
  },
  {
    title: "rejects from a client what only a server may send",
    kind: "unexpected-packet",
    reasonCode: 0x82,
    samples: [
      ...both("server", frame(0x20, 0, 0), frame(0x20, 0, 0, 0)),
      ...both("server", frame(0x90, 0, 1, 0), frame(0x90, 0, 1, 0, 0)),
      ...both("server", frame(0xb0, 0, 1), frame(0xb0, 0, 1, 0, 0)),
      ...same("server", frame(0xd0))
    ]
  },
  {
    title: "rejects a first packet that is not CONNECT when the version is not known yet",
    kind: "unexpected-packet",
    reasonCode: 0x82,
    samples: [
      ["server", undefined, frame(0xc0)],
      ["server", undefined, frame(0x30, ...text("a"))],
      ["server", undefined, frame(0xe0)],
      ["server", undefined, frame(0xf0)]
    ]
  },
  {
    title: "rejects a second CONNECT",
    kind: "unexpected-packet",
    reasonCode: 0x82,
    samples: ([4, 5] as const).flatMap((level): Array<Sample> => {
      const twice = concat(connect(level, 2, ...text("c")), connect(level, 2, ...text("c")))
      return [["server", undefined, twice], ["server", level, twice]]
    })
  }
]

const lengths: ReadonlyArray<Malformed> = [
  {
    title: "rejects a packet that ends inside one of its fields",
    kind: "truncated",
    reasonCode: 0x81,
    samples: [
      ...same("client", frame(0x60 | 2, 0)),
      ...same("client", frame(0x62)),
      ...same("client", frame(0x40)),
      ...same("client", frame(0x30)),
      ...same("client", frame(0x30, 0)),
      ...same("client", frame(0x30, 0, 5, 0x61)),
      ...same("client", frame(0x32, ...text("a"))),
      ...same("client", frame(0x32, ...text("a"), 0)),
      ["client", 5, frame(0x30, ...text("a"))],
      ...same("client", frame(0x20)),
      ...same("client", frame(0x20, 0)),
      ["client", 5, frame(0x20, 0, 0x87)],
      ...same("client", frame(0x90, 0)),
      ["client", 5, frame(0x90, 0, 1)],
      ["client", 5, frame(0xb0, 0, 1)],
      ...both("server", frame(0x82, 0, 1, ...text("a")), frame(0x82, 0, 1, 0, ...text("a"))),
      ...both("server", frame(0x82, 0, 1, 0, 9, 0x61), frame(0xa2, 0, 1, 0, 0, 9, 0x61)),
      ["client", 5, frame(0xf0, 0x18)],
      ...same("server", frame(0x10)),
      ...same("server", frame(0x10, ...text("MQTT"))),
      ["server", 4, frame(0x10, ...text("MQTT"), 4, 2, 0)],
      ["server", 4, connect(4, 2)],
      ["server", 4, connect(4, 0xc2, ...text("c"), ...text("user"))],
      ["server", 5, connect(5, 0x06, ...text("c"), 0, ...text("will"))]
    ]
  },
  {
    title: "rejects a property whose value reaches beyond the property length",
    kind: "truncated",
    reasonCode: 0x81,
    samples: [
      ["client", 5, publish5(0x01)],
      ["client", 5, publish5(0x02, 0, 0, 0)],
      ["client", 5, publish5(0x23, 0)],
      ["client", 5, publish5(0x03, 0, 9, 0x61)],
      ["client", 5, publish5(0x09, 0, 9, 0x61)],
      ["client", 5, publish5(0x26, ...text("name"))],
      ["client", 5, connack5(0x21, 0)],
      // What lies behind the properties must not be read as a part of them.
      ["client", 5, frame(0x30, ...text("a"), 1, 0x01, 0x01)]
    ]
  },
  {
    title: "rejects bytes behind the last field",
    kind: "trailing-bytes",
    reasonCode: 0x81,
    samples: [
      ["client", 4, frame(0x40, 0, 1, 0)],
      ["client", 4, frame(0x50, 0, 1, 0)],
      ["client", 4, frame(0x62, 0, 1, 0)],
      ["client", 4, frame(0x70, 0, 1, 0)],
      ["client", 5, frame(0x40, 0, 1, 0, 0, 0)],
      ["client", 4, frame(0x20, 0, 0, 0)],
      ["client", 5, frame(0x20, 0, 0, 0, 0)],
      ["client", 4, frame(0xb0, 0, 1, 0)],
      ...same("client", frame(0xd0, 0)),
      ...same("server", frame(0xc0, 0)),
      ["server", 4, frame(0xe0, 0)],
      ["client", 5, frame(0xe0, 0, 0, 0)],
      ["client", 5, frame(0xf0, 0x18, ...properties(0x15, ...text("m")), 0)],
      ["server", 4, connect(4, 2, ...text("c"), 0)],
      ["server", 5, connect(5, 2, ...text("c"), 0)]
    ]
  },
  {
    title: "rejects a property length that exceeds the packet",
    kind: "properties-length",
    reasonCode: 0x81,
    samples: [
      ["client", 5, frame(0x30, ...text("a"), 5, 0x01, 0x01)],
      ["client", 5, frame(0x20, 0, 0, 3, 0x21, 0)],
      ["client", 5, frame(0x40, 0, 1, 0, 1)],
      ["client", 5, frame(0xe0, 0, 0xff, 0x7f)],
      ["client", 5, frame(0x90, 0, 1, 9, 0)]
    ]
  }
]

const strings: ReadonlyArray<Malformed> = [
  {
    title: "rejects a string that is not well-formed UTF-8 [MQTT3-1.5.3-1] [MQTT5-1.5.4-1]",
    kind: "utf8",
    reasonCode: 0x81,
    samples: [
      ...illFormed.flatMap((bytes) => both("client", frame(0x30, ...raw(bytes)), frame(0x30, ...raw(bytes), 0))),
      ...illFormed.flatMap((bytes) => both("server", connect(4, 2, ...raw(bytes)), connect(5, 2, ...raw(bytes)))),
      ...both("server", frame(0x82, 0, 1, ...raw([0xc0, 0xaf]), 0), frame(0x82, 0, 1, 0, ...raw([0xc0, 0xaf]), 0)),
      ...both("server", connect(4, 0x82, ...text("c"), ...raw([0xff])), connect(5, 0x82, ...text("c"), ...raw([0xff]))),
      ["client", 5, connack5(0x1f, ...raw([0xed, 0xbf, 0xbf]))]
    ]
  },
  {
    title: "rejects a string that holds U+0000 [MQTT3-1.5.3-2] [MQTT5-1.5.4-2]",
    kind: "utf8-nul",
    reasonCode: 0x81,
    samples: [
      ...both("client", frame(0x30, ...text("a\0b")), frame(0x30, ...text("a\0b"), 0)),
      ...both("server", connect(4, 2, ...text("\0")), connect(5, 2, ...text("\0"))),
      ...both("server", frame(0xa2, 0, 1, ...text("a/\0")), frame(0xa2, 0, 1, 0, ...text("a/\0"))),
      ["client", 5, publish5(0x08, ...text("a\0"))],
      ["client", 5, connack5(0x1f, ...text("é\0"))]
    ]
  },
  {
    title: "rejects a user property whose name or value is not well-formed UTF-8 [MQTT5-1.5.7-1]",
    kind: "utf8",
    reasonCode: 0x81,
    samples: illFormed.flatMap((bytes): Array<Sample> => [
      ["client", 5, publish5(0x26, ...raw(bytes), ...text("value"))],
      ["client", 5, publish5(0x26, ...text("name"), ...raw(bytes))]
    ])
  },
  {
    title: "rejects a response topic that is not well-formed UTF-8 [MQTT5-3.3.2-13]",
    kind: "utf8",
    reasonCode: 0x81,
    samples: illFormed.map((bytes): Sample => ["client", 5, publish5(0x08, ...raw(bytes))])
  },
  {
    title: "rejects a content type that is not well-formed UTF-8 [MQTT5-3.3.2-19]",
    kind: "utf8",
    reasonCode: 0x81,
    samples: illFormed.map((bytes): Sample => ["client", 5, publish5(0x03, ...raw(bytes))])
  }
]

describe("malformed frames, lengths and strings", () => {
  for (const one of [...framing, ...lengths, ...strings]) {
    it(one.title, () => assertRejected(one))
  }

  it("accepts a remaining length that is longer than it must be on 3.1.1, which does not forbid it", () => {
    assert.deepStrictEqual(decode(hex("d0 80 00"), "client", 4), {
      packets: [{ _tag: "Pingresp" }],
      violation: undefined
    })
    const connect4 = hex("10 8d 00 00 04 4d 51 54 54 04 02 00 3c 00 01 63")
    assert.isUndefined(decode(connect4, "server", undefined).violation)
    const connect5 = hex("10 8e 00 00 04 4d 51 54 54 05 02 00 3c 00 00 01 63")
    assert.deepInclude(decode(connect5, "server", undefined).violation, { kind: "remaining-length" })
  })

  it("takes $share for an ordinary topic level on 3.1.1", () => {
    assert.isUndefined(decode(frame(0x82, 0, 1, ...text("$share/+"), 0), "server", 4).violation)
  })

  it("names the packet and the offset in the detail of a violation", () => {
    const { violation } = decode(frame(0x30, ...text("abc/+")), "client", 4)
    assert.strictEqual(violation?.detail, "PUBLISH: the topic name holds a wildcard at offset 8")
  })
})
