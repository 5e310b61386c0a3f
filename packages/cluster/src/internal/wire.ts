/**
 * The schemas of what crosses the wire between a caller and the owner of a session.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type { OriginKey } from "@effect-mqttx/core/StoreRecord"
import * as Schema from "effect/Schema"

const origin: Schema.Codec<OriginKey> = Schema.Struct({
  forwarder: Schema.String,
  session: Schema.String,
  packetIdentifier: Schema.Number,
  use: Schema.String
})

/** A checked message with the options of its publish. Times are milliseconds. */
export const Publication = Schema.Struct({
  topic: Schema.String,
  payload: Schema.Uint8Array,
  qos: Schema.Literals([0, 1, 2]),
  retain: Schema.Boolean,
  properties: Schema.Struct({
    payloadFormatIndicator: Schema.optionalKey(Schema.Literals([0, 1])),
    messageExpiryInterval: Schema.optionalKey(Schema.Number),
    contentType: Schema.optionalKey(Schema.String),
    responseTopic: Schema.optionalKey(Schema.String),
    correlationData: Schema.optionalKey(Schema.Uint8Array),
    userProperties: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.String, Schema.String])))
  }),
  topicAlias: Schema.optionalKey(Schema.Number),
  timeout: Schema.optionalKey(Schema.Number),
  expiresAfter: Schema.optionalKey(Schema.Number),
  origin: Schema.optionalKey(origin)
})

export interface Publication extends Schema.Schema.Type<typeof Publication> {}

export const Receipt = Schema.Struct({
  reasonCode: Schema.Number,
  reasonString: Schema.UndefinedOr(Schema.String)
})

/** See `ClusterSession.Status`. */
export const Status = Schema.Struct({
  clientId: Schema.String,
  node: Schema.String,
  state: Schema.Literals(["opening", "disconnected", "connecting", "connected", "reconnecting", "closed"]),
  since: Schema.Number,
  ready: Schema.Boolean,
  server: Schema.UndefinedOr(Schema.String),
  queuedMessages: Schema.Number,
  lastError: Schema.UndefinedOr(MqttError)
})

export interface Status extends Schema.Schema.Type<typeof Status> {}
