/**
 * Makes the frames of one side of a call from its parts: in order, each once. Parts that arrive twice are dropped, and
 * parts that arrive early wait. It holds no bytes that its budget does not admit.
 */
import type { FrameKind, Part } from "./packets.ts"

/** Bytes that all calls of an instance may hold together. */
export class Budget {
  readonly limit: number
  used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  take(bytes: number): boolean {
    if (this.used + bytes > this.limit) return false
    this.used += bytes
    return true
  }

  give(bytes: number): void {
    this.used -= bytes
  }
}

export interface Frame {
  readonly kind: FrameKind
  readonly body: Uint8Array
}

/** A part that arrived this far ahead is not one of a sender that keeps the rules. */
const furthest = 1024

export class Assembly {
  readonly #budget: Budget
  readonly #largest: number
  readonly #early = new Map<number, Part>()
  readonly #begun: Array<Uint8Array> = []
  #begunBytes = 0
  #held = 0
  #next = 0

  constructor(budget: Budget, largest: number) {
    this.#budget = budget
    this.#largest = largest
  }

  /** The number of parts that arrived in order. */
  get received(): number {
    return this.#next
  }

  /**
   * Takes a part in. Answers with the frames that it completes, with `duplicate`, or with why the call cannot go on. A
   * part that is complete by itself is not copied.
   */
  accept(part: Part): ReadonlyArray<Frame> | "duplicate" | "tooLarge" | "overloaded" {
    const { sequence } = part
    if (sequence < this.#next || this.#early.has(sequence)) return "duplicate"
    if (sequence > this.#next) {
      if (sequence - this.#next > furthest || !this.#hold(part.body.length)) return "overloaded"
      // A copy, because the bytes that arrived keep a whole read of the network alive.
      this.#early.set(sequence, { ...part, body: part.body.slice() })
      return []
    }
    const frames: Array<Frame> = []
    for (let next: Part | undefined = part; next !== undefined; next = this.#takeEarly()) {
      const fault = this.#append(next, frames)
      if (fault !== undefined) return fault
    }
    return frames
  }

  /** Gives back what it holds. It must not be used any more. */
  dispose(): void {
    this.#budget.give(this.#held)
    this.#held = 0
    this.#early.clear()
    this.#begun.length = 0
  }

  #append(part: Part, frames: Array<Frame>): "tooLarge" | "overloaded" | undefined {
    this.#next++
    if (this.#begunBytes + part.body.length > this.#largest) return "tooLarge"
    if (part.isLast) {
      frames.push({ kind: part.kind, body: this.#join(part.body) })
      return undefined
    }
    if (!this.#hold(part.body.length)) return "overloaded"
    this.#begun.push(part.body.slice())
    this.#begunBytes += part.body.length
    return undefined
  }

  #join(last: Uint8Array): Uint8Array {
    if (this.#begun.length === 0) return last
    const whole = new Uint8Array(this.#begunBytes + last.length)
    let at = 0
    for (const bytes of this.#begun) {
      whole.set(bytes, at)
      at += bytes.length
    }
    whole.set(last, at)
    this.#release(this.#begunBytes)
    this.#begun.length = 0
    this.#begunBytes = 0
    return whole
  }

  #takeEarly(): Part | undefined {
    const part = this.#early.get(this.#next)
    if (part === undefined) return undefined
    this.#early.delete(this.#next)
    this.#release(part.body.length)
    return part
  }

  #hold(bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false
    this.#held += bytes
    return true
  }

  #release(bytes: number): void {
    this.#held -= bytes
    this.#budget.give(bytes)
  }
}
