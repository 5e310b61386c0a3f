/**
 * The types of a session's options: the decoded form, and the form that a program writes. Re-exported by
 * `SessionOptions.ts`.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { MessageProperties, UserProperty } from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"

/**
 * How long the session's state lives.
 *
 * - `none`: a clean session at every connect.
 * - `process`: a clean session at the first connect, resumed at every reconnect.
 * - `durable`: never clean; survives the process with a durable session store. The functions that require a
 *   `SessionStore` make such sessions, for example `MqttSession.layerDurable`.
 */
export type Persistence = "none" | "process" | "durable"

/** What a full queue does when another message is added. */
export type QueuePolicy = "suspend" | "fail" | "dropOldest" | "dropNewest" | "latestPerTopic"

/** The TLS settings. Certificates and keys are PEM texts. */
export interface TlsOptions {
  /** The trusted authorities, instead of the system's. */
  readonly ca?: ReadonlyArray<string> | undefined
  /** The client's certificate with its chain; together with `key`. */
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted<string> | undefined
  /** Certificate and key in one PKCS #12 archive, instead of `cert` and `key`. */
  readonly pfx?: Redacted.Redacted<Uint8Array> | undefined
  /** Decrypts `key` or `pfx`. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
  /**
   * The host name that is requested and that the certificate is checked against. Default: the host of the server in
   * use.
   */
  readonly servername?: string | undefined
  /**
   * Application protocols to offer (ALPN); default none. AWS IoT on port 443 wants `x-amzn-mqtt-ca`, or `mqtt` with a
   * custom authorizer.
   */
  readonly alpn?: ReadonlyArray<string> | undefined
  /**
   * Connects to a server whose certificate is not verified. Without `pins` anyone on the network path can then pose as
   * the server and obtain user name and password. The session warns at each connect, and its status says so. Default
   * `false`.
   */
  readonly insecureSkipVerify: boolean
  /** Default `TLSv1.2`. */
  readonly minVersion: "TLSv1.2" | "TLSv1.3"
  /** The cipher suites to offer, in the form of OpenSSL: names with `:` between them. Default: those of Node. */
  readonly ciphers?: string | undefined
  /**
   * Revocation lists, PEM texts. With them every certificate of the server's chain needs a list of its issuer, and must
   * not be in it. Default none.
   */
  readonly crl?: ReadonlyArray<string> | undefined
  /**
   * Public keys that the server's own certificate may have, each as `sha256/` and the digest of its
   * SubjectPublicKeyInfo in base64. Checked in addition to the certificate; with `insecureSkipVerify` they are what
   * verifies the server. Default: any.
   */
  readonly pins?: ReadonlyArray<string> | undefined
}

/** The settings of a WebSocket. */
export interface WebSocketOptions {
  /** Headers of the upgrade request; a browser cannot send any. Default none. */
  readonly headers: { readonly [name: string]: Redacted.Redacted<string> }
  /** Default `mqtt`, as the specification demands (MQTT 6.0.0-4). Some old servers require `mqttv3.1`. */
  readonly subprotocol: string
  /**
   * The queries of the servers' URLs without `?`, by the URL as in `servers`. They often hold tokens. Default none.
   */
  readonly queries?: { readonly [server: string]: Redacted.Redacted<string> } | undefined
}

/** The proxy between the client and its servers. Node only: a browser has settings of its own. */
export interface ProxyOptions {
  /**
   * `http://host:port` or `https://host:port` (the method CONNECT), `socks5h://host:port`, or `socks5://host:port`,
   * where this client resolves the name of the server. Without user name and password. Default none.
   */
  readonly url?: string | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** The authorities that are trusted for an `https://` proxy. PEM texts. Default: the system's. */
  readonly ca?: ReadonlyArray<string> | undefined
  /**
   * Takes the proxy from the environment of the process at each connect: `HTTPS_PROXY` for servers with TLS,
   * `HTTP_PROXY` for the others, then `ALL_PROXY`, each in small letters first; and `NO_PROXY` in addition to
   * `noProxy`. Default `false`.
   */
  readonly environment: boolean
  /**
   * Servers that are reached without the proxy: `name` and all names that end in `.name`, addresses, both also with
   * `:port`, subnets such as `10.0.0.0/8`, or `*`. Default none.
   */
  readonly noProxy: ReadonlyArray<string>
}

