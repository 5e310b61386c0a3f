import { assert, describe, it } from "@effect/vitest"
import {
  assertRejected,
  both,
  connack5,
  connect,
  connect5,
  type Malformed,
  publish5,
  same,
  type Sample
} from "./malformed.ts"
import { decode, frame, properties, type Role, text } from "./support.ts"

const publishes: ReadonlyArray<Malformed> = [
  {
    title: "rejects a PUBLISH (QoS > 0) with packet identifier 0 [MQTT3-2.3.1-4] [MQTT5-2.2.1-4]",
    kind: "packet-identifier",
    reasonCode: 0x82,
    samples: [0x32, 0x34, 0x3a].flatMap((first) =>
      both("client", frame(first, ...text("a"), 0, 0), frame(first, ...text("a"), 0, 0, 0))
    )
  },
  {
    title: "rejects packet identifier 0 in every other packet that has one",
    kind: "packet-identifier",
    reasonCode: 0x82,
    samples: [
      ...[0x40, 0x50, 0x62, 0x70].flatMap((first) => same("client", frame(first, 0, 0))),
      ...both("server", frame(0x82, 0, 0, ...text("a"), 0), frame(0x82, 0, 0, 0, ...text("a"), 0)),
      ...both("server", frame(0xa2, 0, 0, ...text("a")), frame(0xa2, 0, 0, 0, ...text("a"))),
      ...both("client", frame(0x90, 0, 0, 0), frame(0x90, 0, 0, 0, 0)),
      ...both("client", frame(0xb0, 0, 0), frame(0xb0, 0, 0, 0, 0))
    ]
  },
  {
    title: "rejects a QoS 0 PUBLISH with DUP set [MQTT3-3.3.1-2] [MQTT5-3.3.1-2]",
    kind: "publish-dup",
    reasonCode: 0x81,
    samples: [0x38, 0x39].flatMap((first) => both("client", frame(first, ...text("a")), frame(first, ...text("a"), 0)))
  },
  {
    title: "rejects a PUBLISH with QoS 3 [MQTT3-3.3.1-4] [MQTT5-3.3.1-4]",
    kind: "publish-qos",
    reasonCode: 0x81,
    samples: [0x36, 0x37, 0x3e, 0x3f].flatMap((first) =>
      both("client", frame(first, ...text("a"), 0, 1), frame(first, ...text("a"), 0, 1, 0))
    )
  },
  {
    title:
      "rejects a PUBLISH whose topic name holds a wildcard [MQTT3-3.3.2-2] [MQTT5-3.3.2-2] [MQTT3-4.7.1-1] [MQTT5-4.7.0-1]",
    kind: "topic-name-wildcard",
    reasonCode: 0x81,
    samples: ["#", "+", "a/#", "a/+/b", "a+b", "é/#"].flatMap((topic) =>
      both("client", frame(0x30, ...text(topic)), frame(0x30, ...text(topic), 0))
    )
  },
  {
    title: "rejects a will topic that holds a wildcard [MQTT3-4.7.1-1] [MQTT5-4.7.0-1]",
    kind: "topic-name-wildcard",
    reasonCode: 0x81,
    samples: both(
      "server",
      connect(4, 0x06, ...text("c"), ...text("a/+"), 0, 0),
      connect(5, 0x06, ...text("c"), 0, ...text("a/+"), 0, 0)
    )
  },
  {
    title: "rejects a PUBLISH with an empty topic name and no topic alias [MQTT3-4.7.3-1] [MQTT5-4.7.3-1]",
    kind: "topic-name-empty",
    reasonCode: 0x82,
    samples: [
      ...both("client", frame(0x30, 0, 0), frame(0x30, 0, 0, 0)),
      ["client", 5, frame(0x30, 0, 0, ...properties(0x01, 1))],
      ...both("server", frame(0x32, 0, 0, 0, 1), frame(0x32, 0, 0, 0, 1, 0))
    ]
  },
  {
    title: "rejects an empty will topic [MQTT3-4.7.3-1] [MQTT5-4.7.3-1]",
    kind: "topic-name-empty",
    reasonCode: 0x82,
    samples: both(
      "server",
      connect(4, 0x06, ...text("c"), 0, 0, 0, 0),
      connect(5, 0x06, ...text("c"), 0, 0, 0, 0, 0)
    )
  },
  {
    title: "rejects topic alias 0 [MQTT5-3.3.2-8]",
    kind: "topic-alias",
    reasonCode: 0x94,
    samples: [
      ["client", 5, publish5(0x23, 0, 0)],
      ["server", 5, frame(0x30, 0, 0, ...properties(0x23, 0, 0))]
    ]
  },
  {
    title: "rejects a response topic that holds a wildcard [MQTT5-3.3.2-14]",
    kind: "response-topic",
    reasonCode: 0x81,
    samples: [
      ["client", 5, publish5(0x08, ...text("a/#"))],
      ["server", 5, publish5(0x08, ...text("+"))],
      [
        "server",
        5,
        frame(0x10, ...text("MQTT"), 5, 6, 0, 0, 0, ...text("c"), ...properties(0x08, ...text("#")), ...text("w"), 0, 0)
      ]
    ]
  },
  {
    title: "rejects an empty response topic [MQTT5-4.7.3-1]",
    kind: "response-topic",
    reasonCode: 0x81,
    samples: [["client", 5, publish5(0x08, 0, 0)]]
  },
  {
    title: "rejects a subscription identifier in a PUBLISH from a client",
    kind: "subscription-identifier",
    reasonCode: 0x82,
    samples: [["server", 5, publish5(0x0b, 1)]]
  }
]

