/**
 * The queue of messages for one target session. It keeps them in order while the session has no room, has no
 * connection, or does not exist.
 */
import { InvalidPayload, type MqttErrorReason } from "../../MqttError.ts"
import type { MessageProperties } from "../../Properties.ts"
import type { PublishRequest } from "../engine/contract.ts"
import { Fifo } from "../fifo.ts"
import type { SessionCore } from "../session/core.ts"
import type { ForwardedMessage } from "./forwardedMessage.ts"
import type { Outgoing } from "./outgoing.ts"
import type { TokenBucket } from "./tokenBucket.ts"

export interface TargetQueueHost {
  /** Nothing is published for the item, because the target already has it. */
  readonly onDuplicate: (item: ForwardedMessage) => void
  readonly onExpired: (item: ForwardedMessage) => void
  readonly onStale: (item: ForwardedMessage) => void
  readonly onRefused: (item: ForwardedMessage, reason: MqttErrorReason) => void
  /** Whether the target's broker has the message already. */
  readonly hasReached: (item: ForwardedMessage) => boolean
  readonly onLooped: (item: ForwardedMessage) => void
  /** The item was published. The target may read it back. */
  readonly onPublished: (item: ForwardedMessage, targetQueue: TargetQueue) => void
  /** A session for publishing has appeared. */
  readonly onJoined: () => void
  readonly makeOutgoing: (session: SessionCore) => Outgoing
  readonly deadLetterTopic: string
  /** Calls back after this number of milliseconds. */
  readonly wake: (millis: number, callback: () => void) => void
}

export class TargetQueue {
  readonly name: string
  readonly #host: TargetQueueHost
  readonly #isTarget: boolean
  readonly #bucket: TokenBucket | undefined
  #session: SessionCore | undefined
  #outgoing: Outgoing | undefined
  readonly #waiting = new Fifo<ForwardedMessage>()
  #orders = 0
  #isPumping = false
  #isParked = false
  #isAsleep = false

  constructor(name: string, host: TargetQueueHost, isTarget: boolean, bucket: TokenBucket | undefined) {
    this.name = name
    this.#isTarget = isTarget
    this.#host = host
    this.#bucket = bucket
  }

  get session(): SessionCore | undefined {
    return this.#session
  }

  /** How the session publishes; undefined: there has been no session yet. */
  get outgoing(): Outgoing | undefined {
    return this.#outgoing
  }

  /** Messages that the session has accepted survive it, and the next session of its name sends them. */
  get isDurable(): boolean {
    return this.#session?.options.persistence === "durable"
  }

