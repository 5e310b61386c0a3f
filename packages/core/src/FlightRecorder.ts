/**
 * Flight records: the inputs and outputs of a session's engine, kept in a bounded ring, so that a fault can be run
 * again.
 *
 * The option `flightRecorder` gives the ring its size in bytes; by default there is none. It needs `layer` in the
 * context in which the session is made. A session emits its record when the server violates the protocol, when the
 * session finds a defect in itself, and when `of` asks for it. The first two go to the function that `layer` takes,
 * each at most once a minute.
 *
 * A record has topics, sizes, identifiers, times and reason codes. It has no payload, no credentials, no data of
 * enhanced authentication, no correlation data, and user properties by their size only: nothing else about them decides
 * what a session does. `replay` runs the engine of this library on a record: with the same engine the outputs are the
 * same.
 *
 * **Example** (Keeping the records of a program in a folder)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
 * import { Effect, FileSystem, Layer, Stream } from "effect"
 *
 * const Records = Layer.unwrap(Effect.map(FileSystem.FileSystem, (files) =>
 *   FlightRecorder.layer(({ at, lines, session }) =>
 *     Stream.encodeText(lines).pipe(
 *       Stream.run(files.sink(`records/${session}-${at}.jsonl`)),
 *       Effect.catch((error) => Effect.logError("no flight record", error))
 *     )
 *   )))
 *
 * export const Plant = MqttSession.layer({
 *   name: "plant",
 *   servers: ["mqtt://localhost:1883"],
 *   flightRecorder: 4_194_304
 * }).pipe(Layer.provide(Records))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import { callable, checkedLayer } from "./internal/options/plain.ts"
import { type FlightRecord, recorderOf, Recorders, type Replay, type Write } from "./internal/session/flightRecord.ts"
import { recordersFor } from "./internal/session/flightRecording.ts"
import { begin } from "./internal/session/flightReplay.ts"
import type { Session } from "./MqttSession.ts"

export type { FlightRecord, Replay, ReplayedStep, Write } from "./internal/session/flightRecord.ts"

/**
 * Records the sessions that are made with the layer in their context and have the option `flightRecorder`. `write` gets
 * the records that they emit by themselves; by default these are dropped.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (write: Write = () => Effect.void): Layer.Layer<never> =>
  checkedLayer(
    { write },
    { write: callable },
    "FlightRecorder.layer",
    () => Layer.succeed(Recorders, recordersFor(write))
  )

/**
 * The record of a session now. `None` without the option `flightRecorder`.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const of = (session: Session): Effect.Effect<Option.Option<FlightRecord>> =>
  Effect.sync(() => Option.map(Option.fromUndefinedOr(recorderOf(session)), (recorder) => recorder.record("request")))

/**
 * Begins to run a record, whose first line this is. `None`: this is not the first line of a record. Fails with what is
 * wrong with it.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const replay = (firstLine: string): Result.Result<Option.Option<Replay>, string> => begin(firstLine)
