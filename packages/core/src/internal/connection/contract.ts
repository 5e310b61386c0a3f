/**
 * One network connection to a server, from CONNECT to the end of the socket. Types only: `connection.ts` implements
 * them.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Exchange } from "../../Authentication.ts"
import type { MqttError } from "../../MqttError.ts"
import type { Connack, Connect, Packet, Publish } from "../../Packet.ts"
import type { StreamCertificate, TransportRequest } from "../../Transport.ts"
import type { EncodeFailure, Violation } from "../codec/contract.ts"

export interface ConnectionRequest extends TransportRequest {
  readonly session: string
  readonly connect: Connect
  /** The exchange that CONNECT begins, if it names an authentication method. */
  readonly exchange?: Exchange | undefined
  /** Milliseconds for the network, TLS, WebSocket and CONNACK together. */
  readonly connectTimeout: number
  /** Milliseconds that bytes may wait in the network without any progress before the peer counts as gone. */
  readonly writeTimeout: number
}

/**
 * The callbacks of a connection. All are synchronous, from the network's callback.
 */
export interface ConnectionHandlers {
  /**
   * Bytes that have arrived, of which packets will be made. Packets were made of all bytes before but the last
   * `pending`, which are of an incomplete packet; negative: packets of whole chunks are still to come. Nothing may
   * change the bytes.
   */
  readonly onBytes?: (bytes: Uint8Array, pending: number) => void
  /**
   * Validated inbound packets in wire order. The accepting CONNACK is the first one, before `open` succeeds. AUTH is
   * not included. A DISCONNECT is; the connection then ends by itself. If the callback answers a violation, the
   * connection closes with its reason code.
   */
  readonly onPackets: (packets: ReadonlyArray<Packet>) => Violation | undefined
  /** More may be sent, after `send` answered `Congested`. */
  readonly onWritable: () => void
  /** The connection has ended. Called exactly once after `open` succeeded, whichever side ended it. */
  readonly onClosed: (error: MqttError) => void
  /** The network is closed, whether `open` succeeded or not. Gives the final counters. Called before `onClosed`. */
  readonly onGone?: (counters: ConnectionCounters) => void
}

/**
 * Counters of one connection, in MQTT packet bytes and packets as they pass the wire.
 */
export interface ConnectionCounters {
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly packetsSent: number
  readonly packetsReceived: number
}

/**
 * The result of sending packets.
 *
 * - `Sent`: the network has all of them.
 * - `Congested`: the network has all of them, and more bytes wait there than its high-water mark. Wait for `onWritable`
 *   before sending more PUBLISH packets. Acknowledgements may always be sent.
 * - `NotSent`: the connection has ended or is about to end.
 */
export type SendResult = { readonly _tag: "Sent" } | { readonly _tag: "Congested" } | NotSent

export interface NotSent {
  readonly _tag: "NotSent"
  /**
   * Number of packets, from the first one on, that the network has nevertheless. No byte of the others was sent.
   * Appended packets do not count.
   */
  readonly sent: number
  /** Why the first of the others cannot be encoded, if this ends the connection. */
  readonly failure: EncodeFailure | undefined
}

/**
 * Adds packets to the next write, which the next `send` makes, also one without packets.
 */
export interface Appender {
  /**
   * Encodes a PUBLISH packet, which may change afterwards. False: it is not encoded, because the connection is about to
   * end or the packet is invalid. Not for payloads of `separatePayload` bytes or more, which are not copied.
   */
  readonly append: (packet: Publish) => boolean
  /** Bytes of appended packets that no write has taken. */
  readonly appendedBytes: number
  /** After the end: the appended packets that the network has not got, in their order. */
  readonly unsent: ReadonlyArray<Publish>
}

export interface Connection {
  readonly connack: Connack
  /** Keep alive in force, in seconds: the server's Server Keep Alive wins (MQTT 3.2.2.3.14). */
  readonly keepAlive: number
  /** The certificates of the stream; none where there is nothing to read. */
  readonly certificates: ReadonlyArray<StreamCertificate>
  readonly counters: ConnectionCounters
  /**
   * Encodes the packets and hands them to the network in one write. Never calls back: if this ends the connection, the
   * callbacks follow after the answer. `now` are milliseconds of the monotonic clock, which is read without it.
   */
  readonly send: (packets: ReadonlyArray<Packet>, now?: number) => SendResult
  readonly sender: Appender
  /** Stops and resumes reading. While paused, PINGREQ is still sent, and a missing PINGRESP does not count. */
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Authenticates again while the connection is in use (MQTT 4.12.1), by the method of CONNECT. Succeeds when the
   * server has accepted. Takes at most the connect timeout; every failure ends the connection.
   */
  readonly reauthenticate: (exchange: Exchange) => Effect.Effect<void, MqttError>
  /**
   * Sends the pending bytes and DISCONNECT with this reason code (0: the will is discarded), ends the socket, and waits
   * until it is closed, at most a second whatever the peer does.
   */
  readonly close: (reasonCode: number, sessionExpiryInterval?: number) => Effect.Effect<void>
}

/**
 * Opens a connection. Succeeds when the server accepted CONNECT. Fails with a classified reason (a refusing CONNACK,
 * TLS, network, timeout, violation). The end of the scope destroys the socket at once; call `close` first for an
 * orderly end.
 */
export type Open = (
  request: ConnectionRequest,
  handlers: ConnectionHandlers
) => Effect.Effect<Connection, MqttError, Scope.Scope>
