/**
 * The interface of the store of one session. `SessionStore` exports it.
 */
import type * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import type { StoreChange, StoreRecord } from "../../StoreRecord.ts"

/**
 * What a successful commit survives at least. `session`: the end of the session, and of the client's process if another
 * process keeps the records, but not the end of that other process. `process`: kill -9 of every process concerned.
 * `power`: a power cut as well.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Durability = "session" | "process" | "power"

/**
 * Records that a store held and could not read.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface StoreDamage {
  /** The number of lost records, if the store knows it. */
  readonly lost: number | undefined
  /** What the store found, in words. */
  readonly detail: string
}

/**
 * The content of a store for a session when it was opened.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface LoadedRecords {
  /**
   * All records, outbound ones in the order of their sequence. Never an altered record: untrusted content counts as
   * damage.
   */
  readonly records: ReadonlyArray<StoreRecord>
  /** Reported once: a store removes what it could not read. */
  readonly damage: StoreDamage | undefined
}

/**
 * The store of one session, owned by one session of one process until its scope ends.
 *
 * Every failure is an `MqttError` with the reason `StorageFailed`, whose `kind` says whether a retry can help. After
 * the end of the scope that opened it, or of the store itself, every operation fails at once with the kind `closed`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionStoreHandle {
  /** What a successful commit survives at least. */
  readonly durability: Durability
  /** Fails with the kind `newerFormat`, and changes nothing, when a later version of the library wrote the records. */
  readonly load: Effect.Effect<LoadedRecords, MqttError>
  /**
   * Applies the changes in order, all or none. Success means that they survive what `durability` says. After a failure
   * it is unknown whether they were applied; committing the same changes again has the same effect as committing them
   * once. Commits of one session are never concurrent: the session waits for one before it starts the next. It does not
   * change records that it has handed over.
   *
   * Fails with the kind `fenced` when another owner has taken the session over, and with `invalid` when a record can
   * never be stored because a PUBLISH packet cannot hold it. The number of changes is not limited.
   */
  readonly commit: (changes: ReadonlyArray<StoreChange>) => Effect.Effect<void, MqttError>
  /** Deletes all records of the session. */
  readonly clear: Effect.Effect<void, MqttError>
}
