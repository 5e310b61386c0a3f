/**
 * A queue of acknowledgements that must leave in the order of the PUBLISH packets (MQTT 4.6), and the watch over its
 * head.
 */

/**
 * What waits to be acknowledged.
 */
export interface Acknowledgeable {
  readonly done: boolean
}

/**
 * The queue of one kind, PUBACK or PUBREC, on one connection.
 */
export class AcknowledgementQueue<A extends Acknowledgeable> {
  #items: Array<A | undefined> = []
  #first = 0
  /** The head that is being watched, and since when it has been blocking; Infinity: it blocks nothing. */
  #watched: A | undefined = undefined
  blockedSince = Infinity
  /** What has been done about the watched head. */
  reported = false
  overdue = false

  get size(): number {
    return this.#items.length - this.#first
  }

  get head(): A | undefined {
    return this.#items[this.#first]
  }

  push(item: A): void {
    this.#items.push(item)
  }

  shift(): void {
    const items = this.#items
    items[this.#first++] = undefined
    if (this.#first === items.length) {
      items.length = 0
      this.#first = 0
    } else if (this.#first >= 1024 && this.#first * 2 >= items.length) {
      this.#items = items.slice(this.#first)
      this.#first = 0
    }
  }

  /** Those that are not done, from the head. */
  forEachPending(f: (item: A) => void): void {
    for (let i = this.#first; i < this.#items.length; i++) {
      const item = this.#items[i]!
      if (!item.done) f(item)
    }
  }

  clear(): void {
    this.#items = []
    this.#first = 0
    this.watch(Infinity, false)
  }

  /** Looks whether the head blocks: others wait behind it, or the window is full. To be called after every change. */
  watch(now: number, windowIsFull: boolean): void {
    const head = this.head
    if (head !== this.#watched) {
      this.#watched = head
      this.blockedSince = Infinity
      this.reported = false
      this.overdue = false
    }
    const isBlocking = head !== undefined && (windowIsFull || this.size > 1)
    if (!isBlocking) this.blockedSince = Infinity
    else if (this.blockedSince === Infinity) this.blockedSince = now
  }
}
