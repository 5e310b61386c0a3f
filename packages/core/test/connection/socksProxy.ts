/**
 * A SOCKS 5 proxy for tests (RFC 1928), without authentication, for names and addresses.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

export interface SocksProxy {
  readonly url: string
  /** `host:port` of everything that was asked for. */
  readonly destinations: ReadonlyArray<string>
}

/** With `refuse` it answers that the destination is unreachable, with `silent` nothing at all. */
export const make = (answer: "connect" | "refuse" | "silent" = "connect"): Effect.Effect<
  SocksProxy,
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const destinations: Array<string> = []
    const sockets = new Set<Net.Socket>()
    const track = (socket: Net.Socket): void => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    }
    const server = Net.createServer((client) => {
      track(client)
      client.once("data", () => {
        if (answer === "silent") {
          return
        }
        client.write(Uint8Array.of(5, 0))
        client.once("data", (request) => {
          const isName = request[3] === 3
          const host = isName
            ? request.subarray(5, 5 + request[4]!).toString()
            : request[3] === 1
            ? Array.from(request.subarray(4, 8)).join(".")
            : "::1"
          const port = request.readUInt16BE(request.length - 2)
          destinations.push(`${host}:${port}`)
          if (answer === "refuse") {
            client.end(Uint8Array.of(5, 4, 0, 1, 0, 0, 0, 0, 0, 0))
            return
          }
          const target = Net.connect({ host, port }, () => {
            client.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
            client.pipe(target).pipe(client)
          })
          track(target)
          target.on("close", () => client.destroy())
          client.on("close", () => target.destroy())
        })
      })
    })
    const port = yield* Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
    })
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) {
          socket.destroy()
        }
      })
    )
    return { url: `socks5h://127.0.0.1:${port}`, destinations }
  })
