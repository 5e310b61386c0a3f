/**
 * The messages between the tabs of one shared session, and their bounds. Every message of the channel is decoded by the
 * Schema here; what is not one of them, or is too large, is ignored. `sharedTab.ts` sends and receives them.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as Schema from "effect/Schema"
import { SharedSessionError } from "./sharedError.ts"

/** Topics, filters and properties of a message may take as much as this in addition to its payload, in bytes. */
export const headBytes = 262_144

/** Topic filters of one subscription. */
const maximumFilters = 100

const identifier = Schema.String.check(Schema.isMaxLength(64))
const count = Schema.Number.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))
const text = Schema.String.check(Schema.isMaxLength(65_535))
const qos = Schema.Literals([0, 1, 2])

/** The MQTT 5 properties of a message. */
const Properties = Schema.Struct({
  payloadFormatIndicator: Schema.optionalKey(Schema.Literals([0, 1])),
  messageExpiryInterval: Schema.optionalKey(count),
  contentType: Schema.optionalKey(text),
  responseTopic: Schema.optionalKey(text),
  correlationData: Schema.optionalKey(Schema.Uint8Array),
  userProperties: Schema.optionalKey(Schema.Array(Schema.Tuple([text, text])))
})

const content = {
  topic: text,
  payload: Schema.Uint8Array,
  qos,
  retain: Schema.Boolean,
  properties: Properties
}

const Failure = Schema.Union([
  Schema.TaggedStruct("Mqtt", { error: Schema.Unknown }),
  Schema.TaggedStruct("Shared", {
    kind: Schema.Literals(["ownerLost", "timeout", "noOwner", "tooLarge", "overloaded", "invalid"]),
    detail: text
  })
])
type Failure = typeof Failure.Type

const ToAll = [
  /** A tab asks who has the session. */
  Schema.TaggedStruct("Hello", { from: identifier }),
  /** A tab has the session, or has it no longer. */
  Schema.TaggedStruct("Owner", { owner: identifier }),
  Schema.TaggedStruct("Resigned", { owner: identifier })
] as const

/** Requests to the tab with the session. `owner` keeps them from a tab that takes over later. */
const request = { from: identifier, owner: identifier, id: count }
const ToOwner = [
  Schema.TaggedStruct("Publish", { ...request, ...content, timeout: count }),
  Schema.TaggedStruct("Subscribe", {
    ...request,
    filters: Schema.Array(text).check(Schema.isMaxLength(maximumFilters)),
    qos
  }),
  Schema.TaggedStruct("Unsubscribe", request),
  /** The tab has taken a message out of its stream. */
  Schema.TaggedStruct("Taken", { ...request, sequence: count })
] as const

const answer = { to: identifier, id: count }
const ToFollower = [
  Schema.TaggedStruct("Published", { ...answer, failure: Schema.optionalKey(Failure) }),
  Schema.TaggedStruct("Delivery", { ...answer, ...content, sequence: count }),
  /** A subscription has ended. */
  Schema.TaggedStruct("Ended", { ...answer, failure: Schema.optionalKey(Failure) })
] as const

const ChannelMessage = Schema.Union([...ToAll, ...ToOwner, ...ToFollower])
export type ChannelMessage = typeof ChannelMessage.Type
export type Of<Tag extends ChannelMessage["_tag"]> = Extract<ChannelMessage, { readonly _tag: Tag }>
export type Request = Of<"Publish" | "Subscribe" | "Unsubscribe" | "Taken">
export type Answer = Of<"Published" | "Delivery" | "Ended">

export type Content = Pick<Of<"Delivery">, "topic" | "payload" | "qos" | "retain" | "properties">

const decodeMessage = Schema.decodeUnknownOption(ChannelMessage)

/** A message of the channel; undefined for everything else. */
export const decode = (data: unknown): ChannelMessage | undefined => {
  const decoded = decodeMessage(data)
  return decoded._tag === "Some" ? decoded.value : undefined
}

/** The bytes of a message, where a character counts two. */
export const weigh = ({ payload, properties, topic }: Content): number => {
  let bytes = payload.byteLength + (properties.correlationData?.byteLength ?? 0)
  const { contentType = "", responseTopic = "", userProperties = [] } = properties
  let characters = topic.length + contentType.length + responseTopic.length
  for (const [name, value] of userProperties) characters += name.length + value.length
  bytes += 2 * characters
  return bytes
}

export type SharedFailure = MqttError | SharedSessionError

const encodeError = Schema.encodeUnknownOption(MqttError)
const decodeError = Schema.decodeUnknownOption(MqttError)

/** A failure as another tab gets it. */
export const encodeFailure = (error: SharedFailure): Failure => {
  if (error instanceof SharedSessionError) return { _tag: "Shared", kind: error.kind, detail: error.detail }
  const encoded = encodeError(error)
  // A cause may be anything. Without it the error is only data.
  return { _tag: "Mqtt", error: encoded._tag === "Some" ? JSON.parse(JSON.stringify(encoded.value)) : undefined }
}

export const decodeFailure = (failure: Failure): SharedFailure => {
  if (failure._tag === "Shared") return new SharedSessionError(failure)
  const decoded = decodeError(failure.error)
  if (decoded._tag === "Some") return decoded.value
  return new SharedSessionError({
    kind: "ownerLost",
    detail: "the tab with the session answered with an unknown error"
  })
}
