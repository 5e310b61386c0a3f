/**
 * A real mosquitto for tests: found on the machine, started on free loopback ports with its own configuration, and
 * ended with its scope. Needs Node and mosquitto 2.
 *
 * Measured on mosquitto 2.0.11: it acknowledges before it saves (a kill can lose acknowledged messages, an orderly stop
 * does not), sends one copy for each overlapping subscription on MQTT 5, loses sessions that were opened with Clean
 * Start 1 in a restart, acknowledges and drops QoS 1 and 2 publishes of a 3.1.1 client while 20 of its QoS 2 publishes
 * are not released, and resets the connection for a denied QoS 0 publish.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { BrokerEndpoints } from "./BrokerEndpoints.ts"
import * as Certificates from "./Certificates.ts"
import { type Checks, flag, listOf, mistakeOf, orDie, record, recordOf, text, valuesOf } from "./internal/checks.ts"
import { freePorts } from "./internal/node/freePorts.ts"
import { type MosquittoSetup, writeConfig } from "./internal/node/mosquittoConfig.ts"
import { makeProcess, readVersion } from "./internal/node/serverProcess.ts"
import * as RealServer from "./RealServer.ts"

/**
 * Options of mosquitto, all optional.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface MosquittoBrokerOptions {
  /** Listen for TLS. Default false. */
  readonly tls?: boolean
  /** Listen for WebSockets. Default false. */
  readonly webSocket?: boolean
  /** Listen for WebSockets over TLS. Default false. */
  readonly secureWebSocket?: boolean
  /** Listen on a Unix socket. Default false. */
  readonly unixSocket?: boolean
  /** Require a certificate of `certificates.ca` from clients of the TLS listeners. Default false. */
  readonly requireClientCertificate?: boolean
  /** Default: generated when a listener needs them. */
  readonly certificates?: Certificates.Certificates
  /** The certificate of the TLS listeners. Default `certificates.server`. */
  readonly serverCertificate?: Certificates.CertificateAndKey
  /**
   * The TLS listener refuses the certificates that this list (PEM) revokes, for example `certificates.revocationList`.
   * mosquitto's WebSockets have no such lists. Default: none.
   */
  readonly revocationList?: string
  /** Keep sessions and retained messages across `stop` and `start`. Default false. */
  readonly persistence?: boolean
  /** User names and their passwords; other users are refused. Default: every client is accepted. */
  readonly users?: Readonly<Record<string, string>>
  /** Lines of configuration, before the first listener: `max_inflight_messages 5` and the like. */
  readonly config?: ReadonlyArray<string>
}

/**
 * A running mosquitto.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Service extends BrokerEndpoints {
  /** For example `2.0.11`. */
  readonly version: string
  /** Undefined without a TLS listener. */
  readonly certificates: Certificates.Certificates | undefined
  /** The newest lines of its log. */
  readonly log: () => string
  /**
   * Ends it in an orderly way (SIGTERM; Windows can only kill), which saves persistent state. Succeeds when the process
   * has ended.
   */
  readonly stop: Effect.Effect<void>
  /** Kills it (SIGKILL). Succeeds when the process has ended. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same ports. Succeeds when all of them accept connections. */
  readonly start: Effect.Effect<void, RealServer.BrokerUnavailable>
  /** `stop`, then `start`. */
  readonly restart: Effect.Effect<void, RealServer.BrokerUnavailable>
}

/**
 * mosquitto as a service.
 *
 * @stability stable
 * @category services
 * @since 0.1.0
 */
export class MosquittoBroker
  extends Context.Service<MosquittoBroker, Service>()("@effect-mqttx/testing/MosquittoBroker")
{}

