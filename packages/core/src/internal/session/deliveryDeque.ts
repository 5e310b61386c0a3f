/**
 * Deliveries in the order of arrival, taken from the front in batches of bounded bytes.
 */
import type { Delivery } from "../engine/contract.ts"

/** Maximum bytes of a batch. A single larger delivery is a batch of its own. */
export const batchBytes = 1_048_576

/** Deliveries in the order of arrival, taken from the front. */
export class DeliveryDeque {
  #items: Array<Delivery> = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  get head(): Delivery | undefined {
    return this.#items[this.#first]
  }

  push(delivery: Delivery): void {
    this.#items.push(delivery)
  }

  /** Number of deliveries, at most `limit`, that one batch may hold from the front. */
  batch(limit: number): number {
    const items = this.#items
    const end = Math.min(items.length, this.#first + limit)
    let index = this.#first
    let bytes = 0
    while (index < end) {
      bytes += items[index]!.bytes
      if (bytes > batchBytes && index > this.#first) break
      index++
    }
    return index - this.#first
  }

  /** Takes at most this many from the front. */
  take(limit: number): Array<Delivery> {
    const items = this.#items
    const first = this.#first
    if (limit >= items.length - first) {
      this.#items = []
      this.#first = 0
      return first === 0 ? items : items.slice(first)
    }
    this.#first = first + limit
    const taken = items.slice(first, this.#first)
    if (this.#first >= 1024 && this.#first * 2 >= items.length) this.retain(() => true)
    return taken
  }

  /** Number of QoS 0 deliveries at the front without a gap; 1 when the first one is not QoS 0. */
  get run(): number {
    const items = this.#items
    let end = this.#first
    while (end < items.length && items[end]!.message.qos === 0) end++
    return Math.max(1, end - this.#first)
  }

  putBack(deliveries: ReadonlyArray<Delivery>): void {
    this.#items = deliveries.concat(this.#items.slice(this.#first))
    this.#first = 0
  }

  retain(keep: (delivery: Delivery) => boolean): void {
    this.#items = this.#items.slice(this.#first).filter(keep)
    this.#first = 0
  }
}
