/**
 * The flight recorder of a session: wraps its engine, and hands the record out after a violation, after a defect, and
 * when it is asked for. `FlightRecorder.layer` loads it.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { MqttError } from "../../MqttError.ts"
import type { EngineOptions, SessionEngine } from "../engine/contract.ts"
import { type Fault, RecordedEngine } from "../engine/recording/recordedEngine.ts"
import { format, headerLine, keep, linesOf, version } from "../engine/recording/recordLines.ts"
import { monotonicMillis } from "../time.ts"
import type { FlightRecord, MakeRecorder, RecorderOptions, SessionRecorder, Write } from "./flightRecord.ts"

/** Milliseconds between two records of one cause: a server may violate the protocol with each packet. */
const pause = 60_000

/** Lines that are made without a pause. */
const chunkSize = 512

class Recorder implements SessionRecorder {
  readonly engine: RecordedEngine
  readonly #options: RecorderOptions
  readonly #toPlace: Write
  readonly #quietUntil = new Map<FlightRecord["cause"], number>()

  constructor(engine: SessionEngine, engineOptions: EngineOptions, options: RecorderOptions, write: Write) {
    this.#options = options
    this.#toPlace = write
    this.engine = new RecordedEngine(engine, engineOptions, options.bytes, (fault) => this.#onFault(fault))
  }

  received(bytes: Uint8Array, pending: number): void {
    this.engine.received(bytes, pending)
  }

  /** A connection has ended, or an attempt failed. */
  ended({ reason }: MqttError): void {
    if (reason._tag === "ProtocolViolation") this.#write("violation", reason.detail)
  }

  /** An exception was caught outside of the engine. */
  defect(cause: unknown): void {
    this.#write("defect", nameOf(cause))
  }

  record(cause: FlightRecord["cause"], detail?: string): FlightRecord {
    const { clock, session } = this.#options
    const { recording } = this.engine
    const { dropped, options } = recording
    const kept = keep(recording)
    const at = clock.currentTimeMillisUnsafe()
    const first = headerLine({
      format,
      version,
      session,
      cause,
      ...(detail !== undefined && { detail }),
      at,
      dropped,
      options
    })
    const lines = Stream.suspend(() => Stream.fromIterable(linesOf(kept), { chunkSize }))
    return {
      session,
      cause,
      at,
      steps: recording.segments.reduce((count, { steps }) => count + steps, 0),
      dropped,
      lines: Stream.map(
        // The text of a large record takes long: others get their turn between the parts.
        Stream.concat(Stream.succeed(first), Stream.mapArrayEffect(lines, (part) => Effect.as(Effect.yieldNow, part))),
        (line) => `${line}\n`
      )
    }
  }

  #onFault(fault: Fault): void {
    if (fault._tag === "violation") this.#write("violation", fault.violation.detail)
    else this.defect(fault.cause)
  }

  #write(cause: FlightRecord["cause"], detail: string): void {
    const { clock, fork } = this.#options
    const now = monotonicMillis(clock)
    if (now < (this.#quietUntil.get(cause) ?? -Infinity)) return
    this.#quietUntil.set(cause, now + pause)
    const record = this.record(cause, detail)
    fork(Effect.suspend(() => this.#toPlace(record)))
  }
}

/** The message of an exception may quote what was published. */
const nameOf = (cause: unknown): string => cause instanceof Error ? cause.name : typeof cause

/** Makes recorders whose records `write` takes. */
export const recordersFor = (write: Write): MakeRecorder => (engine, engineOptions, options) =>
  new Recorder(engine, engineOptions, options, write)
