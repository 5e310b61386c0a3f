/**
 * The reasons of an `MqttError` that concern one operation, option or name; re-exported by `MqttError.ts`. Size: one
 * class after the other, each complete in itself.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ReasonCode from "../../ReasonCode.ts"
import { cleanText, quoted } from "../peerText.ts"
import { issuesOf } from "./schemaIssues.ts"
import { because, cause, causeText, type MqttErrorCategory, type MqttErrorSeverity, Reason, text } from "./shared.ts"

/** The traits of a refusal by the server, whose reason code decides whether a repetition may help. */
const refusal = <const Category extends MqttErrorCategory>(category: Category) => ({
  category,
  httpApiStatus: 502,
  get isRetryable(): boolean {
    return ReasonCode.isRetryable((this as unknown as { readonly reasonCode: number }).reasonCode)
  },
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "error"
  }
})

/** The fields of a refused subscription, or of a refused end of one. */
const refusedFilter = { filter: Schema.String, reasonCode: Schema.Int, reasonString: text }

/**
 * The server refused a subscription with a reason code of SUBACK (MQTT 3.9.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class SubscriptionRefused
  extends Reason<SubscriptionRefused>()(refusal("subscription"))("SubscriptionRefused", refusedFilter)
{
  override get message(): string {
    return `the server refused the subscription to ${quoted(this.filter)}: ${
      ReasonCode.describe(this.reasonCode, "Suback")
    }${because(this.reasonString)}`
  }
}

/**
 * The server refused to end a subscription with a reason code of UNSUBACK (MQTT 3.11.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class UnsubscribeRefused
  extends Reason<UnsubscribeRefused>()(refusal("subscription"))("UnsubscribeRefused", refusedFilter)
{
  override get message(): string {
    return `the server refused to end the subscription to ${quoted(this.filter)}: ${
      ReasonCode.describe(this.reasonCode, "Unsuback")
    }${because(this.reasonString)}`
  }
}

/**
 * A subscription conflicts with another one on the same filter in this session, for example in its no-local option.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class SubscriptionConflict extends Reason<SubscriptionConflict>()({
  category: "subscription",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 409
})("SubscriptionConflict", { filter: Schema.String, detail: Schema.String }) {
  override get message(): string {
    return `the subscription to ${quoted(this.filter)} contradicts an existing one: ${this.detail}`
  }
}

/**
 * The server refused a message with a reason code of PUBACK or PUBREC (MQTT 3.4.2.1, 3.5.2.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class PublishRefused extends Reason<PublishRefused>()(refusal("publish"))("PublishRefused", {
  reasonCode: Schema.Int,
  reasonString: text
}) {
  override get message(): string {
    return `the server refused the message: ${ReasonCode.describe(this.reasonCode)}${because(this.reasonString)}`
  }
}

/**
 * The message is not sent again, and it is unknown whether the server has it. It was sent on an earlier connection, was
 * not acknowledged, and exceeds the limits of the new connection. `refusal` says which limit.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Indeterminate
  extends Reason<Indeterminate>()({ category: "publish", severity: "error", isRetryable: false, httpApiStatus: 504 })(
    "Indeterminate",
    {
      refusal: Schema.String
    }
  )
{
  override get message(): string {
    return `the message was sent and may have arrived, but it cannot be sent again: ${this.refusal}`
  }
}

/**
 * The server has ended this number of consecutive connections while this message or subscription was the oldest that it
 * had not answered. It is given up, so that the others can proceed. It is unknown whether the server has the message.
 * `last` says how the last connection ended.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class PoisonMessage
  extends Reason<PoisonMessage>()({ category: "publish", severity: "error", isRetryable: false, httpApiStatus: 502 })(
    "PoisonMessage",
    {
      connections: Schema.Int,
      last: Schema.String
    }
  )
{
  override get message(): string {
    return `given up after it has ended ${this.connections} connections: ${this.last}`
  }
}

/**
 * A packet is larger than the receiver's maximum packet size; both in bytes.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class PacketTooLarge
  extends Reason<PacketTooLarge>()({ category: "publish", severity: "error", isRetryable: false, httpApiStatus: 413 })(
    "PacketTooLarge",
    {
      size: Schema.Int,
      maximum: Schema.Int
    }
  )
{
  override get message(): string {
    return `a packet of ${this.size} bytes is larger than the maximum packet size of ${this.maximum} bytes`
  }
}

/**
 * The server, or the protocol version, does not support the requested feature.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class NotSupported extends Reason<NotSupported>()({
  category: "configuration",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 501
})("NotSupported", {
  feature: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.feature} is not supported: ${this.detail}`
  }
}

/**
 * The offline queue is full, and its policy is to fail. The fields say what it holds.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class QueueFull
  extends Reason<QueueFull>()({ category: "publish", severity: "warning", isRetryable: true, httpApiStatus: 503 })(
    "QueueFull",
    {
      messages: Schema.Int,
      bytes: Schema.Int
    }
  )
{
  override get message(): string {
    return `the queue is full with ${this.messages} messages and ${this.bytes} bytes`
  }
}

/**
 * The offline queue dropped the message to stay within its limit. `policy` is the queue's policy.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Dropped
  extends Reason<Dropped>()({ category: "publish", severity: "warning", isRetryable: true, httpApiStatus: 503 })(
    "Dropped",
    {
      policy: Schema.String
    }
  )
{
  override get message(): string {
    return `the queue dropped the message by its policy ${this.policy}`
  }
}

/**
 * The lifetime of the message ended before it could be sent (MQTT 3.3.2.3.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Expired
  extends Reason<Expired>()({ category: "publish", severity: "warning", isRetryable: false, httpApiStatus: 504 })(
    "Expired",
    {}
  )
{
  override get message(): string {
    return "the message expired before it was sent"
  }
}

/**
 * The kinds of failures of a session store. `unavailable`: it cannot be reached, or its disk answers with errors.
 * `full`: it has no room. `readOnly`: it may not be written. `refused`: it denies access. `owned`: it belongs to
 * another session or process. `fenced`: another owner has taken it over while in use. `corrupt`: its contents or
 * answers cannot be read. `newerFormat`: a later version of the library wrote it. `invalid`: it cannot hold a record
 * that it was given. `closed`: its scope has ended.
 */
