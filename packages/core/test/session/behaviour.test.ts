import * as MqttJs from "@effect-mqttx/core/MqttJs"
import * as SocketTransport from "@effect-mqttx/socket/SocketTransport"
import type * as Certificates from "@effect-mqttx/testing/Certificates"
import * as Journal from "@effect-mqttx/testing/Journal"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { NodeSocket } from "@effect/platform-node"
import { assert, it, vi } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { behaviour, type Environment, names } from "./behaviour.ts"
import { type Profiled, profiles } from "./behaviourProfiles.ts"
import { type Options, Server, type TestServer, type TlsFaults } from "./behaviourWorld.ts"

const user = { username: "tester", password: "a secret" }

const scripted = (
  network: "memory" | "tcp",
  profile?: ScriptedBroker.ScriptedBrokerOptions,
  needed?: Options<never>
): Environment["server"] =>
  Layer.effect(
    Server,
    Effect.gen(function*() {
      const options: ScriptedBroker.ScriptedBrokerOptions = {
        users: { [user.username]: user.password },
        journal: Journal.makeMemory(),
        record: false,
        authorizePublish: (_, { topic }) => topic.startsWith("refused/") ? 0x87 : 0,
        authorizeSubscribe: (_, { filter }) => filter.startsWith("refused/") ? 0x87 : 0,
        ...profile
      }
      const broker = network === "memory"
        ? yield* ScriptedBroker.makeMemory(options)
        : yield* ScriptedBroker.make(options)
      return {
        address: network === "memory" ? "mqtt://memory:1883" : broker.url,
        options: { ...user, ...needed },
        transport: network === "memory" ? broker.transport : undefined,
        isInMemory: network === "memory",
        user,
        keepsOrder: true,
        restart: broker.restart,
        tls: undefined
      }
    })
  )

/** A server that shows a certificate, and has no need to do more. */
const showing = ({ cert, key }: Certificates.CertificateAndKey): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Tls.Server>((resume) => {
        const server = Tls.createServer({ cert, key }, (socket) => socket.destroy())
        server.on("tlsClientError", () => {})
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
    ),
    (server) => (server.address() as Net.AddressInfo).port
  )

const tlsFaults = (
  address: string,
  port: number,
  { ca, client, expiredServer, otherCa, otherHostServer }: Certificates.Certificates
): Effect.Effect<TlsFaults, never, Scope.Scope> =>
  Effect.gen(function*() {
    const otherHost = yield* showing(otherHostServer)
    const expired = yield* showing(expiredServer)
    return {
      unknownAuthority: { ca: otherCa, ...client },
      noClientCertificate: { ca },
      wrongName: address.replace(`:${port}`, `:${otherHost}`),
      expired: address.replace(`:${port}`, `:${expired}`)
    }
  })

const mosquitto = (network: "tcp" | "tls" | "ws" | "wss", by?: "MQTT.js" | "Socket"): Environment["server"] =>
  Layer.effect(
    Server,
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.make({
        tls: network === "tls",
        webSocket: network === "ws",
        secureWebSocket: network === "wss",
        requireClientCertificate: true,
        persistence: true,
        users: { [user.username]: user.password }
      })
      const address = broker.urls[network]!
      const { certificates } = broker
      return {
        address,
        options: {
          ...user,
          ...(certificates === undefined ? undefined : { tls: { ca: certificates.ca, ...certificates.client } })
        },
        transport: by === undefined
          ? undefined
          : by === "MQTT.js"
          ? yield* MqttJs.make()
          : yield* SocketTransport.make(({ address: { host, port } }) => NodeSocket.makeNet({ host, port })),
        isInMemory: false,
        user,
        // mosquitto 2.0.11 sends new messages before queued ones when its window was full at a reconnect.
        keepsOrder: false,
        restart: Effect.orDie(broker.restart),
        tls: certificates === undefined ? undefined : yield* tlsFaults(address, broker.ports[network]!, certificates)
      } satisfies TestServer
    })
  )

const needsMqtt5 = "needs MQTT 5"

