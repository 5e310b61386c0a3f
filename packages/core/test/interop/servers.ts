/**
 * The servers of the interop suite, each with the networks that it listens on. A new one takes a function that starts
 * it, and a row of `cells.ts`.
 */
import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as RealServer from "@effect-mqttx/testing/RealServer"
import { Effect, type Scope } from "effect"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import * as Https from "node:https"
import type * as Net from "node:net"
import { join } from "node:path"
import * as Tls from "node:tls"
import { createWebSocketStream, WebSocketServer } from "ws"
import { freePorts } from "../../../../test/support/freePort.ts"
import type { Network, ServerName } from "./cells.ts"
import { run, temporaryDirectory } from "./process.ts"

export interface Running {
  readonly urls: Readonly<Record<Network, string>>
  readonly certificates: Certificates.Certificates
  readonly username?: string
  readonly password?: string
}

const host = "127.0.0.1"

const urlsOf = (ports: ReadonlyArray<number>, path: string): Running["urls"] => ({
  tcp: `mqtt://${host}:${ports[0]}`,
  tls: `mqtts://${host}:${ports[1]}`,
  mtls: `mqtts://${host}:${ports[2]}`,
  ws: `ws://${host}:${ports[3]}${path}`,
  wss: `wss://${host}:${ports[4]}${path}`
})

/** Writes the certificates of a server as files, in the forms that servers want. */
const writeCertificates = (directory: string, { ca, server }: Certificates.Certificates) => {
  const write = (name: string, content: string): string => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  return {
    ca: write("ca.pem", ca),
    cert: write("cert.pem", server.cert),
    key: write("key.pem", server.key),
    both: write("both.pem", `${server.cert}\n${server.key}`)
  }
}

const mosquitto = Effect.gen(function*() {
  const certificates = yield* Certificates.make
  const plain = yield* MosquittoBroker.make({ tls: true, webSocket: true, secureWebSocket: true, certificates })
  const mutual = yield* MosquittoBroker.make({ tls: true, requireClientCertificate: true, certificates })
  const { tcp, tls, ws, wss } = plain.urls
  return { certificates, urls: { tcp: tcp!, tls: tls!, mtls: mutual.urls.tls!, ws: ws!, wss: wss! } } satisfies Running
})

const listening = (server: Net.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen({ port: 0, host }, () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
    }),
    () => Effect.sync(() => void server.close())
  )

const aedes = Effect.gen(function*() {
  const certificates = yield* Certificates.make
  const broker = yield* AedesBroker.make({ webSocket: true })
  const secure = { ...certificates.server, ca: certificates.ca }
  const handle = (socket: Tls.TLSSocket): void => {
    socket.on("error", () => {})
    broker.native.handle(socket)
  }
  const tls = yield* listening(Tls.createServer(secure, handle))
  const mtls = yield* listening(
    Tls.createServer({ ...secure, requestCert: true, rejectUnauthorized: true }, handle).on("tlsClientError", () => {})
  )
  const https = Https.createServer(secure)
  new WebSocketServer({ server: https, handleProtocols: () => "mqtt" }).on("connection", (socket, request) => {
    const stream = createWebSocketStream(socket)
    stream.on("error", () => {})
    broker.native.handle(stream, request)
  })
  const wss = yield* listening(https)
  return {
    certificates,
    urls: { ...urlsOf([0, tls, mtls, 0, wss], "/mqtt"), tcp: broker.urls.tcp!, ws: broker.urls.ws! }
  } satisfies Running
})

