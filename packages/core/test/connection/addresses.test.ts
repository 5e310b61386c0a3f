import * as Certificates from "@effect-mqttx/testing/Certificates"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import type * as Dns from "node:dns"
import * as Net from "node:net"
import { vi } from "vitest"
import { accepting, listen } from "../../../../test/support/peers.ts"
import { undisturbed } from "../../../../test/support/within.ts"
import { addressesOf, race, summary } from "../../src/internal/node/dial.ts"
import type { TlsOptions } from "../../src/SessionOptions.ts"
import { openWith, type RequestFields } from "./client.ts"
import * as Proxies from "./proxies.ts"
import * as SilentHost from "./silentHost.ts"

/** What the name service says about names that it does not know otherwise. */
const names = new Map<string, ReadonlyArray<string>>()

vi.mock("node:dns", async (original) => {
  const real = await original<typeof Dns>()
  return {
    ...real,
    lookup: (name: string, options: object, callback: (error: Error | null, addresses: unknown) => void) => {
      const known = names.get(name)
      if (known === undefined) return real.lookup(name, options, callback as never)
      setImmediate(() => callback(null, known.map((address) => ({ address, family: Net.isIP(address) }))))
    }
  }
})

const certificates = await Effect.runPromise(Certificates.make)
const server = certificates.issue({ commonName: "many.test", subjectAltNames: ["many.test"], usage: "server" })
const tls: TlsOptions = { ca: [certificates.ca], insecureSkipVerify: false, minVersion: "TLSv1.2" }

const protocols = ["tcp", "tls", "ws", "wss"] as const

const listenAt = (host: string, protocol: typeof protocols[number] = "tcp") =>
  listen({ host, protocol, tls: server, serve: accepting() })

const open = (name: string, address: RequestFields["address"], options: RequestFields = {}) =>
  openWith({ address: { ...address!, host: name }, tls, ...options })

describe("the addresses of a name", () => {
  it.effect("are tried with both families in turn, in the order of the name service, each once", () =>
    Effect.gen(function*() {
      const order = (...addresses: ReadonlyArray<string>) => addressesOf("many", () => Effect.succeed(addresses))
      assert.deepStrictEqual(yield* order("::1", "::2", "::3", "1.1.1.1", "::1"), ["::1", "1.1.1.1", "::2", "::3"])
      assert.deepStrictEqual(yield* order("1.1.1.1", "1.1.1.2", "::1"), ["1.1.1.1", "::1", "1.1.1.2"])
      assert.deepStrictEqual(yield* addressesOf("::1", () => Effect.die("asked for an address")), ["::1"])
    }))

  it.live("are all tried before the server counts as unreachable, on every network", () =>
    Effect.gen(function*() {
      for (const protocol of protocols) {
        for (const host of ["127.0.0.3", "::1"]) {
          const listener = yield* listenAt(host, protocol)
          names.set("many.test", ["127.0.0.1", "127.0.0.2", host])
          const { connection } = yield* open("many.test", listener.address)
          const peer = yield* listener.peer()
          yield* peer.until(() => peer.packets.length === 1)
          if (listener.tlsSockets[0] !== undefined) assert.strictEqual(listener.tlsSockets[0].servername, "many.test")
          yield* connection.close(0)
          yield* peer.gone
        }
      }
    }))

  it.live("that do not answer are all named, and may answer later", () =>
    Effect.gen(function*() {
      const { port } = (yield* Effect.scoped(listenAt("127.0.0.1"))).address
      names.set("many.test", ["127.0.0.1", "127.0.0.2", "::1"])
      for (const protocol of protocols) {
        const address = { protocol, host: "", port, path: "/", username: undefined, password: undefined }
        const { reason } = yield* Effect.flip(open("many.test", address))
        assert.deepInclude(reason, { _tag: "ConnectionRefused", code: "ECONNREFUSED", isRetryable: true })
        for (const part of ["3 addresses", "127.0.0.1", "127.0.0.2", "::1"]) assert.include(reason.message, part)
      }
      names.set("many.test", [])
      const none = { protocol: "tcp", host: "", port, path: "", username: undefined, password: undefined } as const
      assert.include((yield* Effect.flip(open("many.test", none))).message, "the name has no address")
    }))

  it("fail for now when one of them may answer later, although another never can", () => {
    const [never, later] = ["EAFNOSUPPORT", "ECONNREFUSED"].map((code) => Object.assign(new Error(code), { code }))
    const codeOf = (...errors: ReadonlyArray<Error>) => (summary(errors) as NodeJS.ErrnoException).code
    assert.strictEqual(codeOf(never!, later!), "ECONNREFUSED")
    assert.strictEqual(codeOf(later!, never!), "ECONNREFUSED")
    assert.strictEqual(codeOf(never!, never!), "EAFNOSUPPORT")
  })

  it.live("that are silent do not delay the next one, and are still waited for while they may answer", () =>
    Effect.gen(function*() {
      const port = yield* SilentHost.make("127.0.0.2")
      const live = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const each = Net.createServer()
          each.listen(port, "127.0.0.1", () => resume(Effect.succeed(each)))
        }),
        (each) => Effect.sync(() => each.close())
      )
      const clients: Array<Net.Socket> = []
      live.on("connection", (socket) => {
        socket.on("error", () => {})
        clients.push(socket)
      })
      const begin = performance.now()
      const socket = yield* race(["127.0.0.2", "127.0.0.1"], port)
      assert.strictEqual(socket.remoteAddress, "127.0.0.1")
      assert.isAtLeast(performance.now() - begin, 240)
      // The silent one is still tried when the others have failed.
      const fiber = yield* Effect.forkChild(Effect.scoped(race(["127.0.0.2", "127.0.0.3"], port)))
      yield* Effect.sleep(600)
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }))

  it.live("leave no socket behind: not those that connect too late, and none after an interruption", () =>
    undisturbed(
      Effect.gen(function*() {
        const listener = yield* listen({ host: "127.0.0.1" })
        const { port } = listener.address
        const scope = yield* Scope.make()
        // The same address twice: both connect, and one of them too late.
        yield* Scope.provide(race(["127.0.0.1", "127.0.0.1"], port), scope)
        assert.lengthOf(listener.peers, 1)
        yield* Scope.close(scope, Exit.void)
        yield* (yield* listener.peer()).gone
        const silent = yield* SilentHost.make("127.0.0.2")
        const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length
        yield* turn
        const before = sockets()
        const fiber = yield* Effect.forkChild(Effect.scoped(race(["127.0.0.2"], silent)), { startImmediately: true })
        assert.isAbove(sockets(), before)
        yield* Fiber.interrupt(fiber)
        yield* turn
        assert.strictEqual(sockets(), before)
      }).pipe(Effect.scoped)
    ))

  it.live("of a proxy are all tried, and those of a server for a proxy that wants an address", () =>
    Effect.gen(function*() {
      const listener = yield* listenAt("127.0.0.3")
      const way = yield* Proxies.socks()
      names.set("proxy.test", ["::1", "127.0.0.2", "127.0.0.1"])
      names.set("many.test", ["127.0.0.1", "127.0.0.3"])
      yield* open("many.test", listener.address, {
        proxy: { url: `socks5://proxy.test:${way.port}`, environment: false, noProxy: [] }
      })
      const { port } = listener.address
      assert.deepStrictEqual(way.destinations, [`127.0.0.1:${port}`, `127.0.0.3:${port}`])
    }))
})
