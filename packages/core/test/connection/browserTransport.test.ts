import * as RealServer from "@effect-mqttx/testing/RealServer"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Redacted, Scope } from "effect"
import { build } from "esbuild"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"
import { WebSocket as NodeWebSocket } from "ws"
import { accepting, listen } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import { defaultTransport, scheduleTurn } from "../../src/internal/browser/transport.ts"
import { Transport } from "../../src/Transport.ts"
import { anyAddress, openWith, publish } from "./client.ts"

// Older versions of Node have no WebSocket of their own.
globalThis.WebSocket ??= NodeWebSocket as unknown as typeof WebSocket

const inBrowser = Effect.provideService(Transport, defaultTransport)

it.live("connects by the WebSocket of the platform, one frame a write", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    const peer = yield* listener.peer()
    connection.send([publish(), publish()])
    yield* peer.until(() => peer.packets.length === 3)
    peer.send(publish(), publish())
    yield* owner.until(() => owner.packets.length === 3)
    yield* connection.close(0)
    yield* peer.gone
    assert.strictEqual(peer.chunks.length, 3)
    assert.strictEqual(peer.packets.at(-1)?._tag, "Disconnect")
    assert.strictEqual(listener.upgrades[0]?.headers["sec-websocket-protocol"], "mqtt")
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Closed"])
  }))

it.live("refuses what a browser cannot do", () =>
  Effect.gen(function*() {
    const wss = { ...anyAddress, protocol: "wss" as const, path: "/" }
    const plain = { insecureSkipVerify: false, minVersion: "TLSv1.2" as const }
    const requests: ReadonlyArray<Parameters<typeof openWith>[0]> = [
      { address: anyAddress },
      { address: { ...anyAddress, protocol: "tls" } },
      { address: { ...anyAddress, protocol: "unix", path: "/x" } },
      { address: wss, tls: { ...plain, ca: ["x"] } },
      { address: wss, tls: { ...plain, insecureSkipVerify: true } },
      { address: wss, tls: { ...plain, minVersion: "TLSv1.3" } },
      { address: wss, webSocket: { subprotocol: "mqtt", headers: { a: Redacted.make("b") } } }
    ]
    for (const request of requests) {
      const error = yield* Effect.flip(openWith(request).pipe(inBrowser))
      assert.strictEqual(error.reason._tag, "NotSupported")
    }
  }))

it.live("fails with ConnectionRefused when no server listens", () =>
  Effect.gen(function*() {
    const address = yield* Effect.scoped(Effect.map(listen({ protocol: "ws" }), (listener) => listener.address))
    const error = yield* Effect.flip(openWith({ address }).pipe(inBrowser))
    assert.strictEqual(error.reason._tag, "ConnectionRefused")
  }))

it.live("leaves no socket when opening is interrupted", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    for (let index = 0; index < 20; index++) {
      yield* Effect.scoped(openWith({ address: listener.address }).pipe(inBrowser)).pipe(
        Effect.timeoutOption(index / 3)
      )
    }
    yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
  }))

it.live("reports when a congested socket is writable again", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    const peer = yield* listener.peer()
    peer.pause()
    const payload = new Uint8Array(200_000)
    while (connection.send([publish({ payload })])._tag === "Sent") {
      yield* Effect.sleep(0)
    }
    yield* Effect.sleep(100)
    assert.strictEqual(owner.writable, 0)
    peer.resume()
    yield* owner.until(() => owner.writable === 1)
    assert.strictEqual(connection.send([publish()])._tag, "Sent")
  }))

it.live("holds what arrives while it is paused, in order", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    const peer = yield* listener.peer()
    connection.pause()
    for (let index = 0; index < 100; index++) {
      peer.send(publish({ topic: String(index) }))
    }
    yield* Effect.sleep(50)
    assert.strictEqual(owner.packets.length, 1)
    connection.resume()
    yield* owner.until(() => owner.packets.length === 101)
    assert.deepStrictEqual(
      owner.packets.slice(1).map((packet) => packet._tag === "Publish" && packet.topic),
      Array.from({ length: 100 }, (_, index) => String(index))
    )
  }))

