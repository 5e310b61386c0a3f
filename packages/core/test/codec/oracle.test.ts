/**
 * mqtt-packet as an oracle: it must read what we write and we must read what it writes. Where it is wrong, a test says
 * so.
 */
import { assert, describe, it } from "@effect/vitest"
import mqttPacket from "mqtt-packet"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import type * as Packet from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"
import { arbitraryConnect, arbitraryPacket } from "./arbitrary.ts"
import { concat, decode, frame, hex, Random, type Role, text } from "./support.ts"

const cases = 2000

// Its packets differ by type, by version and between reading and writing: plain records say it best.
type Theirs = { readonly [key: string]: unknown }

const bytesOf = (value: unknown): Uint8Array => new Uint8Array(value as Uint8Array)

const namesOfTheirs: Readonly<Record<Packet.Tag, string>> = {
  Connect: "connect",
  Connack: "connack",
  Publish: "publish",
  Puback: "puback",
  Pubrec: "pubrec",
  Pubrel: "pubrel",
  Pubcomp: "pubcomp",
  Subscribe: "subscribe",
  Suback: "suback",
  Unsubscribe: "unsubscribe",
  Unsuback: "unsuback",
  Pingreq: "pingreq",
  Pingresp: "pingresp",
  Disconnect: "disconnect",
  Auth: "auth"
}

const namesOfOurs = new Map(Object.entries(namesOfTheirs).map(([ours, theirs]) => [theirs, ours as Packet.Tag]))

const propertiesToTheirs = (properties: {}): Theirs => {
  const result: { [key: string]: unknown } = {}
  for (const [name, value] of Object.entries(properties)) {
    if (name === "userProperties") {
      result[name] = Object.fromEntries(value as ReadonlyArray<Properties.UserProperty>)
    } else if (name === "subscriptionIdentifiers") {
      const identifiers = value as ReadonlyArray<number>
      result["subscriptionIdentifier"] = identifiers.length === 1 ? identifiers[0] : identifiers
    } else if (name === "payloadFormatIndicator") {
      result[name] = value === 1
    } else {
      result[name] = value instanceof Uint8Array ? Buffer.from(value) : value
    }
  }
  return result
}

const propertiesToOurs = (properties: unknown, inPublish: boolean): {} => {
  if (properties === undefined) {
    return Properties.none
  }
  const result: { [key: string]: unknown } = {}
  for (const [name, value] of Object.entries(properties as Theirs)) {
    if (name === "userProperties") {
      result[name] = Object.entries(value as Theirs)
    } else if (name === "subscriptionIdentifier" && inPublish) {
      result["subscriptionIdentifiers"] = Array.isArray(value) ? value : [value]
    } else if (name === "payloadFormatIndicator") {
      result[name] = value === true ? 1 : 0
    } else {
      result[name] = value instanceof Uint8Array ? bytesOf(value) : value
    }
  }
  return result
}

const toTheirs = (packet: Packet.Packet, version: ProtocolVersion): Theirs => {
  const cmd = namesOfTheirs[packet._tag]
  const base = "properties" in packet && version === 5
    ? { cmd, properties: propertiesToTheirs(packet.properties) }
    : { cmd }
  switch (packet._tag) {
    case "Connect":
      return {
        ...base,
        protocolId: "MQTT",
        protocolVersion: version,
        clean: packet.cleanStart,
        clientId: packet.clientId,
        keepalive: packet.keepAlive,
        ...(packet.username === undefined ? {} : { username: packet.username }),
        ...(packet.password === undefined ? {} : { password: Buffer.from(packet.password) }),
        ...(packet.will === undefined
          ? {}
          : {
            will: {
              topic: packet.will.topic,
              payload: Buffer.from(packet.will.payload),
              qos: packet.will.qos,
              retain: packet.will.retain,
              ...(version === 5 ? { properties: propertiesToTheirs(packet.will.properties) } : {})
            }
          })
      }
    case "Connack":
      return {
        ...base,
        sessionPresent: packet.sessionPresent,
        [version === 5 ? "reasonCode" : "returnCode"]: packet.reasonCode
      }
    case "Publish":
      return {
        ...base,
        topic: packet.topic,
        payload: Buffer.from(packet.payload),
        qos: packet.qos,
        retain: packet.retain,
        dup: packet.dup,
        messageId: packet.packetIdentifier
      }
    case "Subscribe":
      return {
        ...base,
        messageId: packet.packetIdentifier,
        subscriptions: packet.filters.map(({ filter, noLocal, qos, retainAsPublished, retainHandling }) => ({
          topic: filter,
          qos,
          ...(version === 5 ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {})
        }))
      }
    case "Unsubscribe":
      return { ...base, messageId: packet.packetIdentifier, unsubscriptions: packet.filters }
    case "Suback":
    case "Unsuback":
      return { ...base, messageId: packet.packetIdentifier, granted: packet.reasonCodes }
    case "Pingreq":
    case "Pingresp":
      return base
    case "Disconnect":
    case "Auth":
      return { ...base, reasonCode: packet.reasonCode }
    default:
      return { ...base, messageId: packet.packetIdentifier, reasonCode: packet.reasonCode }
  }
}

