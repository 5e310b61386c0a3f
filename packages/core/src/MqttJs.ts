/**
 * A transport that opens connections as MQTT.js does: with MQTT.js's stream builders and connect options, or with your
 * own. It has its own subpath because it needs the package `mqtt`, an optional peer.
 *
 * Use it for stream builders, SOCKS proxies, custom WebSockets and mini programs. MQTT.js only opens the stream. The
 * handshake, the session and all errors are those of the default transport.
 */
import { canPauseStreams, mqttJsOptions, mqttJsRefusal, watchStream } from "#transport"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import mqtt, { type IClientOptions, type StreamBuilder } from "mqtt"
import { notSupported as inBrowser } from "./internal/browser/notSupported.ts"
import { type Duplex, isDuplex, makeOpening, openDuplex, type Opening } from "./internal/mqttJs/duplexStream.ts"
import { checks } from "./internal/mqttJs/options.ts"
import { optionsIssues, refusal } from "./internal/options/plain.ts"
import { MqttError, type MqttErrorReason, NotSupported } from "./MqttError.ts"
import * as ServerAddress from "./ServerAddress.ts"
import * as Transport from "./Transport.ts"

/**
 * Connect options with their names in MQTT.js. Addresses, TLS and headers come from the session's options. MQTT.js gets
 * no user name, password or client identifier, because it does not send CONNECT.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface MqttJsOptions {
  /**
   * Opens the stream instead of MQTT.js's builders. It gets a client that never connects, and the connect options:
   * `protocol`, `host`, `port`, `path`, TLS, and the options set here. The stream may accept bytes before it is
   * connected, if it keeps them.
   */
  readonly streamBuilder?: StreamBuilder | undefined
  /**
   * `socks5h://host:port`, `socks5://`, `socks4a://` or `socks4://`, for `mqtt://` and `mqtts://`. MQTT.js ignores it
   * for WebSockets and Unix sockets, so they are refused with `NotSupported`. Default: the environment variable
   * `MQTTJS_SOCKS_PROXY`, for `mqtt://` and `mqtts://` only.
   */
  readonly socksProxy?: string | Redacted.Redacted<string> | undefined
  /** Milliseconds for the proxy alone; default 30000. The session's connect timeout applies too. */
  readonly socksTimeout?: number | undefined
  /** Makes the WebSocket. */
  readonly createWebsocket?: IClientOptions["createWebsocket"] | undefined
  /** Changes the URL of the WebSocket, for example to sign it. */
  readonly transformWsUrl?: IClientOptions["transformWsUrl"] | undefined
  /**
   * Options of `ws` on Node, such as `agent` or `origin`. The message size limit, compression (off) and TLS come from
   * the session.
   */
  readonly wsOptions?: Readonly<Record<string, unknown>> | undefined
  /**
   * Reaches `ws://` and `wss://` servers through the sockets of a WeChat mini program (`wx`). Only one connection at a
   * time, because MQTT.js keeps its stream in one place: a second one is refused with `NotSupported`. The next one
   * begins a second after the end of the last.
   */
  readonly miniProgram?: "wx" | undefined
  /**
   * Uses the WebSocket of the platform on Node too; default false. MQTT.js decides this once, at its first use in a
   * process.
   */
  readonly forceNativeWebSocket?: boolean | undefined
  /** Bytes that may wait in a WebSocket of the platform; default 524288. */
  readonly browserBufferSize?: number | undefined
  /** Milliseconds between checks of these bytes; default 1000. */
  readonly browserBufferTimeout?: number | undefined
}

/**
 * Makes the transport. Fails with `InvalidOptions` for wrong options, and for options that belong to a session. An
 * address that MQTT.js does not support fails each attempt with `NotSupported`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: MqttJsOptions): Effect.Effect<Transport.Transport, MqttError> =>
  Effect.suspend(() => {
    const mistake = options === undefined ? undefined : refusal(optionsIssues(options, checks), "MqttJs.make")
    if (mistake !== undefined) return Effect.fail(mistake)
    return Effect.succeed<Transport.Transport>({
      open: (request, handlers) =>
        Effect.suspend(() => {
          const reason = mqttJsRefusal(request) ?? notSupported(request, options ?? {})
          if (reason !== undefined) return Effect.fail(new MqttError({ reason }))
          const opening = makeOpening()
          const opened = openDuplex(request, handlers, {
            opening,
            make: () => buildStream(request, options ?? {}, opening),
            canPause: canPauseStreams && !isNative(options ?? {}),
            ownsBuffers: options?.miniProgram !== undefined
          })
          return options?.miniProgram === undefined ? opened : alone(opening, opened)
        })
    })
  })

/**
 * The transport as a layer, for sessions, managers and forwarders.
 *
 * **Example** (Connecting through a proxy)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import * as MqttJs from "@effect-mqttx/core/MqttJs"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://plant.example"] }).pipe(
 *   Layer.provide(MqttJs.layer({ socksProxy: "socks5h://127.0.0.1:1080" }))
 * )
 * ```
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: MqttJsOptions): Layer.Layer<never, MqttError> =>
  Layer.effect(Transport.Transport, make(options))

/** The connection of the mini program, and when it ended on the monotonic clock. */
let current: { over: number | undefined } | undefined

// Milliseconds. MQTT.js has one stream and one socket for all, and may take the late end of a socket for that of the
// next.
const settling = 1000

