/**
 * The client protocol of Effect's RPC over an MQTT session. Effect's `RpcClient.make` uses it. The module
 * `effect/rpc` is unstable: a minor version of Effect may change the API that is used here.
 *
 * Each call is answered once, or fails: with the error of its handler, or with an `RpcClientError` whose cause is an
 * `MqttRpcError`. Lost connections of either side do not end calls. Streams arrive complete and in order.
 *
 * **Example** (Calling a server behind a broker)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { MqttRpcClient } from "@effect-mqttx/rpc"
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "effect/rpc"
 *
 * class Calculator extends RpcGroup.make(
 *   Rpc.make("Add", { payload: { a: Schema.Finite, b: Schema.Finite }, success: Schema.Finite })
 * ) {}
 *
 * export const three = Effect.gen(function*() {
 *   const calculator = yield* RpcClient.make(Calculator)
 *   return yield* calculator.Add({ a: 1, b: 2 })
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(MqttRpcClient.layer({ prefix: "calculator" }).pipe(
 *     Layer.provide(RpcSerialization.layerSchemaBinary()),
 *     Layer.provide(MqttSession.layer({ name: "caller", servers: ["mqtt://localhost:1883"] }))
 *   ))
 * )
 * ```
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { MqttSession, type Session } from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type { WillInput } from "@effect-mqttx/core/SessionOptions"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RpcClient from "effect/rpc/RpcClient"
import { RpcSerialization } from "effect/rpc/RpcSerialization"
import * as Scope from "effect/Scope"
import { Client } from "./internal/client.ts"
import { checkSession, makeLink, receive, ticking } from "./internal/link.ts"
import { decodeClientOptions } from "./internal/options.ts"
import { presenceTopic } from "./internal/topics.ts"

/**
 * Options of the client. All but `prefix` have defaults. Sizes are bytes, and durations milliseconds or texts such as
 * `30 seconds`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface MqttRpcClientInput {
  /** The first levels of all topics, the same as the server's: at most 1024 characters, no wildcards. */
  readonly prefix: string
  /** The quality of service of all messages but heartbeats. Default 1; messages that arrive twice are dropped. */
  readonly qos?: 1 | 2 | undefined
  /**
   * The size of the parts into which larger messages are cut. Default 64 KiB, less where the broker's Maximum Packet
   * Size needs it. The session of the receiver must admit packets of this size and some 100 bytes.
   */
  readonly partSize?: number | undefined
  /** The largest request to send, and the largest response to accept. Default 4 MiB. */
  readonly maxMessageSize?: number | undefined
  /** Parts and responses of all calls that wait, together. Default 64 MiB. */
  readonly maxBufferedBytes?: number | undefined
  /** How often both sides of a call say that they have it. Default 5 seconds. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /**
   * How long a call may be without a sign of its server, also while there is no connection. Then it fails with the kind
   * `unanswered`, after `heartbeatInterval` more at the latest. Default 20 seconds; at least twice `heartbeatInterval`,
   * and longer than that of the server.
   */
  readonly livenessTimeout?: Duration.Input | undefined
  /** How long after its will a server may come back before its calls fail with `serverGone`. Default 5 seconds. */
  readonly willGrace?: Duration.Input | undefined
}

/**
 * The will for the session of a client: it reports to servers that the client has ended, and they interrupt its
 * handlers. For the option `will`. `clientId` is that of the session, whose options must have it.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const will = (prefix: string, clientId: string): WillInput => ({
  topic: presenceTopic(prefix, "clients", clientId),
  payload: "gone",
  qos: 1
})

/**
 * Makes the protocol over a session. Succeeds when the broker has granted the subscriptions. Fails with
 * `InvalidOptions`, and as `Session.subscription` does. At the end of its scope calls that are left fail with the kind
 * `closed`, and their servers get a message.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  session: Session,
  options: MqttRpcClientInput
): Effect.Effect<RpcClient.Protocol["Service"], MqttError, RpcSerialization | Scope.Scope> =>
  RpcClient.Protocol.make(Effect.fnUntraced(function*(writeResponse, clientIds) {
    const complete = yield* Effect.fromResult(decodeClientOptions(options))
    yield* checkSession(session, "MqttRpcClient.make")
    const serialization = yield* RpcSerialization
    const scope = yield* Scope.Scope
    yield* session.awaitReady
    const link = yield* makeLink(session, complete)
    const replyTopic = link.topics.client(link.name)
    const client = new Client({ link, replyTopic, serialization, writeResponse, clientIds, scope })
    yield* receive(
      link,
      [replyTopic, link.topics.presenceFilter("servers")],
      (message) => {
        const gone = link.topics.gone("servers", message.topic)
        return gone === undefined ? client.receive(message) : client.onWill(gone)
      },
      (error) => client.onEnd(error)
    )
    yield* Effect.addFinalizer(() => client.close)
    yield* ticking(link, Effect.suspend(() => client.tick), Effect.suspend(() => client.beat))
    return {
      send: (id, message) => client.send(id, message),
      supportsAck: true,
      supportsTransferables: false,
      codecFor: serialization.codecFor
    }
  }))

/**
 * The client protocol over the session of the program.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MqttRpcClientInput
): Layer.Layer<RpcClient.Protocol, MqttError, MqttSession | RpcSerialization> =>
  Layer.effect(RpcClient.Protocol, Effect.flatMap(MqttSession, (session) => make(session, options)))

/**
 * `layer` with options from Config, single ones or all.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<MqttRpcClientInput>
): Layer.Layer<RpcClient.Protocol, MqttError | Config.ConfigError, MqttSession | RpcSerialization> =>
  Layer.effect(
    RpcClient.Protocol,
    Effect.gen(function*() {
      const complete = yield* OptionsSchema.unwrap(options, "MqttRpcClient.layerConfig")
      return yield* make(yield* MqttSession, complete)
    })
  )
