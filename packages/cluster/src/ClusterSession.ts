/**
 * Sessions that the nodes of a cluster own together: each client identifier has one owner at a time, on one node. When
 * that node dies or leaves, another one owns the session and continues from its state in the store. Any node calls any
 * session. It uses `effect/cluster`, which is unstable: a minor version of Effect may change the API that is used
 * here.
 *
 * Three fences keep a second owner away. The lock of the shard says which node opens the session. The epoch of the
 * store refuses every commit of a former owner. And before each connection a session checks both, so a former owner
 * does not take the connection of its successor.
 *
 * **Example** (A node that owns sessions, and calls any of them)
 *
 * ```ts
 * import { ClusterSession, ClusterTimings } from "@effect-mqttx/cluster"
 * import { SqlStore } from "@effect-mqttx/store-sql"
 * import { NodeClusterSocket } from "@effect/platform-node"
 * import { PgClient } from "@effect/sql-pg"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * class Sites extends ClusterSession.Service<Sites>()("sites") {}
 *
 * export const Node = Sites.layer({
 *   options: () => ({ servers: ["mqtt://broker.example"] }),
 *   run: (session) =>
 *     session.consume("commands/#", (message) => Effect.log(message.topic), { qos: 2, consumer: "log" })
 * }).pipe(
 *   Layer.provide(NodeClusterSocket.layer({ storage: "sql", shardingConfig: ClusterTimings.failover })),
 *   Layer.provide(SqlStore.layer(ClusterTimings.store)),
 *   Layer.provide(PgClient.layer({ url: Redacted.make("postgres://cluster:secret@db.example/plant") }))
 * )
 *
 * export const report = Effect.gen(function*() {
 *   const sites = yield* Sites
 *   yield* sites.publish("site-7", "readings/temperature", "23.5", { qos: 1 })
 *   const { node } = yield* sites.status("site-7")
 *   yield* Effect.log(`site-7 is at ${node}`)
 * })
 * ```
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import { makeDurable, type Session } from "@effect-mqttx/core/MqttSession"
import type { SessionOptions, SessionOptionsInput } from "@effect-mqttx/core/SessionOptions"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Transport } from "@effect-mqttx/core/Transport"
import type { Sharding } from "effect/cluster/Sharding"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as ClusterTimings from "./ClusterTimings.ts"
import { makeCalls, type Sessions, TypeId } from "./internal/calls.ts"
import type { Definition } from "./internal/ownedSession.ts"
import { layerOwner } from "./internal/owner.ts"
import { makeEntity } from "./internal/protocol.ts"
import { layerRoster } from "./internal/roster.ts"
import * as Wire from "./internal/wire.ts"

export type { Sessions }

/**
 * The status of a session, and where it is.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Status {
  /** The client identifier. */
  readonly clientId: string
  /** The address of the node that owns the session. */
  readonly node: string
  /** The state of the session. `opening`: its store is not open yet. */
  readonly state: "opening" | "disconnected" | "connecting" | "connected" | "reconnecting" | "closed"
  /** Milliseconds since the epoch when the state began. */
  readonly since: number
  /** Whether it is connected and every subscription is in force at the server. */
  readonly ready: boolean
  /** The address in use or being tried, without secrets. */
  readonly server: string | undefined
  /** Number of messages that wait to be sent. */
  readonly queuedMessages: number
  /** Why the session is not connected, or not open. */
  readonly lastError: MqttError | undefined
}

/**
 * The schema of `Status`.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const Status: Schema.Codec<Status, unknown> = Wire.Status

/**
 * The options of a session of the cluster. Its client identifier is that of the entity, and it is durable. `name` is
 * its name in the store and in logs; default: the client identifier.
 *
 * Other defaults than those of `SessionOptions` are in `ClusterTimings.session`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SessionSettings<R = never>
  extends Omit<SessionOptionsInput<"durable", R>, "assignedClientId" | "clientId" | "name" | "persistence">
{
  /** The name of the session, unique in the store. Default: the client identifier. */
  readonly name?: string | undefined
}

