/**
 * The queue of accepted messages that were not sent: one order for all, bounds, and a policy for a full queue. It sends
 * nothing: `outbound.ts` takes messages out.
 */
import { Dropped, Expired, type MqttErrorReason, QueueFull } from "../../MqttError.ts"
import { outboundKey } from "../../StoreRecord.ts"
import type { QueuedRecord, QueuedRecords } from "../store/queuedRecords.ts"
import type { Admission, EngineEvent } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import { hasExpired, MessageList, type OutboundMessage, queuedMessage } from "./outboundMessage.ts"
import { failed } from "./publishOutcome.ts"

type DropReason = Extract<EngineEvent, { readonly _tag: "OutboundDropped" }>["reason"]

const full: Admission = Object.freeze({ _tag: "Full" })

// Minimum milliseconds between two scans for expired messages. A message also expires when its turn comes.
const expiryInterval = 1000

/** Shared, because errors are costly to make and this one does not depend on the message. */
const expired = new Expired({})

/**
 * The queue. Its bounds apply to new messages; messages that come back from a lost connection are always taken.
 */
export class OutboundQueue {
  readonly #core: EngineCore
  /** Sent messages without acknowledgement count against the bytes of the queue. */
  readonly #unacknowledged: MessageList
  readonly #list = new MessageList()
  /**
   * Messages of the store that are kept as bytes. Those of the list with a lower sequence number precede them, and the
   * others follow. Undefined: there are none.
   */
  #stored: QueuedRecords | undefined = undefined
  /** Milliseconds that the times of these are ahead of those of inputs. */
  #offset = 0
  #byTopic: Map<string, OutboundMessage> | undefined
  // Shared like `expired`.
  #dropped: Dropped | undefined
  #refused = false
  #shrunk = false
  /** No queued message expires earlier. */
  #earliest = Infinity
  #lastScan = -Infinity

  constructor(core: EngineCore, unacknowledged: MessageList) {
    this.#core = core
    this.#unacknowledged = unacknowledged
    const { policy } = core.options.queue
    this.#byTopic = policy === "latestPerTopic" ? new Map() : undefined
  }

