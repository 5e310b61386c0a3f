/**
 * The contract for what a session keeps across connections and processes.
 *
 * A store holds, for each session name, a small set of records. The session engine emits every change of its state as record
 * changes; a durable session sends nothing and settles nothing before the commit that holds the change succeeded.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Contract from "./internal/store/contract.ts"
import { makeMemory } from "./internal/store/memory.ts"

export type { Durability, LoadedRecords, SessionStoreHandle, StoreDamage } from "./internal/store/contract.ts"

/**
 * Opens the stores of sessions.
 */
export interface SessionStore extends Contract.SessionStore {}

/**
 * The store in use. The default keeps records in this process's memory, for as long as the program runs.
 */
export const SessionStore: Context.Reference<SessionStore> = Context.Reference("@effect-mqttx/core/SessionStore", {
  defaultValue: (): SessionStore => makeMemory().store
})

/**
 * A fresh memory store, for tests and for programs that build several session environments. It is closed with the
 * layer's scope.
 */
export const layerMemory: Layer.Layer<never> = Layer.effect(
  SessionStore,
  Effect.map(Effect.acquireRelease(Effect.sync(makeMemory), ({ close }) => close), ({ store }) => store)
)
