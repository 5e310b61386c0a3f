/**
 * A queue whose operations at both ends have a constant cost at any length. Entries between the ends are found by their
 * distance from the front.
 */
export class Fifo<A> {
  #items: Array<A> = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  at(index: number): A | undefined {
    return this.#items[this.#first + index]
  }

  push(item: A): void {
    this.#items.push(item)
  }

  shift(): A | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#first]!
    this.#items[this.#first++] = undefined as never
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }
}
