/**
 * Limits how much of a message the regular expressions of users see. Any publisher chooses the text, and the cost of an
 * expression may grow with the square of its length.
 */
import type { Message } from "../Message.ts"

/** Bytes of a payload. */
export const longestPayload = 65_536

/** UTF-16 code units of a topic name, which may have 65,535. */
export const longestTopic = 4096

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** The payload as text, cut to what an expression sees. */
export const payloadText = (message: Message): string =>
  message.payload.length <= longestPayload
    ? message.text
    : utf8.decode(message.payload.subarray(0, longestPayload))

/** The topic name, cut to what an expression sees. */
export const topicText = (message: Message): string =>
  message.topic.length <= longestTopic ? message.topic : message.topic.slice(0, longestTopic)
