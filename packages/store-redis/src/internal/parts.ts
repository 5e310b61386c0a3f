/**
 * Splits changes into parts that one script call can take. The driver and Redis limit the parameters of a call, and
 * Redis serves no other client while it runs one.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import { fieldOf } from "./keys.ts"
import { toText } from "./value.ts"

/** A part has at most this many changes, and takes no further one once it has this many bytes. */
const largestCount = 2000
const enoughBytes = 524_288

/** A part of a commit: the deleted fields, and alternating fields and values. */
export interface Part {
  readonly deletes: ReadonlyArray<string>
  readonly puts: ReadonlyArray<string>
}

/** Changes with only the last one for each key. */
export interface Commit {
  readonly deletes: ReadonlySet<string>
  readonly puts: ReadonlyMap<string, StoreRecord>
  /** Whether the changes need no more memory than they free: records that replace others of the same size. */
  readonly isFreeing: boolean
}

const sizeOf = (record: StoreRecord): number => record._tag === "Outbound" ? record.payload.length : 0

/** `current` is what Redis holds, as far as it is known. */
export const commitOf = (changes: ReadonlyArray<StoreChange>, current: ReadonlyMap<string, StoreRecord>): Commit => {
  const puts = new Map<string, StoreRecord>()
  const deletes = new Set<string>()
  for (const change of changes) {
    if (change._tag === "Put") {
      const key = keyOf(change.record)
      deletes.delete(key)
      puts.set(key, change.record)
    } else {
      puts.delete(change.key)
      deletes.add(change.key)
    }
  }
  return { deletes, puts, isFreeing: isFreeing(puts, current) }
}

const isFreeing = (puts: Commit["puts"], current: ReadonlyMap<string, StoreRecord>): boolean => {
  for (const [key, record] of puts) {
    const before = current.get(key)
    if (before === undefined || sizeOf(record) > sizeOf(before)) return false
  }
  return true
}

/**
 * The string of a record. Fails with the kind `invalid` when no store can hold it, or this Redis accepts no string of
 * its size.
 */
const valueOf = (key: string, record: StoreRecord, largestValue: number): string => {
  let bytes: Uint8Array
  try {
    bytes = StoreRecordCodec.encode(record)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new StorageFailed({ kind: "invalid", detail: `the record ${key} cannot be written: ${why}`, cause })
  }
  const text = toText(bytes)
  // A character takes at most two bytes.
  if (text.length * 2 > largestValue && Buffer.byteLength(text) > largestValue) {
    throw new StorageFailed({
      kind: "invalid",
      detail: `the record ${key} has ${Buffer.byteLength(text)} bytes, and Redis takes ${largestValue}`
    })
  }
  return text
}

/**
 * The parts of a commit, each made on demand, so that only one is in memory. Throws `StorageFailed` of the kind
 * `invalid`.
 */
export function* partsOf({ deletes, puts }: Commit, largestValue: number): Generator<Part> {
  let part = { deletes: new Array<string>(), puts: new Array<string>() }
  let bytes = 0
  const isFull = () => part.deletes.length + part.puts.length / 2 >= largestCount || bytes >= enoughBytes
  const take = (): Part => {
    const taken = part
    part = { deletes: [], puts: [] }
    bytes = 0
    return taken
  }
  for (const key of deletes) {
    if (isFull()) yield take()
    const field = fieldOf(key)
    part.deletes.push(field)
    bytes += field.length
  }
  for (const [key, record] of puts) {
    if (isFull()) yield take()
    const value = valueOf(key, record, largestValue)
    // A large value has a part of its own, even if the part before it is small.
    if (bytes > 0 && bytes + value.length > enoughBytes) yield take()
    part.puts.push(fieldOf(key), value)
    bytes += key.length + value.length
  }
  yield take()
}
