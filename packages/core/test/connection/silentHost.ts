/**
 * A host that answers no SYN, as behind a firewall that drops packets: a process that listens, and never accepts,
 * behind a full queue.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Net from "node:net"
import { freePort } from "../../../../test/support/freePort.ts"

const program = `
  const [, host, port] = process.argv
  require("node:net").createServer().listen({ host, port, backlog: 1 }, () => {
    require("node:fs").writeSync(1, "listening")
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })
`

/** The port on which the address is silent. It is free on other addresses. */
export const make = (host: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    const port = yield* freePort
    const child = yield* Effect.acquireRelease(
      Effect.sync((): ChildProcess => spawn(process.execPath, ["-e", program, host, `${port}`])),
      (child) =>
        Effect.callback<void>((resume) => {
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    )
    yield* Effect.callback<void>((resume) => {
      child.stdout!.once("data", () => resume(Effect.void))
    })
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        Array.from({ length: 8 }, () => {
          const socket = Net.connect({ host, port })
          socket.on("error", () => {})
          return socket
        })
      ),
      (sockets) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
        })
    )
    return port
  })
