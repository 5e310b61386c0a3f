/**
 * The database while the disk is full: what LevelDB has left in its files, which are only read, and on top of it the journal of the
 * reserve. LevelDB cannot be used then: it writes before it can open anything, and before it frees anything.
 */
import type { Paths } from "./directory.ts"
import { kindOf } from "./failure.ts"
import { type Database, type Engine, type Operation, tailOf } from "./level.ts"
import { logBytes, readAll, removeLeftovers, shrink } from "./repair.ts"
import { freeRoom, type Reserve } from "./reserve.ts"

/** Summaries are what is read by its key. */
const summaryPrefix = "summary/"

interface Live {
  readonly size: number
  /** The last four bytes of the value. */
  readonly tail: number
}

/**
 * A database of which nothing grows: the journal takes deletions and small values.
 */
export class FullDiskDatabase implements Database {
  readonly #paths: Paths
  readonly #reserve: Reserve
  /** The keys that there are. */
  readonly #live = new Map<string, Live>()
  readonly #summaries = new Map<string, Uint8Array>()
  #liveBytes = 0

  /** Reads all files once. Of the values only summaries stay in memory. */
  constructor(paths: Paths, reserve: Reserve) {
    this.#paths = paths
    this.#reserve = reserve
    const newest = new Map<string, { readonly sequence: number; readonly live: Live | undefined }>()
    readAll(paths.records, (key, sequence, value) => {
      if ((newest.get(key)?.sequence ?? -1) >= sequence) return
      newest.set(key, { sequence, live: liveOf(value) })
      if (!key.startsWith(summaryPrefix)) return
      if (value === undefined) this.#summaries.delete(key)
      else this.#summaries.set(key, new Uint8Array(value))
    })
    for (const [key, { live }] of newest) this.#note(key, live)
    for (const operation of reserve.differences.operations()) this.#apply(operation)
  }

  /** Bytes of all keys and values that there are. */
  get liveBytes(): number {
    return this.#liveBytes
  }

  isLive(key: string): boolean {
    return this.#live.has(key)
  }

  /** No other keys than those of summaries are read by themselves. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#summaries.get(key)
  }

  async range(from: string, to: string, visit: (key: string, value: Uint8Array) => void): Promise<void> {
    const newest = new Map<string, { readonly sequence: number; readonly value: Uint8Array | undefined }>()
    readAll(this.#paths.records, (key, sequence, value) => {
      if (key < from || key >= to || !this.#live.has(key)) return
      // A value is a view of more than itself.
      const copy = value && new Uint8Array(value)
      if ((newest.get(key)?.sequence ?? -1) < sequence) newest.set(key, { sequence, value: copy })
    })
    for (const [key, value] of this.#reserve.differences.values) {
      if (key >= from && key < to) newest.set(key, { sequence: Infinity, value })
    }
    for (const key of Array.from(newest.keys()).sort()) {
      const { value } = newest.get(key)!
      if (value !== undefined) visit(key, value)
    }
  }

  async keys(from: string, to: string): Promise<ReadonlyArray<string>> {
    return Array.from(this.#live.keys()).filter((key) => key >= from && key < to)
  }

  tails(from: string, to: string): ReadonlyMap<string, number> {
    const tails = new Map<string, number>()
    for (const [key, { tail }] of this.#live) if (key >= from && key < to) tails.set(key, tail)
    return tails
  }

  async write(operations: Array<Operation>): Promise<void> {
    // The deletion of what is not there would take room in the journal for nothing.
    this.#reserve.append(operations.filter((operation) => operation.type === "put" || this.#live.has(operation.key)))
    for (const operation of operations) this.#apply(operation)
  }

  async close(): Promise<void> {}

  #apply(operation: Operation): void {
    const { key } = operation
    const value = operation.type === "put" ? operation.value : undefined
    this.#note(key, liveOf(value))
    if (!key.startsWith(summaryPrefix)) return
    if (value === undefined) this.#summaries.delete(key)
    else this.#summaries.set(key, value)
  }

  #note(key: string, live: Live | undefined): void {
    const before = this.#live.get(key)
    if (before !== undefined) this.#liveBytes -= key.length + before.size
    if (live === undefined) {
      this.#live.delete(key)
    } else {
      this.#live.set(key, live)
      this.#liveBytes += key.length + live.size
    }
  }
}

const liveOf = (value: Uint8Array | undefined): Live | undefined => value && { size: value.length, tail: tailOf(value) }

/** What LevelDB needs to open a database, beyond the room for its logs as tables. */
const openingBytes = 1_048_576
/** Live records of so many bytes fit, with the files of a database, into the spare part of the reserve. */
const spareBytes = 98_304
/** With so much room LevelDB can do whatever it wants. */
const plenty = 64 * 1_048_576
const shortestPause = 1000
const longestPause = 30_000
/** LevelDB that fails again within this time needs more room than there is. */
const trial = 60_000

/**
 * When a store turns from LevelDB to its reserve, and back.
 *
 * Back it goes when there is room for LevelDB to open, or when so little is left that the spare part of the reserve has room for a new
 * database: that frees the old one. Attempts that fail are not made with every commit.
 */
export class FullDisk {
  readonly #engine: Engine
  readonly #paths: Paths
  readonly #reserve: Reserve
  #database: FullDiskDatabase | undefined
  #pause = 0
  #notBefore = -Infinity
  #leftAt = -Infinity
  /** The room that there was at the last attempt. */
  #room = 0

  constructor(engine: Engine, paths: Paths, reserve: Reserve) {
    this.#engine = engine
    this.#paths = paths
    this.#reserve = reserve
  }

  /** Whether LevelDB is out of use. */
  get isActive(): boolean {
    return this.#database !== undefined
  }

  /** Whether there is a reserve that can take something. */
  get canTake(): boolean {
    return this.#reserve.isHeld
  }

  /** The database in the place of LevelDB, which is closed. */
  enter(): Database {
    if (this.#database !== undefined) return this.#database
    if (performance.now() - this.#leftAt < trial) {
      this.#postpone()
    } else {
      this.#pause = 0
      this.#notBefore = -Infinity
    }
    removeLeftovers(this.#paths.records)
    this.#room = freeRoom(this.#paths.root)
    return this.#database = new FullDiskDatabase(this.#paths, this.#reserve)
  }

  /** LevelDB is in use again. */
  leave(): void {
    if (this.#database !== undefined) this.#leftAt = performance.now()
    this.#database = undefined
    this.#reserve.hold()
  }

  /** Whether LevelDB may be tried; makes room for it where that is possible. */
  async isWorthLeaving(): Promise<boolean> {
    const database = this.#database
    if (database === undefined) return true
    const room = freeRoom(this.#paths.root)
    if (room > plenty) return true
    const hasGrown = room > 2 * this.#room + openingBytes
    if (performance.now() < this.#notBefore && !hasGrown) return false
    if (room > logBytes(this.#paths.records) + openingBytes) {
      this.#room = room
      this.#postpone()
      return true
    }
    if (database.liveBytes > spareBytes) return false
    this.#postpone()
    this.#reserve.releaseSpare()
    try {
      await shrink(this.#engine, this.#paths, this.#reserve.differences.values, (key) => database.isLive(key))
      this.#reserve.clear()
      return true
    } catch (error) {
      if (kindOf(error) === "full") return false
      throw error
    }
  }

  #postpone(): void {
    this.#pause = Math.min(longestPause, Math.max(shortestPause, this.#pause * 2))
    this.#notBefore = performance.now() + this.#pause
  }
}
