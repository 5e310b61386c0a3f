/**
 * A line of an exported store: the name of a session, and one record in the codec of the library, in Base64. For people
 * the line also has the type, and the topic where there is one; `import` does not read these.
 */
import * as StoreRecord from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Line } from "../lines.ts"

const Fields = Schema.Struct({
  session: Schema.NonEmptyString,
  key: Schema.NonEmptyString,
  record: Schema.Uint8ArrayFromBase64
})

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Fields))
const utf8 = new TextDecoder("utf-8", { fatal: true })

/** A record and its session. */
export interface SessionRecord {
  readonly session: string
  readonly record: StoreRecord.StoreRecord
}

export const format = (session: string, record: StoreRecord.StoreRecord): string =>
  `${
    JSON.stringify({
      session,
      type: record._tag,
      key: StoreRecord.keyOf(record),
      ...("topic" in record && { topic: record.topic }),
      record: Base64.encode(StoreRecordCodec.encode(record))
    })
  }\n`

/** The record of a line. Fails with what is wrong. */
export const parse = (line: Line): Result.Result<SessionRecord | undefined, string> => {
  if (line.bytes === undefined) return Result.fail("the line is too long")
  let text: string
  try {
    text = utf8.decode(line.bytes)
  } catch {
    return Result.fail("this is no text in UTF-8")
  }
  if (text.trim() === "") return Result.succeed(undefined)
  const fields = decode(text)
  if (Result.isFailure(fields)) return Result.fail("this is no exported record")
  const { key, record, session } = fields.success
  const decoded = StoreRecordCodec.decode(key, record)
  if (Result.isSuccess(decoded)) return Result.succeed({ session, record: decoded.success })
  return Result.fail(
    decoded.failure._tag === "NewerFormat"
      ? "a later version of effect-mqttx wrote the record"
      : "the record is damaged"
  )
}
