/**
 * Runs a server in its own process. It is ready when its addresses accept connections.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import * as Net from "node:net"
import { BrokerUnavailable } from "../../RealServer.ts"

const keptLog = 65_536
// Many servers may start at once on a machine of few cores.
const startLimit = 30_000
const usualEndLimit = "5 seconds"
const retryDelay = 10

export interface ServerProcess {
  readonly log: () => string
  readonly start: Effect.Effect<void, BrokerUnavailable>
  /**
   * Ends the process, or does nothing if it does not run. A process that ignores another signal than SIGKILL for
   * `endLimit` is killed.
   */
  readonly end: (signal: EndSignal) => Effect.Effect<void>
  /** Sends a signal to the process and its children, or does nothing if it does not run. */
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
}

export type EndSignal = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGKILL"

/** How a process is run. Default: as this one. */
export interface SpawnOptions {
  readonly uid?: number
  readonly gid?: number
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

export interface ProcessOptions extends SpawnOptions {
  /** How long the process may take to end. Default 5 seconds. */
  readonly endLimit?: Duration.Input
}

/** The first version number in the output of a program. */
export const readVersion = (program: string): Effect.Effect<string> =>
  Effect.callback<string>((resume) => {
    // mosquitto prints its usage and exits with an error code, so only the output counts.
    execFile(program, ["-h"], (_error, stdout, stderr) => {
      resume(Effect.succeed(/\d+\.\d+(\.\d+)?/.exec(stdout + stderr)?.[0] ?? "unknown"))
    })
  })

/**
 * Prepares a server process. The end of the scope kills it.
 */
export const makeProcess = (
  name: string,
  program: string,
  args: ReadonlyArray<string>,
  addresses: ReadonlyArray<Net.NetConnectOpts>,
  { endLimit = usualEndLimit, ...spawnOptions }: ProcessOptions = {}
): Effect.Effect<ServerProcess, never, Scope.Scope> => {
  let child: ChildProcess | undefined
  let log = ""

  const isRunning = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null

  const launch = Effect.sync(() => {
    const started = spawn(program, args, { ...spawnOptions, stdio: ["ignore", "pipe", "pipe"] })
    const keep = (chunk: Buffer): void => {
      log = (log + chunk.toString()).slice(-keptLog)
    }
    started.stdout.on("data", keep)
    started.stderr.on("data", keep)
    started.on("error", (error) => {
      log += `${error.message}\n`
    })
    child = started
  })

  const awaitAddress = (address: Net.NetConnectOpts): Effect.Effect<void, BrokerUnavailable> =>
    Effect.suspend(() =>
      isRunning()
        ? Effect.catch(
          connect(address),
          () => Effect.andThen(Effect.sleep(retryDelay), awaitAddress(address))
        )
        : Effect.fail(new BrokerUnavailable({ broker: name, detail: `it ended at once: ${log}` }))
    )

  const end = (signal: EndSignal): Effect.Effect<void> =>
    Effect.suspend(() => {
      const running = child
      if (running === undefined || !isRunning()) return Effect.void
      const exited = Effect.callback<void>((resume) => {
        const done = (): void => resume(Effect.void)
        running.once("exit", done)
        running.kill(signal)
        return Effect.sync(() => running.off("exit", done))
      })
      return signal === "SIGKILL"
        ? exited
        : Effect.timeoutOrElse(exited, { duration: endLimit, orElse: () => end("SIGKILL") })
    })

  const signal = (signal: "SIGSTOP" | "SIGCONT"): Effect.Effect<void> =>
    Effect.sync(() => {
      const pid = child?.pid
      if (pid === undefined || !isRunning()) return
      // The parent first, so that it starts no further child meanwhile. A child may end meanwhile.
      for (const each of [pid, ...childrenOf(pid)]) tryKill(each, signal)
    })

  /** Otherwise a server that has its port by now would be taken for this one. */
  const checkFree = (address: Net.NetConnectOpts): Effect.Effect<void, BrokerUnavailable> =>
    "path" in address ? Effect.void : Effect.mapError(
      listens(address),
      ({ message }) => new BrokerUnavailable({ broker: name, detail: message })
    )

  const start = Effect.suspend(() =>
    isRunning() ? Effect.void : Effect.andThen(Effect.forEach(addresses, checkFree, { discard: true }), launch)
  ).pipe(
    Effect.andThen(Effect.forEach(addresses, awaitAddress, { discard: true })),
    Effect.timeoutOrElse({
      duration: startLimit,
      orElse: () => Effect.fail(new BrokerUnavailable({ broker: name, detail: `it does not listen: ${log}` }))
    })
  )

  const onRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  return Effect.acquireRelease(
    Effect.succeed({
      log: () => log,
      start: onRealTime(start),
      end: (signal: EndSignal) => onRealTime(end(signal)),
      signal
    }),
    ({ end: finish }) => finish("SIGKILL")
  )
}

/** Every process may have a group of its own, so a signal to a group would not reach them all. */
const childrenOf = (pid: number): ReadonlyArray<number> => {
  try {
    const output = execFileSync("pgrep", ["-P", `${pid}`], { stdio: ["ignore", "pipe", "ignore"] }).toString()
    return output.trim().split("\n").map(Number)
  } catch (error) {
    // It says by its exit code that there is none.
    if ((error as { readonly status?: unknown }).status === 1) return []
    throw error
  }
}

const tryKill = (pid: number, signal: "SIGSTOP" | "SIGCONT"): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

/** Listens for a moment. */
const listens = (address: Net.TcpNetConnectOpts): Effect.Effect<void, Error> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen({ port: address.port, host: address.host }, () => server.close(() => resume(Effect.void)))
  })

const connect = (address: Net.NetConnectOpts): Effect.Effect<void, unknown> =>
  Effect.callback<void, unknown>((resume) => {
    const socket = Net.connect(address)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  })
