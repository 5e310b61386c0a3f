/**
 * Messages that nobody claims: held for a while, for consumers that are about to join.
 */
import type { InboundDelivery } from "./inboundDelivery.ts"

/**
 * The held messages, in the order of arrival and bounded. The owner drops what `hold` and `expire` return.
 */
export class UnclaimedMessages {
  readonly #limit: number
  readonly #hold: number
  #items: Array<{ readonly delivery: InboundDelivery; readonly until: number }> = []

  constructor(options: { readonly hold: number; readonly messages: number }) {
    this.#limit = options.messages
    this.#hold = options.hold
  }

  get size(): number {
    return this.#items.length
  }

  /** Holds messages; returns the oldest, which found no room. */
  hold(deliveries: ReadonlyArray<InboundDelivery>, now: number): ReadonlyArray<InboundDelivery> {
    if (deliveries.length === 0) return []
    if (this.#hold <= 0) return deliveries
    const items = this.#items
    const last = items[items.length - 1]
    for (const delivery of deliveries) items.push({ delivery, until: now + this.#hold })
    if (last !== undefined && deliveries[0]!.sequence < last.delivery.sequence) {
      items.sort((a, b) => a.delivery.sequence - b.delivery.sequence)
    }
    const excess = items.length - this.#limit
    return excess <= 0 ? [] : items.splice(0, excess).map(({ delivery }) => delivery)
  }

  /** Takes out those that pass. */
  take(passes: (delivery: InboundDelivery) => boolean): ReadonlyArray<InboundDelivery> {
    if (this.#items.length === 0) return []
    const taken: Array<InboundDelivery> = []
    this.#items = this.#items.filter(({ delivery }) => {
      if (!passes(delivery)) return true
      taken.push(delivery)
      return false
    })
    return taken
  }

  nextDeadline(): number | undefined {
    let deadline: number | undefined = undefined
    for (const { until } of this.#items) {
      if (deadline === undefined || until < deadline) deadline = until
    }
    return deadline
  }

  expire(now: number): ReadonlyArray<InboundDelivery> {
    const deadline = this.nextDeadline()
    if (deadline === undefined || deadline > now) return []
    const expired: Array<InboundDelivery> = []
    this.#items = this.#items.filter(({ delivery, until }) => {
      if (until > now) return true
      expired.push(delivery)
      return false
    })
    return expired
  }
}
