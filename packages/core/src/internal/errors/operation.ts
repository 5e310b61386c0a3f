/**
 * The reasons of an `MqttError` that concern one operation, option or name; re-exported by `MqttError.ts`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ReasonCode from "../../ReasonCode.ts"
import { cleanText, quoted } from "../peerText.ts"
import { issuesOf } from "./schemaIssues.ts"
import { because, cause, causeText, id, TaggedError, text } from "./shared.ts"

/**
 * The server refused a subscription with a reason code of SUBACK (MQTT 3.9.3).
 */
export class SubscriptionRefused extends TaggedError<SubscriptionRefused>(`${id}SubscriptionRefused`)(
  "SubscriptionRefused",
  { filter: Schema.String, reasonCode: Schema.Int, reasonString: text }
) {
  override get message(): string {
    return `the server refused the subscription to ${quoted(this.filter)}: ${
      ReasonCode.describe(this.reasonCode, "Suback")
    }${because(this.reasonString)}`
  }
  get isRetryable(): boolean {
    return ReasonCode.permanence(this.reasonCode) === "transient"
  }
}

/**
 * The server refused to end a subscription with a reason code of UNSUBACK (MQTT 3.11.3).
 */
export class UnsubscribeRefused extends TaggedError<UnsubscribeRefused>(`${id}UnsubscribeRefused`)(
  "UnsubscribeRefused",
  { filter: Schema.String, reasonCode: Schema.Int, reasonString: text }
) {
  override get message(): string {
    return `the server refused to end the subscription to ${quoted(this.filter)}: ${
      ReasonCode.describe(this.reasonCode, "Unsuback")
    }${because(this.reasonString)}`
  }
  get isRetryable(): boolean {
    return ReasonCode.permanence(this.reasonCode) === "transient"
  }
}

/**
 * A subscription conflicts with another one on the same filter in this session, for example in its no-local option.
 */
