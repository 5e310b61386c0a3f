/**
 * A port for a process that a test starts later. Below the range from which Linux takes the ports of connections, so
 * that no connection has it by then, and never the same one twice. Tests of the gateway and of clusters use it.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"

const first = 15_000
const last = 32_000
const given = new Set<number>()

const listens = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/** A port where nothing listens. */
export const freePort: Effect.Effect<number> = Effect.suspend(() => {
  // Each test file has a process of its own, and they must not begin with the same port.
  const port = first + Math.floor(Math.random() * (last - first))
  if (given.has(port)) return freePort
  given.add(port)
  return Effect.flatMap(listens(port), (isFree) => isFree ? Effect.succeed(port) : freePort)
})
