/**
 * Reading the records of a session in pages.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { LoadedRecords } from "@effect-mqttx/core/SessionStore"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { keyOfField } from "./keys.ts"
import type { Line } from "./line.ts"
import { toBytes } from "./value.ts"

const pageBytes = 1_048_576
const largestCount = 8_192
// The first page tells how large records are.
const firstCount = 64

export interface ReadRecords {
  /** By their keys, in the order of the keys, in which outbound ones stand in that of their sequence. */
  readonly records: ReadonlyMap<string, StoreRecord>
  /** The fields that hold no record. */
  readonly damaged: ReadonlyArray<string>
  readonly damage: LoadedRecords["damage"]
  /** The number of the newest commit. */
  readonly newest: number
}

/**
 * Reads a hash by HSCAN: Redis serves others between the pages, which have about a megabyte each. Fails with the kind `newerFormat`
 * when a record is newer than this version of the library, whatever the others are.
 */
export const readRecords = Effect.fnUntraced(function*(
  line: Line,
  hash: string
): Effect.fn.Return<ReadRecords, StorageFailed> {
  const records = new Map<string, StoreRecord>()
  const damaged = new Set<string>()
  let detail = ""
  let newest = 0
  let fields = 0
  let bytes = 0
  let cursor = "0"
  do {
    const count = fields === 0 ? firstCount : Math.ceil(Math.min(largestCount, pageBytes * fields / Math.max(1, bytes)))
    const reply = yield* line.send("HSCAN", hash, cursor, "COUNT", count.toString())
    const [next, page] = reply as readonly [unknown, ReadonlyArray<unknown>]
    for (let i = 0; i + 1 < page.length; i += 2) {
      const field = String(page[i])
      const value = String(page[i + 1])
      fields++
      bytes += value.length
      if (field === "") {
        newest = Number(value)
        continue
      }
      const key = keyOfField(field)
      const decoded = StoreRecordCodec.decode(key, toBytes(value))
      if (Result.isSuccess(decoded)) {
        records.set(key, decoded.success)
      } else if (decoded.failure._tag === "Damaged") {
        if (damaged.size === 0) detail = `${field}: ${decoded.failure.detail}`
        damaged.add(field)
      } else {
        return yield* new StorageFailed({
          kind: "newerFormat",
          detail: `${field} has format ${decoded.failure.format}, and this version reads ${StoreRecordCodec.format}`
        })
      }
    }
    cursor = String(next)
  } while (cursor !== "0")
  return {
    records: new Map(Array.from(records.keys()).sort().map((key) => [key, records.get(key)!])),
    damaged: Array.from(damaged),
    damage: damaged.size === 0 ? undefined : { lost: damaged.size, detail },
    newest
  }
})
