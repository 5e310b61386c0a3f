/**
 * TCP, TLS and Unix sockets as byte streams.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { MqttError, type MqttErrorReason, TlsFailure } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers, TransportRequest } from "../../Transport.ts"
import { fromNetworkError } from "../classification.ts"
import { errorCodeOf, isTlsCode } from "../networkErrors.ts"
import { tlsConnectionOptions } from "./tlsOptions.ts"

// More than this many waiting bytes count as congestion. Node's own mark of 16 KiB is less than one batch of packets.
const highWaterMark = 262_144

/**
 * Connects, with the TLS handshake if there is one.
 */
export const openSocket = Effect.fnUntraced(function*(
  request: TransportRequest,
  handlers: ByteStreamHandlers
): Effect.fn.Return<ByteStream, MqttError, Scope.Scope> {
  const opened = Deferred.makeUnsafe<void, MqttError>()
  const socket = yield* Effect.acquireRelease(
    // Certificates and keys that OpenSSL cannot read make this throw.
    Effect.try({
      try: () => connect(request, handlers, opened),
      catch: (cause) =>
        new MqttError({ reason: fromNetworkError(cause, "connect", ServerAddress.format(request.address)) })
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  yield* Effect.onInterrupt(Deferred.await(opened), () => Effect.sync(() => socket.destroy()))
  return byteStream(socket, handlers)
})

// The listeners stand before the first event can come: an 'error' event without one is an uncaught exception. They stay for
// the socket's whole life.
const connect = (
  request: TransportRequest,
  handlers: ByteStreamHandlers,
  opened: Deferred.Deferred<void, MqttError>
): Net.Socket => {
  const socket = makeSocket(request)
  const secure = ServerAddress.isSecure(request.address)
  const server = ServerAddress.format(request.address)
  let failure: Error | undefined
  let reached = false
  let ready = false
  const refusal = (): MqttErrorReason =>
    // A peer that breaks the handshake off leaves a plain network error behind, or none.
    secure && reached && !isTlsCode(errorCodeOf(failure) ?? "")
      ? new TlsFailure({ server, cause: failure ?? new Error("the server closed the connection during the handshake") })
      : fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server)
  socket.on("error", (error: Error) => {
    failure ??= error
  })
  socket.once("connect", () => {
    reached = true
  })
  socket.once(secure ? "secureConnect" : "connect", () => {
    ready = true
    socket.on("data", (bytes: Uint8Array) => handlers.onData(bytes))
    Deferred.doneUnsafe(opened, Exit.void)
  })
  socket.once("close", () => {
    if (ready) {
      handlers.onClose(failure)
    } else {
      Deferred.doneUnsafe(opened, Exit.fail(new MqttError({ reason: refusal() })))
    }
  })
  return socket
}

const makeSocket = (request: TransportRequest): Net.Socket => {
  const { host, path, port, protocol } = request.address
  switch (protocol) {
    case "unix":
      return Net.connect({ path })
    case "tls":
      return Tls.connect({ host, port, ...tlsConnectionOptions(request.tls, host) }).setNoDelay(true)
    default:
      return Net.connect({ host, port, noDelay: true })
  }
}

const byteStream = (socket: Net.Socket, handlers: ByteStreamHandlers): ByteStream => {
  let corked = false
  let congested = false
  const uncork = (): void => {
    corked = false
    socket.uncork()
  }
  // Node's event comes after each write beyond its own mark, when everything is sent.
  socket.on("drain", () => {
    if (congested) {
      congested = false
      handlers.onDrain()
    }
  })
  return {
    write: (bytes) => {
      if (!socket.writable) {
        return true
      }
      // Several chunks of one turn go to the operating system together.
      if (!corked) {
        corked = true
        socket.cork()
        process.nextTick(uncork)
      }
      socket.write(bytes)
      congested ||= socket.writableLength > highWaterMark
      return !congested
    },
    pendingBytes: () => socket.writableLength,
    pause: () => {
      socket.pause()
    },
    resume: () => {
      socket.resume()
    },
    end: () => {
      socket.end()
    },
    destroy: () => {
      socket.destroy()
    }
  }
}
