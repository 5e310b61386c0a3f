/**
 * The reasons of an `MqttError` that concern a connection or the session as a whole; re-exported by `MqttError.ts`.
 */
import * as Schema from "effect/Schema"
import * as ReasonCode from "../../ReasonCode.ts"
import { isHttpTransient, isReplyTransient, isSocketTransient, isTlsCode, isTlsTransient } from "../networkErrors.ts"
import { cleanText, quoted } from "../peerText.ts"
import { because, cause, causeText, code, type MqttErrorSeverity, Reason, text } from "./shared.ts"

/**
 * No connection was established: the network refused it, the WebSocket upgrade failed (`httpStatus`), or the server
 * answered CONNECT with a reason code (MQTT 3.2.2.2; on 3.1.1 a return code from 1 to 5) that has no reason class of
 * its own here.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ConnectionRefused
  extends Reason<ConnectionRefused>()({ category: "connection", httpApiStatus: 503 })("ConnectionRefused", {
    reasonCode: code,
    reasonString: text,
    server: text,
    /** The network's error code, for example `ECONNREFUSED`. */
    code: text,
    httpStatus: code,
    cause
  })
{
  override get message(): string {
    const server = this.server ?? "the server"
    if (this.reasonCode !== undefined) {
      return `${server} refused the connection: ${ReasonCode.describe(this.reasonCode, "Connack")}${
        because(this.reasonString)
      }`
    }
    if (this.httpStatus !== undefined) {
      return `${server} refused the WebSocket upgrade with HTTP status ${this.httpStatus}`
    }
    return `no connection to ${server}${
      because(this.reasonString ?? (this.cause === undefined ? this.code : undefined) ?? causeText(this.cause))
    }`
  }
  get isRetryable(): boolean {
    if (this.reasonCode !== undefined) {
      return ReasonCode.isRetryable(this.reasonCode, "Connack")
    }
    return this.httpStatus === undefined ? isSocketTransient(this.code) : isHttpTransient(this.httpStatus)
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "critical"
  }
}

/**
 * An established connection ended, and the session did not end it. `reasonCode` is that of the server's DISCONNECT, if
 * it sent one (MQTT 3.14.2.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ConnectionLost extends Reason<ConnectionLost>()({
  category: "connection",
  severity: "warning",
  isRetryable: true,
  httpApiStatus: 503
})("ConnectionLost", {
  reasonCode: code,
  reasonString: text,
  /** The network's error code, for example `ECONNRESET`. */
  code: text,
  /**
   * How many consecutive connections, including this one, ended soon after CONNACK and without a reason. Set from the
   * third connection on that lasted less than ten seconds: another client probably uses the same client identifier.
   */
  shortConnections: code,
  cause
}) {
  override get message(): string {
    const what = this.reasonCode !== undefined
      ? `the server closed the connection: ${ReasonCode.describe(this.reasonCode, "Disconnect")}${
        because(this.reasonString)
      }`
      : `the connection was lost${
        because(this.reasonString ?? (this.cause === undefined ? this.code : causeText(this.cause)))
      }`
    return this.shortConnections === undefined
      ? what
      : `${what}; ${this.shortConnections} connections in a row ended soon after they began: probably another client uses ` +
        "this client identifier, or the server does not allow something that this session does"
  }
}

/**
 * The server refuses the user name, the password or the authentication method.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class BadCredentials extends Reason<BadCredentials>()({
  category: "authentication",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 401
})("BadCredentials", {
  reasonCode: code,
  reasonString: text,
  httpStatus: code
}) {
  override get message(): string {
    return `the server does not accept the credentials${
      this.reasonCode === undefined ? "" : `: ${ReasonCode.describe(this.reasonCode, "Connack")}`
    }${because(this.reasonString)}`
  }
}

/**
 * The credentials for an attempt to connect are not available: the provider failed (`Credentials`), or an exchange with
 * the server did (`Authentication`), for example because the server could not prove who it is.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class CredentialsFailed extends Reason<CredentialsFailed>()({
  category: "authentication",
  httpApiStatus: 503
})("CredentialsFailed", {
  detail: Schema.String,
  /** `false`: another attempt would fail too. Default: the session tries again. */
  isTransient: Schema.optional(Schema.Boolean),
  cause
}) {
  override get message(): string {
    return `no credentials: ${cleanText(this.detail)}${this.cause === undefined ? "" : `: ${causeText(this.cause)}`}`
  }
  get isRetryable(): boolean {
    return this.isTransient !== false
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "critical"
  }
}

