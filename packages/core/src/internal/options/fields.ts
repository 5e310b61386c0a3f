/**
 * The options of a session. Each option stands here once, with its documentation, bounds and default; the decoded type,
 * the JSON form and the input type follow from it. Options that belong together are groups, see groups.ts.
 *
 * The rules between options are in rules.ts, and the conversion to `SessionOptions` in schema.ts.
 */
import * as Schema from "effect/Schema"
import type { Authenticator } from "../../Authentication.ts"
import type { Provider } from "../../Credentials.ts"
import { authentication, credentials } from "./access.ts"
import {
  proxy,
  queue,
  type QueueOptions,
  reconnect,
  reconnectSchedule,
  serverLimits,
  tls,
  unclaimed,
  webSocket,
  type WebSocketOptions,
  will
} from "./groups.ts"
import { type Group, group, type InputOf } from "./input.ts"
import {
  commaSeparated,
  expiry,
  flag,
  integer,
  integers,
  interval,
  nonEmptyText,
  oneOf,
  secret,
  text,
  timeout,
  userProperties,
  withDefault
} from "./leaves.ts"

export const brokerNameFault = (name: string): string | undefined =>
  name.length > 256 || /^@|,|:\/\//.test(name)
    ? "expected a name of at most 256 characters that is no address, without commas and without @ at its begin"
    : undefined

export const noServer = "expected at least one server, for example mqtts://broker.example"