const toOurs = (theirs: Theirs, version: ProtocolVersion): Packet.Packet => {
  const _tag = namesOfOurs.get(theirs["cmd"] as string)
  const properties = propertiesToOurs(theirs["properties"], _tag === "Publish")
  const packetIdentifier = theirs["messageId"] as number
  switch (_tag) {
    case "Connect": {
      const will = theirs["will"] as Theirs | undefined
      return {
        _tag,
        protocolVersion: theirs["protocolVersion"] as ProtocolVersion,
        clientId: theirs["clientId"] as string,
        cleanStart: theirs["clean"] as boolean,
        keepAlive: theirs["keepalive"] as number,
        username: theirs["username"] as string | undefined,
        password: theirs["password"] === undefined ? undefined : bytesOf(theirs["password"]),
        will: will === undefined
          ? undefined
          : {
            topic: will["topic"] as string,
            payload: bytesOf(will["payload"]),
            qos: will["qos"] as QoS,
            retain: will["retain"] as boolean,
            properties: propertiesToOurs(will["properties"], false)
          },
        properties
      }
    }
    case "Connack":
      return {
        _tag,
        sessionPresent: theirs["sessionPresent"] as boolean,
        reasonCode: theirs[version === 5 ? "reasonCode" : "returnCode"] as number,
        properties
      }
    case "Publish":
      return {
        _tag,
        topic: theirs["topic"] as string,
        payload: bytesOf(theirs["payload"]),
        qos: theirs["qos"] as QoS,
        retain: theirs["retain"] as boolean,
        dup: theirs["dup"] as boolean,
        packetIdentifier: packetIdentifier ?? 0,
        properties
      }
    case "Subscribe":
      return {
        _tag,
        packetIdentifier,
        filters: (theirs["subscriptions"] as ReadonlyArray<Theirs>).map((one) => ({
          filter: one["topic"] as string,
          qos: one["qos"] as QoS,
          noLocal: one["nl"] === true,
          retainAsPublished: one["rap"] === true,
          retainHandling: (one["rh"] ?? 0) as 0 | 1 | 2
        })),
        properties
      }
    case "Unsubscribe":
      return { _tag, packetIdentifier, filters: theirs["unsubscriptions"] as Array<string>, properties }
    case "Suback":
    case "Unsuback":
      return { _tag, packetIdentifier, reasonCodes: (theirs["granted"] ?? []) as Array<number>, properties }
    case "Pingreq":
    case "Pingresp":
      return { _tag }
    case "Disconnect":
    case "Auth":
      return { _tag, reasonCode: (theirs["reasonCode"] ?? 0) as number, properties }
    case "Puback":
    case "Pubrec":
    case "Pubrel":
    case "Pubcomp":
      return { _tag, packetIdentifier, reasonCode: (theirs["reasonCode"] ?? 0) as number, properties }
    default:
      return assert.fail(`unknown packet ${String(theirs["cmd"])}`)
  }
}

interface Parsed {
  readonly packets: Array<Theirs>
  readonly error: unknown
}

const parse = (bytes: Uint8Array, version: ProtocolVersion): Parsed => {
  const parser = mqttPacket.parser({ protocolVersion: version })
  const packets: Array<Theirs> = []
  let error: unknown
  parser.on("packet", (packet) => packets.push(packet as unknown as Theirs))
  parser.on("error", (cause) => error = cause)
  parser.parse(Buffer.from(bytes))
  return { packets, error }
}

const generate = (packet: Packet.Packet, version: ProtocolVersion): Uint8Array =>
  new Uint8Array(
    mqttPacket.generate(toTheirs(packet, version) as unknown as mqttPacket.Packet, { protocolVersion: version })
  )

// User properties are an object there, so that names in another order than they were sent, names that repeat and names
// like array indices do not survive it; an empty value is lost when the name comes again.
const speakable = (properties: {}): {} => {
  const { userProperties, ...rest } = properties as Properties.PublishProperties
  return userProperties === undefined
    ? properties
    : { ...rest, userProperties: userProperties.map(([name, value], i) => [`${i}-${name}`, value]) }
}

const arbitrary = (random: Random, version: ProtocolVersion, role: Role): Packet.Packet => {
  const packet = role === "server" && random.chance(0.2)
    ? arbitraryConnect(random, version)
    : arbitraryPacket(random, version, role)
  if (packet._tag === "Connect") {
    const username = packet.username ?? (packet.password === undefined ? undefined : "user")
    return {
      ...packet,
      // It refuses both on MQTT 5, which allows a password without a user name (3.1.2.9) and lets the server assign a
      // client identifier whatever Clean Start is (3.1.3.1).
      username,
      clientId: packet.clientId === "" ? "c" : packet.clientId,
      will: packet.will === undefined
        ? undefined
        : { ...packet.will, properties: speakable(packet.will.properties) },
      properties: speakable(packet.properties)
    }
  }
  return "properties" in packet ? { ...packet, properties: speakable(packet.properties) } as Packet.Packet : packet
}

