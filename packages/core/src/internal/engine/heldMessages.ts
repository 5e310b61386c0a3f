/**
 * Holds messages that no present consumer will acknowledge, until a consumer comes or a deadline passes.
 *
 * There are two kinds. A message that found no consumer waits for `unclaimed.hold`. A message that a consumer without a
 * name left unfinished waits for a successor of that consumer, until its own deadline. This file acknowledges nothing:
 * the caller (`inbound.ts`) gives up the messages that `hold`, `expire` and `unsubscribed` return.
 *
 * At first the whole receive window may hold messages without a consumer, because a backlog arrives all at once and its
 * consumer a moment later. After one of them has expired, the limit is `unclaimed.messages`, so that a subscription
 * without readers does not block the others. The window is also applied here because MQTT 3.1.1 does not announce it to
 * the server.
 */
import type { InboundDelivery } from "./inboundDelivery.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"

/**
 * A consumer without a name that left, and the topic filters by which a consumer counts as its successor.
 */
export class Departed {
  readonly consumer: EngineConsumer
  readonly filters: Set<string>

  constructor(consumer: EngineConsumer, filters: ReadonlyArray<string>) {
    this.consumer = consumer
    this.filters = new Set(filters)
  }
}

interface Held {
  readonly delivery: InboundDelivery
  /** Deadline. Infinity: until the session ends. */
  readonly until: number
  /** The consumer that left the message; undefined: the message found no consumer. */
  readonly departed: Departed | undefined
  /** A consumer has the message. Until it is acknowledged or the hold ends, later consumers get it too. */
  isTaken: boolean
}

export class HeldMessages {
  readonly #limit: number
  readonly #hold: number
  #hasExpired = false
  /** In the order of arrival. */
  #items: Array<Held> = []
  /** The earliest deadline of all items. */
  #earliest = Infinity
  /** Number of messages that no consumer has, and how many of them a consumer left. */
  #waiting = 0
  #left = 0
  /** Bytes of the messages that found no consumer. */
  #bytes = 0

  constructor(options: { readonly hold: number; readonly messages: number }) {
    this.#limit = options.messages
    this.#hold = options.hold
  }

  /** Number of messages that no consumer has. */
  get size(): number {
    return this.#waiting
  }

  /** A consumer has taken messages, or left some: another one may come soon. The whole window may be held again. */
  expectConsumer(): void {
    this.#hasExpired = false
  }

