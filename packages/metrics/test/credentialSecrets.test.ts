/**
 * The secrets of credentials that change, of authentications, proxies and certificates are seen by the server only:
 * not in logs of any level, errors in any form, spans, events, states, metrics, on the page, in a flight record or in a
 * store.
 */
import * as Authentication from "@effect-mqttx/core/Authentication"
import type * as Credentials from "@effect-mqttx/core/Credentials"
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import type { SessionOptionsInput } from "@effect-mqttx/core/SessionOptions"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Transport from "@effect-mqttx/core/Transport"
import { AwsCustomAuthorizer, AwsSigV4, AzureSas, Jwt, OAuth2, Scram } from "@effect-mqttx/credentials"
import type * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted, Result, type Scope, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Crypto from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { logOf } from "../../../test/support/managers.ts"
import { accepting, listen } from "../../../test/support/peers.ts"
import { archive, encrypted } from "../../core/test/connection/certificates.ts"
import * as Proxies from "../../core/test/connection/proxies.ts"
import { makeWitness, type Witness } from "./witness.ts"

/** What programs write as a secret has this in it. */
const mark = "hunter2-hunter2"

const impatient = { initialDelay: "1 millis", maxDelay: "1 millis", factor: 1, jitter: "none" } as const

const base64 = (text: string): string => Buffer.from(text).toString("base64")

/** The ways in which a text could be written. */
const forms = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret)
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    bytes.toString("hex"),
    Array.from(bytes).join(","),
    Array.from(bytes).join(", "),
    // As JSON and `inspect` write an array of bytes, the latter in several lines.
    Array.from(bytes.subarray(0, 6)).map((byte, index) => `"${index}":${byte}`).join(",")
  ]
}

const places = ["log", "span", "snapshot", "page", "prometheus", "printed error", "error as JSON"]

const searched = Effect.fnUntraced(function*(
  witness: Witness,
  secrets: Iterable<string>,
  least: number,
  stored?: "stored"
) {
  const wanted = [...new Set(secrets)]
  for (const secret of wanted) assert.isAbove(secret.length, 7)
  assert.isAbove(wanted.length, 0)
  const all = wanted.flatMap(forms)
  const seen = yield* witness.seen
  assert.isAbove(seen.length, least)
  for (const where of stored === undefined ? places : [...places, "store", "flight record"]) {
    assert.isTrue(seen.some(([place]) => place === where), `nothing was seen in: ${where}`)
  }
  for (const [where, text] of seen) {
    const oneLine = text.replace(/\s+/g, " ")
    for (const form of all) if (oneLine.includes(form)) assert.fail(`${where}: ${form}`)
  }
})

/** A store in memory, all bytes of which are seen. */
const watchedStore = (witness: Witness): Effect.Effect<SessionStore.SessionStore["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const store = Context.get(yield* Layer.build(SessionStore.layerMemory), SessionStore.SessionStore)
    return {
      open: (session: string) =>
        Effect.map(store.open(session), (handle): SessionStore.SessionStoreHandle => ({
          ...handle,
          commit: (changes) => {
            witness.note("store", inspect(changes, { depth: 12, maxArrayLength: null }))
            for (const change of changes) {
              if (change._tag !== "Put") continue
              witness.note("store", Buffer.from(StoreRecordCodec.encode(change.record)).toString("latin1"))
            }
            return handle.commit(changes)
          }
        }))
    }
  })

type Options = Partial<Omit<SessionOptionsInput<"durable">, "name">>

interface Case {
  readonly options: Options
  readonly broker?: ScriptedBroker.ScriptedBrokerOptions
  /** What the server was told and no one else may see. */
  readonly told?: (broker: ScriptedBroker.Service) => ReadonlyArray<string>
}

