import type * as MqttErrors from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Redacted, Stream } from "effect"
import * as Net from "node:net"
import { inspect } from "node:util"
import { accepting, listen, type Listener } from "../../../../test/support/peers.ts"
import type { ProxyOptions, TlsOptions } from "../../src/SessionOptions.ts"
import { openWith, publish, type RequestFields } from "./client.ts"
import * as Proxies from "./proxies.ts"

const certificates = await Effect.runPromise(Certificates.make)
const tls: TlsOptions = { ca: [certificates.ca], insecureSkipVerify: false, minVersion: "TLSv1.2" }

const proxy = (url: string, more: Partial<ProxyOptions> = {}): ProxyOptions => ({
  url,
  environment: false,
  noProxy: [],
  ...more
})

const credentials = { username: "me", password: Redacted.make("hunter2") }

const protocols = ["tcp", "tls", "ws", "wss"] as const

const listenTo = (protocol: typeof protocols[number]) =>
  listen({ protocol, tls: certificates.server, serve: accepting() })

const open = (listener: Pick<Listener, "address">, options: RequestFields = {}) =>
  openWith({ address: listener.address, tls, ...options })

const failure = (listener: Pick<Listener, "address">, options: RequestFields) =>
  Effect.map(Effect.flip(open(listener, options)), ({ reason }) => reason)

const nowhere = {
  address: { protocol: "tcp", host: "broker.invalid", port: 1883, path: "", username: undefined, password: undefined }
} as const

describe("each of mqtt, mqtts, ws and wss", () => {
  const kinds = [
    ["http", Proxies.http, {}],
    ["http", Proxies.http, { slices: true, demands: "me:hunter2" }],
    ["https", Proxies.http, { tls: certificates.server, demands: "me:hunter2" }],
    ["socks5h", Proxies.socks, {}],
    ["socks5h", Proxies.socks, { slices: true, demands: "me:hunter2" }],
    ["socks5", Proxies.socks, { demands: "me:hunter2" }]
  ] as const

  it.live.each(kinds)("goes through a proxy of %s, both ways", ([scheme, make, options]) =>
    Effect.gen(function*() {
      const given: Proxies.ProxyOptions = options
      const way = yield* make(given)
      const through = proxy(`${scheme}://localhost:${way.port}`, {
        ca: [certificates.ca],
        ...(given.demands === undefined ? undefined : credentials)
      })
      for (const protocol of protocols) {
        const listener = yield* listenTo(protocol)
        const { connection, owner } = yield* open(listener, { proxy: through })
        const peer = yield* listener.peer()
        const payload = new Uint8Array(200_000).fill(7)
        connection.send([publish({ payload })])
        yield* peer.until(() => peer.packets.length === 2)
        peer.send(publish({ payload }))
        yield* owner.until(() => owner.packets.length === 2)
        assert.deepStrictEqual(owner.packets[1], publish({ payload }))
        const { host, port } = listener.address
        // The name goes to the proxy as it is, but for socks5.
        assert.strictEqual(way.destinations.at(-1), `${scheme === "socks5" ? "127.0.0.1" : host}:${port}`)
        if (listener.tlsSockets[0] !== undefined) assert.strictEqual(listener.tlsSockets[0].servername, host)
        yield* connection.close(0)
        yield* peer.gone
      }
      assert.lengthOf(way.destinations, protocols.length)
      assert.deepStrictEqual(new Set(way.credentials), new Set(given.demands === undefined ? [] : [given.demands]))
    }))

  it.live("verifies the server behind the proxy, and not the proxy", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.http()
      for (const protocol of ["tls", "wss"] as const) {
        const listener = yield* listen({ protocol, tls: certificates.otherHostServer, serve: accepting() })
        const reason = yield* failure(listener, { proxy: proxy(`http://127.0.0.1:${way.port}`) })
        assert.deepInclude(reason, { _tag: "TlsFailure", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
      }
    }))

  it.live("resolves names by the proxy alone, with socks5h and http", () =>
    Effect.gen(function*() {
      const listener = yield* listenTo("tcp")
      for (const [scheme, make] of [["socks5h", Proxies.socks], ["http", Proxies.http]] as const) {
        const way = yield* make({ leadsTo: { host: listener.address.host, port: listener.address.port } })
        yield* open(nowhere, { proxy: proxy(`${scheme}://127.0.0.1:${way.port}`) })
        assert.deepStrictEqual(way.destinations, ["broker.invalid:1883"])
      }
    }))

  it.live("an address of IPv6 is written as one", () =>
    Effect.gen(function*() {
      const listener = yield* listenTo("tcp")
      const leadsTo = { host: listener.address.host, port: listener.address.port }
      const address = { ...nowhere.address, host: "2001:db8::1:7" }
      const http = yield* Proxies.http({ leadsTo })
      yield* open({ address }, { proxy: proxy(`http://127.0.0.1:${http.port}`) })
      assert.deepStrictEqual(http.destinations, ["[2001:db8::1:7]:1883"])
      const socks = yield* Proxies.socks({ leadsTo })
      yield* open({ address }, { proxy: proxy(`socks5h://127.0.0.1:${socks.port}`) })
      assert.deepStrictEqual(socks.destinations, ["2001:0db8:0000:0000:0000:0000:0001:0007:1883"])
    }))
})

