/**
 * The options of a session as types: what they are after decoding, and what one may write. Re-exported by
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
 * - `durable`: never clean; survives the process with a durable session store. Sessions with it are made by the
 *   functions that require a `SessionStore`, for example `MqttSession.layerDurable`.
 */
export type Persistence = "none" | "process" | "durable"

/** What a full queue does with another message. */
export type QueuePolicy = "suspend" | "fail" | "dropOldest" | "dropNewest" | "latestPerTopic"

/** How TLS is set up. Certificates and keys are PEM texts. */
export interface TlsOptions {
  /** The authorities to trust in place of the system's. */
  readonly ca?: ReadonlyArray<string> | undefined
  /** The client's certificate with its chain; together with `key`. */
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted<string> | undefined
  /** Certificate and key in one PKCS #12 archive, in place of `cert` and `key`. */
  readonly pfx?: Redacted.Redacted<Uint8Array> | undefined
  /** Decrypts `key` or `pfx`. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
  /** The name to ask for and to check the certificate against; default: the host of the server in use. */
  readonly servername?: string | undefined
  /** Application protocols to offer; default none. */
  readonly alpn?: ReadonlyArray<string> | undefined
  /**
   * Connects to a server whose certificate is not verified: anyone on the way can pose as the server, and gets user
   * name and password. The session warns at each connect, and its status says so. Default `false`.
   */
  readonly insecureSkipVerify: boolean
  /** Default `TLSv1.2`. */
  readonly minVersion: "TLSv1.2" | "TLSv1.3"
}

/** How a WebSocket is opened. */
export interface WebSocketOptions {
  /** Headers of the upgrade request; a browser cannot send any. Default none. */
  readonly headers: { readonly [name: string]: Redacted.Redacted<string> }
  /** Default `mqtt`, as the specification demands (MQTT 6.0.0-4); some old servers want `mqttv3.1`. */
  readonly subprotocol: string
  /**
   * The queries of the servers' URLs without `?`, by the URL as it stands in `servers`. They often hold tokens. Default
   * none.
   */
  readonly queries?: { readonly [server: string]: Redacted.Redacted<string> } | undefined
}

/** When and how often a session tries to connect. */
export interface ReconnectOptions {
  /** `false`: the session ends with its first connection, or when that fails. Default `true`. */
  readonly enabled: boolean
  /** The delay before the first attempt after a failure or loss; default 2 s. */
  readonly initialDelay: Duration.Duration
  /** What the delay is multiplied with after each failure; default 1.5. */
  readonly factor: number
  /** The longest delay; default 120 s. */
  readonly maxDelay: Duration.Duration
  /** Each delay is taken at random from: `equal` 50 to 100 %, `full` 0 to 100 %, `none` all of it. Default `equal`. */
  readonly jitter: "equal" | "full" | "none"
  /** How long a connection has to last before the delays start from `initialDelay` again; default 30 s. */
  readonly stableAfter: Duration.Duration
  /**
   * What a failure leads to that does not pass by itself: another attempt after `permanentDelay`, or the end. Default
   * `retry`.
   */
  readonly onPermanentFailure: "retry" | "stop"
  /** Default 60 s. */
  readonly permanentDelay: Duration.Duration
}

/** The bounds of what waits to be sent. */
export interface QueueOptions {
  /** Default 10,000. */
  readonly messages: number
  /**
   * Bytes of topics, payloads and properties, those of unacknowledged messages included. Default: half of
   * `memoryLimit`, and 32 MiB without it.
   */
  readonly bytes: number
  /**
   * `suspend` makes the publisher wait, `fail` fails it with `QueueFull`, the others drop the oldest message, the new
   * one, or the one that waits for the same topic. Default `suspend`.
   */
  readonly policy: QueuePolicy
  /**
   * How long a message is worth sending after it was accepted, up to 24 days; the Message Expiry Interval and the
   * `expiresAfter` of the single message hold too, and the shortest wins. Default: no limit.
   */
  readonly expiresAfter?: Duration.Duration | undefined
}

