/**
 * Packets of every type in both versions beside their bytes, written by hand from the specification.
 */
import type * as Packet from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import type { Role } from "./support.ts"

const { none } = Properties

export const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value)

export const connect: Packet.Connect = {
  _tag: "Connect",
  protocolVersion: 4,
  clientId: "c1",
  cleanStart: true,
  keepAlive: 60,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: none
}

export const publish: Packet.Publish = {
  _tag: "Publish",
  topic: "a/b",
  payload: utf8("hi"),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: none
}

export const will: Packet.Will = { topic: "w", payload: utf8("bye"), qos: 0, retain: false, properties: none }

export interface Golden {
  readonly name: string
  readonly version: ProtocolVersion
  readonly from: Role
  readonly packet: Packet.Packet
  /** Written by hand from the specification. */
  readonly bytes: string
}

const golden4: ReadonlyArray<Omit<Golden, "version">> = [
  {
    name: "CONNECT",
    from: "client",
    packet: connect,
    bytes: "10 0e  00 04 4d 51 54 54  04  02  00 3c  00 02 63 31"
  },
  {
    name: "CONNECT without Clean Session",
    from: "client",
    packet: { ...connect, cleanStart: false, keepAlive: 65_535 },
    bytes: "10 0e  00 04 4d 51 54 54  04  00  ff ff  00 02 63 31"
  },
  {
    name: "CONNECT with everything",
    from: "client",
    packet: {
      ...connect,
      username: "u",
      password: Uint8Array.of(0, 255),
      will: { ...will, qos: 2, retain: true }
    },
    bytes: "10 1d  00 04 4d 51 54 54  04  f6  00 3c  00 02 63 31  00 01 77  00 03 62 79 65  00 01 75  00 02 00 ff"
  },
  {
    name: "CONNACK",
    from: "server",
    packet: { _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: none },
    bytes: "20 02  01 00"
  },
  {
    name: "CONNACK that refuses",
    from: "server",
    packet: { _tag: "Connack", sessionPresent: false, reasonCode: 5, properties: none },
    bytes: "20 02  00 05"
  },
  { name: "PUBLISH QoS 0", from: "server", packet: publish, bytes: "30 07  00 03 61 2f 62  68 69" },
  {
    name: "PUBLISH QoS 1, retained",
    from: "client",
    packet: { ...publish, qos: 1, retain: true, packetIdentifier: 10 },
    bytes: "33 09  00 03 61 2f 62  00 0a  68 69"
  },
  {
    name: "PUBLISH QoS 2, duplicate, without payload",
    from: "server",
    packet: { ...publish, qos: 2, dup: true, packetIdentifier: 65_535, payload: new Uint8Array(0) },
    bytes: "3c 07  00 03 61 2f 62  ff ff"
  },
  {
    name: "PUBACK",
    from: "server",
    packet: { _tag: "Puback", packetIdentifier: 258, reasonCode: 0, properties: none },
    bytes: "40 02  01 02"
  },
  {
    name: "PUBREC",
    from: "client",
    packet: { _tag: "Pubrec", packetIdentifier: 258, reasonCode: 0, properties: none },
    bytes: "50 02  01 02"
  },
  {
    name: "PUBREL",
    from: "server",
    packet: { _tag: "Pubrel", packetIdentifier: 258, reasonCode: 0, properties: none },
    bytes: "62 02  01 02"
  },
  {
    name: "PUBCOMP",
    from: "client",
    packet: { _tag: "Pubcomp", packetIdentifier: 258, reasonCode: 0, properties: none },
    bytes: "70 02  01 02"
  },
  {
    name: "SUBSCRIBE",
    from: "client",
    packet: {
      _tag: "Subscribe",
      packetIdentifier: 1,
      filters: [
        { filter: "a/+", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        { filter: "#", qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }
      ],
      properties: none
    },
    bytes: "82 0c  00 01  00 03 61 2f 2b 01  00 01 23 02"
  },
  {
    name: "SUBACK",
    from: "server",
    packet: { _tag: "Suback", packetIdentifier: 1, reasonCodes: [0, 1, 2, 0x80], properties: none },
    bytes: "90 06  00 01  00 01 02 80"
  },
  {
    name: "UNSUBSCRIBE",
    from: "client",
    packet: { _tag: "Unsubscribe", packetIdentifier: 2, filters: ["a/+", "#"], properties: none },
    bytes: "a2 0a  00 02  00 03 61 2f 2b  00 01 23"
  },
  {
    name: "UNSUBACK",
    from: "server",
    packet: { _tag: "Unsuback", packetIdentifier: 2, reasonCodes: [], properties: none },
    bytes: "b0 02  00 02"
  },
  { name: "PINGREQ", from: "client", packet: { _tag: "Pingreq" }, bytes: "c0 00" },
  { name: "PINGRESP", from: "server", packet: { _tag: "Pingresp" }, bytes: "d0 00" },
  {
    name: "DISCONNECT",
    from: "client",
    packet: { _tag: "Disconnect", reasonCode: 0, properties: none },
    bytes: "e0 00"
  }
]

const golden5: ReadonlyArray<Omit<Golden, "version">> = [
  {
    name: "CONNECT",
    from: "client",
    packet: { ...connect, protocolVersion: 5 },
    bytes: "10 0f  00 04 4d 51 54 54  05  02  00 3c  00  00 02 63 31"
  },
  {
    name: "CONNECT with every property and a will with every property",
    from: "client",
    packet: {
      ...connect,
      protocolVersion: 5,
      cleanStart: false,
      clientId: "",
      password: utf8("p"),
      properties: {
        sessionExpiryInterval: 0xffff_ffff,
        receiveMaximum: 20,
        maximumPacketSize: 0x0001_0203,
        topicAliasMaximum: 10,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: [["a", "1"], ["a", "1"]],
        authenticationMethod: "m",
        authenticationData: Uint8Array.of(1, 2)
      },
      will: {
        ...will,
        qos: 1,
        properties: {
          willDelayInterval: 5,
          payloadFormatIndicator: 1,
          messageExpiryInterval: 6,
          contentType: "t",
          responseTopic: "r",
          correlationData: Uint8Array.of(9),
          userProperties: [["b", ""]]
        }
      }
    },
    bytes: `10 62  00 04 4d 51 54 54  05  4c  00 3c
      2b  11 ff ff ff ff  21 00 14  27 00 01 02 03  22 00 0a  19 01  17 00
          26 00 01 61 00 01 31  26 00 01 61 00 01 31  15 00 01 6d  16 00 02 01 02
      00 00
      1e  18 00 00 00 05  01 01  02 00 00 00 06  03 00 01 74  08 00 01 72  09 00 01 09  26 00 01 62 00 00
      00 01 77  00 03 62 79 65
      00 01 70`
  },
  {
    name: "CONNACK",
    from: "server",
    packet: { _tag: "Connack", sessionPresent: false, reasonCode: 0x87, properties: none },
    bytes: "20 03  00 87 00"
  },
  {
    name: "CONNACK with every property",
    from: "server",
    packet: {
      _tag: "Connack",
      sessionPresent: true,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 1,
        receiveMaximum: 2,
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 256,
        assignedClientIdentifier: "i",
        topicAliasMaximum: 3,
        reasonString: "r",
        userProperties: [["k", "v"]],
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: true,
        serverKeepAlive: 30,
        responseInformation: "x",
        serverReference: "s",
        authenticationMethod: "m",
        authenticationData: Uint8Array.of(7)
      }
    },
    bytes: `20 3f  01 00
      3c  11 00 00 00 01  21 00 02  24 01  25 00  27 00 00 01 00  12 00 01 69  22 00 03  1f 00 01 72
          26 00 01 6b 00 01 76  28 01  29 00  2a 01  13 00 1e  1a 00 01 78  1c 00 01 73  15 00 01 6d  16 00 01 07`
  },
  { name: "PUBLISH QoS 0", from: "client", packet: publish, bytes: "30 08  00 03 61 2f 62  00  68 69" },
  {
    name: "PUBLISH with every property",
    from: "server",
    packet: {
      ...publish,
      qos: 1,
      packetIdentifier: 10,
      properties: {
        payloadFormatIndicator: 0,
        messageExpiryInterval: 60,
        topicAlias: 4,
        responseTopic: "r/t",
        correlationData: Uint8Array.of(0, 1),
        userProperties: [["z", "1"], ["a", "2"], ["z", "1"]],
        subscriptionIdentifiers: [1, 128, 268_435_455],
        contentType: "é"
      }
    },
    bytes: `32 43  00 03 61 2f 62  00 0a
      39  01 00  02 00 00 00 3c  23 00 04  08 00 03 72 2f 74  09 00 02 00 01
          26 00 01 7a 00 01 31  26 00 01 61 00 01 32  26 00 01 7a 00 01 31
          0b 01  0b 80 01  0b ff ff ff 7f  03 00 02 c3 a9
      68 69`
  },
  {
    name: "PUBLISH with a topic alias in place of the topic name",
    from: "client",
    packet: { ...publish, topic: "", properties: { topicAlias: 65_535 } },
    bytes: "30 08  00 00  03 23 ff ff  68 69"
  },
  {
    name: "PUBACK",
    from: "client",
    packet: { _tag: "Puback", packetIdentifier: 258, reasonCode: 0, properties: none },
    bytes: "40 02  01 02"
  },
  {
    name: "PUBACK with a reason code",
    from: "server",
    packet: { _tag: "Puback", packetIdentifier: 258, reasonCode: 0x10, properties: none },
    bytes: "40 04  01 02  10  00"
  },
  {
    name: "PUBREC with properties",
    from: "server",
    packet: {
      _tag: "Pubrec",
      packetIdentifier: 258,
      reasonCode: 0x97,
      properties: { reasonString: "no", userProperties: [["a", "b"]] }
    },
    bytes: "50 10  01 02  97  0c 1f 00 02 6e 6f  26 00 01 61 00 01 62"
  },
  {
    name: "PUBREL with a reason code",
    from: "client",
    packet: { _tag: "Pubrel", packetIdentifier: 258, reasonCode: 0x92, properties: none },
    bytes: "62 04  01 02  92  00"
  },
  {
    name: "PUBCOMP with properties and reason code 0",
    from: "client",
    packet: { _tag: "Pubcomp", packetIdentifier: 258, reasonCode: 0, properties: { reasonString: "" } },
    bytes: "70 07  01 02  00  03 1f 00 00"
  },
  {
    name: "SUBSCRIBE",
    from: "client",
    packet: {
      _tag: "Subscribe",
      packetIdentifier: 1,
      filters: [
        { filter: "a", qos: 0, noLocal: true, retainAsPublished: false, retainHandling: 0 },
        { filter: "b", qos: 1, noLocal: false, retainAsPublished: true, retainHandling: 1 },
        { filter: "$share/g/c", qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 2 }
      ],
      properties: { subscriptionIdentifier: 300, userProperties: [["a", "b"]] }
    },
    bytes: `82 22  00 01  0a 0b ac 02 26 00 01 61 00 01 62
      00 01 61 04  00 01 62 19  00 0a 24 73 68 61 72 65 2f 67 2f 63 2a`
  },
  {
    name: "SUBACK",
    from: "server",
    packet: { _tag: "Suback", packetIdentifier: 1, reasonCodes: [2, 0x9e], properties: { reasonString: "r" } },
    bytes: "90 09  00 01  04 1f 00 01 72  02 9e"
  },
  {
    name: "UNSUBSCRIBE",
    from: "client",
    packet: { _tag: "Unsubscribe", packetIdentifier: 2, filters: ["a"], properties: { userProperties: [["a", "b"]] } },
    bytes: "a2 0d  00 02  07 26 00 01 61 00 01 62  00 01 61"
  },
  {
    name: "UNSUBACK",
    from: "server",
    packet: { _tag: "Unsuback", packetIdentifier: 2, reasonCodes: [0, 0x11], properties: none },
    bytes: "b0 05  00 02  00  00 11"
  },
  { name: "PINGREQ", from: "client", packet: { _tag: "Pingreq" }, bytes: "c0 00" },
  { name: "PINGRESP", from: "server", packet: { _tag: "Pingresp" }, bytes: "d0 00" },
  {
    name: "DISCONNECT",
    from: "client",
    packet: { _tag: "Disconnect", reasonCode: 0, properties: none },
    bytes: "e0 00"
  },
  {
    name: "DISCONNECT with a reason code",
    from: "server",
    packet: { _tag: "Disconnect", reasonCode: 0x8e, properties: none },
    bytes: "e0 02  8e 00"
  },
  {
    name: "DISCONNECT of a client with every property",
    from: "client",
    packet: {
      _tag: "Disconnect",
      reasonCode: 4,
      properties: { sessionExpiryInterval: 0, reasonString: "r", userProperties: [["a", "b"]], serverReference: "s" }
    },
    bytes: "e0 16  04  14 11 00 00 00 00  1f 00 01 72  26 00 01 61 00 01 62  1c 00 01 73"
  },
  {
    name: "AUTH of success without properties",
    from: "server",
    packet: { _tag: "Auth", reasonCode: 0, properties: none },
    bytes: "f0 02  00 00"
  },
  {
    name: "AUTH with every property",
    from: "client",
    packet: {
      _tag: "Auth",
      reasonCode: 0x18,
      properties: {
        authenticationMethod: "m",
        authenticationData: Uint8Array.of(),
        reasonString: "r",
        userProperties: [["a", "b"]]
      }
    },
    bytes: "f0 14  18  12 15 00 01 6d  16 00 00  1f 00 01 72  26 00 01 61 00 01 62"
  }
]

export const goldens: Array<Golden> = []
for (const golden of golden4) {
  goldens.push({ ...golden, version: 4 })
}
for (const golden of golden5) {
  goldens.push({ ...golden, version: 5 })
}