/** Refuses a second connection, and begins the next one some time after the end of the last. */
const alone = <A, E, R>(opening: Opening, opened: Effect.Effect<A, E, R>): Effect.Effect<A, E | MqttError, R> =>
  Effect.flatMap(Clock.Clock, (clock): Effect.Effect<A, E | MqttError, R> => {
    const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
    if (current !== undefined && current.over === undefined) {
      const detail = "MQTT.js has one at a time"
      return Effect.fail(new MqttError({ reason: new NotSupported({ feature: "a second connection of wx", detail }) }))
    }
    const wait = current?.over === undefined ? 0 : Math.max(0, current.over + settling - now())
    const own: typeof current = current = { over: undefined }
    opening.onOver = () => {
      own.over ??= now()
    }
    return Effect.onError(wait === 0 ? opened : Effect.delay(opened, wait), () => Effect.sync(opening.onOver))
  })

/** Whether the platform makes the WebSockets. They take neither certificates nor headers. */
const isNative = ({ forceNativeWebSocket, miniProgram }: MqttJsOptions): boolean =>
  forceNativeWebSocket === true || miniProgram !== undefined

const notSupported = (request: Transport.TransportRequest, options: MqttJsOptions): MqttErrorReason | undefined => {
  const { address: { protocol }, webSocket } = request
  const { miniProgram, socksProxy } = options
  const isWebSocket = protocol === "ws" || protocol === "wss"
  if (request.proxy !== undefined) {
    return new NotSupported({ feature: "the session's option proxy", detail: "MQTT.js has its own: socksProxy" })
  }
  if (socksProxy !== undefined && (isWebSocket || protocol === "unix")) {
    return new NotSupported({ feature: `a SOCKS proxy for ${protocol}://`, detail: "MQTT.js would connect without it" })
  }
  if (miniProgram !== undefined && !isWebSocket) {
    return new NotSupported({
      feature: `${protocol}:// in a mini program`,
      detail: "it connects by ws:// and wss:// only"
    })
  }
  if (isWebSocket && (webSocket?.subprotocol ?? "mqtt") !== "mqtt") {
    return new NotSupported({ feature: "the option webSocket.subprotocol", detail: "MQTT.js asks for mqtt" })
  }
  return isWebSocket && isNative(options) ? inBrowser(request) : undefined
}

const buildStream = (request: Transport.TransportRequest, options: MqttJsOptions, opening: Opening): Duplex => {
  const connectOptions = connectOptionsOf(request, options, opening)
  const { protocol } = connectOptions
  // No client connects here: a builder uses it to read its options and to report errors.
  const client = options.streamBuilder === undefined
    ? mqtt.connect(connectOptions)
    : new mqtt.MqttClient(options.streamBuilder, connectOptions)
  client.on("error", () => {})
  if (connectOptions.protocol !== protocol) {
    // MQTT.js takes another protocol when the platform does not have this one.
    const detail = "MQTT.js has it in mini programs only, and where its first use has forceNativeWebSocket"
    throw new MqttError({ reason: new NotSupported({ feature: `the protocol ${protocol}`, detail }) })
  }
  // The only access to the builder that `connect` chose. Its name is that of the constructor's parameter.
  const stream = (options.streamBuilder ?? client["streamBuilder"])(client, connectOptions) as unknown
  if (!isDuplex(stream)) throw new Error("the stream builder gave no stream")
  if (
    stream.isSocketOpen !== undefined && options.streamBuilder === undefined && canPauseStreams && !isNative(options)
  ) {
    stream.on("error", () => {})
    stream.destroy()
    const detail = "MQTT.js takes the platform's WebSocket in all of a process whose first use has forceNativeWebSocket"
    throw new MqttError({ reason: new NotSupported({ feature: "a WebSocket of Node", detail }) })
  }
  watchStream(stream, opening, request)
  return stream
}

const connectOptionsOf = (
  request: Transport.TransportRequest,
  options: MqttJsOptions,
  opening: Opening
): IClientOptions => {
  const { address } = request
  const { miniProgram, socksProxy, streamBuilder, transformWsUrl, ...rest } = options
  const given: IClientOptions = {
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    ...(socksProxy === undefined ? undefined : {
      socksProxy: typeof socksProxy === "string" ? socksProxy : Redacted.value(socksProxy)
    }),
    ...mqttJsOptions(request, options.wsOptions ?? {}, opening),
    manualConnect: true,
    log: () => {}
  }
  // Only the WebSockets that MQTT.js makes itself call back as Node's do.
  opening.isAwaited &&= streamBuilder === undefined && options.createWebsocket === undefined && !isNative(options)
  const { host, path, port, protocol } = address
  switch (protocol) {
    case "tcp":
      return { ...given, protocol: "mqtt", hostname: host, host, port }
    case "tls":
      return { ...given, protocol: "mqtts", hostname: host, host, port }
    case "unix":
      return { ...given, protocol: "mqtt", unixSocket: true, path }
    default: {
      // MQTT.js drops the brackets of an IPv6 address.
      const url = ServerAddress.webSocketUrl(address)
      return {
        ...given,
        protocol: miniProgram === undefined ? protocol : protocol === "ws" ? "wx" : "wxs",
        hostname: host,
        host,
        port,
        path,
        transformWsUrl: (_url, all, client) => transformWsUrl === undefined ? url : transformWsUrl(url, all, client)
      }
    }
  }
}
