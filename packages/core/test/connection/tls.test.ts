import * as MqttJs from "@effect-mqttx/core/MqttJs"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Crypto from "node:crypto"
import type * as Tls from "node:tls"
import { accepting, listen, type Listener } from "../../../../test/support/peers.ts"
import type { TlsOptions } from "../../src/SessionOptions.ts"
import { archive } from "./certificates.ts"
import { openWith, type RequestFields } from "./client.ts"
import * as Proxies from "./proxies.ts"

const certificates = await Effect.runPromise(Certificates.make)
const { ca, client, otherCaServer, revocationList, revokedServer, server } = certificates

const tls = (options: Partial<TlsOptions> = {}): TlsOptions => ({
  ca: [ca],
  insecureSkipVerify: false,
  minVersion: "TLSv1.2",
  ...options
})

const protocols = ["tls", "wss"] as const

const listenWith = (protocol: typeof protocols[number], options: Tls.TlsOptions) =>
  listen({ protocol, tls: options, serve: accepting() })

/** Opens, and answers the server's side. */
const opened = Effect.fnUntraced(function*(listener: Listener, options: RequestFields) {
  const { connection } = yield* openWith({ address: listener.address, ...options })
  yield* (yield* listener.peer(listener.peers.length - 1)).received("Connect")
  const { alpn, client, getCipher } = listener.tlsSockets.at(-1)!
  const cipher = getCipher.call(listener.tlsSockets.at(-1)).name
  yield* connection.close(0)
  return { alpn, client, cipher }
})

const failure = (listener: Listener, options: RequestFields) =>
  Effect.map(Effect.flip(openWith({ address: listener.address, ...options })), ({ reason }) => reason)

/** As `openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64` prints it. */
const pinOf = ({ cert }: Certificates.CertificateAndKey): string =>
  `sha256/${
    Crypto.createHash("sha256").update(
      new Crypto.X509Certificate(cert).publicKey.export({ type: "spki", format: "der" })
    ).digest("base64")
  }`

describe("pins", () => {
  it.live("accept a server with one of the keys, and refuse any other before a byte has left", () =>
    Effect.gen(function*() {
      for (const protocol of protocols) {
        const own = yield* listenWith(protocol, server)
        yield* opened(own, { tls: tls({ pins: [pinOf(client), pinOf(server)] }) })
        const headers = { authorization: Redacted.make("Bearer secret") }
        const reason = yield* failure(own, {
          tls: tls({ pins: [pinOf(client)] }),
          webSocket: { headers, subprotocol: "mqtt" }
        })
        assert.deepInclude(reason, { _tag: "TlsFailure", code: "ERR_TLS_PIN_MISMATCH", isRetryable: false })
        // It says what to pin instead, if that is the server.
        assert.include(reason.message, pinOf(server))
        assert.lengthOf(own.peers, 1)
        assert.lengthOf(own.upgrades, protocol === "wss" ? 1 : 0)
      }
    }))

  it.live("are checked in addition to the certificate, and in its place with insecureSkipVerify", () =>
    Effect.gen(function*() {
      for (const protocol of protocols) {
        const unknown = yield* listenWith(protocol, otherCaServer)
        const reason = yield* failure(unknown, { tls: tls({ pins: [pinOf(otherCaServer)] }) })
        assert.deepInclude(reason, { _tag: "TlsFailure", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" })
        yield* opened(unknown, { tls: tls({ pins: [pinOf(otherCaServer)], insecureSkipVerify: true }) })
        const other = yield* failure(unknown, { tls: tls({ pins: [pinOf(client)], insecureSkipVerify: true }) })
        assert.deepInclude(other, { _tag: "TlsFailure", code: "ERR_TLS_PIN_MISMATCH" })
      }
    }))

  it.live("are checked through a proxy, and with the streams of MQTT.js", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.http()
      const mqttJs = yield* MqttJs.make()
      for (const protocol of protocols) {
        const own = yield* listenWith(protocol, server)
        const right = { tls: tls({ pins: [pinOf(server)] }) }
        const wrong = { tls: tls({ pins: [pinOf(client)] }) }
        const proxy = { url: `http://127.0.0.1:${way.port}`, environment: false, noProxy: [] }
        yield* opened(own, { ...right, proxy })
        assert.deepInclude(yield* failure(own, { ...wrong, proxy }), { code: "ERR_TLS_PIN_MISMATCH" })
        yield* Effect.gen(function*() {
          yield* opened(own, right)
          assert.deepInclude(yield* failure(own, wrong), { _tag: "TlsFailure", code: "ERR_TLS_PIN_MISMATCH" })
        }).pipe(Effect.provideService(Transport.Transport, mqttJs))
        assert.lengthOf(own.peers, 2)
      }
    }))

  it.live("make a server that is not verified otherwise a verified one", () =>
    Effect.gen(function*() {
      const listener = yield* listenWith("tls", otherCaServer)
      const servers = `mqtts://${listener.address.host}:${listener.address.port}`
      const statusWith = (tls: { readonly pins?: string }) =>
        Effect.flatMap(
          MqttSession.make({ name: "plant", servers, tls: { insecureSkipVerify: true, ...tls } }),
          (session) => Effect.andThen(session.awaitReady, session.status)
        )
      assert.strictEqual((yield* statusWith({})).tls, "unverified")
      assert.strictEqual((yield* statusWith({ pins: pinOf(otherCaServer) })).tls, "verified")
    }))
})

