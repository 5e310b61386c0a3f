/**
 * The database while the disk is full. It combines LevelDB's files, which are only read, with the journal of the
 * reserve. LevelDB itself cannot be used then: it writes before it can open anything, and before it frees anything.
 */
import { crc32 } from "node:zlib"
import { type Difference, isNumbered, type Patch, patched } from "./differences.ts"
import type { Paths } from "./directory.ts"
import { kindOf } from "./failure.ts"
import { type Database, type Engine, type Operation, tailOf } from "./level.ts"
import { logBytes, readAll, removeLeftovers, shrink } from "./repair.ts"
import { freeRoom, type Reserve } from "./reserve.ts"

/** Only summaries are read by their keys. */
const summaryPrefix = "summary/"

interface Live {
  readonly size: number
  /** The last four bytes of the value. */
  readonly tail: number
  /**
   * For a value that is in the files: its first bytes, and the checksum of the bytes between them and the last four.
   */
  readonly base: { readonly head: string; readonly body: number } | undefined
}

/** In the record of a message, the fields that change while the message stays the same are within these bytes. */
const headSize = 64
/** Larger values are patched, or refused. */
const smallSize = 1024

/**
 * A database that hardly grows. The journal takes deletions, new states of existing messages, small records of which
 * there is a limited number, and some small messages.
 */
export class FullDiskDatabase implements Database {
  readonly #paths: Paths
  readonly #reserve: Reserve
  /** The existing keys. */
  readonly #live = new Map<string, Live>()
  readonly #summaries = new Map<string, Uint8Array>()
  #liveBytes = 0

  /** Reads all files once. Only the values of summaries stay in memory. */
  constructor(paths: Paths, reserve: Reserve) {
    this.#paths = paths
    this.#reserve = reserve
    const newest = new Map<string, { readonly sequence: number; readonly live: Live | undefined }>()
    readAll(paths.records, (key, sequence, value) => {
      if ((newest.get(key)?.sequence ?? -1) >= sequence) return
      newest.set(key, { sequence, live: liveOf(value, true) })
      if (!key.startsWith(summaryPrefix)) return
      if (value === undefined) this.#summaries.delete(key)
      else this.#summaries.set(key, new Uint8Array(value))
    })
    for (const [key, { live }] of newest) this.#record(key, live)
    this.#apply(reserve.differences.operations())
    this.#apply(reserve.differences.patches.values())
  }

  /** Bytes of all existing keys and values. */
  get liveBytes(): number {
    return this.#liveBytes
  }

  isLive(key: string): boolean {
    return this.#live.has(key)
  }

