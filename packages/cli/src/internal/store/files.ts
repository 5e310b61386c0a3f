/**
 * File stores as the commands of `store` open them: as they are, or as a copy that may be repaired while the original
 * stays as it is. LevelDB is loaded here, because the other commands do not need its binaries.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { LoadedRecords, SessionStore, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { CommandFailed, type ExitCode, exitCodes, fromMqtt, usage } from "../failure.ts"

const advices: Readonly<Record<string, readonly [ExitCode, string]>> = {
  owned: [exitCodes.failed, "Stop the program that has the store open, and try again."],
  newerFormat: [exitCodes.failed, "Use the version of effect-mqttx that wrote the store, or a later one."],
  readOnly: [exitCodes.failed, "Run this as the user that owns the store."],
  full: [exitCodes.failed, "Make room on the disk."],
  unavailable: [exitCodes.usage, "Check the path: a store is a directory with a directory `records`."]
}

export const storeFailed = (error: MqttError): CommandFailed => {
  const { reason } = error
  if (reason._tag !== "StorageFailed") return fromMqtt(error)
  const [exitCode, advice] = advices[reason.kind] ?? [exitCodes.failed, undefined]
  return new CommandFailed({ what: reason.message, advice, exitCode })
}

const inspection = Effect.promise(() => import("@effect-mqttx/store-file/StoreInspection"))

/** What the files have. */
export const inspect = (directory: string) =>
  Effect.flatMap(
    inspection,
    (StoreInspection) =>
      Effect.map(Effect.mapError(StoreInspection.inspect(directory), storeFailed), (found) => ({
        ...found,
        idOf: StoreInspection.sessionId
      }))
  )

type Store = SessionStore["Service"]

/** Opens the store in a directory, which makes it where there is none. */
export const openStore = (directory: string): Effect.Effect<Store, CommandFailed, Scope.Scope> =>
  Effect.flatMap(
    Effect.promise(() => import("@effect-mqttx/store-file/FileStore")),
    (FileStore) => Effect.mapError(FileStore.make({ directory }), storeFailed)
  )

/** Opens a copy of a store, which is removed with the scope. */
export const openCopy = (
  directory: string
): Effect.Effect<Store, CommandFailed, Scope.Scope | FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const StoreInspection = yield* inspection
    const target = yield* Effect.mapError(
      files.makeTempDirectoryScoped({ prefix: "effect-mqttx-store-" }),
      (error) =>
        usage(
          `there is no room for a copy of the store: ${error.message}`,
          "Point the variable TMPDIR to a disk with room."
        )
    )
    yield* Effect.mapError(StoreInspection.copy(directory, target), storeFailed)
    return yield* openStore(target)
  })

/** Loads a session, which repairs it where it is damaged. */
export const loadSession = (
  store: Store,
  session: string
): Effect.Effect<LoadedRecords & { readonly handle: SessionStoreHandle }, CommandFailed, Scope.Scope> =>
  Effect.mapError(
    Effect.flatMap(store.open(session), (handle) => Effect.map(handle.load, (loaded) => ({ ...loaded, handle }))),
    storeFailed
  )