/**
 * What the nodes that own sessions need to know of them.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SessionsInput<R = never> {
  /**
   * The options of the session of a client identifier. A failure with `SessionNotFound` says that there is no such
   * session; calls to it fail with that error. After another failure it is asked again.
   */
  readonly options: (
    clientId: string
  ) => SessionSettings<R> | Effect.Effect<SessionSettings<R>, MqttError, R>
  /**
   * Subscribes and handles messages, on the owner of the session. It runs as long as the session does, and again after
   * a failure. Give its consumers names (`consumer`), so that messages wait for them while the session moves. Default:
   * no subscriptions.
   */
  readonly run?: ((session: Session, clientId: string) => Effect.Effect<unknown, unknown, R>) | undefined
  /** Client identifiers whose sessions are started when the cluster starts. Default none. */
  readonly clientIds?: ReadonlyArray<string> | undefined
}

/**
 * `SessionsInput` whose sessions all have the options of one Config, for example
 * `SessionOptions.config("MQTT", { persistence: "durable" })`. The name and the client identifier in it are ignored.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SessionsConfig<R = never> extends Omit<SessionsInput<R>, "options"> {
  /** The options of all sessions. Their persistence is `durable`. */
  readonly options: Config.Config<SessionOptions>
}

/**
 * Whether a value is the sessions of a cluster.
 *
 * @stability unstable
 * @category guards
 * @since 0.1.0
 */
export const isSessions = (u: unknown): u is Sessions => Predicate.hasProperty(u, TypeId)

/**
 * The calls to the sessions of a kind, on any node. It owns no session: the nodes with a `layer` do.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (kind: string): Effect.Effect<Sessions, MqttError, Sharding> =>
  Effect.suspend(() => Effect.andThen(checkKind(kind, "ClusterSession.make"), makeCalls(makeEntity(kind))))

/**
 * The sessions of a cluster with one kind of sessions, `sessions`. For several kinds there is `Service`.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class ClusterSession
  extends Context.Service<ClusterSession, Sessions>()("@effect-mqttx/cluster/ClusterSession")
{}

/**
 * The layer of `ClusterSession` on a node that owns sessions. The end of the layer hands its sessions over: their
 * messages in hand are finished, and they end without their wills.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  input: SessionsInput<R>
): Layer.Layer<ClusterSession, MqttError, Exclude<R, Scope.Scope> | Sharding | SessionStore> =>
  layerOf(ClusterSession, "sessions", input, "ClusterSession.layer")

/**
 * `layer` with the options of all sessions from Config.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <R = never>(
  input: SessionsConfig<R>
): Layer.Layer<ClusterSession, MqttError | Config.ConfigError, Exclude<R, Scope.Scope> | Sharding | SessionStore> =>
  layerConfigOf(ClusterSession, "sessions", input)

/**
 * The layer of `ClusterSession` on a node that only calls sessions.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerClient: Layer.Layer<ClusterSession, MqttError, Sharding> = Layer.effect(
  ClusterSession,
  make("sessions")
)

/**
 * The tag of a kind of sessions, with its layers.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Kind extends string>
  extends Context.ServiceClass<Self, `@effect-mqttx/cluster/ClusterSession/${Kind}`, Sessions>
{
  /** The module's `layer` for this kind. */
  readonly layer: <R = never>(
    input: SessionsInput<R>
  ) => Layer.Layer<Self, MqttError, Exclude<R, Scope.Scope> | Sharding | SessionStore>
  /** The module's `layerConfig` for this kind. */
  readonly layerConfig: <R = never>(
    input: SessionsConfig<R>
  ) => Layer.Layer<Self, MqttError | Config.ConfigError, Exclude<R, Scope.Scope> | Sharding | SessionStore>
  /** The module's `layerClient` for this kind. */
  readonly layerClient: Layer.Layer<Self, MqttError, Sharding>
}