const oneOfEach: ReadonlyArray<readonly [name: string, bytes: Uint8Array, twice: Uint8Array, role: Role]> = [
  ["payload format indicator", publish5(0x01, 1), publish5(0x01, 1, 0x01, 1), "client"],
  ["message expiry interval", publish5(0x02, 0, 0, 0, 1), publish5(0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1), "client"],
  ["content type", publish5(0x03, ...text("t")), publish5(0x03, ...text("t"), 0x03, ...text("t")), "client"],
  ["response topic", publish5(0x08, ...text("t")), publish5(0x08, ...text("t"), 0x08, ...text("t")), "client"],
  ["correlation data", publish5(0x09, ...text("t")), publish5(0x09, ...text("t"), 0x09, ...text("t")), "client"],
  ["topic alias", publish5(0x23, 0, 1), publish5(0x23, 0, 1, 0x23, 0, 1), "client"],
  ...([
    ["session expiry interval", [0x11, 0, 0, 0, 1]],
    ["assigned client identifier", [0x12, ...text("c")]],
    ["server keep alive", [0x13, 0, 1]],
    ["authentication method", [0x15, ...text("m")]],
    ["authentication data", [0x16, ...text("d")]],
    ["response information", [0x1a, ...text("r")]],
    ["server reference", [0x1c, ...text("s")]],
    ["reason string", [0x1f, ...text("r")]],
    ["receive maximum", [0x21, 0, 1]],
    ["topic alias maximum", [0x22, 0, 1]],
    ["maximum QoS", [0x24, 1]],
    ["retain available", [0x25, 1]],
    ["maximum packet size", [0x27, 0, 0, 1, 0]],
    ["wildcard subscription available", [0x28, 1]],
    ["subscription identifiers available", [0x29, 1]],
    ["shared subscription available", [0x2a, 1]]
  ] as const).map(([name, property]) =>
    [name, connack5(...property), connack5(...property, ...property), "client"] as const
  ),
  ["request problem information", connect5(0x17, 1), connect5(0x17, 1, 0x17, 1), "server"],
  ["request response information", connect5(0x19, 1), connect5(0x19, 1, 0x19, 1), "server"],
  [
    "subscription identifier of SUBSCRIBE",
    frame(0x82, 0, 1, ...properties(0x0b, 1), ...text("a"), 0),
    frame(0x82, 0, 1, ...properties(0x0b, 1, 0x0b, 2), ...text("a"), 0),
    "server"
  ],
  [
    "will delay interval",
    frame(0x10, ...text("MQTT"), 5, 6, 0, 0, 0, ...text("c"), ...properties(0x18, 0, 0, 0, 1), ...text("w"), 0, 0),
    frame(
      0x10,
      ...text("MQTT"),
      5,
      6,
      0,
      0,
      0,
      ...text("c"),
      ...properties(0x18, 0, 0, 0, 1, 0x18, 0, 0, 0, 1),
      ...text("w"),
      0,
      0
    ),
    "server"
  ]
]