/** Everything that can happen to a session with such options: it works, renews, is refused, is cut off, and ends. */
const lived = (make: Effect.Effect<Case, never, Scope.Scope>) =>
  Effect.gen(function*() {
    const witness = makeWitness()
    const { broker: brokerOptions, options, told = () => [] } = yield* make
    const broker = yield* ScriptedBroker.makeMemory(brokerOptions ?? {})
    const transport: Transport.Transport = {
      open: (request, handlers) => {
        witness.note("transport request", inspect(request, { depth: 9 }) + JSON.stringify(request))
        return broker.transport.open(request, handlers)
      }
    }
    yield* Effect.gen(function*() {
      const manager = yield* SessionManager.make()
      yield* witness.watch(manager)
      const log = yield* logOf(manager)
      const session = yield* manager.addDurable({
        servers: [broker.url],
        reconnect: impatient,
        flightRecorder: 1_048_576,
        ...options,
        name: "plant",
        clientId: "plant",
        persistence: "durable"
      })
      yield* session.awaitReady
      witness.note("options", inspect(session.options, { depth: 12 }) + JSON.stringify(session.options))
      witness.note("connection info", inspect(yield* session.connectionInfo, { depth: 12 }))
      const flight = Option.getOrThrow(yield* FlightRecorder.of(session))
      witness.note("flight record", yield* Stream.mkString(flight.lines))
      yield* session.publish("t", "text", { qos: 1 })
      yield* session.refreshCredentials
      yield* log.until((event) => event._tag === "CredentialsRefreshed")
      yield* broker.cut("plant")
      yield* broker.refuseConnect(0x86, { times: 2 })
      yield* log.until((event) => event._tag === "Reconnecting" && event.error.reason._tag === "BadCredentials")
      witness.error(yield* Effect.flip(session.publish("bad/#", "text")))
      witness.error(yield* Effect.flip(session.publish("t", "text", { qos: 1 })))
      const later = Option.getOrThrow(yield* FlightRecorder.of(session))
      witness.note("flight record", yield* Stream.mkString(later.lines))
      yield* searched(witness, [mark, ...told(broker)], 50, "stored")
    }).pipe(
      Effect.provideServiceEffect(SessionStore.SessionStore, watchedStore(witness)),
      Effect.provideService(Transport.Transport, transport),
      Effect.provide([witness.layer, FlightRecorder.layer()])
    )
  }).pipe(Effect.scoped)

const passwords = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.received("Connect").flatMap(({ packet }) =>
    packet.password === undefined ? [] : [new TextDecoder().decode(packet.password)]
  )

const usernames = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.received("Connect").map(({ packet }) => packet.username ?? "")

const authData = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  [...broker.received("Connect"), ...broker.received("Auth")].flatMap(({ packet: { properties } }) =>
    properties?.authenticationData === undefined ? [] : [new TextDecoder().decode(properties.authenticationData)]
  )

