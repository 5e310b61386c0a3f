import * as MqttJs from "@effect-mqttx/core/MqttJs"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Redacted } from "effect"
import type { MqttClient } from "mqtt"
import * as Net from "node:net"
import { PassThrough } from "node:stream"
import type * as Tls from "node:tls"
import { WebSocket } from "ws"
import { accepting, listen, type Listener } from "../../../../test/support/peers.ts"
import type { TlsOptions } from "../../src/SessionOptions.ts"
import { connect, openWith, type Owner, publish, type RequestFields } from "./client.ts"
import * as SocksProxy from "./socksProxy.ts"

// MQTT.js opens the streams of this file. What a session makes of them is in the behaviour suite.

const certificates = await Effect.runPromise(Certificates.make)
const { ca, client, server } = certificates

const tls = (options: Partial<TlsOptions> = {}): TlsOptions => ({
  ca: [ca],
  insecureSkipVerify: false,
  minVersion: "TLSv1.2",
  ...options
})

const open = (fields: RequestFields, options?: MqttJs.MqttJsOptions, owner?: Owner) =>
  openWith(fields, owner).pipe(Effect.provide(MqttJs.layer(options)))

const failure = (fields: RequestFields, options?: MqttJs.MqttJsOptions) =>
  Effect.map(Effect.flip(open(fields, options)), (error) => error.reason)

/** Publishes there and back over an open connection, then closes it. */
const exchange = Effect.fnUntraced(
  function*(listener: Listener, fields: RequestFields = {}, options?: MqttJs.MqttJsOptions) {
    const { connection, owner } = yield* open({ address: listener.address, ...fields }, options)
    const peer = yield* listener.peer(listener.peers.length - 1)
    // Ours, and in one piece.
    assert.deepStrictEqual(peer.packets[0], connect())
    assert.strictEqual(peer.chunks.length, 1)
    const payload = new Uint8Array(600_000).fill(7)
    assert.strictEqual(connection.send([publish({ payload })])._tag, "Congested")
    yield* owner.until(() => owner.writable === 1)
    yield* peer.until(() => peer.packets.length === 2)
    peer.send(publish({ payload }), publish())
    yield* owner.until(() => owner.packets.length === 3)
    assert.deepStrictEqual(owner.packets[1], publish({ payload }))
    yield* connection.close(0)
    yield* peer.gone
    assert.strictEqual(peer.packets.at(-1)?._tag, "Disconnect")
    assert.isUndefined(peer.violation)
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Closed"])
    return peer
  }
)