const propertyErrors: ReadonlyArray<Malformed> = [
  {
    title: "rejects an unknown property",
    kind: "property-unknown",
    reasonCode: 0x81,
    samples: [0x00, 0x04, 0x0a, 0x14, 0x1b, 0x20, 0x2b, 0x7f, 0x80, 0xff].map((id): Sample => [
      "client",
      5,
      publish5(id, 0)
    ])
  },
  {
    title: "rejects a property that the packet must not have",
    kind: "property-not-allowed",
    reasonCode: 0x81,
    samples: [
      ["client", 5, publish5(0x11, 0, 0, 0, 1)],
      ["client", 5, publish5(0x1f, ...text("r"))],
      ["client", 5, connack5(0x23, 0, 1)],
      ["client", 5, connack5(0x17, 1)],
      ["client", 5, frame(0x40, 0, 1, 0, ...properties(0x01, 1))],
      ["client", 5, frame(0x90, 0, 1, ...properties(0x0b, 1), 0)],
      ["client", 5, frame(0xe0, 0, ...properties(0x15, ...text("m")))],
      ["client", 5, frame(0xf0, 0x18, ...properties(0x21, 0, 1))],
      ["server", 5, connect5(0x24, 1)],
      ["server", 5, connect5(0x18, 0, 0, 0, 1)],
      ["server", 5, frame(0x82, 0, 1, ...properties(0x23, 0, 1), ...text("a"), 0)],
      ["server", 5, frame(0xa2, 0, 1, ...properties(0x0b, 1), ...text("a"))],
      [
        "server",
        5,
        frame(0x10, ...text("MQTT"), 5, 6, 0, 0, 0, ...text("c"), ...properties(0x23, 0, 1), ...text("w"), 0, 0)
      ]
    ]
  },
  {
    title: "rejects a receive maximum of 0",
    kind: "property-value",
    reasonCode: 0x82,
    samples: [["client", 5, connack5(0x21, 0, 0)], ["server", 5, connect5(0x21, 0, 0)]]
  },
  {
    title: "rejects a maximum packet size of 0",
    kind: "property-value",
    reasonCode: 0x82,
    samples: [["client", 5, connack5(0x27, 0, 0, 0, 0)], ["server", 5, connect5(0x27, 0, 0, 0, 0)]]
  },
  {
    title: "rejects a subscription identifier of 0",
    kind: "property-value",
    reasonCode: 0x82,
    samples: [
      ["client", 5, publish5(0x0b, 0)],
      ["client", 5, publish5(0x0b, 1, 0x0b, 0)],
      ["server", 5, frame(0x82, 0, 1, ...properties(0x0b, 0), ...text("a"), 0)]
    ]
  },
  {
    title: "rejects a boolean property that is neither 0 nor 1",
    kind: "property-value",
    reasonCode: 0x82,
    samples: [
      ["client", 5, publish5(0x01, 2)],
      ...[0x25, 0x28, 0x29, 0x2a].map((id): Sample => ["client", 5, connack5(id, 2)]),
      ...[0x17, 0x19].map((id): Sample => ["server", 5, connect5(id, 255)])
    ]
  },
  {
    title: "rejects a maximum QoS of 2",
    kind: "property-value",
    reasonCode: 0x82,
    samples: [["client", 5, connack5(0x24, 2)]]
  },
  {
    title: "rejects authentication data without an authentication method in CONNECT",
    kind: "authentication-data",
    reasonCode: 0x82,
    samples: [["server", 5, connect5(0x16, ...text("d"))]]
  },
  {
    title: "rejects an AUTH without an authentication method",
    kind: "authentication-method",
    reasonCode: 0x82,
    samples: [["client", 5, frame(0xf0, 0x18, 0)], ["client", 5, frame(0xf0, 0, ...properties(0x1f, ...text("r")))], [
      "server",
      5,
      frame(0xf0, 0x19, ...properties(0x1f, ...text("r")))
    ]]
  },
  {
    title: "rejects a session expiry interval in a DISCONNECT from the server [MQTT5-3.14.2-2]",
    kind: "session-expiry",
    reasonCode: 0x82,
    samples: [["client", 5, frame(0xe0, 0x8b, ...properties(0x11, 0, 0, 0, 1))]]
  }
]

