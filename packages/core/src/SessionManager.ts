/**
 * Many named sessions in one program: adds, removes and finds them, waits for them, and receives from all of them,
 * including sessions that are added later.
 *
 * **Example** (Handling the messages of all sessions)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const manager = yield* SessionManager.SessionManager
 *   yield* manager.handle(
 *     "sensors/+/temperature",
 *     (message) => Effect.log(message.session, message.topic, message.text),
 *     { qos: 1 }
 *   )
 *   yield* manager.awaitAllReady()
 *   yield* manager.publishTo("plant", "sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(SessionManager.layer({
 *     sessions: [{ name: "plant", servers: ["mqtt://localhost:1883"] }]
 *   }))
 * )
 * ```
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Manager, ManagerOptions } from "./internal/manager/contract.ts"
import { makeDurableManager, makeManager } from "./internal/manager/manager.ts"
import { sumOf } from "./internal/manager/metrics.ts"
import { DefaultPersistence } from "./internal/options/environment.ts"
import { configured } from "./internal/session/configured.ts"
import type { MqttError } from "./MqttError.ts"
import type { SessionOptions } from "./SessionOptions.ts"
import type { SessionMetrics } from "./SessionStatus.ts"
import type { SessionStore } from "./SessionStore.ts"

export type {
  AddOptions,
  AwaitOptions,
  EventFilter,
  ManagerMetrics,
  ManagerOptions,
  RemoveOptions,
  ResultBySession
} from "./internal/manager/contract.ts"
export { SessionsNotReady } from "./internal/manager/sessionsNotReady.ts"

/**
 * Makes a manager that lives as long as the scope. The end of the scope drains and releases all sessions at the same
 * time. The reference `Transport` is the network of its sessions. Its first sessions are not durable; `addDurable` adds
 * durable ones to any manager.
 *
 * Fails as `add` does for the first of the given sessions that cannot be added.
 *
 * **Example** (Adding and removing sessions)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const manager = yield* SessionManager.make()
 *   const session = yield* manager.add({ name: "plant", servers: ["mqtt://localhost:1883"] })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 *   yield* manager.remove("plant")
 * }).pipe(Effect.scoped)
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: ManagerOptions<"none" | "process"> = {}
): Effect.Effect<SessionManager["Service"], MqttError, Scope.Scope> =>
  makeManager(options, "SessionManager.makeDurable")

/**
 * `make` with first sessions that are durable in the `SessionStore`, unless their options have another `persistence`.
 *
 * Fails as `add` and `addDurable` do for the first of the given sessions that cannot be added.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeDurable = (
  options: ManagerOptions = {}
): Effect.Effect<SessionManager["Service"], MqttError, SessionStore | Scope.Scope> => makeDurableManager(options)

/**
 * The sum of the metrics of several sessions, as in `ManagerMetrics.totals`. Counters are added; `uptime` and ages are
 * those of the oldest.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const totalMetrics = (all: Iterable<SessionMetrics>): SessionMetrics => sumOf(all)

/**
 * The service for a program with a manager.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class SessionManager extends Context.Service<SessionManager, Manager>()("@effect-mqttx/core/SessionManager") {}

/**
 * The layer of `SessionManager`, with its initial sessions.
 *
 * **Example** (Providing two sessions)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 *
 * export const Sessions = SessionManager.layer({
 *   sessions: [
 *     { name: "plant", servers: ["mqtt://plant.example"] },
 *     { name: "cloud", servers: ["mqtts://cloud.example"], persistence: "process" }
 *   ]
 * })
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: ManagerOptions<"none" | "process"> = {}): Layer.Layer<SessionManager, MqttError> =>
  Layer.effect(SessionManager, makeManager(options, "SessionManager.layerDurable"))

/**
 * The layer of `SessionManager`, with a manager of `makeDurable`.
 *
 * **Example** (Keeping the state of all sessions in a directory)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 * import { FileStore } from "@effect-mqttx/store-file"
 * import { Layer } from "effect"
 *
 * export const Sessions = SessionManager.layerDurable({
 *   sessions: [{ name: "plant", servers: ["mqtt://localhost:1883"] }]
 * }).pipe(Layer.provide(FileStore.layer({ directory: "/var/lib/plant" })))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerDurable = (options?: ManagerOptions): Layer.Layer<SessionManager, MqttError, SessionStore> =>
  Layer.effect(SessionManager, makeDurable(options))

/**
 * `layer` with its sessions from Config, for example
 * `Config.all([SessionOptions.config("PLANT"), SessionOptions.config("CLOUD")])`. Fails with `InvalidOptions` where one
 * of them is durable.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  sessions: Config.Config<ReadonlyArray<SessionOptions>>,
  options?: Omit<ManagerOptions, "sessions">
): Layer.Layer<SessionManager, MqttError | Config.ConfigError> =>
  Layer.effect(
    SessionManager,
    Effect.flatMap(
      configured(sessions, "layerConfig"),
      (sessions) => makeManager({ ...options, sessions }, "SessionManager.layerDurableConfig")
    )
  )

/**
 * `layerDurable` with its sessions from Config. The default persistence of `SessionOptions.config` is `durable` here.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerDurableConfig = (
  sessions: Config.Config<ReadonlyArray<SessionOptions>>,
  options?: Omit<ManagerOptions, "sessions">
): Layer.Layer<SessionManager, MqttError | Config.ConfigError, SessionStore> =>
  Layer.effect(
    SessionManager,
    Effect.flatMap(
      Effect.provideService(configured(sessions, "layerDurableConfig"), DefaultPersistence, "durable"),
      (sessions) => makeDurable({ ...options, sessions })
    )
  )
