/**
 * The records of one session in the database, and the summary that every commit writes with them.
 *
 * The summary has the number of records and a sum over them. So a load notices a record that is missing or that came
 * back, although every present record is whole.
 */
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { StoreFailure } from "./failure.ts"
import { type Database, type Operation, tailOf } from "./level.ts"
import { RecordChecksums } from "./recordChecksums.ts"

/**
 * Identifies a session in keys: 128 bits of a digest of its name, so that any name fits, with a fixed length. The
 * digest is over UTF-16, because names that are not well-formed Unicode would become equal in UTF-8.
 */
export const idOf = (session: string): string =>
  createHash("sha256").update(Buffer.from(session, "utf16le")).digest().subarray(0, 16).toString("base64url")

/** Count and sum over the records of a session. */
export interface Summary {
  readonly commits: number
  readonly records: number
  readonly sum: number
  readonly exclusive: number
}

/** The content of the database for a session. */
export interface Found {
  /** The checksum of each record under its key. */
  readonly checksums: RecordChecksums
  /** The keys, in the database, of values that cannot be read. */
  readonly unreadable: ReadonlyArray<string>
  readonly summary: Summary | undefined
  /** Whether the summary exists and cannot be read. */
  readonly isSummaryDamaged: boolean
}

/** Takes the bytes under the key of a record. Answers why they are no record; undefined: they are. */
export type AddRecord = (key: string, bytes: Uint8Array) => StoreRecordCodec.DecodeFailure | undefined

const failureOf: AddRecord = (key, bytes) => {
  const decoded = StoreRecordCodec.decode(key, bytes)
  return Result.isFailure(decoded) ? decoded.failure : undefined
}

interface Prepared {
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: Uint8Array | undefined
}

/** Changes in the form in which they are written. The caller's later changes have no effect on them. */
export interface PreparedChanges {
  readonly changes: ReadonlyArray<Prepared>
  /** The bytes of all values. */
  readonly bytes: number
}

const summaryFormat = 1
const summarySize = 25
// A key may contain the name of a session, which need not be well-formed, while LevelDB keeps UTF-8. Code units without
// UTF-8 are escaped.
const escape = "\u{10fffe}"
const escaped = /[\p{Surrogate}\u{10fffe}]/u

const toStored = (key: string): string =>
  escaped.test(key)
    ? key.replace(
      /[\p{Surrogate}\u{10fffe}]/gu,
      (unit) => escape + (unit === escape ? "0000" : unit.charCodeAt(0).toString(16))
    )
    : key

/** The key of a record by its key in the database, without the prefix of its session. */
export const fromStored = (key: string): string =>
  key.includes(escape)
    ? key.replace(
      /\u{10fffe}([0-9a-f]{4})/gu,
      (_, unit: string) => unit === "0000" ? escape : String.fromCharCode(Number.parseInt(unit, 16))
    )
    : key

/** LevelDB keeps a write in memory, and the store reads it in one piece when it opens. Bytes. */
const largestCommit = 1_073_741_824

/**
 * Encodes changes. Fails with the kind `invalid` when a change can never be written, or there are too many for one
 * write.
 */
export const prepare = (changes: ReadonlyArray<StoreChange>, limit: number = largestCommit): PreparedChanges => {
  let bytes = 0
  const prepared = changes.map((change): Prepared => {
    if (change._tag === "Delete") return { key: change.key, value: undefined }
    const key = keyOf(change.record)
    const value = encode(key, change.record)
    bytes += value.length
    if (bytes > limit) throw new StoreFailure("invalid", `a commit has more than ${limit} bytes`)
    return { key, value }
  })
  return { changes: prepared, bytes }
}

const encode = (key: string, record: StoreRecord): Uint8Array => {
  try {
    return StoreRecordCodec.encode(record)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new StoreFailure("invalid", `the record ${key} cannot be written: ${why}`, cause)
  }
}

/** A later version of the library wrote a record. */
export const newer = (found: number): StoreFailure =>
  new StoreFailure(
    "newerFormat",
    `a record has the format ${found}, and this version reads up to ${StoreRecordCodec.format}`
  )

/** One session's part of the database. */
export class SessionState {
  readonly session: string
  readonly id: string
  /**
   * The known content of the database; undefined before the first read, and after a write with an unknown outcome.
   */
  checksums: RecordChecksums | undefined
  commits = 0
  records = 0
  readonly summaryKey: string
  readonly #prefix: string
  readonly #end: string
  readonly #nameChecksum: number
  #sum = 0
  #exclusive = 0

  constructor(session: string) {
    this.session = session
    this.id = idOf(session)
    this.summaryKey = `summary/${this.id}`
    this.#prefix = `record/${this.id}/`
    this.#end = `record/${this.id}0`
    this.#nameChecksum = crc32(Buffer.from(session, "utf16le"))
  }