describe("networks", () => {
  it.live("carries CONNECT and large packets over every network that MQTT.js has", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* exchange(yield* listen({ serve: accepting() }))
      yield* exchange(yield* listen({ protocol: "unix", path: `${directory}/mqtt.sock`, serve: accepting() }))
      yield* exchange(yield* listen({ protocol: "tls", tls: server, serve: accepting() }), { tls: tls() })
      yield* exchange(yield* listen({ protocol: "ws", serve: accepting() }))
      yield* exchange(yield* listen({ protocol: "wss", tls: server, serve: accepting() }), { tls: tls() })
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("names the server and the application protocols of the options, and presents a client certificate", () =>
    Effect.gen(function*() {
      const named = certificates.issue({
        commonName: "broker.example",
        subjectAltNames: ["broker.example"],
        usage: "server"
      })
      for (const protocol of ["tls", "wss"] as const) {
        const listener = yield* listen({
          protocol,
          tls: { ...named, ca, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ["mqtt"] },
          serve: accepting()
        })
        const alpn = protocol === "tls" ? { alpn: ["mqtt"] } : {}
        yield* exchange(listener, {
          tls: tls({ servername: "broker.example", ...alpn, cert: client.cert, key: Redacted.make(client.key) })
        })
        assert.strictEqual(listener.tlsSockets[0]?.servername, "broker.example")
        assert.strictEqual(listener.tlsSockets[0]?.client, "test-client")
        if (protocol === "tls") assert.strictEqual(listener.tlsSockets[0]?.alpn, "mqtt")
      }
    }))

  it.live("fails with TlsFailure and the driver's code when the TLS handshake fails", () =>
    Effect.gen(function*() {
      const demanding = { ...server, ca, requestCert: true, rejectUnauthorized: true }
      const cases: ReadonlyArray<readonly [string, Tls.TlsOptions, TlsOptions | undefined, RegExp]> = [
        ["unknown authority", certificates.otherCaServer, tls(), /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/],
        ["no own trust", server, undefined, /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/],
        ["wrong name", certificates.otherHostServer, tls(), /^ERR_TLS_CERT_ALTNAME_INVALID$/],
        ["expired", certificates.expiredServer, tls(), /^CERT_HAS_EXPIRED$/],
        ["no client certificate on TLS 1.2", { ...demanding, maxVersion: "TLSv1.2" }, tls(), /^(ERR_SSL_|EPROTO$)/],
        ["no client certificate on TLS 1.3", demanding, tls(), /^(ERR_SSL_|EPROTO$|ERR_TLS_CLIENT)/],
        ["unreadable key", server, tls({ cert: client.cert, key: Redacted.make("nonsense") }), /^ERR_OSSL_/]
      ]
      for (const protocol of ["tls", "wss"] as const) {
        for (const [title, serverOptions, clientOptions, code] of cases) {
          const listener = yield* listen({ protocol, tls: serverOptions, serve: accepting() })
          const reason = yield* failure({ address: listener.address, tls: clientOptions })
          assert.strictEqual(reason._tag, "TlsFailure", `${protocol}: ${title}: ${reason.message}`)
          assert.match(reason._tag === "TlsFailure" ? reason.code ?? "" : "", code, `${protocol}: ${title}`)
          assert.isEmpty(listener.peers.flatMap((peer) => peer.packets), "no CONNECT reaches a server in doubt")
          yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
        }
      }
      const listener = yield* listen({ protocol: "tls", tls: certificates.otherCaServer, serve: accepting() })
      yield* exchange(listener, { tls: tls({ insecureSkipVerify: true }) })
    }))

  it.live("reports a TLS handshake that the server breaks off as a temporary TLS failure", () =>
    Effect.gen(function*() {
      const listener = yield* listen({
        serve: (peer) => Effect.map(peer.until(() => peer.chunks.length > 0), () => peer.end())
      })
      const reason = yield* failure({ address: { ...listener.address, protocol: "tls" } })
      assert.strictEqual(reason._tag, "TlsFailure")
      assert.isTrue(reason.isRetryable)
    }))

  it.live("fails with ConnectionRefused and the network's code when no server listens", () =>
    Effect.gen(function*() {
      const address = yield* Effect.scoped(Effect.map(listen(), (listener) => listener.address))
      for (const protocol of ["tcp", "tls", "ws", "wss"] as const) {
        const reason = yield* failure({ address: { ...address, protocol } })
        assert.deepInclude(reason, { _tag: "ConnectionRefused", code: "ECONNREFUSED" }, protocol)
      }
    }))

  it.live("ends a handshake that never ends with the connect timeout, and leaves no socket", () =>
    Effect.forEach(["tcp", "tls", "ws", "wss"] as const, (protocol) =>
      Effect.gen(function*() {
        const silent = yield* listen()
        const reason = yield* failure({ address: { ...silent.address, protocol }, connectTimeout: 700 })
        assert.strictEqual(reason._tag, "Timeout", protocol)
        yield* (yield* silent.peer()).gone
      }), { concurrency: "unbounded", discard: true }))

  it.live("leaves no socket when opening is interrupted at any moment", () =>
    Effect.gen(function*() {
      for (const protocol of ["tcp", "tls", "ws"] as const) {
        const listener = yield* listen({
          protocol,
          ...(protocol === "tls" ? { tls: server } : undefined),
          serve: (peer) => Effect.delay(accepting()(peer), 3)
        })
        for (let index = 0; index < 20; index++) {
          const fiber = yield* Effect.scoped(open({ address: listener.address, tls: tls() })).pipe(Effect.forkChild)
          yield* Effect.sleep(index / 3)
          yield* Fiber.interrupt(fiber)
        }
        yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
      }
    }))

  it.live("stops reading while it is paused", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ serve: accepting() })
      const { connection, owner } = yield* open({ address: listener.address })
      const peer = yield* listener.peer()
      const [socket] = listener.sockets
      const other = yield* open({ address: listener.address })
      const reading = yield* listener.peer(1)
      connection.pause()
      const payload = new Uint8Array(100_000)
      for (let count = 0; count < 200; count++) {
        peer.send(publish({ payload }))
        reading.send(publish({ payload }))
      }
      yield* other.owner.until(() => other.owner.packets.length === 201)
      assert.isAbove(socket!.writableLength, 1_000_000)
      connection.resume()
      yield* owner.until(() => owner.packets.length === 201)
    }))

  it.live("is lost when the server ends, with a reset or without", () =>
    Effect.gen(function*() {
      for (const protocol of ["tcp", "ws"] as const) {
        for (const end of ["end", "destroy"] as const) {
          const listener = yield* listen({ protocol, serve: accepting() })
          const { owner } = yield* open({ address: listener.address })
          const peer = yield* listener.peer()
          peer[end]()
          assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
          yield* peer.gone
          yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
        }
      }
    }))
})

