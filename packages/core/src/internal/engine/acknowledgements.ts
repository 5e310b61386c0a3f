/**
 * A queue of acknowledgements that must leave in the order of the PUBLISH packets (MQTT 4.6). It also measures how long
 * its head blocks the others. It sends nothing: `inboundAcknowledgements.ts` and `slowConsumers.ts` use it.
 */
import { Fifo } from "../fifo.ts"

/**
 * An item that waits to be acknowledged.
 */
export interface Acknowledgeable {
  readonly isDone: boolean
}

/**
 * The queue of one kind of acknowledgement, PUBACK or PUBREC, on one connection.
 */
export class AcknowledgementQueue<A extends Acknowledgeable> extends Fifo<A> {
  /** The watched head, and since when it has blocked the queue; Infinity: it blocks nothing. */
  #watched: A | undefined = undefined
  blockedSince = Infinity
  /** Which steps were taken for the watched head. */
  wasReported = false
  isOverdue = false

  get head(): A | undefined {
    return this.at(0)
  }

  /** Visits the items that are not done, from the head. */
  forEachPending(f: (item: A) => void): void {
    for (let i = 0; i < this.size; i++) {
      const item = this.at(i)!
      if (!item.isDone) f(item)
    }
  }

  override clear(): void {
    super.clear()
    this.watch(Infinity, false)
  }

  /** Updates whether the head blocks: others wait behind it, or the window is full. Called after every change. */
  watch(now: number, windowIsFull: boolean): void {
    const head = this.head
    if (head !== this.#watched) {
      this.#watched = head
      this.blockedSince = Infinity
      this.wasReported = false
      this.isOverdue = false
    }
    const isBlocking = head !== undefined && (windowIsFull || this.size > 1)
    if (!isBlocking) this.blockedSince = Infinity
    else if (this.blockedSince === Infinity) this.blockedSince = now
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { items: Array.from({ length: this.size }, (_, index) => this.at(index)!), watched: this.#watched }
  }

  set privateState({ items, watched }) {
    super.clear()
    for (const item of items) this.push(item)
    this.#watched = watched
  }
}
