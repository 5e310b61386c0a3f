/**
 * One network connection to a server, from CONNECT to the end of the socket.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MqttError } from "../../MqttError.ts"
import type { Connack, Connect, Packet } from "../../Packet.ts"
import type { TransportRequest } from "../../Transport.ts"
import type { EncodeFailure, Violation } from "../codec/contract.ts"

export interface ConnectionRequest extends TransportRequest {
  readonly session: string
  readonly connect: Connect
  /** Milliseconds for the network, TLS, WebSocket and CONNACK together. */
  readonly connectTimeout: number
  /** Milliseconds that bytes may wait in the network without any progress before the peer counts as gone. */
  readonly writeTimeout: number
}

/**
 * What a connection tells its owner. All calls are synchronous, from the network's callback.
 */
export interface ConnectionHandlers {
  /**
   * Inbound packets in wire order, validated; the accepting CONNACK is the very first (before `open` succeeds), AUTH is
   * not among them, and a DISCONNECT is (the connection then ends by itself). A violation answered here closes the
   * connection with its reason code.
   */
  readonly onPackets: (packets: ReadonlyArray<Packet>) => Violation | undefined
  /** More may be sent, after `send` answered `Congested`. */
  readonly onWritable: () => void
  /** The connection is over: exactly once after `open` succeeded, whoever ended it. */
  readonly onClosed: (error: MqttError) => void
  /** The network is done with, whether `open` succeeded or not: what the counters came to. Before `onClosed`. */
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
 * What became of packets.
 *
 * - `Sent`: the network has all of them.
 * - `Congested`: likewise, and more than its high-water mark waits there: wait for `onWritable` before sending more
 *   PUBLISH packets. Acknowledgements may always be sent.
 * - `NotSent`: the connection is over or about to end.
 */
export type SendResult = { readonly _tag: "Sent" } | { readonly _tag: "Congested" } | NotSent

export interface NotSent {
  readonly _tag: "NotSent"
  /** How many of the packets, from the first one on, the network has all the same; nothing of the others has left. */
  readonly sent: number
  /** Why the first of the others cannot be encoded, if that is why the connection ends. */
  readonly failure: EncodeFailure | undefined
}

export interface Connection {
  readonly connack: Connack
  /** Seconds in effect: the server's Server Keep Alive wins (MQTT 3.2.2.3.14). */
  readonly keepAlive: number
  readonly counters: ConnectionCounters
  /**
   * Encodes the packets and hands them to the network in one write. Never calls back: what ends the connection here is
   * told after the answer.
   */
  readonly send: (packets: ReadonlyArray<Packet>) => SendResult
  /** Stops and resumes reading; PINGREQ goes on and a missing PINGRESP does not count while paused. */
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Sends what is pending and DISCONNECT with this reason code (0: the will is discarded), ends the socket, and waits
   * until it is gone, at most a second whatever the peer does.
   */
  readonly close: (reasonCode: number, sessionExpiryInterval?: number) => Effect.Effect<void>
}

/**
 * Opens a connection: succeeds when the server accepted CONNECT, fails with a classified reason (a refusing CONNACK,
 * TLS, network, timeout, violation). The scope's end destroys the socket at once; use `close` first for an orderly end.
 */
export type Open = (
  request: ConnectionRequest,
  handlers: ConnectionHandlers
) => Effect.Effect<Connection, MqttError, Scope.Scope>