export const fields = {
  /** The name of the session in this program: in logs, metrics, events and the session store. */
  name: nonEmptyText.annotateKey({ messageMissingKey: "expected a name" }),
  /**
   * URLs in the order of preference: one, several in one string separated by commas, or an array. Either all of them
   * use TLS (mqtts, wss) or none does. Credentials in them become `username` and `password`, and queries become
   * `webSocket.queries`; checked options hold URLs without them. There is no default.
   */
  // A default would connect a program with a mistyped option name to any server on its machine.
  servers: commaSeparated.pipe(
    Schema.refine((value): value is readonly [string, ...Array<string>] => value.length > 0, { message: noServer })
  ).annotateKey({ messageMissingKey: noServer }),
  /**
   * The name of the broker behind the servers, for forwarders. All sessions with this name, in all programs, are at one
   * broker, and no message is forwarded to a broker that has it. At most 256 characters, without commas. Default: the
   * addresses of the servers identify the broker within this program, and sessions with an address in common are at one
   * broker.
   */
  brokerName: Schema.optionalKey(nonEmptyText.check(Schema.makeFilter((value: string) => brokerNameFault(value)))),
  /** Every server must use TLS, and a server without a scheme means `mqtts`. Default `false`. */
  secure: withDefault(flag, false),
  /** 4 is MQTT 3.1.1. Default 5. */
  protocolVersion: withDefault(oneOf([4, 5]), 5),
  /** Default: derived by the session from its name, with a random suffix unless the session is durable. */
  clientId: Schema.optionalKey(nonEmptyText),
  /**
   * The server assigns the client identifier with the first CONNACK (MQTT 3.1.3.1, 3.2.2.3.7), and the session uses it
   * from then on; a durable one keeps it in its store. If the server assigns none, the attempt fails with
   * `ClientIdentifierRejected`. On MQTT 3.1.1 the client does not learn the identifier, so the option requires the
   * persistence `none` there. Default `false`.
   */
  assignedClientId: withDefault(flag, false),
  /** User name for the server. Default none. */
  username: Schema.optionalKey(text),
  /** Password for the server; MQTT 3.1.1 requires `username` with it. Default none. */
  password: Schema.optionalKey(secret("password")),
  /** Whole seconds up to 65535 s; 0 disables it. Default 60 s. */
  keepAlive: withDefault(interval(65_535), 60_000),
  /** From the first packet to the network until CONNACK. Default 30 s. */
  connectTimeout: withDefault(timeout, 30_000),
  /**
   * How long the session's state lives, see `Persistence`. Default `process`, and `durable` where a durable session is
   * made, for example by `MqttSession.layerDurable`.
   */
  persistence: withDefault(oneOf(["none", "process", "durable"]), "process"),
  /**
   * How long the server keeps the session without a connection, in whole seconds; infinite: without limit. Default 0
   * for `none`, 1 h for `process`, and 7 days for `durable`, so that a forgotten client does not occupy the server
   * without end.
   */
  sessionExpiry: Schema.optionalKey(expiry),
  /** How many unacknowledged QoS 1 and 2 messages the server may send, 1 to 65535. Default 1024. */
  receiveMaximum: withDefault(integer(1, 65_535), 1024),
  /** The largest inbound packet in bytes, 1 to 268,435,460. Default 1 MiB. */
  maximumPacketSize: withDefault(integer(1, 268_435_460), 1024 * 1024),
  /** How many topic aliases the server may use, 0 to 65535. Default 16. */
  topicAliasMaximum: withDefault(integer(0, 65_535), 16),
  /**
   * Topic aliases of outgoing messages, within the server's Topic Alias Maximum (MQTT 3.3.2.3.4). `auto`: topics of 16
   * to 1024 characters that are published repeatedly get one, up to 256 topics at a time. `explicit`: only messages
   * with a `topicAlias` have one. MQTT 5. Default `auto`.
   */
  topicAliases: withDefault(oneOf(["auto", "explicit"]), "auto"),
  /**
   * How many outgoing QoS 1 and 2 messages may be unacknowledged, 1 to 65535. The server may allow fewer. Default 1000.
   */
  maxInflight: withDefault(integer(1, 65_535), 1000),
  /**
   * The same for QoS 2 on MQTT 3.1.1, where servers cannot announce their limit. Default 19. While its limit is reached
   * (20 by default), mosquitto 2.0 answers a QoS 1 message with a plain PUBACK and drops it.
   */
  maxInflightQoS2: withDefault(integer(1, 65_535), 19),
  /** Asks the server for response information (MQTT 3.1.2.11.6). Default `false`. */
  requestResponseInformation: withDefault(flag, false),
  /** Lets the server explain failures (MQTT 3.1.2.11.7). Default `true`. */
  requestProblemInformation: withDefault(flag, true),
  /** User properties of CONNECT. MQTT 5. Default none. */
  connectUserProperties: withDefault(userProperties, []),
  /** The message that the server publishes when the connection ends without DISCONNECT. Default none. */
  will: Schema.optionalKey(will),
  /** Default: the system's authorities and Node's own defaults. A browser always uses its own settings. */
  tls: Schema.optionalKey(tls),
  /**
   * How many days before the end of a certificate the event CertificateExpiring reports it, 0 to 3650; an empty array:
   * never. Default 30, 7 and 1.
   */
  certificateThresholds: withDefault(integers(0, 3650), [30, 7, 1]),
  /** The settings of WebSockets, for servers with `ws` or `wss`. */
  webSocket: withDefault(webSocket, {}),
  /** The proxy on the way to the servers. Default: none, whatever the environment says. Unix sockets have none. */
  proxy: Schema.optionalKey(proxy),
  /** When and how often the session tries to connect. */
  reconnect: withDefault(reconnect, {}),
  /**
   * How many times in a row the session follows a server that sends it to another one (MQTT 4.11), 0 to 100; 0: never.
   * MQTT 5. Default 3.
   */
  redirects: withDefault(integer(0, 100), 3),
  /**
   * Replaces the schedule that `reconnect` describes. Its input is the failure, and its end stops reconnecting. It is
   * code: JSON and the environment have no form for it. Default: as `reconnect` says.
   */
  reconnectSchedule: Schema.optionalKey(reconnectSchedule),
  /**
   * Answers credentials before each attempt to connect, and before they expire; see the module `Credentials`. What it
   * answers replaces the options of the same names. It is code, as `reconnectSchedule` is. Default: the options alone.
   */
  credentials: Schema.optionalKey(credentials),
  /**
   * Enhanced authentication (MQTT 4.12), see the module `Authentication`. It is code, as `reconnectSchedule` is. MQTT
   * 5. Default none.
   */
  authentication: Schema.optionalKey(authentication),
  /**
   * The reaction when the server has lost the session: subscribe again, or fail the streams with `SessionLost`. Default
   * `resubscribe`.
   */
  onSessionLost: withDefault(oneOf(["resubscribe", "fail"]), "resubscribe"),
  /** What then happens to unacknowledged messages. Default `resend`. */
  unacknowledgedOnSessionLost: withDefault(oneOf(["resend", "fail"]), "resend"),
  /**
   * The number of consecutive connections that the server ends because of one message or subscription before that one
   * fails with `PoisonMessage`; 0: never. Default 6.
   */
  poisonThreshold: withDefault(integer(0, 1000), 6),
  /**
   * What happens to publishes while the store of a durable session fails. `wait`: they wait, within the limits of the
   * queue. `fail`: they fail with `StorageFailed`, and the message is neither kept nor sent. What was accepted before
   * stays accepted either way. Default `wait`.
   */
  onStorageFailure: withDefault(oneOf(["wait", "fail"]), "wait"),
  /** The limits of the queue of outgoing messages. */
  queue: withDefault(queue, {}),
  /**
   * The memory that messages of the session may take, in bytes, including the cost of their properties: `queue.bytes`
   * for outgoing messages, and the rest for received ones until their consumers have finished with them. At least
   * `queue.bytes` and `maximumPacketSize` together. Default: `queue.bytes` plus the larger of 32 MiB and two packets of
   * `maximumPacketSize`; 64 MiB without both options.
   */
  memoryLimit: Schema.optionalKey(integer(1, Number.MAX_SAFE_INTEGER)),
  /**
   * The time limit of `publish`, and of `enqueue` until the message is accepted, including waits. Default: no limit.
   */
  publishTimeout: Schema.optionalKey(timeout),
  /** How long the network may accept no byte. Default 30 s. */
  writeTimeout: withDefault(timeout, 30_000),
  /**
   * How long the server may take to answer with SUBACK or UNSUBACK, and how long a topic filter that it refuses over a
   * quota (0x97) is sent again. Default 30 s.
   */
  subscribeTimeout: withDefault(timeout, 30_000),
  /** How many messages a stream buffers. Default 1000. */
  streamBuffer: withDefault(integer(1, 1_000_000), 1000),
  /** What happens when a QoS 0 message meets a full buffer. Default `dropOldest`. */
  onOverflow: withDefault(oneOf(["dropOldest", "suspend"]), "dropOldest"),
  /** How long the oldest unacknowledged message may block the receive window. Default 30 s. */
  ackDeadline: withDefault(timeout, 30_000),
  /** What happens after `ackDeadline`. Default `wait`. */
  onAckDeadline: withDefault(oneOf(["wait", "acknowledge", "reconnect"]), "wait"),
  /** What happens to messages of a resumed session that no stream consumes. */
  unclaimed: withDefault(unclaimed, {}),
  /** `auto` uses subscription identifiers if the server supports them (MQTT 3.8.2.1.2). Default `auto`. */
  subscriptionIdentifiers: withDefault(oneOf(["auto", "off"]), "auto"),
  /** Limits of the server that it does not announce in CONNACK. */
  serverLimits: withDefault(serverLimits, {}),
  /** How long `drain` may take. Default 10 s. */
  drainTimeout: withDefault(timeout, 10_000),
  /**
   * Spans for messages, with the trace context of the W3C in user properties (MQTT 5): `publish` writes it, and a
   * handler runs in a span `process` under that of the sender (`parent`) or linked to it (`link`). Default `off`.
   */
  tracing: withDefault(oneOf(["off", "link", "parent"]), "off"),
  /**
   * The memory of the flight record, in bytes: the last inputs of the session's engine, without payloads and secrets,
   * see `FlightRecorder`. 0: no record; otherwise at least 65,536. Default 0.
   */
  flightRecorder: withDefault(integer(0, 1_073_741_824), 0),
  /**
   * What the session writes to Effect's logger: failures and recoveries (`warnings`), every event (`all`), or nothing
   * (`off`); see `SessionLog`. Default: the setting of `SessionLog.layer`, otherwise `warnings`.
   */
  log: Schema.optionalKey(oneOf(["warnings", "all", "off"]))
}

