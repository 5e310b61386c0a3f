/**
 * A part of a flight record: the state of the engine at its begin, and what the engine was told since. Frequent steps
 * are numbers in one array, which costs neither an object nor text; rare ones refer to objects that never change. It
 * grows to its bound in bytes and no further. `recordedEngine.ts` writes it, `recordLines.ts` reads it.
 */
import type { IndependentOutput, Output } from "../contract.ts"
import type { Capture } from "./engineGraph.ts"
import { digestOf } from "./outputDigest.ts"

/**
 * What a step is, or a row of steps: the low 4 bits of its first number. The last number of a step is its result, and
 * that of a row the result of its last step.
 */
export const Kind = {
  time: 0,
  publish: 1,
  receive: 2,
  acknowledge: 3,
  take: 4,
  takeIndependent: 5,
  written: 6,
  writable: 7,
  tick: 8,
  /** Any other call: its name and arguments are an object. */
  other: 9,
  direct: 10
} as const

/** The result of a direct publish. */
export const DirectResult = { appended: 0, waits: 1, notAppended: 2 } as const

/** The same in a record. */
export const directResults = ["Appended", "Waits", "NotAppended"] as const

/** What a received packet is: the low 3 bits of its first number. */
export const PacketKind = { publish: 0, puback: 1, pubrec: 2, pubrel: 3, pubcomp: 4, other: 5 } as const

/** The result of a step in which the engine threw. */
export const threw = -1

const firstWords = 256
/** Full before the bound is reached, because a step is noted whole. */
const fullShare = 15 / 16
/** An entry of a table with its key. */
const entryBytes = 80

export class Segment {
  /** Undefined: the engine was new. */
  readonly capture: Capture | undefined
  /** Number of steps before it. */
  readonly before: number
  words = new Int32Array(firstWords)
  length = 0
  /** Milliseconds of the engine's clock, and what makes them milliseconds of the epoch, for each change of the two. */
  readonly times: Array<number> = []
  /** What rare steps refer to. */
  readonly objects: Array<unknown> = []
  readonly texts: Array<string> = []
  steps = 0
  readonly #limit: number
  readonly #indexOfText = new Map<string, number>()
  readonly #indexOfObject = new Map<object, number>()
  #lastText = ""
  #lastIndex = -1
  #bytes: number

  constructor(limit: number, before: number, state: Capture | undefined) {
    this.#limit = limit
    this.before = before
    this.capture = state
    this.#bytes = firstWords * 4 + (state?.bytes ?? 0)
  }

  /** Memory that it takes, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  get isFull(): boolean {
    return this.#bytes >= this.#limit * fullShare
  }

  push(word: number): void {
    if (this.length === this.words.length) this.#grow()
    this.words[this.length++] = word
  }

  push2(first: number, second: number): void {
    if (this.length + 2 > this.words.length) this.#grow()
    this.words[this.length++] = first
    this.words[this.length++] = second
  }

  time(now: number, epochOffset: number): void {
    this.push(Kind.time)
    this.times.push(now, epochOffset)
    this.#bytes += 16
  }

  /** The digest and the sizes of an output. */
  output(output: Output | IndependentOutput | undefined): void {
    if (output === undefined) return this.push(0)
    this.push2(1, digestOf(output) | 0)
    this.push2("packets" in output ? output.packets.length : 0, output.deliveries.length)
    this.push(output.settled.length)
  }

  text(text: string): number {
    // The same text in a row is often the same string, which costs nothing to compare.
    if (text === this.#lastText && this.#lastIndex >= 0) return this.#lastIndex
    let index = this.#indexOfText.get(text)
    if (index === undefined) {
      index = this.texts.push(text) - 1
      this.#indexOfText.set(text, index)
      this.#bytes += entryBytes + text.length * 2
    }
    this.#lastText = text
    this.#lastIndex = index
    return index
  }

  /**
   * Keeps an object, or what stands for it, once. `bytes` is an estimate of the memory that it takes. An object that
   * something else stands for is not known again, because it is not kept.
   */
  object(object: object, bytes: number, kept: object = object): number {
    const known = this.#indexOfObject.get(object)
    if (known !== undefined) return known
    const index = this.objects.push(kept) - 1
    if (kept === object) this.#indexOfObject.set(object, index)
    this.#bytes += entryBytes + bytes
    return index
  }

  #grow(): void {
    // Doubling would go beyond the bound: near it, by what is left.
    const { length } = this.words
    const more = Math.max(firstWords, Math.min(length, (this.#limit - this.#bytes) >> 2))
    const words = new Int32Array(length + more)
    words.set(this.words)
    this.words = words
    this.#bytes += more * 4
  }
}