const connects: ReadonlyArray<Malformed> = [
  {
    title: "rejects a CONNECT with another protocol name, so that a server can answer 0x84",
    kind: "protocol-name",
    reasonCode: 0x84,
    samples: [
      ["server", undefined, frame(0x10, ...text("MQIsdp"), 3, 2, 0, 60, ...text("c"))],
      ["server", undefined, frame(0x10, ...text("MQTt"), 4, 2, 0, 60, ...text("c"))],
      ["server", 5, frame(0x10, ...text("mqtt"), 5, 2, 0, 60, 0, ...text("c"))]
    ]
  },
  {
    title: "rejects a CONNECT with another protocol version, so that a server can answer 0x84",
    kind: "protocol-version",
    reasonCode: 0x84,
    samples: [
      ...[0, 3, 6, 132].map((level): Sample => ["server", undefined, connect(level, 2, ...text("c"))]),
      ["server", 5, connect(4, 2, ...text("c"))],
      ["server", 4, connect(5, 2, ...text("c"))]
    ]
  },
  {
    title: "rejects a CONNECT whose reserved flag is set [MQTT3-3.1.2-3] [MQTT5-3.1.2-3]",
    kind: "connect-flags",
    reasonCode: 0x81,
    samples: [
      ["server", undefined, connect(4, 3, ...text("c"))],
      ["server", undefined, connect(5, 3, ...text("c"))]
    ]
  },
  {
    title: "rejects a CONNECT with will QoS 3 [MQTT3-3.1.2-14] [MQTT5-3.1.2-12]",
    kind: "will-flags",
    reasonCode: 0x81,
    samples: [
      ["server", undefined, connect(4, 0x1e, ...text("c"), ...text("w"), 0, 0)],
      ["server", undefined, connect(5, 0x1e, ...text("c"), 0, ...text("w"), 0, 0)]
    ]
  },
  {
    title:
      "rejects a CONNECT with will QoS or will retain and no will [MQTT3-3.1.2-13] [MQTT3-3.1.2-15] [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]",
    kind: "will-flags",
    reasonCode: 0x81,
    samples: [0x0a, 0x12, 0x1a, 0x22].flatMap((flags): Array<Sample> => [
      ["server", undefined, connect(4, flags, ...text("c"))],
      ["server", undefined, connect(5, flags, ...text("c"))]
    ])
  },
  {
    title: "rejects a password without a user name on 3.1.1 [MQTT3-3.1.2-22]",
    kind: "password-without-username",
    reasonCode: 0x81,
    samples: [["server", undefined, connect(4, 0x42, ...text("c"), ...text("secret"))]]
  },
  {
    title: "rejects an empty client identifier without Clean Session on 3.1.1 [MQTT3-3.1.3-7]",
    kind: "client-identifier",
    reasonCode: 0x85,
    samples: [["server", undefined, connect(4, 0, 0, 0)]]
  },
  {
    title: "rejects a CONNACK with reserved flag bits [MQTT5-3.2.2-1]",
    kind: "connack-flags",
    reasonCode: 0x81,
    samples: [2, 3, 0x80, 0xfe].flatMap((flags) => both("client", frame(0x20, flags, 0), frame(0x20, flags, 0, 0)))
  },
  {
    title: "rejects a CONNACK that refuses the connection and says session present [MQTT3-3.2.2-4] [MQTT5-3.2.2-6]",
    kind: "session-present",
    reasonCode: 0x82,
    samples: both("client", frame(0x20, 1, 5), frame(0x20, 1, 0x87, 0))
  },
  {
    title: "rejects a CONNACK with a reason code that its version does not define [MQTT5-3.2.2-8]",
    kind: "reason-code",
    reasonCode: 0x82,
    samples: [
      ...[6, 0x80, 255].map((code): Sample => ["client", 4, frame(0x20, 0, code)]),
      ...[1, 5, 0x10, 0x7f, 0x8b, 0x93, 0xa0, 255].map((code): Sample => ["client", 5, frame(0x20, 0, code, 0)])
    ]
  }
]

