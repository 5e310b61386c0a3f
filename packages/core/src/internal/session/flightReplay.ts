/**
 * Runs flight records for `FlightRecorder.replay`, which loads it.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { makeEngine } from "../engine/engine.ts"
import type { Header } from "../engine/recording/recordLines.ts"
import { parseHeader, ReplayedEngine } from "../engine/recording/replayedEngine.ts"
import type { Replay, ReplayedStep } from "./flightRecord.ts"

export const begin = (firstLine: string): Result.Result<Option.Option<Replay>, string> =>
  Result.map(attempt(() => parseHeader(firstLine)), (header) => Option.map(Option.fromUndefinedOr(header), makeReplay))

const makeReplay = (header: Header): Replay => {
  const replayed = new ReplayedEngine(makeEngine(header.options), header)
  const { at, cause, detail, dropped, session } = header
  return {
    session,
    at,
    dropped,
    cause: detail === undefined ? cause : `${cause}: ${detail}`,
    run: (line) =>
      Result.map(attempt(() => replayed.run(line)), ({ _tag, ...step }): ReplayedStep => ({
        ...step,
        kind: _tag === "Step" ? "step" : "state"
      })),
    state: () => replayed.state
  }
}

const attempt = <A>(run: () => A): Result.Result<A, string> =>
  Result.try({ try: run, catch: (cause) => cause instanceof Error ? cause.message : String(cause) })
