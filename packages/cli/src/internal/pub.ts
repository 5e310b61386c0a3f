/**
 * `effect-mqttx pub`: publishes one message, or one for each line of the standard input. It ends with 0 when the server
 * has acknowledged all of them; QoS 0 has no acknowledgement, there they are written.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { PublishOptions } from "@effect-mqttx/core/Publication"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type Connection, connectionFlags, open, optionsOf, qosFlag } from "./connection.ts"
import { type CommandFailed, fromMqtt, usage } from "./failure.ts"

const flags = {
  ...connectionFlags,
  topic: Flag.String("topic").pipe(Flag.withAlias("t"), Flag.withDescription("Topic of the message")),
  message: Flag.String("message").pipe(
    Flag.withAlias("m"),
    Flag.withDescription("Payload; one that begins with - is written as -m=-5x"),
    Flag.optional
  ),
  file: Flag.String("file").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("The bytes of this file are the payload"),
    Flag.optional
  ),
  lines: Flag.Boolean("stdin-line").pipe(
    Flag.withAlias("l"),
    Flag.withDescription("One message for each line of the standard input; reconnects when the connection is lost"),
    Flag.withDefault(false)
  ),
  stdin: Flag.Boolean("stdin-file").pipe(
    Flag.withAlias("s"),
    Flag.withDescription("All of the standard input is the payload"),
    Flag.withDefault(false)
  ),
  empty: Flag.Boolean("null-message").pipe(
    Flag.withAlias("n"),
    Flag.withDescription("An empty payload; with -r it removes the retained message"),
    Flag.withDefault(false)
  ),
  qos: qosFlag,
  retain: Flag.Boolean("retain").pipe(
    Flag.withAlias("r"),
    Flag.withDescription("The server keeps the message for later subscribers"),
    Flag.withDefault(false)
  )
}

interface Input extends Connection {
  readonly topic: string
  readonly message: Option.Option<string>
  readonly file: Option.Option<string>
  readonly lines: boolean
  readonly stdin: boolean
  readonly empty: boolean
  readonly qos: QoS
  readonly retain: boolean
}

const readAll = (stream: Stream.Stream<Uint8Array, unknown>): Effect.Effect<Uint8Array, unknown> =>
  Effect.map(Stream.runCollect(stream), (parts) => {
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  })

/** The one payload of `-m`, `-f`, `-s` or `-n`. */
const payloadOf = (
  input: Input
): Effect.Effect<string | Uint8Array, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> => {
  const { file, message } = input
  if (Option.isSome(message)) return Effect.succeed(message.value)
  if (Option.isSome(file)) {
    return Effect.flatMap(FileSystem.FileSystem, (files) => files.readFile(file.value)).pipe(
      Effect.mapError((error) => usage(`-f cannot be read: ${error.message}`, "Check the path of the file."))
    )
  }
  if (input.empty) return Effect.succeed("")
  return Effect.flatMap(Stdio.Stdio, ({ stdin }) => readAll(stdin)).pipe(
    Effect.mapError(() => usage("the standard input cannot be read"))
  )
}

const publishLines = (
  session: Session,
  topic: string,
  options: PublishOptions
): Effect.Effect<number, CommandFailed, Stdio.Stdio> =>
  Effect.gen(function*() {
    const { stdin } = yield* Stdio.Stdio
    const messages = stdin.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.map((payload) => ({ topic, payload, options }))
    )
    const { published } = yield* session.publishAll(messages)
    return published
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "MqttError" ? fromMqtt(error) : usage(`the standard input cannot be read: ${error.message}`)
    )
  )

const run = (
  input: Input
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const given = [
      Option.isSome(input.message),
      Option.isSome(input.file),
      input.lines,
      input.stdin,
      input.empty
    ].filter(Boolean).length
    if (given !== 1) {
      return yield* Effect.fail(
        usage(
          given === 0 ? "there is nothing to publish" : "there is more than one payload",
          "Give one of -m TEXT, -f FILE, -l (lines of the standard input), -s (all of it) and -n (empty)."
        )
      )
    }
    const options = yield* optionsOf(input, "pub", input.lines)
    const publishOptions = { qos: input.qos, retain: input.retain }
    if (input.lines) {
      const session = yield* open(options)
      const published = yield* publishLines(session, input.topic, publishOptions)
      yield* Effect.logDebug(`published ${published} messages`)
      return
    }
    // The payload is read first: a file that is missing is no reason to connect.
    const payload = yield* payloadOf(input)
    const session = yield* open(options)
    yield* Effect.mapError(session.publish(input.topic, payload, publishOptions), fromMqtt)
  }).pipe(Effect.scoped)

/** The command `pub`. */
export const pub: Command.Command<"pub", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> = Command.make(
  "pub",
  flags,
  run
).pipe(
  Command.withDescription("Publishes a message, or the lines of the standard input"),
  Command.withExamples([
    { command: "effect-mqttx pub -h broker.example -t plant/temperature -m 23.5 -q 1" },
    { command: "tail -f app.log | effect-mqttx pub -h broker.example -t logs/app -l" }
  ])
)
