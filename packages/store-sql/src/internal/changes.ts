/**
 * Splits the changes of a commit into parts of one statement each.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import { hashOf, textOf } from "./names.ts"
import { rowOf } from "./outbox/key.ts"

/** A part has at most this many changes, and takes no further one once it has this many bytes. */
const largestCount = 20_000
const enoughBytes = 8_388_608

/** A part of a commit. No key is in both halves, or twice in one. */
export interface Part {
  /** The hashes of the keys of deleted records. */
  readonly deletes: ReadonlyArray<Uint8Array>
  /** The hashes, keys and values of stored records: three columns of the same length. */
  readonly hashes: ReadonlyArray<Uint8Array>
  readonly keys: ReadonlyArray<string>
  readonly values: ReadonlyArray<Uint8Array>
  readonly bytes: number
  /** Rows of the outbox whose messages the session has with this commit, and those that it has no more. */
  readonly accepted: ReadonlyArray<string>
  readonly returned: ReadonlyArray<string>
}

const encode = (key: string, record: StoreRecord): Uint8Array => {
  try {
    return StoreRecordCodec.encode(record)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new StorageFailed({ kind: "invalid", detail: `the record ${key} cannot be written: ${why}`, cause })
  }
}

/** The parts of a commit, at least one. Throws `StorageFailed` of the kind `invalid`. */
export const partsOf = (changes: ReadonlyArray<StoreChange>): ReadonlyArray<Part> => {
  // Only the last change of a key counts.
  const last = new Map<string, StoreRecord | undefined>()
  for (const change of changes) {
    if (change._tag === "Put") last.set(keyOf(change.record), change.record)
    else last.set(change.key, undefined)
  }
  const parts: Array<Part> = []
  let deletes: Array<Uint8Array> = []
  let hashes: Array<Uint8Array> = []
  let keys: Array<string> = []
  let values: Array<Uint8Array> = []
  let bytes = 0
  let accepted: Array<string> = []
  let returned: Array<string> = []
  const finish = (): void => {
    parts.push({ deletes, hashes, keys, values, bytes, accepted, returned })
    deletes = []
    hashes = []
    keys = []
    values = []
    bytes = 0
    accepted = []
    returned = []
  }
  for (const [key, record] of last) {
    const row = rowOf(key)
    if (row !== undefined) {
      if (record === undefined) returned.push(row)
      else accepted.push(row)
      continue
    }
    const text = textOf(key)
    const hash = hashOf(text)
    const value = record === undefined ? undefined : encode(key, record)
    const size = hash.length + (value === undefined ? 0 : text.length + value.length)
    const count = deletes.length + keys.length
    if (count > 0 && (count >= largestCount || bytes + size > enoughBytes)) finish()
    bytes += size
    if (value === undefined) {
      deletes.push(hash)
    } else {
      hashes.push(hash)
      keys.push(text)
      values.push(value)
    }
  }
  if (parts.length === 0 || deletes.length + keys.length + accepted.length + returned.length > 0) finish()
  return parts
}