  join(session: SessionCore): void {
    this.#session = session
    this.#outgoing = this.#host.makeOutgoing(session)
    for (let i = 0; i < this.#waiting.size; i++) this.#waiting.at(i)!.request = undefined
    this.#host.onJoined()
    this.pump()
  }

  leave(session: SessionCore): void {
    if (this.#session !== session) return
    this.#unpark()
    this.#session = undefined
  }

  /** Stops publishing. */
  close(): void {
    this.#waiting.clear()
    if (this.#session !== undefined) this.leave(this.#session)
  }

  push(item: ForwardedMessage): void {
    item.order = ++this.#orders
    item.targetQueue = this
    this.#waiting.push(item)
    this.pump()
  }

  /** Puts back, in its position, an item that could not be published. */
  putBack(item: ForwardedMessage): void {
    item.outbound = undefined
    item.request = undefined
    item.isAccepted = false
    let index = 0
    while (index < this.#waiting.size && this.#waiting.at(index)!.order < item.order) index++
    this.#waiting.insert(index, item)
  }

  pumpLater(): void {
    this.#sleep(1)
  }

  /** Publishes what the session accepts. Returns false when it accepts no more for now. */
  pump(): boolean {
    if (this.#isPumping) return true
    this.#isPumping = true
    const answer = this.#publishWaiting()
    this.#isPumping = false
    return answer
  }

  readonly attempt = (): boolean => {
    const done = this.pump()
    if (done) this.#unpark()
    return done
  }

  /** The session cannot publish for now, or is closing. Queued messages stay queued. */
  readonly fail = (): void => {
    if (this.#isParked) this.#session?.publisher.park(this)
  }

  #publishWaiting(): boolean {
    const session = this.#session
    if (session === undefined) return true
    // A caller that has waited longer for room goes first.
    if (!this.#isParked && session.publisher.isParking && this.#waiting.size > 0) return this.#park()
    for (let item = this.#waiting.at(0); item !== undefined; item = this.#waiting.at(0)) {
      // Read only when needed: most messages have no expiry, and most forwarders no rate limit.
      const now = item.expiresAt !== Infinity || this.#bucket !== undefined ? session.engineLoop.now() : 0
      if (item.failure === undefined && !item.isDone) {
        if (item.isStale) {
          this.#waiting.shift()
          this.#host.onStale(item)
          continue
        }
        if (item.expiresAt <= now) {
          this.#waiting.shift()
          this.#host.onExpired(item)
          continue
        }
        // Checked again for the current session: at reception there may have been no session, or another one.
        if (item.request === undefined && this.#isTarget && this.#host.hasReached(item)) {
          this.#waiting.shift()
          this.#host.onLooped(item)
          continue
        }
        if (this.#isThere(item, session)) {
          this.#waiting.shift()
          this.#host.onDuplicate(item)
          continue
        }
        if (!item.hasToken && this.#bucket !== undefined && !this.#bucket.take(now)) {
          return this.#sleep(this.#bucket.wait)
        }
        item.hasToken = true
      }
      const request = this.#requestOf(item, now)
      if (request instanceof InvalidPayload) {
        this.#waiting.shift()
        this.#host.onRefused(item, request)
        continue
      }
      const admission = session.engineLoop.publish(request)
      if (admission._tag === "Accepted") {
        this.#waiting.shift()
        item.outbound = admission.outbound
        item.ledger = request.origin === undefined ? undefined : session.origins
        admission.outbound.owner = item
        this.#host.onPublished(item, this)
        continue
      }
      if (admission._tag === "Full") return this.#park()
      // A full queue and an unavailable store are waited for.
      if (admission.reason._tag === "QueueFull" || admission.reason._tag === "StorageFailed") return this.#park()
      // The session has ended; the next session of its name takes the rest.
      if (admission.reason._tag === "Closed") return true
      this.#waiting.shift()
      this.#host.onRefused(item, admission.reason)
    }
    return true
  }

  #isThere(item: ForwardedMessage, { origins }: SessionCore): boolean {
    return origins !== undefined && item.origin !== undefined && origins.has(item.origin)
  }

  #requestOf(item: ForwardedMessage, now: number): PublishRequest | InvalidPayload {
    const outgoing = this.#outgoing!
    // Only the ledger of the target is asked and cleaned.
    const origin = this.isDurable && this.#isTarget ? item.origin : undefined
    if (item.failure !== undefined) {
      return item.request ??= outgoing.deadLetter(item, this.#host.deadLetterTopic, origin)
    }
    if (item.request === undefined) {
      const request = outgoing.request(item, origin)
      if (request instanceof InvalidPayload) return request
      item.request = request
    }
    return item.expiresAt === Infinity ? item.request : withRemainingLifetime(item.request, item, now)
  }

  #park(): false {
    this.#isParked = true
    this.#session!.publisher.park(this)
    return false
  }

  #unpark(): void {
    this.#isParked = false
    this.#session?.publisher.unpark(this)
  }

  #sleep(millis: number): true {
    if (this.#isAsleep) return true
    this.#isAsleep = true
    this.#host.wake(millis, () => {
      this.#isAsleep = false
      this.pump()
    })
    return true
  }
}

/**
 * Subtracts the time that the message has waited from its expiry interval. A message that is sent keeps at least one
 * second.
 */
const withRemainingLifetime = (request: PublishRequest, item: ForwardedMessage, now: number): PublishRequest => {
  const { messageExpiryInterval, ...properties } = request.properties
  const expiresAfter = item.expiresAt - now
  const remaining: MessageProperties = messageExpiryInterval === undefined
    ? properties
    : {
      ...properties,
      messageExpiryInterval: Math.max(1, messageExpiryInterval - Math.floor((now - item.delivery.arrivedAt) / 1000))
    }
  return { ...request, properties: remaining, expiresAfter }
}
