/**
 * A real Redis for tests: found on the machine, started on free loopback ports with its own directory, and ended with
 * its scope. Needs Node and redis-server 6 or later; TLS needs a redis-server that was built with it.
 *
 * After `kill`, only the content of the append-only file remains: nothing without `appendonly`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Certificates from "./Certificates.ts"
import { type Checks, flag, listOf, mistakeOf, oneOf, orDie, record, text, valuesOf } from "./internal/checks.ts"
import { freePorts } from "./internal/node/freePorts.ts"
import { type RedisReply, sendCommands } from "./internal/node/redisCommand.ts"
import { makeProcess } from "./internal/node/serverProcess.ts"
import * as RealServer from "./RealServer.ts"

export type { RedisReply } from "./internal/node/redisCommand.ts"

/**
 * Options of Redis, all optional.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RedisServerOptions {
  /** Keep an append-only file. Default false. */
  readonly appendonly?: boolean
  /** When the append-only file is synced. Default `everysec`. */
  readonly appendfsync?: "always" | "everysec" | "no"
  /** Listen for TLS as well. Default false. */
  readonly tls?: boolean
  /** Require a certificate of `certificates.ca` from clients over TLS. Default false. */
  readonly requireClientCertificate?: boolean
  /** Default: generated when TLS needs them. */
  readonly certificates?: Certificates.Certificates
  /** The password of the user `default`. */
  readonly requirepass?: string
  /** Users by name with their rules, such as `on >secret ~mqttx:* +@all`. */
  readonly users?: Readonly<Record<string, string>>
  /** Further lines of configuration: `maxmemory 3mb` and the like. */
  readonly config?: ReadonlyArray<string>
}

/**
 * A running Redis.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** `redis://127.0.0.1:port`, without credentials. */
  readonly url: string
  /** The address that it listens on. */
  readonly host: string
  /** The port without TLS. */
  readonly port: number
  /** Undefined without TLS. */
  readonly tlsPort: number | undefined
  /** For example `7.0.15`. */
  readonly version: string
  /** Undefined without TLS. */
  readonly certificates: Certificates.Certificates | undefined
  /** The newest lines of its log. */
  readonly log: () => string
  /**
   * Sends one command as the user `default` and returns the reply, bytes as Latin-1. Fails with the server's message.
   */
  readonly command: (...command: ReadonlyArray<string>) => Effect.Effect<RedisReply, string>
  /** `CONFIG SET`, which a restart reverts. The password of `requirepass` is used from then on. */
  readonly config: (name: string, value: string) => Effect.Effect<void, string>
  /** Ends it in an orderly way (SIGTERM; Windows can only kill). Succeeds when the process has ended. */
  readonly stop: Effect.Effect<void>
  /** Kills it (SIGKILL). Succeeds when the process has ended. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same ports with its files. Succeeds when it has read them and answers commands. */
  readonly start: Effect.Effect<void, RealServer.BrokerUnavailable>
  /** `stop`, then `start`. */
  readonly restart: Effect.Effect<void, RealServer.BrokerUnavailable>
}

