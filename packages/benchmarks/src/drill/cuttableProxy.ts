/**
 * A way to a port of this machine that can be cut and mended.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

export interface CuttableProxy {
  readonly port: number
  /** Ends all connections, and refuses new ones. */
  readonly cut: Effect.Effect<void>
  readonly mend: Effect.Effect<void>
}

const host = "127.0.0.1"

export const make = (target: number): Effect.Effect<CuttableProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    let isCut = false
    const server = Net.createServer((client) => {
      if (isCut) {
        client.destroy()
        return
      }
      const upstream = Net.connect(target, host)
      for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
        sockets.add(one)
        one.on("error", () => {}).on("close", () => {
          sockets.delete(one)
          other.destroy()
        })
        one.pipe(other)
      }
    })
    yield* Effect.callback<void>((resume) => {
      server.listen(0, host, () => resume(Effect.void))
    })
    const cut = Effect.sync(() => {
      isCut = true
      for (const socket of sockets) socket.destroy()
    })
    yield* Effect.addFinalizer(() => Effect.andThen(cut, Effect.sync(() => server.close())))
    return {
      port: (server.address() as Net.AddressInfo).port,
      cut,
      mend: Effect.sync(() => {
        isCut = false
      })
    }
  })
