/**
 * The options of a session: one schema with every default, constructors, combinators, and Config.
 *
 * Options are written as a plain record, `SessionOptionsInput`: by hand, or by `quickConnect` and `secureConnect`, and
 * then changed by record updates or by the combinators `with...`. Nothing is checked until `make`, which is what
 * `MqttSession.layer` calls: it reports all issues at once and fills in all defaults. Options from JSON and from the
 * environment get the same checks and the same defaults.
 *
 * @example
 * const options = pipe(
 *   SessionOptions.secureConnect("plant", "broker.example.com", caPem),
 *   SessionOptions.withAuth("me", "secret"),
 *   SessionOptions.withKeepAlive("30 seconds")
 * )
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { decodeValues } from "./internal/options/decode.ts"
import { sessionConfig } from "./internal/options/environment.ts"
import type { SessionOptionsEncoded } from "./internal/options/fields.ts"
import type * as Model from "./internal/options/model.ts"
import { SessionOptionsSchema } from "./internal/options/schema.ts"
import { MqttError } from "./MqttError.ts"
import type { ProtocolVersion } from "./QoS.ts"

export type { SessionOptionsEncoded } from "./internal/options/fields.ts"
export type {
  BytesInput,
  DurationInput,
  MessagePropertiesInput,
  Persistence,
  QueueInput,
  QueueOptions,
  QueuePolicy,
  ReconnectInput,
  ReconnectOptions,
  SecretInput,
  SessionOptionsInput,
  TlsInput,
  TlsOptions,
  UnclaimedInput,
  UnclaimedOptions,
  WebSocketInput,
  WebSocketOptions,
  WillInput,
  WillOptions
} from "./internal/options/model.ts"

/**
 * All options of a session, complete and checked.
 */
export type SessionOptions = Model.SessionOptions

/**
 * The schema of options: from JSON, with durations in milliseconds or as texts ("30 seconds") and bytes as
 * `{ "base64": "..." }`, to checked options with all defaults. Secrets are decoded to `Redacted` and never encoded. A
 * key that no option has is a mistake, whatever the parse options say; all mistakes are reported with
 * `{ errors: "all" }`, and always by `decode` and `config`.
 */
export const SessionOptions: Schema.Codec<SessionOptions, SessionOptionsEncoded> = SessionOptionsSchema

/**
 * Checks options and fills in the defaults, as `make` does. Takes anything: values, JSON, options that were made
 * before. A key that no option has is an issue as well.
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
 */
export const make = (input: Model.SessionOptionsInput): Effect.Effect<SessionOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(decode(input)))

/**
 * A session with one server and all defaults.
 */
export const quickConnect = (name: string, server: string): Model.SessionOptionsInput<never> => ({
  name,
  servers: [server]
})

/**
 * A session that trusts the given authorities (PEM) and nobody else. A server without a scheme means TLS, and one with
 * a scheme that does not encrypt is refused: nothing is ever sent in the clear.
 */
export const secureConnect = (
  name: string,
  server: string,
  ca: string | ReadonlyArray<string>
): Model.SessionOptionsInput<never> => ({ name, servers: [server], secure: true, tls: { ca } })

/** Keeps in the type which persistence the options have. */
type Change = <P extends Model.Persistence = never>(
  options: Model.SessionOptionsInput<P>
) => Model.SessionOptionsInput<P>

/** Replaces the servers. */
export const withServers = (...servers: ReadonlyArray<string>): Change => (options) => ({ ...options, servers })

/** Sets the client identifier. */
export const withClientId = (clientId: string): Change => (options) => ({ ...options, clientId })

/** Sets user name and password. */
export const withAuth = (username: string, password?: Model.SecretInput): Change => (options) => ({
  ...options,
  username,
  password
})

/** Sets the keep alive interval, in whole seconds; 0 switches it off. */
export const withKeepAlive = (keepAlive: Model.DurationInput): Change => (options) => ({ ...options, keepAlive })

/** Sets the protocol version: 4 is MQTT 3.1.1. */
export const withProtocolVersion = (protocolVersion: ProtocolVersion): Change => (options) => ({
  ...options,
  protocolVersion
})

/** Demands TLS of every server, as `secureConnect` does, and adds to how it is set up. */
export const withTls = (tls: Model.TlsInput = {}): Change => (options) => ({
  ...options,
  secure: true,
  tls: { ...options.tls, ...tls }
})

/** Adds to how WebSockets are opened. */
export const withWebSocket = (webSocket: Model.WebSocketInput): Change => (options) => ({
  ...options,
  webSocket: { ...options.webSocket, ...webSocket }
})

/** Adds to the reconnect policy, and switches reconnecting on unless it says otherwise. */
export const withReconnect = (reconnect: Model.ReconnectInput): Change => (options) => ({
  ...options,
  reconnect: { ...options.reconnect, enabled: true, ...reconnect }
})

/** The session ends with its first connection. */
export const withoutReconnect: Change = (options) => ({
  ...options,
  reconnect: { ...options.reconnect, enabled: false }
})

/** Sets how long the session's state lives, here and, with `sessionExpiry`, at the server. */
export const withPersistence =
  <P extends Model.Persistence>(persistence: P, sessionExpiry?: Model.DurationInput) =>
  (options: Model.SessionOptionsInput): Model.SessionOptionsInput<P> => ({
    ...options,
    persistence,
    sessionExpiry
  })

/** Adds to the bounds and the policy of the queue. */
export const withQueue = (queue: Model.QueueInput): Change => (options) => ({
  ...options,
  queue: { ...options.queue, ...queue }
})

/** Sets the will. */
export const withWill = (will: Model.WillInput): Change => (options) => ({ ...options, will })

/**
 * Sets time limits; what is not given stays as it is.
 */
export const withTimeouts = (timeouts: {
  readonly connect?: Model.DurationInput | undefined
  readonly write?: Model.DurationInput | undefined
  readonly subscribe?: Model.DurationInput | undefined
  readonly publish?: Model.DurationInput | undefined
  readonly drain?: Model.DurationInput | undefined
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
 * `MQTT_RECONNECT_INITIAL_DELAY` and so on, the names of the options in constant case behind the prefix, those of a
 * group behind the group's name. From records, such as `ConfigProvider.fromUnknown({ mqtt: { name, servers } })` by the
 * prefix `mqtt`: by the names of the options. What the provider does not have is taken from `base`, then from the
 * defaults.
 *
 * A name behind the prefix that no option has is a mistake, and all mistakes are reported at once. (Names that
 * Kubernetes or Docker make for a service that is called like the prefix, as `MQTT_SERVICE_HOST`, are passed over.) A
 * variable that is empty counts as missing.
 *
 * Lists are separated by commas (`MQTT_SERVERS=mqtts://a,mqtts://b`), headers and user properties are items
 * `name=value`, durations are milliseconds or texts like `30 seconds`.
 */
export const config = (
  prefix: string = "MQTT",
  base: Partial<Model.SessionOptionsInput> = {}
): Config.Config<SessionOptions> => sessionConfig(prefix, base)
