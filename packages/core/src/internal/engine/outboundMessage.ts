/**
 * Outbound messages, the lists that contain them, and their weight and remaining expiry. It sends nothing:
 * `outbound.ts` and `outboundQueue.ts` use it.
 */
import type { Packet } from "../../Packet.ts"
import { type MessageProperties, none, type PublishProperties } from "../../Properties.ts"
import type { OutboundRecord } from "../../StoreRecord.ts"
import { readStoredPublish } from "../codec/decodePublish.ts"
import { deferredOf } from "../deferredLists.ts"
import { EncodedProperties } from "../encodedProperties.ts"
import { type QueuedRecord, QueuedRecords } from "../store/queuedRecords.ts"
import type { Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "./contract.ts"
import type { Suspect } from "./poison.ts"

const empty = new Uint8Array(0)

/**
 * One outbound message. It is its own list node, so that changing lists allocates nothing.
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
  /** Time of expiry; Infinity: never. */
  readonly expiresAt: number
  readonly bytes: number
  /** The connection on which it was sent last; 0: none. */
  connection = 0
  order = 0
  strikes = 0
  /** It was sent in a session that the server lost, and is queued again. */
  wasSent = false
  /** The connection whose limits it was checked against; 0: none. */
  checked = 0
  /** Reason code of PUBREC. */
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

  isExpired(now: number): boolean {
    return hasExpired(this.acceptedAt, this.expiresAt, now)
  }

  /** The server has the message: only the rest of the handshake remains. */
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

  /** Times in a record are milliseconds since the epoch. */
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

/** Whether a message has expired. One that expires at once is still sent at the moment of its acceptance. */
export const hasExpired = (acceptedAt: number, expiresAt: number, now: number): boolean =>
  now >= expiresAt && now > acceptedAt

type Stored = Pick<OutboundRecord, "payload" | "properties" | "qos" | "retain" | "topic">
type Times = Pick<QueuedRecord, "acceptedAt" | "sequence"> & { readonly expiresAt?: number | undefined }

/** A message of a store. `offset`: milliseconds that the times of records are ahead of those of inputs. */
export const storedMessage = (
  { payload, properties, qos, retain, topic }: Stored,
  { acceptedAt, expiresAt = Infinity, sequence }: Times,
  offset: number
): OutboundMessage => {
  const request: PublishRequest = {
    topic,
    payload,
    qos,
    retain,
    properties,
    topicAlias: 0,
    expiresAfter: undefined,
    origin: undefined
  }
  return new OutboundMessage(request, sequence, weigh(request), acceptedAt - offset, expiresAt - offset)
}

/** A queued message of a store that was kept as bytes. */
export const queuedMessage = (record: QueuedRecord, offset: number): OutboundMessage =>
  storedMessage(readStoredPublish(record.publish), record, offset)

/** What a store fills with queued messages while its records are loaded. */
export const makeQueuedRecords = (): QueuedRecords => new QueuedRecords(weigh)

/** Drops properties that belong to the connection of another session, from which the message came (MQTT 3.3.4). */
export const messageProperties = (properties: PublishProperties): MessageProperties => {
  if (properties.subscriptionIdentifiers === undefined && properties.topicAlias === undefined) return properties
  const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...rest } = properties
  return rest
}

// Two strings and the array that holds them: an empty user property takes as much memory as a short one.
const userPropertyBytes = 100
/** Their encoding, if the message has one of its own. */
const viewBytes = 100

/**
 * Weight of a message in the queue: topic, payload and properties, in bytes or UTF-16 units, plus the objects of user
 * properties.
 */
export const weigh = (
  { payload, properties, topic }: Pick<PublishRequest, "payload" | "properties" | "topic">
): number => {
  let bytes = payload.length + topic.length
  if (properties === none) return bytes
  bytes += (properties.contentType?.length ?? 0) + (properties.responseTopic?.length ?? 0) +
    (properties.correlationData?.length ?? 0)
  const deferred = deferredOf(properties)
  if (deferred !== undefined) return bytes + deferred.bytes.length
  const { userProperties } = properties
  const encoded = EncodedProperties.isShared(properties) ? undefined : EncodedProperties.bytesOf(properties)
  if (encoded !== undefined) bytes += viewBytes + encoded.length
  if (userProperties !== undefined) {
    for (const [name, value] of userProperties) bytes += userPropertyBytes + name.length + value.length
  }
  return bytes
}

/**
 * The properties of a message that has waited this many milliseconds. The Message Expiry Interval is reduced by the
 * wait, but is at least one second.
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
 * A doubly linked list of messages. A message is in at most one list.
 */
export class MessageList {
  head: OutboundMessage | undefined = undefined
  tail: OutboundMessage | undefined = undefined
  size = 0
  bytes = 0

  append(message: OutboundMessage): void {
    this.insertBefore(message, undefined)
  }

  /** Inserts before another message of this list, or at the end. */
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
 * Removes the PUBLISH packets of `messages` from packets that were not written. `sent` holds, in the same order, the
 * messages whose PUBLISH is among the packets for the first time; the function removes them there too.
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
