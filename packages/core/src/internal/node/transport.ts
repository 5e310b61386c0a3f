/**
 * The transport of Node: TCP, TLS, Unix sockets and WebSockets.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MqttError } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { Transport, TransportRequest } from "../../Transport.ts"
import { fromNetworkError } from "../classification.ts"
import { addressesOf, race } from "./dial.ts"
import { openSocket, type Way } from "./socket.ts"

export { canPauseStreams, mqttJsOptions, mqttJsRefusal, watchStream } from "./mqttJs.ts"

// Loaded at the first WebSocket: `ws` and Node's HTTP would be a quarter of what an import of the package loads.
const webSockets = Effect.promise(() => import("./webSocket.ts"))

// Loaded at the first connection with a proxy: most programs have none.
const tunnels = Effect.promise(() => import("./tunnel.ts"))

/**
 * The transport that sessions use on Node unless another one is provided.
 */
export const defaultTransport: Transport = {
  open: (request, handlers) => {
    const { protocol } = request.address
    return Effect.flatMap(wayTo(request), (way) =>
      protocol === "ws" || protocol === "wss"
        ? Effect.flatMap(webSockets, ({ openWebSocket }) => openWebSocket(request, way, handlers))
        : openSocket(request, way, handlers))
  }
}

const wayTo = (request: TransportRequest): Effect.Effect<Way, MqttError, Scope.Scope> => {
  const { address, proxy } = request
  if (address.protocol === "unix") return Effect.succeed("")
  if (proxy === undefined) return directWay(address)
  return Effect.flatMap(
    tunnels,
    ({ openTunnel }) =>
      Effect.flatMap(
        openTunnel(address, proxy),
        (tunnel) => tunnel === undefined ? directWay(address) : Effect.succeed(tunnel)
      )
  )
}

/** An only address is left to the socket, which is cheaper than to hand a connected one over. */
const directWay = (address: ServerAddress.ServerAddress): Effect.Effect<Way, MqttError, Scope.Scope> =>
  addressesOf(address.host).pipe(
    Effect.flatMap((addresses): Effect.Effect<Way, Error, Scope.Scope> =>
      addresses.length === 1 ? Effect.succeed(addresses[0]!) : race(addresses, address.port)
    ),
    Effect.mapError((error) =>
      new MqttError({ reason: fromNetworkError(error, "connect", ServerAddress.format(address)) })
    )
  )

/**
 * Runs a task in the next turn of the event loop, after the I/O callbacks of this one.
 */
export const scheduleTurn = <A>(task: (argument: A) => void, argument: A): void => {
  setImmediate(task, argument)
}
