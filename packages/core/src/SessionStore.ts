/**
 * The contract for what a session keeps across connections and processes.
 *
 * A store holds, for each session name, a small set of records. The session engine emits every change of its state as record
 * changes; a durable session sends nothing and settles nothing before the commit that holds the change succeeded.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { makeMemory } from "./internal/memoryStore.ts"
import type { MqttError } from "./MqttError.ts"
import type { StoreChange, StoreRecord } from "./StoreRecord.ts"

/**
 * The store of one session, owned by one process until its scope ends.
 */
export interface SessionStoreHandle {
  /** All records, outbound ones in the order of their sequence. */
  readonly load: Effect.Effect<ReadonlyArray<StoreRecord>, MqttError>
  /**
   * Applies the changes in order, all or none. Success means that they survive what the store promises to survive
   * (`durability`). Commits of one session are never concurrent: the session waits for one before it starts the next.
   */
  readonly commit: (changes: ReadonlyArray<StoreChange>) => Effect.Effect<void, MqttError>
  /** Deletes all records of the session. */
  readonly clear: Effect.Effect<void, MqttError>
}

/**
 * Opens the stores of sessions.
 */
export interface SessionStore {
  /** What a successful commit survives: the end of the session object, of the process, or a power cut. */
  readonly durability: "session" | "process" | "power"
  /**
   * Opens the store of a session as its only owner; fails with `StorageFailed` when another one owns it.
   */
  readonly open: (session: string) => Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope>
}

/**
 * The store in use. The default keeps records in this process's memory, for as long as the program runs.
 */
export const SessionStore: Context.Reference<SessionStore> = Context.Reference("@effect-mqttx/core/SessionStore", {
  defaultValue: (): SessionStore => makeMemory()
})

/**
 * A fresh memory store, for tests and for programs that build several session environments.
 */
export const layerMemory: Layer.Layer<never> = Layer.effect(SessionStore, Effect.sync(makeMemory))