/**
 * Whether the program is installed on this machine.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const available: Effect.Effect<boolean> = Effect.sync(() => RealServer.find("mosquitto") !== undefined)

/**
 * For `describe.skipIf(!MosquittoBroker.isPresent())`, see `RealServer.isPresent`.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isPresent = (): boolean => RealServer.isPresent("mosquitto")

const host = "127.0.0.1"
// A free port may be taken by another process before mosquitto opens it.
const attempts = 5
const onRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

/**
 * Starts mosquitto. Fails with `BrokerUnavailable` when it is not installed or does not start. Dies with an `MqttError`
 * for invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: MosquittoBrokerOptions
): Effect.Effect<Service, RealServer.BrokerUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf("MosquittoBroker.make", options, checks))
    const program = RealServer.find("mosquitto")
    if (program === undefined) {
      return yield* new RealServer.BrokerUnavailable({ broker: "mosquitto", detail: "its program was not found" })
    }
    const version = yield* readVersion(program)
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "mosquitto-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const needsCertificates = options?.tls === true || options?.secureWebSocket === true
    const certificates = options?.certificates ?? (needsCertificates ? yield* Certificates.make : undefined)
    const unixSocket = options?.unixSocket === true ? join(directory, "mqtt.sock") : undefined
    const launch = Effect.gen(function*() {
      const [tcp, tls, ws, wss] = yield* freePorts(4)
      const setup: MosquittoSetup = {
        directory,
        ports: {
          tcp: tcp!,
          tls: options?.tls === true ? tls : undefined,
          ws: options?.webSocket === true ? ws : undefined,
          wss: options?.secureWebSocket === true ? wss : undefined
        },
        unixSocket,
        certificates,
        serverCertificate: options?.serverCertificate ?? certificates?.server,
        requireClientCertificate: options?.requireClientCertificate ?? false,
        revocationList: options?.revocationList,
        persistence: options?.persistence ?? false,
        users: options?.users,
        config: options?.config ?? []
      }
      const addresses = [
        ...Object.values(setup.ports).filter((port) => port !== undefined).map((port) => ({ port, host })),
        ...(unixSocket === undefined ? [] : [{ path: unixSocket }])
      ]
      const running = yield* makeProcess("mosquitto", program, ["-c", writeConfig(setup)], addresses)
      yield* running.start
      return { running, ports: setup.ports }
    })
    const { ports, running } = yield* Effect.retry(launch, { times: attempts - 1 })
    // While mosquitto was stopped, another process may have tried its port.
    const start = onRealTime(
      Effect.retry(running.start, { times: attempts - 1, schedule: Schedule.spaced(200) })
    )
    const url = `mqtt://${host}:${ports.tcp}`
    return {
      url,
      urls: {
        tcp: url,
        ...(ports.tls !== undefined && { tls: `mqtts://${host}:${ports.tls}` }),
        ...(ports.ws !== undefined && { ws: `ws://${host}:${ports.ws}/mqtt` }),
        ...(ports.wss !== undefined && { wss: `wss://${host}:${ports.wss}/mqtt` }),
        ...(unixSocket !== undefined && { unix: `mqtt+unix://${unixSocket}` })
      },
      ports: {
        tcp: ports.tcp,
        ...(ports.tls !== undefined && { tls: ports.tls }),
        ...(ports.ws !== undefined && { ws: ports.ws }),
        ...(ports.wss !== undefined && { wss: ports.wss })
      },
      version,
      certificates,
      log: running.log,
      stop: running.end("SIGTERM"),
      kill: running.end("SIGKILL"),
      start,
      restart: Effect.andThen(running.end("SIGTERM"), start)
    }
    // Processes and sockets run in real time, so this does not use a TestClock.
  }).pipe(onRealTime)

const checks: Checks<MosquittoBrokerOptions> = {
  tls: flag,
  webSocket: flag,
  secureWebSocket: flag,
  unixSocket: flag,
  requireClientCertificate: flag,
  certificates: record,
  serverCertificate: recordOf({ cert: text, key: text }),
  revocationList: text,
  persistence: flag,
  users: valuesOf(text),
  config: listOf(text)
}

/**
 * A real mosquitto on loopback ports, see `make`.
 *
 * **Example** (Publishing to a real server)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
 * import { Effect } from "effect"
 *
 * export const publish = Effect.gen(function*() {
 *   const { url } = yield* MosquittoBroker.MosquittoBroker
 *   const session = yield* MqttSession.make({ name: "plant", servers: [url] })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * }).pipe(Effect.scoped, Effect.provide(MosquittoBroker.layer()))
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: MosquittoBrokerOptions
): Layer.Layer<MosquittoBroker, RealServer.BrokerUnavailable> => Layer.effect(MosquittoBroker, make(options))
