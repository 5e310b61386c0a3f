/**
 * `effect-mqttx record FILE`: subscribes, and writes what arrives to a file, one line of JSON for each message, as
 * `sub --json` prints it. A message is acknowledged after it was written. It never writes over a file unless it is
 * asked to. `replay` publishes such a file.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type Connection, connectionFlags, open, optionsOf, qosFlag } from "../connection.ts"
import { endWith } from "../ending.ts"
import { CommandFailed, exitCodes, fromMqtt, usage } from "../failure.ts"
import { jsonOf } from "../format.ts"
import { outputFailed } from "../output.ts"
import { showProgress } from "../progress.ts"

const config = {
  file: Argument.String("file").pipe(Argument.withDescription("File to write; - is the standard output")),
  ...connectionFlags,
  topics: Flag.String("topic").pipe(
    Flag.withAlias("t"),
    Flag.withDescription("Topic filter, with + and #; may be given more than once"),
    Flag.atLeast(1)
  ),
  qos: qosFlag,
  count: Flag.Int("count").pipe(
    Flag.withAlias("C"),
    Flag.filter((count) => count >= 1, (count) => `expected a number of at least 1, got ${count}`),
    Flag.withDescription("Ends after so many messages"),
    Flag.optional
  ),
  seconds: Flag.Finite("timeout").pipe(
    Flag.withAlias("W"),
    Flag.filter((seconds) => seconds > 0, (seconds) => `expected a number of seconds above 0, got ${seconds}`),
    Flag.withDescription("Ends after so many seconds; with -C, and fewer messages by then, with exit code 27"),
    Flag.optional
  ),
  append: Flag.Boolean("append").pipe(
    Flag.withDescription("Writes behind what the file has"),
    Flag.withDefault(false)
  ),
  force: Flag.Boolean("force").pipe(Flag.withDescription("Replaces a file that exists"), Flag.withDefault(false))
}

interface Input extends Connection {
  readonly file: string
  readonly topics: ReadonlyArray<string>
  readonly qos: QoS
  readonly count: Option.Option<number>
  readonly seconds: Option.Option<number>
  readonly append: boolean
  readonly force: boolean
}

const fileFailed = (error: PlatformError): CommandFailed =>
  error.reason._tag === "AlreadyExists"
    ? usage("the file exists", "Give another name, --append to write behind what it has, or --force to replace it.")
    : new CommandFailed({
      what: `the file cannot be written: ${error.message}`,
      advice: "Check the path of the file, its rights, and the space of the disk.",
      exitCode: error.reason._tag === "NotFound" || error.reason._tag === "PermissionDenied"
        ? exitCodes.usage
        : exitCodes.failed
    })

type Write = (text: string) => Effect.Effect<void, CommandFailed>

/** How text gets to the file or to the standard output. An interruption waits for a line that is being written. */
const openOutput = (
  input: Input
): Effect.Effect<Write, CommandFailed, FileSystem.FileSystem | Stdio.Stdio | Scope.Scope> =>
  Effect.gen(function*() {
    if (input.file === "-") {
      const stdio = yield* Stdio.Stdio
      return (text: string) => Effect.catch(Stream.run(Stream.make(text), stdio.stdout()), outputFailed)
    }
    const files = yield* FileSystem.FileSystem
    const flag = input.append ? "a" : input.force ? "w" : "wx"
    const file = yield* Effect.mapError(files.open(input.file, { flag }), fileFailed)
    const encoder = new TextEncoder()
    return (text: string) => Effect.uninterruptible(Effect.mapError(file.writeAll(encoder.encode(text)), fileFailed))
  })

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const options = yield* optionsOf(input, "record", true)
    const session = yield* open(options)
    const subscription = yield* session.subscription(input.topics, {
      qos: input.qos,
      onOverflow: "suspend",
      // MQTT 3.1.1 has no such option: there, only messages that the server had retained have the flag.
      ...(options.protocolVersion === 5 && { retainAsPublished: true })
    })
    const write = yield* openOutput(input)
    yield* Effect.logDebug(`subscribed to ${input.topics.join(", ")}`)
    let count = 0
    const store = (messages: ReadonlyArray<Message>): Effect.Effect<void, CommandFailed> =>
      Effect.map(write(messages.map((message) => `${jsonOf(message)}\n`).join("")), () => {
        count += messages.length
      })
    // Messages on the standard output may go to the same terminal.
    const progress = input.file === "-" ? Effect.void : showProgress(() => `${count} messages`)
    const recording = subscription.messages.pipe(
      Option.isSome(input.count) ? Stream.take(input.count.value) : (messages) => messages,
      Stream.runForEachArray(store),
      (storing) => Effect.scoped(Effect.andThen(progress, storing)),
      // This is how most recordings end.
      Effect.onInterrupt(() => Effect.sync(() => endWith(exitCodes.done))),
      Effect.ensuring(Effect.suspend(() => Console.error(`recorded ${count} messages`)))
    )
    yield* Option.isNone(input.seconds) ? recording : Effect.timeoutOrElse(recording, {
      duration: `${input.seconds.value} seconds`,
      orElse: () =>
        Option.isNone(input.count) ? Effect.void : Effect.fail(
          new CommandFailed({
            what: "the time of -W is over",
            advice: undefined,
            exitCode: exitCodes.timeout
          })
        )
    })
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => error._tag === "MqttError" ? fromMqtt(error) : error)
  )

/** The command `record`. */
export const record: Command.Command<"record", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> = Command
  .make("record", config, run)
  .pipe(
    Command.withDescription("Subscribes, and writes what arrives with its times to a file for `replay`"),
    Command.withExamples([
      { command: "effect-mqttx record plant.jsonl -h broker.example -t 'plant/#' -q 1 -W 60" }
    ])
  )
