/**
 * The queue of accepted messages that have not been sent: one order for all, bounded, with a policy for when it is
 * full.
 */
import { Dropped, Expired, QueueFull } from "../../MqttError.ts"
import { outboundKey } from "../../StoreRecord.ts"
import type { Admission, EngineEvent } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import { MessageList, type OutboundMessage } from "./outboundMessage.ts"
import { failed } from "./publishOutcome.ts"

type DropReason = Extract<EngineEvent, { readonly _tag: "OutboundDropped" }>["reason"]

const full: Admission = Object.freeze({ _tag: "Full" })

// Queued messages expire at their place in the queue or by this interval, whichever comes first.
const expiryInterval = 1000

/**
 * The queue. Its bounds hold for what is added; what comes back from a lost connection is always taken.
 */
const expired = new Expired({})

export class OutboundQueue {
  readonly #core: EngineCore
  /** What was sent and is not acknowledged takes its part of the bytes. */
  readonly #unacknowledged: MessageList
  readonly #list = new MessageList()
  readonly #byTopic: Map<string, OutboundMessage> | undefined
  // Errors are costly to make, and this one and `expired` say nothing about the single message.
  #dropped: Dropped | undefined
  #refused = false
  #shrunk = false
  /** No queued message expires before. */
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
    return this.#list.head
  }

  get size(): number {
    return this.#list.size
  }

  get bytes(): number {
    return this.#list.bytes
  }

  /**
   * Makes room for a message of this topic and weight by the policy; undefined: it may be added.
   */
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
        return { _tag: "Refused", reason: new QueueFull({ messages: this.size, bytes: this.#list.bytes }) }
      case "dropNewest":
        this.#core.emit({ _tag: "OutboundDropped", topic, reason: "dropNewest" })
        return { _tag: "Refused", reason: this.#droppedReason }
      case "dropOldest":
      case "latestPerTopic":
        while (!this.#hasRoom(bytes)) this.#settle(this.#list.head!, policy)
        return undefined
    }
  }

  append(message: OutboundMessage): void {
    this.#insert(message, undefined)
  }

  /**
   * Puts messages back that had left the queue: each before the first one that was accepted later. Both sides are in
   * the order of acceptance.
   */
  putBack(messages: ReadonlyArray<OutboundMessage>): void {
    let next = this.#list.head
    for (const message of messages) {
      while (next !== undefined && next.sequence < message.sequence) next = next.next
      this.#insert(message, next)
    }
  }

  remove(message: OutboundMessage): void {
    this.#list.remove(message)
    this.#shrunk = true
    if (this.#list.size === 0) this.#earliest = Infinity
    if (this.#byTopic?.get(message.request.topic) === message) this.#byTopic.delete(message.request.topic)
  }

  has(message: OutboundMessage): boolean {
    return message.list === this.#list
  }

  expire(message: OutboundMessage): void {
    this.#settle(message, "expired")
  }

  /** When messages have to be looked through for expired ones. */
  nextDeadline(): number | undefined {
    return this.#earliest === Infinity ? undefined : Math.max(this.#earliest, this.#lastScan + expiryInterval)
  }

  tick(now: number): void {
    const deadline = this.nextDeadline()
    if (deadline === undefined || now < deadline) return
    this.#lastScan = now
    this.#earliest = Infinity
    let message = this.#list.head
    while (message !== undefined) {
      const next: OutboundMessage | undefined = message.next
      if (message.isExpired(now)) this.expire(message)
      else if (message.expiresAt < this.#earliest) this.#earliest = message.expiresAt
      message = next
    }
  }

  /**
   * Whether those that were told `Full` should try again: an eighth of the queue is free, so that they do not wake up
   * for one place, and it has shrunk since, so that they do not wake up for nothing.
   */
  takeSpaceAvailable(): boolean {
    if (!this.#refused || !this.#shrunk) return false
    const { bytes, messages } = this.#core.options.queue
    if (this.size > 0 && (this.size > messages * 0.875 || this.#total > bytes * 0.875)) return false
    this.#refused = false
    return true
  }

  // A message that is larger than the whole queue can go through an empty one.
  #hasRoom(bytes: number): boolean {
    const { queue } = this.#core.options
    return this.size === 0 || (this.size < queue.messages && this.#total + bytes <= queue.bytes)
  }

  get #total(): number {
    return this.#list.bytes + this.#unacknowledged.bytes
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
}
