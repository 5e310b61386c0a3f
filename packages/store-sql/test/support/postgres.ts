/**
 * A real PostgreSQL for tests: found on the machine, started on a free loopback port with its own directory, and ended
 * with its scope. PostgreSQL refuses to run as root; root runs it as the user `postgres`.
 */
import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import { RealServer } from "@effect-mqttx/testing"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schedule } from "effect"
import type { Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env, getuid } from "node:process"

/** Where Debian puts the programs, the newest version first. */
const debian = "/usr/lib/postgresql"
const debianDirectories = (): ReadonlyArray<string> => {
  try {
    return readdirSync(debian).sort((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, "bin"))
  } catch {
    return []
  }
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const find = (program: string): string | undefined =>
  debianDirectories().map((directory) => join(directory, program)).find(isExecutable) ?? RealServer.find(program)

/** For `describe.skipIf(!isPresent())`: a missing program is a visible skip, or an error where servers are required. */
export const isPresent = (): boolean => {
  if (find("postgres") !== undefined && find("initdb") !== undefined) return true
  if (env["EFFECT_MQTTX_REQUIRE_SERVERS"] === "1") {
    throw new RealServer.BrokerUnavailable({
      broker: "postgres",
      detail: "its programs were not found, and EFFECT_MQTTX_REQUIRE_SERVERS=1 demands them"
    })
  }
  return false
}

interface User {
  readonly uid: number
  readonly gid: number
}

const userOf = (): User | undefined => {
  if (getuid?.() !== 0) return undefined
  const number = (flag: string): number => Number(execFileSync("id", [flag, "postgres"]).toString())
  return { uid: number("-u"), gid: number("-g") }
}

export interface Service {
  readonly port: number
  readonly log: () => string
  /** The user of the database, who may make tables. */
  readonly username: string
  /** Runs one statement as that user. */
  readonly query: (text: string) => Effect.Effect<ReadonlyArray<object>, SqlError.SqlError>
  /** Ends it and all its connections. SIGINT is its fast shutdown, SIGQUIT the one that writes nothing more. */
  readonly end: (signal: "SIGINT" | "SIGQUIT") => Effect.Effect<void>
  /** Starts it again on the same port with its files. */
  readonly start: Effect.Effect<void, RealServer.BrokerUnavailable>
  /** Stops all its processes without an end of connections, and lets them go on. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

export class PostgresServer extends Context.Service<PostgresServer, Service>()("test/PostgresServer") {}

const host = "127.0.0.1"
const username = "plant"

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, host, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const unavailable = (detail: string) => new RealServer.BrokerUnavailable({ broker: "postgres", detail })

const make = Effect.fnUntraced(function*(settings: Readonly<Record<string, string>>) {
  const postgres = find("postgres")
  const initdb = find("initdb")
  if (postgres === undefined || initdb === undefined) return yield* unavailable("its programs were not found")
  const user = userOf()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "postgres-"))
      if (user !== undefined) chownSync(path, user.uid, user.gid)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const data = join(directory, "data")
  const spawned = { ...user, cwd: directory, env: { PATH: env["PATH"], LC_ALL: "C.UTF-8" } }
  yield* Effect.callback<void, RealServer.BrokerUnavailable>((resume) => {
    const args = ["-D", data, "-U", username, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    execFile(
      initdb,
      args,
      spawned,
      (error, _stdout, stderr) => resume(error === null ? Effect.void : Effect.fail(unavailable(stderr)))
    )
  })
  const port = yield* freePort
  const args = [
    "-D",
    data,
    "-p",
    `${port}`,
    ...Object.entries({ listen_addresses: host, unix_socket_directories: "", ...settings })
      .flatMap(([name, value]) => ["-c", `${name}=${value}`])
  ]

  let child: ChildProcess | undefined
  let log = ""
  const launch = Effect.sync(() => {
    // A group of its own, so that a signal reaches the processes of all connections.
    const started = spawn(postgres, args, { ...spawned, detached: true, stdio: ["ignore", "pipe", "pipe"] })
    const keep = (chunk: Buffer): void => {
      log = (log + chunk.toString()).slice(-65_536)
    }
    started.stdout.on("data", keep)
    started.stderr.on("data", keep)
    started.on("error", (error) => {
      log += error.message
    })
    child = started
  })
  const isRunning = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null
  const end = (signal: "SIGINT" | "SIGQUIT" | "SIGKILL"): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const running = child
      if (running === undefined || !isRunning()) return resume(Effect.void)
      running.once("exit", () => resume(Effect.void))
      running.kill(signal)
    })
  const signalAll = (signal: "SIGSTOP" | "SIGCONT") =>
    Effect.sync(() => {
      // Every process of a connection has a session of its own, so the group is not enough.
      const pids = execFileSync("pgrep", ["-P", `${child!.pid}`]).toString().trim().split("\n").map(Number)
      for (const pid of [child!.pid!, ...pids]) process.kill(pid, signal)
    })
  const query: Service["query"] = (text) =>
    Effect.flatMap(client({ port }), (sql) => sql.unsafe(text)).pipe(Effect.scoped)
  const start = Effect.suspend(() => isRunning() ? Effect.void : launch).pipe(
    Effect.andThen(
      Effect.suspend(() => isRunning() ? Effect.mapError(query("SELECT 1"), String) : Effect.fail("it has ended")).pipe(
        Effect.retry({ schedule: Schedule.spaced(50), while: isRunning }),
        Effect.timeout("20 seconds")
      )
    ),
    Effect.mapError(() => unavailable(log)),
    Effect.asVoid
  )
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Effect.ignore(Effect.try(() => child?.kill("SIGCONT"))), end("SIGQUIT"))
  )
  yield* start
  return {
    port,
    username,
    log: () => log,
    query,
    end,
    start,
    freeze: signalAll("SIGSTOP"),
    thaw: signalAll("SIGCONT")
  } satisfies Service
})

/**
 * Settings of tests that end a server, but not the machine: syncs take seconds on slow disks.
 */
export const withoutSync = { fsync: "off" } as const

/** A real PostgreSQL with these settings. */
export const layerServer = (
  settings: Readonly<Record<string, string>> = {}
): Layer.Layer<PostgresServer, RealServer.BrokerUnavailable> => Layer.effect(PostgresServer, make(settings))

export type DriverOptions = Parameters<typeof PgClient.layer>[0]

/** A driver of its own, as another process would have one; it belongs to the scope. */
export const client = (
  server: Pick<Service, "port">,
  options?: DriverOptions
): Effect.Effect<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(PgClient.layer({ host, port: server.port, username, database: "postgres", ...options }))),
    (context) => Context.get(context, SqlClient.SqlClient)
  )

/** A store with a driver of its own. */
export const store = (
  server: Service,
  options?: SqlStore.SqlStoreInput,
  driverOptions?: DriverOptions
): Effect.Effect<SessionStore.SessionStore["Service"], SqlError.SqlError | MqttError.MqttError, Scope.Scope> =>
  Effect.flatMap(
    client(server, driverOptions),
    (sql) => Effect.provideService(SqlStore.make(options), SqlClient.SqlClient, sql)
  )

/** A client whose statements all go through `intercept`. */
export const intercepted = (
  sql: SqlClient.SqlClient,
  intercept: <A, E, R>(statement: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): SqlClient.SqlClient => {
  const client_: SqlClient.SqlClient = new Proxy(sql, {
    get: (target, name) =>
      name === "withoutTransforms"
        ? () => client_
        : name === "unsafe"
        ? (...args: Parameters<typeof sql.unsafe>) => intercept(target.unsafe(...args))
        : Reflect.get(target, name)
  })
  return client_
}
