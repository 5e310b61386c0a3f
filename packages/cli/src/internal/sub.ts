/**
 * `effect-mqttx sub`: subscribes and prints what arrives on the standard output, and nothing else there. It goes on
 * until it has what was asked for, the time is over, or it is interrupted. It subscribes again after a lost connection.
 */
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
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
import { CommandFailed, exitCodes, fromMqtt } from "./failure.ts"
import { type Format, formatMessage, formatValue } from "./format.ts"
import { type JsonPath, parsePath } from "./jsonPath.ts"
import { outputFailed } from "./output.ts"
import { awaitEnd, type End, endOf } from "./until.ts"

const atLeastOne = (value: number): string => `expected a number of at least 1, got ${value}`

const flags = {
  ...connectionFlags,
  topics: Flag.String("topic").pipe(
    Flag.withAlias("t"),
    Flag.withDescription("Topic filter, with + and #; may be given more than once"),
    Flag.atLeast(1)
  ),
  qos: qosFlag,
  count: Flag.Int("count").pipe(
    Flag.withAlias("C"),
    Flag.filter((count) => count >= 1, atLeastOne),
    Flag.withDescription("Ends after so many messages"),
    Flag.optional
  ),
  seconds: Flag.Finite("timeout").pipe(
    Flag.withAlias("W"),
    Flag.filter((seconds) => seconds > 0, (seconds) => `expected a number of seconds above 0, got ${seconds}`),
    Flag.withDescription("Ends after so many seconds, with exit code 27"),
    Flag.optional
  ),
  until: Flag.String("until").pipe(
    Flag.withMetavar("<duration|time>"),
    Flag.filterMap(
      endOf,
      (text) => `expected a duration such as 30s, 10m, 2h, 1d, or a time such as 2027-01-31T18:00, got ${text}`
    ),
    Flag.withDescription("Ends after this duration (30s, 10m, 2h, 1d) or at this time (2027-01-31T18:00, ISO 8601)"),
    Flag.optional
  ),
  jsonPath: Flag.String("json-path").pipe(
    Flag.withMetavar("<path>"),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(parsePath(text)),
      (text) => `expected a path such as $.values[0], got ${text}`
    ),
    Flag.withDescription("Prints this value of JSON payloads, and leaves out messages without it"),
    Flag.optional
  ),
  retainedOnly: Flag.Boolean("retained-only").pipe(
    Flag.withDescription("Prints retained messages, and ends with the first one that is not"),
    Flag.withDefault(false)
  ),
  format: Flag.Literals("format", ["text", "json", "hex"]).pipe(
    Flag.withDescription("How a message is printed; default text"),
    Flag.withDefault("text" as const)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("The same as --format json"), Flag.withDefault(false)),
  verbose: Flag.Boolean("verbose").pipe(
    Flag.withAlias("v"),
    Flag.withDescription("Prints the topic before the payload"),
    Flag.withDefault(false)
  ),
  ...willFlags
}

interface Input extends Connection, Will {
  readonly topics: ReadonlyArray<string>
  readonly qos: QoS
  readonly count: Option.Option<number>
  readonly seconds: Option.Option<number>
  readonly until: Option.Option<End>
  readonly jsonPath: Option.Option<JsonPath>
  readonly retainedOnly: boolean
  readonly format: Format
  readonly json: boolean
  readonly verbose: boolean
}

const timeIsOver = (flag: string): CommandFailed =>
  new CommandFailed({ what: `the time of ${flag} is over`, advice: undefined, exitCode: exitCodes.timeout })

const print = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    const isTerminal = yield* stdio.stdoutIsTerminal
    const format = { format: input.json ? "json" as const : input.format, withTopic: input.verbose, isTerminal }
    const end = Option.isNone(input.until) ? undefined : yield* Effect.forkScoped(awaitEnd(input.until.value))
    const session = yield* open(yield* optionsOf(input, "sub", true, yield* willOf(input)))
    const subscription = yield* session.subscription(input.topics, { qos: input.qos, onOverflow: "suspend" })
    yield* Effect.logDebug(`subscribed to ${input.topics.join(", ")}`)
    const lower = subscription.granted.filter((granted) => granted < input.qos)
    if (lower.length > 0) yield* Effect.logWarning(`the server grants QoS ${Math.min(...lower)} only`)
    const path = Option.getOrUndefined(input.jsonPath)
    let isOver = false
    yield* subscription.messages.pipe(
      input.retainedOnly ? Stream.takeWhile((message) => message.retain) : (messages) => messages,
      Stream.map((message) => path === undefined ? formatMessage(message, format) : formatValue(message, path, format)),
      Stream.filter((shown) => shown !== undefined),
      Option.isSome(input.count) ? Stream.take(input.count.value) : (all) => all,
      end === undefined ? (all) => all : Stream.interruptWhen(Effect.map(Fiber.join(end), () => {
        isOver = true
      })),
      Stream.run(stdio.stdout())
    )
    if (isOver && Option.isSome(input.count)) return yield* Effect.fail(timeIsOver("--until"))
  }).pipe(
    Effect.scoped,
    Effect.catchTags({
      MqttError: (error) => Effect.fail(fromMqtt(error)),
      PlatformError: outputFailed
    })
  )

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Option.isNone(input.seconds) ? print(input) : Effect.timeoutOrElse(print(input), {
    duration: `${input.seconds.value} seconds`,
    orElse: () => Effect.fail(timeIsOver("-W"))
  })

/** The command `sub`. */
export const sub: Command.Command<"sub", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> = Command.make(
  "sub",
  flags,
  run
).pipe(
  Command.withDescription("Subscribes, and prints what arrives"),
  Command.withExamples([
    { command: "effect-mqttx sub -h broker.example -t 'plant/#' -v" },
    { command: "effect-mqttx sub --url wss://broker.example/mqtt -t 'plant/#' --json -C 10" }
  ])
)