const on311 = {
  "a retained will with properties arrives as it was given": needsMqtt5,
  "a session that is taken over does not take its client identifier back at once":
    "a 3.1.1 server does not say that a session was taken over",
  "the receipt says when there is no subscriber": needsMqtt5,
  "message properties arrive as they were given": needsMqtt5,
  "a topic alias of the publisher's choice stands for the topic": needsMqtt5,
  "a refused publish fails with the server's reason code": "a 3.1.1 server cannot refuse a publish",
  "no local keeps a session's own messages away": needsMqtt5,
  "retain as published keeps the flag of live messages": needsMqtt5,
  "options that contradict a subscription on the same filter are refused": needsMqtt5
}

const withoutTls = {
  "a server of an unknown authority is refused with TlsFailure": "no TLS",
  "a server under a name that its certificate does not have is refused with TlsFailure": "no TLS",
  "a server with an expired certificate is refused with TlsFailure": "no TLS",
  "a server that wants a certificate refuses a client without one with TlsFailure": "no TLS",
  "a server of an unknown authority is accepted where the options say so": "no TLS"
}

const onMosquitto = {
  "a session that is taken over does not take its client identifier back at once":
    "mosquitto 2.0.11 closes the connection that was taken over without a word",
  "a refused publish fails with the server's reason code": "this mosquitto has no access control list",
  "a refused subscription fails its stream with the server's reason code, and only that":
    "mosquitto grants what its access control list forbids"
}

const copies =
  "mosquitto sends a copy for each overlapping subscription, and 3.1.1 has no identifiers to tell them apart"

const onMosquitto311 = {
  "each of several streams on overlapping filters gets each message once": copies,
  "one stream on overlapping filters gets each message once": copies,
  "twenty streams on five overlapping filters: five subscriptions, each stream each message once": copies
}

const missing = MosquittoBroker.isPresent() ? undefined : "mosquitto is not installed"

const real = (version: 4 | 5, network: "tcp" | "tls" | "ws" | "wss", by?: "MQTT.js" | "Socket"): Environment => ({
  name: `mosquitto ${version === 4 ? "3.1.1" : "5"} ${network}${by === undefined ? "" : ` by ${by}`}`,
  version,
  server: mosquitto(network, by),
  missing,
  // mosquitto 2.0.11 serves WebSockets every 100 ms.
  concurrent: network === "ws" || network === "wss",
  skip: {
    ...onMosquitto,
    ...(version === 4 ? { ...on311, ...onMosquitto311 } : undefined),
    ...(network === "tls" || network === "wss" ? undefined : withoutTls)
  }
})

const profiled = ({ profile, serverLimits, skip, version }: Profiled): Environment => ({
  name: `profile ${profile} ${version === 4 ? "3.1.1" : "5"}`,
  version,
  // What a server does about load is tested by itself: these tests send as much as they can.
  server: scripted("memory", { profile, throttling: false }, { serverLimits }),
  skip: { ...(version === 4 ? on311 : undefined), ...withoutTls, ...skip }
})

const environments: ReadonlyArray<Environment> = [
  ...profiles.map(profiled),
  { name: "scripted 3.1.1 memory", version: 4, server: scripted("memory"), skip: { ...on311, ...withoutTls } },
  { name: "scripted 5 memory", version: 5, server: scripted("memory"), skip: withoutTls },
  { name: "scripted 3.1.1 tcp", version: 4, server: scripted("tcp"), skip: { ...on311, ...withoutTls } },
  { name: "scripted 5 tcp", version: 5, server: scripted("tcp"), skip: withoutTls },
  ...(["tcp", "tls", "ws", "wss"] as const).flatMap((network) => [real(4, network), real(5, network)]),
  // The streams of MQTT.js, in both versions and on every network that it has.
  real(5, "tcp", "MQTT.js"),
  real(4, "tls", "MQTT.js"),
  real(4, "ws", "MQTT.js"),
  real(5, "wss", "MQTT.js"),
  real(4, "tcp", "Socket"),
  real(5, "tcp", "Socket")
]

it("every skip names a test", () => {
  for (const { skip } of environments) assert.includeMembers(names as Array<string>, Object.keys(skip))
})

// Of the concurrent environments.
vi.setConfig({ maxConcurrency: 10 })

for (const environment of environments) behaviour(environment)
