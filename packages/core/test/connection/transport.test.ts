import * as Certificates from "@effect-mqttx/testing/Certificates"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Redacted, type Scope } from "effect"
import * as Net from "node:net"
import type * as Tls from "node:tls"
import { accepting, listen, type Listener, type ListenOptions } from "../../../../test/support/peers.ts"
import type { TlsOptions } from "../../src/SessionOptions.ts"
import { archive, encrypted } from "./certificates.ts"
import { openWith, publish } from "./client.ts"

const certificates = await Effect.runPromise(Certificates.make)
const { ca, client, server } = certificates

const serverFor = (...names: ReadonlyArray<string>): Certificates.CertificateAndKey =>
  certificates.issue({ commonName: names[0] ?? "", subjectAltNames: names, usage: "server" })

const tls = (options: Partial<TlsOptions> = {}): TlsOptions => ({
  ca: [ca],
  insecureSkipVerify: false,
  minVersion: "TLSv1.2",
  ...options
})

const systemTrust: TlsOptions = { insecureSkipVerify: false, minVersion: "TLSv1.2" }

/** Publishes there and back over an open connection, then closes it. */
const exchange = Effect.fnUntraced(function*(listener: Listener, options: Parameters<typeof openWith>[0] = {}) {
  const { connection, owner } = yield* openWith({ address: listener.address, ...options })
  const peer = yield* listener.peer(listener.peers.length - 1)
  const payload = new Uint8Array(200_000).fill(7)
  connection.send([publish({ payload })])
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
})

const failure = (listener: Pick<Listener, "address">, options: Parameters<typeof openWith>[0] = {}) =>
  Effect.map(Effect.flip(openWith({ address: listener.address, ...options })), (error) => error.reason)

it.live("connects over TCP", () =>
  Effect.gen(function*() {
    yield* exchange(yield* listen({ serve: accepting() }))
  }))

it.live("connects over a Unix socket", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    yield* exchange(yield* listen({ protocol: "unix", path: `${directory}/mqtt.sock`, serve: accepting() }))
  }).pipe(Effect.provide(NodeFileSystem.layer)))

it.live("connects over TLS, verifies the server and names it", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "tls", tls: server, serve: accepting() })
    yield* exchange(listener, { tls: tls() })
    const [socket] = listener.tlsSockets
    assert.strictEqual(socket?.servername, "localhost")
    assert.isFalse(socket?.alpn)
  }))

it.live("names no server in the TLS handshake when its address is an IP address, and still verifies it", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "tls", tls: server, host: "127.0.0.1", serve: accepting() })
    yield* exchange(listener, { tls: tls() })
    assert.isFalse(listener.tlsSockets[0]?.servername)
    const other = yield* listen({
      protocol: "tls",
      tls: serverFor("127.0.0.2"),
      host: "127.0.0.1",
      serve: accepting()
    })
    const reason = yield* failure(other, { tls: tls() })
    assert.deepInclude(reason, { _tag: "TlsFailure", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
  }))

it.live("asks for the server name and the application protocols of the options", () =>
  Effect.gen(function*() {
    const listener = yield* listen({
      protocol: "tls",
      tls: { ...serverFor("broker.example"), ALPNProtocols: ["mqtt"] },
      serve: accepting()
    })
    yield* exchange(listener, { tls: tls({ servername: "broker.example", alpn: ["mqtt"] }) })
    assert.strictEqual(listener.tlsSockets[0]?.servername, "broker.example")
    assert.strictEqual(listener.tlsSockets[0]?.alpn, "mqtt")
  }))

it.live("presents a client certificate, given as PEM, as encrypted PEM or as an archive", () =>
  Effect.gen(function*() {
    const options: ReadonlyArray<Partial<TlsOptions>> = [
      { cert: client.cert, key: Redacted.make(client.key) },
      { cert: client.cert, key: Redacted.make(encrypted(client, "secret")), passphrase: Redacted.make("secret") },
      { pfx: Redacted.make(archive(client, "secret")), passphrase: Redacted.make("secret") }
    ]
    for (const protocol of ["tls", "wss"] as const) {
      const listener = yield* listen({
        protocol,
        tls: { ...server, ca, requestCert: true, rejectUnauthorized: true },
        serve: accepting()
      })
      for (const option of options) {
        yield* exchange(listener, { tls: tls(option) })
        assert.strictEqual(listener.tlsSockets.at(-1)?.client, "test-client")
      }
    }
  }))

