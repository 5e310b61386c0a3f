/**
 * A first-in, first-out queue whose operations at both ends have a constant cost at any length. It is one array and the
 * index of the front, so that a queue that is filled and emptied in bursts allocates nothing. Queues of deliveries,
 * acknowledgements, messages and digests stand on it.
 */

/** Entries at the front that may be empty before the array is copied. */
const mostEmpty = 1024

export class Fifo<A> {
  #items: Array<A> = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  /** The entry at this distance from the front. */
  at(index: number): A | undefined {
    return this.#items[this.#first + index]
  }

  push(item: A): void {
    this.#items.push(item)
  }

  shift(): A | undefined {
    const items = this.#items
    if (this.#first === items.length) return undefined
    const item = items[this.#first]!
    items[this.#first++] = undefined as never
    this.#trim()
    return item
  }

  /** Takes at most this many entries from the front. */
  take(limit: number): Array<A> {
    const items = this.#items
    const first = this.#first
    if (limit >= items.length - first) {
      this.clear()
      return first === 0 ? items : items.slice(first)
    }
    this.#first = first + limit
    const taken = items.slice(first, this.#first)
    // The entries before the front would keep what they hold alive.
    items.fill(undefined as never, first, this.#first)
    this.#trim()
    return taken
  }

  /** Inserts an entry at this distance from the front. */
  insert(index: number, item: A): void {
    this.#items.splice(this.#first + index, 0, item)
  }

  putBack(items: ReadonlyArray<A>): void {
    this.#items = items.concat(this.#items.slice(this.#first))
    this.#first = 0
  }

  retain(keep: (item: A) => boolean): void {
    this.#items = this.#items.slice(this.#first).filter(keep)
    this.#first = 0
  }

  clear(): void {
    this.#items = []
    this.#first = 0
  }

  #trim(): void {
    const items = this.#items
    if (this.#first === items.length) {
      items.length = 0
      this.#first = 0
    } else if (this.#first >= mostEmpty && this.#first * 2 >= items.length) {
      this.#items = items.slice(this.#first)
      this.#first = 0
    }
  }
}
