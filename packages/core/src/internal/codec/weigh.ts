/**
 * Estimates the memory that received packets take. The sizes are those of V8, rounded up: a peer chooses what it
 * sends, and must not find messages that take far more than they count.
 */
import type { Publish } from "../../Packet.ts"
import { none, type PublishProperties } from "../../Properties.ts"
import { deferredOf } from "../deferredLists.ts"

// The packet, its message and their views, and the notes of the engine and of one stream, in bytes.
const packetBytes = 512
const propertiesBytes = 352
const viewBytes = 192
// V8's own bytes of a string: its header. A character takes two bytes as soon as one of them needs two.
const textBytes = 24
const bytesPerCharacter = 2
/** An array of two strings, and its place in the list. */
const pairBytes = 80
const numberBytes = 16
const listBytes = 128

/**
 * The bytes that a PUBLISH takes while it is held or waits for a consumer. Decodes no lazy properties.
 */
export const weighPublish = (
  { payload, properties, topic }: Pick<Publish, "payload" | "properties" | "topic">
): number => {
  const bytes = packetBytes + payload.length + bytesPerCharacter * topic.length
  return properties === none ? bytes : bytes + weighProperties(properties)
}

/**
 * The bytes that the properties of a message take.
 */
export const weighProperties = (properties: PublishProperties): number => {
  const { contentType, correlationData, responseTopic } = properties
  let bytes = propertiesBytes
  if (contentType !== undefined) bytes += weighText(contentType)
  if (responseTopic !== undefined) bytes += weighText(responseTopic)
  if (correlationData !== undefined) bytes += viewBytes + correlationData.length
  const deferred = deferredOf(properties)
  if (deferred !== undefined) bytes += propertiesBytes + deferred.bytes.length
  if (deferred?.names.includes("userProperties") !== true) bytes += weighUserProperties(properties)
  if (deferred?.names.includes("subscriptionIdentifiers") !== true) {
    const { subscriptionIdentifiers } = properties
    if (subscriptionIdentifiers !== undefined) bytes += listBytes + numberBytes * subscriptionIdentifiers.length
  }
  return bytes
}

const weighUserProperties = ({ userProperties }: PublishProperties): number => {
  if (userProperties === undefined) return 0
  let bytes = listBytes
  for (let i = 0; i < userProperties.length; i++) {
    const pair = userProperties[i]!
    bytes += pairBytes + weighText(pair[0]) + weighText(pair[1])
  }
  return bytes
}

const weighText = (text: string): number => textBytes + bytesPerCharacter * text.length