it.live("ends the connection when too much arrives while it is paused", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    const peer = yield* listener.peer()
    connection.pause()
    for (let index = 0; index < 20; index++) {
      peer.send(publish({ payload: new Uint8Array(1_000_000) }))
    }
    const error = yield* Deferred.await(owner.ended)
    assert.strictEqual(error.reason._tag, "ConnectionLost")
    assert.match(error.message, /paused/)
    yield* peer.gone
  }))

it.live("closes the connection on a WebSocket text frame", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    listener.webSockets[0]?.send("text")
    const error = yield* Deferred.await(owner.ended)
    assert.match(error.message, /text frame/)
    yield* (yield* listener.peer()).gone
  }))

/** Past the server's own framing. */
const rawWrite = (webSocket: unknown, bytes: ReadonlyArray<number>): void => {
  const { _socket } = webSocket as { readonly _socket: { write: (bytes: Uint8Array) => void } }
  _socket.write(Uint8Array.from(bytes))
}

for (
  const [title, bytes] of [
    ["a close frame", [0x88, 0x02, 0x03, 0xe8]],
    ["a frame with reserved bits", [0xf2, 0x00]],
    ["a close frame with an invalid code", [0x88, 0x02, 0x00, 0x00]]
  ] as const
) {
  it.live(`is lost within a second after ${title}, though the server leaves the network open`, () =>
    Effect.gen(function*() {
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
      const peer = yield* listener.peer()
      peer.send(publish({ topic: "before" }))
      rawWrite(listener.webSockets[0], bytes)
      const error = yield* within(1000)(Deferred.await(owner.ended))
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      assert.strictEqual(owner.packets.length, 2)
      assert.deepStrictEqual(connection.send([publish()]), { _tag: "NotSent", sent: 0, failure: undefined })
    }))
}

it.live("sends nothing while the server closes, and says so", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection, owner } = yield* openWith({ address: listener.address }).pipe(inBrowser)
    const peer = yield* listener.peer()
    rawWrite(listener.webSockets[0], [0x88, 0x02, 0x03, 0xe8])
    let sent = 0
    while (connection.send([publish()])._tag === "Sent") {
      sent++
      yield* Effect.sleep(1)
    }
    assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
    assert.strictEqual(peer.packets.length, 1 + sent)
  }))

it.live("ends the connection on a message that is larger than the maximum packet size by far", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { owner } = yield* openWith({ address: listener.address, maximumPacketSize: 1000 }).pipe(inBrowser)
    const peer = yield* listener.peer()
    // Several packets in a message are no fault.
    peer.sendBytes(Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0x30, 5, 0, 1, 0x61, 0, 0x62]))))
    yield* owner.until(() => owner.packets.length === 101)
    peer.sendBytes(new Uint8Array(70_000))
    const error = yield* Deferred.await(owner.ended)
    assert.match(error.message, /message of more than 66536 bytes/)
    yield* peer.gone
  }))

it.live("accepts no large message in place of CONNACK", () =>
  Effect.gen(function*() {
    const listener = yield* listen({
      protocol: "ws",
      serve: (peer) => Effect.map(peer.received("Connect"), () => peer.sendBytes(new Uint8Array(200_000)))
    })
    const error = yield* Effect.flip(openWith({ address: listener.address }).pipe(inBrowser))
    assert.match(error.message, /message of more than 131072 bytes/)
  }))

it.live("ends with its scope", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const scope = yield* Scope.make()
    yield* openWith({ address: listener.address }).pipe(inBrowser, Scope.provide(scope))
    yield* Scope.close(scope, Exit.void)
    yield* (yield* listener.peer()).gone
  }))

it.live("runs scheduled tasks in order, in a later turn", () =>
  Effect.gen(function*() {
    const ran: Array<number> = []
    yield* Effect.callback<void>((resume) => {
      scheduleTurn((value: number) => ran.push(value), 1)
      scheduleTurn((value: number) => {
        ran.push(value)
        resume(Effect.void)
      }, 2)
      assert.deepStrictEqual(ran, [])
    })
    assert.deepStrictEqual(ran, [1, 2])
  }))

