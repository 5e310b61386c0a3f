/**
 * Loopback listeners for the scripted broker: TCP and WebSocket.
 */
import type { ByteStream, ByteStreamHandlers } from "@effect-mqttx/core/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import type { Accept, Listening } from "../scripted/listening.ts"
import { listenFree } from "./freePorts.ts"

export const listen = (
  accept: Accept,
  options: { readonly webSocket: boolean }
): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.gen(function*() {
    const tcp = yield* listener(() => Net.createServer({ noDelay: true }, (socket) => acceptSocket(accept, socket)))
    const ws = options.webSocket ? yield* listener(() => webSocketServer(accept)) : undefined
    const all = ws === undefined ? [tcp] : [tcp, ws]
    const host = "127.0.0.1"
    return {
      endpoints: {
        url: `mqtt://${host}:${tcp.port()}`,
        urls: {
          tcp: `mqtt://${host}:${tcp.port()}`,
          ...(ws !== undefined && { ws: `ws://${host}:${ws.port()}/mqtt` })
        },
        ports: { tcp: tcp.port(), ...(ws !== undefined && { ws: ws.port() }) }
      },
      suspend: Effect.forEach(all, (each) => each.close, { discard: true }),
      resume: Effect.forEach(all, (each) => each.open, { discard: true })
    }
  })

interface Listener {
  readonly port: () => number
  readonly open: Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

/** A reopened listener has the same port. */
const listener = (create: () => Net.Server): Effect.Effect<Listener, never, Scope.Scope> => {
  let server: Net.Server | undefined
  let port = 0
  const open = Effect.callback<void>((resume) => {
    if (server !== undefined) return resume(Effect.void)
    const created = create()
    created.once("error", (error) => resume(Effect.die(error)))
    created.listen({ port, host: "127.0.0.1" }, () => {
      server = created
      resume(Effect.void)
    })
  })
  const first = Effect.suspend(() => {
    server = create()
    return Effect.map(listenFree(server), (free) => {
      port = free
    })
  })
  const close = Effect.callback<void>((resume) => {
    if (server === undefined) return resume(Effect.void)
    // The close event comes when its connections have ended too. It is not awaited, because the port is free at once.
    server.close()
    server = undefined
    resume(Effect.void)
  })
  return Effect.acquireRelease(Effect.as(first, { port: () => port, open, close }), () => close)
}

const acceptSocket = (accept: Accept, socket: Net.Socket): void => {
  const handlers = accept(socketStream(socket), "tcp")
  if (handlers === undefined) {
    socket.destroy()
    return
  }
  socket.on("data", handlers.onData)
  socket.on("drain", handlers.onDrain)
  let cause: unknown
  socket.on("error", (error) => {
    cause = error
  })
  socket.on("close", () => handlers.onClose(cause))
}

const socketStream = (socket: Net.Socket): ByteStream => ({
  write: (bytes) => socket.destroyed || socket.writableEnded ? "closed" : socket.write(bytes) ? "taken" : "congested",
  pendingBytes: () => socket.writableLength,
  pause: () => {
    socket.pause()
  },
  resume: () => {
    socket.resume()
  },
  // Does not wait for the peer's end: a peer that never closes must not delay the broker.
  end: () => socket.destroySoon(),
  destroy: () => {
    socket.resetAndDestroy()
  }
})

const webSocketServer = (accept: Accept): Net.Server => {
  const http = Http.createServer((_, response) => {
    response.writeHead(426).end()
  })
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    handleProtocols: (protocols) => protocols.has("mqtt") ? "mqtt" : false
  })
  // It repeats the errors of the HTTP server, which are handled there.
  server.on("error", () => {})
  server.on("connection", (webSocket, request) => acceptWebSocket(accept, webSocket, request.socket))
  return http
}

const acceptWebSocket = (accept: Accept, webSocket: WebSocket, socket: Net.Socket): void => {
  let handlers: ByteStreamHandlers | undefined
  const stream: ByteStream = {
    write: (bytes) => {
      if (webSocket.readyState !== webSocket.OPEN) return "closed"
      webSocket.send(bytes, { binary: true })
      return webSocket.bufferedAmount < 65_536 ? "taken" : "congested"
    },
    pendingBytes: () => webSocket.bufferedAmount,
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    end: () => {
      webSocket.close()
      socket.destroySoon()
    },
    destroy: () => {
      socket.resetAndDestroy()
    }
  }
  handlers = accept(stream, "ws")
  if (handlers === undefined) {
    webSocket.terminate()
    return
  }
  const { onClose, onData, onDrain } = handlers
  webSocket.on("message", (data, isBinary) => {
    // MQTT 6.0.0-1: a frame that is not binary closes the connection.
    if (!isBinary) return webSocket.terminate()
    for (const chunk of Array.isArray(data) ? data : [data]) {
      onData(chunk instanceof ArrayBuffer ? new Uint8Array(chunk) : chunk)
    }
  })
  socket.on("drain", onDrain)
  let cause: unknown
  webSocket.on("error", (error) => {
    cause = error
  })
  webSocket.on("close", () => onClose(cause))
}