describe("WebSockets", () => {
  it.live("have the session's headers and the options of ws, and the URL that transformWsUrl makes", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ protocol: "ws", path: "/mqtt", serve: accepting() })
      const urls: Array<string> = []
      let finished = 0
      yield* exchange(listener, {
        address: { ...listener.address, query: Redacted.make("token=1") },
        webSocket: { subprotocol: "mqtt", headers: { authorization: Redacted.make("Bearer x") } }
      }, {
        wsOptions: {
          headers: { authorization: "none", "x-plant": "1" },
          origin: "http://plant.example",
          finishRequest: (upgrade: { readonly end: () => void }) => {
            finished++
            upgrade.end()
          }
        },
        transformWsUrl: (url) => {
          urls.push(url)
          return `${url}&signed=1`
        }
      })
      const [upgrade] = listener.upgrades
      assert.deepStrictEqual(urls, [`ws://localhost:${listener.address.port}/mqtt?token=1`])
      assert.strictEqual(upgrade?.url, "/mqtt?token=1&signed=1")
      assert.deepInclude(upgrade?.headers, {
        authorization: "Bearer x",
        "x-plant": "1",
        origin: "http://plant.example",
        "sec-websocket-protocol": "mqtt"
      })
      assert.isUndefined(upgrade?.headers["sec-websocket-extensions"])
      assert.strictEqual(finished, 1)
    }))

  it.live("may be made by the program", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      const made: Array<readonly [string, ReadonlyArray<string>]> = []
      yield* exchange(listener, {}, {
        createWebsocket: (url, protocols) => {
          made.push([url, protocols])
          return new WebSocket(url, protocols)
        }
      })
      assert.deepStrictEqual(made, [[`ws://localhost:${listener.address.port}/mqtt`, ["mqtt"]]])
    }))

  it.live("fail with the reason of the HTTP status when the server refuses the upgrade", () =>
    Effect.gen(function*() {
      for (
        const [refuseUpgrade, tag, retryable] of [
          [401, "BadCredentials", false],
          [403, "NotAuthorized", false],
          [404, "ConnectionRefused", false],
          [503, "ConnectionRefused", true]
        ] as const
      ) {
        const listener = yield* listen({ protocol: "ws", refuseUpgrade })
        const reason = yield* failure({ address: listener.address })
        assert.deepInclude(reason, { _tag: tag, httpStatus: refuseUpgrade })
        assert.strictEqual(reason.isRetryable, retryable)
      }
    }))

  it.live("refuse a server that does not take the subprotocol", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ protocol: "ws", subprotocol: false, serve: accepting() })
      assert.strictEqual((yield* failure({ address: listener.address }))._tag, "ConnectionRefused")
    }))

  it.live("end with a text frame, and with a message beyond the maximum packet size", () =>
    Effect.gen(function*() {
      for (const frame of ["text", new Uint8Array(200_000)]) {
        const listener = yield* listen({ protocol: "ws", serve: accepting() })
        const { owner } = yield* open({ address: listener.address, maximumPacketSize: 1000 })
        yield* listener.peer()
        listener.webSockets[0]!.send(frame)
        assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
        assert.deepStrictEqual(owner.packets.map((packet) => packet._tag), ["Connack"])
      }
    }))
})