/** One NATS server has one MQTT listener, so there is one for each of its kinds. */
const nats = Effect.gen(function*() {
  const program = RealServer.find("nats-server")!
  const certificates = yield* Certificates.make
  const directory = yield* temporaryDirectory("nats")
  const files = writeCertificates(directory, certificates)
  const start = Effect.fnUntraced(function*(name: string, tls: string, webSocketTls: string) {
    const [client, mqtt, webSocket] = yield* freePorts(3)
    const path = join(directory, `${name}.conf`)
    writeFileSync(
      path,
      `server_name: ${name}
host: ${host}
port: ${client}
jetstream { store_dir: "${join(directory, name)}" }
mqtt { host: ${host}, port: ${mqtt}${tls} }
websocket { host: ${host}, port: ${webSocket}, ${webSocketTls} }
`
    )
    yield* run(program, ["-c", path], { cwd: directory, ports: [mqtt!, webSocket!] })
    return [mqtt!, webSocket!] as const
  })
  const pair = `cert_file: "${files.cert}", key_file: "${files.key}"`
  const [tcp, ws] = yield* start("plain", "", "no_tls: true")
  const [tls, wss] = yield* start("tls", `, tls { ${pair} }`, `tls { ${pair} }`)
  const [mtls] = yield* start("mtls", `, tls { ${pair}, ca_file: "${files.ca}", verify: true }`, "no_tls: true")
  return { certificates, urls: urlsOf([tcp, tls, mtls, ws, wss], "/mqtt") } satisfies Running
})

const rabbitRoot = "/usr/lib/rabbitmq/lib"

const rabbitProgram = (): string | undefined => {
  if (!existsSync(rabbitRoot)) return undefined
  const [folder] = readdirSync(rabbitRoot)
  return folder === undefined ? undefined : join(rabbitRoot, folder, "sbin", "rabbitmq-server")
}

/** Its TLS options are those of all listeners, so there is one server with client certificates and one without. */
const rabbitmq = Effect.gen(function*() {
  const program = rabbitProgram()!
  const certificates = yield* Certificates.make
  const directory = yield* temporaryDirectory("rabbitmq")
  const files = writeCertificates(directory, certificates)
  const plugins = join(directory, "plugins")
  writeFileSync(plugins, "[rabbitmq_mqtt,rabbitmq_web_mqtt].")
  const [epmd] = yield* freePorts(1)
  yield* run("/usr/bin/epmd", ["-port", String(epmd), "-address", host], { cwd: directory, ports: [epmd!] })
  const start = Effect.fnUntraced(function*(verifies: boolean) {
    const [distribution, tcp, tls, ws, wss] = yield* freePorts(5)
    const name = verifies ? "verifying" : "plain"
    const path = join(directory, `${name}.conf`)
    writeFileSync(
      path,
      `listeners.tcp = none
mqtt.listeners.tcp.1 = ${host}:${tcp}
mqtt.listeners.ssl.1 = ${host}:${tls}
mqtt.allow_anonymous = true
web_mqtt.tcp.ip = ${host}
web_mqtt.tcp.port = ${ws}
web_mqtt.ssl.ip = ${host}
web_mqtt.ssl.port = ${wss}
web_mqtt.ssl.cacertfile = ${files.ca}
web_mqtt.ssl.certfile = ${files.cert}
web_mqtt.ssl.keyfile = ${files.key}
ssl_options.cacertfile = ${files.ca}
ssl_options.certfile = ${files.cert}
ssl_options.keyfile = ${files.key}
ssl_options.verify = ${verifies ? "verify_peer" : "verify_none"}
ssl_options.fail_if_no_peer_cert = ${verifies}
`
    )
    yield* run(program, [], {
      cwd: directory,
      ports: [tcp!, tls!, ws!, wss!],
      env: {
        HOME: directory,
        ERL_EPMD_PORT: String(epmd),
        RABBITMQ_NODENAME: `${name}@localhost`,
        RABBITMQ_DIST_PORT: String(distribution),
        RABBITMQ_MNESIA_BASE: join(directory, `${name}-data`),
        RABBITMQ_LOG_BASE: directory,
        RABBITMQ_LOGS: "-",
        RABBITMQ_CONFIG_FILE: path,
        RABBITMQ_ENABLED_PLUGINS_FILE: plugins
      }
    })
    return [tcp!, tls!, ws!, wss!] as const
  })
  const [tcp, tls, ws, wss] = yield* start(false)
  const [, mtls] = yield* start(true)
  return { certificates, urls: urlsOf([tcp, tls, mtls, ws, wss], "/ws") } satisfies Running
})