/** When and how often a session tries to connect. */
export interface ReconnectOptions {
  /** `false`: the session ends with its first connection, or when that connection fails. Default `true`. */
  readonly enabled: boolean
  /** The delay before the first attempt after a failure or loss. Default 2 s. */
  readonly initialDelay: Duration.Duration
  /** The factor by which the delay grows after each failure. Default 1.5. */
  readonly factor: number
  /** The longest delay. Default 120 s. */
  readonly maxDelay: Duration.Duration
  /**
   * The random part of each delay. `equal`: 50 to 100 % of it; `full`: 0 to 100 %; `none`: exactly the delay. Default
   * `equal`.
   */
  readonly jitter: "equal" | "full" | "none"
  /** How long a connection must last before the delays start from `initialDelay` again. Default 30 s. */
  readonly stableAfter: Duration.Duration
  /**
   * How long a session stays connected to another server than the preferred one, the first of its list, before it
   * returns. It looks first whether that one can be reached, and again after the same time when it cannot. Default: it
   * stays until the connection ends.
   */
  readonly returnAfter?: Duration.Duration | undefined
  /**
   * The reaction to a permanent failure: another attempt after `permanentDelay`, or the end of the session. Default
   * `retry`.
   */
  readonly onPermanentFailure: "retry" | "stop"
  /** Default 60 s. */
  readonly permanentDelay: Duration.Duration
}

/** The limits of the queue of outgoing messages. */
export interface QueueOptions {
  /** Default 10,000. */
  readonly messages: number
  /**
   * Bytes of topics, payloads and properties, including those of unacknowledged messages. Default: half of
   * `memoryLimit`, and 32 MiB without it.
   */
  readonly bytes: number
  /**
   * `suspend` makes the publisher wait, and `fail` fails it with `QueueFull`. The others drop the oldest message, the
   * new one, or the one that waits for the same topic. Default `suspend`.
   */
  readonly policy: QueuePolicy
  /**
   * The lifetime of a message after it was accepted, up to 24 days. The Message Expiry Interval and the `expiresAfter`
   * of the single message apply too, and the shortest wins. Default: no limit.
   */
  readonly expiresAfter?: Duration.Duration | undefined
}

/** What happens to messages of a resumed session that no stream consumes. */
export interface UnclaimedOptions {
  /** How long the messages are held before they are dropped. Default 10 s. */
  readonly hold: Duration.Duration
  /**
   * Fraction of the Receive Maximum that unclaimed messages may occupy after one batch has waited for `hold`. Above 0
   * and at most 1; default 0.5.
   */
  readonly fraction: number
}

/** The message that the server publishes when the connection ends without DISCONNECT (MQTT 3.1.2.5). */
export interface WillOptions {
  readonly topic: string
  readonly payload: Uint8Array
  /** Default 0. */
  readonly qos: QoS
  /** Default `false`. */
  readonly retain: boolean
  /** How long the server waits for a reconnect before it publishes the will, in whole seconds. MQTT 5. Default 0. */
  readonly delay: Duration.Duration
  /** MQTT 5. Default none. */
  readonly properties: MessageProperties
}

/**
 * All options of a session, complete and checked.
 */