describe("a SOCKS proxy", () => {
  it.live("is what connections go through, with TLS to the server behind it", () =>
    Effect.gen(function*() {
      const proxy = yield* SocksProxy.make()
      const plain = yield* listen({ serve: accepting() })
      yield* exchange(plain, {}, { socksProxy: proxy.url })
      const secure = yield* listen({ protocol: "tls", tls: server, serve: accepting() })
      yield* exchange(secure, { tls: tls() }, { socksProxy: Redacted.make(proxy.url) })
      assert.deepStrictEqual(proxy.destinations, [plain, secure].map(({ address }) => `localhost:${address.port}`))
      const other = yield* listen({ protocol: "tls", tls: certificates.otherHostServer, serve: accepting() })
      const reason = yield* failure({ address: other.address, tls: tls() }, { socksProxy: proxy.url })
      assert.deepInclude(reason, { _tag: "TlsFailure", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
    }))

  it.live("that refuses, is not there or does not answer is a typed failure in bounded time", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ serve: accepting() })
      const { address } = listener
      const refusing = yield* SocksProxy.make("refuse")
      assert.strictEqual((yield* failure({ address }, { socksProxy: refusing.url }))._tag, "ConnectionRefused")
      const gone = yield* Effect.scoped(Effect.map(SocksProxy.make(), ({ url }) => url))
      // MQTT.js names every failure of a proxy by this code.
      const nowhere = yield* failure({ address }, { socksProxy: gone })
      assert.deepInclude(nowhere, { _tag: "ConnectionRefused", code: "SOCKS" })
      const silent = yield* SocksProxy.make("silent")
      const late = yield* failure({ address, connectTimeout: 300 }, { socksProxy: silent.url, socksTimeout: 1000 })
      assert.strictEqual(late._tag, "Timeout")
      const proxied = yield* failure({ address }, { socksProxy: silent.url, socksTimeout: 200 })
      assert.strictEqual(proxied._tag, "ConnectionRefused")
      assert.isEmpty(listener.peers)
    }))

  it.live("is never bypassed: addresses that MQTT.js would reach without it are refused", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ protocol: "ws", serve: accepting() })
      for (const protocol of ["ws", "wss", "unix"] as const) {
        const reason = yield* failure({ address: { ...listener.address, protocol } }, {
          socksProxy: "socks5://127.0.0.1:1"
        })
        assert.strictEqual(reason._tag, "NotSupported")
        assert.isFalse(reason.isRetryable)
      }
      assert.strictEqual(listener.sockets.size, 0)
    }))
})