it.live("fails with TlsFailure and the driver's code when the handshake fails", () =>
  Effect.gen(function*() {
    const cases: ReadonlyArray<readonly [string, Tls.TlsOptions, TlsOptions, RegExp, boolean]> = [
      ["unknown authority", server, tls({ ca: [certificates.otherCa] }), /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/, false],
      ["no own trust", server, systemTrust, /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/, false],
      ["wrong name", serverFor("elsewhere"), tls(), /^ERR_TLS_CERT_ALTNAME_INVALID$/, false],
      [
        "expired",
        certificates.expiredServer,
        tls(),
        /^CERT_HAS_EXPIRED$/,
        false
      ],
      [
        "old version",
        { ...server, maxVersion: "TLSv1.2" },
        tls({ minVersion: "TLSv1.3" }),
        /^(ERR_SSL_|EPROTO$)/,
        false
      ],
      [
        "no client certificate",
        { ...server, ca, requestCert: true, rejectUnauthorized: true, maxVersion: "TLSv1.2" },
        tls(),
        /^(ERR_SSL_|EPROTO$)/,
        false
      ],
      // TLS 1.3 refuses the client after the client's side of the handshake is done.
      [
        "no client certificate on TLS 1.3",
        { ...server, ca, requestCert: true, rejectUnauthorized: true },
        tls(),
        /^(ERR_SSL_|EPROTO$)/,
        false
      ],
      ["unreadable key", server, tls({ cert: client.cert, key: Redacted.make("nonsense") }), /^ERR_OSSL_/, false],
      [
        "wrong passphrase",
        server,
        tls({ cert: client.cert, key: Redacted.make(encrypted(client, "a")), passphrase: Redacted.make("b") }),
        /^ERR_OSSL_/,
        false
      ]
    ]
    for (const protocol of ["tls", "wss"] as const) {
      for (const [title, serverOptions, clientOptions, code, retryable] of cases) {
        const listener = yield* listen({ protocol, tls: serverOptions, serve: accepting() })
        const reason = yield* failure(listener, { tls: clientOptions })
        assert.strictEqual(reason._tag, "TlsFailure", `${protocol}: ${title}: ${reason.message}`)
        if (reason._tag === "TlsFailure") {
          assert.match(reason.code ?? "", code, `${protocol}: ${title}`)
        }
        assert.strictEqual(reason.isRetryable, retryable, `${protocol}: ${title}`)
        yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
      }
    }
  }))

/**
 * A network that loses what the server says after the client's second flight, and ends the connection as the server
 * did.
 */
const deafening = (target: number, end: "reset" | "end"): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const proxy = Net.createServer((client) => {
          let flights = 0
          const socket = Net.connect({ port: target, host: "localhost" })
          client.on("data", (bytes) => {
            flights++
            socket.write(bytes)
          })
          socket.on("data", (bytes) => {
            if (flights < 2) client.write(bytes)
          })
          socket.on("close", () => end === "reset" ? client.resetAndDestroy() : client.end())
          client.on("close", () => socket.destroy())
          for (const each of [client, socket]) each.on("error", () => {})
        }).listen(0, "localhost", () => resume(Effect.succeed(proxy)))
      }),
      (proxy) => Effect.sync(() => proxy.close())
    ),
    (proxy) => (proxy.address() as Net.AddressInfo).port
  )

it.live("reports the end of a connection as a refused certificate where TLS 1.3 shows nothing else", () =>
  Effect.gen(function*() {
    const demanding = { ...server, ca, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" } as const
    for (const protocol of ["tls", "wss"] as const) {
      for (const end of ["reset", "end"] as const) {
        const listener = yield* listen({ protocol, tls: demanding, serve: accepting() })
        const port = yield* deafening(listener.address.port, end)
        const reason = yield* failure({ address: { ...listener.address, port } }, { tls: tls() })
        assert.strictEqual(reason._tag, "TlsFailure", `${protocol} ${end}: ${reason.message}`)
        assert.isFalse(reason.isRetryable)
        // Without a demand for a certificate the same end is that of a network or of a server that restarts.
        const undemanding = yield* listen({ protocol, tls: server, serve: accepting() })
        const other = yield* deafening(undemanding.address.port, end)
        const lost = yield* Effect.forkScoped(
          failure({ address: { ...undemanding.address, port: other } }, { tls: tls() })
        )
        yield* Effect.repeat(Effect.sleep(1), { until: () => undemanding.tlsSockets.length === 1 })
        for (const socket of undemanding.sockets) socket.destroy()
        assert.deepInclude(
          yield* Fiber.join(lost),
          { _tag: "ConnectionRefused", isRetryable: true },
          `${protocol} ${end}`
        )
      }
    }
  }))

it.live("reports the end of a connection as such when the server has accepted the certificate", () =>
  Effect.gen(function*() {
    const listener = yield* listen({
      protocol: "tls",
      tls: { ...server, ca, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" },
      serve: (peer) => Effect.map(peer.received("Connect"), () => peer.end())
    })
    const reason = yield* failure(listener, { tls: tls({ cert: client.cert, key: Redacted.make(client.key) }) })
    assert.strictEqual(reason._tag, "ConnectionRefused")
    assert.isTrue(reason.isRetryable)
  }))

it.live("verifies the server with any value of NODE_TLS_REJECT_UNAUTHORIZED", () =>
  Effect.gen(function*() {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"
      }),
      () =>
        Effect.sync(() => {
          delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]
        })
    )
    for (const protocol of ["tls", "wss"] as const) {
      const listener = yield* listen({ protocol, tls: certificates.otherCaServer, serve: accepting() })
      for (const options of [undefined, tls()]) {
        assert.strictEqual((yield* failure(listener, { tls: options }))._tag, "TlsFailure", protocol)
      }
    }
  }))

