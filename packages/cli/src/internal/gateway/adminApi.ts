/**
 * The interface of the admin server of a gateway, as an HttpApi. `adminListener.ts` serves it, and the OpenAPI document
 * that follows from it.
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

const Session = Schema.Struct({
  name: Schema.String,
  /** Of the connection: `connected`, `connecting` and so on. */
  state: Schema.String,
  servers: Schema.Array(Schema.String),
  /** The name of its store; absent: the session is not durable. */
  store: Schema.optionalKey(Schema.String)
})

const Forwarder = Schema.Struct({
  name: Schema.String,
  /** `running`, `stopped` (paused, or not enabled) or `stopping`. */
  state: Schema.String,
  received: Schema.Number,
  forwarded: Schema.Number,
  deadLettered: Schema.Number,
  failed: Schema.Number,
  inFlight: Schema.Number,
  lastError: Schema.optionalKey(Schema.String)
})

/** What the gateway is doing. */
export const State = Schema.Struct({
  file: Schema.String,
  /** Absent: the gateway is alone. A node that stands by has no sessions and forwarders. */
  cluster: Schema.optionalKey(Schema.Struct({ node: Schema.String, role: Schema.Literals(["owner", "standby"]) })),
  sessions: Schema.Array(Session),
  forwarders: Schema.Array(Forwarder)
})

const Changes = Schema.Struct({
  added: Schema.Array(Schema.String),
  changed: Schema.Array(Schema.String),
  removed: Schema.Array(Schema.String)
})

/** What a reload has changed. `failures` could not be applied; the rest is. */
export const Reloaded = Schema.Struct({
  sessions: Changes,
  forwarders: Changes,
  failures: Schema.Array(Schema.Struct({ name: Schema.String, message: Schema.String }))
})

export type Reloaded = typeof Reloaded.Type

/** A message that could not be forwarded. */
const FailedMessage = Schema.Struct({
  id: Schema.Number,
  forwarder: Schema.String,
  /** The session that received it. */
  session: Schema.String,
  topic: Schema.String,
  /** Milliseconds since the epoch. */
  at: Schema.Number,
  /** `deadLetter`: it went to the dead-letter topic. `failed`: it was given up. */
  outcome: Schema.Literals(["deadLetter", "failed"]),
  reason: Schema.String,
  qos: Schema.Number,
  /** The length of the payload. */
  bytes: Schema.Number,
  /** The first 1024 bytes as text, or after `base64:` where they are no UTF-8. */
  payload: Schema.String
})

export type FailedMessage = typeof FailedMessage.Type

/** A topic that forwarders have received messages on. */
const SeenTopic = Schema.Struct({
  topic: Schema.String,
  count: Schema.Number,
  /** Messages a second, over about the last ten seconds. */
  rate: Schema.Number,
  at: Schema.Number,
  bytes: Schema.Number,
  payload: Schema.String
})

export type SeenTopic = typeof SeenTopic.Type

/** `isOn` is false where the file has no `admin.topics`. */
const SeenTopics = Schema.Struct({ isOn: Schema.Boolean, topics: Schema.Array(SeenTopic) })

/** The message is not among the last ones that failed. */
export class NoSuchMessage extends Schema.TaggedError<NoSuchMessage>()("NoSuchMessage", {
  id: Schema.Number
}, { httpApiStatus: 404 }) {}

/** The message could not be published again. It stays in the list. */
export class NotSent extends Schema.TaggedError<NotSent>()("NotSent", {
  id: Schema.Number,
  detail: Schema.String
}, { httpApiStatus: 409 }) {}

/** The file is not applied, and nothing has changed. */
export class NotApplied extends Schema.TaggedError<NotApplied>()("NotApplied", {
  mistakes: Schema.Array(Schema.String)
}, { httpApiStatus: 422 }) {}

/** No forwarder has this name. */
export class NoSuchForwarder extends Schema.TaggedError<NoSuchForwarder>()("NoSuchForwarder", {
  name: Schema.String
}, { httpApiStatus: 404 }) {}

/** The forwarder cannot run. */
export class NotResumed extends Schema.TaggedError<NotResumed>()("NotResumed", {
  name: Schema.String,
  detail: Schema.String
}, { httpApiStatus: 409 }) {}

const byName = { params: { name: Schema.String } }

const byId = { params: { id: Schema.NumberFromString } }

const group = HttpApiGroup.make("gateway").add(
  HttpApiEndpoint.get("state", "/state", { success: State }),
  HttpApiEndpoint.post("reload", "/reload", { success: Reloaded, error: NotApplied }),
  HttpApiEndpoint.post("pause", "/forwarders/:name/pause", { ...byName, error: NoSuchForwarder }),
  HttpApiEndpoint.post("resume", "/forwarders/:name/resume", { ...byName, error: [NoSuchForwarder, NotResumed] }),
  HttpApiEndpoint.get("configuration", "/configuration", { success: Schema.Json }),
  HttpApiEndpoint.get("failed", "/failed", { success: Schema.Array(FailedMessage) }),
  HttpApiEndpoint.post("sendAgain", "/failed/:id/send", { ...byId, error: [NoSuchMessage, NotSent] }),
  HttpApiEndpoint.get("topics", "/topics", { success: SeenTopics }),
  HttpApiEndpoint.post("drain", "/drain", { success: HttpApiSchema.Accepted })
)

/** The interface. */
export const AdminApi = HttpApi.make("effect-mqttx-gateway").add(group).annotate(OpenApi.Title, "effect-mqttx gateway")