export class SubscriptionConflict extends TaggedError<SubscriptionConflict>(`${id}SubscriptionConflict`)(
  "SubscriptionConflict",
  { filter: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `the subscription to ${quoted(this.filter)} contradicts an existing one: ${this.detail}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refused a message with a reason code of PUBACK or PUBREC (MQTT 3.4.2.1, 3.5.2.1).
 */
export class PublishRefused extends TaggedError<PublishRefused>(`${id}PublishRefused`)("PublishRefused", {
  reasonCode: Schema.Int,
  reasonString: text
}) {
  override get message(): string {
    return `the server refused the message: ${ReasonCode.describe(this.reasonCode)}${because(this.reasonString)}`
  }
  get isRetryable(): boolean {
    return ReasonCode.permanence(this.reasonCode) === "transient"
  }
}

/**
 * The message is not sent again, and it is unknown whether the server has it. It was sent on an earlier connection, was
 * not acknowledged, and exceeds the limits of the new connection. `refusal` says which limit.
 */
export class Indeterminate extends TaggedError<Indeterminate>(`${id}Indeterminate`)("Indeterminate", {
  refusal: Schema.String
}) {
  override get message(): string {
    return `the message was sent and may have arrived, but it cannot be sent again: ${this.refusal}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server has ended this number of consecutive connections while this message or subscription was the oldest that it
 * had not answered. It is given up, so that the others can proceed. It is unknown whether the server has the message.
 * `last` says how the last connection ended.
 */
export class PoisonMessage extends TaggedError<PoisonMessage>(`${id}PoisonMessage`)("PoisonMessage", {
  connections: Schema.Int,
  last: Schema.String
}) {
  override get message(): string {
    return `given up after it has ended ${this.connections} connections: ${this.last}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A packet is larger than the receiver's maximum packet size; both in bytes.
 */
export class PacketTooLarge extends TaggedError<PacketTooLarge>(`${id}PacketTooLarge`)("PacketTooLarge", {
  size: Schema.Int,
  maximum: Schema.Int
}) {
  override get message(): string {
    return `a packet of ${this.size} bytes is larger than the maximum packet size of ${this.maximum} bytes`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server, or the protocol version, does not support the requested feature.
 */
export class NotSupported extends TaggedError<NotSupported>(`${id}NotSupported`)("NotSupported", {
  feature: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.feature} is not supported: ${this.detail}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The offline queue is full, and its policy is to fail. The fields say what it holds.
 */
export class QueueFull extends TaggedError<QueueFull>(`${id}QueueFull`)("QueueFull", {
  messages: Schema.Int,
  bytes: Schema.Int
}) {
  override get message(): string {
    return `the queue is full with ${this.messages} messages and ${this.bytes} bytes`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The offline queue dropped the message to stay within its limit. `policy` is the queue's policy.
 */
export class Dropped extends TaggedError<Dropped>(`${id}Dropped`)("Dropped", {
  policy: Schema.String
}) {
  override get message(): string {
    return `the queue dropped the message by its policy ${this.policy}`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The lifetime of the message ended before it could be sent (MQTT 3.3.2.3.3).
 */
export class Expired extends TaggedError<Expired>(`${id}Expired`)("Expired", {}) {
  override get message(): string {
    return "the message expired before it was sent"
  }
  get isRetryable(): boolean {
    return false
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
 */
export class StorageFailed extends TaggedError<StorageFailed>(`${id}StorageFailed`)("StorageFailed", {
  kind: Schema.Literals(storageFailureKinds).pipe(
    Schema.withConstructorDefault(Effect.succeed("unavailable" as const)),
    Schema.withDecodingDefaultKey(Effect.succeed("unavailable" as const))
  ),
  detail: text,
  cause
}) {
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
 */
export class InvalidTopic extends TaggedError<InvalidTopic>(`${id}InvalidTopic`)("InvalidTopic", {
  topic: Schema.String,
  offset: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid topic name ${quoted(this.topic)}: ${this.detail} at offset ${this.offset}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A topic filter is not valid for subscribing. `offset` is the position of the error in UTF-16 code units (MQTT 4.7,
 * 4.8.2).
 */
export class InvalidFilter extends TaggedError<InvalidFilter>(`${id}InvalidFilter`)("InvalidFilter", {
  filter: Schema.String,
  offset: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid topic filter ${quoted(this.filter)}: ${this.detail} at offset ${this.offset}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * One problem of options or of a value: the place, as keys joined by dots, and what is expected there. Never contains
 * the value found.
 */
export const OptionsIssue: Schema.Struct<{ readonly path: Schema.String; readonly message: Schema.String }> = Schema
  .Struct({ path: Schema.String, message: Schema.String })

/**
 * One problem of options or of a value: the place, as keys joined by dots, and what is expected there. Never contains
 * the value found.
 */
export interface OptionsIssue {
  readonly path: string
  readonly message: string
}

/**
 * A payload, or a property of a message, is invalid. `issues` lists the invalid fields if a schema has checked them.
 * `direction` says whether the message was to be sent or was received.
 */
export class InvalidPayload extends TaggedError<InvalidPayload>(`${id}InvalidPayload`)("InvalidPayload", {
  detail: Schema.String,
  issues: Schema.optional(Schema.Array(OptionsIssue)),
  direction: Schema.optional(Schema.Literals(["sent", "received"])),
  cause
}) {
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
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A request got no valid answer.
 *
 * `noResponder`: the server said that no client subscribes to the request topic (0x10, MQTT 3.4.2.1). `invalid`: the
 * responder could not read the request. `error`: the responder's handler failed with an error outside the answer's
 * type.
 */
export class RequestFailed extends TaggedError<RequestFailed>(`${id}RequestFailed`)("RequestFailed", {
  status: Schema.Literals(["noResponder", "invalid", "error"]),
  detail: text
}) {
  override get message(): string {
    switch (this.status) {
      case "noResponder":
        return "nobody answers such requests"
      case "invalid":
        return `the responder could not read the request${because(this.detail)}`
      case "error":
        return `the responder failed${because(this.detail)}`
    }
  }
  get isRetryable(): boolean {
    return this.status === "noResponder"
  }
}

/** Issues in one line. */
const printed = (issues: ReadonlyArray<OptionsIssue>): string =>
  issues.map(({ message, path }) => path === "" ? message : `${path}: ${message}`).join("; ")

/**
 * The options are invalid. Contains all issues at once.
 */
export class InvalidOptions extends TaggedError<InvalidOptions>(`${id}InvalidOptions`)("InvalidOptions", {
  issues: Schema.Array(OptionsIssue)
}) {
  /** Converts the issues of an options schema, each with its path. */
  static fromSchemaError(error: Schema.SchemaError): InvalidOptions {
    return new InvalidOptions({ issues: issuesOf(error) })
  }
  override get message(): string {
    return `invalid options: ${printed(this.issues)}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A session of this name already exists.
 */
export class DuplicateSession extends TaggedError<DuplicateSession>(`${id}DuplicateSession`)(
  "DuplicateSession",
  { session: Schema.String }
) {
  override get message(): string {
    return `there is already a session named ${JSON.stringify(this.session)}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is no session of this name.
 */
export class SessionNotFound extends TaggedError<SessionNotFound>(`${id}SessionNotFound`)("SessionNotFound", {
  session: Schema.String
}) {
  override get message(): string {
    return `there is no session named ${JSON.stringify(this.session)}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A forwarder of this name already exists.
 */
export class DuplicateForwarder extends TaggedError<DuplicateForwarder>(`${id}DuplicateForwarder`)(
  "DuplicateForwarder",
  { forwarder: Schema.String }
) {
  override get message(): string {
    return `there is already a forwarder named ${JSON.stringify(this.forwarder)}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is no forwarder of this name.
 */
export class ForwarderNotFound extends TaggedError<ForwarderNotFound>(`${id}ForwarderNotFound`)(
  "ForwarderNotFound",
  { forwarder: Schema.String }
) {
  override get message(): string {
    return `there is no forwarder named ${JSON.stringify(this.forwarder)}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A forwarder cannot start or continue, for example because it would feed itself.
 */
export class ForwarderFailed extends TaggedError<ForwarderFailed>(`${id}ForwarderFailed`)("ForwarderFailed", {
  forwarder: Schema.String,
  detail: Schema.String,
  cause
}) {
  override get message(): string {
    return `the forwarder ${JSON.stringify(this.forwarder)} failed: ${this.detail}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An internal error: a defect of this library or of one below it.
 */
export class Unexpected extends TaggedError<Unexpected>(`${id}Unexpected`)("Unexpected", {
  detail: Schema.String,
  cause
}) {
  override get message(): string {
    return `unexpected failure: ${this.detail}`
  }
  get isRetryable(): boolean {
    return false
  }
}
