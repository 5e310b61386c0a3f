/**
 * The one error of the library: `MqttError` with a `reason`, which is one of the tagged classes below.
 *
 * Handle a reason with `Effect.catchReason("MqttError", "QueueFull", (reason) => ...)`, several with
 * `Effect.catchReasons`, or ask the error for its `category`, `severity` and `isRetryable`. Every error and reason is a
 * Schema class: it encodes to JSON and decodes back to instances.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Connection from "./internal/errors/connection.ts"
import { httpStatuses, refusalStatus } from "./internal/errors/httpStatus.ts"
import * as Operation from "./internal/errors/operation.ts"
import { TaggedError } from "./internal/errors/shared.ts"
import { isTimeoutCode } from "./internal/networkErrors.ts"
import { cleanText } from "./internal/peerText.ts"
import * as ReasonCode from "./ReasonCode.ts"

export * from "./internal/errors/connection.ts"
export * from "./internal/errors/operation.ts"

const TypeId = "~@effect-mqttx/core/MqttError"

/** All reasons: the one list of them. */
const reasons = [
  Connection.BadCredentials,
  Connection.ClientIdentifierRejected,
  Connection.Closed,
  Connection.ConnectionLost,
  Connection.ConnectionRefused,
  Operation.Dropped,
  Operation.DuplicateForwarder,
  Operation.DuplicateSession,
  Operation.Expired,
  Operation.ForwarderFailed,
  Operation.ForwarderNotFound,
  Operation.Indeterminate,
  Operation.InvalidFilter,
  Operation.InvalidOptions,
  Operation.InvalidPayload,
  Operation.InvalidTopic,
  Connection.NotAuthorized,
  Operation.NotSupported,
  Operation.PacketTooLarge,
  Operation.PoisonMessage,
  Connection.ProtocolViolation,
  Operation.PublishRefused,
  Operation.QueueFull,
  Operation.RequestFailed,
  Connection.ServerMoved,
  Connection.SessionLost,
  Operation.SessionNotFound,
  Connection.SessionTakenOver,
  Operation.StorageFailed,
  Operation.SubscriptionConflict,
  Operation.SubscriptionRefused,
  Connection.Timeout,
  Connection.TlsFailure,
  Operation.Unexpected,
  Operation.UnsubscribeRefused,
  Connection.UnsupportedVersion
] as const

/**
 * Any reason of an `MqttError`.
 */
export type MqttErrorReason = InstanceType<typeof reasons[number]>

/**
 * Schema of any reason of an `MqttError`.
 */
export const MqttErrorReason: Schema.Union<typeof reasons> = Schema.Union(reasons)

/**
 * What an error is about.
 */
export type MqttErrorCategory =
  | "connection"
  | "authentication"
  | "subscription"
  | "publish"
  | "configuration"
  | "storage"
  | "forwarder"
  | "internal"

/**
 * How bad an error is: `info` is part of an orderly life, `warning` passes by itself or cost one message, `error` needs
 * a look, `critical` stops the session until someone changes something.
 */
export type MqttErrorSeverity = "info" | "warning" | "error" | "critical"

// `severityOf` raises a "warning" to "error" or "critical" where the failure at hand does not pass by itself.
const kinds: { readonly [Tag in MqttErrorReason["_tag"]]: readonly [MqttErrorCategory, MqttErrorSeverity] } = {
  BadCredentials: ["authentication", "critical"],
  ClientIdentifierRejected: ["authentication", "critical"],
  Closed: ["connection", "info"],
  ConnectionLost: ["connection", "warning"],
  ConnectionRefused: ["connection", "warning"],
  Dropped: ["publish", "warning"],
  DuplicateForwarder: ["forwarder", "error"],
  DuplicateSession: ["configuration", "error"],
  Expired: ["publish", "warning"],
  ForwarderFailed: ["forwarder", "error"],
  ForwarderNotFound: ["forwarder", "error"],
  Indeterminate: ["publish", "error"],
  InvalidFilter: ["subscription", "error"],
  InvalidOptions: ["configuration", "critical"],
  InvalidPayload: ["publish", "error"],
  InvalidTopic: ["publish", "error"],
  NotAuthorized: ["authentication", "critical"],
  NotSupported: ["configuration", "error"],
  PacketTooLarge: ["publish", "error"],
  PoisonMessage: ["publish", "error"],
  ProtocolViolation: ["connection", "error"],
  PublishRefused: ["publish", "warning"],
  QueueFull: ["publish", "warning"],
  RequestFailed: ["publish", "warning"],
  ServerMoved: ["connection", "warning"],
  SessionLost: ["connection", "warning"],
  SessionNotFound: ["configuration", "error"],
  SessionTakenOver: ["connection", "critical"],
  StorageFailed: ["storage", "critical"],
  SubscriptionConflict: ["subscription", "error"],
  SubscriptionRefused: ["subscription", "warning"],
  Timeout: ["connection", "warning"],
  TlsFailure: ["connection", "warning"],
  Unexpected: ["internal", "critical"],
  UnsubscribeRefused: ["subscription", "warning"],
  UnsupportedVersion: ["connection", "critical"]
}

const statuses: { readonly [Tag in MqttErrorReason["_tag"]]: number } = httpStatuses

const severityOf = (reason: MqttErrorReason): MqttErrorSeverity => {
  const severity = kinds[reason._tag][1]
  if (severity !== "warning" || reason.isRetryable) {
    return severity
  }
  switch (reason._tag) {
    case "ConnectionRefused":
    case "ServerMoved":
    case "TlsFailure":
      return "critical"
    case "Expired":
      return "warning"
    default:
      return "error"
  }
}