describe("revocation lists", () => {
  it.live("refuse a server that is in them, or of an issuer without a list", () =>
    Effect.gen(function*() {
      for (const protocol of protocols) {
        const revoked = yield* listenWith(protocol, revokedServer)
        yield* opened(revoked, { tls: tls() })
        const reason = yield* failure(revoked, { tls: tls({ crl: [revocationList] }) })
        assert.deepInclude(reason, { _tag: "TlsFailure", code: "CERT_REVOKED", isRetryable: false })
        const good = yield* listenWith(protocol, server)
        yield* opened(good, { tls: tls({ crl: [revocationList] }) })
        const other = yield* listenWith(protocol, otherCaServer)
        const unlisted = yield* failure(other, { tls: tls({ ca: [certificates.otherCa], crl: [revocationList] }) })
        assert.deepInclude(unlisted, { _tag: "TlsFailure", code: "UNABLE_TO_GET_CRL", isRetryable: false })
      }
    }))
})

describe("the handshake", () => {
  it.live("offers the cipher suites of the options only", () =>
    Effect.gen(function*() {
      for (const protocol of protocols) {
        const any = yield* listenWith(protocol, { ...server, maxVersion: "TLSv1.2" })
        const socket = yield* opened(any, { tls: tls({ ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }) })
        assert.strictEqual(socket.cipher, "ECDHE-RSA-AES128-GCM-SHA256")
        const strict = yield* listenWith(protocol, {
          ...server,
          maxVersion: "TLSv1.2",
          ciphers: "ECDHE-RSA-AES256-GCM-SHA384"
        })
        const reason = yield* failure(strict, { tls: tls({ ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }) })
        assert.deepInclude(reason, { _tag: "TlsFailure", isRetryable: false })
        const none = yield* failure(any, { tls: tls({ ciphers: "NO-SUCH-CIPHER" }) })
        assert.deepInclude(none, { _tag: "TlsFailure", code: "ERR_SSL_NO_CIPHER_MATCH", isRetryable: false })
      }
    }))

  it.live("offers application protocols, and refuses older versions, through a proxy too", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.socks()
      const proxy = { url: `socks5h://127.0.0.1:${way.port}`, environment: false, noProxy: [] }
      const amazon = yield* listenWith("tls", { ...server, ALPNProtocols: ["x-amzn-mqtt-ca"] })
      const socket = yield* opened(amazon, { tls: tls({ alpn: ["x-amzn-mqtt-ca"] }), proxy })
      assert.strictEqual(socket.alpn, "x-amzn-mqtt-ca")
      const old = yield* listenWith("tls", { ...server, maxVersion: "TLSv1.2" })
      const reason = yield* failure(old, { tls: tls({ minVersion: "TLSv1.3" }), proxy })
      assert.deepInclude(reason, { _tag: "TlsFailure", isRetryable: false })
    }))

  it.live("presents a client certificate of a PKCS #12 archive, through a proxy too", () =>
    Effect.gen(function*() {
      const way = yield* Proxies.http()
      const proxy = { url: `http://127.0.0.1:${way.port}`, environment: false, noProxy: [] }
      for (const protocol of protocols) {
        const listener = yield* listenWith(protocol, { ...server, ca, requestCert: true, rejectUnauthorized: true })
        const pfx = Redacted.make(archive(client, "secret"))
        const socket = yield* opened(listener, { tls: tls({ pfx, passphrase: Redacted.make("secret") }), proxy })
        assert.strictEqual(socket.client, "test-client")
        const reason = yield* failure(listener, {
          tls: tls({ pfx, passphrase: Redacted.make("another-secret") }),
          proxy
        })
        assert.deepInclude(reason, { _tag: "TlsFailure", isRetryable: false })
        assert.notInclude(reason.message, "secret")
      }
    }))
})