describe("a proxy that does not connect", () => {
  it.live("is a typed failure with its status, permanent or not", () =>
    Effect.gen(function*() {
      for (
        const [refuses, isRetryable] of [[403, false], [404, false], [429, true], [502, true], [503, true]] as const
      ) {
        const way = yield* Proxies.http({ refuses })
        const url = `http://127.0.0.1:${way.port}`
        const reason = yield* failure(nowhere, { proxy: proxy(url) })
        assert.deepInclude(reason, {
          _tag: "ProxyFailed",
          proxy: url,
          server: "mqtt://broker.invalid:1883",
          failure: "refused",
          httpStatus: refuses,
          isRetryable
        })
      }
    }))

  it.live("is a typed failure with the reply of SOCKS by its name, permanent or not", () =>
    Effect.gen(function*() {
      const replies = [
        [1, "generalFailure", true],
        [2, "notAllowed", false],
        [3, "networkUnreachable", true],
        [4, "hostUnreachable", true],
        [5, "connectionRefused", true],
        [6, "ttlExpired", true],
        [7, "commandNotSupported", false],
        [8, "addressTypeNotSupported", false],
        [9, "unassigned(9)", true]
      ] as const
      for (const [refuses, reply, isRetryable] of replies) {
        const way = yield* Proxies.socks({ refuses })
        const reason = yield* failure(nowhere, { proxy: proxy(`socks5h://127.0.0.1:${way.port}`) })
        assert.deepInclude(reason, { _tag: "ProxyFailed", failure: "refused", reply, isRetryable })
      }
    }))

  it.live("says permanently that it does not accept the credentials, or none", () =>
    Effect.gen(function*() {
      const wrong = { username: "me", password: Redacted.make("wrong-hunter3") }
      for (const [scheme, make] of [["http", Proxies.http], ["socks5h", Proxies.socks]] as const) {
        const way = yield* make({ demands: "me:hunter2" })
        for (const given of [{}, wrong]) {
          const reason = yield* failure(nowhere, { proxy: proxy(`${scheme}://127.0.0.1:${way.port}`, given) })
          assert.deepInclude(reason, { _tag: "ProxyFailed", failure: "authentication", isRetryable: false })
          assert.notInclude(inspect(reason, { depth: 9 }) + JSON.stringify(reason), "hunter")
        }
      }
      const way = yield* Proxies.http({ demands: "me:hunter2", authenticate: "NTLM\r\nProxy-Authenticate: Negotiate" })
      const reason = yield* failure(nowhere, {
        proxy: proxy(`http://127.0.0.1:${way.port}`, { ...credentials, password: Redacted.make("another") })
      })
      assert.include(reason.message, "it offers NTLM, Negotiate, and not Basic")
    }))

  it.live("is unreachable, for now, when it is not there, or ends the connection", () =>
    Effect.gen(function*() {
      const dead = yield* Effect.scoped(Proxies.http())
      const url = `http://127.0.0.1:${dead.port}`
      assert.deepInclude(yield* failure(nowhere, { proxy: proxy(url) }), {
        _tag: "ProxyFailed",
        proxy: url,
        failure: "unreachable",
        code: "ECONNREFUSED",
        isRetryable: true
      })
      const rude = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => {
            socket.on("error", () => {})
            socket.once("data", () => socket.end())
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = rude.address() as Net.AddressInfo
      for (const scheme of ["http", "socks5h"]) {
        const reason = yield* failure(nowhere, { proxy: proxy(`${scheme}://127.0.0.1:${port}`) })
        assert.deepInclude(reason, { _tag: "ProxyFailed", failure: "unreachable", isRetryable: true })
        assert.include(reason.message, "the proxy closed the connection")
      }
    }))

  it.live("is an untrusted proxy of https, permanently", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.http({ tls: certificates.server })
      const reason = yield* failure(nowhere, { proxy: proxy(`https://localhost:${way.port}`, credentials) })
      assert.deepInclude(reason, {
        _tag: "ProxyFailed",
        failure: "unreachable",
        code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        isRetryable: false
      })
      // It has not seen the credentials, and insecureSkipVerify is about servers.
      assert.deepStrictEqual(way.credentials, [])
      const again = yield* failure(nowhere, {
        tls: { ...tls, insecureSkipVerify: true },
        proxy: proxy(`https://localhost:${way.port}`, credentials)
      })
      assert.deepInclude(again, { _tag: "ProxyFailed", failure: "unreachable" })
      assert.deepStrictEqual(way.credentials, [])
    }))

  it.live("is no proxy at all, permanently", () =>
    Effect.gen(function*() {
      const http = yield* Proxies.http()
      const socks = yield* Proxies.socks()
      for (const url of [`http://127.0.0.1:${socks.port}`, `socks5h://127.0.0.1:${http.port}`]) {
        const reason = yield* failure(nowhere, { proxy: proxy(url), connectTimeout: 2000 })
        if (reason._tag === "Timeout") continue
        assert.include(["protocol", "unreachable"], (reason as MqttErrors.ProxyFailed).failure)
      }
      const endless = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => {
            socket.on("error", () => {})
            socket.write("HTTP/1.1 200 OK\r\n")
            const more = (): void => {
              if (!socket.destroyed) socket.write(`X: ${"a".repeat(4000)}\r\n`, () => setImmediate(more))
            }
            more()
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const reason = yield* failure(nowhere, {
        proxy: proxy(`http://127.0.0.1:${(endless.address() as Net.AddressInfo).port}`)
      })
      assert.deepInclude(reason, { _tag: "ProxyFailed", failure: "protocol", isRetryable: false })
      assert.include(reason.message, "a header of more than 16384 bytes")
    }))

  it.live("is silent: within the connect timeout, and interruptible, and no socket stays open", () =>
    Effect.gen(function*() {
      for (const [scheme, make] of [["http", Proxies.http], ["socks5h", Proxies.socks]] as const) {
        const way = yield* make({ silent: true })
        const through = { proxy: proxy(`${scheme}://127.0.0.1:${way.port}`) }
        const reason = yield* failure(nowhere, { ...through, connectTimeout: 100 })
        assert.strictEqual(reason._tag, "Timeout")
        yield* way.until(0)
        const fiber = yield* Effect.forkChild(open(nowhere, through))
        yield* way.until(1)
        yield* Fiber.interrupt(fiber)
        yield* way.until(0)
      }
    }))
})

