/**
 * Runs a server of another vendor for as long as a scope: in its own process, on free ports, in a temporary directory.
 */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const host = "127.0.0.1"

export const temporaryDirectory = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `${name}-`))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 10 }))
  )

const accepts = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ port, host })
    const done = (isOpen: boolean): void => {
      socket.destroy()
      resume(Effect.succeed(isOpen))
    }
    socket.once("connect", () => done(true))
    socket.once("error", () => done(false))
    return Effect.sync(() => socket.destroy())
  })

/**
 * Starts a process in a group of its own, and succeeds when all ports accept connections. The end of the scope kills
 * the group. Dies with the output of the process when it ends before, or takes longer than a minute.
 */
export const run = (
  program: string,
  args: ReadonlyArray<string>,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly cwd: string
    readonly ports: ReadonlyArray<number>
  }
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    let output = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const started = spawn(program, args, {
          cwd: options.cwd,
          env: { ...process.env, ...options.env },
          stdio: ["ignore", "pipe", "pipe"],
          detached: true
        })
        for (const stream of [started.stdout, started.stderr]) {
          stream.on("data", (chunk: Buffer) => {
            output = (output + chunk.toString()).slice(-8192)
          })
        }
        started.on("error", (error) => {
          output += error.message
        })
        return started
      }),
      (started) =>
        Effect.callback<void>((resume) => {
          if (started.pid === undefined || started.exitCode !== null || started.signalCode !== null) {
            return resume(Effect.void)
          }
          started.once("exit", () => resume(Effect.void))
          process.kill(-started.pid, "SIGKILL")
        })
    )
    const awaitPort = (port: number): Effect.Effect<void> =>
      Effect.gen(function*() {
        while (!(yield* accepts(port))) {
          if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
            return yield* Effect.die(new Error(`${program} ended: ${output}`))
          }
          yield* Effect.sleep("50 millis")
        }
      })
    yield* Effect.forEach(options.ports, awaitPort, { discard: true }).pipe(
      Effect.timeoutOrElse({
        duration: "60 seconds",
        orElse: () => Effect.die(new Error(`${program} does not listen: ${output}`))
      })
    )
  })
