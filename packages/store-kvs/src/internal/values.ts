/**
 * The values of a session in a key-value store: segments of its log, each a batch of changes, and heads, which say
 * where the log begins.
 *
 * Every value is one byte of format, its fields, and four bytes of checksum over its name and all bytes before. Every
 * later format keeps the first byte and the checksum, so that an older program can distinguish a newer value from a
 * damaged one.
 */
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"

const format = 1

/** Why a value cannot be read. */
export type Unreadable = "newerFormat" | "damaged"

export interface Head {
  /** Increased by one with every head. The head with the larger generation counts. */
  readonly generation: number
  /** The number of the first segment of the log. */
  readonly first: number
  /** The lowest number of a segment that may be left from an older log. */
  readonly garbage: number
}

/** A change as it is stored in a segment. */
export type SegmentChange =
  | { readonly _tag: "Put"; readonly key: string; readonly record: StoreRecord; readonly size: number }
  | { readonly _tag: "Delete"; readonly key: string }

export interface Segment {
  /** The log is complete from here on: a copy of all records begins here, or everything before was cleared. */
  readonly beginning: boolean
  /** Everything before this segment is deleted. */
  readonly clears: boolean
  readonly changes: ReadonlyArray<SegmentChange>
  /** The number of records whose bytes are intact but are no valid record. */
  readonly unknown: number
}

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const withChecksum = (name: string, bytes: Uint8Array): Uint8Array => {
  const view = new DataView(bytes.buffer)
  view.setUint8(0, format)
  view.setUint32(
    bytes.length - 4,
    StoreRecordCodec.checksum(bytes, bytes.length - 4, StoreRecordCodec.checksum(textEncoder.encode(name)))
  )
  return bytes
}

const openValue = (name: string, bytes: Uint8Array): Result.Result<DataView, Unreadable> => {
  if (bytes.length < 5) return Result.fail("damaged")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const checksum = StoreRecordCodec.checksum(
    bytes,
    bytes.length - 4,
    StoreRecordCodec.checksum(textEncoder.encode(name))
  )
  if (view.getUint32(bytes.length - 4) !== checksum) return Result.fail("damaged")
  return bytes[0]! > format ? Result.fail("newerFormat") : Result.succeed(view)
}

const headSize = 29

export const encodeHead = (name: string, head: Head): Uint8Array => {
  const bytes = new Uint8Array(headSize)
  const view = new DataView(bytes.buffer)
  view.setFloat64(1, head.generation)
  view.setFloat64(9, head.first)
  view.setFloat64(17, head.garbage)
  return withChecksum(name, bytes)
}

export const decodeHead = (name: string, bytes: Uint8Array): Result.Result<Head, Unreadable> =>
  Result.flatMap(openValue(name, bytes), (view) =>
    bytes.length !== headSize ? Result.fail("damaged") : Result.succeed({
      generation: view.getFloat64(1),
      first: view.getFloat64(9),
      garbage: view.getFloat64(17)
    }))

/** Format, flags, number of changes and checksum. */
const segmentFrame = 10
/** The size of a key and of a record. */
const changeFrame = 8
const deleted = 0xffffffff
const flags = { beginning: 1, clears: 2 } as const

/**
 * The bytes of a segment, and its changes with their sizes there. Throws what `StoreRecordCodec.encode` throws.
 */
export const encodeSegment = (
  name: string,
  changes: ReadonlyArray<StoreChange>,
  marks: { readonly beginning: boolean; readonly clears: boolean }
): { readonly bytes: Uint8Array; readonly changes: ReadonlyArray<SegmentChange> } => {
  const parts: Array<readonly [key: Uint8Array, record: Uint8Array | undefined]> = []
  const written: Array<SegmentChange> = []
  let total = segmentFrame
  for (const change of changes) {
    const text = change._tag === "Put" ? keyOf(change.record) : change.key
    const key = textEncoder.encode(text)
    const record = change._tag === "Put" ? StoreRecordCodec.encode(change.record) : undefined
    const size = changeFrame + key.length + (record?.length ?? 0)
    total += size
    parts.push([key, record])
    written.push(
      change._tag === "Put" ? { _tag: "Put", key: text, record: change.record, size } : { _tag: "Delete", key: text }
    )
  }
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, (marks.beginning ? flags.beginning : 0) | (marks.clears ? flags.clears : 0))
  view.setUint32(2, changes.length)
  let position = 6
  for (const [key, record] of parts) {
    view.setUint32(position, key.length)
    view.setUint32(position + 4, record?.length ?? deleted)
    bytes.set(key, position + changeFrame)
    position += changeFrame + key.length
    if (record !== undefined) bytes.set(record, position)
    position += record?.length ?? 0
  }
  return { bytes: withChecksum(name, bytes), changes: written }
}

export const decodeSegment = (name: string, bytes: Uint8Array): Result.Result<Segment, Unreadable> =>
  Result.flatMap(openValue(name, bytes), (view) => {
    if (bytes.length < segmentFrame) return Result.fail("damaged")
    const count = view.getUint32(2)
    const changes: Array<SegmentChange> = []
    let unknown = 0
    let position = 6
    // The checksum is right, so content that does not fit comes from another format, and none of it is trusted.
    try {
      for (let i = 0; i < count; i++) {
        const keySize = view.getUint32(position)
        const recordSize = view.getUint32(position + 4)
        const start = position + changeFrame + keySize
        const end = recordSize === deleted ? start : start + recordSize
        if (end > bytes.length - 4) return Result.fail("damaged")
        const key = textDecoder.decode(bytes.subarray(position + changeFrame, start))
        position = end
        if (recordSize === deleted) {
          changes.push({ _tag: "Delete", key })
          continue
        }
        const decoded = StoreRecordCodec.decode(key, bytes.subarray(start, end))
        if (Result.isSuccess(decoded)) {
          changes.push({ _tag: "Put", key, record: decoded.success, size: changeFrame + keySize + recordSize })
        } else if (decoded.failure._tag === "NewerFormat") {
          return Result.fail("newerFormat")
        } else {
          unknown++
          changes.push({ _tag: "Delete", key })
        }
      }
    } catch {
      return Result.fail("damaged")
    }
    if (position !== bytes.length - 4) return Result.fail("damaged")
    const marks = bytes[1]!
    return Result.succeed({
      beginning: (marks & (flags.beginning | flags.clears)) !== 0,
      clears: (marks & flags.clears) !== 0,
      changes,
      unknown
    })
  })
