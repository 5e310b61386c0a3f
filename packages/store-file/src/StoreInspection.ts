/**
 * Looks at the files of a file store without changing them, for tools of operators. While it does, no program can open
 * the store; a store that a running program has open is refused.
 *
 * A store knows its sessions by digests of their names, so the names have to be given to find a session by its name.
 *
 * **Example** (What a store has)
 *
 * ```ts
 * import { StoreInspection } from "@effect-mqttx/store-file"
 * import { Effect } from "effect"
 *
 * export const waiting = (directory: string) =>
 *   Effect.gen(function*() {
 *     const { damage, sessions } = yield* StoreInspection.inspect(directory)
 *     const plant = sessions.find(({ id }) => id === StoreInspection.sessionId("plant"))
 *     yield* Effect.log(`${plant?.records.Outbound ?? 0} messages wait`, damage)
 *   })
 * ```
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import { toMqttError } from "./internal/failure.ts"
import { copyFiles, readContent } from "./internal/inspection.ts"
import { whileOwned } from "./internal/openDirectory.ts"
import { idOf } from "./internal/sessionState.ts"

/**
 * What a store has of one session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface InspectedSession {
  /** See `sessionId`. */
  readonly id: string
  /** The number of records of each type. */
  readonly records: Readonly<Record<StoreRecord["_tag"], number>>
  /** Bytes of the payloads that wait. */
  readonly payloadBytes: number
  /** The number of records that cannot be read. */
  readonly unreadable: number
}

/**
 * What a store has.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Inspection {
  /** The sessions that have records. */
  readonly sessions: ReadonlyArray<InspectedSession>
  /** The damaged parts of its files, in words; empty: none. */
  readonly damage: ReadonlyArray<string>
}

/**
 * The digest by which a store knows a session.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const sessionId = (session: string): string => idOf(session)

/**
 * Reads the files of a store. Does not see what was written while the disk was full and waits for the next opening.
 *
 * Fails with `StorageFailed` of the kinds `owned`, `newerFormat`, `readOnly`, `refused`, and `unavailable` when there
 * is no store.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const inspect = (directory: string): Effect.Effect<Inspection, MqttError> =>
  Effect.tryPromise({
    try: () => whileOwned(directory, readContent),
    catch: (error) => toMqttError(error, "StoreInspection.inspect")
  })

/**
 * Copies a store, damage included, to a directory that does not exist or is empty. A copy can be opened, and repaired
 * by that, while the original stays as it is. Fails as `inspect` does, and with the kind `full`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const copy = (directory: string, target: string): Effect.Effect<void, MqttError> =>
  Effect.tryPromise({
    try: () => whileOwned(directory, (paths) => copyFiles(paths, target)),
    catch: (error) => toMqttError(error, "StoreInspection.copy")
  })