const storageFailureKinds = [
  "unavailable",
  "full",
  "readOnly",
  "refused",
  "owned",
  "fenced",
  "corrupt",
  "newerFormat",
  "invalid",
  "closed"
] as const

/** The kinds that no retry on the same open store can resolve. */
const permanentStorageFailures: ReadonlySet<string> = new Set(["fenced", "corrupt", "newerFormat", "invalid", "closed"])

/**
 * The session store could not be opened, read or written. `kind` is `unavailable` by default. The kinds `fenced`,
 * `corrupt`, `newerFormat`, `invalid` and `closed` are permanent.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class StorageFailed
  extends Reason<StorageFailed>()({ category: "storage", severity: "critical", httpApiStatus: 503 })("StorageFailed", {
    kind: Schema.Literals(storageFailureKinds).pipe(
      Schema.withConstructorDefault(Effect.succeed("unavailable" as const)),
      Schema.withDecodingDefaultKey(Effect.succeed("unavailable" as const))
    ),
    detail: text,
    cause
  })
{
  override get message(): string {
    return `the session store failed (${this.kind}): ${
      this.detail === undefined ? causeText(this.cause) : cleanText(this.detail, 1024)
    }`
  }
  get isRetryable(): boolean {
    return !permanentStorageFailures.has(this.kind)
  }
}

/**
 * A topic name is not valid for publishing. `offset` is the position of the error in UTF-16 code units (MQTT 4.7).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class InvalidTopic
  extends Reason<InvalidTopic>()({ category: "publish", severity: "error", isRetryable: false, httpApiStatus: 400 })(
    "InvalidTopic",
    {
      topic: Schema.String,
      offset: Schema.Int,
      detail: Schema.String
    }
  )
{
  override get message(): string {
    return `invalid topic name ${quoted(this.topic)}: ${this.detail} at offset ${this.offset}`
  }
}

/**
 * A topic filter is not valid for subscribing. `offset` is the position of the error in UTF-16 code units (MQTT 4.7,
 * 4.8.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class InvalidFilter extends Reason<InvalidFilter>()({
  category: "subscription",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 400
})("InvalidFilter", {
  filter: Schema.String,
  offset: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid topic filter ${quoted(this.filter)}: ${this.detail} at offset ${this.offset}`
  }
}

/**
 * One problem of options or of a value: the place, as keys joined by dots, and what is expected there. Never contains
 * the value found.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const OptionsIssue: Schema.Struct<{ readonly path: Schema.String; readonly message: Schema.String }> = Schema
  .Struct({ path: Schema.String, message: Schema.String })

/**
 * One problem of options or of a value: the place, as keys joined by dots, and what is expected there. Never contains
 * the value found.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export interface OptionsIssue {
  /** The keys to the place, joined by dots; `""`: the value as a whole. */
  readonly path: string
  /** What is expected there, in words. */
  readonly message: string
}

