/**
 * A line of a recording: a message as `sub --json` prints it. `record` writes these lines by `jsonOf`; `replay` reads
 * them here. What is wrong with a line is said by the name of the field, never by its value.
 */
import type { OutgoingMessage } from "@effect-mqttx/core/Publication"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Line } from "../lines.ts"

/** A message and when it arrived, in milliseconds since the epoch. */
export interface RecordedMessage {
  readonly receivedAt: number
  readonly message: OutgoingMessage
}

const UInt32 = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffffffff }))

const Fields = Schema.Struct({
  topic: Schema.String.check(Schema.makeFilter((topic) => Topic.isValidName(topic))),
  qos: Schema.optional(Schema.Literals([0, 1, 2])),
  retain: Schema.optional(Schema.Boolean),
  receivedAt: Schema.String.check(Schema.makeFilter((time) => !Number.isNaN(Date.parse(time)))),
  payload: Schema.optional(Schema.String),
  payloadBase64: Schema.optional(Schema.Uint8ArrayFromBase64),
  properties: Schema.optional(Schema.Struct({
    payloadFormatIndicator: Schema.optional(Schema.Literals([0, 1])),
    messageExpiryInterval: Schema.optional(UInt32),
    contentType: Schema.optional(Schema.String),
    responseTopic: Schema.optional(Schema.String.check(Schema.makeFilter((topic) => Topic.isValidName(topic)))),
    correlationData: Schema.optional(Schema.Uint8ArrayFromBase64),
    userProperties: Schema.optional(Schema.Array(Schema.Tuple([Schema.String, Schema.String])))
  }))
})

const decode = Schema.decodeUnknownResult(Fields)
const format = SchemaIssue.makeFormatterStandardSchemaV1()
const utf8 = new TextDecoder("utf-8", { fatal: true })

const mistakeOf = (error: Schema.SchemaError): string => {
  const path = format(error.issue).issues[0]?.path ?? []
  return path.length === 0
    ? "this is no object"
    : `${
      path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join(".")
    } is missing or wrong`
}

/** The message of a line; undefined: the line is empty. Fails with what is wrong. */
export const parse = (line: Line): Result.Result<RecordedMessage | undefined, string> => {
  if (line.bytes === undefined) return Result.fail("the line is too long")
  let json: unknown
  try {
    const text = utf8.decode(line.bytes)
    if (text.trim() === "") return Result.succeed(undefined)
    json = JSON.parse(text)
  } catch {
    return Result.fail("this is no JSON")
  }
  const decoded = decode(json)
  if (Result.isFailure(decoded)) return Result.fail(mistakeOf(decoded.failure))
  const { payload, payloadBase64, properties, qos, receivedAt, retain, topic } = decoded.success
  if ((payload === undefined) === (payloadBase64 === undefined)) {
    return Result.fail("expected one of payload and payloadBase64")
  }
  const options = {
    qos: qos ?? 0,
    retain: retain ?? false,
    ...(properties !== undefined && Object.keys(properties).length > 0 && { properties })
  }
  return Result.succeed({
    receivedAt: Date.parse(receivedAt),
    message: { topic, payload: payloadBase64 ?? payload!, options } as OutgoingMessage
  })
}
