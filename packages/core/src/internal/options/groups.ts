/**
 * The groups of a session's options: will, TLS, WebSocket, proxy, reconnect, queue, unclaimed messages and limits of
 * the server. Each option stands here once, with its documentation, bounds and default; the types follow from it. See
 * fields.ts for the options themselves.
 */
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { MqttError } from "../../MqttError.ts"
import type { MessageProperties } from "../../Properties.ts"
import { findFault } from "../utf8String.ts"
import { type Group, group, type InputOf, type Written } from "./input.ts"
import {
  bytes,
  code,
  commaSeparated,
  delay,
  flag,
  hidden,
  integer,
  interval,
  nonEmptyText,
  number,
  oneOf,
  oneOrMore,
  secret,
  text,
  timeout,
  userProperties,
  withDefault
} from "./leaves.ts"

export const nameFault = (topic: string): string | undefined =>
  topic === "" ? "empty topic name" : findFault(topic, "forbidden")?.detail

const messagePropertiesFields = {
  /** 0: unspecified bytes, 1: UTF-8 text. Default: not sent. */
  payloadFormatIndicator: Schema.optionalKey(oneOf([0, 1])),
  /** Lifetime in seconds. Default: no limit. */
  messageExpiryInterval: Schema.optionalKey(integer(0, 4_294_967_295)),
  /** Describes the content, for example as a MIME type. Default none. */
  contentType: Schema.optionalKey(text),
  /** The topic for answers. Default none. */
  responseTopic: Schema.optionalKey(text.check(Schema.makeFilter((value: string) => nameFault(value)))),
  /** Identifies the request that an answer belongs to; a string is sent in UTF-8. Default none. */
  correlationData: Schema.optionalKey(bytes("utf-8")),
  /** Names with values, in their order. Default none. */
  userProperties: Schema.optionalKey(userProperties)
} satisfies { readonly [Name in keyof MessageProperties]-?: unknown }

/**
 * `MessageProperties` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface MessagePropertiesInput extends InputOf<typeof messagePropertiesFields> {}

/** The JSON form of `MessageProperties`. */
export interface MessagePropertiesEncoded extends Schema.Struct.Encoded<typeof messagePropertiesFields> {}

export const messageProperties: Group<MessageProperties, MessagePropertiesEncoded, MessagePropertiesInput> = group(
  messagePropertiesFields
)

const willFields = {
  /** The topic name. */
  topic: Schema.String.annotate({ message: "expected a topic name" }).check(
    Schema.makeFilter((value: string) => nameFault(value))
  ),
  /** A string is sent in UTF-8. */
  payload: bytes("utf-8"),
  /** Default 0. */
  qos: withDefault(oneOf([0, 1, 2]), 0),
  /** Default `false`. */
  retain: withDefault(flag, false),
  /** How long the server waits for a reconnect before it publishes the will, in whole seconds. MQTT 5. Default 0. */
  delay: withDefault(interval(4_294_967_295), 0),
  /** MQTT 5. Default none. */
  properties: withDefault(messageProperties, {})
}

/**
 * The message that the server publishes when the connection ends without DISCONNECT (MQTT 3.1.2.5).
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface WillOptions extends Schema.Struct.Type<typeof willFields> {}

/**
 * `WillOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface WillInput extends InputOf<typeof willFields> {}

/** The JSON form of `WillOptions`. */
export interface WillEncoded extends Schema.Struct.Encoded<typeof willFields> {}

export const will: Group<WillOptions, WillEncoded, WillInput> = group(willFields)