  /** Holds a message without a consumer. Returns the oldest messages that exceed the window, the limit or the bytes. */
  hold(delivery: InboundDelivery, now: number, window: number, bytes: number): ReadonlyArray<InboundDelivery> {
    if (this.#hold <= 0) return [delivery]
    this.#add([delivery], now + this.#hold, undefined)
    let excess = this.#waiting - this.#left - (this.#hasExpired ? this.#limit : window)
    let excessBytes = this.#bytes - bytes
    if (excess <= 0 && excessBytes <= 0) return []
    return this.#remove(({ delivery: { bytes: weight }, departed, isTaken }) => {
      if (departed !== undefined || isTaken || (excess <= 0 && excessBytes <= 0)) return false
      excess--
      excessBytes -= weight
      return true
    })
  }

  /** Holds the messages that a consumer left unfinished, in the order of arrival. */
  leave(deliveries: ReadonlyArray<InboundDelivery>, departed: Departed, until: number): void {
    if (deliveries.length === 0) return
    this.#add(deliveries, until, departed)
    this.#left += deliveries.length
    this.#items.sort((a, b) => a.delivery.sequence - b.delivery.sequence)
  }

  /** Milliseconds for which a message without a consumer is held. */
  get holdMillis(): number {
    return this.#hold
  }

  /** Takes the messages for a consumer that joins: each message once, in the order of arrival. */
  claim(passes: (delivery: InboundDelivery) => boolean): ReadonlyArray<InboundDelivery> {
    if (this.#items.length === 0) return []
    const items = this.#items.filter(({ delivery, isTaken }) => !isTaken || !delivery.isDone)
    const claimed = new Set<InboundDelivery>()
    const gone = new Set<Held>()
    // Messages without a consumer first; otherwise a message that already has one could take the place of its copy that
    // waits.
    for (const isTaken of [false, true]) {
      for (const item of items) {
        const { delivery, departed } = item
        if (item.isTaken !== isTaken || claimed.has(delivery) || !passes(delivery)) continue
        claimed.add(delivery)
        if (isTaken) continue
        this.#vacate(item)
        if (departed === undefined) item.isTaken = true
        else gone.add(item)
      }
    }
    this.#replace(items.filter((item) => !gone.has(item)))
    return [...claimed].sort((a, b) => a.sequence - b.sequence)
  }

  /**
   * A consumer that has left finished a message afterwards. Answers whether the message was still held for a successor.
   */
  finished(consumer: EngineConsumer, delivery: InboundDelivery): boolean {
    if (this.#left === 0) return false
    return this.#remove((item) => item.delivery === delivery && item.departed?.consumer === consumer).length > 0
  }

  /** A subscription was ended. Returns the messages whose former consumers have no other filter. */
  unsubscribed(filter: string): ReadonlyArray<InboundDelivery> {
    if (this.#left === 0) return []
    return this.#remove(({ departed }) => {
      departed?.filters.delete(filter)
      return departed?.filters.size === 0
    })
  }

  /** Forgets stale messages that found no consumer: the server sends them again. */
  forgetStale(): void {
    this.#remove(({ delivery, departed }) => delivery.stale && departed === undefined)
  }

  /** Forgets a message that the server does not send again. */
  forget(delivery: InboundDelivery): void {
    this.#remove((item) => item.delivery === delivery)
  }

  /** The server sent a message again. The new copy waits for the same successors. */
  redelivered(stale: InboundDelivery, delivery: InboundDelivery): void {
    for (const { departed, until } of this.#items.filter((item) => item.delivery === stale)) {
      if (departed !== undefined) this.leave([delivery], departed, until)
    }
    this.forget(stale)
  }

  /** The server lost the session and expects no acknowledgement. Each message is held as one without a consumer. */
  sessionLost(now: number): void {
    this.#left = 0
    this.#bytes = this.#items.reduce((bytes, { delivery, isTaken }) => isTaken ? bytes : bytes + delivery.bytes, 0)
    this.#replace(this.#items.map(({ delivery, isTaken, until }) => (
      { delivery, until: Math.min(until, now + this.#hold), departed: undefined, isTaken }
    )))
  }

  nextDeadline(): number | undefined {
    return this.#earliest === Infinity ? undefined : this.#earliest
  }

  expire(now: number): ReadonlyArray<InboundDelivery> {
    if (now < this.#earliest) return []
    const expired = this.#remove(({ until }) => until <= now)
    if (expired.length > 0) this.#hasExpired = true
    return expired
  }

  /** Whether a held message has a finite deadline here. */
  hasDeadline(delivery: InboundDelivery): boolean {
    return this.#items.some((item) => item.delivery === delivery && !item.isTaken && item.until !== Infinity)
  }

  /** The topic filters of the consumers that left a message. */
  filtersOf(delivery: InboundDelivery): ReadonlyArray<string> {
    return this.#items.flatMap((item) => item.delivery === delivery ? [...item.departed?.filters ?? []] : [])
  }

  #add(deliveries: ReadonlyArray<InboundDelivery>, until: number, departed: Departed | undefined): void {
    for (const delivery of deliveries) {
      delivery.vacancies++
      if (departed === undefined) this.#bytes += delivery.bytes
      this.#items.push({ delivery, until, departed, isTaken: false })
    }
    this.#waiting += deliveries.length
    if (until < this.#earliest) this.#earliest = until
  }

  /** Removes items. Returns the messages that no consumer has. */
  #remove(passes: (item: Held) => boolean): ReadonlyArray<InboundDelivery> {
    if (this.#items.length === 0) return []
    const removed: Array<InboundDelivery> = []
    const rest: Array<Held> = []
    for (const item of this.#items) {
      if (!passes(item)) {
        rest.push(item)
      } else if (!item.isTaken) {
        this.#vacate(item)
        removed.push(item.delivery)
      }
    }
    this.#replace(rest)
    return removed
  }

  #vacate({ delivery, departed }: Held): void {
    delivery.vacancies--
    this.#waiting--
    if (departed !== undefined) this.#left--
    else this.#bytes -= delivery.bytes
  }

  #replace(items: Array<Held>): void {
    this.#items = items
    this.#earliest = Infinity
    for (const { until } of items) if (until < this.#earliest) this.#earliest = until
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      hasExpired: this.#hasExpired,
      items: this.#items,
      earliest: this.#earliest,
      waiting: this.#waiting,
      left: this.#left,
      bytes: this.#bytes
    }
  }

  set privateState(state) {
    this.#hasExpired = state.hasExpired
    this.#items = state.items
    this.#earliest = state.earliest
    this.#waiting = state.waiting
    this.#left = state.left
    this.#bytes = state.bytes
  }
}
