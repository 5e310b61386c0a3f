/**
 * The options of a session: one schema with every default, constructors, combinators, and Config.
 *
 * Options are a plain record, `SessionOptionsInput`. Write it by hand or with `quickConnect` and `secureConnect`, and
 * change it with record updates or the combinators `with...`. Nothing is checked before `make`, which
 * `MqttSession.layer` calls: it reports all issues at once and fills in all defaults. Options from JSON and from the
 * environment get the same checks and defaults.
 *
 * **Example** (Building options in a pipe)
 *
 * ```ts
 * import { MqttSession, SessionOptions } from "@effect-mqttx/core"
 * import { pipe } from "effect"
 *
 * export const plant = (ca: string) =>
 *   pipe(
 *     SessionOptions.secureConnect("plant", "broker.example.com", ca),
 *     SessionOptions.withAuth("me", "secret"),
 *     SessionOptions.withKeepAlive("30 seconds"),
 *     MqttSession.layer
 *   )
 * ```
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { decodeValues } from "./internal/options/decode.ts"
import { sessionConfig } from "./internal/options/environment.ts"
import type * as Fields from "./internal/options/fields.ts"
import type { QueueInput, ReconnectInput, TlsInput, WebSocketInput, WillInput } from "./internal/options/groups.ts"
import type { DurationInput, SecretInput } from "./internal/options/input.ts"
import { SessionOptionsSchema } from "./internal/options/schema.ts"
import { MqttError } from "./MqttError.ts"
import type { ProtocolVersion } from "./QoS.ts"

export type { Persistence, SessionOptionsEncoded, SessionOptionsInput } from "./internal/options/fields.ts"
export type {
  MessagePropertiesInput,
  ProxyInput,
  ProxyOptions,
  QueueInput,
  QueueOptions,
  QueuePolicy,
  ReconnectInput,
  ReconnectOptions,
  ReconnectSchedule,
  ServerLimitsInput,
  ServerLimitsOptions,
  TlsInput,
  TlsOptions,
  UnclaimedInput,
  UnclaimedOptions,
  WebSocketInput,
  WebSocketOptions,
  WillInput,
  WillOptions
} from "./internal/options/groups.ts"
export type { BytesInput, DurationInput, SecretInput } from "./internal/options/input.ts"

/**
 * All options of a session, complete and checked.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export type SessionOptions = Fields.SessionOptions

/**
 * The schema of options. Decodes JSON, with durations in milliseconds or as texts ("30 seconds") and bytes as `{
 * "base64": "..." }`, to checked options with all defaults. Secrets are decoded to `Redacted` and never encoded. An
 * unknown key is a mistake, whatever the parse options say. All mistakes are reported with `{ errors: "all" }`, and
 * always by `decode` and `config`.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const SessionOptions: Schema.Codec<SessionOptions, Fields.SessionOptionsEncoded> = SessionOptionsSchema

/**
 * Checks options and fills in the defaults, as `make` does. Accepts any value: records, JSON, options made before. An
 * unknown key is an issue as well.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export const decode = (input: unknown): Result.Result<SessionOptions, MqttError> =>
  Result.mapError(decodeValues(input), (reason) =>
    new MqttError({
      reason,
      session: typeof input === "object" && input !== null && "name" in input && typeof input.name === "string"
        ? input.name
        : undefined,
      method: "SessionOptions.make"
    }))

/**
 * Checks options and fills in the defaults. Fails with `InvalidOptions`, which holds all issues with their paths.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Fields.SessionOptionsInput): Effect.Effect<SessionOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(decode(input)))

/**
 * A session with one server and all defaults.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const quickConnect = (name: string, server: string): Fields.SessionOptionsInput<never> => ({
  name,
  servers: [server]
})

/**
 * A session that trusts only the given authorities (PEM). A server without a scheme means TLS, and a scheme without
 * encryption is refused: nothing is ever sent unencrypted.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const secureConnect = (
  name: string,
  server: string,
  ca: string | ReadonlyArray<string>
): Fields.SessionOptionsInput<never> => ({ name, servers: [server], secure: true, tls: { ca } })

/** Keeps the persistence of the options in their type. */
type Change = <P extends Fields.Persistence = never, R = never>(
  options: Fields.SessionOptionsInput<P, R>
) => Fields.SessionOptionsInput<P, R>

