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
import { type CertificateWatch, watchCertificate } from "./clientCertificate.ts"
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
    stream: streamOf
  })

const destroy = (socket: Net.Socket): unknown => socket.destroy()

/** The property of a socket with its stream. */
const streamKey: unique symbol = Symbol("stream")

interface Streaming extends Net.Socket {
  [streamKey]: SocketStream
}

const streamOf = (socket: Net.Socket): SocketStream => (socket as Streaming)[streamKey]

// The listeners are added before the first event can occur: an 'error' event without a listener is an uncaught
// exception. They stay for the socket's whole life. All sockets share them, because a program may have thousands of
// idle sockets, and none is added by `once`, which would keep more, but for those of the opening.
const connect = (
  request: TransportRequest,
  way: Way,
  handlers: ByteStreamHandlers,
  opened: Deferred.Deferred<void, MqttError>
): Net.Socket => {
  const socket = makeSocket(request, way) as Streaming
  const stream = new SocketStream(socket, handlers, {
    server: ServerAddress.format(request.address),
    isSecure: ServerAddress.isSecure(request.address),
    isReached: typeof way !== "string",
    opened
  })
  socket[streamKey] = stream
  socket.on("error", onError)
  socket.once("connect", onConnect)
  socket.on("end", onEnd)
  socket.on("close", onClose)
  socket.on("drain", onDrain)
  if (socket === way) stream.ready()
  else socket.once(ServerAddress.isSecure(request.address) ? "secureConnect" : "connect", onReady)
  return socket
}

function onError(this: Net.Socket, error: Error): void {
  streamOf(this).failed(error)
}

function onConnect(this: Net.Socket): void {
  streamOf(this).reached()
}

function onReady(this: Net.Socket): void {
  streamOf(this).ready()
}

function onData(this: Net.Socket, bytes: Uint8Array): void {
  streamOf(this).handlers.onData(bytes)
}

function onEnd(this: Net.Socket): void {
  streamOf(this).peerEnded()
}

function onClose(this: Net.Socket): void {
  streamOf(this).closed()
}

function onDrain(this: Net.Socket): void {
  streamOf(this).drained()
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

/** What a socket needs until it is open. */
interface Opening {
  readonly server: string
  readonly isSecure: boolean
  /** The server has accepted the network connection. */
  isReached: boolean
  readonly opened: Deferred.Deferred<void, MqttError>
}

/** A class to save memory, because a program may have thousands of idle sockets. */
class SocketStream implements ByteStream {
  readonly handlers: ByteStreamHandlers
  readonly #socket: Net.Socket
  readonly #cork: TurnCork
  readonly #certificate: CertificateWatch | undefined
  /** Undefined: the socket is open, or was. */
  #opening: Opening | undefined
  #failure: Error | undefined
  #congested = false
  #over = false

  constructor(socket: Net.Socket, handlers: ByteStreamHandlers, opening: Opening) {
    this.#socket = socket
    this.handlers = handlers
    this.#opening = opening
    this.#cork = new TurnCork(socket)
    this.#certificate = socket instanceof Tls.TLSSocket ? watchCertificate(socket) : undefined
  }

  failed(error: Error): void {
    this.#failure ??= error
  }

  reached(): void {
    if (this.#opening !== undefined) this.#opening.isReached = true
  }

  ready(): void {
    const opening = this.#opening
    // Destroyed: by the check of pinned keys.
    if (opening === undefined || this.#socket.destroyed) return
    this.#opening = undefined
    this.#socket.on("data", onData)
    if (this.#certificate !== undefined) this.#socket.once("data", this.#certificate.accepted)
    Deferred.doneUnsafe(opening.opened, Exit.void)
  }

  /** A peer that has ended its half sends nothing more. Unsent writes would keep the socket open. */
  peerEnded(): void {
    if (this.#opening === undefined) this.#end()
  }

  closed(): void {
    const opening = this.#opening
    if (opening === undefined) this.#end()
    else Deferred.doneUnsafe(opening.opened, Exit.fail(new MqttError({ reason: this.#refusal(opening) })))
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.handlers.onClose(this.#certificate === undefined ? this.#failure : this.#certificate.explain(this.#failure))
  }

  #refusal({ isReached, isSecure, server }: Opening): MqttErrorReason {
    const failure = this.#failure
    // A peer that breaks off the handshake leaves a plain network error, or none.
    return isSecure && isReached && !isTlsCode(errorCodeOf(failure) ?? "")
      ? new TlsFailure({
        server,
        cause: cleanCause(failure) ?? new Error("the server closed the connection during the handshake")
      })
      : fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server)
  }

  /** Node emits the event when everything is sent, after a write beyond its own mark. */
  drained(): void {
    if (this.#congested && this.#socket.writable) {
      this.#congested = false
      this.handlers.onDrain()
    }
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