  /**
   * Reads everything and changes nothing. `add` gets each record, and answers why it cannot be read. Fails with the
   * kind `newerFormat`.
   */
  async read(database: Database, add: AddRecord): Promise<Found> {
    const checksums = new RecordChecksums()
    const unreadable: Array<string> = []
    const start = this.#prefix.length
    await database.range(this.#prefix, this.#end, (full, bytes) => {
      const key = fromStored(full.slice(start))
      const failure = add(key, bytes)
      if (failure === undefined) {
        checksums.set(key, tailOf(bytes))
      } else if (failure._tag === "NewerFormat") {
        throw newer(failure.format)
      } else {
        unreadable.push(full)
      }
    })
    return { checksums, unreadable, ...await this.#readSummary(database) }
  }

  /** Continues from the content of the database, after a write with an unknown outcome. */
  async recall(database: Database): Promise<void> {
    const tails = database.tails?.(this.#prefix, this.#end)
    if (tails === undefined) return this.resume(await this.read(database, failureOf))
    const checksums = new RecordChecksums()
    for (const [full, tail] of tails) checksums.set(fromStored(full.slice(this.#prefix.length)), tail)
    this.resume({ checksums, unreadable: [], ...await this.#readSummary(database) })
  }

  async #readSummary(database: Database): Promise<Pick<Found, "summary" | "isSummaryDamaged">> {
    const bytes = await database.get(this.summaryKey)
    const summary = bytes === undefined ? undefined : this.#decode(bytes)
    return { summary, isSummaryDamaged: bytes !== undefined && summary === undefined }
  }

  /**
   * Continues from what was found. When something is missing, later summaries keep showing that, so that the next load
   * reports it.
   */
  resume(found: Found): void {
    this.checksums = found.checksums
    if (found.summary === undefined) {
      // The sums of no records: the next load sees that there are more records than there should be.
      this.commits = 0
      this.records = 0
      this.#sum = 0
      this.#exclusive = 0
    } else {
      this.commits = found.summary.commits
      this.records = found.summary.records
      this.#sum = found.summary.sum
      this.#exclusive = found.summary.exclusive
    }
  }

  /** Starts over with what was found, after `commits` commits. */
  adopt(found: Found, commits: number): void {
    const { exclusive, records, sum } = summarise(found.checksums, commits)
    this.checksums = found.checksums
    this.commits = commits
    this.records = records
    this.#sum = sum
    this.#exclusive = exclusive
  }

  /** The key in the database. */
  storedKey(key: string): string {
    return this.#prefix + toStored(key)
  }

  /** Adds changes, and the summary after them, to a batch. */
  write(prepared: ReadonlyArray<Prepared>, batch: Array<Operation>): void {
    const checksums = this.checksums!
    for (const { key, value } of prepared) {
      const before = checksums.get(key)
      if (before !== undefined) this.#remove(before)
      if (value === undefined) {
        checksums.delete(key)
        batch.push({ type: "del", key: this.storedKey(key) })
      } else {
        const checksum = tailOf(value)
        checksums.set(key, checksum)
        this.records++
        this.#sum = (this.#sum + checksum) >>> 0
        this.#exclusive = (this.#exclusive ^ checksum) >>> 0
        batch.push({ type: "put", key: this.storedKey(key), value })
      }
    }
    this.commits++
    batch.push({ type: "put", key: this.summaryKey, value: this.#encode() })
  }

  /** Adds the deletion of everything to a batch. */
  async erase(database: Database, batch: Array<Operation>): Promise<void> {
    for (const key of await database.keys(this.#prefix, this.#end)) batch.push({ type: "del", key })
    batch.push({ type: "del", key: this.summaryKey })
  }

  #remove(checksum: number): void {
    this.records--
    this.#sum = (this.#sum - checksum) >>> 0
    this.#exclusive = (this.#exclusive ^ checksum) >>> 0
  }

  #encode(): Uint8Array {
    const bytes = Buffer.allocUnsafe(summarySize)
    bytes[0] = summaryFormat
    bytes.writeDoubleLE(this.commits, 1)
    bytes.writeInt32LE(this.records, 9)
    bytes.writeUInt32LE(this.#sum, 13)
    bytes.writeUInt32LE(this.#exclusive, 17)
    bytes.writeUInt32LE(this.#checksumOf(bytes), 21)
    return bytes
  }

  #decode(bytes: Uint8Array): Summary | undefined {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    if (buffer.length < 5 || buffer.readUInt32LE(buffer.length - 4) !== this.#checksumOf(buffer)) return undefined
    if (buffer[0]! > summaryFormat) throw newer(buffer[0]!)
    if (buffer.length !== summarySize) return undefined
    return {
      commits: buffer.readDoubleLE(1),
      records: buffer.readInt32LE(9),
      sum: buffer.readUInt32LE(13),
      exclusive: buffer.readUInt32LE(17)
    }
  }

  // The checksum covers the name: two names with one digest would be detected, not mixed.
  #checksumOf(bytes: Buffer): number {
    return crc32(bytes.subarray(0, bytes.length - 4), this.#nameChecksum)
  }
}

/** Computes the summary of records. */
export const summarise = (checksums: RecordChecksums, commits: number): Summary => {
  let sum = 0
  let exclusive = 0
  checksums.forEach((checksum) => {
    sum = (sum + checksum) >>> 0
    exclusive = (exclusive ^ checksum) >>> 0
  })
  return { commits, records: checksums.size, sum, exclusive }
}
