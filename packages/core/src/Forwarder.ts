/**
 * A forwarder receives messages from some sessions and publishes them through another one. It loses no message of QoS 1
 * and 2, and never returns a message to a broker that has it.
 *
 * A message is acknowledged at its source when the target server has acknowledged it, or when the durable queue of the
 * target session has stored it. After a crash of this process or of either server the message may come again, but it is
 * not lost. The guide to forwarders has the exact guarantees.
 *
 * **Example** (Forwarding from two sessions to a third one)
 *
 * ```ts
 * import { Forwarder } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const forwarder = yield* Forwarder.make({
 *     name: "temperatures",
 *     sources: ["plant-a", "plant-b"],
 *     filters: ["sensors/+/temperature"],
 *     target: "storage",
 *     mapping: [{ from: "sensors/+/temperature", to: "storage/{1}/temp" }]
 *   })
 *   const { forwarded, received } = yield* forwarder.metrics
 *   yield* Effect.log(`${forwarded} of ${received} messages are forwarded`)
 * })
 * ```
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ForwarderMetrics } from "./ForwarderMetrics.ts"
import type { ForwarderHooks, ForwarderOptions, ForwarderOptionsInput } from "./ForwarderOptions.ts"
import * as Options from "./ForwarderOptions.ts"
import type { Forwarding } from "./internal/forwarder/contract.ts"
import { makeForwarder } from "./internal/forwarder/forwarder.ts"
import { registeredMetrics } from "./internal/forwarder/metricsRegistry.ts"
import { having, orDie } from "./internal/options/plain.ts"
import { configured } from "./internal/session/configured.ts"
import type { MqttError } from "./MqttError.ts"
import { SessionManager } from "./SessionManager.ts"

/**
 * Makes a forwarder and starts it, unless `enabled` is false. The end of the scope stops it.
 *
 * Fails with `InvalidOptions` or `InvalidFilter`, and as `start` does.
 *
 * **Example** (Choosing the messages by code)
 *
 * ```ts
 * import { Forwarder, RouteFilter } from "@effect-mqttx/core"
 *
 * export const make = Forwarder.make(
 *   { name: "readings", sources: "plant-a", filters: "sensors/#", target: "storage" },
 *   { filter: RouteFilter.not(RouteFilter.text("NaN")) }
 * )
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <E = never, R = never>(
  options: ForwarderOptionsInput | ForwarderOptions,
  hooks: ForwarderHooks<E, R> = {}
): Effect.Effect<Forwarder["Service"], MqttError, R | SessionManager | Scope.Scope> =>
  Effect.gen(function*() {
    const manager = yield* SessionManager
    const valid = yield* Options.make(options)
    const forwarder = yield* makeForwarder(manager, valid, hooks)
    if (valid.enabled) yield* forwarder.start
    return forwarder
  })

/**
 * The metrics of all forwarders over the sessions of a manager, in the order in which `make` or a `ForwarderManager`
 * made them. Dies with an `MqttError` when the argument is not a manager.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const metricsOf = (manager: SessionManager["Service"]): Effect.Effect<ReadonlyArray<ForwarderMetrics>> =>
  Effect.andThen(
    orDie({ manager: manager ?? null }, { manager: having("eventsOf", "a manager") }, "Forwarder.metricsOf"),
    registeredMetrics(manager)
  )

/**
 * The service for a program with one forwarder. For several there is `ForwarderManager`.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class Forwarder extends Context.Service<Forwarder, Forwarding>()("@effect-mqttx/core/Forwarder") {}

/**
 * The layer of `Forwarder`.
 *
 * **Example** (Providing the forwarder of a program)
 *
 * ```ts
 * import { Forwarder, SessionManager } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * export const Forwarding = Forwarder.layer({
 *   name: "up",
 *   sources: "plant",
 *   filters: "sensors/#",
 *   target: "cloud"
 * }).pipe(
 *   Layer.provideMerge(SessionManager.layer({
 *     sessions: [
 *       { name: "plant", servers: ["mqtt://plant.example"] },
 *       { name: "cloud", servers: ["mqtts://cloud.example"] }
 *     ]
 *   }))
 * )
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = <E = never, R = never>(
  options: ForwarderOptionsInput | ForwarderOptions,
  hooks?: ForwarderHooks<E, R>
): Layer.Layer<Forwarder, MqttError, Exclude<R, Scope.Scope> | SessionManager> =>
  Layer.effect(Forwarder, make(options, hooks)) as never

/**
 * The layer of `Forwarder` with its options from Config, for example `ForwarderOptions.config("FORWARDER")`.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <E = never, R = never>(
  config: Config.Config<ForwarderOptions>,
  hooks?: ForwarderHooks<E, R>
): Layer.Layer<Forwarder, MqttError | Config.ConfigError, Exclude<R, Scope.Scope> | SessionManager> =>
  Layer.effect(
    Forwarder,
    Effect.flatMap(configured(config, "layerConfig"), (options) => make(options, hooks))
  ) as never

/**
 * The tag of a named forwarder, with its layers.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Name extends string>
  extends Context.ServiceClass<Self, `@effect-mqttx/core/Forwarder/${Name}`, Forwarding>
{
  /** The module's `layer` under this tag. The name of the forwarder is that of the tag. */
  readonly layer: <E = never, R = never>(
    options: Omit<ForwarderOptionsInput, "name">,
    hooks?: ForwarderHooks<E, R>
  ) => Layer.Layer<Self, MqttError, Exclude<R, Scope.Scope> | SessionManager>
  /** The module's `layerConfig` under this tag. The name from Config is ignored. */
  readonly layerConfig: <E = never, R = never>(
    config: Config.Config<ForwarderOptions>,
    hooks?: ForwarderHooks<E, R>
  ) => Layer.Layer<Self, MqttError | Config.ConfigError, Exclude<R, Scope.Scope> | SessionManager>
}

/**
 * Makes a tag for one of several forwarders that are known at compile time. The forwarder has the tag's name.
 *
 * **Example** (Tagging a forwarder)
 *
 * ```ts
 * import { Forwarder, SessionManager } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * class Up extends Forwarder.Service<Up>()("up") {}
 *
 * export const UpLayer = Up.layer({ sources: ["plant"], filters: ["sensors/#"], target: "cloud" }).pipe(
 *   Layer.provide(SessionManager.layer({
 *     sessions: [
 *       { name: "plant", servers: ["mqtt://plant.example"] },
 *       { name: "cloud", servers: ["mqtts://cloud.example"] }
 *     ]
 *   }))
 * )
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() => <const Name extends string>(name: Name): ServiceClass<Self, Name> => {
  // Sessions have tags of their names: a forwarder and a session may share one.
  const key = Context.Service<Self, Forwarding>()(`@effect-mqttx/core/Forwarder/${String(name)}`)
  return Object.assign(key, {
    layer: <E, R>(options: Omit<ForwarderOptionsInput, "name">, hooks?: ForwarderHooks<E, R>) =>
      Layer.effect(key, make({ ...options, name }, hooks)),
    layerConfig: <E, R>(config: Config.Config<ForwarderOptions>, hooks?: ForwarderHooks<E, R>) =>
      Layer.effect(
        key,
        Effect.flatMap(configured(config, "layerConfig"), (options) => make({ ...options, name }, hooks))
      )
  }) as never
}
