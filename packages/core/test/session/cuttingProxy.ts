/**
 * A way to a TCP server on which every connection is reset after a random number of bytes.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

export interface CuttingProxy {
  readonly port: number
  readonly cuts: () => number
  readonly awaitCuts: (count: number) => Effect.Effect<void>
}

export interface CuttingProxyOptions {
  readonly port: number
  /** Bytes of both directions before a connection is cut: the bounds of a random number. */
  readonly bytes: readonly [minimum: number, maximum: number]
  readonly limit: number
  /** From 0 up to 1. */
  readonly random: () => number
}

const host = "127.0.0.1"

export const make = Effect.fnUntraced(function*(
  options: CuttingProxyOptions
): Effect.fn.Return<CuttingProxy, never, Scope.Scope> {
  const sockets = new Set<Net.Socket>()
  const waiting = new Set<() => void>()
  let cuts = 0

  const server = Net.createServer((client) => {
    const upstream = Net.connect({ host, port: options.port, noDelay: true })
    const [minimum, maximum] = options.bytes
    let left = cuts < options.limit ? minimum + Math.floor(options.random() * (maximum - minimum)) : Infinity
    const reset = (): void => {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
    const pass = (from: Net.Socket, to: Net.Socket): void => {
      from.setNoDelay(true)
      from.on("error", () => {})
      from.on("data", (bytes) => {
        if (left === 0) return
        const passing = Math.min(left, bytes.length)
        left -= passing
        if (left > 0) {
          to.write(bytes)
          return
        }
        // The rest, of a packet perhaps, never arrives.
        to.write(bytes.subarray(0, passing), reset)
        cuts++
        for (const check of waiting) check()
      })
      from.on("end", () => to.end())
      from.on("close", () => {
        sockets.delete(from)
        to.destroy()
      })
      sockets.add(from)
    }
    pass(client, upstream)
    pass(upstream, client)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, host, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  return {
    port: (server.address() as Net.AddressInfo).port,
    cuts: () => cuts,
    awaitCuts: (count) =>
      Effect.callback((resume) => {
        const check = (): void => {
          if (cuts < count) return
          waiting.delete(check)
          resume(Effect.void)
        }
        waiting.add(check)
        check()
        return Effect.sync(() => waiting.delete(check))
      })
  }
})