it.live("connects to an unverified server only when the options say so", () =>
  Effect.gen(function*() {
    for (const protocol of ["tls", "wss"] as const) {
      const listener = yield* listen({ protocol, tls: certificates.otherCaServer, serve: accepting() })
      assert.strictEqual((yield* failure(listener, { tls: tls() }))._tag, "TlsFailure")
      assert.strictEqual((yield* failure(listener, { tls: undefined }))._tag, "TlsFailure")
      yield* exchange(listener, { tls: tls({ insecureSkipVerify: true }) })
    }
  }))

it.live("reports a handshake that the server breaks off as a temporary TLS failure", () =>
  Effect.gen(function*() {
    const listener = yield* listen({
      serve: (peer) => Effect.map(peer.until(() => peer.chunks.length > 0), () => peer.end())
    })
    const reason = yield* failure({ ...listener, address: { ...listener.address, protocol: "tls" } })
    assert.strictEqual(reason._tag, "TlsFailure")
    assert.isTrue(reason.isRetryable)
  }))

it.live("reports a server that does not speak TLS as a permanent TLS failure", () =>
  Effect.gen(function*() {
    const listener = yield* listen({
      serve: (peer) =>
        Effect.map(peer.until(() => peer.chunks.length > 0), () => peer.sendBytes([0x20, 2, 0, 5, 0, 0, 0]))
    })
    const reason = yield* failure({ ...listener, address: { ...listener.address, protocol: "tls" } })
    assert.strictEqual(reason._tag, "TlsFailure")
    assert.isFalse(reason.isRetryable)
  }))

it.live("fails with ConnectionRefused and the network's code when no server listens", () =>
  Effect.gen(function*() {
    const address = yield* Effect.scoped(Effect.map(listen(), (listener) => listener.address))
    for (const protocol of ["tcp", "tls", "ws", "wss"] as const) {
      const error = yield* Effect.flip(openWith({ address: { ...address, protocol } }))
      assert.deepInclude(error.reason, { _tag: "ConnectionRefused", code: "ECONNREFUSED" }, protocol)
      assert.isTrue(error.isRetryable)
    }
    const unix = yield* Effect.flip(openWith({ address: { ...address, protocol: "unix", path: "/nowhere/mqtt.sock" } }))
    assert.deepInclude(unix.reason, { _tag: "ConnectionRefused", code: "ENOENT" })
  }))

it.live("ends a handshake that never ends with the connect timeout, and leaves no socket", () =>
  Effect.forEach(["tls", "ws", "wss"] as const, (protocol) =>
    Effect.gen(function*() {
      const silent = yield* listen()
      const reason = yield* failure({ ...silent, address: { ...silent.address, protocol } }, { connectTimeout: 700 })
      assert.strictEqual(reason._tag, "Timeout", protocol)
      yield* (yield* silent.peer()).gone
    }), { concurrency: "unbounded", discard: true }))

it.live("connects over WebSocket and WebSocket over TLS", () =>
  Effect.gen(function*() {
    yield* exchange(yield* listen({ protocol: "ws", serve: accepting() }))
    yield* exchange(yield* listen({ protocol: "wss", tls: server, serve: accepting() }), { tls: tls() })
  }))

