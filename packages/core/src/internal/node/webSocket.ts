/**
 * WebSockets on Node as byte streams (MQTT 6): one subprotocol, binary frames, one frame for each write.
 *
 * `ws` frames and unmasks. It emits a message only when the whole message has arrived, so this module limits the size
 * of a message. `ws` waits up to 30 seconds for the other side to finish a closing handshake; this module does not
 * wait.
 */
import * as Deferred from "effect/Deferred"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { WebSocket } from "ws"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type {
  ByteStream,
  ByteStreamHandlers,
  StreamCertificate,
  TransportRequest,
  WriteResult
} from "../../Transport.ts"
import { fromHttpStatus, fromNetworkError } from "../classification.ts"
import { openStream } from "../openStream.ts"
import { certificatesOf } from "./certificates.ts"
import { type CertificateWatch, watchCertificate } from "./clientCertificate.ts"
import { makeSocket, type OpenWay, type Way } from "./socket.ts"
import { TurnCork } from "./turnCork.ts"

const highWaterMark = 262_144

// A server, or a proxy in front of it, may join further bytes to one message with a packet of the largest size.
const messageSlack = 65_536

// The largest number of bytes until the first message is complete. That message holds CONNACK, which is small.
const maximumFirstBytes = 131_072

// The number of network chunks in which a message may arrive: each chunk costs `ws` about 200 bytes, however short it
// is.
const minimumChunks = 1024
const bytesPerChunk = 512

// RFC 6455, 7.4.1: normal closure, and data of a kind that the endpoint does not accept.
const normalClosure = 1000
const unsupportedData = 1003

/**
 * Connects, with the TLS handshake if TLS is used, and the upgrade.
 */
export const openWebSocket: OpenWay = (request, way, handlers) =>
  openStream(request.address, {
    connect: (opened) => connect(request, way, handlers, opened),
    destroy: (socket) => socket.terminate(),
    stream: (socket) => new WebSocketStream(socket, handlers)
  })

/**
 * Reports the start of a closing handshake at once. `ws` answers a close frame of the server by its own `close`, and
 * has no event for it.
 */
class Socket extends WebSocket {
  onClosing: (() => void) | undefined
  /** The cork of the underlying socket, once there is one. */
  cork: TurnCork | undefined
  /** The underlying socket, once there is one. */
  network: Net.Socket | undefined

  override close(code?: number, data?: string | Buffer): void {
    const isOpen = this.readyState === WebSocket.OPEN
    super.close(code, data)
    if (isOpen) {
      this.onClosing?.()
    }
  }
}