/**
 * Replaces the servers.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withServers = (...servers: ReadonlyArray<string>): Change => (options) => ({ ...options, servers })

/**
 * Sets the client identifier.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withClientId = (clientId: string): Change => (options) => ({ ...options, clientId })

/**
 * Sets user name and password.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withAuth = (username: string, password?: SecretInput): Change => (options) => ({
  ...options,
  username,
  password
})

/**
 * Sets the keep alive interval, in whole seconds; 0 switches it off.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withKeepAlive = (keepAlive: DurationInput): Change => (options) => ({ ...options, keepAlive })

/**
 * Sets the protocol version: 4 is MQTT 3.1.1.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withProtocolVersion = (protocolVersion: ProtocolVersion): Change => (options) => ({
  ...options,
  protocolVersion
})

/**
 * Requires TLS of every server, as `secureConnect` does, and adds TLS options.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withTls = (tls: TlsInput = {}): Change => (options) => ({
  ...options,
  secure: true,
  tls: { ...options.tls, ...tls }
})

/**
 * Adds options of WebSockets.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withWebSocket = (webSocket: WebSocketInput): Change => (options) => ({
  ...options,
  webSocket: { ...options.webSocket, ...webSocket }
})

/**
 * Adds to the reconnect policy. Switches reconnecting on, unless `reconnect` says otherwise.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withReconnect = (reconnect: ReconnectInput): Change => (options) => ({
  ...options,
  reconnect: { ...options.reconnect, enabled: true, ...reconnect }
})

/**
 * The session ends with its first connection.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withoutReconnect: Change = (options) => ({
  ...options,
  reconnect: { ...options.reconnect, enabled: false }
})

/**
 * Sets how long the session's state lives in the client and, with `sessionExpiry`, at the server.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withPersistence =
  <P extends Fields.Persistence>(persistence: P, sessionExpiry?: DurationInput) =>
  <R = never>(options: Fields.SessionOptionsInput<Fields.Persistence, R>): Fields.SessionOptionsInput<P, R> => ({
    ...options,
    persistence,
    sessionExpiry
  })

/**
 * Adds to the bounds and the policy of the queue.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withQueue = (queue: QueueInput): Change => (options) => ({
  ...options,
  queue: { ...options.queue, ...queue }
})

/**
 * Sets the will.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withWill = (will: WillInput): Change => (options) => ({ ...options, will })

/**
 * Sets time limits. Limits that are not given stay unchanged.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const withTimeouts = (timeouts: {
  readonly connect?: DurationInput | undefined
  readonly write?: DurationInput | undefined
  readonly subscribe?: DurationInput | undefined
  readonly publish?: DurationInput | undefined
  readonly drain?: DurationInput | undefined
}): Change =>
(options) => ({
  ...options,
  connectTimeout: timeouts.connect ?? options.connectTimeout,
  writeTimeout: timeouts.write ?? options.writeTimeout,
  subscribeTimeout: timeouts.subscribe ?? options.subscribeTimeout,
  publishTimeout: timeouts.publish ?? options.publishTimeout,
  drainTimeout: timeouts.drain ?? options.drainTimeout
})

/**
 * Options from a ConfigProvider. From the environment: `MQTT_NAME`, `MQTT_SERVERS`, `MQTT_CLIENT_ID`,
 * `MQTT_RECONNECT_INITIAL_DELAY` and so on. These are the names of the options in constant case after the prefix; names
 * of a group follow the group's name. From records, such as `ConfigProvider.fromUnknown({ mqtt: { name, servers } })`
 * with the prefix `mqtt`: by the names of the options. A value that the provider does not have is taken from `base`,
 * then from the defaults.
 *
 * An unknown name after the prefix is a mistake, and all mistakes are reported at once. (Names that Kubernetes or
 * Docker make for a service with the name of the prefix, such as `MQTT_SERVICE_HOST`, are ignored.) An empty variable
 * counts as missing.
 *
 * Lists are separated by commas (`MQTT_SERVERS=mqtts://a,mqtts://b`), headers and user properties are items
 * `name=value`, durations are milliseconds or texts like `30 seconds`.
 *
 * @stability stable
 * @category config
 * @since 0.1.0
 */
export const config = (
  prefix: string = "MQTT",
  base: Partial<Fields.SessionOptionsInput> = {}
): Config.Config<SessionOptions> => sessionConfig(prefix, base)
