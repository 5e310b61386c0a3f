/**
 * The server protocol of Effect's RPC over an MQTT session. Effect's `RpcServer.layer` and `McpServer.layer` stand on
 * it. The module `effect/rpc` is unstable: a minor version of Effect may change the API that is used here.
 *
 * A request that the broker delivers again is not carried out again. Responses wait for the acknowledgement of the
 * client, chunk by chunk, so memory is bounded on both sides. Lost connections of either side do not end calls.
 *
 * **Example** (Serving calls behind a broker)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { MqttRpcServer } from "@effect-mqttx/rpc"
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
 *
 * class Calculator extends RpcGroup.make(
 *   Rpc.make("Add", { payload: { a: Schema.Finite, b: Schema.Finite }, success: Schema.Finite })
 * ) {}
 *
 * export const Live = RpcServer.layer(Calculator, { disableFatalDefects: true }).pipe(
 *   Layer.provide(Calculator.toLayer({ Add: ({ a, b }) => Effect.succeed(a + b) })),
 *   Layer.provide(MqttRpcServer.layer({ prefix: "calculator" })),
 *   Layer.provide(RpcSerialization.layerSchemaBinary()),
 *   Layer.provide(MqttSession.layer({ name: "calculator", servers: ["mqtt://localhost:1883"] }))
 * )
 * ```
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { MqttSession, type Session } from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type { WillInput } from "@effect-mqttx/core/SessionOptions"
import * as TraceContext from "@effect-mqttx/core/TraceContext"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import { RpcSerialization } from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Scope from "effect/Scope"
import { checkSession, makeLink, receive, ticking } from "./internal/link.ts"
import { decodeServerOptions } from "./internal/options.ts"
import { Server } from "./internal/server.ts"
import { presenceTopic } from "./internal/topics.ts"
import type { MqttRpcClientInput } from "./MqttRpcClient.ts"

/**
 * Options of the server. All but `prefix` have defaults, and mean what they mean for clients, see
 * `MqttRpcClientInput`. `maxMessageSize` is the largest request to accept, and the largest response to send.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface MqttRpcServerInput extends MqttRpcClientInput {
  /**
   * The share name of several servers that divide the calls among them (MQTT 4.8.2). Everything of one call goes to the
   * server that got its request. Default: none, every server gets every call.
   */
  readonly share?: string | undefined
  /** The calls of all clients at a time, those that wait for `concurrency` included. More are refused. Default 4096. */
  readonly maxCalls?: number | undefined
  /** The clients to remember. The one that was idle longest is forgotten for a new one. Default 10,000. */
  readonly maxClients?: number | undefined
}

/**
 * The will for the session of a server: it reports to clients that the server has ended, and their calls then fail. For
 * the option `will`. `clientId` is that of the session, whose options must have it.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const will = (prefix: string, clientId: string): WillInput => ({
  topic: presenceTopic(prefix, "servers", clientId),
  payload: "gone",
  qos: 1
})

/**
 * Makes the protocol over a session. Succeeds when the broker has granted the subscriptions: from then on calls reach
 * it. Fails with `InvalidOptions`, and as `Session.subscription` does. When Effect's server ends, the calls of its
 * clients fail with `serverGone` at once.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  session: Session,
  options: MqttRpcServerInput
): Effect.fn.Return<RpcServer.Protocol["Service"], MqttError, RpcSerialization | Scope.Scope> {
  const complete = yield* Effect.fromResult(decodeServerOptions(options))
  yield* checkSession(session, "MqttRpcServer.make")
  const serialization = yield* RpcSerialization
  const scope = yield* Scope.Scope
  const disconnects = yield* Queue.unbounded<number>()
  const link = yield* makeLink(session, complete)
  let server!: Server
  const protocol = yield* RpcServer.Protocol.make((writeRequest) =>
    Effect.sync(() => {
      server = new Server({
        link,
        options: complete,
        serialization,
        writeRequest,
        disconnects,
        scope,
        // Sessions with the option `tracing` write it, also those of clients in other languages.
        traceOf: ({ properties }) => {
          const span = TraceContext.fromUserProperties(properties.userProperties)
          return span === undefined
            ? undefined
            : { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled }
        }
      })
      return {
        disconnects,
        send: (client, response) => server.send(client, response),
        end: (client) => server.end(client),
        clientIds: Effect.sync(() => server.clientIds),
        initialMessage: Effect.succeed(Option.none()),
        supportsAck: true,
        supportsTransferables: false,
        supportsSpanPropagation: true,
        supportsNotifications: true,
        codecFor: serialization.codecFor
      }
    })
  )
  const { topics } = link
  yield* receive(
    link,
    [
      topics.requestFilter(complete.share),
      topics.serverFilter(link.name),
      topics.cancelledFilter(),
      topics.presenceFilter("clients")
    ],
    (message) => server.receive(message),
    (error) => server.onEnd(error)
  )
  yield* ticking(link, Effect.suspend(() => server.tick), Effect.suspend(() => server.beat))
  return {
    ...protocol,
    // Clients are told before handlers are interrupted, so that their calls fail with a typed error.
    run: (handle) => Effect.onExit(protocol.run(handle), () => server.close)
  }
})

/**
 * The server protocol over the session of the program.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MqttRpcServerInput
): Layer.Layer<RpcServer.Protocol, MqttError, MqttSession | RpcSerialization> =>
  Layer.effect(RpcServer.Protocol, Effect.flatMap(MqttSession, (session) => make(session, options)))

/**
 * `layer` with options from Config, single ones or all.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<MqttRpcServerInput>
): Layer.Layer<RpcServer.Protocol, MqttError | Config.ConfigError, MqttSession | RpcSerialization> =>
  Layer.effect(
    RpcServer.Protocol,
    Effect.gen(function*() {
      const complete = yield* OptionsSchema.unwrap(options, "MqttRpcServer.layerConfig")
      return yield* make(yield* MqttSession, complete)
    })
  )
