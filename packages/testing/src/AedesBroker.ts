/**
 * aedes as a broker in the same process, for demonstrations and functional tests. Needs Node.
 *
 * It has the separate subpath `@effect-mqttx/testing/AedesBroker`, because it needs the package `aedes`, which is an
 * optional peer.
 *
 * It is aedes 2.0.0-beta.1, because the stable 1.2 refuses MQTT 5. Measured on it: it duplicates QoS 2 messages and
 * reorders when connections are cut, ignores the client's Receive Maximum, and sends one copy with only the last
 * identifier for overlapping subscriptions. Use `ScriptedBroker` and a real mosquitto for tests that have to prove a
 * behaviour.
 */
import type { Aedes, AedesOptions, Client } from "aedes"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"
import { createWebSocketStream, WebSocketServer } from "ws"
import type { BrokerEndpoints } from "./BrokerEndpoints.ts"
import { type Checks, flag, integer, mistakeOf, orDie, record } from "./internal/checks.ts"
import { listenFree } from "./internal/node/freePorts.ts"
import { BrokerUnavailable } from "./RealServer.ts"

/**
 * Options of aedes, all optional.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface AedesBrokerOptions {
  /** The TCP port; default 0, a free one. */
  readonly port?: number
  /** Listen for WebSockets too, on a port of their own (path `/mqtt`). Default false. */
  readonly webSocket?: boolean
  /** Options that are passed to aedes unchanged. */
  readonly aedes?: AedesOptions
}

/**
 * A running aedes.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Service extends BrokerEndpoints {
  /** The client identifiers of the connected clients. */
  readonly clients: ReadonlyArray<string>
  /** Ends a client's connection without DISCONNECT; false when the client has none. */
  readonly cut: (clientId: string) => Effect.Effect<boolean>
  /** aedes itself. */
  readonly native: Aedes
}

/**
 * aedes as a service.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class AedesBroker extends Context.Service<AedesBroker, Service>()("@effect-mqttx/testing/AedesBroker") {}

const host = "127.0.0.1"

const listening = (server: Net.Server, port: number): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    port === 0 ? listenFree(server, host) : Effect.callback<number>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen({ port, host }, () => resume(Effect.succeed(port)))
    }),
    () => Effect.sync(() => server.close())
  )

// Imported on demand, so that a program without aedes need not install it.
const load = Effect.tryPromise({
  try: () => import("aedes"),
  catch: (cause) =>
    new BrokerUnavailable({
      broker: "aedes",
      detail: `its package cannot be loaded; npm install --save-dev aedes@2.0.0-beta.1 installs it: ${String(cause)}`
    })
})

/**
 * Starts aedes on loopback ports. The end of its scope closes all connections. Fails with `BrokerUnavailable` when the
 * package `aedes` is not installed. Dies with an `MqttError` for invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: AedesBrokerOptions
): Effect.Effect<Service, BrokerUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf("AedesBroker.make", options, checks))
    const { Aedes } = yield* load
    const clients = new Map<string, Client>()
    const aedes = yield* Effect.acquireRelease(
      Effect.promise(() => Aedes.createBroker(options?.aedes)),
      (running) => Effect.callback<void>((resume) => running.close(() => resume(Effect.void)))
    )
    // Not "clientReady", which comes after CONNACK: a client that has received CONNACK must be in the list.
    aedes.on("client", (client) => {
      clients.set(client.id, client)
    })
    aedes.on("clientDisconnect", (client) => {
      if (clients.get(client.id) === client) clients.delete(client.id)
    })
    // An error event without a listener would end the process. Broken connections concern their clients only.
    aedes.on("clientError", () => {})
    aedes.on("connectionError", () => {})

    const port = yield* listening(
      Net.createServer({ noDelay: true }, (socket) => void aedes.handle(socket)),
      options?.port ?? 0
    )
    let wsPort: number | undefined
    if (options?.webSocket === true) {
      const http = Http.createServer((_, response) => {
        response.writeHead(426).end()
      })
      const server = new WebSocketServer({ server: http, handleProtocols: () => "mqtt" })
      // It repeats the errors of the HTTP server, which are handled there.
      server.on("error", () => {})
      server.on("connection", (socket, request) => {
        const stream = createWebSocketStream(socket)
        stream.on("error", () => {})
        aedes.handle(stream, request)
      })
      wsPort = yield* listening(http, 0)
    }
    const url = `mqtt://${host}:${port}`
    return {
      url,
      urls: { tcp: url, ...(wsPort !== undefined && { ws: `ws://${host}:${wsPort}/mqtt` }) },
      ports: { tcp: port, ...(wsPort !== undefined && { ws: wsPort }) },
      get clients() {
        return [...clients.keys()]
      },
      cut: (clientId) =>
        Effect.sync(() => {
          const client = clients.get(clientId)
          client?.conn.destroy()
          return client !== undefined
        }),
      native: aedes
    }
  })

const checks: Checks<AedesBrokerOptions> = { port: integer(0, 65_535), webSocket: flag, aedes: record }

/**
 * aedes on loopback ports, see `make`.
 *
 * **Example** (Publishing to aedes in this process)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
 * import { Effect } from "effect"
 *
 * export const publish = Effect.gen(function*() {
 *   const { url } = yield* AedesBroker.AedesBroker
 *   const session = yield* MqttSession.make({ name: "plant", servers: [url] })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.scoped, Effect.provide(AedesBroker.layer()))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: AedesBrokerOptions): Layer.Layer<AedesBroker, BrokerUnavailable> =>
  Layer.effect(AedesBroker, make(options))
