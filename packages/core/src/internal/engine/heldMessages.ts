/**
 * Messages that no present consumer answers for: held for a consumer that may come.
 *
 * Two kinds stand here. A message that found no consumer waits for `unclaimed.hold`. A message that a consumer without
 * a name has left unfinished waits for the successor of that consumer, until its own deadline. Nothing here
 * acknowledges: the owner drops what `hold`, `expire` and `unsubscribed` return.
 *
 * Until no consumer has come for some message in time, there may be as many messages without a consumer as the receive
 * window holds: a backlog comes all at once, and its consumer a moment later. From then on there may be fewer, so that
 * a subscription without readers does not hold up the others. The window is a bound here too, since MQTT 3.1.1 does not
 * tell the server of it.
 */
import type { InboundDelivery } from "./inboundDelivery.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"

/**
 * A consumer without a name that left, and the topic filters by which a successor may want what it left.
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
  /** Infinity: as long as the session lasts. */
  readonly until: number
  /** Who left the message; undefined: it found no consumer. */
  readonly departed: Departed | undefined
  /** A consumer has it. Until it is acknowledged or the hold ends, further ones that join get it as well. */
  isTaken: boolean
}

export class HeldMessages {
  readonly #limit: number
  readonly #hold: number
  #isForsaken = false
  /** In the order of arrival. */
  #items: Array<Held> = []
  /** Nothing that is held expires before. */
  #earliest = Infinity
  /** Those that no consumer has, and those of them that a consumer left. */
  #waiting = 0
  #left = 0
  /** Of those that found no consumer. */
  #bytes = 0

  constructor(options: { readonly hold: number; readonly messages: number }) {
    this.#limit = options.messages
    this.#hold = options.hold
  }

  /** Messages that no consumer has. */
  get size(): number {
    return this.#waiting
  }

  /** A consumer has taken messages, or left some behind: it is to be expected that one comes for the next. */
  expectConsumer(): void {
    this.#isForsaken = false
  }

  /**
   * Holds a message without a consumer; returns the oldest of them, which found no room among so many, or so many
   * bytes.
   */
  hold(delivery: InboundDelivery, now: number, window: number, bytes: number): ReadonlyArray<InboundDelivery> {
    if (this.#hold <= 0) return [delivery]
    this.#add([delivery], now + this.#hold, undefined)
    let excess = this.#waiting - this.#left - (this.#isForsaken ? this.#limit : window)
    let excessBytes = this.#bytes - bytes
    if (excess <= 0 && excessBytes <= 0) return []
    return this.#remove(({ delivery: { bytes: weight }, departed, isTaken }) => {
      if (departed !== undefined || isTaken || (excess <= 0 && excessBytes <= 0)) return false
      excess--
      excessBytes -= weight
      return true
    })
  }

  /** Holds what a consumer has left unfinished, in the order of arrival. */
  leave(deliveries: ReadonlyArray<InboundDelivery>, departed: Departed, until: number): void {
    if (deliveries.length === 0) return
    this.#add(deliveries, until, departed)
    this.#left += deliveries.length
    this.#items.sort((a, b) => a.delivery.sequence - b.delivery.sequence)
  }

  /** How long the deadline of a new message without a consumer is away. */
  get holdMillis(): number {
    return this.#hold
  }

  /** What a consumer that joins takes: each message once, in the order of arrival. */
  claim(passes: (delivery: InboundDelivery) => boolean): ReadonlyArray<InboundDelivery> {
    if (this.#items.length === 0) return []
    const items = this.#items.filter(({ delivery, isTaken }) => !isTaken || !delivery.done)
    const claimed = new Set<InboundDelivery>()
    const gone = new Set<Held>()
    // What waits for a consumer goes before what one has: otherwise it would wait for another one.
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

  /** A consumer that has left has finished with a message after all; whether it was still held for a successor. */
  finished(consumer: EngineConsumer, delivery: InboundDelivery): boolean {
    if (this.#left === 0) return false
    return this.#remove((item) => item.delivery === delivery && item.departed?.consumer === consumer).length > 0
  }

  /** Somebody has ended a subscription: what was left by consumers of no other one has no successor. */
  unsubscribed(filter: string): ReadonlyArray<InboundDelivery> {
    if (this.#left === 0) return []
    return this.#remove(({ departed }) => {
      departed?.filters.delete(filter)
      return departed?.filters.size === 0
    })
  }

  /** Forgets the messages that the server delivers again and that nobody has left unfinished. */
  forgetStale(): void {
    this.#remove(({ delivery, departed }) => delivery.stale && departed === undefined)
  }

  /** The server does not deliver this message again. */
  forget(delivery: InboundDelivery): void {
    this.#remove((item) => item.delivery === delivery)
  }

  /** The server has delivered a message again: it waits for the same successors. */
  redelivered(stale: InboundDelivery, delivery: InboundDelivery): void {
    for (const { departed, until } of this.#items.filter((item) => item.delivery === stale)) {
      if (departed !== undefined) this.leave([delivery], departed, until)
    }
    this.forget(stale)
  }

  /**
   * The server has lost the session: it waits for none of these messages, and each is held as one without a consumer.
   */
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
    if (expired.length > 0) this.#isForsaken = true
    return expired
  }

  /** Whether a message has a deadline of its own here. */
  hasDeadline(delivery: InboundDelivery): boolean {
    return this.#items.some((item) => item.delivery === delivery && !item.isTaken && item.until !== Infinity)
  }

  /** The topic filters of the consumers that have left a message. */
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

  /** Removes items; returns the messages of those that no consumer has. */
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
}
