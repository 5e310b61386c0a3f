/**
 * Limits that a server grants (MQTT 3.2.2.3), and checks of what the client may send under them. The functions
 * send nothing.
 */
import { InvalidTopic, type MqttErrorReason, NotSupported, PacketTooLarge } from "../../MqttError.ts"
import type { Connack, Publish } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import { sizeOf } from "../codec/size.ts"
import { EncodedProperties } from "../encodedProperties.ts"
import type { PublishRequest, ServerLimits, UnannouncedLimits } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import type { OutboundMessage } from "./outboundMessage.ts"

/** The largest packet that MQTT can express: 5 bytes of fixed header and 268,435,455 behind it. */
const largestPacket = 268_435_460

const isAvailable = (unannounced = true, announced = true): boolean => unannounced && announced

/**
 * Reads the limits from a CONNACK. MQTT 3.1.1 announces none. Of an announced and an unannounced one the lower counts.
 */
export const limitsOf = (
  { properties }: Connack,
  version: ProtocolVersion,
  unannounced?: UnannouncedLimits
): ServerLimits => ({
  receiveMaximum: properties.receiveMaximum ?? 65_535,
  maximumQoS: Math.min(properties.maximumQoS ?? 2, unannounced?.maximumQoS ?? 2) as QoS,
  retainAvailable: isAvailable(unannounced?.retainAvailable, properties.retainAvailable),
  maximumPacketSize: Math.min(
    properties.maximumPacketSize ?? largestPacket,
    unannounced?.maximumPacketSize ?? largestPacket,
    largestPacket
  ),
  topicAliasMaximum: properties.topicAliasMaximum ?? 0,
  wildcardSubscriptionAvailable: properties.wildcardSubscriptionAvailable ?? true,
  subscriptionIdentifiersAvailable: version === 5 && (properties.subscriptionIdentifiersAvailable ?? true),
  // 3.1.1 has no shared subscriptions, but many servers offer them to its clients.
  sharedSubscriptionAvailable: isAvailable(
    unannounced?.sharedSubscriptionAvailable,
    properties.sharedSubscriptionAvailable
  )
})

/**
 * Why a message must not be sent on this connection; undefined when it may.
 */
export const refusePublish = (
  request: PublishRequest,
  limits: ServerLimits,
  version: ProtocolVersion
): MqttErrorReason | undefined => {
  if (request.qos > limits.maximumQoS) {
    return new NotSupported({
      feature: `QoS ${request.qos}`,
      detail: `the server's maximum QoS is ${limits.maximumQoS}`
    })
  }
  if (request.retain && !limits.retainAvailable) {
    return new NotSupported({ feature: "retain", detail: "the server keeps no retained messages" })
  }
  const { payload, properties, topic } = request
  // A message that no packet can hold was refused before.
  if (limits.maximumPacketSize === largestPacket) return undefined
  // Most messages are far below the limit and need no measuring: a UTF-16 unit takes at most 3 bytes.
  const encoded = EncodedProperties.bytesOf(properties)?.length
  const upperBound = payload.length + topic.length * 3 + 16 + (encoded ?? 0)
  const isBounded = version === 4 || properties === none || encoded !== undefined || isEmpty(properties)
  if (isBounded && upperBound <= limits.maximumPacketSize) return undefined
  const size = sizeOf(asPacket(request, version), version)
  return size > limits.maximumPacketSize ? new PacketTooLarge({ size, maximum: limits.maximumPacketSize }) : undefined
}

/**
 * Why a new message is not accepted; undefined when it is. Without a connection no limits of the server are known.
 */
export const refuseRequest = (request: PublishRequest, core: EngineCore): MqttErrorReason | undefined => {
  const { responseTopic } = request.properties
  if (responseTopic !== undefined) {
    const reason = refuseResponseTopic(responseTopic)
    if (reason !== undefined) return reason
  }
  const impossible = refuseImpossible(request)
  if (impossible !== undefined) return impossible
  const { limits: server, options } = core
  if (server === undefined) return undefined
  if (request.topicAlias !== 0) {
    const reason = refuseTopicAlias(request.topicAlias, server)
    if (reason !== undefined) return reason
  }
  return refusePublish(request, server, options.protocolVersion)
}

/**
 * The same for an accepted message, once on each connection. The alias of a message that was accepted before the
 * connection is not checked, because it is not used.
 */
export const refuseLater = (message: OutboundMessage, core: EngineCore): MqttErrorReason | undefined => {
  const { connection, limits: server, options } = core
  if (message.checked === connection) return undefined
  message.checked = connection
  return refusePublish(message.request, server!, options.protocolVersion)
}

/** Maximum size in bytes of one user property, and of all other properties together. */
const largestUserProperty = 5 + 2 * 65_535
const largestOthers = 4 * 65_540

/**
 * Why no packet can hold a message, whatever the server allows; undefined when one can. Assumes MQTT 5, because a store
 * writes each message as a PUBLISH of MQTT 5.
 */
export const refuseImpossible = (request: PublishRequest): MqttErrorReason | undefined => {
  const { payload, properties, topic } = request
  const upperBound = payload.length + topic.length * 3 + 16 + largestOthers +
    (properties.userProperties?.length ?? 0) * largestUserProperty
  if (upperBound <= largestPacket) return undefined
  const size = sizeOf(asPacket(request, 5), 5)
  return size > largestPacket ? new PacketTooLarge({ size, maximum: largestPacket }) : undefined
}

/**
 * Why the topic alias of a request cannot be used; undefined when it can.
 */
export const refuseTopicAlias = (alias: number, limits: ServerLimits): MqttErrorReason | undefined =>
  alias > limits.topicAliasMaximum
    ? new NotSupported({
      feature: `topic alias ${alias}`,
      detail: `the server's topic alias maximum is ${limits.topicAliasMaximum}`
    })
    : undefined

/**
 * MQTT 3.3.2.3.5: a response topic is a topic name.
 */
export const refuseResponseTopic = (topic: string): MqttErrorReason | undefined => {
  const offset = topic.search(/[+#]/)
  return offset < 0
    ? undefined
    : new InvalidTopic({ topic, offset, detail: "a response topic cannot hold a wildcard" })
}

/**
 * Why a filter cannot be subscribed to on this connection; undefined when it can.
 */
export const refuseFilter = (filter: string, isShared: boolean, limits: ServerLimits): MqttErrorReason | undefined => {
  if (isShared && !limits.sharedSubscriptionAvailable) {
    return new NotSupported({ feature: "shared subscriptions", detail: `the server does not allow ${filter}` })
  }
  if (!limits.wildcardSubscriptionAvailable && /[+#]/.test(filter)) {
    return new NotSupported({ feature: "wildcard subscriptions", detail: `the server does not allow ${filter}` })
  }
  return undefined
}

const isEmpty = (properties: object): boolean => {
  for (const _ in properties) return false
  return true
}

// The largest form of the packet: full topic and alias. The value of the packet identifier does not matter.
const asPacket = (request: PublishRequest, version: ProtocolVersion): Publish => ({
  _tag: "Publish",
  topic: request.topic,
  payload: request.payload,
  qos: request.qos,
  retain: request.retain,
  dup: false,
  packetIdentifier: request.qos === 0 ? 0 : 1,
  properties: version === 4
    ? none
    : request.topicAlias === 0
    ? request.properties
    : { ...request.properties, topicAlias: request.topicAlias }
})
