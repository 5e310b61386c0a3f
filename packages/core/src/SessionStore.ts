/**
 * The contract of a store that keeps a durable session's state across connections and processes.
 *
 * A store holds, for each session name, a small set of records. The session engine emits every change of its state as
 * record changes. A durable session sends and settles nothing before the commit of the change has succeeded.
 *
 * There is no default: functions that make durable sessions require `SessionStore`, and the program provides a store.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { SessionStoreHandle } from "./internal/store/contract.ts"
import { makeMemory } from "./internal/store/memory.ts"
import type { MqttError } from "./MqttError.ts"

export type { Durability, LoadedRecords, SessionStoreHandle, StoreDamage } from "./internal/store/contract.ts"

/**
 * The store of the durable sessions of a program.
 *
 * **Example** (Keeping state in the memory of the process)
 *
 * ```ts
 * import { MqttSession, SessionStore } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(SessionStore.layerMemory)
 * )
 * ```
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class SessionStore extends Context.Service<SessionStore, {
  /**
   * Opens the store of a session as its only owner. Fails with the kind `owned` when another owner, in this process or
   * elsewhere, has it open. Any string is a session name; other values fail with `InvalidOptions`.
   */
  readonly open: (session: string) => Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope>
}>()("@effect-mqttx/core/SessionStore") {}

/**
 * A new store in memory, for tests, and for programs whose durable sessions need not survive the process. It is closed
 * with the layer's scope, and its records are then lost.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<SessionStore> = Layer.effect(
  SessionStore,
  Effect.map(Effect.acquireRelease(Effect.sync(makeMemory), ({ close }) => close), ({ open }) => ({ open }))
)
