/**
 * A PostgreSQL for the crash harness: started on a free loopback port with its own directory, and ended with its scope.
 * PostgreSQL refuses to run as root; root runs it as the user `postgres`.
 */
import { RealServer } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env, getuid } from "node:process"

export interface Postgres {
  readonly url: string
  /** Ends it at once, without a checkpoint, and starts it again. */
  readonly crash: Effect.Effect<void>
}

const host = "127.0.0.1"
const user = "crash"

/** Debian puts the programs into a directory of their version. */
const find = (program: string): string => {
  const debian = "/usr/lib/postgresql"
  const versions = existsSync(debian) ? readdirSync(debian) : []
  const places = versions.map((version) => join(debian, version, "bin", program))
  const path = places.find((place) => existsSync(place)) ?? RealServer.find(program)
  if (path === undefined) throw new Error(`${program} was not found: install PostgreSQL`)
  return path
}

const accountOf = () => {
  if (getuid?.() !== 0) return {}
  const number = (flag: string): number => Number(execFileSync("id", [flag, "postgres"]).toString())
  return { uid: number("-u"), gid: number("-g") }
}

const freePort = Effect.callback<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, host, () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const makeDirectory = (account: { readonly uid?: number; readonly gid?: number }): string => {
  const directory = mkdtempSync(join(tmpdir(), "crash-"))
  if (account.uid !== undefined && account.gid !== undefined) chownSync(directory, account.uid, account.gid)
  return directory
}

export const makePostgres = Effect.fnUntraced(function*(
  more: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Postgres, never, Scope.Scope> {
  const account = accountOf()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => makeDirectory(account)),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const data = join(directory, "data")
  const options = { ...account, cwd: directory, env: { PATH: env["PATH"], LC_ALL: "C.UTF-8" } }
  const initdb = ["-D", data, "-U", user, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
  execFileSync(find("initdb"), initdb, { ...options, stdio: "ignore" })
  const port = yield* freePort
  // The harness ends programs, and not the machine: syncs would only take time.
  const given = Object.entries(more).map(([name, value]) => `${name}=${value}`)
  const settings = [`listen_addresses=${host}`, "unix_socket_directories=", "fsync=off", ...given]
  const args = ["-D", data, "-p", `${port}`, ...settings.flatMap((setting) => ["-c", setting])]
  let child: ChildProcess | undefined
  const connected = Effect.callback<void, Error>((resume) => {
    const socket = Net.connect({ host, port })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  })
  const start = Effect.suspend(() => {
    child = spawn(find("postgres"), args, { ...options, stdio: "ignore" })
    return Effect.orDie(Effect.timeout(Effect.retry(connected, Schedule.spaced(20)), "20 seconds"))
  })
  const end = Effect.callback<void>((resume) => {
    const running = child
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return resume(Effect.void)
    running.once("exit", () => resume(Effect.void))
    running.kill("SIGQUIT")
  })
  yield* Effect.addFinalizer(() => end)
  yield* start
  return { url: `postgres://${user}@${host}:${port}/postgres`, crash: Effect.andThen(end, start) }
})