describe("a stream builder of the user's", () => {
  it.live("gets the connect options and a client that never connects, and its stream carries the session", () =>
    Effect.gen(function*() {
      const listener = yield* listen({ serve: accepting() })
      const clients: Array<MqttClient> = []
      yield* exchange(listener, {}, {
        streamBuilder: (mqttClient, options) => {
          clients.push(mqttClient)
          assert.deepInclude(options, { protocol: "mqtt", host: "localhost", port: listener.address.port })
          assert.strictEqual(mqttClient.options, options)
          return Net.connect({ host: options!.host!, port: options!.port! })
        }
      })
      assert.strictEqual(clients.length, 1)
      assert.isFalse(clients[0]!.connected)
      assert.isUndefined(clients[0]!.stream)
    }))

  it.live("may report errors to its client, throw, or return no stream: each is a typed failure", () =>
    Effect.gen(function*() {
      const { address } = yield* listen({ serve: accepting() })
      const wrong: ReadonlyArray<readonly [MqttJs.MqttJsOptions["streamBuilder"], RegExp]> = [
        [() => {
          throw Object.assign(new Error("no route"), { code: "EHOSTUNREACH" })
        }, /no route/],
        [() => undefined as never, /gave no stream/],
        [() => ({ on: () => {} }) as never, /gave no stream/],
        [(mqttClient) => {
          mqttClient.emit("error", new Error("told"))
          const stream = new PassThrough()
          stream.destroy(new Error("broken"))
          return stream
        }, /broken|closed/],
        [() => {
          const stream = new PassThrough()
          stream.setEncoding("utf8")
          return stream
        }, /something else than bytes/]
      ]
      for (const [streamBuilder, message] of wrong) {
        const reason = yield* failure({ address }, { streamBuilder })
        assert.strictEqual(reason._tag, "ConnectionRefused")
        assert.match(`${reason.message} ${String(reason._tag === "ConnectionRefused" && reason.cause)}`, message)
      }
    }))

  it.live("is asked for a new stream at each attempt, and the scope of the attempt destroys it", () =>
    Effect.gen(function*() {
      const streams: Array<PassThrough> = []
      const { address } = yield* listen()
      for (let attempt = 0; attempt < 2; attempt++) {
        const streamBuilder = () => {
          const stream = new PassThrough({ readableHighWaterMark: 1 })
          // What is written does not come back.
          stream._write = (_chunk, _encoding, written) => written()
          streams.push(stream)
          return stream
        }
        const reason = yield* failure({ address, connectTimeout: 50 }, { streamBuilder })
        assert.strictEqual(reason._tag, "Timeout")
      }
      assert.deepStrictEqual(streams.map((stream) => stream.destroyed), [true, true])
    }))
})

describe("options", () => {
  it.effect("that are wrong, or belong to a session, are InvalidOptions with their names and without their values", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [object, string, RegExp]> = [
        [{ clientId: "secret" }, "clientId", /session's options/],
        [{ password: "secret" }, "password", /session's options/],
        [{ reconnectPeriod: 0 }, "reconnectPeriod", /session's options/],
        [{ proxy: "secret" }, "proxy", /no such option/],
        [{ socksProxy: "http://secret:1" }, "socksProxy", /must be a URL/],
        [{ socksProxy: "socks5://secret" }, "socksProxy", /must be a URL/],
        [{ socksProxy: "socks5://secret:1/path" }, "socksProxy", /must be a URL/],
        [{ socksProxy: Redacted.make("secret") }, "socksProxy", /must be a URL/],
        [{ socksTimeout: 0 }, "socksTimeout", /integer/],
        [{ streamBuilder: "secret" }, "streamBuilder", /function/],
        [{ createWebsocket: {} }, "createWebsocket", /function/],
        [{ wsOptions: "secret" }, "wsOptions", /record/],
        [{ miniProgram: "secret" }, "miniProgram", /one of wx/]
      ]
      for (const [options, path, message] of wrong) {
        const error = yield* Effect.flip(MqttJs.make(options))
        const issues = error.reason._tag === "InvalidOptions" ? error.reason.issues : []
        assert.deepStrictEqual(issues.map((issue) => issue.path), [path])
        assert.match(issues[0]!.message, message)
        assert.notInclude(JSON.stringify(error), "secret")
      }
    }))

  it.live("that MQTT.js cannot follow for an address are NotSupported", () =>
    Effect.gen(function*() {
      const { address } = yield* listen()
      const webSocket = { subprotocol: "mqttv3.1", headers: {} }
      const cases: ReadonlyArray<readonly [RequestFields, MqttJs.MqttJsOptions]> = [
        [{ address: { ...address, protocol: "ws" }, webSocket }, {}],
        [{ address }, { miniProgram: "wx" }],
        // Node has no mini programs: MQTT.js would open a TCP connection in place of it.
        [{ address: { ...address, protocol: "ws" } }, { miniProgram: "wx" }],
        [{ address: { ...address, protocol: "wss" }, tls: tls() }, { forceNativeWebSocket: true }],
        [
          {
            address: { ...address, protocol: "ws" },
            webSocket: { subprotocol: "mqtt", headers: { a: Redacted.make("b") } }
          },
          { forceNativeWebSocket: true }
        ]
      ]
      for (const [fields, options] of cases) {
        assert.strictEqual((yield* failure(fields, options))._tag, "NotSupported")
      }
    }))
})
