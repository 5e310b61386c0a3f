/**
 * Ports of the loopback interface for the servers of this package. They are below those that an operating system gives
 * to connections (from 32768 on Linux, from 49152 elsewhere). So no connection has the port of a server that starts
 * later or starts again, and a client of a server that is stopped does not connect to itself.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

const first = 15_000
const last = 32_000
const attempts = 200
const given = new Set<number>()

/** A port that this process did not get before, and another process hardly at this time. */
const candidate = (): number => {
  if (given.size > (last - first) / 2) given.clear()
  // Processes that begin at the same time must not try the same ports, whatever the seed of a test is.
  const port = first + Math.floor(Math.random() * (last - first))
  if (given.has(port)) return candidate()
  given.add(port)
  return port
}

/** Lets a server listen on a free port, and succeeds with it. Dies when there is none. */
export const listenFree = (server: Net.Server, host = "127.0.0.1"): Effect.Effect<number> =>
  Effect.callback((resume) => {
    let left = attempts
    let port = candidate()
    const retry = (error: Error): void => {
      if (--left === 0) return resume(Effect.die(error))
      port = candidate()
      server.listen({ port, host })
    }
    server.on("error", retry)
    server.once("listening", () => {
      server.off("error", retry)
      resume(Effect.succeed(port))
    })
    server.listen({ port, host })
  })

const freePort: Effect.Effect<number, never, Scope.Scope> = Effect.suspend(() => {
  const server = Net.createServer()
  return Effect.acquireRelease(
    listenFree(server),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
  )
})

/** Ports where nothing listened just now, all different, and never the same one twice. */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.scoped(Effect.all(Array.from({ length: count }, () => freePort), { concurrency: "unbounded" }))
