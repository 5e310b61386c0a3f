/**
 * All outbound messages without an outcome: the queue, the messages on their way, their packet identifiers and their
 * records. It sends nothing. `outbound.ts` and the parts of the sender change it.
 */
import { type OriginKey, originKey, outboundKey, type OutboundRecord } from "../../StoreRecord.ts"
import type { QueuedRecords } from "../store/queuedRecords.ts"
import type { PublishOutcome, PublishRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import { MessageList, OutboundMessage, storedMessage } from "./outboundMessage.ts"
import { OutboundQueue } from "./outboundQueue.ts"

export class OutboundMessages {
  readonly #core: EngineCore
  readonly identifiers: PacketIdentifiers<unknown>
  readonly queue: OutboundQueue
  /** Sent and not acknowledged: QoS 1 until PUBACK, QoS 2 until PUBREC. In the order of first transmission. */
  readonly publishing = new MessageList()
  /** QoS 2 between PUBREC and PUBCOMP, in the order of the PUBRECs. */
  readonly releasing = new MessageList()
  /** Messages that were given up after transmission: the server may still use their packet identifiers. */
  #quarantined: Set<OutboundMessage> | undefined = undefined
  #sequence = 1

  constructor(core: EngineCore, identifiers: PacketIdentifiers<unknown>) {
    this.#core = core
    this.identifiers = identifiers
    this.queue = new OutboundQueue(core, this.publishing)
  }

  get inflight(): number {
    return this.publishing.size + this.releasing.size
  }

  /** The sequence number of the next message. */
  get nextSequence(): number {
    return this.#sequence
  }

  /** Takes the next sequence number. */
  reserve(): number {
    return this.#sequence++
  }

  /** A new message, which is in no list yet. */
  make(request: PublishRequest, bytes: number, now: number, sequence = this.reserve()): OutboundMessage {
    return new OutboundMessage(request, sequence, bytes, now, this.#expiryOf(request, now))
  }

  restore(records: ReadonlyArray<OutboundRecord>, queued: QueuedRecords | undefined): void {
    for (const record of [...records].sort((a, b) => a.sequence - b.sequence)) {
      const { packetIdentifier, sequence } = record
      const message = storedMessage(record, record, this.#core.epochOffset)
      if (sequence >= this.#sequence) this.#sequence = sequence + 1
      if (record.state === "queued") {
        this.queue.append(message)
        continue
      }
      message.packetIdentifier = packetIdentifier
      this.identifiers.reserve(packetIdentifier, message)
      if (record.state === "quarantined") {
        message.state = "settled"
        this.#quarantined ??= new Set()
        this.#quarantined.add(message)
        continue
      }
      message.state = record.state
      const list = record.state === "publishing" ? this.publishing : this.releasing
      list.append(message)
    }
    if (queued === undefined) return
    this.#sequence = Math.max(this.#sequence, queued.last + 1)
    this.queue.restore(queued)
  }

  /** Makes a message look as if it was never sent. */
  unsend(message: OutboundMessage): OutboundMessage {
    this.identifiers.release(message.packetIdentifier)
    message.packetIdentifier = 0
    message.state = "queued"
    return message
  }

  /** Returns messages to the queue, unless they have expired. */
  putBack(messages: ReadonlyArray<OutboundMessage>, now: number): void {
    if (messages.length === 0) return
    this.queue.putBack(messages)
    for (const message of messages) {
      if (message.isExpired(now)) this.queue.expire(message)
      else this.put(message)
    }
  }

  /** Settles a message that had a packet identifier. */
  complete(message: OutboundMessage, outcome: PublishOutcome): void {
    this.identifiers.release(message.packetIdentifier)
    this.delete(message)
    this.finish(message, outcome)
  }

  finish(message: OutboundMessage, outcome: PublishOutcome): void {
    message.state = "settled"
    message.outcome = outcome
    this.#core.output.settled.push(message)
  }

  /**
   * Settles a message that was sent and may have arrived. Its packet identifier stays in use while the server has the
   * session: the server could take another message under the identifier for this one.
   */
  quarantine(message: OutboundMessage, outcome: PublishOutcome): void {
    message.dropPayload()
    this.#quarantined ??= new Set()
    this.#quarantined.add(message)
    if (this.#core.options.durable) this.#core.put(message.toRecord(this.#core.epochOffset, "quarantined"))
    this.finish(message, outcome)
  }

  /** The server has answered for a message in quarantine: its packet identifier is free. */
  endQuarantine(message: OutboundMessage): undefined {
    this.#quarantined?.delete(message)
    this.identifiers.release(message.packetIdentifier)
    this.delete(message)
    return undefined
  }

  /** The server has no session, hence uses no packet identifier. */
  endQuarantines(): void {
    for (const message of this.#quarantined ?? []) this.endQuarantine(message)
    this.#quarantined = undefined
  }

  put(message: OutboundMessage): void {
    if (this.#core.options.durable) this.#core.put(message.toRecord(this.#core.epochOffset))
  }

  delete(message: OutboundMessage): void {
    if (this.#core.options.durable) this.#core.delete(outboundKey(message.sequence))
  }

  #expiryOf({ expiresAfter = Infinity, properties }: PublishRequest, now: number): number {
    const { expiresAfter: limit = Infinity } = this.#core.options.queue
    return now + Math.min(expiresAfter, limit, (properties.messageExpiryInterval ?? Infinity) * 1000)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { quarantined: this.#quarantined, sequence: this.#sequence }
  }

  set privateState(state) {
    this.#quarantined = state.quarantined
    this.#sequence = state.sequence
  }
}

// The records of the inbound messages from which a message was made: of one, or of all messages of a batch.
type Origin = NonNullable<PublishRequest["origin"]>

const listOf = (origin: Origin): ReadonlyArray<OriginKey> =>
  Array.isArray(origin) ? origin as ReadonlyArray<OriginKey> : [origin as OriginKey]

export const putOrigins = (core: EngineCore, origin: Origin): void => {
  for (const each of listOf(origin)) core.put({ _tag: "Origin", origin: each })
}

export const originKeys = (origin: Origin): ReadonlyArray<string> => listOf(origin).map(originKey)
