/**
 * How the inbox knows a message again: the row that a delivery takes, and the value by which a redelivery has the same
 * row. It reads no database.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { PublishProperties } from "@effect-mqttx/core/Properties"
import { createHash, type Hash } from "node:crypto"
import { hashOf, textOf } from "../names.ts"

/** A delivery takes the row of its packet identifier, which the next message under that identifier takes over. */
export interface DeliveryEntry {
  readonly _tag: "Delivery"
  /** The hash of the consumer's name and the session's. */
  readonly owner: Uint8Array
  readonly packetIdentifier: number
  readonly value: Uint8Array
}

/** A message with a key of its publisher takes a row of its own. */
export interface KeyEntry {
  readonly _tag: "Key"
  /** The hash of the consumer's name. */
  readonly owner: Uint8Array
  readonly hash: Uint8Array
}

export type Entry = DeliveryEntry | KeyEntry

/** The entry of a message; undefined for QoS 0 without a key, which is never sent again. */
export const entryOf = (consumer: string, message: Message, key: string | undefined): Entry | undefined => {
  const name = textOf(consumer)
  if (key !== undefined) return { _tag: "Key", owner: hashOf(name), hash: hashOf(textOf(key)) }
  const { packetIdentifier, qos, session, use } = message
  if (qos === 0 || packetIdentifier === 0) return undefined
  return {
    _tag: "Delivery",
    // No text of a name has a NUL.
    owner: hashOf(`${name}\0${textOf(session)}`),
    packetIdentifier,
    value: use === undefined ? digestOf(message) : hashOf(`use ${use}`)
  }
}

/**
 * The digest of what a server must repeat when it sends a message again. It may count the expiry interval down, and set
 * topic aliases and subscription identifiers otherwise. A new session of the server sends nothing of the one before.
 */
const digestOf = ({ payload, properties, serverSession, topic }: Message): Uint8Array => {
  const hash = createHash("sha256")
  add(hash, serverSession)
  add(hash, topic)
  add(hash, payload)
  addProperties(hash, properties)
  return hash.digest()
}

const addProperties = (hash: Hash, properties: PublishProperties): void => {
  const { contentType, correlationData, payloadFormatIndicator, responseTopic, userProperties } = properties
  if (payloadFormatIndicator !== undefined) addNamed(hash, "payloadFormatIndicator", `${payloadFormatIndicator}`)
  if (contentType !== undefined) addNamed(hash, "contentType", contentType)
  if (responseTopic !== undefined) addNamed(hash, "responseTopic", responseTopic)
  if (correlationData !== undefined) addNamed(hash, "correlationData", correlationData)
  for (const [name, value] of userProperties ?? []) {
    addNamed(hash, "userProperty", name)
    add(hash, value)
  }
}

const addNamed = (hash: Hash, name: string, value: string | Uint8Array): void => {
  add(hash, name)
  add(hash, value)
}

/** With its length, so that two fields are never taken for one. */
const add = (hash: Hash, value: string | Uint8Array): void => {
  const bytes = typeof value === "string" ? Buffer.from(value) : value
  hash.update(`${bytes.length}:`).update(bytes)
}
