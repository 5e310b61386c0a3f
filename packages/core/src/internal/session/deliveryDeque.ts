/**
 * Deliveries in the order of arrival, taken from the front in batches of bounded bytes.
 */
import type { Delivery } from "../engine/contract.ts"
import { Fifo } from "../fifo.ts"

/** Maximum bytes of a batch. A single larger delivery is a batch of its own. */
export const batchBytes = 1_048_576

/** Deliveries in the order of arrival, taken from the front. */
export class DeliveryDeque extends Fifo<Delivery> {
  /** Number of deliveries, at most `limit`, that one batch may hold from the front. */
  batch(limit: number): number {
    const end = Math.min(this.size, limit)
    let index = 0
    let bytes = 0
    while (index < end) {
      bytes += this.at(index)!.bytes
      if (bytes > batchBytes && index > 0) break
      index++
    }
    return index
  }

  /** Number of QoS 0 deliveries at the front without a gap; 1 when the first one is not QoS 0. */
  get run(): number {
    const { size } = this
    let end = 0
    while (end < size && this.at(end)!.message.qos === 0) end++
    return Math.max(1, end)
  }
}
