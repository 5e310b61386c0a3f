/**
 * A real PostgreSQL for tests: found on the machine, started on a free loopback port with its own directory, and ended
 * with its scope. Needs Node and PostgreSQL 13 or later. PostgreSQL refuses to run as root, so root runs it as the user
 * `postgres`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { execFile, execFileSync } from "node:child_process"
import { chownSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env, getuid } from "node:process"
import { type Checks, mistakeOf, orDie, text, valuesOf } from "./internal/checks.ts"
import { freePorts } from "./internal/node/freePorts.ts"
import { type PostgresRow, runQuery } from "./internal/node/postgresQuery.ts"
import { makeProcess, type SpawnOptions } from "./internal/node/serverProcess.ts"
import * as RealServer from "./RealServer.ts"

export type { PostgresRow } from "./internal/node/postgresQuery.ts"

/**
 * Options of PostgreSQL, all optional.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface PostgresServerOptions {
  /**
   * Settings of the server by their names. `{ fsync: "off" }` saves the time of syncs in tests that end the server, but
   * not the machine.
   */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * A running PostgreSQL. Every user can connect without a password.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** `postgres://username@127.0.0.1:port/database`. */
  readonly url: string
  /** The address that it listens on. */
  readonly host: string
  /** The port that it listens on. */
  readonly port: number
  /** The user that owns all, a superuser. */
  readonly username: string
  /** The database of `url`. */
  readonly database: string
  /** For example `15.14`. */
  readonly version: string
  /** The newest lines of its log. */
  readonly log: () => string
  /**
   * Runs statements as `username` over a connection of its own, and returns their rows. Fails with the server's
   * message.
   */
  readonly query: (text: string) => Effect.Effect<ReadonlyArray<PostgresRow>, string>
  /** Ends it in an orderly way, and all its connections (SIGINT, the fast shutdown). */
  readonly stop: Effect.Effect<void>
  /**
   * Ends it at once, without a checkpoint (SIGQUIT, the immediate shutdown). What was committed is read from the log at
   * the next start.
   */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port with its files. Succeeds when it answers statements. */
  readonly start: Effect.Effect<void, RealServer.BrokerUnavailable>
  /** `stop`, then `start`. */
  readonly restart: Effect.Effect<void, RealServer.BrokerUnavailable>
  /** Stops all its processes (SIGSTOP): connections stay open, and nothing answers. Needs the program `pgrep`. */
  readonly freeze: Effect.Effect<void>
  /** Lets all its processes continue (SIGCONT). */
  readonly thaw: Effect.Effect<void>
}

