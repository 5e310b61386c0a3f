/**
 * Decides whether a connection probably ended over something that the server was sent. A pure function; the supervisor
 * calls it for the engine, which looks for poison messages.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"

/** DISCONNECT reason codes that concern the server, the whole client or the load, and not a packet. */
const elsewhere: ReadonlySet<number> = new Set([
  ReasonCode.serverBusy,
  ReasonCode.serverShuttingDown,
  ReasonCode.keepAliveTimeout,
  ReasonCode.sessionTakenOver,
  ReasonCode.receiveMaximumExceeded,
  ReasonCode.messageRateTooHigh,
  ReasonCode.administrativeAction,
  ReasonCode.connectionRateExceeded,
  ReasonCode.maximumConnectTime
])

/**
 * Whether the network error code (or none) means that the peer closed its end. Other codes mean a failed network, or a
 * timeout of this client.
 */
export const isClosedByPeer = (code: string | undefined): boolean =>
  code === undefined || code === "ECONNRESET" || code === "EPIPE"

/** Whether the server ended the connection over a quota, of subscriptions perhaps, or of messages. */
export const isOverQuota = (reason: MqttErrorReason): boolean =>
  "reasonCode" in reason && reason.reasonCode === ReasonCode.quotaExceeded

/**
 * How the server ended the connection. Undefined: it did not, or not because of a packet. A connection that was cut on
 * its way looks like one that the server closed.
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
