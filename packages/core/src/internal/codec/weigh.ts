/**
 * What received packets take of memory, for those who hold them. Figures of V8, rounded up: a peer chooses what is
 * sent, and must not be able to choose something that takes far more than it is counted for.
 */
import type { Publish } from "../../Packet.ts"
import { none, type PublishProperties } from "../../Properties.ts"
import { deferredOf } from "../deferredLists.ts"

// The packet, the message that is made of it and their views, and what the engine and one stream note about it.
const packetBytes = 512
const propertiesBytes = 320
const viewBytes = 192
// Of V8's own: its head, and two bytes for a character as soon as one of them needs them.
const textBytes = 24
const bytesPerCharacter = 2
/** An array of two strings, and its place in the list. */
const pairBytes = 80
const numberBytes = 16
const listBytes = 128

/**
 * The bytes that a PUBLISH takes while it is held, or is waited for by a consumer. Asks for nothing that is not decoded
 * yet.
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