/** What happens to messages of a resumed session that no stream asks for. */
export interface UnclaimedOptions {
  /** How long they are held before they are dropped; default 10 s. */
  readonly hold: Duration.Duration
  /**
   * Which part of the receive window they may take once nobody has come for some within `hold`, above 0 and at most 1;
   * default 0.5.
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
  /** How long the server waits for a reconnect first, in whole seconds; MQTT 5; default 0. */
  readonly delay: Duration.Duration
  /** MQTT 5; default none. */
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
   * Names the broker behind the servers, for forwarders: all sessions with this name, in all programs, are at one
   * broker, and no message is forwarded to a broker that has it. At most 256 characters, without commas. Default: in
   * this program the addresses of the servers say it, and sessions with an address in common are at one broker.
   */
  readonly brokerName?: string | undefined
  /** Every server has to use TLS, and one without a scheme means `mqtts`; default `false`. */
  readonly secure: boolean
  /** 4 is MQTT 3.1.1; default 5. */
  readonly protocolVersion: ProtocolVersion
  /** Default: made by the session from its name, with something random behind it unless the session is durable. */
  readonly clientId?: string | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** Whole seconds up to 65535 s, 0 switches it off; default 60 s. */
  readonly keepAlive: Duration.Duration
  /** From the first packet to the network until CONNACK; default 30 s. */
  readonly connectTimeout: Duration.Duration
  /** Default `process`, and `durable` where a durable session is made, for example by `MqttSession.layerDurable`. */
  readonly persistence: Persistence
  /**
   * How long the server keeps the session without a connection, in whole seconds; infinite: for ever. Default 0 for
   * `none`, 1 h for `process`, and 7 days for `durable`, so that a forgotten client does not fill the server for ever.
   */
  readonly sessionExpiry: Duration.Duration
  /** How many QoS 1 and 2 messages the server may send ahead of their acknowledgements, 1 to 65535; default 1024. */
  readonly receiveMaximum: number
  /** The largest inbound packet in bytes, 1 to 268,435,460; default 1 MiB. */
  readonly maximumPacketSize: number
  /** How many topic aliases the server may use, 0 to 65535; default 16. */
  readonly topicAliasMaximum: number
  /** How many own QoS 1 and 2 messages may be unacknowledged, 1 to 65535; the server may allow less. Default 1000. */
  readonly maxInflight: number
  /**
   * The same for QoS 2 on MQTT 3.1.1, where servers cannot tell their limit; default 19. mosquitto 2.0 (20 by default)
   * answers with a plain PUBACK, and drops, what comes at QoS 1 while its limit is reached.
   */
  readonly maxInflightQoS2: number
  /** Asks the server for response information (MQTT 3.1.2.11.6); default `false`. */
  readonly requestResponseInformation: boolean
  /** Lets the server explain failures (MQTT 3.1.2.11.7); default `true`. */
  readonly requestProblemInformation: boolean
  /** User properties of CONNECT; MQTT 5; default none. */
  readonly connectUserProperties: ReadonlyArray<UserProperty>
  readonly will?: WillOptions | undefined
  /** Absent: the system's authorities and Node's own defaults; a browser has no choice. */
  readonly tls?: TlsOptions | undefined
  readonly webSocket: WebSocketOptions
  readonly reconnect: ReconnectOptions
  /**
   * When the server has lost the session: subscribe again, or fail the streams with `SessionLost`. Default
   * `resubscribe`.
   */
  readonly onSessionLost: "resubscribe" | "fail"
  /** What becomes of unacknowledged messages then; default `resend`. */
  readonly unacknowledgedOnSessionLost: "resend" | "fail"
  /**
   * After how many connections that the server ends in a row over one message or subscription this one is given up with
   * `PoisonMessage`; 0: never. Default 6.
   */
  readonly poisonThreshold: number
  /**
   * What publishers see while the store of a durable session fails: they wait, within the bounds of the queue, or what
   * they publish fails with `StorageFailed` and is neither kept nor sent. What was accepted before stays accepted
   * either way. Default `wait`.
   */
  readonly onStorageFailure: "wait" | "fail"
  readonly queue: QueueOptions
  /**
   * What messages of the session may take in memory, in bytes, weighed with what their properties cost: `queue.bytes`
   * of those to be sent, the rest of received ones until their consumers have finished with them. At least
   * `queue.bytes` and `maximumPacketSize` together. Default: `queue.bytes` and the larger of 32 MiB and two packets of
   * `maximumPacketSize`, so 64 MiB without both.
   */
  readonly memoryLimit: number
  /** How long `publish` may take, and `enqueue` until the message is accepted, waiting included; default: no limit. */
  readonly publishTimeout?: Duration.Duration | undefined
  /** How long the network may accept no byte; default 30 s. */
  readonly writeTimeout: Duration.Duration
  /** How long SUBACK and UNSUBACK may take; default 30 s. */
  readonly subscribeTimeout: Duration.Duration
  /** How many messages a stream buffers; default 1000. */
  readonly streamBuffer: number
  /** What a QoS 0 message does to a full buffer; default `dropOldest`. */
  readonly onOverflow: "dropOldest" | "suspend"
  /** How long the oldest unacknowledged message may block the receive window; default 30 s. */
  readonly ackDeadline: Duration.Duration
  /** What happens after that; default `wait`. */
  readonly onAckDeadline: "wait" | "acknowledge" | "reconnect"
  readonly unclaimed: UnclaimedOptions
  /** `auto` uses them where the server has them (MQTT 3.8.2.1.2); default `auto`. */
  readonly subscriptionIdentifiers: "auto" | "off"
  /** How long `drain` may take; default 10 s. */
  readonly drainTimeout: Duration.Duration
  /**
   * What the session writes to Effect's logger: what goes wrong and what is mended (`warnings`), every event (`all`),
   * or nothing (`off`); see
   * `SessionLog`. Default: what `SessionLog.layer` says, otherwise `warnings`.
   */
  readonly log?: "warnings" | "all" | "off" | undefined
}

