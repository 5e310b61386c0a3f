/**
 * Encodes user properties that leave with many messages, once.
 */
import type { MessageProperties, UserProperty } from "../../Properties.ts"
import { EncodedProperties } from "../encodedProperties.ts"
import { encode } from "./encoder.ts"

const topic = "t"
const empty = new Uint8Array(0)

/**
 * The user properties as properties of messages. Properties that cannot be encoded stay as they are: the encoder gives
 * the reason when they are sent.
 */
export const encodeUserProperties = (userProperties: ReadonlyArray<UserProperty>): MessageProperties => {
  const properties = { userProperties }
  const packet = { _tag: "Publish", topic, payload: empty, retain: false, dup: false, properties } as const
  let bytes: Uint8Array
  try {
    bytes = encode({ ...packet, qos: 0, packetIdentifier: 0 }, 5)
  } catch {
    return properties
  }
  // The remaining length begins behind the first byte. The topic name, of one letter, takes three bytes.
  let start = 1
  while (bytes[start++]! >= 0x80);
  return new EncodedProperties(userProperties, bytes.slice(start + 2 + topic.length))
}