const tlsFields = {
  /** The trusted authorities, instead of the system's. */
  ca: Schema.optionalKey(oneOrMore),
  /** The client's certificate with its chain; together with `key`. */
  cert: Schema.optionalKey(nonEmptyText),
  /** The key of `cert`. */
  key: Schema.optionalKey(secret("key")),
  /** Certificate and key in one PKCS #12 archive, instead of `cert` and `key`. */
  pfx: Schema.optionalKey(hidden(bytes("base64"), "pfx")),
  /** Decrypts `key` or `pfx`. */
  passphrase: Schema.optionalKey(secret("passphrase")),
  /**
   * The host name that is requested and that the certificate is checked against. Default: the host of the server in
   * use.
   */
  servername: Schema.optionalKey(nonEmptyText),
  /**
   * Application protocols to offer (ALPN); default none. AWS IoT on port 443 wants `x-amzn-mqtt-ca`, or `mqtt` with a
   * custom authorizer.
   */
  alpn: Schema.optionalKey(commaSeparated),
  /**
   * Connects to a server whose certificate is not verified. Without `pins` anyone on the network path can then pose as
   * the server and obtain user name and password. The session warns at each connect, and its status says so. Default
   * `false`.
   */
  insecureSkipVerify: withDefault(flag, false),
  /** Default `TLSv1.2`. */
  minVersion: withDefault(oneOf(["TLSv1.2", "TLSv1.3"]), "TLSv1.2"),
  /** The cipher suites to offer, in the form of OpenSSL: names with `:` between them. Default: those of Node. */
  ciphers: Schema.optionalKey(nonEmptyText),
  /**
   * Revocation lists, PEM texts. With them every certificate of the server's chain needs a list of its issuer, and must
   * not be in it. Default none.
   */
  crl: Schema.optionalKey(oneOrMore),
  /**
   * Public keys that the server's own certificate may have, each as `sha256/` and the digest of its
   * SubjectPublicKeyInfo in base64. Checked in addition to the certificate; with `insecureSkipVerify` they are what
   * verifies the server. Default: any.
   */
  pins: Schema.optionalKey(commaSeparated)
}

/**
 * The TLS settings. Certificates and keys are PEM texts.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TlsOptions extends Schema.Struct.Type<typeof tlsFields> {}

/**
 * `TlsOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TlsInput extends InputOf<typeof tlsFields> {}

/** The JSON form of `TlsOptions`. */
export interface TlsEncoded extends Schema.Struct.Encoded<typeof tlsFields> {}

export const tls: Group<TlsOptions, TlsEncoded, TlsInput> = group(tlsFields)

const webSocketFields = {
  /** The path, with or without a query, for servers whose URL has none. Default `/`. */
  path: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((value: string) => /^\/[^\s#]*$/.test(value) || "expected a path that begins with /")
    )
  ),
  /** Headers of the upgrade request; a browser cannot send any. Default none. */
  headers: withDefault(Schema.Record(Schema.String, secret("header")), {}),
  /** Default `mqtt`, as the specification demands (MQTT 6.0.0-4). Some old servers require `mqttv3.1`. */
  subprotocol: withDefault(nonEmptyText, "mqtt"),
  /**
   * The queries of the servers' URLs without `?`, by the URL as in `servers`. They often hold tokens. Default none.
   */
  queries: Schema.optionalKey(Schema.Record(Schema.String, secret("query")))
}

/** The settings of a WebSocket before its path is added to the servers. */
export interface WebSocketFields extends Schema.Struct.Type<typeof webSocketFields> {}

/**
 * The settings of a WebSocket.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface WebSocketOptions extends Omit<WebSocketFields, "path"> {}

/**
 * `WebSocketOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface WebSocketInput extends InputOf<typeof webSocketFields> {}

/** The JSON form of `WebSocketOptions`. */
export interface WebSocketEncoded extends Schema.Struct.Encoded<typeof webSocketFields> {}

export const webSocket: Group<WebSocketFields, WebSocketEncoded, WebSocketInput> = group(webSocketFields)

const proxyFields = {
  /**
   * `http://host:port` or `https://host:port` (the method CONNECT), `socks5h://host:port`, or `socks5://host:port`,
   * where this client resolves the name of the server. User name and password in it, percent-encoded, become `username`
   * and `password`; checked options hold the URL without them. Default none.
   */
  url: Schema.optionalKey(nonEmptyText),
  /** User name for the proxy. Default none. */
  username: Schema.optionalKey(nonEmptyText),
  /** Password for the proxy. Default none. */
  password: Schema.optionalKey(secret("password")),
  /** The authorities that are trusted for an `https://` proxy. PEM texts. Default: the system's. */
  ca: Schema.optionalKey(oneOrMore),
  /**
   * Takes the proxy from the environment of the process at each connect: `HTTPS_PROXY` for servers with TLS,
   * `HTTP_PROXY` for the others, then `ALL_PROXY`, each in small letters first; and `NO_PROXY` in addition to
   * `noProxy`. Default `false`.
   */
  environment: withDefault(flag, false),
  /**
   * Servers that are reached without the proxy: `name` and all names that end in `.name`, addresses, both also with
   * `:port`, subnets such as `10.0.0.0/8`, or `*`. Default none.
   */
  noProxy: withDefault(commaSeparated, [])
}