const ejabberd = Effect.gen(function*() {
  const certificates = yield* Certificates.make
  const directory = yield* temporaryDirectory("ejabberd")
  const files = writeCertificates(directory, certificates)
  const [tcp, tls, mtls, ws, wss] = yield* freePorts(5)
  const config = join(directory, "ejabberd.yml")
  writeFileSync(
    config,
    `hosts: [localhost]
loglevel: info
auth_method: anonymous
anonymous_protocol: login_anon
allow_multiple_connections: true
certfiles: ["${files.both}"]
ca_file: "${files.ca}"
listen:
  - { port: ${tcp}, ip: "${host}", module: mod_mqtt }
  - { port: ${tls}, ip: "${host}", module: mod_mqtt, tls: true }
  - { port: ${mtls}, ip: "${host}", module: mod_mqtt, tls: true, tls_verify: true }
  - { port: ${ws}, ip: "${host}", module: ejabberd_http, request_handlers: { "/mqtt": mod_mqtt } }
  - { port: ${wss}, ip: "${host}", module: ejabberd_http, tls: true, request_handlers: { "/mqtt": mod_mqtt } }
modules:
  mod_mqtt: {}
`
  )
  yield* run(
    "/usr/bin/erl",
    ["-noinput", "-mnesia", "dir", JSON.stringify(join(directory, "data")), "-s", "ejabberd"],
    {
      cwd: directory,
      ports: [tcp!, tls!, mtls!, ws!, wss!],
      env: {
        HOME: directory,
        ERL_LIBS: "/usr/lib/x86_64-linux-gnu",
        EJABBERD_CONFIG_PATH: config,
        EJABBERD_LOG_PATH: join(directory, "ejabberd.log"),
        ERL_CRASH_DUMP: join(directory, "crash.dump")
      }
    }
  )
  return {
    certificates,
    urls: urlsOf([tcp!, tls!, mtls!, ws!, wss!], "/mqtt"),
    username: "interop@localhost",
    password: "any"
  } satisfies Running
})

export const servers: Readonly<Record<ServerName, Effect.Effect<Running, unknown, Scope.Scope>>> = {
  mosquitto,
  aedes,
  "RabbitMQ": rabbitmq,
  "NATS": nats,
  ejabberd
}

const programs: Readonly<Record<ServerName, () => boolean>> = {
  mosquitto: () => RealServer.find("mosquitto") !== undefined,
  aedes: () => true,
  "RabbitMQ": () => rabbitProgram() !== undefined,
  "NATS": () => RealServer.find("nats-server") !== undefined,
  ejabberd: () => RealServer.find("ejabberdctl") !== undefined && existsSync("/usr/bin/erl")
}

/** The Debian packages of the servers. */
export const packages: Readonly<Partial<Record<ServerName, string>>> = {
  mosquitto: "mosquitto",
  "RabbitMQ": "rabbitmq-server",
  "NATS": "nats-server",
  ejabberd: "ejabberd"
}

/** Why a server cannot be started here; undefined: it can. */
export const missing = (name: ServerName): string | undefined => {
  // RabbitMQ and ejabberd take long to start, so the suite of all tests leaves the others out.
  if (process.env.MODE !== "interop" && name !== "aedes" && name !== "mosquitto") return "npm run interop runs it"
  if (programs[name]()) return undefined
  if (process.env.EFFECT_MQTTX_REQUIRE_INTEROP === "1") {
    throw new Error(`${name} is not installed, and EFFECT_MQTTX_REQUIRE_INTEROP=1 demands it: ${packages[name]}`)
  }
  return `${name} is not installed: apt-get install ${packages[name]}`
}
