/**
 * What is right for each kind of parameter, said once more and without the library: the oracle of the tests with wrong
 * values.
 */
import { Effect, Schedule, Stream } from "effect"
import { type Options, options, type Parameter, parameter, type Type, type } from "./wrongValues.ts"

const isText = (value: unknown): value is string => typeof value === "string"

// Of the texts among the wrong values these two can be a topic, and one of them a text of MQTT.
const isTopic = (value: unknown): boolean => value === "text" || value === "a/b"
const isEncodable = (value: unknown): boolean => isText(value) && value !== "a\ud800" && value !== "a\u0000"

const isNumber = (value: unknown): value is number => typeof value === "number" && !Number.isNaN(value)

export const text: Type = type("text", () => "text", isText)
export const topic: Type = type("topic", () => "a/b", isTopic)
export const filters: Type = type("filters", () => "a/b", isTopic)
export const encodable: Type = type("encodable", () => "text", isEncodable)
export const flag: Type = type("flag", () => true, (value) => typeof value === "boolean")
export const qos: Type = type("qos", () => 1, (value) => value === 0 || value === 1 || value === 2)
export const anything: Type = type("anything", () => "text")
export const callable = (make: () => unknown): Type => type("function", make, (value) => typeof value === "function")
export const record: Type = type(
  "record",
  () => ({}),
  (value) => typeof value === "object" && value !== null && !Array.isArray(value)
)

/** A record of which none of the wrong values with keys is one. */
export const empty: Type = type(
  "record",
  () => ({}),
  (value) => typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
)

export const payload: Type = type("payload", () => "payload", (value) => isText(value) || ArrayBuffer.isView(value))
export const bytes: Type = type("bytes", () => Uint8Array.of(1), (value) => ArrayBuffer.isView(value))

export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Type =>
  type(
    "integer",
    () => minimum,
    (value) => isNumber(value) && Number.isInteger(value) && value >= minimum && value <= maximum
  )

export const duration: Type = type(
  "duration",
  () => "5 seconds",
  (value) => (isNumber(value) && value >= 0) || (typeof value === "bigint" && value >= 0n) || value === "5 seconds"
)

export const oneOf = (...values: ReadonlyArray<unknown>): Type =>
  type("one of", () => values[0], (value) => values.includes(value))

export const effect: Type = type("effect", () => Effect.void, Effect.isEffect)
export const schedule: Type = type("schedule", () => Schedule.recurs(0), Schedule.isSchedule)
export const stream: Type = type("stream", () => Stream.empty, Stream.isStream)

/** What only this object, or one like it, can be. */
export const object = (make: () => unknown): Type => type("object", make, (value) => value === make())

export const failurePolicy: Type = oneOf("skip", "fail")

export const publishOptions = (): Parameter =>
  options("options", {
    qos,
    retain: flag,
    topicAlias: integer(0, 65_535),
    timeout: duration,
    expiresAfter: duration,
    properties: type("properties", () => ({}), (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0)
  })

export const propertyTypes: Options["types"] = {
  payloadFormatIndicator: oneOf(0, 1),
  messageExpiryInterval: integer(0, 0xffffffff),
  contentType: encodable,
  responseTopic: topic,
  correlationData: bytes,
  userProperties: type("pairs", () => [["a", "b"]], (value) => Array.isArray(value) && value.length === 0)
}

const subscribing: Options["types"] = {
  qos,
  share: type("share", () => "group", (value) => value === "text" || value === "group"),
  noLocal: flag,
  retainAsPublished: flag,
  retained: oneOf("each", "first", "none"),
  consumer: text,
  keep: flag,
  buffer: integer(1),
  onOverflow: oneOf("dropOldest", "suspend")
}

const ack = oneOf("onReceive", "manual")

export const subscribeOptions = (): Parameter => options("options", { ...subscribing, ack })

const handling: Options["types"] = {
  concurrency: integer(1),
  order: oneOf("topic", "none"),
  retry: schedule
}

export const consumeOptions = (): Parameter =>
  options("options", {
    ...subscribing,
    ...handling,
    onFailure: failurePolicy,
    onSubscribed: callable(() => () => Effect.void)
  })

const route: Options["types"] = {
  ...subscribing,
  filter: type("filter", () => ({ _tag: "Text", text: "a" }), () => false),
  transform: type("transformer", () => ({ transform: Effect.succeed, description: "", issue: undefined }), () => false),
  onFailure: failurePolicy,
  description: text
}

export const handleOptions = (): Parameter => options("options", { ...route, ...handling })
export const listenOptions = (): Parameter => options("options", { ...route, ack, capacity: integer(1) })

const contentType = oneOf("ifPresent", "required", "ignore")

export const typedSubscribeOptions = (): Parameter =>
  options("options", { ...subscribing, ack, contentType, params: record, onInvalid: oneOf("skip", "fail", "result") })

export const typedConsumeOptions = (): Parameter =>
  options("options", {
    ...subscribing,
    ...handling,
    contentType,
    params: record,
    onInvalid: failurePolicy,
    onFailure: failurePolicy,
    onSubscribed: callable(() => () => Effect.void)
  })

const asking: Options["types"] = {
  timeout: duration,
  qos,
  userProperties: propertyTypes["userProperties"]!,
  contentType,
  via: oneOf("properties", "topic")
}

export const requestOptions = (): Parameter => options("options", asking, () => ({ timeout: 0 }))
export const requestManyOptions = (): Parameter =>
  options("options", { ...asking, count: integer(1), idle: duration }, () => ({ timeout: 0 }))
export const respondOptions = (): Parameter =>
  options("options", {
    params: record,
    share: subscribing["share"]!,
    concurrency: integer(1),
    order: oneOf("topic", "none"),
    qos,
    contentType,
    via: oneOf("properties", "topic", "both"),
    onSubscribed: effect
  })

export { parameter, type }