  /** Whether a value may be written under a key. */
  admits(key: string, value: Uint8Array): boolean {
    return this.#patch(key, value) !== undefined ||
      (value.length <= smallSize && (this.#live.has(key) || !isNumbered(key) || this.#reserve.isRoomy))
  }

  /** Only summaries are read singly. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#summaries.get(key)
  }

  async range(from: string, to: string, visit: (key: string, value: Uint8Array) => void): Promise<void> {
    const newest = new Map<string, { readonly sequence: number; readonly value: Uint8Array | undefined }>()
    readAll(this.#paths.records, (key, sequence, value) => {
      if (key < from || key >= to || !this.#live.has(key)) return
      // A copy, because a value is a view of a larger buffer.
      const copy = value && new Uint8Array(value)
      if ((newest.get(key)?.sequence ?? -1) < sequence) newest.set(key, { sequence, value: copy })
    })
    const { patches, values } = this.#reserve.differences
    for (const [key, value] of values) {
      if (key >= from && key < to) newest.set(key, { sequence: Infinity, value })
    }
    for (const key of Array.from(newest.keys()).sort()) {
      const { value } = newest.get(key)!
      const patch = patches.get(key)
      if (value !== undefined) visit(key, patch === undefined ? value : patched(value, patch))
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
    const differences: Array<Difference> = []
    for (const operation of operations) {
      const { key } = operation
      if (operation.type === "put") differences.push(this.#patch(key, operation.value) ?? operation)
      // Deleting a key that does not exist would waste room in the journal.
      else if (this.#live.has(key)) differences.push(operation)
    }
    this.#reserve.append(differences)
    this.#apply(differences)
  }

  async close(): Promise<void> {}

  /** The patch that turns the value in the files into this one; undefined when they differ too much. */
  #patch(key: string, value: Uint8Array): Patch | undefined {
    const live = this.#live.get(key)
    const base = live?.base
    if (base === undefined || live?.size !== value.length || !isNumbered(key) || bodyOf(value) !== base.body) {
      return undefined
    }
    const head = headOf(value)
    let at = 0
    let end = head.length
    while (at < end && head[at] === base.head[at]) at++
    while (end > at && head[end - 1] === base.head[end - 1]) end--
    return { type: "patch", key, at, bytes: new Uint8Array(value.subarray(at, end)), tail: tailOf(value) }
  }

  #apply(differences: Iterable<Difference>): void {
    for (const difference of differences) {
      const { key } = difference
      if (difference.type === "patch") {
        const live = this.#live.get(key)
        if (live !== undefined) this.#record(key, { ...live, tail: difference.tail })
        continue
      }
      const value = difference.type === "put" ? difference.value : undefined
      this.#record(key, liveOf(value, false))
      if (!key.startsWith(summaryPrefix)) continue
      if (value === undefined) this.#summaries.delete(key)
      else this.#summaries.set(key, value)
    }
  }

  #record(key: string, live: Live | undefined): void {
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

const headOf = (value: Uint8Array): string =>
  Buffer.from(value.buffer, value.byteOffset, Math.min(headSize, Math.max(0, value.length - 4))).toString("latin1")

const bodyOf = (value: Uint8Array): number => crc32(value.subarray(headSize, Math.max(headSize, value.length - 4)))

const liveOf = (value: Uint8Array | undefined, isInFiles: boolean): Live | undefined =>
  value && {
    size: value.length,
    tail: tailOf(value),
    base: isInFiles ? { head: headOf(value), body: bodyOf(value) } : undefined
  }

/** The bytes that LevelDB needs to open a database, in addition to the room for its logs as tables. */
const openingBytes = 1_048_576
/** Live records up to this number of bytes fit, with the files of a database, into the spare part of the reserve. */
const spareBytes = 98_304
/** With this much room LevelDB can do anything. */
const plenty = 64 * 1_048_576
const shortestPause = 1000
const longestPause = 30_000
/** LevelDB that fails again within this time, in milliseconds, needs more room than there is. */
const trial = 60_000

/**
 * Decides when a store switches from LevelDB to its reserve, and back.
 *
 * It switches back when there is room for LevelDB to open. It also switches back when so little data is left that the
 * spare part of the reserve has room for a new database, which frees the old one. Failing attempts are not repeated
 * with every commit.
 */
export class FullDisk {
  readonly #engine: Engine
  readonly #paths: Paths
  readonly #reserve: Reserve
  #database: FullDiskDatabase | undefined
  #pause = 0
  #notBefore = -Infinity
  #leftAt = -Infinity
  /** The free room at the last attempt. */
  #room = 0

  constructor(engine: Engine, paths: Paths, reserve: Reserve) {
    this.#engine = engine
    this.#paths = paths
    this.#reserve = reserve
  }

  /** The replacement for LevelDB; undefined while LevelDB is in use. */
  get database(): FullDiskDatabase | undefined {
    return this.#database
  }

  /** Whether there is a reserve that can take writes. */
  get canAccept(): boolean {
    return this.#reserve.isHeld
  }

  /** Switches to the replacement. LevelDB is already closed. */
  enter(): FullDiskDatabase {
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

  /** Whether LevelDB may be tried. Makes room for it if that is possible. */
  async hasRoomAgain(): Promise<boolean> {
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
      await shrink(this.#engine, this.#paths, this.#reserve.differences, (key) => database.isLive(key))
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
