/**
 * The interface of the scripted broker. `ScriptedBroker` exports it.
 */
import type { Packet, Tag } from "@effect-mqttx/core/Packet"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { Payload } from "@effect-mqttx/core/Publication"
import type { QoS } from "@effect-mqttx/core/QoS"
import type * as Transport from "@effect-mqttx/core/Transport"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { BrokerEndpoints } from "../../BrokerEndpoints.ts"
import type { ConnectionRecord, Direction, RecordedPacket } from "../../PacketRecord.ts"
import type {
  BrokerCoreOptions,
  BrokerLimits,
  ClientViolation,
  DeliveryOutcome,
  PublishedMessage,
  SessionView,
  SubscriptionView
} from "../broker/contract.ts"
import type { ProfileName } from "../profiles/contract.ts"
import type { Fault, ReleaseOrder } from "./fault.ts"

/**
 * A connection by the client identifier that it has now, or by its number.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Target = string | number

/**
 * Options of a scripted broker, all optional.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ScriptedBrokerOptions
  extends Omit<BrokerCoreOptions, "authenticate" | "holdAcknowledgement" | "onPublicationSettled" | "firstSequence">
{
  /**
   * The kind of server to behave like: its limits and quotas, its refusals and cuts, as its vendor documents them. The
   * `limits` and other options stand above those of the profile. Default: a server that grants everything.
   */
  readonly profile?: ProfileName
  /** Whether the quotas of the profile for one second are enforced. Default true. */
  readonly throttling?: boolean
  /**
   * User names and their passwords. Other users, and clients without a user name, are refused with 0x86. Default: every
   * client is accepted.
   */
  readonly users?: Readonly<Record<string, string>>
  /**
   * The number of packets that the record keeps, the newest ones: true all, false none. Also limits `published` and
   * `deliveries`. Default true.
   */
  readonly record?: boolean | number
  /** The seed of all random choices. Default 1. */
  readonly seed?: number
  /** Bytes that may wait for one client before QoS 0 messages to it are dropped. Default 16 MiB. */
  readonly maximumPendingBytes?: number
}

/**
 * Selects recorded packets. Absent fields match everything.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RecordMatch<T extends Tag = Tag> {
  /** `received` by the broker, or `sent` by it. */
  readonly direction?: Direction
  /** The type of the packet. */
  readonly packet?: T
  /** The client identifier. */
  readonly clientId?: string
  /** The number of the connection. */
  readonly connection?: number
  /** Any other condition. */
  readonly where?: (record: RecordedPacket) => boolean
  /** The n-th one, counted from 1. Default 1. */
  readonly nth?: number
  /** Count only packets from now on. Default false: packets in the record count too. */
  readonly fromNow?: boolean
}

/**
 * A recorded packet of a known type.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RecordedPacketOf<T extends Tag> extends RecordedPacket {
  /** The packet. */
  readonly packet: Extract<Packet, { readonly _tag: T }>
}

/**
 * Options of a message that the broker publishes itself. Default QoS 0, not retained, no properties.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ServerPublishOptions {
  /** The quality of service. Default 0. */
  readonly qos?: QoS
  /** Whether it is retained. Default false. */
  readonly retain?: boolean
  /** The MQTT 5 properties. Default: none. */
  readonly properties?: MessageProperties
}

/**
 * A message that the broker published itself.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ServerPublication {
  /** The message. */
  readonly message: PublishedMessage
  /** The number of sessions that it was delivered to. */
  readonly deliveries: number
  /** Waits until every delivery has ended, and returns the outcomes. */
  readonly settled: Effect.Effect<ReadonlyArray<DeliveryOutcome>>
}

/**
 * A fault in force.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface InjectedFault {
  /** The number of packets that it was applied to. */
  readonly hits: () => number
  /** Waits until it was applied to this many packets. Default 1. */
  readonly awaitHits: (count?: number) => Effect.Effect<void>
  /** Removes the fault. Packets that it withholds stay withheld. */
  readonly remove: Effect.Effect<void>
}

