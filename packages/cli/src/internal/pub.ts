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
import type * as FileSystem from "effect/FileSystem"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import {
  type Connection,
  connectionFlags,
  open,
  optionsOf,
  qosFlag,
  type Will,
  willFlags,
  willOf
} from "./connection.ts"
import { type CommandFailed, fromMqtt, usage } from "./failure.ts"
import { onePayload, payloadCount, payloadFlags, type PayloadInput, payloadOf } from "./payload.ts"

const flags = {
  ...connectionFlags,
  topic: Flag.String("topic").pipe(Flag.withAlias("t"), Flag.withDescription("Topic of the message")),
  ...payloadFlags,
  lines: Flag.Boolean("stdin-line").pipe(
    Flag.withAlias("l"),
    Flag.withDescription("One message for each line of the standard input; reconnects when the connection is lost"),
    Flag.withDefault(false)
  ),
  qos: qosFlag,
  retain: Flag.Boolean("retain").pipe(
    Flag.withAlias("r"),
    Flag.withDescription("The server keeps the message for later subscribers"),
    Flag.withDefault(false)
  ),
  ...willFlags
}

interface Input extends Connection, PayloadInput, Will {
  readonly topic: string
  readonly lines: boolean
  readonly qos: QoS
  readonly retain: boolean
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
    const given = payloadCount(input) + (input.lines ? 1 : 0)
    if (given !== 1) {
      return yield* Effect.fail(
        onePayload(
          given,
          "Give one of -m TEXT, -f FILE, -l (lines of the standard input), -s (all of it) and -n (empty)."
        )
      )
    }
    const options = yield* optionsOf(input, "pub", input.lines, yield* willOf(input))
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
