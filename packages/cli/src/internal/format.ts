/**
 * The forms in which `sub` prints a message. A message is one line in the forms `json` and `hex`; in the form `text` it
 * is the payload as it is, and a line feed.
 */
import type { Message } from "@effect-mqttx/core/Message"
import * as PeerText from "@effect-mqttx/core/PeerText"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import { type JsonPath, valueAt } from "./jsonPath.ts"

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

/** The payload in JSON: `payload` when it is UTF-8, otherwise `payloadBase64`. */
export const payloadFields = (payload: Uint8Array): { payload: string } | { payloadBase64: string } => {
  const text = textOf(payload)
  return text === undefined ? { payloadBase64: Base64.encode(payload) } : { payload: text }
}

/** A message as JSON, with its payload or with something else in its place. */
export const jsonOf = (message: Message, content: object = payloadFields(message.payload)): string => {
  // Identifiers and aliases are those of this session, and say nothing about the message.
  const { subscriptionIdentifiers: _, topicAlias: __, ...properties } = message.properties
  return JSON.stringify({
    topic: message.topic,
    qos: message.qos,
    retain: message.retain,
    receivedAt: new Date(message.receivedAt).toISOString(),
    ...content,
    ...(Object.keys(properties).length > 0 && { properties })
  }, plain)
}

// What a publisher wrote must not move the cursor of a terminal or change its title.
// eslint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

const lenient = new TextDecoder()

/** What is printed of a payload, its line feed included, behind this text. */
export const formatPayload = (
  payload: Uint8Array,
  options: { readonly format: "text" | "hex"; readonly before: string; readonly isTerminal: boolean }
): string | Uint8Array => {
  const { before } = options
  if (options.format === "hex") return `${before}${Hex.encode(payload)}\n`
  if (options.isTerminal) return `${before}${lenient.decode(payload).replace(controls, "\ufffd")}\n`
  const head = encoder.encode(before)
  const line = new Uint8Array(head.length + payload.length + 1)
  line.set(head)
  line.set(payload, head.length)
  line[line.length - 1] = 10
  return line
}

interface MessageForm {
  readonly format: Format
  readonly withTopic: boolean
  readonly isTerminal: boolean
}

const beforeOf = (message: Message, { withTopic }: MessageForm): string =>
  withTopic ? `${PeerText.clean(message.topic, 65_535)} ` : ""

/** What is printed of a message, its line feed included. */
export const formatMessage = (message: Message, form: MessageForm): string | Uint8Array => {
  const { format, isTerminal } = form
  if (format === "json") return `${jsonOf(message)}\n`
  return formatPayload(message.payload, { format, before: beforeOf(message, form), isTerminal })
}

/** The value at a path of a JSON payload; undefined: there is none. */
const valueIn = (payload: Uint8Array, path: JsonPath): unknown => {
  try {
    return valueAt(JSON.parse(utf8.decode(payload)), path)
  } catch {
    return undefined
  }
}

/** The same of the value at a path of its payload; undefined: it has none. */
export const formatValue = (message: Message, path: JsonPath, form: MessageForm): string | Uint8Array | undefined => {
  const value = valueIn(message.payload, path)
  if (value === undefined) return undefined
  const { format, isTerminal } = form
  if (format === "json") return `${jsonOf(message, { value })}\n`
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return formatPayload(encoder.encode(text), { format, before: beforeOf(message, form), isTerminal })
}
