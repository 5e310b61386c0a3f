/**
 * The options of a session as a schema: each option on its own, with its default.
 *
 * The rules between options are in rules.ts, and the conversion to `SessionOptions` in schema.ts.
 */
import * as Schema from "effect/Schema"
import { findFault } from "../utf8String.ts"
import {
  bytes,
  commaSeparated,
  delay,
  expiry,
  flag,
  hidden,
  integer,
  interval,
  nonEmptyText,
  number,
  oneOf,
  oneOrMore,
  secret,
  text,
  timeout,
  userProperties,
  withDefault
} from "./leaves.ts"
import { strict } from "./strict.ts"

export const messageProperties = strict({
  payloadFormatIndicator: Schema.optionalKey(oneOf([0, 1])),
  messageExpiryInterval: Schema.optionalKey(integer(0, 4_294_967_295)),
  contentType: Schema.optionalKey(text),
  responseTopic: Schema.optionalKey(text.check(Schema.makeFilter((value: string) => nameFault(value)))),
  correlationData: Schema.optionalKey(bytes("utf-8")),
  userProperties: Schema.optionalKey(userProperties)
})

export const nameFault = (topic: string): string | undefined =>
  topic === "" ? "empty topic name" : findFault(topic, "forbidden")?.detail

export const will = strict({
  topic: Schema.String.annotate({ message: "expected a topic name" }).check(
    Schema.makeFilter((value: string) => nameFault(value))
  ),
  payload: bytes("utf-8"),
  qos: withDefault(oneOf([0, 1, 2]), 0),
  retain: withDefault(flag, false),
  delay: withDefault(interval(4_294_967_295), 0),
  properties: withDefault(messageProperties, {})
})

export const tls = strict({
  ca: Schema.optionalKey(oneOrMore),
  cert: Schema.optionalKey(nonEmptyText),
  key: Schema.optionalKey(secret("key")),
  pfx: Schema.optionalKey(hidden(bytes("base64"), "pfx")),
  passphrase: Schema.optionalKey(secret("passphrase")),
  servername: Schema.optionalKey(nonEmptyText),
  alpn: Schema.optionalKey(commaSeparated),
  insecureSkipVerify: withDefault(flag, false),
  minVersion: withDefault(oneOf(["TLSv1.2", "TLSv1.3"]), "TLSv1.2"),
  ciphers: Schema.optionalKey(nonEmptyText),
  crl: Schema.optionalKey(oneOrMore),
  pins: Schema.optionalKey(commaSeparated)
})

export const webSocket = strict({
  path: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((value: string) => /^\/[^\s#]*$/.test(value) || "expected a path that begins with /")
    )
  ),
  headers: withDefault(Schema.Record(Schema.String, secret("header")), {}),
  subprotocol: withDefault(nonEmptyText, "mqtt"),
  queries: Schema.optionalKey(Schema.Record(Schema.String, secret("query")))
})

export const proxy = strict({
  url: Schema.optionalKey(nonEmptyText),
  username: Schema.optionalKey(nonEmptyText),
  password: Schema.optionalKey(secret("password")),
  ca: Schema.optionalKey(oneOrMore),
  environment: withDefault(flag, false),
  noProxy: withDefault(commaSeparated, [])
})

export const reconnect = strict({
  enabled: withDefault(flag, true),
  initialDelay: withDefault(timeout, 2_000),
  factor: withDefault(number(1, 100), 1.5),
  maxDelay: withDefault(timeout, 120_000),
  jitter: withDefault(oneOf(["equal", "full", "none"]), "equal"),
  stableAfter: withDefault(delay, 30_000),
  returnAfter: Schema.optionalKey(timeout),
  onPermanentFailure: withDefault(oneOf(["retry", "stop"]), "retry"),
  permanentDelay: withDefault(timeout, 60_000)
})

export const queue = strict({
  messages: withDefault(integer(1, 10_000_000), 10_000),
  bytes: Schema.optional(integer(1, Number.MAX_SAFE_INTEGER)),
  policy: withDefault(oneOf(["suspend", "fail", "dropOldest", "dropNewest", "latestPerTopic"]), "suspend"),
  expiresAfter: Schema.optionalKey(timeout)
})

export const unclaimed = strict({
  hold: withDefault(delay, 10_000),
  fraction: withDefault(number(0.001, 1), 0.5)
})

