/**
 * Sessions that get their credentials from files, a token server and SCRAM, against servers that check them.
 */
import { Authentication, MqttSession } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import { FileCredentials, Jwt, OAuth2, Scram } from "@effect-mqttx/credentials"
import type * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Crypto from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

const passwordsOf = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.received("Connect").map(({ packet }) => new TextDecoder().decode(packet.password))

const on = (broker: ScriptedBroker.Service) => Effect.provideService(Transport.Transport, broker.transport)

describe("files", () => {
  it.live("are read before each attempt, and a change is used at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      // A Kubernetes secret: the file is a link through a folder that is replaced.
      const write = Effect.fnUntraced(function*(version: number, token: string) {
        yield* fs.makeDirectory(`${folder}/v${version}`)
        yield* fs.writeFileString(`${folder}/v${version}/token`, `${token}\n`)
        yield* fs.symlink(`${folder}/v${version}`, `${folder}/next`)
        yield* fs.rename(`${folder}/next`, `${folder}/current`)
      })
      yield* write(1, "first")
      yield* fs.symlink(`${folder}/current/token`, `${folder}/token`)
      const broker = yield* ScriptedBroker.makeMemory()
      const files = { password: `${folder}/token` }
      const session = yield* MqttSession.make(
        {
          name: "plant",
          servers: [ScriptedBroker.memoryUrl],
          username: "plant",
          credentials: FileCredentials.make(files)
        }
      ).pipe(on(broker))
      yield* session.awaitReady
      yield* FileCredentials.refreshOnChange(files)(session)
      yield* write(2, "second")
      yield* broker.awaitPacket({ direction: "received", packet: "Connect", nth: 2 })
      assert.deepStrictEqual(passwordsOf(broker), ["first", "second"])
    }).pipe(Effect.provide(Layer.mergeAll(NodeFileSystem.layer, Path.layer))))

  it.live("that cannot be read are reported by name, without their contents", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const error = yield* Effect.flip(FileCredentials.make({ password: `${folder}/none` }))
      assert.include(error.message, `${folder}/none`)
      yield* fs.writeFile(`${folder}/large`, new Uint8Array(2_000_000))
      assert.include((yield* Effect.flip(FileCredentials.make({ ca: `${folder}/large` }))).message, "larger than")
      yield* fs.writeFileString(`${folder}/pem`, "PEM\n")
      const { tls } = yield* FileCredentials.make({ ca: `${folder}/pem`, key: `${folder}/pem` })
      assert.strictEqual(tls?.ca, "PEM\n")
      assert.strictEqual(Redacted.value(tls?.key as Redacted.Redacted<string>), "PEM\n")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

/** A token server. */
const tokenServer = (
  answer: (form: URLSearchParams, headers: Http.IncomingHttpHeaders) => readonly [number, unknown]
) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly server: Http.Server }>((resume) => {
      const server = Http.createServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => body += String(chunk))
        request.on("end", () => {
          const [status, json] = answer(new URLSearchParams(body), request.headers)
          response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json))
        })
      })
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, server })))
    }),
    ({ server }) =>
      Effect.sync(() =>
        server.close()
      )
  )

