/**
 * Outbound messages and the lists that they stand in.
 */
import type { Packet } from "../../Packet.ts"
import { type MessageProperties, none, type PublishProperties } from "../../Properties.ts"
import type { OutboundRecord } from "../../StoreRecord.ts"
import { deferredOf } from "../deferredLists.ts"
import type { Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "./contract.ts"
import type { Suspect } from "./poison.ts"

const empty = new Uint8Array(0)

/**
 * One outbound message, which is its own list node: no allocation when it moves on.
 */
export class OutboundMessage implements Outbound, Suspect {
  request: PublishRequest
  readonly sequence: number
  state: "queued" | "publishing" | "releasing" | "settled" = "queued"
  packetIdentifier = 0
  outcome: PublishOutcome | undefined = undefined
  owner: OutboundOwner | undefined = undefined

  properties: MessageProperties
  readonly acceptedAt: number
  /** Infinity: never. */
  readonly expiresAt: number
  readonly bytes: number
  /** The connection on which it was sent last, 0: none. */
  connection = 0
  order = 0
  strikes = 0
  /** It was sent in a session that the server has lost, and is queued again. */
  wasSent = false
  /** The connection whose limits it has passed, 0: none. */
  checked = 0
  /** What PUBREC said. */
  reasonCode = 0
  reasonString: string | undefined = undefined

  list: MessageList | undefined = undefined
  previous: OutboundMessage | undefined = undefined
  next: OutboundMessage | undefined = undefined

  constructor(request: PublishRequest, sequence: number, bytes: number, acceptedAt: number, expiresAt: number) {
    this.request = request
    this.sequence = sequence
    this.bytes = bytes
    this.acceptedAt = acceptedAt
    this.expiresAt = expiresAt
    this.properties = messageProperties(request.properties)
  }

  /** Whether it is not worth sending any more. What expires at once is still worth the moment of its acceptance. */
  isExpired(now: number): boolean {
    return now >= this.expiresAt && now > this.acceptedAt
  }

  /** The server has the message: only the handshake is left. */
  dropPayload(): void {
    const { qos, retain, topic } = this.request
    this.request = {
      topic,
      payload: empty,
      qos,
      retain,
      properties: none,
      topicAlias: 0,
      expiresAfter: undefined,
      origin: undefined
    }
    this.properties = none
  }

  /** Times in a record are those of the wall clock. */
  toRecord(
    epochOffset: number,
    state: OutboundRecord["state"] = this.state === "settled" ? "queued" : this.state
  ): OutboundRecord {
    const { payload, qos, retain, topic } = this.request
    return {
      _tag: "Outbound",
      sequence: this.sequence,
      state,
      packetIdentifier: this.packetIdentifier,
      topic,
      payload,
      qos,
      retain,
      properties: this.properties,
      acceptedAt: Math.round(this.acceptedAt + epochOffset),
      expiresAt: this.expiresAt === Infinity ? undefined : Math.round(this.expiresAt + epochOffset)
    }
  }
}

// A message that was received from another session may carry what belongs to that session's connection (MQTT 3.3.4).
const messageProperties = (properties: PublishProperties): MessageProperties => {
  if (properties.subscriptionIdentifiers === undefined && properties.topicAlias === undefined) return properties
  const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...rest } = properties
  return rest
}

// Two strings and the array that holds them: an empty user property takes as much memory as a short one.
const userPropertyBytes = 100

/**
 * What a message weighs in the queue: topic, payload and properties, in bytes or UTF-16 units, with the objects of user
 * properties.
 */
export const weigh = ({ payload, properties, topic }: PublishRequest): number => {
  let bytes = payload.length + topic.length
  if (properties === none) return bytes
  bytes += (properties.contentType?.length ?? 0) + (properties.responseTopic?.length ?? 0) +
    (properties.correlationData?.length ?? 0)
  const deferred = deferredOf(properties)
  if (deferred !== undefined) return bytes + deferred.bytes.length
  const { userProperties } = properties
  if (userProperties !== undefined) {
    for (const [name, value] of userProperties) bytes += userPropertyBytes + name.length + value.length
  }
  return bytes
}

/**
 * The properties of a message that has waited so many milliseconds: the server must not take it for a younger one than
 * it is; what is sent at all lives a second at least.
 */
export const withRemainingExpiry = (
  properties: MessageProperties,
  interval: number,
  waited: number
): MessageProperties => {
  const seconds = Math.floor(waited / 1000)
  return seconds <= 0 ? properties : { ...properties, messageExpiryInterval: Math.max(1, interval - seconds) }
}

/**
 * A doubly linked list of messages; a message stands in one list at most.
 */
export class MessageList {
  head: OutboundMessage | undefined = undefined
  tail: OutboundMessage | undefined = undefined
  size = 0
  bytes = 0

  append(message: OutboundMessage): void {
    this.insertBefore(message, undefined)
  }

  /** Before another message of this list, or at the end. */
  insertBefore(message: OutboundMessage, next: OutboundMessage | undefined): void {
    const previous = next === undefined ? this.tail : next.previous
    message.list = this
    message.previous = previous
    message.next = next
    if (previous === undefined) this.head = message
    else previous.next = message
    if (next === undefined) this.tail = message
    else next.previous = message
    this.size++
    this.bytes += message.bytes
  }

  remove(message: OutboundMessage): void {
    const { next, previous } = message
    if (previous === undefined) this.head = next
    else previous.next = next
    if (next === undefined) this.tail = previous
    else next.previous = previous
    message.list = undefined
    message.previous = undefined
    message.next = undefined
    this.size--
    this.bytes -= message.bytes
  }
}

/**
 * Removes the PUBLISH packets of some messages from packets that have not been written. `sent` are the messages whose
 * PUBLISH is among them for the first time, in the same order, and loses them too.
 */
export const removePublishes = (
  packets: Array<Packet>,
  sent: Array<OutboundMessage>,
  unwanted: ReadonlySet<OutboundMessage>
): void => {
  const identifiers = new Set<number>()
  for (const { packetIdentifier, state } of unwanted) if (state === "publishing") identifiers.add(packetIdentifier)
  let kept = 0
  let first = 0
  for (const packet of packets) {
    if (packet._tag === "Publish") {
      const message = packet.dup ? undefined : sent[first++]
      if (message === undefined ? identifiers.has(packet.packetIdentifier) : unwanted.has(message)) continue
    }
    packets[kept++] = packet
  }
  packets.length = kept
  first = 0
  for (const message of sent) if (!unwanted.has(message)) sent[first++] = message
  sent.length = first
}
