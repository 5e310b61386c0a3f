/**
 * Encodes user properties that leave with many messages, once.
 */
import type { MessageProperties, PublishProperties, UserProperty } from "../../Properties.ts"
import { EncodedProperties, EncodedPropertiesWithAlias } from "../encodedProperties.ts"
import { encode } from "./encoder.ts"

const topic = "t"
const empty = new Uint8Array(0)

/**
 * The user properties as properties of messages. Properties that cannot be encoded stay as they are: the encoder gives
 * the reason when they are sent.
 */
export const encodeUserProperties = (userProperties: ReadonlyArray<UserProperty>): MessageProperties => {
  const properties = { userProperties }
  const bytes = encodingOf(properties)
  return bytes === undefined ? properties : new EncodedProperties(userProperties, bytes)
}

/**
 * Properties with a topic alias. Those that are encoded stay encoded.
 */
export const withTopicAlias = (properties: MessageProperties, topicAlias: number): PublishProperties => {
  const added = { ...properties, topicAlias }
  if (EncodedProperties.bytesOf(properties) === undefined) {
    return added
  }
  const bytes = encodingOf(added)
  return bytes === undefined ? added : new EncodedPropertiesWithAlias(properties.userProperties!, bytes, topicAlias)
}

/** The properties of a PUBLISH, with the property length; undefined: they cannot be encoded. */
const encodingOf = (properties: PublishProperties): Uint8Array | undefined => {
  const packet = { _tag: "Publish", topic, payload: empty, retain: false, dup: false, properties } as const
  let bytes: Uint8Array
  try {
    bytes = encode({ ...packet, qos: 0, packetIdentifier: 0 }, 5)
  } catch {
    return undefined
  }
  // The remaining length begins behind the first byte. The topic name, of one letter, takes three bytes.
  let start = 1
  while (bytes[start++]! >= 0x80);
  return bytes.slice(start + 2 + topic.length)
}