/**
 * How to write a duration: `Duration`, milliseconds, a text such as `"30 seconds"` or `"Infinity"`, or anything else
 * that `Duration.fromInput` takes.
 */
export type DurationInput = Duration.Input | (string & {})

/** How to write a secret: as it is, or wrapped already. */
export type SecretInput = string | Redacted.Redacted<string>

/** How to write bytes: as they are, or in base64 as JSON does. */
export type BytesInput = Uint8Array | { readonly base64: string }

/** `TlsOptions` as one may write them. */
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
}

/** `WebSocketOptions` as one may write them. */
export interface WebSocketInput {
  /** The path, with a query or without, for servers whose URL has none; default `/`. */
  readonly path?: string | undefined
  readonly headers?: { readonly [name: string]: SecretInput } | undefined
  readonly subprotocol?: string | undefined
  readonly queries?: { readonly [server: string]: SecretInput } | undefined
}

/** `ReconnectOptions` as one may write them. */
export interface ReconnectInput {
  readonly enabled?: boolean | undefined
  readonly initialDelay?: DurationInput | undefined
  readonly factor?: number | undefined
  readonly maxDelay?: DurationInput | undefined
  readonly jitter?: "equal" | "full" | "none" | undefined
  readonly stableAfter?: DurationInput | undefined
  readonly onPermanentFailure?: "retry" | "stop" | undefined
  readonly permanentDelay?: DurationInput | undefined
}

/** `QueueOptions` as one may write them. */
export interface QueueInput {
  readonly messages?: number | undefined
  readonly bytes?: number | undefined
  readonly policy?: QueuePolicy | undefined
  readonly expiresAfter?: DurationInput | undefined
}

/** `UnclaimedOptions` as one may write them. */
export interface UnclaimedInput {
  readonly hold?: DurationInput | undefined
  readonly fraction?: number | undefined
}

/** `MessageProperties` as one may write them. */
export interface MessagePropertiesInput {
  readonly payloadFormatIndicator?: 0 | 1 | undefined
  readonly messageExpiryInterval?: number | undefined
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  readonly correlationData?: string | BytesInput | undefined
  readonly userProperties?: ReadonlyArray<UserProperty> | undefined
}

/** `WillOptions` as one may write them; a text is sent in UTF-8. */
export interface WillInput {
  readonly topic: string
  readonly payload: string | BytesInput
  readonly qos?: QoS | undefined
  readonly retain?: boolean | undefined
  readonly delay?: DurationInput | undefined
  readonly properties?: MessagePropertiesInput | undefined
}

/**
 * `SessionOptions` as one may write them: everything but the name and the servers has a default. `P` is which
 * `persistence` may be written; with `never` none is, and the function that makes the session chooses it.
 */
export interface SessionOptionsInput<out P extends Persistence = Persistence> {
  readonly name: string
  /**
   * One URL, several in one text separated by commas, or an array; credentials in them become `username` and
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
  readonly reconnect?: ReconnectInput | undefined
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
