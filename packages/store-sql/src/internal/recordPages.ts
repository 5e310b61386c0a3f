/**
 * Reads the records of a session in pages, and large ones in slices.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Effect from "effect/Effect"
import type { Attempts } from "./attempts.ts"
import { hashOf, nameOf } from "./names.ts"
import type { RecordRow } from "./statements.ts"

// The driver `@effect/sql-pg` takes messages of 16 MB.
const sliceBytes = 4_194_304
/** How much time a page may take, as bytes: its size is unknown before it arrives. */
const pageBytes = 67_108_864

export interface ReadRecords {
  /** Without queued messages that a session keeps as bytes. */
  readonly records: ReadonlyArray<StoreRecord>
  /** Describes the first row that holds no record; undefined when all do. */
  readonly foreign: string | undefined
  /** The hashes of all rows that hold no record. */
  readonly foreignHashes: ReadonlyArray<Uint8Array>
}

/** Fails with the kind `newerFormat` when any record is newer than this version of the library. */
export const readRecords = Effect.fnUntraced(function*(
  attempts: Attempts,
  id: string
): Effect.fn.Return<ReadRecords, StorageFailed> {
  const collector = yield* StoreRecordCodec.RecordCollector.make
  const foreignHashes: Array<Uint8Array> = []
  let foreign: string | undefined
  for (let after = new Uint8Array();;) {
    const from = after
    const page = yield* attempts.run((all) => all.readPage(id, from), pageBytes)
    if (page.length === 0) return { records: collector.records, foreign, foreignHashes }
    for (const row of page) {
      const failure = add(collector, row, row.value ?? (yield* readLarge(attempts, id, row)))
      if (failure === undefined) continue
      if (failure._tag === "NewerFormat") {
        const { format } = failure
        return yield* new StorageFailed({
          kind: "newerFormat",
          detail: `${excerpt(row.key)} has format ${format}, and this version reads ${StoreRecordCodec.format}`
        })
      } else {
        foreignHashes.push(row.hash)
        foreign ??= `${excerpt(row.key)}: ${failure.detail}`
      }
    }
    after = Uint8Array.from(page[page.length - 1]!.hash)
  }
})

const add = (
  collector: StoreRecordCodec.RecordCollector,
  { hash, key }: RecordRow,
  value: Uint8Array
): StoreRecordCodec.DecodeFailure | undefined => {
  const expected = hashOf(key)
  return expected.length === hash.length && expected.every((byte, i) => byte === hash[i])
    ? collector.add(nameOf(key), value)
    : { _tag: "Damaged", detail: "the record of another key" }
}

const readLarge = Effect.fnUntraced(function*(
  attempts: Attempts,
  id: string,
  { hash, size }: RecordRow
): Effect.fn.Return<Uint8Array, StorageFailed> {
  const value = new Uint8Array(size)
  for (let offset = 0; offset < size; offset += sliceBytes) {
    const slice = yield* attempts.run((all) => all.readSlice(id, hash, offset, sliceBytes), size)
    value.set(slice.subarray(0, size - offset), offset)
  }
  return value
})

const excerpt = (key: string): string => key.length > 100 ? `${key.slice(0, 100)}…` : key