it.live.skipIf(!RealServer.isPresent("chromium"))(
  "bundles without any Node module and connects from a real browser",
  () =>
    Effect.gen(function*() {
      const bundle = yield* Effect.promise(() =>
        build({
          stdin: {
            contents: `
              import * as Effect from "effect/Effect"
              import * as Deferred from "effect/Deferred"
              import { open } from "./src/internal/connection/connection.ts"
              globalThis.run = (request, packets) => Effect.runPromise(Effect.scoped(Effect.gen(function*() {
                const seen = []
                const enough = Deferred.makeUnsafe()
                const connection = yield* open(request, {
                  onPackets: (batch) => {
                    seen.push(...batch.map((packet) => packet._tag))
                    if (seen.length === 3) Deferred.doneUnsafe(enough, Effect.void)
                  },
                  onWritable: () => {},
                  onClosed: (error) => { seen.push(error.reason._tag) }
                })
                connection.send(packets)
                yield* Deferred.await(enough)
                yield* connection.close(0)
                return seen
              })))`,
            resolveDir: fileURLToPath(new URL("../..", import.meta.url)),
            loader: "ts"
          },
          bundle: true,
          write: false,
          metafile: true,
          platform: "browser",
          format: "iife",
          conditions: ["@effect-mqttx/source"]
        })
      )
      const inputs = Object.keys(bundle.metafile.inputs)
      assert.deepStrictEqual(inputs.filter((input) => /^node:|internal\/node\/|node_modules\/ws\//.test(input)), [])
      assert.isTrue(inputs.some((input) => input.endsWith("internal/browser/transport.ts")))
      const script = bundle.outputFiles[0]!.text

      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const page = yield* servePage(script)
      const launched = yield* Effect.acquireRelease(
        Effect.promise(() => chromium.launch({ executablePath: RealServer.find("chromium")!, args: ["--no-sandbox"] })),
        (launched) => Effect.promise(() => launched.close())
      )
      const tab = yield* Effect.promise(() => launched.newPage())
      yield* Effect.promise(() => tab.goto(page))
      const run = tab.evaluate(([host, port]) => {
        const request = {
          session: "browser",
          address: { protocol: "ws", host, port, path: "/mqtt", username: undefined, password: undefined },
          connectTimeout: 5000,
          writeTimeout: 5000,
          maximumPacketSize: 1_000_000,
          connect: {
            _tag: "Connect",
            protocolVersion: 5,
            clientId: "browser",
            cleanStart: true,
            keepAlive: 60,
            properties: { userProperties: [["a", "1"], ["a", "2"]] }
          }
        }
        const message = {
          _tag: "Publish",
          topic: "t",
          payload: new Uint8Array(300_000),
          qos: 0,
          retain: false,
          dup: false,
          packetIdentifier: 0,
          properties: {}
        }
        return (globalThis as unknown as { run: (...input: ReadonlyArray<unknown>) => Promise<ReadonlyArray<string>> })
          .run(request, [message, message])
      }, [listener.address.host, listener.address.port] as const)
      const peer = yield* listener.peer()
      yield* peer.until(() => peer.packets.length === 3)
      peer.send(publish(), publish({ topic: "é" }))
      assert.deepStrictEqual(yield* Effect.promise(() => run), ["Connack", "Publish", "Publish", "Closed"])
      yield* peer.gone
      assert.deepStrictEqual(peer.packets.map((packet) => packet._tag), ["Connect", "Publish", "Publish", "Disconnect"])
      assert.isUndefined(peer.violation)
    }),
  180_000
)

const servePage = (script: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer((request, response) => {
          const isScript = request.url === "/bundle.js"
          response.setHeader("content-type", isScript ? "text/javascript" : "text/html")
          response.end(isScript ? script : "<!doctype html><meta charset=utf-8><script src=/bundle.js></script>")
        })
        server.listen(0, "localhost", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    ),
    (server) => `http://localhost:${(server.address() as AddressInfo).port}/`
  )
