/**
 * What is known of a session's log: its live records, the numbers of its segments, and their estimated cost. Recovery
 * makes it, and every later operation keeps it equal to what is stored. It reads and writes nothing.
 */
import type { StoreDamage } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import type { Head, SegmentChange } from "./values.ts"

/** The estimated cost of a segment besides its bytes: a file, a row, a request. */
const segmentCost = 1024
/** A log of at most this size is not rewritten. */
const smallestCompacted = 64 * 1024

export class LogState {
  /** The generation of the newest head; -1: there is none. */
  generation: number
  /** The number of the first segment. */
  first: number
  /** No segment with a lower number is left. */
  garbage: number
  /** The number of the next segment. */
  next: number
  /** Writing the next segment has failed, so that it may exist, in part or in full. */
  isNextUncertain = false
  /** What recovery found, until it is reported. */
  damage: StoreDamage | undefined
  readonly #live = new Map<string, { readonly record: StoreRecord; readonly size: number }>()
  #liveCost = 0
  #cost = 0
  /** The log is not rewritten before its cost exceeds this. */
  #compactAbove = 0

  constructor(head: Head | undefined) {
    this.generation = head?.generation ?? -1
    this.first = head?.first ?? 0
    this.garbage = head?.garbage ?? 0
    this.next = this.first
  }

  get size(): number {
    return this.#live.size
  }

  /** The live records in the order in which they were first written, each with the bytes that it takes. */
  get live(): ReadonlyArray<{ readonly record: StoreRecord; readonly size: number }> {
    return Array.from(this.#live.values())
  }

  /** The records in the order in which a session loads them. */
  get records(): ReadonlyArray<StoreRecord> {
    return Array.from(this.#live.values(), ({ record }) => record).sort(bySequence)
  }

  get cost(): number {
    return this.#cost
  }

  get isCompactionWorthwhile(): boolean {
    return this.#cost > Math.max(2 * this.#liveCost + smallestCompacted, this.#compactAbove)
  }

  /** Adds a segment of this many bytes with its changes. */
  add(size: number, changes: ReadonlyArray<SegmentChange>, clears: boolean): void {
    this.addUnreadable(size)
    if (clears) {
      this.#live.clear()
      this.#liveCost = 0
    }
    for (const change of changes) {
      this.#liveCost -= this.#live.get(change.key)?.size ?? 0
      if (change._tag === "Delete") {
        this.#live.delete(change.key)
      } else {
        this.#live.set(change.key, change)
        this.#liveCost += change.size
      }
    }
  }

  /** Adds a segment whose changes are not known. */
  addUnreadable(size: number): void {
    this.#cost += size + segmentCost
  }

  /** The log begins at a copy of all records. `before` is its cost without the copy. */
  compacted(generation: number, first: number, before: number): void {
    this.generation = generation
    this.first = first
    this.#cost -= before
    this.#compactAbove = 0
  }

  /** Delays the next compaction until the log has grown by its live size again. */
  delayCompaction(): void {
    this.#compactAbove = this.#cost + this.#liveCost + smallestCompacted
  }
}

const bySequence = (a: StoreRecord, b: StoreRecord): number =>
  a._tag === "Outbound" && b._tag === "Outbound" ? a.sequence - b.sequence : keyOf(a) < keyOf(b) ? -1 : 1
