import * as Effect from "effect/Effect"
import * as Net from "node:net"

/**
 * Ports that were free on the loopback interface just now, all different.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.scoped(
    Effect.all(
      Array.from({ length: count }, () =>
        Effect.acquireRelease(
          Effect.callback<Net.Server>((resume) => {
            const server = Net.createServer()
            server.once("error", (error) => resume(Effect.die(error)))
            server.listen({ port: 0, host: "127.0.0.1" }, () => resume(Effect.succeed(server)))
          }),
          (server) =>
            Effect.callback<void>((resume) => {
              server.close(() => resume(Effect.void))
            })
        ).pipe(Effect.map((server) => (server.address() as Net.AddressInfo).port))),
      { concurrency: "unbounded" }
    )
  )
