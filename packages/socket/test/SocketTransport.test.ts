import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SocketTransport from "@effect-mqttx/socket/SocketTransport"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { NodeSocket } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { Duplex } from "node:stream"
import * as Tls from "node:tls"
import { WebSocket } from "ws"
import { listen, type Peer } from "../../../test/support/peers.ts"

const net: SocketTransport.MakeSocket<never> = ({ address: { host, port } }) => NodeSocket.makeNet({ host, port })

/** As `connect()` of Cloudflare Workers gives them. */
const webStreams: SocketTransport.MakeSocket<never> = ({ address: { host, port } }) =>
  Socket.fromTransformStream(
    Effect.callback((resume) => {
      const socket = Net.connect({ host, port })
      socket.once("connect", () => {
        resume(Effect.succeed(Duplex.toWeb(socket) as unknown as Socket.InputTransformStream))
      })
      socket.once("error", (cause) => {
        resume(Effect.fail(new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })))
      })
    })
  )

const tls: SocketTransport.MakeSocket<never> = ({ address: { host, port }, tls }) =>
  NodeSocket.fromDuplex(Effect.callback((resume) => {
    const socket = Tls.connect({ host, port, servername: host, ...(tls?.ca === undefined ? {} : { ca: [...tls.ca] }) })
    socket.once("secureConnect", () => resume(Effect.succeed(socket)))
    socket.once("error", (cause) => {
      resume(Effect.fail(new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })))
    })
  }))

const webSocket: SocketTransport.MakeSocket<never> = ({ address: { host, path, port } }) =>
  Effect.provide(
    Socket.makeWebSocket(`ws://${host}:${port}${path}`, { protocols: ["mqtt"] }),
    // Not the platform's, which Node has from 22 on.
    Layer.succeed(
      Socket.WebSocketConstructor,
      (url, options) => new WebSocket(url, options as Array<string>) as unknown as Socket.WebSocketLike
    )
  )

const kinds = [["tcp", net], ["tcp", webStreams], ["tls", tls], ["ws", webSocket]] as const

describe.skipIf(!MosquittoBroker.isPresent())("with mosquitto", () => {
  it.live.each(kinds)(
    "a session over a Socket publishes, receives and ends in order: %s",
    ([network, make]) =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make({ tls: true, webSocket: true })
        // mosquitto 2.0.11 serves WebSockets every 100 ms.
        const payload = "x".repeat(network === "ws" ? 1000 : 300_000)
        yield* Effect.gen(function*() {
          const session = yield* MqttSession.make({
            name: "plant",
            servers: broker.urls[network]!,
            ...(network === "tls" ? { tls: { ca: broker.certificates!.ca } } : undefined)
          })
          const { messages } = yield* session.subscription("a", { qos: 1 })
          yield* Effect.forEach([1, 2, 3], (n) => session.publish("a", `${n}${payload}`, { qos: 1 }))
          const received = yield* Stream.runCollect(Stream.take(messages, 3))
          assert.deepStrictEqual(received.map(({ text }) => text?.slice(0, 1)), ["1", "2", "3"])
          yield* session.drain
        }).pipe(Effect.scoped, Effect.provide(SocketTransport.layer(make)))
      })
  )
})

/** Opens a stream of its own, and notes what it says. */
const opened = Effect.fnUntraced(
  function*(make: SocketTransport.MakeSocket<never>, serve?: (peer: Peer) => Effect.Effect<void>) {
    const listener = yield* listen(serve === undefined ? {} : { serve })
    const seen: Array<Uint8Array> = []
    const ends: Array<unknown> = []
    const waiting = new Set<() => void>()
    let drains = 0
    const changed = (): void => {
      for (const check of [...waiting]) check()
    }
    const transport = yield* SocketTransport.make(make)
    const stream = yield* transport.open(
      { address: listener.address, tls: undefined, webSocket: undefined, maximumPacketSize: 1000 },
      {
        onData: (bytes) => {
          seen.push(bytes)
          changed()
        },
        onDrain: () => {
          drains++
          changed()
        },
        onClose: (cause) => {
          ends.push(cause)
          changed()
        }
      }
    )
    const until = (condition: () => boolean): Effect.Effect<void> =>
      Effect.callback((resume) => {
        const check = (): void => {
          if (!condition()) return
          waiting.delete(check)
          resume(Effect.void)
        }
        waiting.add(check)
        check()
      })
    return { stream, peer: yield* listener.peer(), seen, ends, until, drains: () => drains }
  }
)