export interface SessionOptions {
  /** The name of the session in this program: in logs, metrics, events and the session store. */
  readonly name: string
  /**
   * URLs in the order of preference, without credentials and queries. There is no default. Either all of them use TLS
   * (mqtts, wss) or none does.
   */
  readonly servers: readonly [string, ...Array<string>]
  /**
   * The name of the broker behind the servers, for forwarders. All sessions with this name, in all programs, are at one
   * broker, and no message is forwarded to a broker that has it. At most 256 characters, without commas. Default: the
   * addresses of the servers identify the broker within this program, and sessions with an address in common are at one
   * broker.
   */
  readonly brokerName?: string | undefined
  /** Every server must use TLS, and a server without a scheme means `mqtts`. Default `false`. */
  readonly secure: boolean
  /** 4 is MQTT 3.1.1. Default 5. */
  readonly protocolVersion: ProtocolVersion
  /** Default: derived by the session from its name, with a random suffix unless the session is durable. */
  readonly clientId?: string | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** Whole seconds up to 65535 s; 0 disables it. Default 60 s. */
  readonly keepAlive: Duration.Duration
  /** From the first packet to the network until CONNACK. Default 30 s. */
  readonly connectTimeout: Duration.Duration
  /** Default `process`, and `durable` where a durable session is made, for example by `MqttSession.layerDurable`. */
  readonly persistence: Persistence
  /**
   * How long the server keeps the session without a connection, in whole seconds; infinite: without limit. Default 0
   * for `none`, 1 h for `process`, and 7 days for `durable`, so that a forgotten client does not occupy the server
   * without end.
   */
  readonly sessionExpiry: Duration.Duration
  /** How many unacknowledged QoS 1 and 2 messages the server may send, 1 to 65535. Default 1024. */
  readonly receiveMaximum: number
  /** The largest inbound packet in bytes, 1 to 268,435,460. Default 1 MiB. */
  readonly maximumPacketSize: number
  /** How many topic aliases the server may use, 0 to 65535. Default 16. */
  readonly topicAliasMaximum: number
  /**
   * How many outgoing QoS 1 and 2 messages may be unacknowledged, 1 to 65535. The server may allow fewer. Default 1000.
   */
  readonly maxInflight: number
  /**
   * The same for QoS 2 on MQTT 3.1.1, where servers cannot announce their limit. Default 19. While its limit is reached
   * (20 by default), mosquitto 2.0 answers a QoS 1 message with a plain PUBACK and drops it.
   */
  readonly maxInflightQoS2: number
  /** Asks the server for response information (MQTT 3.1.2.11.6). Default `false`. */
  readonly requestResponseInformation: boolean
  /** Lets the server explain failures (MQTT 3.1.2.11.7). Default `true`. */
  readonly requestProblemInformation: boolean
  /** User properties of CONNECT. MQTT 5. Default none. */
  readonly connectUserProperties: ReadonlyArray<UserProperty>
  readonly will?: WillOptions | undefined
  /** Absent: the system's authorities and Node's own defaults. A browser always uses its own settings. */
  readonly tls?: TlsOptions | undefined
  readonly webSocket: WebSocketOptions
  /** Absent: no proxy, whatever the environment says. Unix sockets have none. */
  readonly proxy?: ProxyOptions | undefined
  readonly reconnect: ReconnectOptions
  /**
   * How many times in a row the session follows a server that sends it to another one (MQTT 4.11), 0 to 100; 0: never.
   * MQTT 5. Default 3.
   */
  readonly redirects: number
  /**
   * The reaction when the server has lost the session: subscribe again, or fail the streams with `SessionLost`. Default
   * `resubscribe`.
   */
  readonly onSessionLost: "resubscribe" | "fail"
  /** What then happens to unacknowledged messages. Default `resend`. */
  readonly unacknowledgedOnSessionLost: "resend" | "fail"
  /**
   * The number of consecutive connections that the server ends over one message or subscription before that one is
   * given up with `PoisonMessage`; 0: never. Default 6.
   */
  readonly poisonThreshold: number
  /**
   * What happens to publishes while the store of a durable session fails. `wait`: they wait, within the limits of the
   * queue. `fail`: they fail with `StorageFailed`, and the message is neither kept nor sent. What was accepted before
   * stays accepted either way. Default `wait`.
   */
  readonly onStorageFailure: "wait" | "fail"
  readonly queue: QueueOptions
  /**
   * The memory that messages of the session may take, in bytes, including the cost of their properties: `queue.bytes`
   * for outgoing messages, and the rest for received ones until their consumers have finished with them. At least
   * `queue.bytes` and `maximumPacketSize` together. Default: `queue.bytes` plus the larger of 32 MiB and two packets of
   * `maximumPacketSize`; 64 MiB without both options.
   */
  readonly memoryLimit: number
  /**
   * The time limit of `publish`, and of `enqueue` until the message is accepted, including waits. Default: no limit.
   */
  readonly publishTimeout?: Duration.Duration | undefined
  /** How long the network may accept no byte. Default 30 s. */
  readonly writeTimeout: Duration.Duration
  /** How long the server may take to answer with SUBACK or UNSUBACK. Default 30 s. */
  readonly subscribeTimeout: Duration.Duration
  /** How many messages a stream buffers. Default 1000. */
  readonly streamBuffer: number
  /** What happens when a QoS 0 message meets a full buffer. Default `dropOldest`. */
  readonly onOverflow: "dropOldest" | "suspend"
  /** How long the oldest unacknowledged message may block the receive window. Default 30 s. */
  readonly ackDeadline: Duration.Duration
  /** What happens after `ackDeadline`. Default `wait`. */
  readonly onAckDeadline: "wait" | "acknowledge" | "reconnect"
  readonly unclaimed: UnclaimedOptions
  /** `auto` uses subscription identifiers if the server supports them (MQTT 3.8.2.1.2). Default `auto`. */
  readonly subscriptionIdentifiers: "auto" | "off"
  /** How long `drain` may take. Default 10 s. */
  readonly drainTimeout: Duration.Duration
  /**
   * What the session writes to Effect's logger: failures and recoveries (`warnings`), every event (`all`), or nothing
   * (`off`); see `SessionLog`. Default: the setting of `SessionLog.layer`, otherwise `warnings`.
   */
  readonly log?: "warnings" | "all" | "off" | undefined
}

