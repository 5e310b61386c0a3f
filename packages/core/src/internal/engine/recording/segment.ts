/**
 * A part of a flight record: the state of the engine at its begin, and what the engine was told since. Frequent steps
 * are numbers in one array, which costs neither an object nor text; rare ones refer to objects that never change.
 * Received packets are not in it: it has only their number. It grows to its bound in bytes and no further.
 * `recordedEngine.ts` writes it, `recordLines.ts` reads it.
 */
import type { IndependentOutput, Output } from "../contract.ts"
import type { Capture } from "./engineGraph.ts"
import { digestOf } from "./outputDigest.ts"
import type { PacketStart } from "./receivedBytes.ts"

/**
 * What a step is, or a row of steps: the low 4 bits of its first number. The last number of a step is its result, and
 * that of a row the result of its last step.
 */
export const Kind = {
  time: 0,
  publish: 1,
  /** Packets that are in the received bytes. */
  receive: 2,
  acknowledge: 3,
  take: 4,
  takeIndependent: 5,
  written: 6,
  writable: 7,
  tick: 8,
  /** Any other call: its name and arguments are an object. */
  other: 9,
  direct: 10,
  directWritten: 11
} as const

/** The result of a direct publish. */
export const DirectResult = { appended: 0, waits: 1, notAppended: 2 } as const

/** The same in a record. */
export const directResults = ["Appended", "Waits", "NotAppended"] as const

/** The result of a step in which the engine threw. */
export const threw = -1

const firstWords = 256
/** The part of the bound that the numbers take at most. */
const wordShare = 3 / 8
/** Full before the bound is reached, because a step is noted whole. */
export const fullShare = 15 / 16
/** Of a list of topics so many are looked at, and so many known ones are remembered. */
const topicSamples = 8
const mostKnownTopics = 1024
/** An entry of a table with its key. */
const entryBytes = 80

export class Segment {
  /** Undefined: the engine was new. */
  readonly capture: Capture | undefined
  /** Number of steps before it. */
  readonly before: number
  /** Where the packets of its first step are read from. */
  readonly start: PacketStart
  words: Int32Array
  length = 0
  /** Milliseconds of the engine's clock, and what makes them milliseconds of the epoch, for each change of the two. */
  readonly times: Array<number> = []
  /** What rare steps refer to. */
  readonly objects: Array<unknown> = []
  readonly texts: Array<string> = []
  /** The topics of direct publishes, as the engine had them until they were written. */
  readonly directTopics: Array<ReadonlyArray<string>> = []
  /** Number of the first of these topics whose publishes came before the segment. */
  readonly earlierTopics: number
  /** The topics of other publishes: the first `publishes` of the list. */
  readonly publishTopics: Array<string>
  publishes = 0
  steps = 0
  /** Its bound in bytes. */
  readonly limit: number
  readonly #longest: number
  readonly #indexOfText = new Map<string, number>()
  readonly #indexOfObject = new Map<object, number>()
  /** Topics that were found by samples. */
  readonly #knownTopics = new Set<string>()
  /** Without the numbers. */
  #bytes: number

  /**
   * Takes about `limit` bytes at most, and more after a state of more than half of that. `used`: a segment that is read
   * no more, whose memory this one takes.
   */
  constructor(
    limit: number,
    before: number,
    state: Capture | undefined,
    start: PacketStart,
    earlierTopics: number,
    used?: Segment
  ) {
    this.earlierTopics = earlierTopics
    this.#bytes = state?.bytes ?? 0
    this.limit = Math.max(limit, this.#bytes + limit / 2)
    this.#longest = Math.floor(limit * wordShare / 4)
    this.before = before
    this.capture = state
    this.start = start
    this.publishTopics = (used?.publishTopics ?? []).fill("")
    this.words = used?.words ?? new Int32Array(Math.min(firstWords, this.#longest))
  }

  /** Memory that it takes, in bytes. */
  get bytes(): number {
    return this.#bytes + this.words.byteLength
  }

  /** The part of its bound that is used. */
  get fullness(): number {
    return Math.max(this.length / this.#longest, this.bytes / this.limit)
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

  /** Keeps topics of direct publishes. */
  addDirectTopics(topics: ReadonlyArray<string>): void {
    this.directTopics.push(topics)
    this.#bytes += entryBytes
    this.#weighTopics(topics, 0, topics.length)
  }

  /** Keeps the topic of a publish. */
  addPublishTopic(topic: string): void {
    const index = this.publishes++
    if (index === this.publishTopics.length) this.publishTopics.push(topic)
    else this.publishTopics[index] = topic
  }

  /** Counts the memory of the topics of the last publishes. */
  endPublishes(count: number): void {
    this.#weighTopics(this.publishTopics, this.publishes - count, this.publishes)
  }

  text(text: string): number {
    let index = this.#indexOfText.get(text)
    if (index === undefined) {
      index = this.texts.push(text) - 1
      this.#indexOfText.set(text, index)
      this.#bytes += entryBytes + text.length * 2
    }
    return index
  }

  /**
   * Counts the memory of topics. Samples say how many of them are texts of their own: most programs publish to few
   * topics.
   */
  #weighTopics(topics: ReadonlyArray<string>, from: number, to: number): void {
    const step = Math.max(1, Math.floor((to - from) / topicSamples))
    const known = this.#knownTopics
    let bytes = (to - from) * 8
    for (let i = from; i < to; i += step) {
      const topic = topics[i]!
      if (known.has(topic)) continue
      bytes += step * (entryBytes + topic.length * 2)
      if (known.size < mostKnownTopics) known.add(topic)
    }
    this.#bytes += bytes
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
    const { length } = this.words
    // Beyond its part only for a row that is not complete.
    const words = new Int32Array(length < this.#longest ? Math.min(length * 2, this.#longest) : length + firstWords)
    words.set(this.words)
    this.words = words
  }
}
