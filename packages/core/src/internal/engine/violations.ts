/**
 * Protocol errors of the server that only the session's state reveals (MQTT 4.13). The codec finds the malformed ones.
 */
import type { Violation } from "../codec/contract.ts"

const protocolError = 0x82

/** A second CONNACK, or a packet that only clients send. */
export const unexpectedPacket = (packet: string): Violation => ({
  reasonCode: protocolError,
  kind: "unexpected-packet",
  detail: `${packet} from a server in the middle of a connection`
})

/** MQTT 3.2.2.1.1: session present although there is nothing to resume. */
export const unexpectedSession = (cleanStart: boolean): Violation => ({
  reasonCode: protocolError,
  kind: "session-present",
  detail: cleanStart
    ? "CONNACK says session present after a clean start"
    : "CONNACK says session present, and the client has no session state"
})

/** An acknowledgement that does not fit the state of this packet identifier. */
export const wrongAcknowledgement = (packet: string, packetIdentifier: number): Violation => ({
  reasonCode: protocolError,
  kind: "packet-identifier",
  detail: `${packet} for packet identifier ${packetIdentifier}, which expects another packet`
})

/** SUBACK and UNSUBACK answer each filter of their request (MQTT 3.9.3, 3.11.3). */
export const wrongReasonCodeCount = (packet: string, expected: number, actual: number): Violation => ({
  reasonCode: protocolError,
  kind: "reason-code-count",
  detail: `${packet} with ${actual} reason codes for ${expected} topic filters`
})

/** MQTT 3.3.4: more unacknowledged publishes than CONNECT allowed. */
export const receiveMaximumExceeded = (receiveMaximum: number): Violation => ({
  reasonCode: 0x93,
  kind: "receive-maximum",
  detail: `PUBLISH beyond the receive maximum of ${receiveMaximum}`
})

/** MQTT 3.3.2.3.4: a topic alias that CONNECT did not allow. */
export const topicAliasInvalid = (alias: number, maximum: number): Violation => ({
  reasonCode: 0x94,
  kind: "topic-alias",
  detail: `PUBLISH with topic alias ${alias}, the maximum is ${maximum}`
})

/** MQTT 3.3.2.3.4: a topic alias that this connection has not defined. */
export const topicAliasUnknown = (alias: number): Violation => ({
  reasonCode: protocolError,
  kind: "topic-alias-unknown",
  detail: `PUBLISH without a topic name and with the undefined topic alias ${alias}`
})

/** MQTT 4.7.3: a PUBLISH with neither a topic name nor an alias. */
export const topicMissing: Violation = {
  reasonCode: protocolError,
  kind: "topic-name-empty",
  detail: "PUBLISH with neither a topic name nor a topic alias"
}