  get #droppedReason(): Dropped {
    return this.#dropped ??= new Dropped({ policy: this.#core.options.queue.policy })
  }

  get head(): OutboundMessage | undefined {
    if (this.#stored !== undefined) this.#unpackHead(this.#stored)
    return this.#list.head
  }

  get size(): number {
    return this.#stored === undefined ? this.#list.size : this.#list.size + this.#stored.size
  }

  get bytes(): number {
    return this.#stored === undefined ? this.#list.bytes : this.#list.bytes + this.#stored.weight
  }

  /** When the first message was accepted; undefined: the queue is empty. */
  get acceptedAt(): number | undefined {
    const { head } = this.#list
    const first = this.#stored?.first
    return first === undefined || (head !== undefined && head.sequence < first.sequence)
      ? head?.acceptedAt
      : first.acceptedAt - this.#offset
  }

  /** A publisher was told `Full`, and not yet that there is space. */
  get isFull(): boolean {
    return this.#refused
  }

  /** Makes room for a message of this topic and weight according to the policy; undefined: it may be added. */
  admit(topic: string, bytes: number): Admission | undefined {
    const { policy } = this.#core.options.queue
    if (this.#byTopic !== undefined) {
      const older = this.#byTopic.get(topic)
      if (older !== undefined) this.#settle(older, "latestPerTopic")
    }
    if (this.#hasRoom(bytes)) return undefined
    switch (policy) {
      case "suspend":
        this.#refused = true
        this.#shrunk = false
        return full
      case "fail":
        return { _tag: "Refused", reason: new QueueFull({ messages: this.size, bytes: this.bytes }) }
      case "dropNewest":
        this.#core.emit({ _tag: "OutboundDropped", topic, reason: "dropNewest" })
        return { _tag: "Refused", reason: this.#droppedReason }
      case "dropOldest":
      case "latestPerTopic":
        while (!this.#hasRoom(bytes)) this.#settle(this.head!, policy)
        return undefined
    }
  }

  /** Adds the messages of the store that are kept as bytes. */
  restore(records: QueuedRecords): void {
    if (records.size === 0) return
    this.#stored = records
    this.#offset = this.#core.epochOffset
    this.#earliest = Math.min(this.#earliest, records.earliest - this.#offset)
    // The latest message of each topic must be known. A store that gives some messages as objects may give any.
    if (this.#byTopic !== undefined || this.#list.size > 0) this.unpack(Infinity)
  }

  /** Makes objects of all messages that are kept as bytes; false: there are more than `limit`, and nothing is done. */
  unpack(limit: number): boolean {
    const stored = this.#stored
    if (stored === undefined) return true
    if (stored.size > limit) return false
    this.#stored = undefined
    this.putBack(Array.from(stored, (record) => queuedMessage(record, this.#offset)))
    return true
  }

  /** Fails the messages that are kept as bytes, as one: a session that ends makes no objects of them. */
  abandonStored(reason: MqttErrorReason): void {
    const stored = this.#stored
    if (stored === undefined) return
    this.#stored = undefined
    const { topic } = queuedMessage(stored.first!, 0).request
    this.#core.emit({ _tag: "OrphanFailed", topic, reason, count: stored.size })
  }

  append(message: OutboundMessage): void {
    this.#insert(message, undefined)
  }

  /**
   * Returns messages to the queue, each before the first one that was accepted later. Both are in the order of
   * acceptance.
   */
  putBack(messages: ReadonlyArray<OutboundMessage>): void {
    // Messages are sent in their order, so what comes back precedes what waits.
    const first = this.#stored?.first
    if (first !== undefined && messages.some(({ sequence }) => sequence > first.sequence)) this.unpack(Infinity)
    let next = this.#list.head
    for (const message of messages) {
      while (next !== undefined && next.sequence < message.sequence) next = next.next
      this.#insert(message, next)
    }
  }

  remove(message: OutboundMessage): void {
    this.#list.remove(message)
    this.#shrunk = true
    if (this.size === 0) this.#earliest = Infinity
    if (this.#byTopic?.get(message.request.topic) === message) this.#byTopic.delete(message.request.topic)
  }

  has(message: OutboundMessage): boolean {
    return message.list === this.#list
  }

  expire(message: OutboundMessage): void {
    this.#settle(message, "expired")
  }

  /** The time of the next scan for expired messages. */
  nextDeadline(): number | undefined {
    return this.#earliest === Infinity ? undefined : Math.max(this.#earliest, this.#lastScan + expiryInterval)
  }

  tick(now: number): void {
    const deadline = this.nextDeadline()
    if (deadline === undefined || now < deadline) return
    this.#lastScan = now
    this.#earliest = Infinity
    let stored = this.#stored
    let message = this.#list.head
    for (;;) {
      if (stored !== undefined && (message === undefined || message.sequence > stored.first!.sequence)) {
        this.#expireStored(stored, now)
        stored = undefined
      }
      if (message === undefined) return
      const next: OutboundMessage | undefined = message.next
      if (message.isExpired(now)) this.expire(message)
      else if (message.expiresAt < this.#earliest) this.#earliest = message.expiresAt
      message = next
    }
  }

  /**
   * Whether publishers that were told `Full` should try again. An eighth of the queue must be free, so that they do not
   * wake up for a single place, and the queue must have shrunk since.
   */
  takeSpaceAvailable(): boolean {
    if (!this.#refused || !this.#shrunk) return false
    const { bytes, messages } = this.#core.options.queue
    if (this.size > 0 && (this.size > messages * 0.875 || this.#total > bytes * 0.875)) return false
    this.#refused = false
    return true
  }

  // A message that is larger than the whole queue may pass through an empty one.
  #hasRoom(bytes: number): boolean {
    const { queue } = this.#core.options
    return this.size === 0 || (this.size < queue.messages && this.#total + bytes <= queue.bytes)
  }

  get #total(): number {
    return this.bytes + this.#unacknowledged.bytes
  }

  /** Makes an object of the first message, if that is kept as bytes. */
  #unpackHead(stored: QueuedRecords): void {
    const { head } = this.#list
    if (head !== undefined && head.sequence < stored.first!.sequence) return
    this.#list.insertBefore(queuedMessage(stored.take()!, this.#offset), head)
    this.#dropEmpty(stored)
  }

  #expireStored(stored: QueuedRecords, now: number): void {
    const offset = this.#offset
    const visit = (record: QueuedRecord): void => {
      this.#list.insertBefore(queuedMessage(record, offset), this.#list.head)
      this.expire(this.#list.head!)
    }
    stored.takeExpired(
      (acceptedAt, expiresAt) => hasExpired(acceptedAt - offset, expiresAt - offset, now),
      visit
    )
    this.#earliest = Math.min(this.#earliest, stored.earliest - offset)
    this.#dropEmpty(stored)
  }

  #dropEmpty(stored: QueuedRecords): void {
    if (stored.size === 0) this.#stored = undefined
  }

  #insert(message: OutboundMessage, next: OutboundMessage | undefined): void {
    this.#list.insertBefore(message, next)
    if (message.expiresAt < this.#earliest) this.#earliest = message.expiresAt
    if (this.#byTopic === undefined) return
    const { topic } = message.request
    if ((this.#byTopic.get(topic)?.sequence ?? 0) < message.sequence) this.#byTopic.set(topic, message)
  }

  #settle(message: OutboundMessage, reason: DropReason): void {
    const core = this.#core
    this.remove(message)
    message.state = "settled"
    message.outcome = failed(reason === "expired" ? expired : this.#droppedReason)
    core.discard(message)
    core.emit({ _tag: "OutboundDropped", topic: message.request.topic, reason })
    if (core.options.durable) core.delete(outboundKey(message.sequence))
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      list: this.#list,
      byTopic: this.#byTopic,
      refused: this.#refused,
      shrunk: this.#shrunk,
      earliest: this.#earliest,
      lastScan: this.#lastScan
    }
  }

  set privateState(state) {
    this.#byTopic = state.byTopic
    this.#refused = state.refused
    this.#shrunk = state.shrunk
    this.#earliest = state.earliest
    this.#lastScan = state.lastScan
  }
}
