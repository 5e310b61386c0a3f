/**
 * Whether a connection ended over something that the server was sent, as far as one can tell. Pure; the supervisor asks
 * for the engine, which looks for poison messages.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"

/** DISCONNECT reason codes that speak of the server, of the client as a whole or of load, and not of a packet. */
const elsewhere: ReadonlySet<number> = new Set([
  ReasonCode.serverBusy,
  ReasonCode.serverShuttingDown,
  ReasonCode.keepAliveTimeout,
  ReasonCode.sessionTakenOver,
  ReasonCode.receiveMaximumExceeded,
  ReasonCode.messageRateTooHigh,
  ReasonCode.quotaExceeded,
  ReasonCode.administrativeAction,
  ReasonCode.connectionRateExceeded,
  ReasonCode.maximumConnectTime
])

/**
 * Whether a network error code, or none, is that of a peer that has closed its end. Others mean a network that failed,
 * or our own time limits.
 */
export const isClosedByPeer = (code: string | undefined): boolean =>
  code === undefined || code === "ECONNRESET" || code === "EPIPE"

/**
 * How the server ended the connection; undefined: it did not, or what it was sent is not the reason. A connection that
 * was cut on its way looks like one that the server has closed.
 */
export const endedByServer = (reason: MqttErrorReason): string | undefined => {
  switch (reason._tag) {
    case "ConnectionLost":
      return (reason.reasonCode === undefined
          ? isClosedByPeer(reason.code)
          : !elsewhere.has(reason.reasonCode))
        ? reason.message
        : undefined
    case "NotAuthorized":
      return reason.message
    case "ProtocolViolation":
      return reason.reportedByServer === true ? reason.message : undefined
    default:
      return undefined
  }
}