/**
 * A duration as a program writes it: `Duration`, milliseconds, a string such as `"30 seconds"` or `"Infinity"`, or
 * anything else that `Duration.fromInput` takes.
 */
export type DurationInput = Duration.Input | (string & {})

/** A secret as a program writes it: plain, or already redacted. */
export type SecretInput = string | Redacted.Redacted<string>

/** Bytes as a program writes them: raw, or in base64 as in JSON. */
export type BytesInput = Uint8Array | { readonly base64: string }

/** `TlsOptions` as a program writes them. */
export interface TlsInput {
  readonly ca?: string | ReadonlyArray<string> | undefined
  readonly cert?: string | undefined
  readonly key?: SecretInput | undefined
  readonly pfx?: BytesInput | Redacted.Redacted<Uint8Array> | undefined
  readonly passphrase?: SecretInput | undefined
  readonly servername?: string | undefined
  readonly alpn?: string | ReadonlyArray<string> | undefined
  readonly insecureSkipVerify?: boolean | undefined
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  readonly ciphers?: string | undefined
  readonly crl?: string | ReadonlyArray<string> | undefined
  readonly pins?: string | ReadonlyArray<string> | undefined
}

/** `WebSocketOptions` as a program writes them. */
export interface WebSocketInput {
  /** The path, with or without a query, for servers whose URL has none. Default `/`. */
  readonly path?: string | undefined
  readonly headers?: { readonly [name: string]: SecretInput } | undefined
  readonly subprotocol?: string | undefined
  readonly queries?: { readonly [server: string]: SecretInput } | undefined
}

/** `ProxyOptions` as a program writes them. */
export interface ProxyInput {
  /** May contain user name and password, percent-encoded; they become `username` and `password`. */
  readonly url?: SecretInput | undefined
  readonly username?: string | undefined
  readonly password?: SecretInput | undefined
  readonly ca?: string | ReadonlyArray<string> | undefined
  readonly environment?: boolean | undefined
  readonly noProxy?: string | ReadonlyArray<string> | undefined
}

/** `ReconnectOptions` as a program writes them. */
export interface ReconnectInput {
  readonly enabled?: boolean | undefined
  readonly initialDelay?: DurationInput | undefined
  readonly factor?: number | undefined
  readonly maxDelay?: DurationInput | undefined
  readonly jitter?: "equal" | "full" | "none" | undefined
  readonly stableAfter?: DurationInput | undefined
  readonly returnAfter?: DurationInput | undefined
  readonly onPermanentFailure?: "retry" | "stop" | undefined
  readonly permanentDelay?: DurationInput | undefined
}