/**
 * The proxy between the client and its servers. Node only: a browser has settings of its own.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ProxyOptions extends Schema.Struct.Type<typeof proxyFields> {}

/**
 * `ProxyOptions` as a program writes them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ProxyInput extends InputOf<typeof proxyFields> {}

/** The JSON form of `ProxyOptions`. */
export interface ProxyEncoded extends Schema.Struct.Encoded<typeof proxyFields> {}

export const proxy: Group<ProxyOptions, ProxyEncoded, ProxyInput> = group(proxyFields)

const reconnectFields = {
  /** `false`: the session ends with its first connection, or when that connection fails. Default `true`. */
  enabled: withDefault(flag, true),
  /** The delay before the first attempt after a failure or loss. Default 2 s. */
  initialDelay: withDefault(timeout, 2_000),
  /** The factor by which the delay grows after each failure. Default 1.5. */
  factor: withDefault(number(1, 100), 1.5),
  /** The longest delay. Default 120 s. */
  maxDelay: withDefault(timeout, 120_000),
  /**
   * The random part of each delay. `equal`: 50 to 100 % of it; `full`: 0 to 100 %; `none`: exactly the delay. Default
   * `equal`.
   */
  jitter: withDefault(oneOf(["equal", "full", "none"]), "equal"),
  /** How long a connection must last before the delays start from `initialDelay` again. Default 30 s. */
  stableAfter: withDefault(delay, 30_000),
  /**
   * How long a session stays connected to another server than the preferred one, the first of its list, before it
   * returns. It looks first whether that one can be reached, and again after the same time when it cannot. Default: it
   * stays until the connection ends.
   */
  returnAfter: Schema.optionalKey(timeout),
  /**
   * The reaction to a permanent failure: another attempt after `permanentDelay`, or the end of the session. Default
   * `retry`.
   */
  onPermanentFailure: withDefault(oneOf(["retry", "stop"]), "retry"),
  /** The delay after a permanent failure. Default 60 s. */
  permanentDelay: withDefault(timeout, 60_000)
}

/**
 * When and how often a session tries to connect.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ReconnectOptions extends Schema.Struct.Type<typeof reconnectFields> {}

/**
 * `ReconnectOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ReconnectInput extends InputOf<typeof reconnectFields> {}

/** The JSON form of `ReconnectOptions`. */
export interface ReconnectEncoded extends Schema.Struct.Encoded<typeof reconnectFields> {}

export const reconnect: Group<ReconnectOptions, ReconnectEncoded, ReconnectInput> = group(reconnectFields)

/**
 * A reconnect policy. Its input is the failure; its delays are the waits, and its end means no further attempt.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ReconnectSchedule = Schedule.Schedule<unknown, MqttError>

export const reconnectSchedule: Written<ReconnectSchedule, ReconnectSchedule, ReconnectSchedule> = code(
  (value: unknown): value is ReconnectSchedule => Schedule.isSchedule(value),
  "a Schedule"
)

const queueFields = {
  /** Default 10,000. */
  messages: withDefault(integer(1, 10_000_000), 10_000),
  /**
   * Bytes of topics, payloads and properties, including those of unacknowledged messages. Default: half of
   * `memoryLimit`, and 32 MiB without it.
   */
  bytes: Schema.optionalKey(integer(1, Number.MAX_SAFE_INTEGER)),
  /**
   * `suspend` makes the publisher wait, and `fail` fails it with `QueueFull`. The others drop the oldest message, the
   * new one, or the one that waits for the same topic. Default `suspend`.
   */
  policy: withDefault(oneOf(["suspend", "fail", "dropOldest", "dropNewest", "latestPerTopic"]), "suspend"),
  /**
   * The lifetime of a message after it was accepted, up to 24 days. The Message Expiry Interval and the `expiresAfter`
   * of the single message apply too, and the shortest wins. Default: no limit.
   */
  expiresAfter: Schema.optionalKey(timeout)
}