export const brokerNameFault = (name: string): string | undefined =>
  name.length > 256 || /^@|,|:\/\//.test(name)
    ? "expected a name of at most 256 characters that is no address, without commas and without @ at its begin"
    : undefined

/** The names of the options that are groups, with the names of their members. */
export const groupNames: Readonly<Record<string, ReadonlyArray<string>>> = {
  will: Object.keys(will.schema.fields),
  tls: Object.keys(tls.schema.fields),
  webSocket: Object.keys(webSocket.schema.fields),
  proxy: Object.keys(proxy.schema.fields),
  reconnect: Object.keys(reconnect.schema.fields),
  queue: Object.keys(queue.schema.fields),
  unclaimed: Object.keys(unclaimed.schema.fields)
}

export const noServer = "expected at least one server, for example mqtts://broker.example"

export const fields = {
  name: nonEmptyText.annotateKey({ messageMissingKey: "expected a name" }),
  // No default: with one, a mistyped option name would connect to any server on this machine.
  servers: commaSeparated.check(
    Schema.makeFilter((value: ReadonlyArray<string>) => value.length > 0 || noServer)
  ).annotateKey({ messageMissingKey: noServer }),
  brokerName: Schema.optionalKey(nonEmptyText.check(Schema.makeFilter((value: string) => brokerNameFault(value)))),
  secure: withDefault(flag, false),
  protocolVersion: withDefault(oneOf([4, 5]), 5),
  clientId: Schema.optionalKey(nonEmptyText),
  username: Schema.optionalKey(text),
  password: Schema.optionalKey(secret("password")),
  keepAlive: withDefault(interval(65_535), 60_000),
  connectTimeout: withDefault(timeout, 30_000),
  persistence: withDefault(oneOf(["none", "process", "durable"]), "process"),
  sessionExpiry: Schema.optionalKey(expiry),
  receiveMaximum: withDefault(integer(1, 65_535), 1024),
  maximumPacketSize: withDefault(integer(1, 268_435_460), 1024 * 1024),
  topicAliasMaximum: withDefault(integer(0, 65_535), 16),
  maxInflight: withDefault(integer(1, 65_535), 1000),
  maxInflightQoS2: withDefault(integer(1, 65_535), 19),
  requestResponseInformation: withDefault(flag, false),
  requestProblemInformation: withDefault(flag, true),
  connectUserProperties: withDefault(userProperties, []),
  will: Schema.optionalKey(will),
  tls: Schema.optionalKey(tls),
  webSocket: withDefault(webSocket, {}),
  proxy: Schema.optionalKey(proxy),
  reconnect: withDefault(reconnect, {}),
  redirects: withDefault(integer(0, 100), 3),
  onSessionLost: withDefault(oneOf(["resubscribe", "fail"]), "resubscribe"),
  unacknowledgedOnSessionLost: withDefault(oneOf(["resend", "fail"]), "resend"),
  poisonThreshold: withDefault(integer(0, 1000), 6),
  onStorageFailure: withDefault(oneOf(["wait", "fail"]), "wait"),
  queue: withDefault(queue, {}),
  memoryLimit: Schema.optional(integer(1, Number.MAX_SAFE_INTEGER)),
  publishTimeout: Schema.optionalKey(timeout),
  writeTimeout: withDefault(timeout, 30_000),
  subscribeTimeout: withDefault(timeout, 30_000),
  streamBuffer: withDefault(integer(1, 1_000_000), 1000),
  onOverflow: withDefault(oneOf(["dropOldest", "suspend"]), "dropOldest"),
  ackDeadline: withDefault(timeout, 30_000),
  onAckDeadline: withDefault(oneOf(["wait", "acknowledge", "reconnect"]), "wait"),
  unclaimed: withDefault(unclaimed, {}),
  subscriptionIdentifiers: withDefault(oneOf(["auto", "off"]), "auto"),
  drainTimeout: withDefault(timeout, 10_000),
  log: Schema.optional(oneOf(["warnings", "all", "off"]))
}

/** All options by their names. */
export const names: ReadonlyArray<string> = Object.keys(fields)

export const FieldsStruct = strict(fields)

/** Each option on its own, with its default. */
export type Fields = typeof FieldsStruct.Type

/** The JSON form of the options. */
export type SessionOptionsEncoded = typeof FieldsStruct.Encoded

/** Checks each option on its own. */
export const FieldsSchema: Schema.Codec<Fields, SessionOptionsEncoded> = FieldsStruct
