/**
 * Turns a program's message into the engine's request. Refuses everything that would be malformed on the wire, values
 * of wrong types included. Nothing here throws. `publisher.ts` calls it for each message, and forwarders for the
 * results of their transformations.
 */
import { Message } from "../../Message.ts"
import {
  InvalidOptions,
  InvalidPayload,
  InvalidTopic,
  type MqttErrorReason,
  NotSupported,
  PacketTooLarge
} from "../../MqttError.ts"
import * as Properties from "../../Properties.ts"
import type { Payload, PublishOptions } from "../../Publication.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import { isQoS } from "../../QoS.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import { sizeOf } from "../codec/size.ts"
import { isKnownTopic } from "../codec/topicEncodings.ts"
import type { PublishRequest } from "../engine/contract.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import { expectedDuration, parseMillis } from "../options/durations.ts"
import { noSuchOption } from "../options/plain.ts"
import { bufferGone, largestPacket, largestRemaining, payloadBytes, viewBytes } from "../payload.ts"
import * as Topic from "../topics.ts"
import { isUtf8String } from "../utf8String.ts"
import { kindOf } from "../valueNames.ts"

const noProperties: Properties.MessageProperties = Properties.none

/** The usual options, shared. */
export const noOptions: PublishOptions = Object.freeze({})

/**
 * Makes the engine's request, or answers why the message cannot be published. It accepts values of any type: JavaScript
 * programs, and HTTP bodies of type `any`, get a reason and never an exception.
 */
export const makeRequest = (
  protocolVersion: ProtocolVersion,
  topic: string,
  payload: Payload,
  options: PublishOptions
): PublishRequest | MqttErrorReason => {
  // Programs publish often to few topics, which the codec keeps.
  if (!isKnownTopic(topic)) {
    const invalid = topicIssue(topic)
    if (invalid !== undefined) return invalid
  }
  // One check covers most payloads, because each `instanceof` costs as much as the rest of this function.
  let bytes: Uint8Array
  if (ArrayBuffer.isView(payload) && payload instanceof Uint8Array && payload.length > 0) bytes = payload
  else {
    const encoded = payloadBytes(payload)
    if (!(encoded instanceof Uint8Array)) return encoded
    bytes = encoded
  }
  if (options === noOptions) return bounded(plainRequest(topic, bytes, 0, false), 0)
  const { expiresAfter, origin, properties, qos = 0, retain = false, timeout, topicAlias = 0 } = options ?? noOptions
  const isPlain = properties === undefined && topicAlias === 0 && expiresAfter === undefined &&
    timeout === undefined && origin === undefined
  if (isPlain && isQoS(qos) && typeof retain === "boolean" && hasKnownKeys(options)) {
    return bounded(plainRequest(topic, bytes, qos, retain), 0)
  }
  const issues = optionsIssues(options)
  if (issues.length > 0) return new InvalidOptions({ issues })
  if (topicAlias !== 0 && protocolVersion === 4) {
    return new NotSupported({ feature: "topic alias", detail: "topic aliases need MQTT 5" })
  }
  const checked = properties === undefined ? noProperties : checkProperties(protocolVersion, properties)
  if ("_tag" in checked) return checked
  return bounded({
    topic,
    payload: bytes,
    qos,
    retain,
    properties: checked,
    topicAlias,
    expiresAfter: expiresAfter === undefined ? undefined : parseMillis(expiresAfter),
    origin
  }, weighProperties(checked))
}

/** Whether a message was refused. Not by `in`, which costs a call for each message. */
export const isRefusal = <Refusal extends { readonly _tag: string }>(
  result: PublishRequest | Refusal
): result is Refusal => (result as { readonly _tag?: string })._tag !== undefined

/**
 * Checks a message that user code made from a received one. Answers it ready to be published, or why it cannot be.
 */
