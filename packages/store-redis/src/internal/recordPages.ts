/**
 * Reads the records of a session in pages. Redis serves other clients between them, and only one page and the records
 * are in memory, however many foreign fields there are.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CommandQueue } from "./commandQueue.ts"
import { fieldOf, keyOfField } from "./keys.ts"
import { type Page, readPage } from "./replies.ts"
import { toBytes } from "./value.ts"

const pageBytes = 1_048_576
const largestCount = 1000
/** Extra time for a page, because its size is unknown before it arrives: a page of one record may have 512 MB. */
const extraPageTime = Duration.minutes(1)

export interface ReadRecords {
  readonly records: Map<string, StoreRecord>
  /** Describes the first field that holds no record; undefined when all do. */
  readonly foreign: string | undefined
  /** The number of the newest commit. */
  readonly newest: number
}

/**
 * How many entries to ask for: about a megabyte, by the size of the page before. The first page has one entry, because
 * no size is known yet.
 */
const nextCount = (count: number, { entries }: Page): number => {
  let bytes = 0
  for (const text of entries) bytes += text.length
  const fitting = Math.floor(pageBytes * entries.length / 2 / Math.max(1, bytes))
  return Math.max(1, Math.min(largestCount, count * 4, entries.length === 0 ? largestCount : fitting))
}

const readPageAt = (
  commands: CommandQueue,
  hash: string,
  cursor: string,
  count: number
): Effect.Effect<Page, StorageFailed> =>
  commands.send(readPage, ["HSCAN", hash, cursor, "COUNT", count.toString()], extraPageTime)

/**
 * Reads a hash. Fails with the kind `newerFormat` when any record is newer than this version of the library.
 */
export const readRecords = Effect.fnUntraced(function*(
  commands: CommandQueue,
  hash: string
): Effect.fn.Return<ReadRecords, StorageFailed> {
  const records = new Map<string, StoreRecord>()
  let foreign: string | undefined
  let newest = 0
  let cursor = "0"
  let count = 1
  do {
    const page = yield* readPageAt(commands, hash, cursor, count)
    const { entries } = page
    for (let i = 0; i < entries.length; i += 2) {
      const field = entries[i]!
      const value = entries[i + 1]!
      if (field === "") {
        newest = Number.isSafeInteger(Number(value)) ? Number(value) : 0
        continue
      }
      const key = keyOfField(field)
      const decoded = StoreRecordCodec.decode(key, toBytes(value))
      if (Result.isFailure(decoded)) {
        if (decoded.failure._tag === "NewerFormat") {
          return yield* new StorageFailed({
            kind: "newerFormat",
            detail: `${field} has format ${decoded.failure.format}, and this version reads ${StoreRecordCodec.format}`
          })
        }
        foreign ??= `${excerpt(field)}: ${decoded.failure.detail}`
      } else if (fieldOf(key) === field) {
        records.set(key, decoded.success)
      } else {
        foreign ??= `${excerpt(field)}: the record of another field`
      }
    }
    cursor = page.cursor
    count = nextCount(count, page)
  } while (cursor !== "0")
  return { records, foreign, newest }
})

const excerpt = (field: string): string => field.length > 100 ? `${field.slice(0, 100)}…` : field

/** Fields of one page that hold no record, and the next page. */
export interface ForeignPage {
  readonly fields: ReadonlyArray<string>
  readonly next: Effect.Effect<ForeignPage, StorageFailed> | undefined
}

/**
 * The fields of a hash that hold none of these records, one page for each step. They may be deleted before the next
 * step.
 */
export const foreignPages = (
  commands: CommandQueue,
  hash: string,
  records: ReadonlyMap<string, StoreRecord>
): Effect.Effect<ForeignPage, StorageFailed> => {
  const isForeign = (field: string): boolean => {
    const key = keyOfField(field)
    return field !== "" && !(records.has(key) && fieldOf(key) === field)
  }
  const pageAt = (cursor: string, count: number): Effect.Effect<ForeignPage, StorageFailed> =>
    Effect.map(readPageAt(commands, hash, cursor, count), (page) => {
      const fields = new Set<string>()
      for (let i = 0; i < page.entries.length; i += 2) if (isForeign(page.entries[i]!)) fields.add(page.entries[i]!)
      const count_ = nextCount(count, page)
      return {
        fields: Array.from(fields),
        next: page.cursor === "0" ? undefined : Effect.suspend(() => pageAt(page.cursor, count_))
      }
    })
  return pageAt("0", 1)
}
