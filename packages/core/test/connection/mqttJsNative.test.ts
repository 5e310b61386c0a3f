import * as MqttJs from "@effect-mqttx/core/MqttJs"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { WebSocket } from "ws"
import { accepting, listen } from "../../../../test/support/peers.ts"
import { openWith, publish, type RequestFields } from "./client.ts"

// A file of its own: MQTT.js decides at its first use in a process whether WebSockets are the platform's, and that it
// has mini programs then.

const network = globalThis as { WebSocket?: unknown; wx?: unknown }
// Node has a WebSocket of its own from version 22 on.
network.WebSocket ??= WebSocket

const open = (fields: RequestFields, options: MqttJs.MqttJsOptions) =>
  openWith(fields).pipe(Effect.provide(MqttJs.layer(options)))

/** The part of WeChat's `wx` that MQTT.js uses, and which sends all of the buffer that it is given. */
const wx = {
  connectSocket: ({ protocols, url }: { readonly url: string; readonly protocols: Array<string> }) => {
    const socket = new WebSocket(url, protocols)
    socket.binaryType = "arraybuffer"
    socket.on("error", () => {})
    return {
      onOpen: (listener: () => void) => socket.on("open", listener),
      onMessage: (listener: (message: { readonly data: unknown }) => void) =>
        socket.on("message", (data) => listener({ data })),
      onClose: (listener: () => void) => socket.on("close", listener),
      onError: (listener: (error: { readonly errMsg: string }) => void) =>
        socket.on("error", (error) => listener({ errMsg: error.message })),
      send: ({ data, fail, success }: {
        readonly data: ArrayBuffer
        readonly success: () => void
        readonly fail: (message: string) => void
      }) => socket.send(data, (error) => error instanceof Error ? fail(error.message) : success()),
      close: ({ success }: { readonly success?: () => void }) => {
        socket.close()
        success?.()
      }
    }
  }
}

const ways: ReadonlyArray<readonly [string, MqttJs.MqttJsOptions]> = [
  ["the WebSocket of the platform", { forceNativeWebSocket: true }],
  ["a WeChat mini program", { forceNativeWebSocket: true, miniProgram: "wx" }]
]

it.live("is refused without the option in a process that began with it", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection } = yield* open({ address: listener.address }, { forceNativeWebSocket: true })
    yield* connection.close(0)
    const error = yield* Effect.flip(open({ address: listener.address }, {}))
    assert.strictEqual(error.reason._tag, "NotSupported")
  }))

for (const [title, options] of ways) {
  it.live(`carries packets both ways through ${title}, in any kind of buffer`, () =>
    Effect.gen(function*() {
      network.wx = wx
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const { connection, owner } = yield* open({ address: listener.address }, options)
      const peer = yield* listener.peer()
      for (let count = 0; count < 20; count++) connection.send([publish({ payload: new Uint8Array(count * 1000) })])
      yield* peer.until(() => peer.packets.length === 21)
      assert.isUndefined(peer.violation)
      peer.send(publish(), publish({ payload: new Uint8Array(100_000) }))
      yield* owner.until(() => owner.packets.length === 3)
      yield* connection.close(0)
      yield* peer.gone
      assert.strictEqual(peer.packets.at(-1)?._tag, "Disconnect")
    }))

  it.live(`holds what arrives while reading is paused, up to 16 MiB, in ${title}`, () =>
    Effect.gen(function*() {
      network.wx = wx
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const { connection, owner } = yield* open({ address: listener.address }, options)
      const peer = yield* listener.peer()
      connection.pause()
      for (let count = 0; count < 100; count++) peer.send(publish({ payload: new Uint8Array(100_000).fill(count) }))
      yield* Effect.repeat(Effect.sleep(1), { until: () => listener.webSockets[0]!.bufferedAmount === 0 })
      assert.strictEqual(owner.packets.length, 1)
      connection.resume()
      yield* owner.until(() => owner.packets.length === 101)
      assert.deepStrictEqual(
        owner.packets.slice(1).map((packet) => packet._tag === "Publish" && packet.payload[0]),
        Array.from({ length: 100 }, (_, index) => index)
      )
      connection.pause()
      for (let count = 0; count < 200; count++) peer.send(publish({ payload: new Uint8Array(100_000) }))
      const error = yield* Deferred.await(owner.ended)
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      assert.match(String(error.reason._tag === "ConnectionLost" && error.reason.cause), /16777216 bytes/)
    }))

  it.live(`fails when ${title} finds no server, and is lost when the server ends`, () =>
    Effect.gen(function*() {
      network.wx = wx
      const address = yield* Effect.scoped(Effect.map(listen({ protocol: "ws" }), (listener) => listener.address))
      assert.strictEqual((yield* Effect.flip(open({ address }, options))).reason._tag, "ConnectionRefused")
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const { owner } = yield* open({ address: listener.address }, options)
      ;(yield* listener.peer()).end()
      assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
      yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
    }))
}

it.live("has one connection at a time in a mini program, and begins the next one a second after the last", () =>
  Effect.gen(function*() {
    network.wx = wx
    const options: MqttJs.MqttJsOptions = { forceNativeWebSocket: true, miniProgram: "wx" }
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { address } = listener
    for (let attempt = 0; attempt < 3; attempt++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const { owner } = yield* open({ address }, options)
        const error = yield* Effect.flip(open({ address }, options))
        assert.strictEqual(error.reason._tag, "NotSupported")
        const peer = yield* listener.peer(attempt)
        peer.send(publish())
        yield* owner.until(() => owner.packets.length === 2)
      }))
    }
    assert.strictEqual(listener.peers.length, 3)
    yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
  }))