/**
 * Redis as a service.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class RedisServer extends Context.Service<RedisServer, Service>()("@effect-mqttx/testing/RedisServer") {}

/**
 * Whether the program is installed on this machine.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const available: Effect.Effect<boolean> = Effect.sync(() => RealServer.find("redis-server") !== undefined)

/**
 * For `describe.skipIf(!RedisServer.isPresent())`, see `RealServer.isPresent`.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isPresent = (): boolean => RealServer.isPresent("redis-server")

const host = "127.0.0.1"
// A free port may be taken by another process before Redis opens it.
const attempts = 5

/**
 * Starts Redis. Fails with `BrokerUnavailable` when it is not installed or does not start. Dies with an `MqttError` for
 * invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: RedisServerOptions
): Effect.Effect<Service, RealServer.BrokerUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf("RedisServer.make", options, checks))
    const program = RealServer.find("redis-server")
    if (program === undefined) {
      return yield* new RealServer.BrokerUnavailable({ broker: "redis-server", detail: "its program was not found" })
    }
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "redis-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const certificates = options?.certificates ?? (options?.tls === true ? yield* Certificates.make : undefined)
    const launch = Effect.gen(function*() {
      const [port, spare] = yield* freePorts(2)
      const tlsPort = options?.tls === true ? spare! : undefined
      const file = writeConfig(directory, { port: port!, tlsPort, certificates, options: options ?? {} })
      const running = yield* makeProcess("redis-server", program, [file], [{ host, port: port! }])
      yield* running.start
      return { running, port: port!, tlsPort }
    })
    const { port, running, tlsPort } = yield* Effect.retry(launch, { times: attempts - 1 })
    let password = options?.requirepass
    const command: Service["command"] = (...command) =>
      sendCommands({ host, port }, [...(password === undefined ? [] : [["AUTH", password]]), command])
    // It accepts connections before it has read its files.
    const serving = Effect.suspend(() => command("PING")).pipe(
      Effect.retry(Schedule.spaced(10)),
      Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail(undefined) }),
      Effect.mapError(() =>
        new RealServer.BrokerUnavailable({ broker: "redis-server", detail: `it does not serve: ${running.log()}` })
      )
    )
    const start = Effect.gen(function*() {
      password = options?.requirepass
      // While Redis was stopped, another process may have tried its port.
      yield* Effect.retry(running.start, { times: attempts - 1, schedule: Schedule.spaced(200) })
      yield* serving
    })
    yield* start
    const version = /redis_version:(\S+)/.exec(
      String(yield* Effect.catch(command("INFO", "server"), () => Effect.succeed("")))
    )
    const onRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
    return {
      url: `redis://${host}:${port}`,
      host,
      port,
      tlsPort,
      version: version?.[1] ?? "unknown",
      certificates,
      log: running.log,
      command,
      config: (name, value) =>
        Effect.map(command("CONFIG", "SET", name, value), () => {
          if (name === "requirepass") password = value === "" ? undefined : value
        }),
      stop: running.end("SIGTERM"),
      kill: running.end("SIGKILL"),
      start: onRealTime(start),
      restart: onRealTime(Effect.andThen(running.end("SIGTERM"), start))
    } satisfies Service
    // Processes and sockets run in real time, so this does not use a TestClock.
  }).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))

const checks: Checks<RedisServerOptions> = {
  appendonly: flag,
  appendfsync: oneOf("always", "everysec", "no"),
  tls: flag,
  requireClientCertificate: flag,
  certificates: record,
  requirepass: text,
  users: valuesOf(text),
  config: listOf(text)
}

/**
 * A real Redis on loopback ports, see `make`.
 *
 * **Example** (Storing a session in a real Redis)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { RedisStore } from "@effect-mqttx/store-redis"
 * import * as RedisServer from "@effect-mqttx/testing/RedisServer"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * const Redis = Layer.unwrap(Effect.map(RedisServer.RedisServer, ({ url }) => NodeRedis.layer({ url })))
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(RedisStore.layer()),
 *   Layer.provide(Redis),
 *   Layer.provide(RedisServer.layer())
 * )
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: RedisServerOptions
): Layer.Layer<RedisServer, RealServer.BrokerUnavailable> => Layer.effect(RedisServer, make(options))

interface Setup {
  readonly port: number
  readonly tlsPort: number | undefined
  readonly certificates: Certificates.Certificates | undefined
  readonly options: RedisServerOptions
}

const writeConfig = (directory: string, { certificates, options, port, tlsPort }: Setup): string => {
  const file = (name: string, content: string): string => {
    const path = join(directory, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const tls = (): ReadonlyArray<string> => [
    `tls-port ${tlsPort}`,
    `tls-ca-cert-file ${file("ca.pem", certificates!.ca)}`,
    `tls-cert-file ${file("server.pem", certificates!.server.cert)}`,
    `tls-key-file ${file("server.key", certificates!.server.key)}`,
    `tls-auth-clients ${options.requireClientCertificate === true ? "yes" : "no"}`
  ]
  const lines = [
    `bind ${host}`,
    `port ${port}`,
    `dir ${directory}`,
    "daemonize no",
    // Snapshots would restore what only the append-only file should restore.
    `save ""`,
    `appendonly ${options.appendonly === true ? "yes" : "no"}`,
    `appendfsync ${options.appendfsync ?? "everysec"}`,
    ...(options.requirepass === undefined ? [] : [`requirepass ${options.requirepass}`]),
    ...Object.entries(options.users ?? {}).map(([name, rules]) => `user ${name} ${rules}`),
    ...(tlsPort === undefined ? [] : tls()),
    ...(options.config ?? [])
  ]
  return file("redis.conf", `${lines.join("\n")}\n`)
}
