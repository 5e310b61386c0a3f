/**
 * Properties of messages whose encoding is known before they are sent: user properties that leave with many messages
 * are encoded once, and those of a received message are passed on as their bytes. Forwarders use it.
 */
import type { MessageProperties, PublishProperties, UserProperty } from "../../Properties.ts"
import { EncodedProperties, ReceivedProperties } from "../encodedProperties.ts"
import { encode } from "./encoder.ts"
import * as Table from "./propertyTable.ts"

const topic = "t"
const empty = new Uint8Array(0)

/**
 * The user properties as properties of messages. Properties that cannot be encoded stay as they are: the encoder gives
 * the reason when they are sent.
 */
export const encodeUserProperties = (userProperties: ReadonlyArray<UserProperty>): MessageProperties => {
  const properties = { userProperties }
  const bytes = encodingOf(properties)
  return bytes === undefined ? properties : EncodedProperties.add(properties, bytes, true)
}

/**
 * Properties with a topic alias. Those that are encoded stay encoded.
 */
export const withTopicAlias = (properties: MessageProperties, topicAlias: number): PublishProperties => {
  const added = { ...properties, topicAlias }
  const bytes = EncodedProperties.bytesOf(properties)
  return bytes === undefined ? added : EncodedProperties.add(added, bytes, EncodedProperties.isShared(properties))
}

/**
 * Notes the encoding of properties that are those of a received message without what is of its connection, followed by
 * the user properties of `added`. Does nothing where the bytes of one of them are not known.
 */
export const notePassed = (
  properties: MessageProperties,
  received: PublishProperties,
  added: MessageProperties
): void => {
  const bytes = ReceivedProperties.bytesOf(received)
  const tail = EncodedProperties.bytesOf(added)
  if (bytes === undefined || tail === undefined) return
  EncodedProperties.add(properties, passProperties(bytes, ReceivedProperties.startOf(received), tail), false)
}

/** The properties of a PUBLISH, without the property length; undefined: they cannot be encoded. */
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
  start += 2 + topic.length
  while (bytes[start++]! >= 0x80);
  return bytes.slice(start)
}

// Small copies share a buffer: a separate allocation costs more than copying. A message that is kept for long keeps at
// most this many bytes alive.
const sharedSize = 8192
const largestShared = 1024

let shared: Uint8Array = new Uint8Array(0)
let sharedPosition = 0

/**
 * The properties at `start`, where their length is, followed by `tail`: without the property length, and without what
 * belongs to the connection that they came from, which are topic alias and subscription identifiers. The bytes were
 * validated when they were received.
 */
const passProperties = (bytes: Uint8Array, start: number, tail: Uint8Array): Uint8Array => {
  let length = 0
  let shift = 0
  let position = start
  do {
    length |= (bytes[position]! & 0x7f) << shift
    shift += 7
  } while (bytes[position++]! >= 0x80)
  const end = position + length
  const most = length + tail.length
  let target: Uint8Array
  let first = 0
  if (most > largestShared) {
    target = new Uint8Array(most)
  } else {
    if (most > shared.length - sharedPosition) {
      shared = new Uint8Array(sharedSize)
      sharedPosition = 0
    }
    target = shared
    first = sharedPosition
  }
  let written = first
  let from = position
  while (position < end) {
    const next = endOf(bytes, position)
    if (isOfConnection(bytes[position]!)) {
      written = copy(bytes, from, position, target, written)
      from = next
    }
    position = next
  }
  written = copy(bytes, from, end, target, written)
  target.set(tail, written)
  written += tail.length
  if (target === shared) sharedPosition = written
  return target.subarray(first, written)
}

const isOfConnection = (id: number): boolean => id === Table.topicAliasId || id === Table.subscriptionIdentifierId

/** Short ranges by a loop, because a view for `set` costs more. */
const copy = (bytes: Uint8Array, start: number, end: number, target: Uint8Array, position: number): number => {
  if (end - start > 64) target.set(bytes.subarray(start, end), position)
  else for (let i = start; i < end; i++) target[position + i - start] = bytes[i]!
  return position + end - start
}

/** Where the next property begins. */
const endOf = (bytes: Uint8Array, position: number): number => {
  const { type } = Table.byId[bytes[position]!]!
  const value = position + 1
  switch (type) {
    case Table.flag:
    case Table.zeroOrOne:
      return value + 1
    case Table.twoBytes:
    case Table.twoBytesPositive:
      return value + 2
    case Table.fourBytes:
    case Table.fourBytesPositive:
      return value + 4
    case Table.variable: {
      let end = value
      while (bytes[end++]! >= 0x80);
      return end
    }
    case Table.pair:
      return endOfText(bytes, endOfText(bytes, value))
    default:
      return endOfText(bytes, value)
  }
}

const endOfText = (bytes: Uint8Array, position: number): number =>
  position + 2 + ((bytes[position]! << 8) | bytes[position + 1]!)