/**
 * Makes a tag for a kind of sessions. The kind is the type of the entity: the same on all nodes.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() => <const Kind extends string>(kind: Kind): ServiceClass<Self, Kind> => {
  const key = Context.Service<Self, Sessions>()(`@effect-mqttx/cluster/ClusterSession/${String(kind)}`)
  return Object.assign(key, {
    layer: <R>(input: SessionsInput<R>) => layerOf(key, kind, input, "ClusterSession.Service.layer"),
    layerConfig: <R>(input: SessionsConfig<R>) => layerConfigOf(key, kind, input),
    layerClient: Layer.effect(key, make(kind))
  }) as never
}

const layerOf = <Self, R>(
  key: Context.Key<Self, Sessions>,
  kind: string,
  input: SessionsInput<R>,
  method: string
): Layer.Layer<Self, MqttError, Exclude<R, Scope.Scope> | Sharding | SessionStore> =>
  Layer.unwrap(Effect.gen(function*() {
    yield* checkKind(kind, method)
    const { clientIds, ...definition } = yield* checkInput(input, method)
    const entity = makeEntity(kind)
    const calls = Layer.effect(key, makeCalls(entity))
    const owner = layerOwner(entity, definitionOf(definition))
    return clientIds.length === 0
      ? Layer.merge(calls, owner)
      : Layer.mergeAll(calls, owner, layerRoster(entity, clientIds))
  })) as Layer.Layer<Self, MqttError, Exclude<R, Scope.Scope> | Sharding | SessionStore>

const layerConfigOf = <Self, R>(
  key: Context.Key<Self, Sessions>,
  kind: string,
  { options: config, ...rest }: SessionsConfig<R>
): Layer.Layer<Self, MqttError | Config.ConfigError, Exclude<R, Scope.Scope> | Sharding | SessionStore> =>
  Layer.unwrap(Effect.gen(function*() {
    const { assignedClientId: _assigned, clientId: _id, name: _name, persistence, ...options } = yield* config
    if (persistence !== "durable") return yield* invalid(method, "options.persistence", "must be durable")
    return layerOf(key, kind, { ...rest, options: () => options }, method)
  }))

const method = "ClusterSession.layerConfig"

const definitionOf = <R>(input: Omit<SessionsInput<R>, "clientIds">): Effect.Effect<Definition, never, R> =>
  Effect.map(Effect.context<R>(), (services) => {
    // These are the caller's: the scope of the session, and the fence around its store and its network.
    const context = Context.omit(Scope.Scope, SessionStore, Transport)(services) as Context.Context<R>
    return ({
      open: (clientId) =>
        Effect.suspend(() => {
          const given = input.options(clientId)
          return Effect.flatMap(
            Effect.isEffect(given) ? given : Effect.succeed(given),
            (settings) => makeDurable(withDefaults(clientId, settings))
          )
        }).pipe(Effect.provideContext(context)) as ReturnType<Definition["open"]>,
      run: (session, clientId) =>
        input.run === undefined
          ? Effect.void
          : Effect.provideContext(input.run(session, clientId), context) as ReturnType<Definition["run"]>
    })
  })

/** Options that fit into the time of a fail-over. */
const withDefaults = <R>(
  clientId: string,
  settings: SessionSettings<R>
): SessionOptionsInput<"durable", R> => ({
  ...ClusterTimings.session,
  ...settings,
  reconnect: { ...ClusterTimings.session.reconnect, ...settings.reconnect },
  name: settings.name ?? clientId,
  clientId
})

const invalid = (method: string, path: string, message: string): MqttError =>
  new MqttError({ method, reason: new InvalidOptions({ issues: [{ path, message }] }) })

const checkKind = (kind: string, method: string): Effect.Effect<void, MqttError> =>
  Effect.suspend(() =>
    typeof kind === "string" && kind !== "" && kind.length <= 100
      ? Effect.void
      : Effect.fail(invalid(method, "kind", "must be a text of 1 to 100 characters"))
  )

const checkInput = <R>(
  input: SessionsInput<R>,
  method: string
): Effect.Effect<SessionsInput<R> & { readonly clientIds: ReadonlyArray<string> }, MqttError> =>
  Effect.suspend(() => {
    if (typeof input !== "object" || input === null) return Effect.fail(invalid(method, "", "must be a record"))
    const { clientIds = [], options, run } = input
    if (typeof options !== "function") return Effect.fail(invalid(method, "options", "must be a function"))
    if (run !== undefined && typeof run !== "function") return Effect.fail(invalid(method, "run", "must be a function"))
    if (!Array.isArray(clientIds) || !clientIds.every((id) => typeof id === "string" && id !== "")) {
      return Effect.fail(invalid(method, "clientIds", "must be texts that are not empty"))
    }
    return Effect.succeed({ ...input, clientIds })
  })
