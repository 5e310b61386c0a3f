/**
 * Messages as rows of the outbox: checked, made bytes, read again, and published with the time that they have left.
 */
import { InvalidOptions, MqttError, type MqttErrorReason, PacketTooLarge } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { Payload, PublishOptions } from "@effect-mqttx/core/Publication"
import { keyOf, type OutboundRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"

/** The longest row. Drivers limit what they read at once. */
const longest = 8_388_608

const blank: OutboundRecord = {
  _tag: "Outbound",
  sequence: 0,
  state: "queued",
  packetIdentifier: 0,
  topic: "",
  payload: new Uint8Array(),
  qos: 0,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined
}

const key = keyOf(blank)

const invalid = (path: string, message: string): InvalidOptions => new InvalidOptions({ issues: [{ path, message }] })

/** The bytes of a message that is added to the outbox now. */
export const toBytes = (
  topic: string,
  payload: Payload,
  options: unknown,
  now: number
): Result.Result<Uint8Array, MqttErrorReason> => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    return Result.fail(invalid("options", "must be a record"))
  }
  for (const name of ["topicAlias", "timeout", "origin"]) {
    if (name in options) return Result.fail(invalid(name, "no such option of the outbox"))
  }
  return Result.flatMap(
    MqttSession.checkPublish(topic, payload, { ...options, qos: (options as PublishOptions).qos ?? 2 }),
    ({ expiresAfter = Number.POSITIVE_INFINITY, ...message }): Result.Result<Uint8Array, MqttErrorReason> => {
      if (message.qos === 0) {
        return Result.fail(invalid("qos", "must be 1 or 2: a message of QoS 0 is in no store"))
      }
      const { messageExpiryInterval = Number.POSITIVE_INFINITY } = message.properties
      const lifetime = Math.min(expiresAfter, messageExpiryInterval * 1000)
      const bytes = StoreRecordCodec.encode({
        ...blank,
        ...message,
        acceptedAt: now,
        expiresAt: lifetime === Number.POSITIVE_INFINITY ? undefined : now + lifetime
      })
      return bytes.length > longest
        ? Result.fail(new PacketTooLarge({ size: bytes.length, maximum: longest }))
        : Result.succeed(bytes)
    }
  )
}

/** A message of a row, or why there is none. */
export const fromBytes = (bytes: Uint8Array): Result.Result<OutboundRecord, StoreRecordCodec.DecodeFailure> =>
  Result.flatMap(
    StoreRecordCodec.decode(key, bytes),
    (record): Result.Result<OutboundRecord, StoreRecordCodec.DecodeFailure> =>
      record._tag === "Outbound"
        ? Result.succeed(record)
        : Result.fail({ _tag: "Damaged", detail: "the row holds no message" })
  )

/** How a message is published now; undefined: its time is over. */
export const optionsOf = (
  { acceptedAt, expiresAt, properties, qos, retain }: OutboundRecord,
  now: number
): PublishOptions | undefined => {
  if (expiresAt === undefined) return { qos, retain, properties }
  if (expiresAt <= now) return undefined
  const { messageExpiryInterval } = properties
  const seconds = Math.max(0, Math.floor((now - acceptedAt) / 1000))
  return {
    qos,
    retain,
    properties: messageExpiryInterval === undefined
      ? properties
      : { ...properties, messageExpiryInterval: Math.max(1, messageExpiryInterval - seconds) },
    expiresAfter: expiresAt - now
  }
}

/** Whether an error is a fault of the message, which no further attempt would mend. */
export const isOfMessage = ({ reason }: MqttError): boolean => {
  switch (reason._tag) {
    case "InvalidTopic":
    case "InvalidPayload":
    case "InvalidOptions":
    case "PacketTooLarge":
    case "NotSupported":
      return true
    case "StorageFailed":
      return reason.kind === "invalid"
    default:
      return false
  }
}

export const invalidArgument = (method: string, path: string, message: string): MqttError =>
  new MqttError({ method, reason: invalid(path, message) })
