/**
 * `effect-mqttx request TOPIC`: sends a request with a response topic and correlation data (MQTT 4.10), and prints the
 * answer on the standard output. It waits for one answer, and no longer than its time. With MQTT 3.1.1, which has no
 * such properties, the topics carry them, as `RequestResponse` of the core does it.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import * as Publication from "@effect-mqttx/core/Publication"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as RequestResponse from "@effect-mqttx/core/RequestResponse"
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type Connection, connectionFlags, open, optionsOf } from "./connection.ts"
import { CommandFailed, exitCodes, fromMqtt, usage } from "./failure.ts"
import { type Format, formatPayload, payloadFields } from "./format.ts"
import { outputFailed } from "./output.ts"
import { onePayload, payloadCount, payloadFlags, type PayloadInput, payloadOf } from "./payload.ts"

const config = {
  place: Argument.String("topic").pipe(Argument.withDescription("Topic of the request"), Argument.optional),
  ...connectionFlags,
  topic: Flag.String("topic").pipe(
    Flag.withAlias("t"),
    Flag.withDescription("The topic as a flag, as for mosquitto_rr"),
    Flag.optional
  ),
  ...payloadFlags,
  qos: Flag.ChoiceWithValue("qos", [["0", 0], ["1", 1], ["2", 2]] as const).pipe(
    Flag.withAlias("q"),
    Flag.withDescription("Quality of service of the request; default 1"),
    Flag.withDefault(1 as const)
  ),
  seconds: Flag.Finite("timeout").pipe(
    Flag.withAlias("W"),
    Flag.filter((seconds) => seconds > 0, (seconds) => `expected a number of seconds above 0, got ${seconds}`),
    Flag.withDescription("Ends after so many seconds without an answer, with exit code 27; default 10"),
    Flag.withDefault(10)
  ),
  format: Flag.Literals("format", ["text", "json", "hex"]).pipe(
    Flag.withDescription("How the answer is printed; default text"),
    Flag.withDefault("text" as const)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("The same as --format json"), Flag.withDefault(false))
}

interface Input extends Connection, PayloadInput {
  readonly place: Option.Option<string>
  readonly topic: Option.Option<string>
  readonly qos: QoS
  readonly seconds: number
  readonly format: Format
  readonly json: boolean
}

// The whole topic is one parameter.
const question = RequestResponse.template("*topic", {
  request: PayloadCodec.bytes,
  response: PayloadCodec.bytes,
  failure: PayloadCodec.bytes
})

const topicOf = (input: Input): Effect.Effect<string, CommandFailed> => {
  const given = [input.place, input.topic].filter(Option.isSome)
  if (given.length !== 1) {
    return Effect.fail(
      usage(given.length === 0 ? "there is no topic" : "there is more than one topic", "effect-mqttx request TOPIC")
    )
  }
  const topic = given[0]!.value
  return Topic.isValidName(topic)
    ? Effect.succeed(topic)
    : Effect.fail(usage("the topic is not valid", "A request goes to one topic, without + and #."))
}

const failed = (error: MqttError, options: SessionOptions, input: Input): CommandFailed => {
  const { reason } = error
  if (reason._tag === "Timeout") {
    return new CommandFailed({
      what: `there was no answer within ${input.seconds} s`,
      advice: options.protocolVersion === 5
        ? "Does a program answer at this topic, and does it know response topics (MQTT 5)? -W waits longer."
        : "MQTT 3.1.1 has no response topic: only responders of effect-mqttx answer then. Try -V 5.",
      exitCode: exitCodes.timeout
    })
  }
  if (reason._tag === "RequestFailed" && reason.status === "noResponder") {
    return new CommandFailed({
      what: "nothing is subscribed to the topic of the request",
      advice: "Check the topic, and that the program that answers is running.",
      exitCode: exitCodes.failed
    })
  }
  if (reason._tag === "UnsupportedVersion") {
    return new CommandFailed({
      what: reason.message,
      advice: "This server has no MQTT 5. With -V 3.1.1, responders of effect-mqttx can answer, and no others.",
      exitCode: exitCodes.refused
    })
  }
  return fromMqtt(error)
}

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const topic = yield* topicOf(input)
    const given = payloadCount(input)
    if (given > 1) return yield* Effect.fail(onePayload(given, "Give one of -m TEXT, -f FILE, -s and -n."))
    const payload = Result.getOrThrow(Publication.toBytes(given === 0 ? "" : yield* payloadOf(input)))
    const options = yield* optionsOf(input, "request", false)
    const session = yield* open(options)
    const stdio = yield* Stdio.Stdio
    const isTerminal = yield* stdio.stdoutIsTerminal
    const answer = yield* Effect.result(
      question.request(session, { topic }, payload, {
        timeout: `${input.seconds} seconds`,
        qos: input.qos,
        contentType: "ignore"
      })
    )
    if (Result.isFailure(answer) && answer.failure instanceof MqttError) {
      return yield* Effect.fail(failed(answer.failure, options, input))
    }
    const bytes = Result.merge(answer) as Uint8Array
    const format = input.json ? "json" : input.format
    const status = Result.isSuccess(answer) ? "ok" : "failure"
    const text = format === "json"
      ? `${JSON.stringify({ topic, status, ...payloadFields(bytes) })}\n`
      : formatPayload(bytes, { format, before: "", isTerminal })
    yield* Effect.catch(Stream.run(Stream.make(text), stdio.stdout()), outputFailed)
    if (status === "failure") {
      return yield* Effect.fail(
        new CommandFailed({ what: "the answer is a failure", advice: undefined, exitCode: exitCodes.failed })
      )
    }
  }).pipe(Effect.scoped)

/** The command `request`. */
export const request: Command.Command<"request", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =
  Command.make("request", config, run).pipe(
    Command.withDescription("Sends a request, and prints the answer"),
    Command.withExamples([
      { command: "effect-mqttx request rooms/kitchen/lamp/set -h broker.example -m '{\"on\":true}' -W 2" }
    ])
  )
