/**
 * The PostgreSQL of the examples: DATABASE_URL, or a server of its own where one is installed. PostgreSQL refuses to
 * run as root; root runs it as the user `postgres`.
 */
import { RealServer } from "@effect-mqttx/testing"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Option, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getuid } from "node:process"

/** Debian puts the programs into a directory of their version. */
const find = (program: string): string | undefined => {
  const debian = "/usr/lib/postgresql"
  const places = (existsSync(debian) ? readdirSync(debian) : []).map((version) => join(debian, version, "bin", program))
  return places.find((place) => existsSync(place)) ?? RealServer.find(program)
}

const account = () => {
  if (getuid?.() !== 0) return {}
  const number = (flag: string): number => Number(execFileSync("id", [flag, "postgres"]).toString())
  return { uid: number("-u"), gid: number("-g") }
}

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A server that starts takes connections before it takes statements. */
const answers = (url: string) =>
  SqlClient.SqlClient.use((sql) => sql`SELECT 1`).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url) })))

const start = Effect.fnUntraced(function*(initdb: string, postgres: string) {
  const user = account()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "examples-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  if (user.uid !== undefined) chownSync(directory, user.uid, user.gid)
  const data = join(directory, "data")
  const options = { ...user, cwd: directory, stdio: "ignore" } as const
  execFileSync(initdb, ["-D", data, "-U", "examples", "--auth=trust", "--no-sync", "--encoding=UTF8"], options)
  const port = yield* freePort
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories="].flatMap((setting) => ["-c", setting])
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn(postgres, ["-D", data, "-p", `${port}`, ...settings], options)),
    (child) =>
      Effect.callback<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        if (!child.kill("SIGINT")) resume(Effect.void)
      })
  )
  const url = `postgres://examples@127.0.0.1:${port}/postgres`
  yield* answers(url).pipe(Effect.retry(Schedule.spaced("50 millis")), Effect.timeout("20 seconds"))
  return url
})

/** The address of a database; `None`: there is none on this machine. */
export const databaseUrl = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("DATABASE_URL"))
  if (Option.isSome(given)) return given
  const [initdb, postgres] = [find("initdb"), find("postgres")]
  if (initdb === undefined || postgres === undefined) return Option.none<string>()
  return Option.some(yield* start(initdb, postgres))
})
