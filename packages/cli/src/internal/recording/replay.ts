/**
 * `effect-mqttx replay FILE`: runs a flight record, see `flightRecord.ts`, or publishes a recording of `record` or of
 * `sub --json`, in its order and with its gaps.
 * Servers keep the order of messages of one QoS, not of several. It reads the file as it goes, so the size of the file
 * does not matter. A damaged line ends it, by its number.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { OutgoingMessage } from "@effect-mqttx/core/Publication"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type Connection, connectionFlags, open, optionsOf } from "../connection.ts"
import { type CommandFailed, fromMqtt, usage } from "../failure.ts"
import { type Line, linesOf } from "../lines.ts"
import { showProgress } from "../progress.ts"
import * as FlightRecord from "./flightRecord.ts"
import { parse, type RecordedMessage } from "./recordedMessage.ts"

/** A speed as a factor; undefined: without gaps. */
const speedOf = (text: string): Option.Option<number | undefined> => {
  if (text === "max") return Option.some(undefined)
  const speed = Number(text)
  return Number.isFinite(speed) && speed > 0 ? Option.some(speed) : Option.none()
}

const config = {
  file: Argument.String("file").pipe(Argument.withDescription("File to publish; - is the standard input")),
  ...connectionFlags,
  speed: Flag.String("speed").pipe(
    Flag.withMetavar("<number|max>"),
    Flag.filterMap(speedOf, (text) => `expected a number above 0 or max, got ${text}`),
    Flag.withDescription("2 is twice as fast, 0.5 half as fast, max without gaps; default 1"),
    Flag.withDefault(1)
  ),
  qos: Flag.ChoiceWithValue("qos", [["0", 0], ["1", 1], ["2", 2]] as const).pipe(
    Flag.withAlias("q"),
    Flag.withDescription("Quality of service of all messages; default: as recorded"),
    Flag.optional
  ),
  count: Flag.Int("count").pipe(
    Flag.withAlias("C"),
    Flag.filter((count) => count >= 1, (count) => `expected a number of at least 1, got ${count}`),
    Flag.withDescription("Ends after so many messages"),
    Flag.optional
  ),
  step: Flag.Int("step").pipe(
    Flag.filter((step) => step >= 1, (step) => `expected a number of at least 1, got ${step}`),
    Flag.withDescription("Of a flight record: ends after this step, and prints the state of the engine"),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Of a flight record: prints one line of JSON for each step"),
    Flag.withDefault(false)
  ),
  loop: Flag.Boolean("loop").pipe(
    Flag.withDescription("Begins again at the end of the file, until it is interrupted or -C is reached"),
    Flag.withDefault(false)
  )
}

interface Input extends Connection {
  readonly file: string
  readonly speed: number | undefined
  readonly qos: Option.Option<QoS>
  readonly count: Option.Option<number>
  readonly loop: boolean
  readonly step: Option.Option<number>
  readonly json: boolean
}

const damaged = (file: string, line: Line, what: string): CommandFailed =>
  usage(
    `${file === "-" ? "the standard input" : file}, line ${line.number}: ${what}`,
    "The messages before it were published. Mend or remove the line."
  )

type Lines = Stream.Stream<Line, CommandFailed, FileSystem.FileSystem | Stdio.Stdio>

/** The lines of a file, read once. */
const linesIn = (file: string): Lines => {
  const bytes: Stream.Stream<Uint8Array, PlatformError, FileSystem.FileSystem | Stdio.Stdio> = file === "-"
    ? Stream.unwrap(Effect.map(Stdio.Stdio, ({ stdin }) => stdin))
    : Stream.unwrap(Effect.map(FileSystem.FileSystem, (files) => files.stream(file)))
  return Stream.mapError(
    linesOf(bytes),
    (error) => usage(`the file cannot be read: ${error.message}`, "Check the path of the file.")
  )
}

/** The first line, and all lines. The standard input can be read only once. */
const opened = (
  file: string
): Effect.Effect<
  readonly [Option.Option<Line>, Lines],
  CommandFailed,
  FileSystem.FileSystem | Stdio.Stdio | Scope.Scope
> => {
  const lines = linesIn(file)
  return file === "-"
    ? Effect.map(
      Stream.peel(lines, Sink.head<Line>()),
      ([first, rest]) => [first, Stream.concat(Stream.fromIterable(Option.toArray(first)), rest)] as const
    )
    : Effect.map(Stream.runHead(lines), (first) => [first, lines] as const)
}