/** `QueueOptions` as a program writes them. */
export interface QueueInput {
  readonly messages?: number | undefined
  readonly bytes?: number | undefined
  readonly policy?: QueuePolicy | undefined
  readonly expiresAfter?: DurationInput | undefined
}

/** `UnclaimedOptions` as a program writes them. */
export interface UnclaimedInput {
  readonly hold?: DurationInput | undefined
  readonly fraction?: number | undefined
}

/** `MessageProperties` as a program writes them. */
export interface MessagePropertiesInput {
  readonly payloadFormatIndicator?: 0 | 1 | undefined
  readonly messageExpiryInterval?: number | undefined
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  readonly correlationData?: string | BytesInput | undefined
  readonly userProperties?: ReadonlyArray<UserProperty> | undefined
}

/** `WillOptions` as a program writes them. A string payload is sent in UTF-8. */
export interface WillInput {
  readonly topic: string
  readonly payload: string | BytesInput
  readonly qos?: QoS | undefined
  readonly retain?: boolean | undefined
  readonly delay?: DurationInput | undefined
  readonly properties?: MessagePropertiesInput | undefined
}

/**
 * `SessionOptions` as a program writes them. Everything but the name and the servers has a default. `P` is the set of
 * values that `persistence` may have; with `never` the option is absent, and the function that makes the session
 * chooses it.
 */
export interface SessionOptionsInput<out P extends Persistence = Persistence> {
  readonly name: string
  /**
   * One URL, several in one string separated by commas, or an array. Credentials in them become `username` and
   * `password`, queries become `webSocket.queries`.
   */
  readonly servers: string | ReadonlyArray<string>
  readonly brokerName?: string | undefined
  readonly secure?: boolean | undefined
  readonly protocolVersion?: ProtocolVersion | undefined
  readonly clientId?: string | undefined
  readonly username?: string | undefined
  readonly password?: SecretInput | undefined
  readonly keepAlive?: DurationInput | undefined
  readonly connectTimeout?: DurationInput | undefined
  readonly persistence?: P | undefined
  readonly sessionExpiry?: DurationInput | undefined
  readonly receiveMaximum?: number | undefined
  readonly maximumPacketSize?: number | undefined
  readonly topicAliasMaximum?: number | undefined
  readonly maxInflight?: number | undefined
  readonly maxInflightQoS2?: number | undefined
  readonly requestResponseInformation?: boolean | undefined
  readonly requestProblemInformation?: boolean | undefined
  readonly connectUserProperties?: ReadonlyArray<UserProperty> | undefined
  readonly will?: WillInput | undefined
  readonly tls?: TlsInput | undefined
  readonly webSocket?: WebSocketInput | undefined
  readonly proxy?: ProxyInput | undefined
  readonly reconnect?: ReconnectInput | undefined
  readonly redirects?: number | undefined
  readonly onSessionLost?: "resubscribe" | "fail" | undefined
  readonly unacknowledgedOnSessionLost?: "resend" | "fail" | undefined
  readonly poisonThreshold?: number | undefined
  readonly onStorageFailure?: "wait" | "fail" | undefined
  readonly queue?: QueueInput | undefined
  readonly memoryLimit?: number | undefined
  readonly publishTimeout?: DurationInput | undefined
  readonly writeTimeout?: DurationInput | undefined
  readonly subscribeTimeout?: DurationInput | undefined
  readonly streamBuffer?: number | undefined
  readonly onOverflow?: "dropOldest" | "suspend" | undefined
  readonly ackDeadline?: DurationInput | undefined
  readonly onAckDeadline?: "wait" | "acknowledge" | "reconnect" | undefined
  readonly unclaimed?: UnclaimedInput | undefined
  readonly subscriptionIdentifiers?: "auto" | "off" | undefined
  readonly drainTimeout?: DurationInput | undefined
  readonly log?: "warnings" | "all" | "off" | undefined
}