export const checkMessage = (message: unknown): Message | MqttErrorReason => {
  if (!(message instanceof Message)) return new InvalidPayload({ detail: `expected a Message, got ${kindOf(message)}` })
  const { qos, retain } = message
  const issues = optionsIssues({ qos, retain })
  if (issues.length > 0) return new InvalidOptions({ issues })
  const payload = payloadBytes(message.payload)
  if (!(payload instanceof Uint8Array)) return payload
  const properties = checkProperties(5, message.properties)
  if ("_tag" in properties) return properties
  return payload === message.payload ? message : message.with({ payload })
}

const plainRequest = (topic: string, payload: Uint8Array, qos: QoS, retain: boolean): PublishRequest => ({
  topic,
  payload,
  qos,
  retain,
  properties: Properties.none,
  topicAlias: 0,
  expiresAfter: undefined,
  origin: undefined
})

// Maximum bytes of the fixed header, the packet identifier and the other properties, with a margin.
const headroom = 128

/** Refuses a message that fits in no packet, connected or not. No store could keep it either. */
const bounded = (request: PublishRequest, propertiesUnits: number): PublishRequest | PacketTooLarge => {
  const { payload, topic } = request
  // A UTF-16 code unit takes at most three bytes, so few messages have to be measured.
  if (payload.length + (topic.length + propertiesUnits) * 3 + headroom <= largestRemaining) return request
  const { properties, retain } = request
  const size = sizeOf(
    { _tag: "Publish", topic, payload, qos: 1, retain, dup: false, packetIdentifier: 1, properties },
    5
  )
  return size > largestPacket ? new PacketTooLarge({ size, maximum: largestPacket }) : request
}

const topicIssue = (topic: unknown): InvalidTopic | undefined => {
  const result = Topic.validateName(topic as string)
  return result._tag === "Failure" ? result.failure : undefined
}

// Checks the keys that are present, usually one or two. It reads no values, because a load by a varying name costs more
// than everything else.
const hasKnownKeys = (options: unknown): options is object => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) return false
  for (const key in options) {
    switch (key) {
      case "qos":
      case "retain":
      case "properties":
      case "topicAlias":
      case "timeout":
      case "expiresAfter":
      case "origin":
        continue
      default:
        return false
    }
  }
  return true
}

/** All issues of the options, except those of the properties. */
const optionsIssues = (options: unknown): ReadonlyArray<OptionsIssue> => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    return [{ path: "", message: `expected a record of options, got ${kindOf(options)}` }]
  }
  const issues: Array<OptionsIssue> = []
  for (const key in options) {
    const message = optionIssue(key, options[key as never])
    if (message !== undefined) issues.push({ path: key, message })
  }
  return issues
}

const optionIssue = (key: string, value: unknown): string | undefined => {
  if (value === undefined) return undefined
  switch (key) {
    case "qos":
      return isQoS(value) ? undefined : "must be 0, 1 or 2"
    case "retain":
      return typeof value === "boolean" ? undefined : "must be true or false"
    case "properties":
      return undefined
    case "topicAlias":
      return isInteger(value, 65_535) ? undefined : "must be an integer from 1 to 65,535"
    case "timeout":
    case "expiresAfter":
      return parseMillis(value) === undefined ? expectedDuration : undefined
    case "origin":
      return isOrigin(value) ? undefined : "must be the key of an origin, see StoreRecord.OriginKey"
    default:
      return noSuchOption
  }
}

const isOrigin = (value: unknown): value is OriginKey => {
  if (typeof value !== "object" || value === null) return false
  const { forwarder, packetIdentifier, session, use } = value as Readonly<Record<string, unknown>>
  return typeof forwarder === "string" && typeof session === "string" && typeof use === "string" &&
    isInteger(packetIdentifier, 65_535)
}

