/**
 * Which messages of one publisher have arrived: one bit for each, so that those that came twice or never are known.
 */
export class Arrivals {
  #bits = new Uint32Array(256)
  /** Messages that came at least once. */
  distinct = 0
  /** Further arrivals of messages that had come. */
  doubled = 0

  /** Takes the arrival of a message by its number, from 0 on. */
  add(number: number): void {
    const word = number >>> 5
    if (word >= this.#bits.length) {
      const larger = new Uint32Array(Math.max(word + 1, 2 * this.#bits.length))
      larger.set(this.#bits)
      this.#bits = larger
    }
    const bit = 1 << (number & 31)
    if ((this.#bits[word]! & bit) !== 0) {
      this.doubled++
    } else {
      this.#bits[word] = this.#bits[word]! | bit
      this.distinct++
    }
  }
}
