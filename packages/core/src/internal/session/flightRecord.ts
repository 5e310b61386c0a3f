/**
 * Flight records as programs see them, which `FlightRecorder` exports, and what a session knows of its recorder. The
 * recorder itself is `flightRecording.ts`, which only `FlightRecorder.layer` loads: most programs have none.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { MqttError } from "../../MqttError.ts"
import type { EngineOptions, SessionEngine } from "../engine/contract.ts"
import type { Session } from "./contract.ts"

/**
 * The inputs and outputs of a session's engine, up to the moment at which the record was requested.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface FlightRecord {
  /** The name of the session. */
  readonly session: string
  /** The server has violated the protocol, the session has found a defect in itself, or `of` was called. */
  readonly cause: "violation" | "defect" | "request"
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Number of steps in the record. */
  readonly steps: number
  /** Number of earlier steps that are not in the record. It begins with the state after them. */
  readonly dropped: number
  /** The record as text, each line with its line feed: JSON, one value on a line. */
  readonly lines: Stream.Stream<string>
}

/**
 * Gets the records that sessions emit by themselves.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Write = (record: FlightRecord) => Effect.Effect<void>

/**
 * A line of a record that was run.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ReplayedStep {
  /** `state`: the state of the engine before the steps after it. */
  readonly kind: "step" | "state"
  /** The number of the step, counted from the start of the session; for a state, that of the step before it. */
  readonly step: number
  /** Milliseconds of the session's clock. */
  readonly now: number
  /** The call to the engine. */
  readonly call: string
  /** Its arguments as they are in the record. */
  readonly args: ReadonlyArray<unknown>
  /** What the engine answered, and what it had answered when the record was made. */
  readonly result: unknown
  /** See `result`. */
  readonly recorded: unknown
  /** What the session has to do, where the call was `take` or `takeIndependent`; payloads are zeros. */
  readonly output: unknown
  /** What the engine threw; undefined: nothing. */
  readonly defect: unknown
  /** The engine has answered as it had, or has come to the same state. */
  readonly isSame: boolean
}

/**
 * An engine that runs a record line by line.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Replay extends Pick<FlightRecord, "session" | "at" | "dropped"> {
  /** Why the record was written, with the violation or the name of the error. */
  readonly cause: string
  /** Runs the next line. Fails with what is wrong with it. */
  readonly run: (line: string) => Result.Result<ReplayedStep, string>
  /** The state of the engine now, in values of JSON. */
  readonly state: () => unknown
}

/** What a recorder of a session needs. */
export interface RecorderOptions {
  readonly session: string
  readonly bytes: number
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** The recorder of a session. */
export interface SessionRecorder {
  /** The engine in place of the one that is recorded. */
  readonly engine: SessionEngine
  /** See `ConnectionHandlers.onBytes`. */
  readonly received: (bytes: Uint8Array, pending: number) => void
  /** A connection has ended, or an attempt failed. */
  readonly ended: (error: MqttError) => void
  /** An exception was caught outside of the engine. */
  readonly defect: (cause: unknown) => void
  readonly record: (cause: FlightRecord["cause"]) => FlightRecord
}

export type MakeRecorder = (
  engine: SessionEngine,
  engineOptions: EngineOptions,
  options: RecorderOptions
) => SessionRecorder

/** Makes the recorders of sessions; undefined: there is no `FlightRecorder.layer`. */
export const Recorders: Context.Reference<MakeRecorder | undefined> = Context.Reference(
  "@effect-mqttx/core/FlightRecorder",
  { defaultValue: (): MakeRecorder | undefined => undefined }
)

const recorders = new WeakMap<Session, SessionRecorder>()

/** The recorder of a session; undefined: it has none. */
export const recorderOf = (session: Session): SessionRecorder | undefined => recorders.get(session)

export const attachRecorder = (session: Session, recorder: SessionRecorder): void => {
  recorders.set(session, recorder)
}
