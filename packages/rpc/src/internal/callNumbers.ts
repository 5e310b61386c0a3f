/**
 * Remembers which calls of a client have been seen, so that a request that arrives again is not carried out again. A
 * client numbers its calls upwards. Takes 512 bytes: numbers far below the highest one count as seen.
 */
const window = 4096

export class CallNumbers {
  /** A bit for each of the last numbers, at the number modulo the window. */
  readonly #bits = new Uint8Array(window / 8)
  #highest = -1

  /** Adds a number; false: it has been seen before, or is too old. */
  add(number: number): boolean {
    if (number <= this.#highest - window) return false
    if (number > this.#highest) this.#advance(number)
    const at = number % window
    const bit = 1 << (at % 8)
    if ((this.#bits[at >> 3]! & bit) !== 0) return false
    this.#bits[at >> 3]! |= bit
    return true
  }

  #advance(number: number): void {
    if (number - this.#highest >= window) this.#bits.fill(0)
    else {
      for (let each = this.#highest + 1; each <= number; each++) {
        const at = each % window
        this.#bits[at >> 3]! &= ~(1 << (at % 8))
      }
    }
    this.#highest = number
  }
}
