/**
 * Counts the bytes of acknowledgements that wait in the network because the peer does not read.
 *
 * The waiting bytes are the last ones written, publishes and acknowledgements mixed. Only waiting acknowledgements show
 * a peer that sends without reading. A peer that is slow to read our publishes must not become slower because we stop
 * reading its acknowledgements.
 */

/** The bytes of acknowledgements up to a position of the stream. */
interface Mark {
  end: number
  answers: number
}

// Writes closer to each other than this share a mark, which bounds the number of marks.
const granularity = 16_384

/**
 * Follows one stream. Positions are bytes from its beginning.
 */
export class UnreadAnswers {
  /** In the order of the stream. Marks of bytes that the network has taken are dropped, except the last one. */
  #marks: Array<Mark> | undefined
  #answers = 0

  /**
   * Records a write that ends at this position, and its bytes of acknowledgements. True: the caller should call
   * `behind`, which drops old marks.
   */
  wrote(end: number, answers: number): boolean {
    this.#answers += answers
    // A connection that sends nothing but publishes keeps no marks.
    if (this.#answers === 0) return false
    const marks = this.#marks
    if (marks === undefined) {
      // Not a push into an empty array, which would take room for seventeen.
      this.#marks = [{ end, answers: this.#answers }]
      return false
    }
    const last = marks.at(-1)
    if (last !== undefined && end - (marks.at(-2)?.end ?? 0) < granularity) {
      last.end = end
      last.answers = this.#answers
      return false
    }
    marks.push({ end, answers: this.#answers })
    return marks.length > 2
  }

  /** Bytes of acknowledgements after the position up to which the network has taken the stream. Rounded up. */
  behind(taken: number): number {
    const marks = this.#marks ?? []
    let passed = 0
    while (passed < marks.length && marks[passed]!.end <= taken) {
      passed++
    }
    if (passed > 1) {
      marks.splice(0, passed - 1)
      passed = 1
    }
    return this.#answers - (passed === 0 ? 0 : marks[0]!.answers)
  }
}
