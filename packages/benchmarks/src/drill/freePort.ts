/**
 * A port for a process that a drill starts, and ends and starts again. It is below the ports that Linux gives to
 * connections, so that no connection has it meanwhile.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"

const first = 15_000
const last = 32_000

/** A port of loopback where nothing listens. */
export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const listen = (): void => {
    const port = first + Math.floor(Math.random() * (last - first))
    const server = Net.createServer()
    server.once("error", listen)
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  }
  listen()
})
