/**
 * Arbitrary packets, all that the encoder accepts: every type, every property, every length from a random source that
 * can be repeated.
 */
import type * as Packet from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"
import type { Random, Role } from "./support.ts"

const characters = ["a", "b", "7", " ", "-", "é", "ß", "→", "漢", "\ufeff", "\u{1f600}", "\u0001", "\u007f", "\uffff"]

const words = ["temperature", "plant", "sensor-1", "a", "$SYS", "状態"]

const text = (random: Random, most: number): string => {
  const length = random.chance(0.02) ? random.int(0, 20 * most) : random.int(0, most)
  let value = ""
  for (let i = 0; i < length; i++) {
    value += random.pick(characters)
  }
  return value
}

const binary = (random: Random): Uint8Array =>
  random.bytes(random.chance(0.05) ? random.int(0, 700) : random.int(0, 12))

const level = (random: Random): string => random.chance(0.5) ? random.pick(words) : text(random, 6)

const topicName = (random: Random): string => {
  const levels = Array.from({ length: random.int(1, 5) }, () => level(random))
  const topic = levels.join("/")
  return topic === "" ? "/" : topic
}

const topicFilter = (random: Random): string => {
  const levels = Array.from({ length: random.int(1, 5) }, () => random.chance(0.3) ? "+" : level(random))
  if (random.chance(0.3)) {
    levels.push("#")
  }
  const filter = levels.join("/")
  return filter === "" || filter.startsWith("$share") ? "+" : filter
}

const twoBytes = (random: Random): number => random.pick([1, 255, 256, 65_535, random.int(1, 65_535)])

const fourBytes = (random: Random): number => random.pick([1, 65_536, 4_294_967_295, random.int(1, 4_294_967_295)])

const subscriptionIdentifier = (random: Random): number =>
  random.pick([1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])

const userProperties = (random: Random): Array<Properties.UserProperty> =>
  Array.from({ length: random.int(1, 4) }, () => [text(random, 8), text(random, 8)] as const)

const bit = (random: Random): 0 | 1 => random.chance(0.5) ? 1 : 0

/** Each property with some chance, in any order, as a peer may send them. */
const some = <A extends {}>(
  random: Random,
  makers: { readonly [K in keyof A]-?: () => Exclude<A[K], undefined> }
): A | {} => {
  if (random.chance(0.3)) {
    return Properties.none
  }
  const probability = random.pick([0.2, 0.5, 1])
  const chosen = Object.entries<() => unknown>(makers).filter(() => random.chance(probability))
  if (chosen.length === 0) {
    return Properties.none
  }
  for (let i = chosen.length - 1; i > 0; i--) {
    const other = random.int(0, i)
    const entry = chosen[i]
    chosen[i] = chosen[other]
    chosen[other] = entry
  }
  return Object.fromEntries(chosen.map(([name, make]) => [name, make()]))
}

const messageProperties = (random: Random) => ({
  payloadFormatIndicator: () => bit(random),
  messageExpiryInterval: () => fourBytes(random),
  contentType: () => text(random, 12),
  responseTopic: () => topicName(random),
  correlationData: () => binary(random),
  userProperties: () => userProperties(random)
})

const acknowledgementProperties = (random: Random): Properties.AcknowledgementProperties =>
  some<Properties.AcknowledgementProperties>(random, {
    reasonString: () => text(random, 20),
    userProperties: () => userProperties(random)
  })

const publish = (random: Random, version: ProtocolVersion, fromServer: boolean): Packet.Publish => {
  const qos: QoS = random.pick([0, 1, 2])
  const properties: Properties.PublishProperties = version === 4 ? Properties.none : some<Properties.PublishProperties>(
    random,
    {
      ...messageProperties(random),
      topicAlias: () => twoBytes(random),
      ...(fromServer
        ? {
          subscriptionIdentifiers: () => Array.from({ length: random.int(1, 4) }, () => subscriptionIdentifier(random))
        }
        : {}) as { readonly subscriptionIdentifiers: () => Array<number> }
    }
  )
  const size = random.chance(0.05) ? random.int(0, 20_000) : random.int(0, 100)
  return {
    _tag: "Publish",
    topic: properties.topicAlias !== undefined && random.chance(0.3) ? "" : topicName(random),
    payload: random.bytes(size),
    qos,
    retain: random.chance(0.5),
    dup: qos > 0 && random.chance(0.5),
    packetIdentifier: qos === 0 ? 0 : twoBytes(random),
    properties
  }
}