const subscribes: ReadonlyArray<Malformed> = [
  {
    title: "refuses a SUBSCRIBE without a topic filter [MQTT3-3.8.3-3] [MQTT5-3.8.3-2]",
    kind: "empty-payload",
    reasonCode: 0x82,
    samples: both("server", frame(0x82, 0, 1), frame(0x82, 0, 1, 0))
  },
  {
    title: "refuses an UNSUBSCRIBE without a topic filter [MQTT3-3.10.3-2] [MQTT5-3.10.3-2]",
    kind: "empty-payload",
    reasonCode: 0x82,
    samples: both("server", frame(0xa2, 0, 1), frame(0xa2, 0, 1, 0))
  },
  {
    title: "rejects a SUBACK and an UNSUBACK without a reason code",
    kind: "empty-payload",
    reasonCode: 0x82,
    samples: [...both("client", frame(0x90, 0, 1), frame(0x90, 0, 1, 0)), ["client", 5, frame(0xb0, 0, 1, 0)]]
  },
  {
    title: "rejects subscription options with reserved bits set [MQTT3-3.8.3-4] [MQTT5-3.8.3-5]",
    kind: "subscription-options",
    reasonCode: 0x81,
    samples: [
      ...[0x04, 0x08, 0x10, 0x20, 0x40, 0x80].map((options): Sample => [
        "server",
        4,
        frame(0x82, 0, 1, ...text("a"), options)
      ]),
      ...[0x40, 0x80, 0xc0].map((options): Sample => ["server", 5, frame(0x82, 0, 1, 0, ...text("a"), options)])
    ]
  },
  {
    title: "rejects a SUBSCRIBE with QoS 3 [MQTT3-3.8.3-4]",
    kind: "subscription-qos",
    reasonCode: 0x82,
    samples: both("server", frame(0x82, 0, 1, ...text("a"), 3), frame(0x82, 0, 1, 0, ...text("a"), 3))
  },
  {
    title: "rejects a SUBSCRIBE with retain handling 3",
    kind: "retain-handling",
    reasonCode: 0x82,
    samples: [["server", 5, frame(0x82, 0, 1, 0, ...text("a"), 0x30)]]
  },
  {
    title: "rejects a SUBSCRIBE with no local on a shared subscription [MQTT5-3.8.3-4]",
    kind: "shared-no-local",
    reasonCode: 0x82,
    samples: [["server", 5, frame(0x82, 0, 1, 0, ...text("$share/group/a"), 0x04)]]
  },
  {
    title:
      "rejects a topic filter that is not one [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.3-1] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2] [MQTT5-4.7.3-1]",
    kind: "topic-filter",
    reasonCode: 0x81,
    samples: ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c"].flatMap((filter) =>
      both("server", frame(0x82, 0, 1, ...text(filter), 0), frame(0x82, 0, 1, 0, ...text(filter), 0)).concat(
        both("server", frame(0xa2, 0, 1, ...text(filter)), frame(0xa2, 0, 1, 0, ...text(filter)))
      )
    )
  },
  {
    title: "rejects a shared subscription without a name or a filter [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]",
    kind: "topic-filter",
    reasonCode: 0x81,
    samples: ["$share/", "$share//a", "$share/group", "$share/group/", "$share/a+/b", "$share/#/b"].map(
      (filter): Sample => ["server", 5, frame(0x82, 0, 1, 0, ...text(filter), 0)]
    )
  }
]

describe("malformed packets", () => {
  for (const one of [...publishes, ...propertyErrors, ...connects, ...subscribes]) {
    it(one.title, () => assertRejected(one))
  }

  it.each(oneOfEach)("accepts the %s once and rejects it twice", (_name, once, twice, role) => {
    assert.isUndefined(decode(once, role, 5).violation)
    assert.deepInclude(decode(twice, role, 5).violation, { kind: "property-duplicate", reasonCode: 0x82 })
  })
})