/** The limits of the queue of outgoing messages before the defaults that follow from other options. */
export interface QueueFields extends Schema.Struct.Type<typeof queueFields> {}

/**
 * The limits of the queue of outgoing messages.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface QueueOptions extends Omit<QueueFields, "bytes">, Required<Pick<QueueFields, "bytes">> {}

/**
 * `QueueOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface QueueInput extends InputOf<typeof queueFields> {}

/** The JSON form of `QueueOptions`. */
export interface QueueEncoded extends Schema.Struct.Encoded<typeof queueFields> {}

/**
 * What a full queue does when another message is added.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type QueuePolicy = QueueFields["policy"]

export const queue: Group<QueueFields, QueueEncoded, QueueInput> = group(queueFields)

const unclaimedFields = {
  /** How long the messages are held before they are dropped. Default 10 s. */
  hold: withDefault(delay, 10_000),
  /**
   * Fraction of the Receive Maximum that unclaimed messages may occupy after one batch has waited for `hold`. Above 0
   * and at most 1; default 0.5.
   */
  fraction: withDefault(number(0.001, 1), 0.5)
}

/**
 * What happens to messages of a resumed session that no stream consumes.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface UnclaimedOptions extends Schema.Struct.Type<typeof unclaimedFields> {}

/**
 * `UnclaimedOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface UnclaimedInput extends InputOf<typeof unclaimedFields> {}

/** The JSON form of `UnclaimedOptions`. */
export interface UnclaimedEncoded extends Schema.Struct.Encoded<typeof unclaimedFields> {}

export const unclaimed: Group<UnclaimedOptions, UnclaimedEncoded, UnclaimedInput> = group(unclaimedFields)

const serverLimitsFields = {
  /** The largest packet that the server takes, in bytes, 1 to 268,435,460. Default: no limit. */
  maximumPacketSize: Schema.optionalKey(integer(1, 268_435_460)),
  /** The highest quality of service of publishes and subscriptions. Default 2. */
  maximumQoS: withDefault(oneOf([0, 1, 2]), 2),
  /** Whether the server keeps retained messages. Default `true`. */
  retainAvailable: withDefault(flag, true),
  /** Whether the server has shared subscriptions. Default `true`. */
  sharedSubscriptionAvailable: withDefault(flag, true),
  /**
   * How many topic filters a SUBSCRIBE or UNSUBSCRIBE may have, 1 to 65535. When the server ends a connection over a
   * packet of several filters, the session sends fewer by itself. Default 100.
   */
  filtersPerSubscribe: withDefault(integer(1, 65_535), 100),
  /** How many subscriptions the session may have, 1 to 1,000,000. Default: no limit. */
  subscriptions: Schema.optionalKey(integer(1, 1_000_000))
}

/**
 * Limits of the server that it does not announce: on 3.1.1 none, on 5 those for which MQTT has no property. Where the
 * server announces a lower limit, that one counts. What exceeds a limit fails with `NotSupported` or `PacketTooLarge`,
 * and the server does not get it.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ServerLimitsOptions extends Schema.Struct.Type<typeof serverLimitsFields> {}

/**
 * `ServerLimitsOptions` as a program writes them.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ServerLimitsInput extends InputOf<typeof serverLimitsFields> {}

/** The JSON form of `ServerLimitsOptions`. */
export interface ServerLimitsEncoded extends Schema.Struct.Encoded<typeof serverLimitsFields> {}

export const serverLimits: Group<ServerLimitsOptions, ServerLimitsEncoded, ServerLimitsInput> = group(
  serverLimitsFields
)

/** The names of the options that are groups, with the names of their members. */
export const groupNames: Readonly<Record<string, ReadonlyArray<string>>> = {
  will: Object.keys(will.schema.fields),
  tls: Object.keys(tls.schema.fields),
  webSocket: Object.keys(webSocket.schema.fields),
  proxy: Object.keys(proxy.schema.fields),
  reconnect: Object.keys(reconnect.schema.fields),
  queue: Object.keys(queue.schema.fields),
  unclaimed: Object.keys(unclaimed.schema.fields),
  serverLimits: Object.keys(serverLimits.schema.fields)
}
