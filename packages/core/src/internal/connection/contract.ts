/**
 * One network connection to a server, from CONNECT to the end of the socket.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MqttError } from "../../MqttError.ts"
import type { Connack, Connect, Packet } from "../../Packet.ts"
import type { TransportRequest } from "../../Transport.ts"
import type { Violation } from "../codec/contract.ts"

export interface ConnectionRequest extends TransportRequest {
  readonly session: string
  readonly connect: Connect
  /** Milliseconds for the network, TLS, WebSocket and CONNACK together. */
  readonly connectTimeout: number
  /** Milliseconds that bytes may wait in the network without any progress before the peer counts as gone. */
  readonly writeTimeout: number
  /** Bytes of the largest inbound packet; what CONNECT announces on MQTT 5. */
  readonly maximumPacketSize: number
}

/**
 * What a connection tells its owner. All calls are synchronous, from the network's callback.
 */
export interface ConnectionHandlers {
  /**
   * Inbound packets in wire order, validated; the accepting CONNACK is the very first (before `open` succeeds), AUTH is not
   * among them, and a DISCONNECT is (the connection then ends by itself). A violation answered here closes the connection
   * with its reason code.
   */
  readonly onPackets: (packets: ReadonlyArray<Packet>) => Violation | undefined
  /** More may be sent, after `send` answered false. */
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

export interface Connection {
  readonly connack: Connack
  /** Seconds in effect: the server's Server Keep Alive wins (MQTT 3.2.2.3.14). */
  readonly keepAlive: number
  readonly counters: ConnectionCounters
  /**
   * Encodes the packets and hands them to the network in one write. False: the network is congested, wait for `onWritable` before sending more PUBLISH
   * packets (nothing is refused: acknowledgements may always be sent). After the end it does nothing.
   */
  readonly send: (packets: ReadonlyArray<Packet>) => boolean
  /** Stops and resumes reading; PINGREQ goes on and a missing PINGRESP does not count while paused. */
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Sends what is pending and DISCONNECT with this reason code (0: the will is discarded), ends the socket, and waits until it is gone, at most
   * a second whatever the peer does.
   */
  readonly close: (reasonCode: number, sessionExpiryInterval?: number) => Effect.Effect<void>
}

/**
 * Opens a connection: succeeds when the server accepted CONNECT, fails with a classified reason (a refusing CONNACK, TLS, network, timeout,
 * violation). The scope's end destroys the socket at once; use `close` first for an orderly end.
 */
export type Open = (
  request: ConnectionRequest,
  handlers: ConnectionHandlers
) => Effect.Effect<Connection, MqttError, Scope.Scope>
