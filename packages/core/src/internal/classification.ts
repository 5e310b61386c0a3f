/**
 * Maps the end of a connection, or the failure to establish one, to a typed reason. Pure functions, called by links and
 * transports. `reason.isRetryable` says whether the session retries by its schedule (transient) or only after a long
 * pause, if at all (permanent).
 *
 * | what happened | reason | |
 * | --- | --- | --- |
 * | CONNACK 0x84, 3.1.1 return code 1, CONNACK of 3.1.1 for MQTT 5 | UnsupportedVersion | permanent |
 * | CONNACK 0x85, 3.1.1 return code 2 | ClientIdentifierRejected | permanent |
 * | CONNACK 0x86, 0x8C, 3.1.1 return code 4 | BadCredentials | permanent |
 * | CONNACK 0x87, 0x8A, 3.1.1 return code 5 | NotAuthorized | permanent |
 * | CONNACK 0x81, 0x82, 0x90, 0x95, 0x99, 0x9A, 0x9B: the same CONNECT fails again | ConnectionRefused | permanent |
 * | CONNACK 0x80, 0x83, 0x88, 0x89, 0x97, 0x9F, 3.1.1 return code 3, unknown codes | ConnectionRefused | transient |
 * | CONNACK or DISCONNECT 0x9C Use another server | ServerMoved | transient |
 * | CONNACK or DISCONNECT 0x9D Server moved | ServerMoved | permanent |
 * | DISCONNECT 0x8E Session taken over | SessionTakenOver | permanent |
 * | DISCONNECT 0x87 | NotAuthorized | permanent |
 * | DISCONNECT 0x8C | BadCredentials | permanent |
 * | DISCONNECT 0x81, 0x82 | ProtocolViolation | transient |
 * | every other DISCONNECT | ConnectionLost | transient |
 * | certificates, names, trust, versions, a peer that does not speak TLS | TlsFailure | permanent |
 * | a TLS handshake that took too long or met a damaged record | TlsFailure | transient |
 * | WebSocket upgrade 401 | BadCredentials | permanent |
 * | WebSocket upgrade 403 | NotAuthorized | permanent |
 * | WebSocket upgrade 408, 425, 429, 5xx | ConnectionRefused | transient |
 * | WebSocket upgrade with any other status | ConnectionRefused | permanent |
 * | a proxy that is not reached, or ends the connection | ProxyFailed | as without it |
 * | a proxy that does not accept the credentials, or is none | ProxyFailed | permanent |
 * | a proxy that refuses with HTTP status 408, 425, 429, 5xx | ProxyFailed | transient |
 * | a proxy that refuses with any other status | ProxyFailed | permanent |
 * | a SOCKS proxy that does not allow the server, or not the request | ProxyFailed | permanent |
 * | every other refusal of a SOCKS proxy | ProxyFailed | transient |
 * | EACCES, EPERM, EINVAL, EAFNOSUPPORT, ... while connecting | ConnectionRefused | permanent |
 * | every other network error while connecting | ConnectionRefused | transient |
 * | a certificate that the server refuses after the handshake, as TLS 1.3 does | TlsFailure | permanent |
 * | every other network error later | ConnectionLost | transient |
 *
 * `session/servers.ts` follows a ServerMoved first: only one that is not followed is a failure.
 *
 * On 3.1.1 a server has no DISCONNECT: a takeover looks like any lost connection.
 */
import {
  BadCredentials,
  ClientIdentifierRejected,
  ConnectionLost,
  ConnectionRefused,
  type MqttErrorReason,
  NotAuthorized,
  ProtocolViolation,
  ServerMoved,
  SessionTakenOver,
  TlsFailure,
  UnsupportedVersion
} from "../MqttError.ts"
import type { ProtocolVersion } from "../QoS.ts"
import * as ReasonCode from "../ReasonCode.ts"
import { errorCodeOf, isTlsCode, isTlsTransient } from "./networkErrors.ts"
import { cleanCause, cleanText } from "./peerText.ts"

/** The server's text besides the code. */
export interface ServerWords {
  readonly reasonString?: string | undefined
  readonly serverReference?: string | undefined
}

/** A server may send any text. It is cleaned before it enters errors, and logs through them. */
const cleanWords = ({ reasonString, serverReference }: ServerWords): ServerWords => ({
  reasonString: reasonString === undefined ? undefined : cleanText(reasonString),
  serverReference: serverReference === undefined ? undefined : cleanText(serverReference)
})

/** The connection attempt or connection that the reason is about. */
export interface Attempt {
  readonly protocolVersion: ProtocolVersion
  readonly clientId?: string | undefined
  /** The server's address, printed without secrets. */
  readonly server?: string | undefined
}

/**
 * The reason for a CONNACK that refuses. `reasonCode` is a return code of 3.1.1, below 0x80 (MQTT 3.1.1 3.2.2.3), or a
 * reason code of 5, from 0x80 on (MQTT 3.2.2.2). A server that speaks only the other version answers with a code of
 * that version.
 */