/**
 * PostgreSQL as a service.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class PostgresServer extends Context.Service<PostgresServer, Service>()(
  "@effect-mqttx/testing/PostgresServer"
) {}

const programs = ["postgres", "initdb"] as const

/**
 * Whether the programs `postgres` and `initdb` are installed on this machine.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const available: Effect.Effect<boolean> = Effect.sync(() =>
  programs.every((program) => RealServer.find(program) !== undefined)
)

/**
 * For `describe.skipIf(!PostgresServer.isPresent())`, see `RealServer.isPresent`.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isPresent = (): boolean => programs.every((program) => RealServer.isPresent(program))

const broker = "postgres"
const host = "127.0.0.1"
const username = "plant"
const database = "postgres"
// A free port may be taken by another process before PostgreSQL opens it.
const attempts = 5
// Recovery, and the checkpoint of an orderly end, take a while on a slow disk.
const serveLimit = "30 seconds"
const endLimit = "30 seconds"

const unavailable = (detail: string): RealServer.BrokerUnavailable =>
  new RealServer.BrokerUnavailable({ broker, detail })

/**
 * Starts PostgreSQL. Fails with `BrokerUnavailable` when it is not installed or does not start. Dies with an
 * `MqttError` for invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: PostgresServerOptions
): Effect.Effect<Service, RealServer.BrokerUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf("PostgresServer.make", options, checks))
    const [postgres, initdb] = programs.map(RealServer.find)
    if (postgres === undefined || initdb === undefined) return yield* unavailable("its programs were not found")
    const { data, spawned } = yield* makeFiles(initdb)
    const settings = { listen_addresses: host, unix_socket_directories: "", ...options?.settings }
    const launch = Effect.gen(function*() {
      const [port] = yield* freePorts(1)
      const args = ["-D", data, "-p", `${port}`]
      for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`)
      const running = yield* makeProcess(broker, postgres, args, [{ host, port: port! }], { ...spawned, endLimit })
      yield* running.start
      return { running, port: port! }
    })
    const { port, running } = yield* Effect.retry(launch, { times: attempts - 1 })
    const query: Service["query"] = (text) => runQuery({ host, port, user: username, database }, text)
    // It accepts connections before it has read its log.
    const serving = Effect.suspend(() => query("SELECT 1")).pipe(
      Effect.retry(Schedule.spaced(20)),
      Effect.timeoutOrElse({ duration: serveLimit, orElse: () => Effect.fail("it does not serve") }),
      Effect.mapError((problem) => unavailable(`${problem}: ${running.log()}`))
    )
    const start = Effect.andThen(
      // While PostgreSQL was stopped, another process may have tried its port.
      Effect.retry(running.start, { times: attempts - 1, schedule: Schedule.spaced(200) }),
      serving
    )
    yield* Effect.addFinalizer(() => Effect.andThen(running.signal("SIGCONT"), running.end("SIGQUIT")))
    yield* start
    const [row] = yield* Effect.mapError(query("SHOW server_version"), unavailable)
    const onRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
    return {
      url: `postgres://${username}@${host}:${port}/${database}`,
      host,
      port,
      username,
      database,
      version: /^[\d.]+/.exec(row?.["server_version"] ?? "")?.[0] ?? "unknown",
      log: running.log,
      query,
      stop: running.end("SIGINT"),
      kill: running.end("SIGQUIT"),
      start: onRealTime(Effect.asVoid(start)),
      restart: onRealTime(Effect.asVoid(Effect.andThen(running.end("SIGINT"), start))),
      freeze: running.signal("SIGSTOP"),
      thaw: running.signal("SIGCONT")
    } satisfies Service
    // Processes and sockets run in real time, so this does not use a TestClock.
  }).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))

const checks: Checks<PostgresServerOptions> = { settings: valuesOf(text) }

/**
 * A real PostgreSQL on a loopback port, see `make`.
 *
 * **Example** (A database for a test)
 *
 * ```ts
 * import * as PostgresServer from "@effect-mqttx/testing/PostgresServer"
 * import { Effect } from "effect"
 *
 * export const test = Effect.gen(function*() {
 *   const server = yield* PostgresServer.PostgresServer
 *   yield* server.query("CREATE TABLE orders (id text)")
 *   yield* server.restart
 *   return yield* server.query("SELECT count(*) AS n FROM orders")
 * }).pipe(Effect.provide(PostgresServer.layer({ settings: { fsync: "off" } })))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: PostgresServerOptions
): Layer.Layer<PostgresServer, RealServer.BrokerUnavailable> => Layer.effect(PostgresServer, make(options))

/** Makes the directory of a new database, and says how programs run on it. */
const makeFiles = Effect.fnUntraced(function*(
  initdb: string
): Effect.fn.Return<
  { readonly data: string; readonly spawned: SpawnOptions },
  RealServer.BrokerUnavailable,
  Scope.Scope
> {
  const account = yield* Effect.try({
    try: accountOf,
    catch: () => unavailable("root runs it as the user postgres, and there is none")
  })
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "postgres-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  if (account !== undefined) chownSync(directory, account.uid, account.gid)
  const data = join(directory, "data")
  const spawned = { ...account, cwd: directory, env: { PATH: env["PATH"], LC_ALL: "C.UTF-8" } }
  const args = ["-D", data, "-U", username, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
  yield* Effect.callback<void, RealServer.BrokerUnavailable>((resume) => {
    const child = execFile(initdb, args, spawned, (error, _stdout, stderr) => {
      resume(error === null ? Effect.void : Effect.fail(unavailable(stderr)))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })
  return { data, spawned }
})

/** Who runs the programs; undefined: the user of this process. */
const accountOf = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (getuid?.() !== 0) return undefined
  const number = (flag: string): number => Number(execFileSync("id", [flag, "postgres"], { stdio: "pipe" }).toString())
  return { uid: number("-u"), gid: number("-g") }
}
