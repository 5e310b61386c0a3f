/**
 * The encoded forms of repeated topic names, length included, so that a publish does not validate and encode its topic
 * again.
 */
import { measureUtf8 } from "../utf8String.ts"
import { writeUtf8 } from "./utf8.ts"

const maximumTopics = 1024
const maximumLength = 256
// After this many unknown topics a full cache is cleared for a new working set.
const patience = 4096

// Shared by all encoders of the process: a topic has the same bytes in every session and in both versions.
const known = new Map<string, Uint8Array>()
let missed = 0

// The topic that was asked for last: a message that is written at once is checked and encoded with one look-up.
let lastTopic = ""
let lastEncoding: Uint8Array | undefined

/** Whether this is a valid topic name whose encoding is here. False says nothing. It accepts values of any type. */
export const isKnownTopic = (topic: string): boolean => {
  const bytes = known.get(topic)
  if (bytes === undefined) return false
  lastTopic = topic
  lastEncoding = bytes
  return true
}

/**
 * The bytes of a valid topic name. Undefined for an invalid name, for one that is too long to keep, and when there is
 * no space. The bytes must not be written to.
 */
export const topicEncoding = (topic: string): Uint8Array | undefined => {
  const bytes = topic === lastTopic ? lastEncoding : known.get(topic)
  if (bytes !== undefined) {
    return bytes
  }
  if (topic.length > maximumLength || !mayKeep()) {
    return undefined
  }
  const size = topic === "" || topic.includes("#") || topic.includes("+") ? -1 : measureUtf8(topic)
  if (size < 0) {
    return undefined
  }
  const encoded = new Uint8Array(size + 2)
  encoded[0] = size >>> 8
  encoded[1] = size
  writeUtf8(encoded, 2, topic, size)
  known.set(topic, encoded)
  return encoded
}

const mayKeep = (): boolean => {
  if (known.size < maximumTopics) {
    return true
  }
  if (++missed < patience) {
    return false
  }
  missed = 0
  known.clear()
  return true
}