export const fromConnack = (reasonCode: number, attempt: Attempt, words: ServerWords = {}): MqttErrorReason => {
  const { reasonString, serverReference } = cleanWords(words)
  switch (reasonCode < 0x80 ? ReasonCode.fromReturnCode(reasonCode) : reasonCode) {
    case ReasonCode.unsupportedProtocolVersion:
      return new UnsupportedVersion({ protocolVersion: attempt.protocolVersion, reasonString })
    case ReasonCode.clientIdentifierNotValid:
      return new ClientIdentifierRejected({ clientId: attempt.clientId, reasonString })
    case ReasonCode.badUserNameOrPassword:
    case ReasonCode.badAuthenticationMethod:
      return new BadCredentials({ reasonCode, reasonString })
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
      return new NotAuthorized({ reasonCode, reasonString })
    case ReasonCode.useAnotherServer:
    case ReasonCode.serverMoved:
      return new ServerMoved({ reasonCode, serverReference, reasonString })
    default:
      return new ConnectionRefused({ reasonCode, reasonString, server: attempt.server })
  }
}

/**
 * The reason for a DISCONNECT from the server, which only MQTT 5 has (MQTT 3.14.2.1).
 */
export const fromDisconnect = (
  reasonCode: number,
  attempt: Attempt = { protocolVersion: 5 },
  words: ServerWords = {}
): MqttErrorReason => {
  const { reasonString, serverReference } = cleanWords(words)
  switch (reasonCode) {
    case ReasonCode.sessionTakenOver:
      return new SessionTakenOver({ clientId: attempt.clientId, reasonString })
    case ReasonCode.notAuthorized:
      return new NotAuthorized({ reasonCode, reasonString })
    case ReasonCode.badAuthenticationMethod:
      return new BadCredentials({ reasonCode, reasonString })
    case ReasonCode.useAnotherServer:
    case ReasonCode.serverMoved:
      return new ServerMoved({ reasonCode, serverReference, reasonString })
    case ReasonCode.malformedPacket:
    case ReasonCode.protocolError:
      return new ProtocolViolation({
        reasonCode,
        detail: reasonString ?? "the server found a fault in what it received",
        reportedByServer: true
      })
    default:
      return new ConnectionLost({ reasonCode, reasonString })
  }
}

/**
 * The reason for a protocol violation that ends the connection with this reason code (MQTT 4.13). An accepting CONNACK
 * of another protocol version is such a violation, with 0x84.
 */
export const fromViolation = (reasonCode: number, detail: string, attempt: Attempt): MqttErrorReason =>
  reasonCode === ReasonCode.unsupportedProtocolVersion
    ? new UnsupportedVersion({ protocolVersion: attempt.protocolVersion, reasonString: detail })
    : new ProtocolViolation({ reasonCode, detail })

/**
 * The reason for an orderly end of the connection before CONNACK. Some servers answer an unknown version only in this
 * way, and many do so when they are about to stop.
 */
export const fromSilentEnd = ({ protocolVersion, server }: Attempt): MqttErrorReason =>
  new ConnectionRefused({
    server,
    reasonString: `it closed the connection before CONNACK${
      protocolVersion === 5 ? ", as some servers do that know MQTT 3.1.1 only" : ""
    }`
  })

/**
 * The reason for an error of a socket, of TLS or of a WebSocket. `phase` is `connect` until the transport is open.
 */
export const fromNetworkError = (
  error: unknown,
  phase: "connect" | "connected",
  server?: string | undefined
): MqttErrorReason => {
  const code = errorCodeOf(error)
  const cause = cleanCause(error)
  if (code !== undefined && isTlsCode(code) && (phase === "connect" || !isTlsTransient(code))) {
    return new TlsFailure({ code, server, cause })
  }
  return phase === "connect" ? new ConnectionRefused({ code, server, cause }) : new ConnectionLost({ code, cause })
}

/**
 * The reason for the end of a connection's stream: an error, or none when the peer has ended it.
 */
export const fromStreamEnd = (error: unknown, isAccepted: boolean, attempt: Attempt): MqttErrorReason => {
  if (error !== undefined) return fromNetworkError(error, isAccepted ? "connected" : "connect", attempt.server)
  return isAccepted ? new ConnectionLost({ reasonString: "the server closed it" }) : fromSilentEnd(attempt)
}

/**
 * The reason for a WebSocket upgrade that the server answered with an HTTP status other than 101.
 */
export const fromHttpStatus = (httpStatus: number, server?: string | undefined): MqttErrorReason => {
  switch (httpStatus) {
    case 401:
      return new BadCredentials({ httpStatus })
    case 403:
      return new NotAuthorized({ httpStatus })
    default:
      return new ConnectionRefused({ httpStatus, server })
  }
}
