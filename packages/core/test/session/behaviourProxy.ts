/**
 * A way to a TCP server that can be cut and closed, as networks do.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

export interface Proxy {
  readonly port: number
  /** Resets every connection, in both directions. */
  readonly cut: Effect.Effect<void>
  /** Cuts, and resets whoever connects from now on. */
  readonly close: Effect.Effect<void>
  readonly open: Effect.Effect<void>
  /** Succeeds when no client has a connection. */
  readonly idle: Effect.Effect<void>
  /** Connections over which anything was sent so far, refused ones not counted. */
  readonly connections: Effect.Effect<number>
}

/**
 * Listens on a port of its own on all loopback addresses, and passes everything on to `port` at `host`.
 */
export const make = Effect.fnUntraced(
  function*(host: string, port: number): Effect.fn.Return<Proxy, never, Scope.Scope> {
    const clients = new Set<Net.Socket>()
    const idle = new Set<() => void>()
    let closed = false
    let connections = 0

    const cut = (): void => {
      for (const client of clients) client.resetAndDestroy()
    }
    const server = Net.createServer({ allowHalfOpen: true }, (client) => {
      if (closed) {
        client.on("error", () => {})
        client.resetAndDestroy()
        return
      }
      clients.add(client)
      // Not before the first byte: on a slow machine both addresses of "localhost" are tried, and one is used.
      client.once("data", () => connections++)
      const upstream = Net.connect({ host, port, allowHalfOpen: true })
      client.setNoDelay(true)
      upstream.setNoDelay(true)
      client.pipe(upstream)
      upstream.pipe(client)
      client.on("error", () => {})
      upstream.on("error", () => client.resetAndDestroy())
      client.on("close", () => {
        upstream.destroy()
        clients.delete(client)
        if (clients.size === 0) { for (const resume of idle) resume() }
      })
      upstream.on("close", () => client.destroy())
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "localhost", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          cut()
        })
    )
    return {
      port: (server.address() as Net.AddressInfo).port,
      cut: Effect.sync(cut),
      close: Effect.sync(() => {
        closed = true
        cut()
      }),
      open: Effect.sync(() => {
        closed = false
      }),
      idle: Effect.callback((resume) => {
        if (clients.size === 0) return resume(Effect.void)
        const done = (): void => {
          idle.delete(done)
          resume(Effect.void)
        }
        idle.add(done)
        return Effect.sync(() => idle.delete(done))
      }),
      connections: Effect.sync(() => connections)
    }
  }
)
