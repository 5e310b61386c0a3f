/**
 * An MQTT session: publishes, subscribes, and stays connected.
 *
 * A session outlives its network connections. Accepted messages are sent, streams continue and subscriptions last
 * through reconnects. The option `persistence` says how long, and what survives the process.
 *
 * `make` and `layer` make sessions whose state ends with the process. `makeDurable` and `layerDurable` make durable
 * sessions and require a `SessionStore`: a program without one does not compile.
 *
 * **Example** (Publishing and subscribing)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Effect, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   const temperatures = yield* session.subscription("sensors/+/temperature", { qos: 1 })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 *   yield* temperatures.messages.pipe(
 *     Stream.take(1),
 *     Stream.runForEach((message) => Effect.log(message.topic, message.text))
 *   )
 * })
 *
 * program.pipe(
 *   Effect.scoped,
 *   Effect.provide(MqttSession.layer({ name: "plant", servers: ["mqtt://localhost:1883"] })),
 *   Effect.runPromise
 * )
 * ```
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { DefaultPersistence } from "./internal/options/environment.ts"
import { configured } from "./internal/session/configured.ts"
import { type Session, TypeId } from "./internal/session/contract.ts"
import { durableOnly, withoutStore } from "./internal/session/persistence.ts"
import { makeRequest, noOptions } from "./internal/session/publishRequest.ts"
import { makeSession } from "./internal/session/session.ts"
import type { MqttError, MqttErrorReason } from "./MqttError.ts"
import type { CheckedMessage, Payload, PublishOptions } from "./Publication.ts"
import type { SessionOptions, SessionOptionsInput } from "./SessionOptions.ts"
import type { SessionStore } from "./SessionStore.ts"

export type { Session } from "./internal/session/contract.ts"

const open = (options: Effect.Effect<SessionOptions, MqttError>): Effect.Effect<Session, MqttError, Scope.Scope> =>
  Effect.flatMap(options, (valid) => Effect.map(makeSession(valid), ({ session }) => session))

/** `durable` names the function for the durable sessions that this one refuses. */
const openWithoutStore = (
  options: unknown,
  durable: string
): Effect.Effect<Session, MqttError, Scope.Scope> => open(withoutStore(options, "make", durable))

/** `other` names the function for the sessions that this one refuses. */
const openDurable = (
  options: unknown,
  other: string
): Effect.Effect<Session, MqttError, SessionStore | Scope.Scope> => open(durableOnly(options, "makeDurable", other))

const configuredDurable = (
  config: Config.Config<SessionOptions>
): Effect.Effect<SessionOptions, MqttError | Config.ConfigError> =>
  Effect.provideService(configured(config, "layerDurableConfig"), DefaultPersistence, "durable")

/**
 * Whether a value is a session.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isSession = (u: unknown): u is Session => Predicate.hasProperty(u, TypeId)

/**
 * Makes a session that lives as long as the scope, and begins to connect in the background. Its state ends with the
 * process at the latest. The reference `Transport` is its network.
 *
 * Fails with `InvalidOptions`, also for the persistence `durable`, which `makeDurable` accepts.
 *
 * **Example** (Opening a session for the lifetime of a scope)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.make({ name: "plant", servers: ["mqtt://localhost:1883"] })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <R = never>(
  options: SessionOptionsInput<"none" | "process", R>
): Effect.Effect<Session, MqttError, Scope.Scope | R> => openWithoutStore(options, "MqttSession.makeDurable")

/**
 * Makes a durable session, see `make`. Its state is in the `SessionStore`, and the next session of the same name
 * continues from it. The option `persistence` may be omitted.
 *
 * Fails with `InvalidOptions`, or `StorageFailed` when the store cannot be opened.
 *
 * **Example** (Opening a session that continues after a restart)
 *
 * ```ts
 * import { MqttSession, SessionStore } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.makeDurable({ name: "plant", servers: ["mqtt://localhost:1883"] })
 *   yield* session.enqueue("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.scoped, Effect.provide(SessionStore.layerMemory))
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeDurable = <R = never>(
  options: SessionOptionsInput<"durable", R>
): Effect.Effect<Session, MqttError, SessionStore | Scope.Scope | R> => openDurable(options, "MqttSession.make")

/**
 * The service for a program with one session.
 *
 * **Example** (Using the session of a program)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.provide(MqttSession.layer({ name: "plant", servers: ["mqtt://localhost:1883"] })))
 * ```
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class MqttSession extends Context.Service<MqttSession, Session>()("@effect-mqttx/core/MqttSession") {}

/**
 * The layer of `MqttSession`, with a session of `make`.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: SessionOptionsInput<"none" | "process", R>
): Layer.Layer<MqttSession, MqttError, R> =>
  Layer.effect(MqttSession, openWithoutStore(options, "MqttSession.layerDurable"))

/**
 * The layer of `MqttSession`, with a durable session of `makeDurable`. Only the line that provides the store
 * depends on the store.
 *
 * **Example** (Keeping the state of a session in a directory)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { FileStore } from "@effect-mqttx/store-file"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(FileStore.layer({ directory: "/var/lib/plant" }))
 * )
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerDurable = <R = never>(
  options: SessionOptionsInput<"durable", R>
): Layer.Layer<MqttSession, MqttError, SessionStore | R> =>
  Layer.effect(MqttSession, openDurable(options, "MqttSession.layer"))

/**
 * `layer` with options from Config, for example `SessionOptions.config("MQTT")`. Fails with `InvalidOptions` where they
 * say `durable`.
 *
 * **Example** (Reading the options from the environment)
 *
 * ```ts
 * import { MqttSession, SessionOptions } from "@effect-mqttx/core"
 *
 * export const Plant = MqttSession.layerConfig(SessionOptions.config("MQTT"))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Config<SessionOptions>
): Layer.Layer<MqttSession, MqttError | Config.ConfigError> =>
  Layer.effect(
    MqttSession,
    Effect.flatMap(
      configured(config, "layerConfig"),
      (options) => openWithoutStore(options, "MqttSession.layerDurableConfig")
    )
  )

/**
 * `layerDurable` with options from Config, for example `SessionOptions.config("MQTT")`, whose default persistence is
 * `durable` here. Fails with `InvalidOptions` for another persistence. Options of another Config must say `durable`
 * themselves.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerDurableConfig = (
  config: Config.Config<SessionOptions>
): Layer.Layer<MqttSession, MqttError | Config.ConfigError, SessionStore> =>
  Layer.effect(
    MqttSession,
    Effect.flatMap(configuredDurable(config), (options) => openDurable(options, "MqttSession.layerConfig"))
  )

/**
 * Checks a message as a session of MQTT 5 does before it publishes it, for programs that keep messages and publish them
 * later. Fails with what `publish` would fail with: `InvalidTopic`, `InvalidPayload`, `InvalidOptions` or
 * `PacketTooLarge`.
 *
 * **Example** (Checking a message before it is kept)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 *
 * MqttSession.checkPublish("sensors/#", "23.5")._tag // => "Failure"
 * ```
 *
 * @stability stable
 * @category validation
 * @since 0.1.0
 */