describe("a stream over a Socket", () => {
  const bytesOf = (chunks: ReadonlyArray<Uint8Array>) => Buffer.concat(chunks).length

  it.live("ends once, in order, when the peer ends", () =>
    Effect.gen(function*() {
      for (const make of [net, webStreams]) {
        const { ends, peer, seen, stream, until } = yield* opened(make)
        peer.sendBytes([1, 2, 3])
        peer.end()
        yield* until(() => ends.length > 0)
        assert.deepStrictEqual([...Buffer.concat(seen)], [1, 2, 3])
        assert.deepStrictEqual(ends, [undefined])
        assert.strictEqual(stream.write(Uint8Array.of(1)), "closed")
        stream.destroy()
        assert.lengthOf(ends, 1)
      }
    }))

  it.live("sends everything before it ends, and takes nothing after that", () =>
    Effect.gen(function*() {
      for (const make of [net, webStreams]) {
        const { ends, peer, stream, until } = yield* opened(make)
        for (let n = 0; n < 100; n++) stream.write(new Uint8Array(10_000).fill(n))
        stream.end()
        assert.strictEqual(stream.write(Uint8Array.of(1)), "closed")
        yield* peer.until(() => bytesOf(peer.chunks) === 1_000_000 && peer.ended)
        yield* until(() => ends.length === 1)
      }
    }))

  it.live("is congested until everything is sent, and says so", () =>
    Effect.gen(function*() {
      const { drains, peer, stream, until } = yield* opened(net)
      peer.pause()
      let written = 0
      while (stream.write(new Uint8Array(100_000)) === "taken") written++
      assert.isAbove(stream.pendingBytes(), 262_144)
      assert.isAtMost(written, 3)
      peer.resume()
      yield* until(() => drains() === 1)
      assert.strictEqual(stream.pendingBytes(), 0)
      assert.strictEqual(stream.write(Uint8Array.of(1)), "taken")
    }))

  it.live("hands over nothing while it is paused, and slows the peer down", () =>
    Effect.gen(function*() {
      const { peer, seen, stream, until } = yield* opened(net)
      peer.sendBytes([1])
      yield* until(() => seen.length === 1)
      stream.pause()
      for (let n = 0; n < 20; n++) peer.sendBytes(new Uint8Array(100_000))
      yield* Effect.sleep(100)
      assert.lengthOf(seen, 1)
      stream.resume()
      yield* until(() => bytesOf(seen) === 2_000_001)
    }))

  it.live("is destroyed at once, and with its scope", () =>
    Effect.gen(function*() {
      const { ends, peer, stream } = yield* opened(net)
      stream.destroy()
      assert.deepStrictEqual(ends, [undefined])
      yield* peer.gone
      const scoped = yield* Effect.scoped(opened(net))
      yield* scoped.peer.gone
      assert.deepStrictEqual(scoped.ends, [undefined])
    }))

  it.live("that cannot be opened is a typed failure with the network's code", () =>
    Effect.gen(function*() {
      const { address } = yield* Effect.scoped(listen())
      for (const make of [net, webStreams]) {
        const transport = yield* SocketTransport.make(make)
        const error = yield* Effect.flip(transport.open(
          { address, tls: undefined, webSocket: undefined, maximumPacketSize: 1000 },
          { onData: () => {}, onDrain: () => {}, onClose: () => {} }
        ))
        assert.deepInclude(error.reason, { _tag: "ConnectionRefused", code: "ECONNREFUSED", isRetryable: true })
      }
    }))
})
