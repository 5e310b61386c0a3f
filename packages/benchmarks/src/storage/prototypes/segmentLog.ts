/**
 * A prototype for decision 8: a file store over a segmented append-only log, written to be measured beside LevelDB.
 *
 * A segment is a file of batches, each with its length and a checksum over its place and its bytes. All commits that
 * wait go into one batch, with one sync. An index in memory has the place of every live record. When the log is over
 * twice as large as its live records, the live ones of the oldest segment are appended again, and it is deleted.
 *
 * It is no store for programs: it has no lock between processes, no reserve for a full disk, no permissions, and does
 * not notice a log that lost whole batches at its end. Size: a store would be opened into parts first.
 */
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import { keyOf, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { crc32 } from "node:zlib"

const segmentSize = 16_777_216
/**
 * Small batches are written over zeros, which are added in steps of this size, so that most syncs write no metadata.
 */
const growth = 262_144
const smallBatch = 4096
const batchHeader = 8
const entryHeader = 13
const types = { session: 1, put: 2, delete: 3, clear: 4 } as const
/** A log of at most this size is not compacted. */
const slack = 1_048_576

const numbered = /^outbound\/(\d{16})$/

/** Keys of outbound records as numbers, which take a third of the memory in a map. */
const indexKey = (key: string): string | number => {
  const digits = numbered.exec(key)?.[1]
  return digits === undefined ? key : Number(digits)
}

interface Segment {
  readonly number: number
  readonly path: string
  descriptor: number
  end: number
  allocated: number
}

export interface LogSession {
  readonly id: number
  readonly name: string
  /** From keys to slots. */
  readonly index: Map<string | number, number>
  /** The segment in which the session was last named. */
  namedIn: number
}

interface Waiting {
  readonly session: LogSession
  readonly entries: ReadonlyArray<readonly [key: string, value: Uint8Array | undefined]>
  readonly clears: boolean
  readonly settle: (error: unknown) => void
}

/** The places of records, by slots. */
class Places {
  #segments = new Uint32Array(1024)
  #offsets = new Uint32Array(1024)
  #lengths = new Uint32Array(1024)
  readonly #free: Array<number> = []
  #next = 0

  add(segment: number, offset: number, length: number): number {
    const slot = this.#free.pop() ?? this.#next++
    if (slot >= this.#segments.length) this.#grow()
    this.set(slot, segment, offset, length)
    return slot
  }

  set(slot: number, segment: number, offset: number, length: number): void {
    this.#segments[slot] = segment
    this.#offsets[slot] = offset
    this.#lengths[slot] = length
  }

  free(slot: number): void {
    this.#free.push(slot)
  }

  segment(slot: number): number {
    return this.#segments[slot]!
  }

  offset(slot: number): number {
    return this.#offsets[slot]!
  }

  length(slot: number): number {
    return this.#lengths[slot]!
  }

  #grow(): void {
    const grown = (array: Uint32Array<ArrayBuffer>) => {
      const larger = new Uint32Array(array.length * 2)
      larger.set(array)
      return larger
    }
    this.#segments = grown(this.#segments)
    this.#offsets = grown(this.#offsets)
    this.#lengths = grown(this.#lengths)
  }
}

const syncDirectory = (path: string): void => {
  const descriptor = Fs.openSync(path, "r")
  Fs.fsyncSync(descriptor)
  Fs.closeSync(descriptor)
}

const fdatasync = (descriptor: number): Promise<void> =>
  new Promise((resolve, reject) => Fs.fdatasync(descriptor, (error) => error === null ? resolve() : reject(error)))

const pathOf = (directory: string, number: number): string =>
  Path.join(directory, `${number.toString().padStart(10, "0")}.log`)

const bySequence = (a: StoreRecord, b: StoreRecord): number =>
  a._tag === "Outbound" && b._tag === "Outbound" ? a.sequence - b.sequence : Number(a._tag > b._tag) * 2 - 1

export class SegmentLog {
  readonly #directory: string
  readonly #sync: boolean
  readonly #places = new Places()
  readonly #sessions = new Map<string, LogSession>()
  readonly #byId = new Map<number, LogSession>()
  readonly #segments: Array<Segment> = []
  #waiting: Array<Waiting> = []
  #isRunning = false
  #failure: unknown
  #liveBytes = 0
  #totalBytes = 0
  #nextSession = 1
  #buffer = Buffer.allocUnsafe(65_536)

  private constructor(directory: string, sync: boolean) {
    this.#directory = directory
    this.#sync = sync
  }

  /** Reads all segments. Throws for damage before the end of the log, with its place. */
  static open(directory: string, sync: boolean): SegmentLog {
    Fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
    const log = new SegmentLog(directory, sync)
    const names = Fs.readdirSync(directory).filter((name) => /^\d{10}\.log$/.test(name)).sort()
    names.forEach((name, i) => log.#recover(Number(name.slice(0, 10)), i === names.length - 1))
    if (log.#segments.length === 0) log.#begin(1)
    return log
  }

  session(name: string): LogSession {
    let session = this.#sessions.get(name)
    if (session === undefined) {
      session = { id: this.#nextSession++, name, index: new Map(), namedIn: 0 }
      this.#sessions.set(name, session)
      this.#byId.set(session.id, session)
    }
    return session
  }

  load(session: LogSession): { readonly records: ReadonlyArray<StoreRecord>; readonly lost: number } {
    const records: Array<StoreRecord> = []
    const slots = Array.from(session.index).sort(([, a], [, b]) =>
      this.#places.segment(a) - this.#places.segment(b) || this.#places.offset(a) - this.#places.offset(b)
    )
    let lost = 0
    let bytes: Buffer = Buffer.alloc(0)
    let current = 0
    for (const [known, slot] of slots) {
      const number = this.#places.segment(slot)
      if (number !== current) {
        current = number
        bytes = Fs.readFileSync(pathOf(this.#directory, number))
      }
      const key = typeof known === "number" ? `outbound/${known.toString().padStart(16, "0")}` : known
      const offset = this.#places.offset(slot)
      // Copied: a record must not keep its segment in memory.
      const value = new Uint8Array(bytes.subarray(offset, offset + this.#places.length(slot)))
      const decoded = StoreRecordCodec.decode(key, value)
      if (Result.isSuccess(decoded)) records.push(decoded.success)
      else lost++
    }
    return { records: records.sort(bySequence), lost }
  }

  commit(session: LogSession, changes: ReadonlyArray<StoreChange>, settle: (error: unknown) => void): void {
    try {
      const entries = changes.map((change) =>
        change._tag === "Delete"
          ? [change.key, undefined] as const
          : [keyOf(change.record), StoreRecordCodec.encode(change.record)] as const
      )
      this.#add({ session, entries, clears: false, settle })
    } catch (error) {
      settle(error)
    }
  }

  clear(session: LogSession, settle: (error: unknown) => void): void {
    this.#add({ session, entries: [], clears: true, settle })
  }

  async close(): Promise<void> {
    await new Promise((resolve) =>
      this.#add({ session: this.session(""), entries: [], clears: false, settle: resolve })
    )
    for (const { descriptor } of this.#segments) Fs.closeSync(descriptor)
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting)
    if (this.#isRunning) return
    this.#isRunning = true
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      const error = await this.#write(group).then(() => undefined, (cause: unknown) => {
        // The end of the log is unknown from here on. The prototype refuses further commits.
        this.#failure = cause
        return cause
      })
      for (const { settle } of group) settle(error)
    }
    this.#isRunning = false
  }

  async #write(group: ReadonlyArray<Waiting>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const written = this.#encode(group)
    if (written > batchHeader) {
      const segment = this.#append(written)
      // Without a sync there would be no turn of the event loop between two writes.
      await (this.#sync ? fdatasync(segment.descriptor) : new Promise(setImmediate))
    }
    while (this.#totalBytes > 2 * this.#liveBytes + slack && this.#segments.length > 1) await this.#compact()
  }

  /** Appends the live records of the oldest segment again, and deletes it. */
  async #compact(): Promise<void> {
    const oldest = this.#segments[0]!
    const bytes = Fs.readFileSync(oldest.path)
    const moved: Array<Waiting> = []
    for (const session of this.#byId.values()) {
      const entries: Array<readonly [string, Uint8Array]> = []
      for (const [known, slot] of session.index) {
        if (this.#places.segment(slot) !== oldest.number) continue
        const key = typeof known === "number" ? `outbound/${known.toString().padStart(16, "0")}` : known
        const offset = this.#places.offset(slot)
        entries.push([key, bytes.subarray(offset, offset + this.#places.length(slot))])
      }
      if (entries.length > 0) moved.push({ session, entries, clears: false, settle: () => {} })
    }
    const written = this.#encode(moved)
    if (written > batchHeader) await fdatasync(this.#append(written).descriptor)
    this.#segments.shift()
    this.#totalBytes -= oldest.end
    Fs.closeSync(oldest.descriptor)
    Fs.unlinkSync(oldest.path)
  }

  /** Puts a batch into the buffer, and its effects into the index. */
  #encode(group: ReadonlyArray<Waiting>): number {
    let size = batchHeader
    for (const { entries, session } of group) {
      size += 2 * entryHeader + session.name.length * 2
      for (const [key, value] of entries) size += entryHeader + key.length * 3 + (value?.length ?? 0)
    }
    if (this.#buffer.length < size) this.#buffer = Buffer.allocUnsafe(size * 2)
    let segment = this.#segments.at(-1)!
    if (segment.end > batchHeader && segment.end + size > segmentSize) segment = this.#begin(segment.number + 1)
    const buffer = this.#buffer
    let at = batchHeader
    const header = (type: number, session: LogSession, keySize: number, valueSize: number) => {
      buffer[at] = type
      buffer.writeUInt32LE(session.id, at + 1)
      buffer.writeUInt32LE(keySize, at + 5)
      buffer.writeUInt32LE(valueSize, at + 9)
      at += entryHeader
    }
    for (const { clears, entries, session } of group) {
      if (session.namedIn !== segment.number && (clears || entries.length > 0)) {
        session.namedIn = segment.number
        header(types.session, session, session.name.length * 2, 0)
        at += buffer.write(session.name, at, "utf16le")
      }
      if (clears) {
        header(types.clear, session, 0, 0)
        this.#clear(session)
      }
      for (const [key, value] of entries) {
        const start = at
        at += entryHeader
        const keySize = buffer.write(key, at, "utf8")
        at = start
        header(value === undefined ? types.delete : types.put, session, keySize, value?.length ?? 0)
        at += keySize
        if (value === undefined) {
          this.#forget(session, indexKey(key))
        } else {
          buffer.set(value, at)
          this.#place(session, indexKey(key), segment, segment.end + at, value.length)
          at += value.length
        }
      }
    }
    return at
  }

  #append(size: number): Segment {
    const segment = this.#segments.at(-1)!
    const buffer = this.#buffer
    buffer.writeUInt32LE(size - batchHeader, 0)
    buffer.writeUInt32LE(crc32(buffer.subarray(batchHeader, size), segment.number + segment.end), 4)
    if (segment.end + size > segment.allocated) {
      const target = segment.end + size + (size > smallBatch ? 0 : growth)
      if (size <= smallBatch) {
        Fs.writeSync(segment.descriptor, Buffer.alloc(target - segment.end), 0, undefined, segment.end)
      }
      segment.allocated = target
    }
    for (let at = 0; at < size;) at += Fs.writeSync(segment.descriptor, buffer, at, size - at, segment.end + at)
    segment.end += size
    this.#totalBytes += size
    return segment
  }

  #begin(number: number): Segment {
    const path = pathOf(this.#directory, number)
    const segment = { number, path, descriptor: Fs.openSync(path, "wx+", 0o600), end: 0, allocated: 0 }
    syncDirectory(this.#directory)
    this.#segments.push(segment)
    return segment
  }

  #place(session: LogSession, key: string | number, segment: Segment, offset: number, length: number): void {
    const slot = session.index.get(key)
    this.#liveBytes += length + entryHeader
    if (slot === undefined) {
      session.index.set(key, this.#places.add(segment.number, offset, length))
    } else {
      this.#liveBytes -= this.#places.length(slot) + entryHeader
      this.#places.set(slot, segment.number, offset, length)
    }
  }

  #forget(session: LogSession, key: string | number): void {
    const slot = session.index.get(key)
    if (slot === undefined) return
    this.#liveBytes -= this.#places.length(slot) + entryHeader
    session.index.delete(key)
    this.#places.free(slot)
  }

  #clear(session: LogSession): void {
    for (const key of Array.from(session.index.keys())) this.#forget(session, key)
  }

  #recover(number: number, isLast: boolean): void {
    const path = pathOf(this.#directory, number)
    const bytes = Fs.readFileSync(path)
    const segment: Segment = {
      number,
      path,
      descriptor: Fs.openSync(path, "r+"),
      end: 0,
      allocated: bytes.length
    }
    this.#segments.push(segment)
    while (segment.end + batchHeader < bytes.length) {
      const size = bytes.readUInt32LE(segment.end)
      if (size === 0) break
      const start = segment.end + batchHeader
      const batch = bytes.subarray(start, start + size)
      if (
        batch.length < size || crc32(batch, number + segment.end) !== bytes.readUInt32LE(segment.end + 4)
      ) {
        // Only a write that was cut off may be here: nothing whole follows it.
        if (!isLast || this.#hasWholeBatch(bytes, number, segment.end + 1)) {
          throw new Error(`${path} is damaged at byte ${segment.end}`)
        }
        Fs.writeSync(segment.descriptor, Buffer.alloc(bytes.length - segment.end), 0, undefined, segment.end)
        Fs.fsyncSync(segment.descriptor)
        break
      }
      this.#replay(segment, batch, start)
      segment.end = start + size
      this.#totalBytes += size + batchHeader
    }
  }

  #hasWholeBatch(bytes: Buffer, number: number, from: number): boolean {
    for (let at = from; at + batchHeader < bytes.length; at++) {
      const size = bytes.readUInt32LE(at)
      if (size === 0 || at + batchHeader + size > bytes.length) continue
      const batch = bytes.subarray(at + batchHeader, at + batchHeader + size)
      if (crc32(batch, number + at) === bytes.readUInt32LE(at + 4)) return true
    }
    return false
  }

  #replay(segment: Segment, batch: Buffer, start: number): void {
    for (let at = 0; at < batch.length;) {
      const type = batch[at]!
      const id = batch.readUInt32LE(at + 1)
      const keySize = batch.readUInt32LE(at + 5)
      const valueSize = batch.readUInt32LE(at + 9)
      at += entryHeader
      if (type === types.session) {
        const name = batch.toString("utf16le", at, at + keySize)
        if (!this.#byId.has(id)) {
          const session = { id, name, index: new Map(), namedIn: 0 }
          this.#sessions.set(name, session)
          this.#byId.set(id, session)
          this.#nextSession = Math.max(this.#nextSession, id + 1)
        }
        this.#byId.get(id)!.namedIn = segment.number
      } else {
        const session = this.#byId.get(id)!
        if (type === types.clear) {
          this.#clear(session)
        } else {
          const key = indexKey(
            batch.toString("latin1", at, at + keySize).startsWith("outbound/")
              ? batch.toString("latin1", at, at + keySize)
              : batch.toString("utf8", at, at + keySize)
          )
          if (type === types.put) this.#place(session, key, segment, start + at + keySize, valueSize)
          else this.#forget(session, key)
        }
      }
      at += keySize + valueSize
    }
  }
}