export const checkPublish = (
  topic: string,
  payload: Payload,
  options: PublishOptions = noOptions
): Result.Result<CheckedMessage, MqttErrorReason> => {
  const request = makeRequest(5, topic, payload, options)
  return "_tag" in request ? Result.fail(request) : Result.succeed({
    topic: request.topic,
    payload: request.payload,
    qos: request.qos,
    retain: request.retain,
    properties: request.properties,
    expiresAfter: request.expiresAfter
  })
}

/**
 * The tag of a named session with its layers, which correspond to those of this module.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Name extends string> extends Context.ServiceClass<Self, Name, Session> {
  /** The module's `layer` under this tag. The name of the session is that of the tag. */
  readonly layer: <R = never>(
    options: Omit<SessionOptionsInput<"none" | "process", R>, "name">
  ) => Layer.Layer<Self, MqttError, R>
  /** The module's `layerConfig` under this tag. The name from Config is ignored. */
  readonly layerConfig: (
    config: Config.Config<SessionOptions>
  ) => Layer.Layer<Self, MqttError | Config.ConfigError>
  /** The module's `layerDurable` under this tag. The name of the session is that of the tag. */
  readonly layerDurable: <R = never>(
    options: Omit<SessionOptionsInput<"durable", R>, "name">
  ) => Layer.Layer<Self, MqttError, SessionStore | R>
  /** The module's `layerDurableConfig` under this tag. The name from Config is ignored. */
  readonly layerDurableConfig: (
    config: Config.Config<SessionOptions>
  ) => Layer.Layer<Self, MqttError | Config.ConfigError, SessionStore>
}

/**
 * Makes a tag for one of several sessions that are known at compile time. The session has the tag's name.
 *
 * **Example** (Tagging two sessions)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * class Plant extends MqttSession.Service<Plant>()("plant") {}
 * class Cloud extends MqttSession.Service<Cloud>()("cloud") {}
 *
 * export const Sessions = Layer.merge(
 *   Plant.layer({ servers: ["mqtt://localhost:1883"] }),
 *   Cloud.layer({ servers: ["mqtts://cloud.example"] })
 * )
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() => <const Name extends string>(name: Name): ServiceClass<Self, Name> => {
  const key = Context.Service<Self, Session>()(name)
  const layers: Omit<ServiceClass<Self, Name>, keyof Context.ServiceClass<Self, Name, Session>> = {
    layer: (options) => Layer.effect(key, openWithoutStore({ ...options, name }, "layerDurable of this class")),
    layerConfig: (config) =>
      Layer.effect(
        key,
        Effect.flatMap(
          configured(config, "layerConfig"),
          (options) => openWithoutStore({ ...options, name }, "layerDurableConfig of this class")
        )
      ),
    layerDurable: (options) => Layer.effect(key, openDurable({ ...options, name }, "layer of this class")),
    layerDurableConfig: (config) =>
      Layer.effect(
        key,
        Effect.flatMap(
          configuredDurable(config),
          (options) => openDurable({ ...options, name }, "layerConfig of this class")
        )
      )
  }
  return Object.assign(key, layers) as never
}
