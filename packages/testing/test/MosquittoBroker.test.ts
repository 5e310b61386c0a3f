import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as RealServer from "@effect-mqttx/testing/RealServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { WebSocket } from "ws"
import * as Raw from "./support/rawClient.ts"

const tlsHandshake = (port: number, options: Tls.ConnectionOptions) =>
  Effect.callback<string>((resume) => {
    const socket = Tls.connect({ port, host: "127.0.0.1", ...options })
    // With TLS 1.3 a client certificate is judged after the client's own handshake: bytes or the end tell.
    socket.once("secureConnect", () =>
      socket.write(Uint8Array.of(0x10, 0x0d, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0, 0, 1, 97)))
    socket.once("data", () => {
      socket.destroy()
      resume(Effect.succeed("CONNACK"))
    })
    socket.once("error", (error) =>
      resume(Effect.succeed((error as NodeJS.ErrnoException).code ?? error.message)))
    socket.once("close", () => resume(Effect.succeed("closed")))
  })

describe.skipIf(!MosquittoBroker.isPresent())("mosquitto", () => {
  it.live("accepts clients over TCP, WebSocket and a Unix socket", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.MosquittoBroker
      assert.match(broker.version, /^\d+\.\d+/)
      for (const version of [4, 5] as const) {
        const tcp = yield* Raw.connect(Raw.dialTcp(broker.ports.tcp!), version, "tcp")
        assert.strictEqual(tcp.connack.reasonCode, 0)
        const ws = yield* Raw.connect(Raw.dialWebSocket(broker.urls.ws!), version, "ws")
        assert.strictEqual(ws.connack.reasonCode, 0)
      }
      assert.match(broker.urls.unix!, /^mqtt\+unix:\/\/\//)
      yield* Effect.callback<void, Error>((resume) => {
        const socket = Net.connect(new URL(broker.urls.unix!).pathname)
        socket.once("connect", () => {
          socket.destroy()
          resume(Effect.void)
        })
        socket.once("error", (error) => resume(Effect.fail(error)))
      })
    }).pipe(Effect.provide(MosquittoBroker.layer({ webSocket: true, unixSocket: true }))))

  it.live("shows the right certificate and demands one of the client where it should", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.MosquittoBroker
      const { ca, client, expiredClient, otherCa, otherCaClient } = broker.certificates!
      const port = broker.ports.tls!
      assert.strictEqual(yield* tlsHandshake(port, { ca, ...client }), "CONNACK")
      assert.strictEqual(yield* tlsHandshake(port, { ca: otherCa, ...client }), "SELF_SIGNED_CERT_IN_CHAIN")
      for (const refused of [{}, otherCaClient, expiredClient]) {
        assert.notStrictEqual(yield* tlsHandshake(port, { ca, ...refused }), "CONNACK")
      }
      const opened = yield* Effect.callback<string>((resume) => {
        const socket = new WebSocket(broker.urls.wss!, "mqtt", { ca, ...client })
        socket.once("open", () => {
          socket.terminate()
          resume(Effect.succeed("open"))
        })
        socket.once("error", (error) => resume(Effect.succeed(error.message)))
      })
      assert.strictEqual(opened, "open")
    }).pipe(
      Effect.provide(MosquittoBroker.layer({ tls: true, secureWebSocket: true, requireClientCertificate: true }))
    ))

  it.live("shows an expired certificate, or one for another host, when asked to", () =>
    Effect.gen(function*() {
      const first = yield* MosquittoBroker.make({ tls: true })
      const certificates = first.certificates!
      const code = (serverCertificate: typeof certificates.server) =>
        Effect.scoped(
          Effect.flatMap(
            MosquittoBroker.make({ tls: true, certificates, serverCertificate }),
            (broker) => tlsHandshake(broker.ports.tls!, { ca: certificates.ca })
          )
        )
      assert.strictEqual(yield* code(certificates.expiredServer), "CERT_HAS_EXPIRED")
      assert.strictEqual(yield* code(certificates.otherHostServer), "ERR_TLS_CERT_ALTNAME_INVALID")
      assert.strictEqual(yield* code(certificates.otherCaServer), "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
    }))

  it.live("keeps a session over an orderly restart on the same ports", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.MosquittoBroker
      const dial = Raw.dialTcp(broker.ports.tcp!)
      const before = yield* Raw.connect(dial, 5, "keeper", Raw.persistent(5))
      yield* Raw.subscribe(before, 1, [Raw.subscribeFilter("a")])
      yield* broker.restart
      const after = yield* Raw.connect(dial, 5, "keeper", Raw.persistent(5))
      assert.isTrue(after.connack.sessionPresent)
    }).pipe(Effect.provide(MosquittoBroker.layer({ persistence: true }))))

  it.live("refuses clients without the right password", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.MosquittoBroker
      const dial = Raw.dialTcp(broker.ports.tcp!)
      const password = new TextEncoder().encode("secret")
      const known = yield* Raw.connect(dial, 4, "a", { username: "ann", password })
      assert.strictEqual(known.connack.reasonCode, 0)
      const unknown = yield* Raw.connect(dial, 4, "b", { username: "ann", password: new TextEncoder().encode("x") })
      assert.strictEqual(unknown.connack.reasonCode, 5)
    }).pipe(Effect.provide(MosquittoBroker.layer({ users: { ann: "secret" } }))))

  it.live("is gone with its scope", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Effect.map(MosquittoBroker.make(), (broker) => broker.ports.tcp!))
      const refusal = yield* Effect.flip(Effect.scoped(Raw.dialTcp(port)({ onData() {}, onDrain() {}, onClose() {} })))
      assert.strictEqual((refusal as NodeJS.ErrnoException).code, "ECONNREFUSED")
    }))

  it.live("says why it does not start", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(MosquittoBroker.make({ config: ["no_such_option true"] }))
      assert.strictEqual(error._tag, "BrokerUnavailable")
      assert.include(error.detail, "no_such_option")
    }))
})

it("a missing program is a skip, and an error where servers are required", () => {
  const before = process.env["EFFECT_MQTTX_REQUIRE_SERVERS"]
  try {
    delete process.env["EFFECT_MQTTX_REQUIRE_SERVERS"]
    assert.isFalse(RealServer.isPresent("no-such-server"))
    process.env["EFFECT_MQTTX_REQUIRE_SERVERS"] = "1"
    assert.throws(() => RealServer.isPresent("no-such-server"), /no-such-server is not available/)
  } finally {
    if (before === undefined) delete process.env["EFFECT_MQTTX_REQUIRE_SERVERS"]
    else process.env["EFFECT_MQTTX_REQUIRE_SERVERS"] = before
  }
})