/** The messages of a recording. */
const messagesOf = (
  lines: Lines,
  file: string
): Stream.Stream<RecordedMessage, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  lines.pipe(
    Stream.mapEffect((line) => {
      const parsed = parse(line)
      return Result.isSuccess(parsed)
        ? Effect.succeed(parsed.success)
        : Effect.fail(damaged(file, line, parsed.failure))
    }),
    Stream.filter((message) => message !== undefined)
  )

/** Lets each message wait until its time, counted from the first one. */
const paced = <E, R>(
  messages: Stream.Stream<RecordedMessage, E, R>,
  speed: number | undefined
): Stream.Stream<OutgoingMessage, E, R> => {
  if (speed === undefined) return Stream.map(messages, ({ message }) => message)
  return Stream.suspend(() => {
    let begin: { readonly now: number; readonly receivedAt: number } | undefined
    return Stream.mapEffect(messages, ({ message, receivedAt }) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        begin ??= { now, receivedAt }
        const due = begin.now + (receivedAt - begin.receivedAt) / speed
        if (due > now) yield* Effect.sleep(due - now)
        return message
      }))
  })
}

/** Reads the file again and again, unless it has no message. */
const looped = (
  file: string,
  once: Stream.Stream<OutgoingMessage, CommandFailed, FileSystem.FileSystem | Stdio.Stdio>
): Stream.Stream<OutgoingMessage, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Stream.suspend(() => {
    let count = 0
    const counted = Stream.tap(once, () => Effect.sync(() => count++))
    const checked = Stream.concat(
      counted,
      Stream.unwrap(
        Effect.suspend(() =>
          count > 0 ? Effect.succeed(Stream.empty) : Effect.fail(usage(`${file} has no message to repeat`))
        )
      )
    )
    return Stream.forever(checked)
  })

const publish = (
  input: Input,
  lines: Lines
): Effect.Effect<void, CommandFailed | MqttError, FileSystem.FileSystem | Stdio.Stdio | Scope.Scope> =>
  Effect.gen(function*() {
    const once = paced(messagesOf(lines, input.file), input.speed)
    const { qos } = input
    const messages = (input.loop ? looped(input.file, once) : once).pipe(
      Option.isSome(input.count) ? Stream.take(input.count.value) : (all) => all,
      Option.isNone(qos)
        ? (all) => all
        : Stream.map(({ options, payload, topic }) => ({ topic, payload, options: { ...options, qos: qos.value } }))
    )
    const session = yield* open(yield* optionsOf(input, "replay", true))
    let count = 0
    const { published } = yield* Effect.scoped(Effect.andThen(
      showProgress(() => `${count} messages`),
      session.publishAll(Stream.tap(messages, () => Effect.sync(() => count++)))
    ))
    yield* Console.error(`published ${published} messages`)
  })

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    if (input.loop && input.file === "-") {
      return yield* Effect.fail(usage("--loop cannot read the standard input again", "Give a file."))
    }
    // A file that is missing is no reason to connect.
    const [first, lines] = yield* opened(input.file)
    if (Option.isNone(first)) return yield* publish(input, lines)
    const replay = yield* Effect.mapError(
      Effect.fromResult(FlightRecord.begin(first.value)),
      (what) => damaged(input.file, first.value, what)
    )
    if (replay !== undefined) {
      return yield* FlightRecord.run(replay, Stream.drop(lines, 1), {
        file: input.file,
        step: input.step,
        isJson: input.json
      })
    }
    if (Option.isSome(input.step) || input.json) {
      return yield* Effect.fail(
        usage("--step and --json are for flight records, and this is a recording of messages", "Leave them out.")
      )
    }
    yield* publish(input, lines)
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => error._tag === "MqttError" ? fromMqtt(error) : error)
  )

/** The command `replay`. */
export const replay: Command.Command<"replay", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> = Command
  .make("replay", config, run)
  .pipe(
    Command.withDescription("Publishes a recording, in its order and with its gaps, or runs a flight record"),
    Command.withExamples([
      { command: "effect-mqttx replay plant.jsonl -h test.example --speed 10" },
      { command: "effect-mqttx replay plant.jsonl -h test.example --speed max -q 1 --loop -C 100000" },
      { command: "effect-mqttx replay plant-flight.jsonl --step 1200" }
    ])
  )
