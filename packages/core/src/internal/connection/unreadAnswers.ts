/**
 * How many bytes of acknowledgements wait in the network because the peer does not read.
 *
 * The bytes that wait are the last ones that were written, publishes and acknowledgements mixed. Only the
 * acknowledgements say that the peer asks without listening: it may be slow to read our publishes, and must not be made
 * slower by us not reading its acknowledgements.
 */

/** What was written up to a position of the stream. */
interface Mark {
  end: number
  answers: number
}

// Writes that are closer to each other than this share a mark, so that there are few marks for what a network holds.
const granularity = 16_384

/**
 * Follows one stream, whose positions are counted in bytes from its beginning.
 */
export class UnreadAnswers {
  /** In the order of the stream; those that the network has taken are dropped, but for the last one. */
  readonly #marks: Array<Mark> = []
  #answers = 0

  /**
   * Notes a write that ends at this position, and the bytes of acknowledgements in it. True: `behind` should be asked,
   * which forgets.
   */
  wrote(end: number, answers: number): boolean {
    this.#answers += answers
    const marks = this.#marks
    const last = marks.at(-1)
    if (last !== undefined && end - (marks.at(-2)?.end ?? 0) < granularity) {
      last.end = end
      last.answers = this.#answers
      return false
    }
    marks.push({ end, answers: this.#answers })
    return marks.length > 2
  }

  /**
   * Bytes of acknowledgements behind the position up to which the network has taken the stream; rather too many than
   * too few.
   */
  behind(taken: number): number {
    const marks = this.#marks
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
