/**
 * The transport of Node: TCP, TLS, Unix sockets and WebSockets.
 */
import * as Effect from "effect/Effect"
import type { Transport } from "../../Transport.ts"
import { openSocket } from "./socket.ts"

export { canPauseStreams, mqttJsOptions, mqttJsRefusal, watchStream } from "./mqttJs.ts"

// Loaded at the first WebSocket: `ws` and Node's HTTP would be a quarter of what an import of the package loads.
const webSockets = Effect.promise(() => import("./webSocket.ts"))

/**
 * The transport that sessions use on Node unless another one is provided.
 */
export const defaultTransport: Transport = {
  open: (request, handlers) => {
    const { protocol } = request.address
    return protocol === "ws" || protocol === "wss"
      ? Effect.flatMap(webSockets, ({ openWebSocket }) => openWebSocket(request, handlers))
      : Effect.suspend(() => openSocket(request, handlers))
  }
}

/**
 * Runs a task in the next turn of the event loop, after the I/O callbacks of this one.
 */
export const scheduleTurn = (task: () => void): void => {
  setImmediate(task)
}