const isInteger = (value: unknown, maximum: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maximum

/**
 * Copies the properties that a message may have, so that later changes by the program have no effect.
 */
const checkProperties = (
  protocolVersion: ProtocolVersion,
  properties: unknown
): Properties.MessageProperties | MqttErrorReason => {
  if (properties === noProperties) return noProperties
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
    return invalidOption("properties", `expected a record of properties, got ${kindOf(properties)}`)
  }
  const checked: Checked = {}
  let isEmpty = true
  for (const key in properties) {
    const value: unknown = properties[key as never]
    if (value === undefined) continue
    // These belong to the delivery of a received message, whose properties may be passed on unchanged.
    if (key === "subscriptionIdentifiers" || key === "topicAlias") continue
    isEmpty = false
    const refusal = checkProperty(key, value, checked)
    if (refusal !== undefined) return refusal
  }
  if (isEmpty) return noProperties
  return protocolVersion === 4
    ? new NotSupported({ feature: "properties", detail: "message properties need MQTT 5" })
    : checked
}

type Checked = { -readonly [K in keyof Properties.MessageProperties]: Properties.MessageProperties[K] }

const checkProperty = (key: string, value: unknown, into: Checked): MqttErrorReason | undefined => {
  switch (key) {
    case "payloadFormatIndicator":
      if (value !== 0 && value !== 1) return invalidProperty(key, "must be 0 or 1")
      into.payloadFormatIndicator = value
      return undefined
    case "messageExpiryInterval":
      if (!isInteger(value, 0xffffffff)) return invalidProperty(key, "must be whole seconds from 0 to 4,294,967,295")
      into.messageExpiryInterval = value
      return undefined
    case "contentType":
      if (!isUtf8String(value)) return invalidProperty(key, unencodable)
      into.contentType = value
      return undefined
    case "responseTopic": {
      const invalid = topicIssue(value)
      if (invalid !== undefined) {
        return new InvalidTopic({ ...invalid, detail: `the response topic: ${invalid.detail}` })
      }
      into.responseTopic = value as string
      return undefined
    }
    case "correlationData": {
      const bytes = viewBytes(value)
      if (bytes === undefined || bytes === "gone") {
        return invalidProperty(key, `must be bytes, ${bytes === undefined ? `got ${kindOf(value)}` : bufferGone}`)
      }
      if (bytes.length > 65_535) return invalidProperty(key, "must be at most 65,535 bytes")
      into.correlationData = bytes
      return undefined
    }
    case "userProperties":
      return checkUserProperties(value, into)
    default:
      return invalidProperty(key, noSuchOption)
  }
}

const checkUserProperties = (pairs: unknown, into: Checked): InvalidOptions | undefined => {
  const path = "userProperties"
  if (!Array.isArray(pairs)) return invalidProperty(path, `must be an array of pairs of texts, got ${kindOf(pairs)}`)
  const copy: Array<Properties.UserProperty> = []
  for (let i = 0; i < pairs.length; i++) {
    const pair: unknown = pairs[i]
    if (!Array.isArray(pair) || pair.length !== 2) return invalidProperty(`${path}.${i}`, "must be a pair of texts")
    const name: unknown = pair[0]
    const value: unknown = pair[1]
    if (!isUtf8String(name) || !isUtf8String(value)) return invalidProperty(`${path}.${i}`, unencodable)
    copy.push([name, value])
  }
  into.userProperties = copy
  return undefined
}

/** An upper bound of the size of the properties, in code units or thirds of bytes. */
const weighProperties = (properties: Properties.MessageProperties): number => {
  if (properties === Properties.none) return 0
  const { contentType = "", correlationData, responseTopic = "", userProperties = [] } = properties
  let units = contentType.length + responseTopic.length + (correlationData?.length ?? 0)
  for (let i = 0; i < userProperties.length; i++) {
    const pair = userProperties[i]!
    units += pair[0].length + pair[1].length + 2
  }
  return units
}

const invalidOption = (path: string, message: string): InvalidOptions =>
  new InvalidOptions({ issues: [{ path, message }] })

const invalidProperty = (path: string, message: string): InvalidOptions => invalidOption(`properties.${path}`, message)

const unencodable = "must be well-formed text without U+0000 of at most 65,535 bytes in UTF-8"
