/**
 * Where bytes are missing in the received bytes of a flight record: a queue of positions in an array whose size is
 * fixed. `receivedBytes.ts` fills it.
 */

/** So many bytes are missing before the one at this position. */
export interface Gap {
  readonly position: number
  readonly missing: number
}

const bytesPerGap = 16

export class Gaps {
  readonly #capacity: number
  /** Two numbers for each. */
  #numbers: Float64Array | undefined = undefined
  #first = 0
  #count = 0

  /** Takes at most so many bytes of memory. */
  constructor(bytes: number) {
    this.#capacity = Math.floor(bytes / bytesPerGap)
  }

  get bytes(): number {
    return this.#numbers?.byteLength ?? 0
  }

  get isFull(): boolean {
    return this.#count === this.#capacity
  }

  add(position: number, missing: number): void {
    const numbers = this.#numbers ??= new Float64Array(this.#capacity * 2)
    if (this.#count > 0) {
      const last = this.#indexOf(this.#count - 1)
      if (numbers[last] === position) {
        numbers[last + 1]! += missing
        return
      }
    }
    if (this.isFull) this.#dropFirst()
    const index = this.#indexOf(this.#count++)
    numbers[index] = position
    numbers[index + 1] = missing
  }

  /** Forgets those of packets that end at a position or before it. */
  forget(position: number): void {
    while (this.#count > 0 && this.#numbers![this.#first * 2]! <= position) this.#dropFirst()
  }

  /** A copy. */
  keep(): ReadonlyArray<Gap> {
    return Array.from({ length: this.#count }, (_, number) => {
      const index = this.#indexOf(number)
      return { position: this.#numbers![index]!, missing: this.#numbers![index + 1]! }
    })
  }

  #dropFirst(): void {
    this.#first = (this.#first + 1) % this.#capacity
    this.#count--
  }

  #indexOf(number: number): number {
    return ((this.#first + number) % this.#capacity) * 2
  }
}
