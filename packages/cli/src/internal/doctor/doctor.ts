/**
 * `effect-mqttx doctor URL`: goes the way to a server step by step, tries what it can do, and says what to set. It ends
 * at the first step of the way that does not work. It publishes to a private topic, and leaves nothing at the server.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import type { ConnectionInfo } from "@effect-mqttx/core/SessionStatus"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as ScopedRef from "effect/ScopedRef"
import * as Struct from "effect/Struct"
import { type Access, accessFlags, open, optionsOf } from "../connection.ts"
import { CommandFailed, type ExitCode, exitCodes, seeDoctor, usage } from "../failure.ts"
import { abilities } from "./abilities.ts"
import { type Check, check, linesOf } from "./check.ts"
import { dns, tcp, tls, webSocket } from "./network.ts"

const config = {
  server: Argument.String("url").pipe(
    Argument.withDescription("Address of the server: mqtt://, mqtts://, ws://, wss://")
  ),
  ...accessFlags,
  topic: Flag.String("topic").pipe(
    Flag.withAlias("t"),
    Flag.withDescription("Topic below which messages are published; default effect-mqttx/doctor"),
    Flag.withDefault("effect-mqttx/doctor")
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Prints one JSON object"), Flag.withDefault(false))
}

interface Input extends Access {
  readonly server: string
  readonly topic: string
  readonly json: boolean
}

type Limits = Omit<ConnectionInfo, "server" | "clientId" | "sessionPresent" | "properties">

interface Report {
  readonly server: string
  readonly checks: Array<Check>
  limits?: Limits
  exitCode: ExitCode
}

const limitsOf: (info: ConnectionInfo) => Limits = Struct.omit(["server", "clientId", "sessionPresent", "properties"])

/** The steps below MQTT; false: one of them does not work. */
const network = (
  report: Report,
  address: ServerAddress.ServerAddress,
  options: SessionOptions,
  tell: (check: Check) => Effect.Effect<void>
): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const steps = address.protocol === "unix" ? [] : [
      dns(address.host),
      tcp(address),
      ...(ServerAddress.isSecure(address) ? [tls(address, options.tls)] : []),
      ...(address.protocol.startsWith("ws") ? [webSocket(address, options)] : [])
    ]
    for (const step of steps) {
      const found = yield* step
      const isTolerated = found.name === "tls" && options.tls?.insecureSkipVerify === true
      yield* tell(isTolerated && found.status === "failed" ? { ...found, status: "no" } : found)
      if (found.status === "failed" && !isTolerated) {
        report.exitCode = exitCodes.unreachable
        return false
      }
    }
    return true
  })

const inspect = (
  connections: ScopedRef.ScopedRef<Session>,
  next: Effect.Effect<Session, CommandFailed, Scope.Scope>,
  report: Report,
  topic: string,
  tell: (check: Check) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const session = yield* ScopedRef.get(connections)
    const info = Option.getOrUndefined(yield* session.connectionInfo)
    if (info === undefined) return yield* tell(check("limits", "failed", "the connection was lost"))
    report.limits = limitsOf(info)
    yield* tell(check(
      "limits",
      "ok",
      `keep alive ${info.keepAlive} s, receive maximum ${info.receiveMaximum}, packets of ${info.maximumPacketSize} ` +
        `bytes, ${info.topicAliasMaximum} topic aliases`
    ))
    const random = yield* Random.nextIntBetween(0, 2 ** 48 - 1)
    const place = `${topic}/${random.toString(36)}`
    for (const found of yield* abilities(connections, next, place, info)) yield* tell(found)
  })

interface Connected {
  readonly connections: ScopedRef.ScopedRef<Session>
  /** Another connection with the same options. */
  readonly next: Effect.Effect<Session, CommandFailed, Scope.Scope>
  readonly version: string
}

/** Whether this may be the answer of a server that knows MQTT 3.1.1 only. */
const mayBeOlder = ({ exitCode, reason }: CommandFailed): boolean =>
  reason === "UnsupportedVersion" || (reason === "ConnectionRefused" && exitCode === exitCodes.unreachable) ||
  reason === "ConnectionLost"

/** The first connection, with MQTT 3.1.1 when the server does not speak MQTT 5 and the version was not asked for. */
const connect = (
  options: SessionOptions,
  isVersionGiven: boolean,
  tell: (check: Check) => Effect.Effect<void>
): Effect.Effect<Connected, CommandFailed, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function*() {
    const attempt = (protocolVersion: SessionOptions["protocolVersion"]) => {
      const opened = open({ ...options, protocolVersion, log: "off" })
      // Some servers refuse a client identifier that comes again at once.
      const next = options.clientId === undefined ? opened : Effect.delay(opened, "1 second")
      return Effect.map(ScopedRef.fromAcquire(opened), (connections): Connected => ({
        connections,
        next,
        version: protocolVersion === 5 ? "MQTT 5" : "MQTT 3.1.1"
      }))
    }
    return yield* Effect.catch(attempt(options.protocolVersion), (failure) =>
      isVersionGiven || options.protocolVersion !== 5 || !mayBeOlder(failure)
        ? Effect.fail(failure)
        : attempt(4).pipe(
          Effect.mapError(() =>
            failure
          ),
          Effect.tap(() => tell(check("mqtt5", "no", failure.what, "Set protocolVersion to 4 (-V 3.1.1).")))
        ))
  })

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const flags = { ...input, host: Option.none(), port: Option.none(), url: Option.some(input.server) }
    const options = yield* optionsOf(flags, "doctor", false)
    const [server] = options.servers
    const address = ServerAddress.parse(server)
    if (Result.isFailure(address)) return yield* Effect.fail(usage(address.failure.message))
    const report: Report = { server: ServerAddress.format(address.success), checks: [], exitCode: exitCodes.done }
    const tell = (found: Check): Effect.Effect<void> => {
      report.checks.push(found)
      return input.json ? Effect.void : Console.log(linesOf(found).trimEnd())
    }
    if (yield* network(report, address.success, options, tell)) {
      const connected = yield* Effect.result(connect(options, Option.isSome(input.protocolVersion), tell))
      if (Result.isFailure(connected)) {
        const { advice, exitCode, what } = connected.failure
        yield* tell(check("connect", "failed", what, advice === seeDoctor ? "The server's log says why." : advice))
        report.exitCode = exitCode
      } else {
        const { connections, next, version } = connected.success
        yield* tell(check("connect", "ok", `the server accepts the client, with ${version}`))
        yield* inspect(connections, next, report, input.topic, tell)
        if (report.checks.some(({ status }) => status === "failed")) report.exitCode = exitCodes.failed
      }
    }
    const { exitCode, ...printed } = report
    if (input.json) yield* Console.log(JSON.stringify(printed))
    if (exitCode !== exitCodes.done) {
      // What failed was printed as a check.
      return yield* Effect.fail(new CommandFailed({ what: "", advice: undefined, exitCode }))
    }
  }).pipe(Effect.scoped)

/** The command `doctor`. */
export const doctor: Command.Command<"doctor", Input, {}, CommandFailed, FileSystem.FileSystem> = Command.make(
  "doctor",
  config,
  run
).pipe(
  Command.withDescription("Says how far a connection gets, what the server can do, and what to set"),
  Command.withExamples([{ command: "effect-mqttx doctor mqtts://broker.example -u me" }])
)