it.live("offers the WebSocket subprotocol mqtt and sends binary frames only [MQTT3-6.0.0-1] [MQTT3-6.0.0-3] [MQTT5-6.0.0-1] [MQTT5-6.0.0-3]", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", path: "/mqtt?token=1", serve: accepting() })
    yield* exchange(listener, {
      webSocket: { subprotocol: "mqtt", headers: { authorization: Redacted.make("Bearer x") } }
    })
    const [upgrade] = listener.upgrades
    assert.strictEqual(upgrade?.url, "/mqtt?token=1")
    assert.strictEqual(upgrade?.headers["sec-websocket-protocol"], "mqtt")
    assert.strictEqual(upgrade?.headers["authorization"], "Bearer x")
    assert.isUndefined(upgrade?.headers["sec-websocket-extensions"])
  }))

it.live("refuses a server that does not take the subprotocol [MQTT3-6.0.0-4] [MQTT5-6.0.0-4]", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", subprotocol: false })
    const reason = yield* failure(listener)
    assert.strictEqual(reason._tag, "ConnectionRefused")
    assert.match(reason.message, /subprotocol/)
  }))

it.live("fails with the meaning of the HTTP status when the upgrade is refused", () =>
  Effect.gen(function*() {
    const cases = [[401, "BadCredentials", false], [403, "NotAuthorized", false], [404, "ConnectionRefused", false], [
      503,
      "ConnectionRefused",
      true
    ]] as const
    for (const [status, tag, retryable] of cases) {
      const listener = yield* listen({ protocol: "ws", refuseUpgrade: status })
      const reason = yield* failure(listener)
      assert.deepInclude(reason, { _tag: tag, httpStatus: status })
      assert.strictEqual(reason.isRetryable, retryable)
      yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
    }
  }))

it.live("closes the connection on a WebSocket text frame [MQTT3-6.0.0-1] [MQTT5-6.0.0-1]", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { owner } = yield* openWith({ address: listener.address })
    const peer = yield* listener.peer()
    listener.webSockets[0]?.send("text")
    const error = yield* Deferred.await(owner.ended)
    assert.strictEqual(error.reason._tag, "ConnectionLost")
    assert.match(error.message, /text frame/)
    yield* peer.gone
    assert.strictEqual(listener.closeCodes[0], 1003)
  }))

it.live("reads packets that do not align with WebSocket frames [MQTT3-6.0.0-2] [MQTT5-6.0.0-2]", () =>
  Effect.gen(function*() {
    const listener = yield* listen({ protocol: "ws", serve: accepting() })
    const { owner } = yield* openWith({ address: listener.address })
    const peer = yield* listener.peer()
    const bytes = [0x30, 0x08, 0, 3, 0x61, 0x2f, 0x62, 0, 7, 8]
    for (const byte of bytes) {
      peer.sendBytes([byte])
    }
    peer.sendBytes([...bytes, ...bytes, ...bytes.slice(0, 4)])
    peer.sendBytes(bytes.slice(4))
    yield* owner.until(() => owner.packets.length === 5)
    assert.deepStrictEqual(
      owner.packets.slice(1),
      Array.from({ length: 4 }, () => publish({ payload: new Uint8Array([7, 8]) }))
    )
  }))

it.live("stops reading while it is paused", () =>
  Effect.gen(function*() {
    const protocols: ReadonlyArray<ListenOptions> = [{}, { protocol: "tls", tls: server }, { protocol: "ws" }]
    for (const options of protocols) {
      const listener = yield* listen({ ...options, serve: accepting() })
      const { connection, owner } = yield* openWith({ address: listener.address, tls: tls() })
      const peer = yield* listener.peer()
      // Pauses in the middle of the stream, as a full buffer would.
      owner.answer = () => {
        connection.pause()
        return undefined
      }
      const payload = new Uint8Array(100_000)
      for (let index = 0; index < 200; index++) {
        peer.send(publish({ payload }))
      }
      yield* owner.until(() => owner.batches.length === 2)
      const received = owner.packets.length
      yield* Effect.sleep(100)
      assert.isAtMost(owner.packets.length, received + 20)
      owner.answer = () => undefined
      connection.resume()
      yield* owner.until(() => owner.packets.length === 201)
    }
  }))

it.live("leaves no socket when opening is interrupted at any moment, on any transport", () =>
  Effect.gen(function*() {
    const protocols: ReadonlyArray<ListenOptions> = [{ protocol: "tls", tls: server }, { protocol: "ws" }, {
      protocol: "wss",
      tls: server
    }]
    for (const options of protocols) {
      const listener = yield* listen({ ...options, serve: accepting() })
      for (let index = 0; index < 25; index++) {
        yield* Effect.scoped(openWith({ address: listener.address, tls: tls() })).pipe(
          Effect.timeoutOption(index / 2)
        )
      }
      yield* Effect.repeat(Effect.sleep(1), { until: () => listener.sockets.size === 0 })
    }
  }))
