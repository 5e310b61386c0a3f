/**
 * Many named forwarders in one program: adds, removes, finds, starts and stops them, and reads their metrics.
 *
 * **Example** (Adding a forwarder at run time)
 *
 * ```ts
 * import { ForwarderManager } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const forwarders = yield* ForwarderManager.ForwarderManager
 *   yield* forwarders.add({
 *     name: "temperatures",
 *     sources: ["plant-a", "plant-b"],
 *     filters: ["sensors/+/temperature"],
 *     target: "storage"
 *   })
 *   const { forwarded } = yield* forwarders.metrics("temperatures")
 *   yield* Effect.log(`${forwarded} messages are forwarded`)
 * })
 * ```
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ForwarderOptions, ForwarderOptionsInput } from "./ForwarderOptions.ts"
import type { Forwarders } from "./internal/forwarder/contract.ts"
import { makeForwarders } from "./internal/forwarder/registry.ts"
import { type Checks, list, optionsIssues, refusal } from "./internal/options/plain.ts"
import { configured } from "./internal/session/configured.ts"
import type { MqttError } from "./MqttError.ts"
import { SessionManager } from "./SessionManager.ts"

/**
 * Options of a manager.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ForwarderManagerOptions {
  /** Forwarders that are added when the manager is made. Default none. */
  readonly forwarders?: ReadonlyArray<ForwarderOptionsInput | ForwarderOptions>
}

/**
 * Makes a manager that lives as long as the scope; its end stops all forwarders. Fails as `add` does for the first
 * forwarder that cannot be added.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: ForwarderManagerOptions = {}
): Effect.Effect<ForwarderManager["Service"], MqttError, SessionManager | Scope.Scope> =>
  Effect.flatMap(SessionManager, (manager) => {
    const invalid = refusal(optionsIssues(options, managerChecks), "ForwarderManager.make")
    return invalid === undefined ? makeForwarders(manager, options.forwarders ?? []) : Effect.fail(invalid)
  })

const managerChecks: Checks<ForwarderManagerOptions> = { forwarders: list }

/**
 * The manager of a program's forwarders.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class ForwarderManager
  extends Context.Service<ForwarderManager, Forwarders>()("@effect-mqttx/core/ForwarderManager")
{}

/**
 * The layer of `ForwarderManager`, with its initial forwarders.
 *
 * **Example** (Providing forwarders over the sessions of a program)
 *
 * ```ts
 * import { ForwarderManager, SessionManager } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * export const Forwarders = ForwarderManager.layer({
 *   forwarders: [{ name: "up", sources: "plant", filters: "sensors/#", target: "cloud" }]
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
export const layer = (options?: ForwarderManagerOptions): Layer.Layer<ForwarderManager, MqttError, SessionManager> =>
  Layer.effect(ForwarderManager, make(options))

/**
 * The layer of `ForwarderManager` with its forwarders from Config, for example
 * `Config.all([ForwarderOptions.config("UP"), ForwarderOptions.config("DOWN")])`.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  forwarders: Config.Config<ReadonlyArray<ForwarderOptions>>
): Layer.Layer<ForwarderManager, MqttError | Config.ConfigError, SessionManager> =>
  Layer.effect(
    ForwarderManager,
    Effect.flatMap(configured(forwarders, "layerConfig"), (forwarders) => make({ forwarders }))
  )
