/**
 * Where the program writes the flight records of its sessions: a file for each, in one folder. It writes those that
 * sessions hand out by themselves, and on SIGUSR2 those of all sessions. It deletes none. `connection.ts` and the
 * gateway call it.
 */
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Path from "node:path"

/** `plant 1` as `plant%201`, and the time without what file systems refuse. */
const nameOf = ({ at, session }: FlightRecorder.FlightRecord): string =>
  `${encodeURIComponent(session)}-${new Date(at).toISOString().replaceAll(":", "")}.flight.jsonl`

/** Writes records into a folder, which it makes. Only the user of the process may read them. */
export const writeInto = (files: FileSystem.FileSystem, folder: string): FlightRecorder.Write => (record) => {
  const path = Path.join(folder, nameOf(record))
  return files.makeDirectory(folder, { recursive: true }).pipe(
    Effect.andThen(Stream.run(Stream.encodeText(record.lines), files.sink(path, { flag: "wx", mode: 0o600 }))),
    Effect.matchEffect({
      onSuccess: () => Effect.logWarning("a flight record is written; `effect-mqttx replay` runs it"),
      onFailure: (error) => Effect.logError(`a flight record cannot be written: ${error.message}`)
    }),
    Effect.annotateLogs({ session: record.session, cause: record.cause, file: path })
  )
}

/** Writes the records of the sessions on each SIGUSR2, until the scope ends. */
export const onSignal = (
  sessions: Effect.Effect<ReadonlyArray<Session>>,
  write: FlightRecorder.Write
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const signals = yield* Queue.sliding<void>(1)
    const listener = (): void => {
      Queue.offerUnsafe(signals, undefined)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("SIGUSR2", listener)),
      () => Effect.sync(() => process.off("SIGUSR2", listener))
    )
    const writeAll = Effect.flatMap(
      sessions,
      Effect.forEach((session) =>
        Effect.flatMap(
          FlightRecorder.of(session),
          Option.match({ onNone: () => Effect.void, onSome: write })
        ), { discard: true })
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(signals), writeAll)))
  })