/** A token server that answers the same token to all. */
const tokenServer = (token: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer((request, response) => {
          request.resume()
          response.end(JSON.stringify({ access_token: token, expires_in: 3600 }))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
  )

/** The server's side of SCRAM-SHA-256 (RFC 5802), which accepts every proof and shows that it knows the password. */
const scramServer = (password: string) => {
  const salt = Crypto.randomBytes(16)
  const salted = Crypto.pbkdf2Sync(password, salt, 4096, 32, "sha256")
  const hmac = (key: Buffer, text: string) => Crypto.createHmac("sha256", key).update(text).digest()
  let first = ""
  let serverFirst = ""
  return ({ data, round }: BrokerCore.AuthenticationRequest): BrokerCore.AuthenticationAnswer => {
    const message = Buffer.from(data!).toString()
    if (round === 1) {
      first = message.slice("n,,".length)
      serverFirst = `r=${/r=(.*)$/.exec(first)![1]}more,s=${salt.toString("base64")},i=4096`
      return { _tag: "Continue", data: Buffer.from(serverFirst) }
    }
    const withoutProof = /^(.*),p=/.exec(message)![1]
    const signature = hmac(hmac(salted, "Server Key"), `${first},${serverFirst},${withoutProof}`)
    return { _tag: "Accept", data: Buffer.from(`v=${signature.toString("base64")}`) }
  }
}

describe("secrets that a session gets before each connect are never seen", () => {
  it.live("tokens of an effect, with headers, a query, and a key", () =>
    lived(Effect.succeed({
      options: {
        servers: [`wss://me:${mark}@broker.test/mqtt?${mark}`],
        tls: { insecureSkipVerify: true },
        credentials: Effect.sync((): Credentials.Credentials => ({
          username: "me",
          password: Redacted.make(new TextEncoder().encode(mark)),
          tls: { key: mark, cert: "certificate", passphrase: mark },
          webSocket: { headers: { authorization: `Bearer ${mark}` }, query: `token=${mark}` },
          expiresAt: Date.now() + 3_600_000
        }))
      },
      told: passwords
    })))

  it.live("shared access signatures of Azure, and the key that signs them", () =>
    lived(Effect.succeed({
      options: {
        credentials: AzureSas.iotHub({ hostName: "hub.test", deviceId: "plant", key: base64(mark) })
      },
      told: (broker) => passwords(broker).flatMap((sas) => [sas, /sig=([^&]+)/.exec(sas)![1]!, base64(mark)])
    })))

  it.live("the token of a custom authorizer of AWS, though it is a part of the user name", () =>
    lived(Effect.succeed({
      options: {
        credentials: AwsCustomAuthorizer.make({
          authorizer: "plant",
          username: "device",
          password: mark,
          token: { name: "token", value: `token-${mark}`, signature: Redacted.make(`signature-${mark}`) }
        })
      },
      told: (broker) => [...passwords(broker), ...usernames(broker).filter((name) => name.includes(mark))]
    })))

  it.live("access tokens of OAuth 2, and the client's secret", () =>
    lived(Effect.gen(function*() {
      const tokenUrl = yield* tokenServer(`token-${mark}`)
      return {
        options: {
          credentials: OAuth2.credentials({ tokenUrl, clientId: "plant", clientSecret: mark, username: "plant" }).pipe(
            Effect.provide(FetchHttpClient.layer)
          )
        },
        told: passwords
      }
    })))

  it.live("JSON Web Tokens as a password, and their key", () =>
    lived(Effect.succeed({
      options: {
        credentials: Jwt.credentials({ algorithm: "HS256", key: mark, claims: { sub: "plant" }, username: "plant" })
      },
      told: (broker) => passwords(broker).flatMap((jwt) => [jwt, jwt.split(".")[2]!])
    })))

  it.live("JSON Web Tokens as the data of AUTH", () =>
    lived(Effect.succeed({
      options: {
        authentication: Authentication.token("CUSTOM-JWT", Jwt.data({ algorithm: "HS256", key: mark }))
      },
      broker: { authenticateEnhanced: () => ({ _tag: "Accept" }) },
      told: (broker) => authData(broker).flatMap((jwt) => [jwt, jwt.split(".")[2]!])
    })))

  it.live("the password and the proofs of SCRAM", () =>
    lived(Effect.succeed({
      options: { authentication: Scram.sha256({ username: "user", password: mark }) },
      broker: { authenticateEnhanced: scramServer(mark) },
      told: (broker) => authData(broker).flatMap((text) => /,p=(.*)$/.exec(text)?.[1] ?? [])
    })))

  it.live("challenges and their responses", () =>
    lived(Effect.succeed({
      options: {
        authentication: Authentication.challenge(
          "HMAC",
          () => Effect.succeed(new TextEncoder().encode(`response-${mark}`)),
          new TextEncoder().encode(`initial-${mark}`)
        )
      },
      broker: {
        authenticateEnhanced: ({ round }) =>
          round === 1
            ? { _tag: "Continue", data: Buffer.from(`challenge-${mark}`) }
            : { _tag: "Accept", data: Buffer.from(`accepted-${mark}`) }
      },
      told: authData
    })))
})

/** The session fails, and everything that is seen of it is kept. */
const refused = Effect.fnUntraced(function*(
  witness: Witness,
  manager: SessionManager.SessionManager["Service"],
  options: SessionOptionsInput<"process">
) {
  const exit = yield* Effect.result(manager.add({ ...options, reconnect: { enabled: false } }))
  if (Result.isFailure(exit)) return witness.error(exit.failure)
  witness.error(yield* Effect.flip(exit.success.awaitReady))
})

/** A manager that is watched. */
const watched = <A, E>(
  use: (
    witness: Witness,
    manager: SessionManager.SessionManager["Service"]
  ) => Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.suspend(() => {
    const witness = makeWitness()
    return Effect.gen(function*() {
      const manager = yield* SessionManager.make()
      yield* witness.watch(manager)
      return yield* use(witness, manager)
    }).pipe(Effect.scoped, Effect.provide(witness.layer))
  })

describe("secrets on the way to the server are never seen", () => {
  it.live("signed URLs of AWS, on a real WebSocket that fails in every way", () =>
    watched((witness, manager) =>
      Effect.gen(function*() {
        const credentials = AwsSigV4.iotCore({
          region: "eu-central-1",
          keys: Effect.succeed({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: mark, sessionToken: `session-${mark}` })
        })
        const accepts = yield* listen({ protocol: "ws", serve: accepting() })
        const failing = [
          yield* listen({ protocol: "ws", refuseUpgrade: 403 }),
          yield* listen({ protocol: "ws", refuseUpgrade: 302 }),
          yield* listen({ protocol: "ws", subprotocol: false }),
          yield* listen({ protocol: "ws", serve: accepting({ reasonCode: 0x87 }) }),
          yield* listen({ protocol: "ws", serve: (peer) => Effect.map(peer.received("Connect"), () => peer.destroy()) })
        ]
        for (const [index, { address: { port } }] of failing.entries()) {
          yield* refused(witness, manager, {
            name: `failing-${index}`,
            servers: `ws://localhost:${port}/mqtt`,
            credentials
          })
        }
        const session = yield* manager.add({
          name: "plant",
          servers: `ws://localhost:${accepts.address.port}/mqtt`,
          credentials
        })
        yield* session.awaitReady
        const urls = [...failing, accepts].flatMap(({ upgrades }) => upgrades.map(({ url }) => url!))
        const signatures = urls.map((url) => /X-Amz-Signature=([0-9a-f]+)/.exec(url)![1]!)
        assert.isAbove(signatures.length, 3)
        assert.include(urls[0], `session-${mark}`)
        yield* searched(witness, [mark, ...signatures], 30)
      })
    ))

  it.live("passwords of proxies and headers, which are right, wrong, or refused", () =>
    watched((witness, manager) =>
      Effect.gen(function*() {
        const server = yield* listen({ protocol: "ws", serve: accepting() })
        const servers = `ws://127.0.0.1:${server.address.port}/mqtt`
        const webSocket = { headers: { authorization: `Bearer ${mark}`, cookie: Redacted.make(`session=${mark}`) } }
        for (const [scheme, make] of [["http", Proxies.http], ["socks5h", Proxies.socks]] as const) {
          const way = yield* make({ demands: `me:${mark}` })
          const closed = yield* make({ demands: `me:${mark}`, refuses: scheme === "http" ? 403 : 2 })
          const proxy = (port: number, password: string) => ({ url: `${scheme}://me:${password}@127.0.0.1:${port}` })
          const session = yield* manager.add({
            name: scheme,
            servers,
            webSocket,
            proxy: proxy(way.port, mark)
          })
          yield* session.awaitReady
          witness.note("options", inspect(session.options, { depth: 12 }) + JSON.stringify(session.options))
          const wrong = proxy(way.port, `wrong-${mark}`)
          const invalid = { url: `ftp://me:${mark}@127.0.0.1` }
          for (const [name, given] of Object.entries({ wrong, closed: proxy(closed.port, mark), invalid })) {
            yield* refused(witness, manager, { name: `${scheme}-${name}`, servers, webSocket, proxy: given })
          }
          // The proxy was told: otherwise nothing was proved.
          assert.includeMembers([...way.credentials], [`me:${mark}`, `me:wrong-${mark}`])
        }
        assert.strictEqual(server.upgrades[0]?.headers.authorization, `Bearer ${mark}`)
        yield* searched(witness, [mark, `me:${mark}`, base64(`me:${mark}`)], 30)
      })
    ))

  it.live("passphrases of PKCS #12 archives and keys, the right ones and the wrong ones", () =>
    watched((witness, manager) =>
      Effect.gen(function*() {
        const { ca, client, server } = yield* Certificates.make
        const listener = yield* listen({
          protocol: "tls",
          tls: { ...server, ca, requestCert: true, rejectUnauthorized: true },
          serve: accepting()
        })
        const servers = `mqtts://localhost:${listener.address.port}`
        const pfx = archive(client, mark)
        const key = encrypted(client, mark)
        const { cert } = client
        const session = yield* manager.add({ name: "plant", servers, tls: { ca, pfx, passphrase: mark } })
        yield* session.awaitReady
        assert.strictEqual(listener.tlsSockets[0]?.client, "test-client")
        witness.note("options", inspect(session.options, { depth: 12 }) + JSON.stringify(session.options))
        const passphrase = `wrong-${mark}`
        for (
          const [index, tls] of [
            { pfx, passphrase },
            { cert, key, passphrase },
            { cert, key: `${mark} is no key` },
            { pfx: new TextEncoder().encode(mark), passphrase },
            { pfx: 7 as never, passphrase: { secret: mark } as never }
          ].entries()
        ) {
          yield* refused(witness, manager, { name: `wrong-${index}`, servers, tls: { ca, ...tls } })
          const credentials = Effect.succeed({ tls })
          yield* refused(witness, manager, { name: `credentials-${index}`, servers, tls: { ca }, credentials })
        }
        const secretKey = client.key.split("\n")[1]!
        yield* searched(witness, [mark, secretKey], 30)
      })
    ))

  it.live("what a provider answers that is no credentials", () =>
    watched((witness, manager) =>
      Effect.gen(function*() {
        const server = yield* listen({ protocol: "ws", serve: accepting() })
        const servers = `ws://127.0.0.1:${server.address.port}/mqtt`
        const answers = [
          mark,
          [mark],
          { password: { secret: mark } },
          { password: [mark] },
          { token: mark },
          { username: { [mark]: mark } },
          { webSocket: { headers: { authorization: [mark] } } },
          { webSocket: { query: [mark] } },
          { webSocket: { headers: { authorization: `a\r\n${mark}` } } },
          { tls: { key: { pem: mark } } },
          { expiresAt: mark }
        ]
        for (const [index, answer] of answers.entries()) {
          const credentials = Effect.succeed(answer as never)
          yield* refused(witness, manager, { name: `session-${index}`, servers, credentials })
        }
        yield* searched(witness, [mark], 30)
      })
    ))
})
