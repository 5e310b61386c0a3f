/**
 * Messages that nobody claims: held for a while, for consumers that are about to join.
 */
import type { InboundDelivery } from "./inboundDelivery.ts"

interface Held {
  readonly delivery: InboundDelivery
  readonly until: number
}

/**
 * The held messages, in the order of arrival. The owner drops what `hold` and `expire` return.
 *
 * Until nobody has come for some in time, there may be as many as the receive window holds: a backlog comes all at once, and its
 * consumer a moment later. From then on there may be fewer, so that a subscription that nobody reads does not hold up the others. The
 * window is a bound here too, since MQTT 3.1.1 does not tell the server of it.
 */
export class UnclaimedMessages {
  readonly #limit: number
  readonly #hold: number
  #isForsaken = false
  #items: Array<Held> = []
  /** Nothing that is held expires before. */
  #earliest = Infinity

  constructor(options: { readonly hold: number; readonly messages: number }) {
    this.#limit = options.messages
    this.#hold = options.hold
  }

  get size(): number {
    return this.#items.length
  }

  /** Somebody has taken messages, or left some behind: it is to be expected that somebody comes for the next. */
  expectConsumer(): void {
    this.#isForsaken = false
  }

  /** Holds messages; returns the oldest, which found no room. */
  hold(deliveries: ReadonlyArray<InboundDelivery>, now: number, window: number): ReadonlyArray<InboundDelivery> {
    if (deliveries.length === 0) return []
    if (this.#hold <= 0) return deliveries
    const items = this.#items
    const last = items[items.length - 1]
    const until = now + this.#hold
    for (const delivery of deliveries) items.push({ delivery, until })
    if (until < this.#earliest) this.#earliest = until
    if (last !== undefined && deliveries[0]!.sequence < last.delivery.sequence) {
      items.sort((a, b) => a.delivery.sequence - b.delivery.sequence)
    }
    const excess = items.length - (this.#isForsaken ? this.#limit : window)
    return excess <= 0 ? [] : items.splice(0, excess).map(({ delivery }) => delivery)
  }

  /** Takes out those that pass. */
  take(passes: (delivery: InboundDelivery) => boolean): ReadonlyArray<InboundDelivery> {
    return this.#remove(({ delivery }) => passes(delivery))
  }

  nextDeadline(): number | undefined {
    return this.#items.length === 0 ? undefined : this.#earliest
  }

  expire(now: number): ReadonlyArray<InboundDelivery> {
    if (now < this.#earliest) return []
    const expired = this.#remove(({ until }) => until <= now)
    if (expired.length > 0) this.#isForsaken = true
    return expired
  }

  #remove(passes: (item: Held) => boolean): ReadonlyArray<InboundDelivery> {
    if (this.#items.length === 0) return []
    const removed: Array<InboundDelivery> = []
    const rest: Array<Held> = []
    let earliest = Infinity
    for (const item of this.#items) {
      if (passes(item)) {
        removed.push(item.delivery)
      } else {
        rest.push(item)
        if (item.until < earliest) earliest = item.until
      }
    }
    this.#items = rest
    this.#earliest = earliest
    return removed
  }
}