/** Each option on its own, with its default. */
export interface Fields extends Schema.Struct.Type<typeof fields> {}

/** The options that are code. */
export const codeNames = ["reconnectSchedule", "credentials", "authentication"] as const

type CodeName = typeof codeNames[number]

/** The options that have a JSON form. */
type Configurable = Omit<typeof fields, CodeName>

/**
 * The JSON form of the options.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SessionOptionsEncoded extends Schema.Struct.Encoded<Configurable> {}

/** The options whose defaults follow from other options. */
type Computed = "sessionExpiry" | "memoryLimit"

/**
 * All options of a session, complete and checked.
 */
export interface SessionOptions
  extends Omit<Fields, Computed | "queue" | "webSocket">, Required<Pick<Fields, Computed>>
{
  /** The limits of the queue of outgoing messages. */
  readonly queue: QueueOptions
  /** The settings of WebSockets. */
  readonly webSocket: WebSocketOptions
}

/**
 * How long the session's state lives.
 *
 * - `none`: a clean session at every connect.
 * - `process`: a clean session at the first connect, resumed at every reconnect.
 * - `durable`: never clean; survives the process with a durable session store. The functions that require a
 *   `SessionStore` make such sessions, for example `MqttSession.layerDurable`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Persistence = Fields["persistence"]

/**
 * `SessionOptions` as a program writes them. Everything but the name and the servers has a default. `P` is the set of
 * values that `persistence` may have; with `never` the option is absent, and the function that makes the session
 * chooses it. `R` are the services that `credentials` and `authentication` need.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SessionOptionsInput<out P extends Persistence = Persistence, out R = never>
  extends Omit<InputOf<typeof fields>, "authentication" | "credentials" | "persistence">
{
  /** Answers credentials before each attempt to connect, see the module `Credentials`. Default: the options alone. */
  readonly credentials?: Provider<R> | undefined
  /** Enhanced authentication (MQTT 4.12), see the module `Authentication`. MQTT 5. Default none. */
  readonly authentication?: Authenticator<R> | undefined
  /** How long the session's state lives, see `Persistence`. Default `process`. */
  readonly persistence?: P | undefined
}

/** The names of all options that the environment can hold. */
export const names: ReadonlyArray<string> = Object.keys(fields).filter((name) =>
  !codeNames.some((each) => each === name)
)

/** Checks each option on its own. */
export const FieldsSchema: Group<Fields, SessionOptionsEncoded, unknown> = group(fields)