/**
 * The server knows the client, but the client has no right to connect, or was banned.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class NotAuthorized extends Reason<NotAuthorized>()({
  category: "authentication",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 403
})("NotAuthorized", {
  reasonCode: code,
  reasonString: text,
  httpStatus: code
}) {
  override get message(): string {
    return `the client is not authorized to connect${
      this.reasonCode === undefined ? "" : `: ${ReasonCode.describe(this.reasonCode, "Connack")}`
    }${because(this.reasonString)}`
  }
}

/**
 * The server refuses the client identifier (MQTT 3.1.3.1).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ClientIdentifierRejected extends Reason<ClientIdentifierRejected>()({
  category: "authentication",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 502
})("ClientIdentifierRejected", { clientId: text, reasonString: text }) {
  override get message(): string {
    return `the server does not accept the client identifier${
      this.clientId === undefined ? "" : ` ${quoted(this.clientId)}`
    }${because(this.reasonString)}`
  }
}

/**
 * The server does not support the protocol version of the session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class UnsupportedVersion extends Reason<UnsupportedVersion>()({
  category: "connection",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 502
})("UnsupportedVersion", { protocolVersion: code, reasonString: text }) {
  override get message(): string {
    const version = this.protocolVersion === undefined
      ? "this version of MQTT"
      : this.protocolVersion === 4
      ? "MQTT 3.1.1"
      : this.protocolVersion === 5
      ? "MQTT 5"
      : `protocol version ${this.protocolVersion}`
    return `the server does not speak ${version}${because(this.reasonString)}`
  }
}

/**
 * TLS could not be established: one side refuses the other side's certificate, or the peer does not speak TLS.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class TlsFailure extends Reason<TlsFailure>()({ category: "connection", httpApiStatus: 502 })("TlsFailure", {
  /** The code of the TLS library, for example `CERT_HAS_EXPIRED`. */
  code: text,
  server: text,
  cause
}) {
  override get message(): string {
    return `no TLS connection to ${this.server ?? "the server"}: ${
      this.cause === undefined ? this.code ?? "unknown cause" : causeText(this.cause)
    }${this.code === undefined || this.cause === undefined ? "" : ` (${this.code})`}`
  }
  get isRetryable(): boolean {
    return isTlsTransient(this.code)
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "critical"
  }
}

/**
 * No connection through the proxy. The server was not reached, and has seen neither user name nor password.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ProxyFailed extends Reason<ProxyFailed>()({ category: "connection", httpApiStatus: 503 })("ProxyFailed", {
  /** The URL of the proxy, without user name and password. */
  proxy: Schema.String,
  /**
   * - `unreachable`: there is no connection to the proxy, or it ended it before it answered.
   * - `authentication`: the proxy demands a user name and password, others, or another way of authentication.
   * - `refused`: the proxy does not connect to the server; see `httpStatus` or `reply`.
   * - `protocol`: it is no proxy of this kind.
   */
  failure: Schema.Literals(["unreachable", "authentication", "refused", "protocol"]),
  server: text,
  /** The status of an HTTP proxy. */
  httpStatus: code,
  /**
   * The reply of a SOCKS proxy (RFC 1928, 6): `generalFailure`, `notAllowed`, `networkUnreachable`, `hostUnreachable`,
   * `connectionRefused`, `ttlExpired`, `commandNotSupported`, `addressTypeNotSupported`, or `unassigned(9)`.
   */
  reply: text,
  /** The network's or TLS's error code, for example `ECONNREFUSED`. */
  code: text,
  detail: text,
  cause
}) {
  override get message(): string {
    const { httpStatus, proxy, reply } = this
    switch (this.failure) {
      case "unreachable":
        return `no connection to the proxy ${proxy}${
          because(this.detail ?? (this.cause === undefined ? this.code : causeText(this.cause)))
        }`
      case "authentication":
        return `the proxy ${proxy} does not accept the credentials${because(this.detail)}`
      case "refused":
        return `the proxy ${proxy} does not connect to ${this.server ?? "the server"}: ${
          httpStatus === undefined ? reply ?? "unknown cause" : `HTTP status ${httpStatus}`
        }`
      case "protocol":
        return `the proxy ${proxy} does not speak its protocol${because(this.detail)}`
    }
  }
  get isRetryable(): boolean {
    switch (this.failure) {
      case "unreachable":
        return this.code !== undefined && isTlsCode(this.code)
          ? isTlsTransient(this.code)
          : isSocketTransient(this.code)
      case "refused":
        return this.httpStatus === undefined ? isReplyTransient(this.reply) : isHttpTransient(this.httpStatus)
      default:
        return false
    }
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "critical"
  }
}

