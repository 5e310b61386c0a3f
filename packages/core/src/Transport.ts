/**
 * The contract between a connection and the network: an ordered, reliable stream of bytes to a server.
 *
 * The default opens TCP, TLS, WebSocket and Unix sockets on Node, and WebSockets in a browser. Tests provide an
 * in-memory network, or forbid the real one. Code above this contract does not know the difference.
 */
import { defaultTransport } from "#transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { fromNetworkError } from "./internal/classification.ts"
import { ConnectionRefused, MqttError } from "./MqttError.ts"
import * as ServerAddress from "./ServerAddress.ts"
import type { ProxyOptions, TlsOptions, WebSocketOptions } from "./SessionOptions.ts"

/**
 * The callbacks of a byte stream. All are called synchronously from an event of the platform, never after `onClose`,
 * and never before `open` succeeded.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ByteStreamHandlers {
  /** Bytes in order. The receiver owns them: the transport does not write to them again. */
  readonly onData: (bytes: Uint8Array) => void
  /** Called after `write` returned `congested`, when more may be written. */
  readonly onDrain: () => void
  /**
   * The stream has ended. Called exactly once, whichever side ended it. `cause` is absent after an orderly end by the
   * peer. The stream also ends when the peer ends its half or begins to close a WebSocket, because MQTT has no use for
   * a half-open stream.
   */
  readonly onClose: (cause?: unknown) => void
}

/**
 * The result of handing bytes to a stream.
 *
 * - `taken`: the stream has taken them.
 * - `congested`: the stream has taken them, and more bytes wait than its high-water mark. Wait for `onDrain`.
 * - `closed`: the stream has ended or is about to end, and has taken none of them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type WriteResult = "taken" | "congested" | "closed"

/**
 * A certificate of an open stream.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StreamCertificate {
  /** Whose certificate it is. `client`: the one that this side has for servers that ask. */
  readonly owner: "server" | "client"
  /** Its subject as text, without control characters, of at most 256 characters. */
  readonly subject: string
  /** When it expires, in milliseconds since the epoch. */
  readonly expiresAt: number
}

/**
 * An open stream of bytes.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ByteStream {
  /**
   * Hands over bytes, which the stream may use until it has sent them: the caller does not write to them again. After
   * the first `closed` every answer is `closed`, and `onClose` has been called or follows within the turn.
   */
  readonly write: (bytes: Uint8Array) => WriteResult
  /** Number of bytes written to the stream and not yet passed to the operating system. */
  readonly pendingBytes: () => number
  /** Stops `onData` until `resume`. The network's own flow control then slows the peer down. */
  readonly pause: () => void
  /** Ends `pause`. */
  readonly resume: () => void
  /**
   * Ends the stream in an orderly way after what was written is sent; `onClose` follows when the peer has ended too.
   */
  readonly end: () => void
  /** Closes at once, discarding what was not sent; `onClose` follows, unless it came before. */
  readonly destroy: () => void
  /** The certificates in use. Left out where there are none to read, as in browsers. */
  readonly certificates?: (() => ReadonlyArray<StreamCertificate>) | undefined
}

/**
 * Everything that is needed to reach a server.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TransportRequest {
  /** Where the server listens. */
  readonly address: ServerAddress.ServerAddress
  /** The options of TLS; undefined: the defaults of the platform. */
  readonly tls: TlsOptions | undefined
  /** The options of WebSockets; undefined: the defaults. */
  readonly webSocket: WebSocketOptions | undefined
  /** Absent: no proxy. */
  readonly proxy?: ProxyOptions | undefined
  /**
   * Maximum size of an MQTT packet, in bytes. A transport that must hold bytes until it can hand them over, such as the
   * message of a WebSocket, holds little more than this.
   */
  readonly maximumPacketSize: number
}

/**
 * Opens byte streams.
 *
 * `open` succeeds when the network is ready for the first byte of CONNECT (after the TLS handshake and the WebSocket
 * upgrade). It fails with `ConnectionRefused`, `TlsFailure` or `ProxyFailed`, and is interruptible at any time. The end
 * of its scope destroys the stream. It has no time limit of its own: the connection has one.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Transport {
  /** Opens a stream to a server, see `Transport`. */
  readonly open: (
    request: TransportRequest,
    handlers: ByteStreamHandlers
  ) => Effect.Effect<ByteStream, MqttError, Scope.Scope>

  /**
   * Succeeds when the network may have come back: a session that waits for its next attempt then tries at once. A
   * browser knows it from its `online` event, and when a hidden page becomes visible. Absent: the platform does not
   * tell.
   */
  readonly reachable?: Effect.Effect<void> | undefined
}

/**
 * The transport in use; replace it with `Layer.succeed(Transport.Transport, ...)` or `Effect.provideService`.
 *
 * @stability stable
 * @category references
 * @since 0.1.0
 */
export const Transport: Context.Reference<Transport> = Context.Reference("@effect-mqttx/core/Transport", {
  defaultValue: (): Transport => defaultTransport
})

/**
 * The failure of an attempt to reach a server, from the error of a socket, of TLS or of a WebSocket: for transports of
 * your own. It is `TlsFailure` for the codes of TLS and `ConnectionRefused` otherwise. Whether it is retryable follows
 * from the code, as with the default transport.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const failure = (error: unknown, address: ServerAddress.ServerAddress): MqttError =>
  new MqttError({ reason: fromNetworkError(error, "connect", ServerAddress.format(address)) })

/**
 * No network at all, for tests: a session whose test forgot to provide a broker does not reach a real one. Every
 * connection fails with `ConnectionRefused` of the code `ERR_NETWORK_FORBIDDEN`, which is permanent, so operations that
 * wait for the session fail at once. A network that is provided closer to the session, such as that of
 * `ScriptedBroker.layerMemory`, is used as usual.
 *
 * **Example** (Keeping tests away from real servers)
 *
 * ```ts
 * import { MqttSession, Transport } from "@effect-mqttx/core"
 * import { ScriptedBroker } from "@effect-mqttx/testing"
 * import { Effect, Layer } from "effect"
 *
 * const Plant = MqttSession.layer({ name: "plant", servers: ["mqtt://plant.example"] })
 * const publish = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   return yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * })
 *
 * export const program = Effect.gen(function*() {
 *   const { reason } = yield* Effect.flip(Effect.provide(publish, Plant))
 *   yield* Effect.log(reason._tag)
 *   yield* Effect.provide(publish, Plant.pipe(Layer.provide(ScriptedBroker.layerMemory())))
 * }).pipe(Effect.provide(Transport.layerForbidden))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerForbidden: Layer.Layer<never> = Layer.succeed(Transport, {
  open: ({ address }) =>
    Effect.fail(
      new MqttError({
        reason: new ConnectionRefused({
          server: ServerAddress.format(address),
          code: "ERR_NETWORK_FORBIDDEN",
          reasonString: "Transport.layerForbidden forbids the network here: provide the Transport of a test broker"
        })
      })
    )
})