const acknowledgement = (random: Random, version: ProtocolVersion): Packet.Packet => {
  const _tag = random.pick(["Puback", "Pubrec", "Pubrel", "Pubcomp"] as const)
  const codes = _tag === "Puback" || _tag === "Pubrec" ? [0, 0x10, 0x80, 0x87, 0x97, 0x99] : [0, 0x92]
  return {
    _tag,
    packetIdentifier: twoBytes(random),
    reasonCode: version === 4 ? 0 : random.pick(codes),
    properties: version === 4 ? Properties.none : acknowledgementProperties(random)
  }
}

const connect = (random: Random, version: ProtocolVersion): Packet.Connect => {
  const username = random.chance(0.5) ? text(random, 10) : undefined
  const hasPassword = random.chance(0.5) && (version === 5 || username !== undefined)
  const cleanStart = random.chance(0.5)
  const clientId = text(random, 20)
  const properties: Properties.ConnectProperties = version === 4
    ? Properties.none
    : some<Properties.ConnectProperties>(random, {
      sessionExpiryInterval: () => fourBytes(random),
      receiveMaximum: () => twoBytes(random),
      maximumPacketSize: () => fourBytes(random),
      topicAliasMaximum: () => random.int(0, 65_535),
      requestResponseInformation: () => random.chance(0.5),
      requestProblemInformation: () => random.chance(0.5),
      userProperties: () => userProperties(random),
      authenticationMethod: () => text(random, 10),
      authenticationData: () => binary(random)
    })
  return {
    _tag: "Connect",
    protocolVersion: version,
    clientId: version === 4 && clientId === "" && !cleanStart ? "c" : clientId,
    cleanStart,
    keepAlive: random.int(0, 65_535),
    username,
    password: hasPassword ? binary(random) : undefined,
    will: random.chance(0.5)
      ? {
        topic: topicName(random),
        payload: binary(random),
        qos: random.pick([0, 1, 2]),
        retain: random.chance(0.5),
        properties: version === 4 ? Properties.none : some<Properties.WillProperties>(random, {
          ...messageProperties(random),
          willDelayInterval: () => random.int(0, 4_294_967_295)
        })
      }
      : undefined,
    properties: properties.authenticationData !== undefined && properties.authenticationMethod === undefined
      ? { ...properties, authenticationMethod: "method" }
      : properties
  }
}

const connack = (random: Random, version: ProtocolVersion): Packet.Connack => {
  const reasonCode = random.pick(version === 4 ? [0, 0, 1, 5] : [0, 0, 0x80, 0x87, 0x9f])
  return {
    _tag: "Connack",
    sessionPresent: reasonCode === 0 && random.chance(0.5),
    reasonCode,
    properties: version === 4 ? Properties.none : some<Properties.ConnackProperties>(random, {
      sessionExpiryInterval: () => random.int(0, 4_294_967_295),
      receiveMaximum: () => twoBytes(random),
      maximumQoS: () => bit(random),
      retainAvailable: () => random.chance(0.5),
      maximumPacketSize: () => fourBytes(random),
      assignedClientIdentifier: () => text(random, 20),
      topicAliasMaximum: () => random.int(0, 65_535),
      reasonString: () => text(random, 20),
      userProperties: () => userProperties(random),
      wildcardSubscriptionAvailable: () => random.chance(0.5),
      subscriptionIdentifiersAvailable: () => random.chance(0.5),
      sharedSubscriptionAvailable: () => random.chance(0.5),
      serverKeepAlive: () => random.int(0, 65_535),
      responseInformation: () => text(random, 20),
      serverReference: () => text(random, 20),
      authenticationMethod: () => text(random, 10),
      authenticationData: () => binary(random)
    })
  }
}

