/**
 * Runs a flight record of a session: prints what the engine was told and what it answers now, step by step, and where
 * that is not what it answered when the record was made. It connects to no server. `replay` calls it for a file whose
 * first line is that of a flight record.
 */
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { CommandFailed, exitCodes, usage } from "../failure.ts"
import type { Line } from "../lines.ts"
import { outputFailed } from "../output.ts"

export interface RunOptions {
  readonly file: string
  /** Prints the state of the engine after this step, and runs no further. */
  readonly step: Option.Option<number>
  readonly isJson: boolean
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const textOf = ({ bytes }: Line): Result.Result<string, string> =>
  bytes === undefined
    ? Result.fail("the line is too long")
    : Result.try({ try: () => utf8.decode(bytes), catch: () => "this is no UTF-8" })

/** The record that begins with this line; undefined: no record does. Fails for a record that cannot be run. */
export const begin = (first: Line): Result.Result<FlightRecorder.Replay | undefined, string> => {
  const text = textOf(first)
  // What is wrong with the line is for those to say who read recordings.
  return Result.isFailure(text)
    ? Result.succeed(undefined)
    : Result.map(FlightRecorder.replay(text.success), Option.getOrUndefined)
}

const short = (value: unknown): string =>
  value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(
    value,
    (_, nested: unknown) => nested instanceof Uint8Array ? `${nested.length} bytes` : nested
  )

interface Listed {
  readonly _tag?: string
  readonly topic?: string
  readonly qos?: number
  readonly packetIdentifier?: number
}

const packetText = ({ _tag, packetIdentifier, qos, topic }: Listed): string =>
  `${(_tag ?? "").toUpperCase()}${
    packetIdentifier === undefined || packetIdentifier === 0 ? "" : ` ${packetIdentifier}`
  }${topic === undefined ? "" : ` ${JSON.stringify(topic)} QoS ${qos}`}`

/** What follows for the session, in words. */
const outputText = (output: FlightRecorder.ReplayedStep["output"]): ReadonlyArray<string> => {
  if (typeof output !== "object" || output === null) return []
  const { changes, deliveries, events, packets, settled } = output as {
    readonly changes?: ReadonlyArray<{ readonly _tag: string; readonly key?: string; readonly record?: Listed }>
    readonly packets?: ReadonlyArray<Listed>
    readonly deliveries: ReadonlyArray<{ readonly delivery: { readonly message: Listed } }>
    readonly settled: ReadonlyArray<{ readonly sequence: number; readonly outcome?: Listed }>
    readonly events: ReadonlyArray<Listed>
  }
  return [
    ...(changes ?? []).map(({ _tag, key, record }) =>
      `${_tag === "Put" ? "stores" : "deletes"} ${key ?? record?._tag}`
    ),
    ...(packets ?? []).map((packet) => `sends ${packetText(packet)}`),
    ...deliveries.map(({ delivery: { message } }) => `delivers ${JSON.stringify(message.topic)} QoS ${message.qos}`),
    ...settled.map(({ outcome, sequence }) => `settles message ${sequence}: ${outcome?._tag ?? "queued again"}`),
    ...events.map(({ _tag }) => `reports ${_tag}`)
  ]
}

const stepText = (step: FlightRecorder.ReplayedStep): string => {
  const { args, call, defect, isSame, now, recorded, result } = step
  if (step.kind === "state") {
    return isSame ? `${step.step}  the state is recorded` : `${step.step}  the state is not that of the record`
  }
  const received = call === "receive" ? args[0] as ReadonlyArray<Listed> : undefined
  const given = received === undefined ? args.map(short).filter((text) => text !== "").join(", ") : (
    received.map(packetText).join(", ")
  )
  const lines = [`${step.step}  ${now} ms  ${call}${given === "" ? "" : ` ${given}`}`]
  const answer = outputText(step.output)
  for (const line of answer) lines.push(`    ${line}`)
  if (answer.length === 0 && result !== null && result !== 0) lines.push(`    answers ${short(result)}`)
  if (defect !== undefined) lines.push(`    throws ${defect instanceof Error ? defect.message : short(defect)}`)
  if (!isSame) lines.push(`    DIFFERS: the record has ${short(recorded)}, and now it is ${short(result)}`)
  return lines.join("\n")
}

// An output refers to objects of the engine, which refer to each other: the line has what is said of them in words.
const stepJson = ({ defect, output, ...step }: FlightRecorder.ReplayedStep): string =>
  JSON.stringify({
    ...step,
    ...(output !== undefined && { output: outputText(output) }),
    ...(defect !== undefined && { defect: defect instanceof Error ? defect.message : short(defect) })
  })

/**
 * Runs the rest of the lines. Fails when the engine answers something else than it did.
 */
export const run = <R>(
  replay: FlightRecorder.Replay,
  lines: Stream.Stream<Line, CommandFailed, R>,
  { file, isJson, step: until }: RunOptions
): Effect.Effect<void, CommandFailed, R | Stdio.Stdio> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    let first: number | undefined
    let count = 0
    let steps = 0
    const about = {
      session: replay.session,
      cause: replay.cause,
      at: new Date(replay.at).toISOString(),
      dropped: replay.dropped
    }
    const header = isJson
      ? JSON.stringify(about)
      : `session ${about.session}, ${about.cause}, written at ${about.at}; ${about.dropped} earlier steps are not in it`
    const body = lines.pipe(
      Stream.mapEffect((line): Effect.Effect<FlightRecorder.ReplayedStep, CommandFailed> => {
        const step = Result.flatMap(textOf(line), replay.run)
        if (Result.isFailure(step)) {
          const what = `${file === "-" ? "the standard input" : file}, line ${line.number}: ${step.failure}`
          return Effect.fail(usage(what, "Everything before this line was run."))
        }
        if (step.success.kind === "step") steps = step.success.step
        if (!step.success.isSame) {
          count++
          first ??= step.success.step
        }
        return Effect.succeed(step.success)
      }),
      Option.isNone(until)
        ? (all) => all
        : Stream.takeUntil(({ kind, step }) => kind === "step" && step >= until.value),
      Stream.map(isJson ? stepJson : stepText)
    )
    const end = Stream.suspend(() => {
      if (Option.isNone(until) || steps !== until.value) return Stream.empty
      const state = replay.state()
      return Stream.make(
        isJson ? JSON.stringify({ state }) : `the state after step ${steps}:\n${JSON.stringify(state, null, 2)}`
      )
    })
    const isPrinted = yield* Stream.make(header).pipe(
      Stream.concat(body),
      Stream.concat(end),
      Stream.map((line) => `${line}\n`),
      Stream.run(stdio.stdout()),
      Effect.as(true),
      Effect.catchIf((error) => error._tag === "PlatformError", (error) => Effect.as(outputFailed(error), false))
    )
    // The reader has what it wants.
    if (!isPrinted) return
    if (Option.isSome(until) && steps !== until.value) {
      yield* Effect.fail(
        usage(`the record has no step ${until.value}`, "Each line of the output begins with its number.")
      )
    }
    if (first !== undefined) {
      yield* Effect.fail(
        new CommandFailed({
          what: `the engine answers differently in ${count} places, first at step ${first}`,
          advice: "Run the record with the version of the library that wrote it, or look at that step with --step.",
          exitCode: exitCodes.failed
        })
      )
    }
  })
