/**
 * The marks of a dead letter, and the recognition of one. Handlers, streams, routes and forwarders share them.
 *
 * On MQTT 5 the marks are user properties: `mqttx-session` (the session that received the message), `mqttx-topic` (its
 * topic; one property for each time that it became a dead letter, the first one first) and `mqttx-error` (the reason).
 * A message on MQTT 3.1.1 has no properties, so the process remembers digests of the dead letters that it published
 * recently. This module publishes nothing and counts nothing.
 */
import type { Message } from "../Message.ts"
import type { MessageProperties, UserProperty } from "../Properties.ts"
import { digest } from "./digest.ts"
import * as Topic from "./topics.ts"

const sessionProperty = "mqttx-session"
const topicProperty = "mqttx-topic"
const errorProperty = "mqttx-error"

/** The number of dead letters that are remembered for MQTT 3.1.1, and the longest remembered topics of one. */
const remembered = 4096
const longestTopics = 1024

/** The topics of dead letters by server, topic and payload, oldest first. */
const memory = new Map<string, ReadonlyArray<string>>()

/**
 * The properties that belong to a message itself, without those of its delivery.
 */
export const carriedProperties = ({ properties }: Message): MessageProperties => {
  const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...carried } = properties
  return carried
}

/**
 * The properties of the dead letter of a message: those that it carries, and the marks.
 *
 * @param topics of the message, see `topicsBehind`
 * @param more user properties before the marks
 */
export const deadLetterProperties = (
  message: Message,
  topics: ReadonlyArray<string>,
  detail: string,
  more: ReadonlyArray<UserProperty> = []
): MessageProperties => {
  const carried = carriedProperties(message)
  const own = carried.userProperties ?? []
  return {
    ...carried,
    userProperties: [
      ...(isMarked(own) ? own.filter(([name]) => !isMark(name)) : own),
      ...more,
      [sessionProperty, message.session],
      ...topics.map((topic): UserProperty => [topicProperty, topic]),
      [topicProperty, message.topic],
      [errorProperty, printable(detail)]
    ]
  }
}

/**
 * The topics on which a message was received and became a dead letter, before it arrived on its present topic. Empty
 * for a message that is no dead letter.
 *
 * A dead letter that is published again on a topic where it has been is a new attempt: the topics after that one do not
 * count.
 */
export const topicsBehind = (message: Message, servers: string): ReadonlyArray<string> => {
  const { topic } = message
  const own = message.properties.userProperties
  const topics = own !== undefined && isMarked(own)
    ? own.filter(([name]) => name === topicProperty).map(([, value]) => value)
    : memory.size === 0
    ? []
    : memory.get(keyOf(servers, topic, message.payload)) ?? []
  const again = topics.indexOf(topic)
  return again === -1 ? topics : topics.slice(0, again)
}

/**
 * Remembers a dead letter that was published to a server, for receivers that cannot see its marks.
 */
export const remember = (servers: string, topic: string, payload: Uint8Array, topics: ReadonlyArray<string>): void => {
  if (topics.reduce((length, each) => length + each.length, 0) > longestTopics) return
  const key = keyOf(servers, topic, payload)
  memory.delete(key)
  memory.set(key, topics)
  if (memory.size > remembered) memory.delete(memory.keys().next().value!)
}

/**
 * Whether the dead letter of a message would return to its origin: to the topic that the message is on now or was on
 * before, or to a consumer of these filters that has already received the message on an earlier topic.
 */
export const comesBack = (
  message: Message,
  topics: ReadonlyArray<string>,
  filters: ReadonlyArray<string>,
  deadLetterTopic: string
): boolean =>
  message.topic === deadLetterTopic ||
  topics.some((topic) => topic === deadLetterTopic || filters.some((filter) => Topic.matches(filter, topic)))

const isMark = (name: string): boolean => name === sessionProperty || name === topicProperty || name === errorProperty

const isMarked = (userProperties: ReadonlyArray<UserProperty>): boolean => {
  for (let i = 0; i < userProperties.length; i++) if (userProperties[i]![0] === errorProperty) return true
  return false
}

const keyOf = (servers: string, topic: string, payload: Uint8Array): string => `${digest(topic, payload)} ${servers}`

const unprintable = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Replaces what an MQTT string cannot contain (MQTT 1.5.4). */
export const printable = (text: string): string =>
  text.slice(0, 1024).replace(unprintable, "\ufffd").replaceAll("\0", "\ufffd")
