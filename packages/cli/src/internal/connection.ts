/**
 * The flags that say how to connect, which all commands share, and sessions that are made of them. Flags count before
 * the variables `MQTT_...`, and these before the defaults. Names are those of mosquitto_pub, with those of MQTT.js's
 * command line as aliases.
 */
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CommandFailed, exitCodes, fromMqtt, usage } from "./failure.ts"
import { onSignal, writeInto } from "./flightRecords.ts"

const portMistake = (port: number): string => `${port} is no port: expected 1 to 65535`

/** The flags of a connection, without those that say where the server is. */
export const accessFlags = {
  username: Flag.String("username").pipe(
    Flag.withAlias("u"),
    Flag.withDescription("User name for the server"),
    Flag.optional
  ),
  password: Flag.Redacted("password").pipe(
    Flag.withAlias("P"),
    Flag.withAlias("pw"),
    Flag.withDescription("Password; other users of this machine can see it, so prefer the variable MQTT_PASSWORD"),
    Flag.optional
  ),
  id: Flag.String("id").pipe(
    Flag.withAlias("i"),
    Flag.withAlias("client-id"),
    Flag.withDescription("Client identifier; default: a random one"),
    Flag.optional
  ),
  ca: Flag.String("ca").pipe(
    Flag.withAlias("cafile"),
    Flag.withDescription("File (PEM) with the authorities to trust; switches TLS on"),
    Flag.optional
  ),
  cert: Flag.String("cert").pipe(
    Flag.withDescription("File (PEM) with the client's certificate; switches TLS on"),
    Flag.optional
  ),
  key: Flag.String("key").pipe(
    Flag.withDescription("File (PEM) with the key of --cert"),
    Flag.optional
  ),
  insecure: Flag.Boolean("insecure").pipe(
    Flag.withDescription("TLS without looking at the server's certificate: anyone can pose as the server"),
    Flag.withDefault(false)
  ),
  protocolVersion: Flag.ChoiceWithValue(
    "protocol-version",
    [["5", 5], ["3.1.1", 4], ["4", 4], ["311", 4], ["mqttv5", 5], ["mqttv311", 4]] as const
  ).pipe(
    Flag.withAlias("V"),
    Flag.withMetavar("<5|3.1.1>"),
    Flag.withDescription("Version of MQTT; default 5"),
    Flag.optional
  ),
  keepAlive: Flag.Int("keepalive").pipe(
    Flag.withAlias("k"),
    Flag.withDescription("Seconds between signs of life; default 60"),
    Flag.optional
  )
}

/** The flags of a connection. */
export const connectionFlags = {
  host: Flag.String("host").pipe(
    Flag.withAlias("h"),
    Flag.withAlias("hostname"),
    Flag.withDescription("Name or address of the server; default localhost"),
    Flag.optional
  ),
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.filter((port) => port >= 1 && port <= 65_535, portMistake),
    Flag.withDescription("Port; default 1883, with TLS 8883"),
    Flag.optional
  ),
  url: Flag.String("url").pipe(
    Flag.withAlias("L"),
    Flag.withDescription("Address in place of -h and -p: mqtt://, mqtts://, ws://, wss://"),
    Flag.optional
  ),
  ...accessFlags
}

/** The flag -q. */
export const qosFlag: Flag.Flag<QoS> = Flag.ChoiceWithValue("qos", [["0", 0], ["1", 1], ["2", 2]] as const).pipe(
  Flag.withAlias("q"),
  Flag.withDescription("Quality of service; default 0"),
  Flag.withDefault(0 as const)
)

/** The flags of a will, of commands that stay connected. */
export const willFlags = {
  willTopic: Flag.String("will-topic").pipe(
    Flag.withDescription("Topic of the message that the server publishes when this client is lost"),
    Flag.optional
  ),
  willPayload: Flag.String("will-payload").pipe(
    Flag.withAlias("will-message"),
    Flag.withDescription("Payload of this message; default: empty"),
    Flag.optional
  ),
  willQos: Flag.ChoiceWithValue("will-qos", [["0", 0], ["1", 1], ["2", 2]] as const).pipe(
    Flag.withDescription("Quality of service of this message; default 0"),
    Flag.optional
  ),
  willRetain: Flag.Boolean("will-retain").pipe(
    Flag.withDescription("The server keeps this message for later subscribers"),
    Flag.withDefault(false)
  )
}

type Value<F> = F extends Flag.Flag<infer A> ? A : never

/** What the flags in `accessFlags` say. */
export type Access = { readonly [Name in keyof typeof accessFlags]: Value<typeof accessFlags[Name]> }

/** What the flags in `connectionFlags` say. */
export interface Connection extends Access {
  readonly host: Option.Option<string>
  readonly port: Option.Option<number>
  readonly url: Option.Option<string>
}

/** What the flags in `willFlags` say. */
export type Will = { readonly [Name in keyof typeof willFlags]: Value<typeof willFlags[Name]> }

/** The options of a session that flags of some commands set. */
export const willOf = (flags: Will): Effect.Effect<object, CommandFailed> => {
  const { willPayload, willQos, willRetain, willTopic } = flags
  if (Option.isSome(willTopic)) {
    return Effect.succeed({
      will: {
        topic: willTopic.value,
        payload: Option.getOrElse(willPayload, () => ""),
        qos: Option.getOrElse(willQos, () => 0),
        retain: willRetain
      }
    })
  }
  return Option.isSome(willPayload) || Option.isSome(willQos) || willRetain
    ? Effect.fail(usage("there is a will without a topic", "Give it with --will-topic."))
    : Effect.succeed({})
}