describe("the environment", () => {
  const names = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy"
  ]
  const before = names.map((name) => [name, process.env[name]] as const)

  afterEach(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  const only = (variables: Readonly<Record<string, string>>): void => {
    for (const name of names) delete process.env[name]
    Object.assign(process.env, variables)
  }

  const environment: ProxyOptions = { environment: true, noProxy: [] }

  it.live("is asked where the option says so, and not otherwise", () =>
    Effect.gen(function*() {
      const secure = yield* Proxies.http({ demands: "me:hun ter2" })
      const plain = yield* Proxies.socks()
      only({
        HTTPS_PROXY: `http://me:hun%20ter2@127.0.0.1:${secure.port}`,
        http_proxy: `socks5h://127.0.0.1:${plain.port}`
      })
      for (const protocol of protocols) {
        const listener = yield* listenTo(protocol)
        yield* open(listener)
        assert.lengthOf([...secure.destinations, ...plain.destinations], 0)
        yield* open(listener, { proxy: environment })
        const way = protocol === "tls" || protocol === "wss" ? secure : plain
        const other = way === secure ? plain : secure
        assert.deepStrictEqual(way.destinations, [`${listener.address.host}:${listener.address.port}`])
        assert.lengthOf(other.destinations, 0)
        for (const each of [secure, plain]) (each.destinations as Array<string>).length = 0
      }
    }))

  it.live("says which servers are reached directly, in addition to the option", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.http()
      const listener = yield* listenTo("tcp")
      const { port } = listener.address
      only({ ALL_PROXY: `127.0.0.1:${way.port}`, NO_PROXY: `other.example, localhost:${port}` })
      yield* open(listener, { proxy: environment })
      only({ ALL_PROXY: `127.0.0.1:${way.port}` })
      yield* open(listener, { proxy: { ...environment, noProxy: ["localhost"] } })
      assert.lengthOf(way.destinations, 0)
      yield* open(listener, { proxy: environment })
      assert.deepStrictEqual(way.destinations, [`localhost:${port}`])
    }))

  it.live("that cannot be read is reported by the name of its variable, without its value", () =>
    Effect.gen(function*() {
      only({ all_proxy: "ftp://me:hunter2@127.0.0.1:1" })
      const reason = yield* failure(nowhere, { proxy: environment })
      assert.strictEqual(reason._tag, "InvalidOptions")
      assert.include(reason.message, "all_proxy")
      assert.notInclude(inspect(reason, { depth: 9 }), "hunter2")
    }))
})