/**
 * Every failure of the library.
 *
 * `reason` says what happened. `session` is the session's name, `method` the public operation that failed, `topic` the
 * topic name or filter it was about, `context` what else a log should show. `cause` is the reason's cause, when it has
 * one.
 *
 * @example
 * session.publish("sensors/a", "1").pipe(
 *   Effect.catchReason("MqttError", "QueueFull", (reason) => Effect.logWarning(`${reason.messages} are waiting`))
 * )
 */
export class MqttError extends TaggedError<MqttError>("@effect-mqttx/core/MqttError")("MqttError", {
  reason: MqttErrorReason,
  session: Schema.optional(Schema.String),
  method: Schema.optional(Schema.String),
  topic: Schema.optional(Schema.String),
  context: Schema.optional(Schema.Record(Schema.String, Schema.Json))
}) {
  /** Marks errors of this class for `isMqttError`. */
  get [TypeId](): typeof TypeId {
    return TypeId
  }

  /** The cause of the reason, for example the error of the socket; undefined when there is none. */
  override get cause(): unknown {
    return "cause" in this.reason ? this.reason.cause : undefined
  }

  /** The reason in one sentence, behind the session, the method and the topic. */
  override get message(): string {
    let where = this.session ?? ""
    if (this.method !== undefined) {
      where += where === "" ? this.method : `.${this.method}`
    }
    if (this.topic !== undefined) {
      const topic = cleanText(this.topic)
      where += where === "" ? topic : ` ${topic}`
    }
    return where === "" ? this.reason.message : `${where}: ${this.reason.message}`
  }

  /** Whether the same operation may succeed when it is tried again without any change. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }

  /** What the error is about. */
  get category(): MqttErrorCategory {
    return kinds[this.reason._tag][0]
  }

  /** How bad it is. */
  get severity(): MqttErrorSeverity {
    return severityOf(this.reason)
  }

  /**
   * The status with which a program that serves HTTP answers: 400 for what it was asked wrongly (topic, filter,
   * payload, options), 401 and 403 for what the server does not permit, 404 and 409 for names, 413 for size, 429 for a
   * quota, 501 for what the server has not got, 502 for what it refuses or gets wrong, 503 while it cannot be reached
   * or takes no more, 504 for what took too long, and 500 for the rest.
   */
  get httpStatus(): number {
    const { reason } = this
    switch (reason._tag) {
      case "PublishRefused":
      case "SubscriptionRefused":
      case "UnsubscribeRefused":
        return refusalStatus(reason.reasonCode)
      case "RequestFailed":
        return reason.status === "invalid" ? 400 : reason.status === "noResponder" ? 503 : 502
      case "InvalidPayload":
        return reason.direction === "received" ? 502 : 400
      default:
        return statuses[reason._tag]
    }
  }

  /**
   * Whether the state behind the failure passes by itself, without anyone doing anything: it is retryable and concerns
   * the connection, the server's limits or the queue, not a message that is gone.
   */
  get isTemporary(): boolean {
    return this.reason.isRetryable && this.reason._tag !== "Dropped"
  }

  /** Whether something took too long: our own limit, or the server's keep alive or connect time. */
  get isTimeout(): boolean {
    switch (this.reason._tag) {
      case "Timeout":
        return true
      case "ConnectionLost":
        return this.reason.reasonCode === ReasonCode.keepAliveTimeout || isTimeoutCode(this.reason.code)
      case "ConnectionRefused":
        return isTimeoutCode(this.reason.code)
      case "TlsFailure":
        return isTimeoutCode(this.reason.code)
      default:
        return false
    }
  }

  /** The same error with a session name. */
  withSession(session: string): MqttError {
    return this.#copy({ session })
  }

  /** The same error with the name of the operation that failed. */
  withMethod(method: string): MqttError {
    return this.#copy({ method })
  }

  /** The same error with a topic name or filter. */
  withTopic(topic: string): MqttError {
    return this.#copy({ topic })
  }

  /** The same error with more context; keys that it has already are replaced. */
  withContext(context: { readonly [key: string]: Schema.Json }): MqttError {
    return this.#copy({ context: { ...this.context, ...context } })
  }

  // The stack stays that of the failure: where a name was added to it is of no interest.
  #copy(change: Partial<Pick<MqttError, "session" | "method" | "topic" | "context">>): MqttError {
    const copy = new MqttError({
      reason: this.reason,
      session: this.session,
      method: this.method,
      topic: this.topic,
      context: this.context,
      ...change
    })
    Object.defineProperty(copy, "stack", { value: this.stack, configurable: true, writable: true, enumerable: false })
    return copy
  }
}

/**
 * Whether a value is an `MqttError`.
 */
export const isMqttError = (u: unknown): u is MqttError => Predicate.hasProperty(u, TypeId)

/**
 * `MqttError` as the errors of an HTTP API: one schema for each HTTP status, so that a failure answers with the status
 * that it has, see `MqttError.httpStatus`. For `error` of Effect's `HttpApiEndpoint`.
 *
 * @example
 * HttpApiEndpoint.post("publish", "/publish", { payload: Body, success: Schema.Void, error: MqttError.httpErrors })
 */
export const httpErrors: ReadonlyArray<Schema.Codec<MqttError, typeof MqttError["Encoded"]>> = [
  400,
  401,
  403,
  404,
  409,
  413,
  429,
  500,
  501,
  502,
  503,
  504
].map((httpApiStatus) =>
  MqttError.check(Schema.makeFilter((error: MqttError) => error.httpStatus === httpApiStatus))
    .annotate({ httpApiStatus })
)