/**
 * Options of the random cutter.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface CutOptions {
  /** The number of packets (of both directions) on a connection before it is cut: the bounds of a random number. */
  readonly packets: readonly [minimum: number, maximum: number]
  /** The seed of the random numbers. */
  readonly seed: number
  /** The number of cuts after which it stops. Default unlimited. */
  readonly limit?: number
  /** Cut at CONNECT and CONNACK too. Default false. */
  readonly handshake?: boolean
  /** Only connections of this client. */
  readonly clientId?: string
}

/**
 * A running random cutter.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RunningCutter {
  /** The number of cuts so far. */
  readonly cuts: () => number
  /** Waits until there have been this many cuts. */
  readonly awaitCuts: (count: number) => Effect.Effect<void>
  /** Ends the cutting. */
  readonly stop: Effect.Effect<void>
}

/**
 * Selects the withheld packets to send: by default all of them, in their original order.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ReleaseOptions {
  /** The order of the packets. Default `original`. */
  readonly order?: ReleaseOrder
  /** The number of packets. Default: all. */
  readonly count?: number
}

/**
 * The number of times that a refusal is repeated. Default Infinity.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RefusalOptions {
  /** How many times. Default Infinity. */
  readonly times?: number
}

/**
 * The operations of a scripted broker. Queries are plain functions and current values. Commands are effects whose
 * action is complete when they succeed. A command dies with an `MqttError` for invalid arguments and options, because
 * these are mistakes of the test.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Service extends BrokerEndpoints {
  /** Connects in memory, whatever the requested address. */
  readonly transport: Transport.Transport

  /** The record, oldest first. */
  readonly packets: ReadonlyArray<RecordedPacket>
  /** Packets that clients sent and the broker processed or dropped by a fault. */
  readonly received: <T extends Tag>(packet: T, clientId?: string) => ReadonlyArray<RecordedPacketOf<T>>
  /** Packets that the broker sent. */
  readonly sent: <T extends Tag>(packet: T, clientId?: string) => ReadonlyArray<RecordedPacketOf<T>>
  /** Waits for a packet. Succeeds at once if the record already has it. */
  readonly awaitPacket: <T extends Tag = Tag>(match: RecordMatch<T>) => Effect.Effect<RecordedPacketOf<T>>
  /** All connections so far, oldest first. (With the record off, at least the newest 1000.) */
  readonly connections: ReadonlyArray<ConnectionRecord>
  /** The current connection of a client. */
  readonly connection: (target: Target) => ConnectionRecord | undefined
  /** Waits until this many connections have received an accepting CONNACK, over the life of the broker. */
  readonly awaitConnections: (count: number, clientId?: string) => Effect.Effect<void>
  /** Waits until no connection is open. */
  readonly awaitNoConnections: Effect.Effect<void>
  /** Waits until a condition on the broker holds. It is checked after every event. */
  readonly awaitUntil: (condition: () => boolean) => Effect.Effect<void>
  /** Messages that publishers published: in order, and exactly once for QoS 2. */
  readonly published: ReadonlyArray<PublishedMessage>
  /** How deliveries to sessions ended, in order. */
  readonly deliveries: ReadonlyArray<DeliveryOutcome>
  /** Protocol violations of clients, see `ClientViolation`. */
  readonly violations: ReadonlyArray<ClientViolation>
  /** Bytes of all clients. */
  readonly bytesReceived: number
  /** Bytes to all clients. */
  readonly bytesSent: number
  /** Clears the record, `published`, `deliveries` and `violations`. */
  readonly clearRecord: Effect.Effect<void>
  /** Turns recording on (true), off (false), or limits it. */
  readonly setRecord: (record: boolean | number) => Effect.Effect<void>

  /** All sessions, disconnected ones included. */
  readonly sessions: ReadonlyArray<SessionView>
  /** The session of a client; undefined: there is none. */
  readonly session: (clientId: string) => SessionView | undefined
  /** The subscriptions of a client. */
  readonly subscriptions: (clientId: string) => ReadonlyArray<SubscriptionView>
  /** Retained messages. */
  readonly retained: ReadonlyArray<PublishedMessage>
  /** Waits until no connected session has queued or unacknowledged messages. */
  readonly awaitIdle: Effect.Effect<void>

  /** Publishes as the server. Dies with an `MqttError` for an invalid topic or payload. */
  readonly publish: (
    topic: string,
    payload: Payload,
    options?: ServerPublishOptions
  ) => Effect.Effect<ServerPublication>
  /** Sends a packet that is not part of the broker's own state. */
  readonly sendPacket: (target: Target, packet: Packet) => Effect.Effect<void>
  /** Sends bytes as they are. */
  readonly sendRaw: (target: Target, bytes: Uint8Array) => Effect.Effect<void>
  /**
   * Closes a connection as a server does: DISCONNECT with this reason code (MQTT 5), then the end. Default 0x8B, server
   * shutting down.
   */
  readonly disconnect: (target: Target, reasonCode?: number) => Effect.Effect<void>
  /** Changes the limits of future connections. */
  readonly setLimits: (limits: Partial<BrokerLimits>) => Effect.Effect<void>
  /** Discards a session, like a server that lost it. */
  readonly forgetSession: (clientId: string) => Effect.Effect<boolean>

  /** Puts a fault in force. */
  readonly inject: (fault: Fault) => Effect.Effect<InjectedFault>
  /** Removes all faults and the cutter; withheld packets stay withheld. */
  readonly clearFaults: Effect.Effect<void>
  /** Ends a connection at once, without DISCONNECT. */
  readonly cut: (target: Target, options?: { readonly reset?: boolean }) => Effect.Effect<void>
  /** Cuts every connection after a random number of packets: before, after or (towards the client) inside a packet. */
  readonly cutEvery: (options: CutOptions) => Effect.Effect<RunningCutter>
  /** Sends withheld packets. Returns their number. */
  readonly release: (target: Target, options?: ReleaseOptions) => Effect.Effect<number>
  /** Makes the connection half open from now on: bytes are accepted, and nothing is answered. */
  readonly goSilent: (target: Target) => Effect.Effect<void>
  /** Reads nothing more of a connection, so that the client's writes accumulate. */
  readonly stopReading: (target: Target) => Effect.Effect<void>
  /** Ends `stopReading`. */
  readonly resumeReading: (target: Target) => Effect.Effect<void>
  /** Refuses CONNECT with a reason code of MQTT 5 (translated for 3.1.1) or a return code of 3.1.1. */
  readonly refuseConnect: (
    reasonCode: number,
    options?: RefusalOptions & { readonly clientId?: string }
  ) => Effect.Effect<void>
  /** Refuses publishes on topics that the filter matches. */
  readonly refusePublish: (filter: string, reasonCode: number, options?: RefusalOptions) => Effect.Effect<void>
  /** Refuses subscriptions to this filter, and to filters that it covers. */
  readonly refuseSubscribe: (filter: string, reasonCode: number, options?: RefusalOptions) => Effect.Effect<void>
  /** Removes the refusals of the three commands above. */
  readonly clearRefusals: Effect.Effect<void>
  /** Refuses network connections until `acceptNetwork`. Existing connections continue. */
  readonly refuseNetwork: Effect.Effect<void>
  /** Ends `refuseNetwork`. */
  readonly acceptNetwork: Effect.Effect<void>
  /** Refuses network connections for a while, by Effect's Clock, and succeeds when they are accepted again. */
  readonly refuseNetworkFor: (duration: Duration.Input) => Effect.Effect<void>
  /**
   * Kills the broker: connections are reset, network connections are refused, and state outside the journal is lost.
   */
  readonly crash: Effect.Effect<void>
  /** Starts the broker after `crash`, with the content of the journal. */
  readonly start: Effect.Effect<void>
  /** `crash`, then `start`. */
  readonly restart: Effect.Effect<void>
}

/**
 * Options of a broker that listens.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions extends ScriptedBrokerOptions {
  /** Listen for WebSockets too, on a port of their own (path `/mqtt`). Default false. */
  readonly webSocket?: boolean
}
