/**
 * TCP, TLS and Unix sockets as byte streams. Called by the transport, which knows the way to the server.
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { MqttError, type MqttErrorReason, TlsFailure } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type {
  ByteStream,
  ByteStreamHandlers,
  StreamCertificate,
  TransportRequest,
  WriteResult
} from "../../Transport.ts"
import { fromNetworkError } from "../classification.ts"
import { causeText } from "../errors/shared.ts"
import { errorCodeOf, isTlsCode } from "../networkErrors.ts"
import { openStream } from "../openStream.ts"
import { cleanCause } from "../peerText.ts"
import { certificatesOf } from "./certificates.ts"
import { watchCertificate } from "./clientCertificate.ts"
import { checkPins } from "./pins.ts"
import { tlsConnectionOptions } from "./tlsOptions.ts"
import { TurnCork } from "./turnCork.ts"

// More waiting bytes than this count as congestion. Node's default of 16 KiB is less than one batch of packets.
const highWaterMark = 262_144

/** A turn that has written so many bytes sends them at once. */
const promptBytes = 65_536

/**
 * The way to a server: the host to connect to, which is its address where its name was resolved, or a socket that is
 * connected already, after a race or through a proxy.
 */
export type Way = string | Net.Socket

/** Opens a byte stream on a way to a server. */
export type OpenWay = (
  request: TransportRequest,
  way: Way,
  handlers: ByteStreamHandlers
) => Effect.Effect<ByteStream, MqttError, Scope.Scope>

/**
 * Connects, with the TLS handshake if TLS is used.
 */
export const openSocket: OpenWay = (request, way, handlers) =>
  openStream(request.address, {
    connect: (opened) => connect(request, way, handlers, opened),
    destroy,
    stream: (socket) => new SocketStream(socket, handlers)
  })

const destroy = (socket: Net.Socket): unknown => socket.destroy()

// The listeners are added before the first event can occur: an 'error' event without a listener is an uncaught
// exception. They stay for the socket's whole life.
const connect = (
  request: TransportRequest,
  way: Way,
  handlers: ByteStreamHandlers,
  opened: Deferred.Deferred<void, MqttError>
): Net.Socket => {
  const socket = makeSocket(request, way)
  const certificate = socket instanceof Tls.TLSSocket ? watchCertificate(socket) : undefined
  const secure = ServerAddress.isSecure(request.address)
  let failure: Error | undefined
  let reached = typeof way !== "string"
  let ready = false
  let over = false
  const refusal = (): MqttErrorReason => {
    const server = ServerAddress.format(request.address)
    // A peer that breaks off the handshake leaves a plain network error, or none.
    return secure && reached && !isTlsCode(errorCodeOf(failure) ?? "")
      ? new TlsFailure({
        server,
        cause: cleanCause(failure) ?? new Error("the server closed the connection during the handshake")
      })
      : fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server)
  }
  socket.on("error", (error: Error) => {
    failure ??= error
  })
  socket.once("connect", () => {
    reached = true
  })
  const onReady = (): void => {
    // By the check of pinned keys.
    if (socket.destroyed) return
    ready = true
    socket.on("data", (bytes: Uint8Array) => handlers.onData(bytes))
    if (certificate !== undefined) socket.once("data", certificate.accepted)
    Deferred.doneUnsafe(opened, Exit.void)
  }
  const end = (): void => {
    if (!over) {
      over = true
      handlers.onClose(certificate === undefined ? failure : certificate.explain(failure))
    }
  }
  // Not `once`, which would keep more for an event that occurs once anyway.
  socket.on("end", () => {
    // A peer that has ended its half sends nothing more. Unsent writes would keep the socket open.
    if (ready) {
      end()
    }
  })
  socket.on("close", () => {
    if (ready) {
      end()
    } else {
      Deferred.doneUnsafe(opened, Exit.fail(new MqttError({ reason: refusal() })))
    }
  })
  if (socket === way) onReady()
  else socket.once(secure ? "secureConnect" : "connect", onReady)
  return socket
}

/**
 * The socket to the server, with TLS for `mqtts` and `wss`. It is connected, or about to connect.
 */
export const makeSocket = ({ address, tls }: TransportRequest, way: Way): Net.Socket => {
  const { host, path, port, protocol } = address
  if (protocol === "unix") return Net.connect({ path })
  // It has no further event.
  if (typeof way !== "string" && way.destroyed) throw new Error("the connection ended at once")
  if (!ServerAddress.isSecure(address)) {
    return typeof way === "string" ? Net.connect({ host: way, port, noDelay: true }) : way
  }
  const options = tlsConnectionOptions(tls, host)
  let socket: Tls.TLSSocket
  try {
    socket = typeof way === "string"
      ? Tls.connect({ host: way, port, ...options }).setNoDelay(true)
      : Tls.connect({ socket: way, ...options })
  } catch (cause) {
    // OpenSSL gives no code for an archive with another passphrase, and another attempt cannot help.
    throw isTlsCode(errorCodeOf(cause) ?? "")
      ? cause
      : Object.assign(new Error(causeText(cause), { cause }), { code: unusableCode })
  }
  checkPins(socket, tls)
  return socket
}

/** The error code of certificates, keys and archives that cannot be used. */
const unusableCode = "ERR_TLS_UNUSABLE_CREDENTIALS"

/** A class to save memory, because a program may have thousands of idle sockets. */
class SocketStream implements ByteStream {
  readonly #socket: Net.Socket
  readonly #cork: TurnCork
  #congested = false

  constructor(socket: Net.Socket, handlers: ByteStreamHandlers) {
    this.#socket = socket
    this.#cork = new TurnCork(socket)
    // Node emits the event when everything is sent, after a write beyond its own mark.
    socket.on("drain", () => {
      if (this.#congested && socket.writable) {
        this.#congested = false
        handlers.onDrain()
      }
    })
  }

  write(bytes: Uint8Array): WriteResult {
    const socket = this.#socket
    if (!socket.writable) {
      return "closed"
    }
    this.#cork.hold()
    socket.write(bytes)
    // So many bytes need not wait for more: the operating system may take them before they count as congestion.
    if (socket.writableLength >= promptBytes) {
      this.#cork.release()
    }
    this.#congested ||= socket.writableLength > highWaterMark
    return this.#congested ? "congested" : "taken"
  }

  pendingBytes(): number {
    return this.#socket.writableLength
  }

  certificates(): ReadonlyArray<StreamCertificate> {
    return certificatesOf(this.#socket)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    // QoS 0 messages of this turn are already reported as sent.
    this.#cork.release()
    this.#socket.destroy()
  }
}
