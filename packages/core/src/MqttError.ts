/**
 * The only error of the library: `MqttError` with a `reason`, which is one of the tagged classes below.
 *
 * Handle a reason with `Effect.catchReason("MqttError", "QueueFull", (reason) => ...)`, several with
 * `Effect.catchReasons`, or use the error's `category`, `severity` and `isRetryable`. Its `documentation` says more.
 * Every error and reason is a Schema class: it encodes to JSON and decodes back to instances.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Connection from "./internal/errors/connection.ts"
import { refusalStatus } from "./internal/errors/httpStatus.ts"
import * as Operation from "./internal/errors/operation.ts"
import type * as Shared from "./internal/errors/shared.ts"
import { httpStatusOf, TaggedError } from "./internal/errors/shared.ts"
import { isTimeoutCode } from "./internal/networkErrors.ts"
import { cleanText } from "./internal/peerText.ts"
import * as ReasonCode from "./ReasonCode.ts"

export * from "./internal/errors/connection.ts"
export * from "./internal/errors/operation.ts"

const TypeId = "~effect-mqttx/core/MqttError"

/** The page with an entry for each reason. */
const catalogue = "https://github.com/effect-mqttx/effect-mqttx/blob/main/docs/guides/errors.md"

/** All reasons: the one list of them. */
const reasons = [
  Connection.BadCredentials,
  Connection.ClientIdentifierRejected,
  Connection.Closed,
  Connection.ConnectionLost,
  Connection.ConnectionRefused,
  Connection.CredentialsFailed,
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
  Connection.ProxyFailed,
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
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export type MqttErrorReason = InstanceType<typeof reasons[number]>

/**
 * Schema of any reason of an `MqttError`.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const MqttErrorReason: Schema.Union<typeof reasons> = Schema.Union(reasons)

/**
 * The subject of an error.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export type MqttErrorCategory = Shared.MqttErrorCategory

/**
 * How bad an error is. `info`: part of normal operation. `warning`: passes by itself, or cost one message. `error`:
 * needs attention. `critical`: stops the session until something is changed.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export type MqttErrorSeverity = Shared.MqttErrorSeverity

/**
 * Every failure of the library.
 *
 * `reason` says what happened. `session` is the session's name, `method` the public operation that failed, `topic` the
 * topic name or filter concerned, and `context` holds more values for logs. `cause` is the reason's cause, when it has
 * one.
 *
 * **Example** (Handling one reason)
 *
 * ```ts
 * import type { MqttSession } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const publish = (session: MqttSession.Session) =>
 *   session.publish("sensors/a", "1").pipe(
 *     Effect.catchReason("MqttError", "QueueFull", (reason) => Effect.logWarning(`${reason.messages} are waiting`))
 *   )
 * ```
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
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

  /** The reason in one sentence, after the session, the method and the topic. */
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

  /**
   * The address of the documentation of the reason: when it happens, and what to do about it. It is in neither the
   * message nor the JSON form.
   */
  get documentation(): string {
    return `${catalogue}#${this.reason._tag.toLowerCase()}`
  }

  /** Whether the same operation may succeed if it is repeated without a change. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }

  /** The subject of the error. */
  get category(): MqttErrorCategory {
    return this.reason.category
  }

  /** How bad the error is. */
  get severity(): MqttErrorSeverity {
    return this.reason.severity
  }

  /**
   * The HTTP status for programs that serve HTTP: 400 for a wrong request (topic, filter, payload, options), 401 and
   * 403 for missing permission, 404 and 409 for names, 413 for size, 429 for a quota, 501 for features that the server
   * lacks, 502 for refusals and mistakes of the server, 503 while the server is unreachable or takes no more, 504 for
   * timeouts, and 500 for the rest.
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
        return httpStatusOf(reason)
    }
  }

  /**
   * Whether the failed state passes by itself: the error is retryable and concerns the connection, the server's limits
   * or the queue, not a lost message.
   */
  get isTemporary(): boolean {
    return this.reason.isRetryable && this.reason._tag !== "Dropped"
  }

  /** Whether it is a timeout: of this client, or the server's keep alive or connect time. */
  get isTimeout(): boolean {
    switch (this.reason._tag) {
      case "Timeout":
        return true
      case "ConnectionLost":
        return this.reason.reasonCode === ReasonCode.keepAliveTimeout || isTimeoutCode(this.reason.code)
      case "ConnectionRefused":
        return isTimeoutCode(this.reason.code)
      case "ProxyFailed":
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

  /** The same error with more context. Existing keys are replaced. */
  withContext(context: { readonly [key: string]: Schema.Json }): MqttError {
    return this.#copy({ context: { ...this.context, ...context } })
  }

  // Keeps the stack of the failure, because the place where a name was added does not matter.
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
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isMqttError = (u: unknown): u is MqttError => Predicate.hasProperty(u, TypeId)

/**
 * `MqttError` as the errors of an HTTP API: one schema for each HTTP status, so that a failure answers with its status,
 * see `MqttError.httpStatus`. For `error` of Effect's `HttpApiEndpoint`.
 *
 * **Example** (Publishing by HTTP)
 *
 * ```ts
 * import { MqttError } from "@effect-mqttx/core"
 * import { Schema } from "effect"
 * import { HttpApiEndpoint } from "effect/http-api"
 *
 * export const publish = HttpApiEndpoint.post("publish", "/publish", {
 *   payload: Schema.Struct({ topic: Schema.String, payload: Schema.String }),
 *   success: Schema.Void,
 *   error: MqttError.httpErrors
 * })
 * ```
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
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