describe("mqtt-packet as an oracle", () => {
  for (const version of [4, 5] as const) {
    for (const role of ["client", "server"] as const) {
      const name = `${version === 4 ? "3.1.1" : "5"}, read by a ${role}`

      it(`reads what we write (${name})`, () => {
        for (let seed = 1; seed <= cases; seed++) {
          const packet = arbitrary(new Random(seed), version, role)
          const { error, packets } = parse(encode(packet, version), version)
          assert.isUndefined(error, `seed ${seed}`)
          assert.deepStrictEqual(packets.map((theirs) => toOurs(theirs, version)), [packet], `seed ${seed}`)
        }
      })

      it(`writes what we read (${name})`, () => {
        for (let seed = 1; seed <= cases; seed++) {
          const packet = arbitrary(new Random(seed), version, role)
          const decoded = decode(generate(packet, version), role, version)
          assert.deepStrictEqual(decoded, { packets: [packet], violation: undefined }, `seed ${seed}`)
        }
      })
    }
  }

  it("reads a batch of ours", () => {
    const random = new Random(11)
    const packets = Array.from({ length: 200 }, () => arbitrary(random, 5, "client"))
    const encoder = makeEncoder(5)
    for (const packet of packets) {
      encoder.write(packet)
    }
    const parsed = parse(concat(...encoder.take()), 5).packets
    assert.deepStrictEqual(parsed.map((theirs) => toOurs(theirs, 5)), packets)
  })

  const accepted: ReadonlyArray<readonly [why: string, version: ProtocolVersion, bytes: Uint8Array]> = [
    ["ill-formed UTF-8, which it replaces by U+FFFD (1.5.4-1)", 4, frame(0x30, 0, 1, 0xff)],
    ["U+0000 in a string (1.5.4-2)", 4, frame(0x30, ...text("a\0"))],
    ["a longer variable byte integer than needed (1.5.5-1)", 5, hex("d0 80 00")],
    ["packet identifier 0 (2.2.1-3)", 4, frame(0x32, ...text("a"), 0, 0)],
    ["a PUBACK of one byte", 4, frame(0x40, 0)],
    ["bytes behind a PUBACK of 3.1.1", 4, frame(0x40, 0, 1, 7)],
    ["bytes in a PINGRESP", 4, frame(0xd0, 1)],
    ["DUP with QoS 0 (3.3.1-2)", 4, frame(0x38, ...text("a"))],
    ["a wildcard in a topic name (3.3.2-2)", 4, frame(0x30, ...text("a/#"))],
    ["an empty topic name (4.7.3-1)", 4, frame(0x30, 0, 0)],
    ["topic alias 0 (3.3.2-8)", 5, frame(0x30, 0, 0, 3, 0x23, 0, 0)],
    ["a property that appears twice", 5, frame(0x30, ...text("a"), 4, 0x01, 1, 0x01, 1)],
    ["a property that the packet must not have", 5, frame(0x30, ...text("a"), 3, 0x21, 0, 1)],
    ["session present in a refusal (3.2.2-6)", 5, frame(0x20, 1, 0x87, 0)],
    ["an unknown return code in CONNACK", 4, frame(0x20, 0, 77)]
  ]

  it.each(accepted)("is wrong to accept %s", (_why, version, bytes) => {
    assert.isUndefined(parse(bytes, version).error)
    assert.isDefined(decode(bytes, "client", version).violation)
  })

  it("is wrong to refuse a DISCONNECT with reason code 0x8c, which MQTT 5 defines (section 2.4)", () => {
    const bytes = hex("e0 02 8c 00")
    assert.isDefined(parse(bytes, 5).error)
    assert.isUndefined(decode(bytes, "client", 5).violation)
  })

  it("is wrong to refuse an empty AUTH, which means success (MQTT 3.15.2.1)", () => {
    assert.isDefined(parse(hex("f0 00"), 5).error)
    assert.isUndefined(decode(hex("f0 00"), "client", 5).violation)
  })

  it("is wrong to refuse an empty client identifier without Clean Start and a password without a user name on MQTT 5", () => {
    const packet: Packet.Connect = {
      _tag: "Connect",
      protocolVersion: 5,
      clientId: "",
      cleanStart: false,
      keepAlive: 0,
      username: undefined,
      password: Uint8Array.of(1),
      will: undefined,
      properties: Properties.none
    }
    assert.throws(() => generate({ ...packet, password: undefined }, 5))
    assert.throws(() => generate({ ...packet, clientId: "c" }, 5))
    assert.deepStrictEqual(decode(encode(packet, 5), "server", 5).packets, [packet])
  })

  it("is wrong to lose the order of user properties", () => {
    const userProperties = [["b", "1"], ["a", "2"], ["b", "3"]] as const
    const packet: Packet.Puback = {
      _tag: "Puback",
      packetIdentifier: 1,
      reasonCode: 0,
      properties: { userProperties }
    }
    const bytes = encode(packet, 5)
    const properties = parse(bytes, 5).packets[0]["properties"] as Theirs
    assert.deepStrictEqual(Object.entries(properties["userProperties"] as Theirs), [["b", ["1", "3"]], ["a", "2"]])
    assert.deepStrictEqual(decode(bytes, "client", 5).packets, [packet])
  })
})