describe("OAuth 2", () => {
  it.live("gets a token for each connection, with the client in the header or in the form", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { url } = yield* tokenServer((form, { authorization }) => {
        seen.push(`${form.toString()} ${authorization}`)
        return [200, { access_token: `token ${seen.length}`, expires_in: 3600 }]
      })
      const broker = yield* ScriptedBroker.makeMemory()
      const client = { tokenUrl: url, clientId: "plant", clientSecret: Redacted.make("s:1"), scope: "mqtt" }
      const session = yield* MqttSession.make(
        {
          name: "plant",
          servers: [ScriptedBroker.memoryUrl],
          credentials: OAuth2.credentials({ ...client, username: "plant" })
        }
      ).pipe(on(broker))
      yield* session.awaitReady
      yield* session.refreshCredentials
      assert.deepStrictEqual(passwordsOf(broker), ["token 1", "token 2"])
      const basic = Buffer.from("plant:s%3A1").toString("base64")
      assert.strictEqual(seen[0], `grant_type=client_credentials&scope=mqtt Basic ${basic}`)
      yield* OAuth2.data({ ...client, clientAuthentication: "form" })
      assert.include(seen[2], "client_id=plant&client_secret=s%3A1 undefined")
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.live("says whether another attempt helps, and never shows the secret", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<readonly [number, unknown, boolean]> = [
        [401, { error: "invalid_client", secret: "hidden" }, false],
        [503, {}, true],
        [200, { token: "hidden" }, true],
        [200, "hidden", true]
      ]
      for (const [status, json, isRetryable] of answers) {
        const { url } = yield* tokenServer(() => [status, json])
        const error = yield* Effect.flip(
          OAuth2.token({ tokenUrl: url, clientId: "plant", clientSecret: "hidden" })
        )
        assert.strictEqual(error.isRetryable !== false, isRetryable, String(status))
        assert.notInclude(JSON.stringify(error) + String(error), "hidden")
      }
      const unreachable = OAuth2.token({ tokenUrl: "http://127.0.0.1:1/", clientId: "p", clientSecret: "hidden" })
      assert.notInclude(JSON.stringify(yield* Effect.flip(unreachable)), "hidden")
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

/** The server's side of SCRAM-SHA-256 (RFC 5802), by Node's cryptography. */
const scramServer = (password: string) => {
  const salt = Crypto.randomBytes(16)
  const salted = Crypto.pbkdf2Sync(password, salt, 4096, 32, "sha256")
  const hmac = (key: Buffer, text: string) => Crypto.createHmac("sha256", key).update(text).digest()
  const storedKey = Crypto.createHash("sha256").update(hmac(salted, "Client Key")).digest()
  let first = ""
  let serverFirst = ""
  return ({ data, round }: BrokerCore.AuthenticationRequest): BrokerCore.AuthenticationAnswer => {
    const message = Buffer.from(data!).toString()
    if (round === 1) {
      first = message.slice("n,,".length)
      const nonce = /r=(.*)$/.exec(first)![1] + Crypto.randomBytes(9).toString("base64")
      serverFirst = `r=${nonce},s=${salt.toString("base64")},i=4096`
      return { _tag: "Continue", data: Buffer.from(serverFirst) }
    }
    const [, withoutProof, proof] = /^(.*),p=(.*)$/.exec(message)!
    const authMessage = `${first},${serverFirst},${withoutProof}`
    const signature = hmac(storedKey, authMessage)
    const key = Buffer.from(proof!, "base64").map((byte, index) => byte ^ signature[index]!)
    if (!Crypto.createHash("sha256").update(key).digest().equals(storedKey)) return { _tag: "Refuse", reasonCode: 0x87 }
    return {
      _tag: "Accept",
      data: Buffer.from(`v=${hmac(hmac(salted, "Server Key"), authMessage).toString("base64")}`)
    }
  }
}

describe("SCRAM", () => {
  it.live("authenticates the client and the server, at the connect and again on the open connection", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ authenticateEnhanced: scramServer("pencil") })
      const session = yield* MqttSession.make(
        {
          name: "plant",
          servers: [ScriptedBroker.memoryUrl],
          authentication: Scram.sha256({ username: "user", password: Redacted.make("pencil") })
        }
      ).pipe(on(broker))
      yield* session.awaitReady
      yield* session.refreshCredentials
      assert.lengthOf(broker.received("Connect"), 1)
      assert.lengthOf(broker.received("Auth"), 3)
    }))

  it.live("is refused with a wrong password", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ authenticateEnhanced: scramServer("pencil") })
      const session = yield* MqttSession.make(
        {
          name: "plant",
          servers: [ScriptedBroker.memoryUrl],
          authentication: Scram.sha256({ username: "user", password: "pen" })
        }
      ).pipe(on(broker))
      assert.strictEqual((yield* Effect.flip(session.awaitReady)).reason._tag, "NotAuthorized")
    }))
})

it.live("a JWT is renewed on the open connection, as Azure Event Grid takes it", () =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const broker = yield* ScriptedBroker.makeMemory({
      authenticateEnhanced: ({ data, isRenewal, method }) => {
        const [, payload] = new TextDecoder().decode(data).split(".")
        const { sub } = JSON.parse(Buffer.from(payload!, "base64url").toString()) as { readonly sub: string }
        seen.push(`${method} ${isRenewal} ${sub}`)
        return { _tag: "Accept" }
      }
    })
    const session = yield* MqttSession.make(
      {
        name: "grid",
        servers: [ScriptedBroker.memoryUrl],
        authentication: Authentication.token(
          "CUSTOM-JWT",
          Jwt.data({ algorithm: "HS256", key: "k", claims: { sub: "device" }, lifetime: "1 hour" })
        )
      }
    ).pipe(on(broker))
    yield* session.awaitReady
    yield* session.refreshCredentials
    assert.deepStrictEqual(seen, ["CUSTOM-JWT false device", "CUSTOM-JWT true device"])
  }))