const readFlagFile = (
  flag: string,
  path: Option.Option<string>
): Effect.Effect<string | undefined, CommandFailed, FileSystem.FileSystem> =>
  Option.isNone(path)
    ? Effect.undefined
    : Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(path.value)).pipe(
      Effect.mapError((error) => usage(`--${flag} cannot be read: ${error.message}`, "Check the path of the file."))
    )

/** The server that the flags name; undefined: none of them says anything. */
const serverOf = ({ host, port, url }: Connection, isSecure: boolean): string | undefined => {
  if (Option.isSome(url)) return url.value
  if (Option.isNone(host) && Option.isNone(port)) return undefined
  const name = Option.getOrElse(host, () => "localhost")
  const address = name.includes(":") && !name.startsWith("[") ? `[${name}]` : name
  return `${isSecure ? "mqtts" : "mqtt"}://${address}${Option.isSome(port) ? `:${port.value}` : ""}`
}

const hasUser = (server: string): boolean => {
  const address = ServerAddress.parse(server)
  return Result.isSuccess(address) && address.success.username !== undefined
}

const withoutUndefined = <A extends object>(record: A): Partial<A> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Partial<A>

/** The options of a session: flags before variables before defaults. `more` counts as flags. */
export const optionsOf = (
  flags: Connection,
  name: string,
  reconnect: boolean,
  more: object = {}
): Effect.Effect<SessionOptions.SessionOptions, CommandFailed, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    if (Option.isSome(flags.url) && (Option.isSome(flags.host) || Option.isSome(flags.port))) {
      return yield* Effect.fail(usage("--url goes without -h and -p", "Write the host and the port into the address."))
    }
    // In the address of mosquitto's -L, the path is the topic.
    if (Option.isSome(flags.url) && /^mqtts?:\/\/[^/]*\/[^/]/i.test(flags.url.value)) {
      return yield* Effect.fail(
        usage("the address has a path, as only those of WebSockets may", "A topic is given with -t.")
      )
    }
    const ca = yield* readFlagFile("ca", flags.ca)
    const cert = yield* readFlagFile("cert", flags.cert)
    const key = yield* readFlagFile("key", flags.key)
    const hasTls = ca !== undefined || cert !== undefined || key !== undefined || flags.insecure
    // The server has no scheme, so that the variables decide whether it means TLS.
    const base = { name, servers: "localhost", persistence: "none" as const, secure: hasTls, reconnect: {} }
    const variables = yield* SessionOptions.config("MQTT", base).pipe(
      Effect.mapError((error) => usage(`a variable MQTT_... is wrong: ${error.cause.message}`, "Mend it, or unset it."))
    )
    const server = serverOf(flags, hasTls || variables.secure)
    const tls = withoutUndefined({ ca, cert, key, insecureSkipVerify: flags.insecure ? true : undefined })
    const given = withoutUndefined({
      servers: server === undefined ? undefined : [server],
      secure: hasTls ? true : undefined,
      username: Option.getOrUndefined(flags.username),
      password: Option.getOrUndefined(flags.password) as Redacted.Redacted<string> | undefined,
      clientId: Option.getOrUndefined(flags.id),
      protocolVersion: Option.getOrUndefined(flags.protocolVersion),
      keepAlive: Option.isNone(flags.keepAlive) ? undefined : `${flags.keepAlive.value} seconds`,
      tls: hasTls ? { ...variables.tls, ...tls } : undefined
    })
    // An address with a user brings its own password.
    const { password, username, ...others } = variables
    const known = server !== undefined && hasUser(server)
      ? others
      : { ...others, ...withoutUndefined({ password, username }) }
    const options: object = { ...known, ...given, ...more, reconnect: { ...known.reconnect, enabled: reconnect } }
    return yield* Effect.mapError(Effect.fromResult(SessionOptions.decode(options)), fromMqtt)
  })

/**
 * Opens a session. Fails when its first attempt to connect fails, whether or not it reconnects afterwards: a
 * command that waits for a wrong address in silence is of no use.
 */
export const open = (
  options: SessionOptions.SessionOptions
): Effect.Effect<MqttSession.Session, CommandFailed, Scope.Scope> =>
  Effect.gen(function*() {
    // The failure of the first attempt is the failure of the command, which needs no line of the log.
    let isConnected = false
    const loggers = Array.from(yield* Logger.CurrentLoggers, (logger) =>
      Logger.make((line) => isConnected ? logger.log(line) : undefined))
    const files = Option.getOrUndefined(yield* Effect.serviceOption(FileSystem.FileSystem))
    const write = options.flightRecorder === 0 || files === undefined ? undefined : writeInto(files, ".")
    const session = yield* MqttSession.make(
      options as SessionOptions.SessionOptions & { readonly persistence: "none" | "process" }
    ).pipe(
      Effect.provideService(Logger.CurrentLoggers, new Set(loggers)),
      write === undefined
        ? (make) =>
          make
        : Effect.provide(FlightRecorder.layer(write))
    )
    if (write !== undefined) yield* onSignal(Effect.succeed([session]), write)
    const first = yield* session.statusChanges.pipe(
      Stream.filter((status) => status.state === "connected" || status.lastError !== undefined),
      Stream.runHead
    )
    if (Option.isSome(first) && first.value.state === "connected") {
      isConnected = true
      return session
    }
    const status = yield* session.status
    const error = Option.isSome(first) ? first.value.lastError : status.lastError
    return yield* Effect.fail(
      error ?? new CommandFailed({ what: "the session ended", advice: undefined, exitCode: exitCodes.failed })
    )
  }).pipe(Effect.mapError((error) => error._tag === "MqttError" ? fromMqtt(error) : error))