/**
 * A payload, or a property of a message, is invalid. `issues` lists the invalid fields if a schema has checked them.
 * `direction` says whether the message was to be sent or was received.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class InvalidPayload
  extends Reason<InvalidPayload>()({ category: "publish", severity: "error", isRetryable: false, httpApiStatus: 400 })(
    "InvalidPayload",
    {
      detail: Schema.String,
      issues: Schema.optional(Schema.Array(OptionsIssue)),
      direction: Schema.optional(Schema.Literals(["sent", "received"])),
      cause
    }
  )
{
  /** Converts the issues of a schema. */
  static fromSchemaError(
    error: Schema.SchemaError,
    detail: string,
    direction: "sent" | "received"
  ): InvalidPayload {
    return new InvalidPayload({ detail, issues: issuesOf(error), direction })
  }
  override get message(): string {
    const { detail, issues = [] } = this
    if (issues.length === 0) return `invalid payload: ${detail}`
    const more = issues.length > 8 ? `; and ${issues.length - 8} more` : ""
    return `invalid payload: ${detail}: ${printed(issues.slice(0, 8))}${more}`
  }
}

/**
 * A request got no valid answer.
 *
 * `noResponder`: the server said that no client subscribes to the request topic (0x10, MQTT 3.4.2.1). `invalid`: the
 * responder could not read the request. `error`: the responder's handler failed with an error outside the answer's
 * type.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class RequestFailed
  extends Reason<RequestFailed>()({ category: "publish", httpApiStatus: 502 })("RequestFailed", {
    status: Schema.Literals(["noResponder", "invalid", "error"]),
    detail: text
  })
{
  override get message(): string {
    switch (this.status) {
      case "noResponder":
        return "no responder answers such requests"
      case "invalid":
        return `the responder could not read the request${because(this.detail)}`
      case "error":
        return `the responder failed${because(this.detail)}`
    }
  }
  get isRetryable(): boolean {
    return this.status === "noResponder"
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "error"
  }
}

/** Issues in one line. */
const printed = (issues: ReadonlyArray<OptionsIssue>): string =>
  issues.map(({ message, path }) => path === "" ? message : `${path}: ${message}`).join("; ")

/**
 * The options are invalid. Contains all issues at once.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class InvalidOptions extends Reason<InvalidOptions>()({
  category: "configuration",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 400
})("InvalidOptions", {
  issues: Schema.Array(OptionsIssue)
}) {
  /** Converts the issues of an options schema, each with its path. */
  static fromSchemaError(error: Schema.SchemaError): InvalidOptions {
    return new InvalidOptions({ issues: issuesOf(error) })
  }
  override get message(): string {
    return `invalid options: ${printed(this.issues)}`
  }
}

/**
 * A session of this name already exists.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class DuplicateSession extends Reason<DuplicateSession>()({
  category: "configuration",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 409
})("DuplicateSession", { session: Schema.String }) {
  override get message(): string {
    return `there is already a session named ${JSON.stringify(this.session)}`
  }
}

/**
 * There is no session of this name.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class SessionNotFound extends Reason<SessionNotFound>()({
  category: "configuration",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 404
})("SessionNotFound", {
  session: Schema.String
}) {
  override get message(): string {
    return `there is no session named ${JSON.stringify(this.session)}`
  }
}

/**
 * A forwarder of this name already exists.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class DuplicateForwarder extends Reason<DuplicateForwarder>()({
  category: "forwarder",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 409
})("DuplicateForwarder", { forwarder: Schema.String }) {
  override get message(): string {
    return `there is already a forwarder named ${JSON.stringify(this.forwarder)}`
  }
}

/**
 * There is no forwarder of this name.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ForwarderNotFound extends Reason<ForwarderNotFound>()({
  category: "forwarder",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 404
})("ForwarderNotFound", { forwarder: Schema.String }) {
  override get message(): string {
    return `there is no forwarder named ${JSON.stringify(this.forwarder)}`
  }
}

/**
 * A forwarder cannot start or continue, for example because it would feed itself.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ForwarderFailed extends Reason<ForwarderFailed>()({
  category: "forwarder",
  severity: "error",
  isRetryable: false,
  httpApiStatus: 500
})("ForwarderFailed", {
  forwarder: Schema.String,
  detail: Schema.String,
  cause
}) {
  override get message(): string {
    return `the forwarder ${JSON.stringify(this.forwarder)} failed: ${this.detail}`
  }
}

/**
 * An internal error: a defect of this library or of one below it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Unexpected
  extends Reason<Unexpected>()({ category: "internal", severity: "critical", isRetryable: false, httpApiStatus: 500 })(
    "Unexpected",
    {
      detail: Schema.String,
      cause
    }
  )
{
  override get message(): string {
    return `unexpected failure: ${this.detail}`
  }
}
