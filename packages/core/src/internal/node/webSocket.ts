/**
 * WebSockets on Node as byte streams (MQTT 6): one subprotocol, binary frames, one frame a write.
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Tls from "node:tls"
import { WebSocket } from "ws"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ByteStream, ByteStreamHandlers, TransportRequest } from "../../Transport.ts"
import { fromHttpStatus, fromNetworkError } from "../classification.ts"
import { type CertificateWatch, watchCertificate } from "./clientCertificate.ts"
import { openStream } from "./openStream.ts"
import { tlsConnectionOptions } from "./tlsOptions.ts"

const highWaterMark = 262_144

// The largest packet that MQTT knows. A message may hold many packets, so the session's own limit cannot stand here; the decoder
// keeps that.
const maxPayload = 268_435_460

// RFC 6455, 7.4.1: normal closure, and data of a kind that the endpoint does not take.
const normalClosure = 1000
const unsupportedData = 1003

/**
 * Connects, with the TLS handshake if there is one, and the upgrade.
 */
export const openWebSocket = (
  request: TransportRequest,
  handlers: ByteStreamHandlers
): Effect.Effect<ByteStream, MqttError, Scope.Scope> =>
  openStream(request.address, {
    connect: (opened) => connect(request, handlers, opened),
    destroy: (socket) => socket.terminate(),
    stream: (socket) => byteStream(socket, handlers)
  })

// The listeners stand before the first event can come: an 'error' event without one is an uncaught exception. They stay for
// the socket's whole life.
const connect = (
  request: TransportRequest,
  handlers: ByteStreamHandlers,
  opened: Deferred.Deferred<void, MqttError>
): WebSocket => {
  let certificate: CertificateWatch | undefined
  const socket = makeSocket(request, (tlsSocket) => {
    certificate = watchCertificate(tlsSocket)
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
      handlers.onClose(cause)
    } else {
      const failure = certificate === undefined ? cause : certificate.explain(cause)
      refuse(fromNetworkError(failure ?? new Error("the server closed the connection"), "connect", server))
    }
  }
  socket.on("error", (error: Error) => {
    failure ??= error
  })
  socket.on("unexpected-response", (upgrade, response) => {
    over = true
    upgrade.destroy()
    refuse(fromHttpStatus(response.statusCode ?? 0, server))
  })
  socket.on("open", () => {
    ready = true
    Deferred.doneUnsafe(opened, Exit.void)
  })
  socket.on("message", (data: Buffer, isBinary) => {
    if (over) {
      return
    }
    if (isBinary) {
      handlers.onData(data)
    } else {
      // Only binary frames carry MQTT [MQTT5-6.0.0-1]. The close frame is on its way before the socket goes.
      socket.close(unsupportedData)
      setImmediate(() => socket.terminate())
      close(new Error("the server sent a WebSocket text frame"))
    }
  })
  socket.on("close", () => close(failure))
  return socket
}

const makeSocket = (request: TransportRequest, onTlsSocket: (socket: Tls.TLSSocket) => void): WebSocket => {
  const { address, tls, webSocket } = request
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(webSocket?.headers ?? {})) {
    headers[name] = Redacted.value(value)
  }
  return new WebSocket(ServerAddress.webSocketUrl(address), [webSocket?.subprotocol ?? "mqtt"], {
    // MQTT payloads are small or compressed already, and each deflate context costs 300 KB.
    perMessageDeflate: false,
    maxPayload,
    headers,
    finishRequest: (upgrade) => {
      upgrade.once("socket", (socket) => {
        if (socket instanceof Tls.TLSSocket) onTlsSocket(socket)
      })
      upgrade.end()
    },
    ...(address.protocol === "wss" ? tlsConnectionOptions(tls, address.host) : undefined)
  })
}

const byteStream = (socket: WebSocket, handlers: ByteStreamHandlers): ByteStream => {
  let congested = false
  const onSent = (): void => {
    if (congested && socket.bufferedAmount === 0 && socket.readyState === WebSocket.OPEN) {
      congested = false
      handlers.onDrain()
    }
  }
  return {
    write: (bytes) => {
      if (socket.readyState !== WebSocket.OPEN) {
        return true
      }
      socket.send(bytes, onSent)
      congested ||= socket.bufferedAmount > highWaterMark
      return !congested
    },
    pendingBytes: () => socket.bufferedAmount,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.close(normalClosure),
    destroy: () => socket.terminate()
  }
}
