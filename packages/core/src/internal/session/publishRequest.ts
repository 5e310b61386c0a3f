/**
 * From what the user publishes to what the engine takes: validation of everything that would be malformed on the wire.
 */
import * as Duration from "effect/Duration"
import { InvalidOptions, InvalidTopic, type MqttErrorReason, NotSupported } from "../../MqttError.ts"
import * as Properties from "../../Properties.ts"
import type { Payload, PublishOptions } from "../../Publication.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import { isQoS } from "../../QoS.ts"
import * as Topic from "../../Topic.ts"
import type { PublishRequest } from "../engine/contract.ts"

const encoder = new TextEncoder()

// Programs publish to few topics many times: what was checked is not checked again. Long names could fill the memory.
const validTopics = new Set<string>()
const rememberedTopics = 1024
const longestRemembered = 256

/**
 * Makes the engine's request, or says why the message cannot be published.
 */
export const makeRequest = (
  protocolVersion: ProtocolVersion,
  topic: string,
  payload: Payload,
  options: PublishOptions
): PublishRequest | MqttErrorReason => {
  if (!validTopics.has(topic)) {
    const invalid = topicIssue(topic)
    if (invalid !== undefined) return invalid
    remember(topic)
  }
  const { expiresAfter, properties, qos = 0, retain = false, topicAlias = 0 } = options
  if (!isQoS(qos)) return invalidOption("qos", "must be 0, 1 or 2")
  if (topicAlias !== 0) {
    if (protocolVersion === 4) return new NotSupported({ feature: "topic alias", detail: "topic aliases need MQTT 5" })
    if (!Number.isInteger(topicAlias) || topicAlias < 1 || topicAlias > 65_535) {
      return invalidOption("topicAlias", "must be an integer from 1 to 65,535")
    }
  }
  if (properties !== undefined) {
    const issue = propertiesIssue(protocolVersion, properties)
    if (issue !== undefined) return issue
  }
  return {
    topic,
    payload: typeof payload === "string" ? encoder.encode(payload) : payload,
    qos,
    retain,
    properties: properties ?? Properties.none,
    topicAlias,
    expiresAfter: expiresAfter === undefined ? undefined : Duration.toMillis(expiresAfter),
    origin: undefined
  }
}

const remember = (topic: string): void => {
  if (topic.length > longestRemembered) return
  if (validTopics.size >= rememberedTopics) validTopics.clear()
  validTopics.add(topic)
}

const topicIssue = (topic: string): MqttErrorReason | undefined => {
  const result = Topic.validateName(topic)
  return result._tag === "Failure" ? result.failure : undefined
}

const invalidOption = (path: string, message: string): InvalidOptions =>
  new InvalidOptions({ issues: [{ path, message }] })

const propertiesIssue = (
  protocolVersion: ProtocolVersion,
  properties: Properties.MessageProperties
): MqttErrorReason | undefined => {
  if (protocolVersion === 4) {
    return Object.values(properties).some((value) => value !== undefined)
      ? new NotSupported({ feature: "properties", detail: "message properties need MQTT 5" })
      : undefined
  }
  const { contentType, correlationData, messageExpiryInterval, payloadFormatIndicator, responseTopic, userProperties } =
    properties
  if (payloadFormatIndicator !== undefined && payloadFormatIndicator !== 0 && payloadFormatIndicator !== 1) {
    return invalidOption("properties.payloadFormatIndicator", "must be 0 or 1")
  }
  if (
    messageExpiryInterval !== undefined &&
    !(Number.isInteger(messageExpiryInterval) && messageExpiryInterval >= 0 && messageExpiryInterval <= 0xffffffff)
  ) {
    return invalidOption("properties.messageExpiryInterval", "must be whole seconds from 0 to 4,294,967,295")
  }
  if (contentType !== undefined && !isEncodable(contentType)) {
    return invalidOption("properties.contentType", unencodable)
  }
  if (responseTopic !== undefined) {
    const invalid = topicIssue(responseTopic)
    if (invalid instanceof InvalidTopic) {
      return new InvalidTopic({ ...invalid, detail: `the response topic: ${invalid.detail}` })
    }
  }
  if (correlationData !== undefined && correlationData.length > 65_535) {
    return invalidOption("properties.correlationData", "must be at most 65,535 bytes")
  }
  if (userProperties !== undefined) {
    for (const [name, value] of userProperties) {
      if (!isEncodable(name) || !isEncodable(value)) return invalidOption("properties.userProperties", unencodable)
    }
  }
  return undefined
}

const unencodable = "must be well-formed text without U+0000 of at most 65,535 bytes in UTF-8"

/** Whether a text can be a UTF-8 encoded string of MQTT 1.5.4. */
const isEncodable = (text: string): boolean => {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0) return false
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3
    else {
      const next = text.charCodeAt(++i)
      if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false
      bytes += 4
    }
  }
  return bytes <= 65_535
}