/**
 * Another connection with the same client identifier took the session over (reason code 0x8E).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class SessionTakenOver extends Reason<SessionTakenOver>()({
  category: "connection",
  severity: "critical",
  isRetryable: false,
  httpApiStatus: 503
})("SessionTakenOver", { clientId: text, reasonString: text }) {
  override get message(): string {
    return `another client with the identifier ${
      this.clientId === undefined ? "of this session" : quoted(this.clientId)
    } took the session over${because(this.reasonString)}`
  }
}

/**
 * The server sends the client elsewhere, for now (reason code 0x9C) or from now on (0x9D), to `serverReference` if it
 * names one. The session follows it, so this fails an operation only when it does not (`notFollowed`).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ServerMoved extends Reason<ServerMoved>()({ category: "connection", httpApiStatus: 503 })("ServerMoved", {
  reasonCode: Schema.Int,
  serverReference: text,
  reasonString: text,
  /** Why the session does not go there. */
  notFollowed: text
}) {
  override get message(): string {
    return `${ReasonCode.describe(this.reasonCode)}${
      this.serverReference === undefined ? "" : `, which is ${cleanText(this.serverReference)}`
    }${because(this.reasonString)}${this.notFollowed === undefined ? "" : `; not followed: ${this.notFollowed}`}`
  }
  get isRetryable(): boolean {
    return this.reasonCode !== ReasonCode.serverMoved
  }
  get severity(): MqttErrorSeverity {
    return this.isRetryable ? "warning" : "critical"
  }
}

/**
 * The server no longer has the session's state (session present was false, MQTT 3.2.2.1.1). Messages in flight may or
 * may not have arrived.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class SessionLost
  extends Reason<SessionLost>()({ category: "connection", severity: "warning", isRetryable: true, httpApiStatus: 503 })(
    "SessionLost",
    {
      clientId: text
    }
  )
{
  override get message(): string {
    return "the server has lost the state of the session"
  }
}

/**
 * The session is closed: its scope ended, it was removed, or it has been drained.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Closed
  extends Reason<Closed>()({ category: "connection", severity: "info", isRetryable: false, httpApiStatus: 503 })(
    "Closed",
    {}
  )
{
  override get message(): string {
    return "the session is closed"
  }
}

/**
 * An operation exceeded its time limit. `operation` names it in a few words, for example "publish". If the session
 * knows why, `detail` says so, and `cause` is the underlying error, for example the `MqttError` of the last attempt to
 * connect.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Timeout
  extends Reason<Timeout>()({ category: "connection", severity: "warning", isRetryable: true, httpApiStatus: 504 })(
    "Timeout",
    {
      operation: Schema.String,
      millis: Schema.Number,
      detail: text,
      cause
    }
  )
{
  override get message(): string {
    return `${this.operation} took longer than ${this.millis} ms${this.detail === undefined ? "" : `; ${this.detail}`}`
  }
}

/**
 * The server violated the protocol, or reports that the session did (`reportedByServer`; MQTT 4.13). The connection is
 * closed with `reasonCode`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class ProtocolViolation extends Reason<ProtocolViolation>()({
  category: "connection",
  severity: "error",
  isRetryable: true,
  httpApiStatus: 502
})("ProtocolViolation", {
  reasonCode: Schema.Int,
  detail: Schema.String,
  reportedByServer: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    const who = this.reportedByServer === true
      ? "the server says that this client broke the protocol"
      : "the server broke the protocol"
    return `${who}: ${cleanText(this.detail)}: ${ReasonCode.describe(this.reasonCode)}`
  }
}
