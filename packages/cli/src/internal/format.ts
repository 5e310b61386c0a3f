/**
 * The forms in which `sub` prints a message. A message is one line in the forms `json` and `hex`; in the form `text` it
 * is the payload as it is, and a line feed.
 */
import type { Message } from "@effect-mqttx/core/Message"
import * as PeerText from "@effect-mqttx/core/PeerText"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"

export type Format = "text" | "json" | "hex"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

const textOf = (payload: Uint8Array): string | undefined => {
  try {
    return utf8.decode(payload)
  } catch {
    return undefined
  }
}

// Properties hold bytes, which JSON does not have.
const plain = (_: string, value: unknown): unknown => value instanceof Uint8Array ? Base64.encode(value) : value

/** A message as JSON: `payload` when the payload is UTF-8, otherwise `payloadBase64`. */
export const jsonOf = (message: Message): string => {
  const text = textOf(message.payload)
  // The identifiers are those of this session, and say nothing about the message.
  const { subscriptionIdentifiers: _, ...properties } = message.properties
  return JSON.stringify({
    topic: message.topic,
    qos: message.qos,
    retain: message.retain,
    receivedAt: new Date(message.receivedAt).toISOString(),
    ...(text === undefined ? { payloadBase64: Base64.encode(message.payload) } : { payload: text }),
    ...(Object.keys(properties).length > 0 && { properties })
  }, plain)
}

// What a publisher wrote must not move the cursor of a terminal or change its title.
// eslint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

const lenient = new TextDecoder()

/** What is printed of a message, its line feed included. */
export const formatMessage = (
  message: Message,
  options: { readonly format: Format; readonly withTopic: boolean; readonly isTerminal: boolean }
): string | Uint8Array => {
  if (options.format === "json") return `${jsonOf(message)}\n`
  const topic = options.withTopic ? `${PeerText.clean(message.topic, 65_535)} ` : ""
  if (options.format === "hex") return `${topic}${Hex.encode(message.payload)}\n`
  if (options.isTerminal) return `${topic}${lenient.decode(message.payload).replace(controls, "\ufffd")}\n`
  const head = encoder.encode(topic)
  const line = new Uint8Array(head.length + message.payload.length + 1)
  line.set(head)
  line.set(message.payload, head.length)
  line[line.length - 1] = 10
  return line
}
