/**
 * What stands between a client and servers that fail over: a proxy whose connections stay where they are while new ones
 * go elsewhere.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

export interface Proxy {
  readonly url: string
  /** How many connections were ever made. */
  readonly connections: () => number
  /** New connections lead to this port of loopback. */
  readonly leadTo: (port: number) => void
  /**
   * From now on the connections that there are get this for each command, and no server sees them; undefined: nothing.
   */
  readonly answer: (reply: string | undefined) => void
}

/** A proxy for the scope. */
export const makeProxy = (port: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    let target = port
    let count = 0
    const answers = new Set<(reply: string | undefined) => void>()
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((client) => {
      count++
      const upstream = Net.connect(target, "127.0.0.1")
      let isCut = false
      let reply: string | undefined
      const answer = (text: string | undefined) => {
        isCut = true
        reply = text
      }
      answers.add(answer)
      client.on("data", (chunk) => {
        if (!isCut) upstream.write(chunk)
        // A driver writes a command in one piece as long as it is small.
        else if (reply !== undefined) client.write(reply)
      })
      upstream.on("data", (chunk) => {
        if (!isCut) client.write(chunk)
      })
      for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
        sockets.add(one)
        one.on("error", () => {}).on("close", () => {
          sockets.delete(one)
          answers.delete(answer)
          // A server that is gone without a word does not close either.
          if (!isCut || one === client) other.destroy()
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    return {
      url: `redis://127.0.0.1:${(server.address() as Net.AddressInfo).port}`,
      connections: () => count,
      leadTo: (other) => {
        target = other
      },
      answer: (reply) => {
        for (const answer of answers) answer(reply)
      }
    }
  })