// The listeners are added before the first event can occur: an 'error' event without a listener is an uncaught
// exception. They stay for the socket's whole life.
const connect = (
  request: TransportRequest,
  way: Way,
  handlers: ByteStreamHandlers,
  opened: Deferred.Deferred<void, MqttError>
): Socket => {
  const maximumMessage = request.maximumPacketSize + messageSlack
  let certificate: CertificateWatch | undefined
  const socket = makeWebSocket(request, maximumMessage, () => {
    const network = makeSocket(request, way)
    if (network instanceof Tls.TLSSocket) certificate = watchCertificate(network)
    return network
  })
  const server = ServerAddress.format(request.address)
  let failure: Error | undefined
  let ready = false
  let over = false
  const refuse = (reason: MqttErrorReason): void => {
    Deferred.doneUnsafe(opened, Exit.fail(new MqttError({ reason })))
  }
  const close = (cause: Error | undefined): void => {
    if (over) {
      return
    }
    over = true
    if (ready) {
      // Sends the close frame before the socket is destroyed.
      socket.cork?.release()
      setImmediate(() => socket.terminate())
      handlers.onClose(cause)
    } else {
      const failure = certificate === undefined ? cause : certificate.explain(cause)
      refuse(fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server))
    }
  }
  socket.on("error", (error: Error & { readonly code?: unknown }) => {
    failure ??= error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"
      ? new Error(`the server sent a WebSocket message of more than ${maximumMessage} bytes`, { cause: error })
      : error
    if (ready) {
      close(failure)
    }
  })
  socket.on("unexpected-response", (upgrade, response) => {
    over = true
    upgrade.destroy()
    refuse(fromHttpStatus(response.statusCode ?? 0, server))
  })
  socket.on("upgrade", (response) => {
    socket.cork = new TurnCork(response.socket)
    socket.network = response.socket
    boundFirstMessage(
      socket,
      response.socket,
      () => close(new Error(`the server sent ${maximumFirstBytes} bytes and no WebSocket message`))
    )
    response.socket.on("error", (error) => {
      failure ??= error
    })
    response.socket.once("end", () => {
      if (ready) {
        close(failure)
      }
    })
  })
  socket.on("open", () => {
    ready = true
    socket.onClosing = () => {
      // An error of the frames follows this call, and says more.
      process.nextTick(() => close(failure))
    }
    Deferred.doneUnsafe(opened, Exit.void)
  })
  socket.on("message", (data: Buffer, isBinary) => {
    if (over) {
      return
    }
    if (isBinary) {
      handlers.onData(data)
    } else {
      // Only binary frames carry MQTT [MQTT5-6.0.0-1].
      failure ??= new Error("the server sent a WebSocket text frame")
      socket.close(unsupportedData)
    }
  })
  socket.on("close", () => close(failure))
  return socket
}

const makeWebSocket = (
  { address, webSocket }: TransportRequest,
  maximumMessage: number,
  createConnection: () => Net.Socket
): Socket => {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(webSocket?.headers ?? {})) {
    headers[name] = Redacted.value(value)
  }
  return new Socket(ServerAddress.webSocketUrl(address), [webSocket?.subprotocol ?? "mqtt"], {
    // MQTT payloads are small or already compressed, and each deflate context costs 300 KB.
    perMessageDeflate: false,
    maxPayload: maximumMessage,
    maxBufferedChunks: minimumChunks + Math.ceil(maximumMessage / bytesPerChunk),
    headers,
    createConnection
  })
}

/** Ends a connection that sends too much before its first message is complete. */
const boundFirstMessage = (socket: WebSocket, network: Net.Socket, onExceeded: () => void): void => {
  let bytes = 0
  const count = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > maximumFirstBytes) {
      stop()
      onExceeded()
      network.destroy()
    }
  }
  const stop = (): void => {
    network.off("data", count)
  }
  network.on("data", count)
  socket.once("message", stop)
}

/** A class to save memory, because a program may have thousands of idle sockets. */
class WebSocketStream implements ByteStream {
  readonly #socket: Socket
  readonly #onSent: () => void
  #congested = false

  constructor(socket: Socket, handlers: ByteStreamHandlers) {
    this.#socket = socket
    this.#onSent = () => {
      if (this.#congested && socket.bufferedAmount === 0 && socket.readyState === WebSocket.OPEN) {
        this.#congested = false
        handlers.onDrain()
      }
    }
  }

  write(bytes: Uint8Array): WriteResult {
    const socket = this.#socket
    if (socket.readyState !== WebSocket.OPEN) {
      return "closed"
    }
    socket.cork?.hold()
    socket.send(bytes, this.#onSent)
    this.#congested ||= socket.bufferedAmount > highWaterMark
    return this.#congested ? "congested" : "taken"
  }

  pendingBytes(): number {
    return this.#socket.bufferedAmount
  }

  certificates(): ReadonlyArray<StreamCertificate> {
    return certificatesOf(this.#socket.network)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.onClosing = undefined
    this.#socket.close(normalClosure)
  }

  destroy(): void {
    // QoS 0 messages of this turn are already reported as sent.
    this.#socket.cork?.release()
    this.#socket.terminate()
  }
}