describe.skipIf(!MosquittoBroker.isPresent())("a session with mosquitto behind a proxy", () => {
  it.live(
    "publishes and receives on every network, and its failures never have the password",
    () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make({ tls: true, webSocket: true, secureWebSocket: true })
        const ca = broker.certificates!.ca
        for (const [scheme, make] of [["http", Proxies.http], ["socks5h", Proxies.socks]] as const) {
          const way = yield* make({ demands: "me:hunter2" })
          const url = `${scheme}://me:hunter2@127.0.0.1:${way.port}`
          for (const network of protocols) {
            const servers = broker.urls[network]!
            const secure = network === "tls" || network === "wss"
            yield* Effect.scoped(Effect.gen(function*() {
              const session = yield* MqttSession.make({
                name: `${scheme}-${network}`,
                servers,
                proxy: { url },
                ...(secure ? { tls: { ca } } : undefined)
              })
              const { messages } = yield* session.subscription("a")
              yield* session.publish("a", "through", { qos: 1 })
              const [message] = yield* Stream.runCollect(Stream.take(messages, 1))
              assert.strictEqual(message?.text, "through")
            }))
            assert.isAbove(way.destinations.length, 0)
          }
          const wrong = yield* MqttSession.make({
            name: "wrong",
            servers: broker.urls.tcp!,
            proxy: { url: url.replace("hunter2", "hunter3") }
          })
          const exit = yield* Effect.exit(wrong.awaitReady)
          assert.isTrue(Exit.isFailure(exit))
          const text = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
          assert.include(text, `the proxy ${scheme}://127.0.0.1:${way.port} does not accept the credentials`)
          assert.notInclude(text + inspect(yield* wrong.status, { depth: 9 }), "hunter")
        }
      }),
    180_000
  )
})
