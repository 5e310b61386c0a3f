/**
 * The network of Node: TCP, TLS, Unix sockets and WebSockets.
 */
import * as Effect from "effect/Effect"
import type { Transport } from "../../Transport.ts"
import { openSocket } from "./socket.ts"
import { openWebSocket } from "./webSocket.ts"

export { canPauseStreams, mqttJsOptions, mqttJsRefusal, watchStream } from "./mqttJs.ts"

/**
 * The transport that sessions use on Node unless another one is provided.
 */
export const defaultTransport: Transport = {
  open: (request, handlers) => {
    const { protocol } = request.address
    return Effect.suspend(() =>
      protocol === "ws" || protocol === "wss" ? openWebSocket(request, handlers) : openSocket(request, handlers)
    )
  }
}

/**
 * Runs a task in the next turn of the event loop, after the I/O callbacks of this one.
 */
export const scheduleTurn = (task: () => void): void => {
  setImmediate(task)
}