const subscribe = (random: Random, version: ProtocolVersion): Packet.Subscribe => ({
  _tag: "Subscribe",
  packetIdentifier: twoBytes(random),
  filters: Array.from({ length: random.int(1, 4) }, () => {
    const shared = version === 5 && random.chance(0.2)
    return {
      filter: shared ? `$share/group/${topicFilter(random)}` : topicFilter(random),
      qos: random.pick([0, 1, 2] as const),
      noLocal: version === 5 && !shared && random.chance(0.5),
      retainAsPublished: version === 5 && random.chance(0.5),
      retainHandling: version === 5 ? random.pick([0, 1, 2] as const) : 0
    }
  }),
  properties: version === 4 ? Properties.none : some<Properties.SubscribeProperties>(random, {
    subscriptionIdentifier: () => subscriptionIdentifier(random),
    userProperties: () => userProperties(random)
  })
})

const unsubscribe = (random: Random, version: ProtocolVersion): Packet.Unsubscribe => ({
  _tag: "Unsubscribe",
  packetIdentifier: twoBytes(random),
  filters: Array.from({ length: random.int(1, 4) }, () => topicFilter(random)),
  properties: version === 4 ? Properties.none : some<Properties.UnsubscribeProperties>(random, {
    userProperties: () => userProperties(random)
  })
})

const suback = (random: Random, version: ProtocolVersion): Packet.Suback => ({
  _tag: "Suback",
  packetIdentifier: twoBytes(random),
  reasonCodes: Array.from(
    { length: random.int(1, 5) },
    () => random.pick(version === 4 ? [0, 1, 2, 0x80] : [0, 1, 2, 0x87, 0x9e])
  ),
  properties: version === 4 ? Properties.none : acknowledgementProperties(random)
})

const unsuback = (random: Random, version: ProtocolVersion): Packet.Unsuback => ({
  _tag: "Unsuback",
  packetIdentifier: twoBytes(random),
  reasonCodes: version === 4 ? [] : Array.from({ length: random.int(1, 5) }, () => random.pick([0, 0x11, 0x87])),
  properties: version === 4 ? Properties.none : acknowledgementProperties(random)
})

const disconnect = (random: Random, version: ProtocolVersion, fromServer: boolean): Packet.Disconnect => ({
  _tag: "Disconnect",
  reasonCode: version === 4 ? 0 : random.pick(fromServer ? [0, 0x81, 0x8e, 0x9d] : [0, 4, 0x81, 0x94]),
  properties: version === 4 ? Properties.none : some<Properties.DisconnectProperties>(random, {
    reasonString: () => text(random, 20),
    userProperties: () => userProperties(random),
    serverReference: () => text(random, 20),
    ...(fromServer
      ? {}
      : { sessionExpiryInterval: () => fourBytes(random) }) as { readonly sessionExpiryInterval: () => number }
  })
})

const auth = (random: Random, fromServer: boolean): Packet.Auth =>
  fromServer && random.chance(0.3)
    ? { _tag: "Auth", reasonCode: 0, properties: Properties.none }
    : {
      _tag: "Auth",
      reasonCode: random.pick(fromServer ? [0, 0x18] : [0x18, 0x19]),
      properties: {
        ...some<Properties.AuthProperties>(random, {
          authenticationMethod: () => text(random, 10),
          authenticationData: () => binary(random),
          reasonString: () => text(random, 20),
          userProperties: () => userProperties(random)
        }),
        authenticationMethod: "method"
      }
    }

/**
 * A packet that may follow CONNECT and that the decoder of this role accepts: a client decodes what a server sends.
 */
export const arbitraryPacket = (random: Random, version: ProtocolVersion, decodedBy: Role): Packet.Packet => {
  const fromServer = decodedBy === "client"
  const kind = random.int(0, 9)
  if (kind < 4) {
    return publish(random, version, fromServer)
  }
  if (kind < 6) {
    return acknowledgement(random, version)
  }
  const rest: ReadonlyArray<() => Packet.Packet> = fromServer
    ? [
      () => connack(random, version),
      () => suback(random, version),
      () => unsuback(random, version),
      () => ({ _tag: "Pingresp" }),
      ...(version === 5 ? [() => disconnect(random, version, true), () => auth(random, true)] : [])
    ]
    : [
      () => subscribe(random, version),
      () => unsubscribe(random, version),
      () => ({ _tag: "Pingreq" }),
      () => disconnect(random, version, false),
      ...(version === 5 ? [() => auth(random, false)] : [])
    ]
  return random.pick(rest)()
}

/**
 * A CONNECT.
 */
export const arbitraryConnect = connect
