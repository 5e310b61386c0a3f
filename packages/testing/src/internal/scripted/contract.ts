/**
 * What the scripted broker does for tests; ScriptedBroker exports it.
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
import type { Fault, ReleaseOrder } from "./fault.ts"

/**
 * A connection by its client identifier (the one it has now) or by its number.
 */
export type Target = string | number

/**
 * Options of a scripted broker, all optional.
 */
export interface ScriptedBrokerOptions
  extends Omit<BrokerCoreOptions, "authenticate" | "holdAcknowledgement" | "onPublicationSettled" | "firstSequence">
{
  /**
   * User names and their passwords: others are refused with 0x86, clients without a user name too. Default: everybody
   * is welcome.
   */
  readonly users?: Readonly<Record<string, string>>
  /**
   * Packets that the record keeps, the newest ones: true all, false none; limits `published` and `deliveries` too.
   * Default true.
   */
  readonly record?: boolean | number
  /** The seed of everything that is random. Default 1. */
  readonly seed?: number
  /** Bytes that may wait for one client before QoS 0 messages to it are dropped. Default 16 MiB. */
  readonly maximumPendingBytes?: number
}

/**
 * Which recorded packets are meant. Absent fields match everything.
 */
export interface RecordMatch<T extends Tag = Tag> {
  readonly direction?: Direction
  readonly packet?: T
  readonly clientId?: string
  readonly connection?: number
  readonly where?: (record: RecordedPacket) => boolean
  /** The n-th one, counted from 1. Default 1. */
  readonly nth?: number
  /** Count only packets from now on; default false: what is in the record counts too. */
  readonly fromNow?: boolean
}

/**
 * A recorded packet of a known type.
 */
export interface RecordedPacketOf<T extends Tag> extends RecordedPacket {
  readonly packet: Extract<Packet, { readonly _tag: T }>
}

/**
 * Options of a message that the broker publishes itself. Default QoS 0, not retained, no properties.
 */
export interface ServerPublishOptions {
  readonly qos?: QoS
  readonly retain?: boolean
  readonly properties?: MessageProperties
}

/**
 * A message that the broker published itself.
 */
export interface ServerPublication {
  readonly message: PublishedMessage
  /** How many sessions it went to. */
  readonly deliveries: number
  /** Waits until every delivery has ended, and tells how. */
  readonly settled: Effect.Effect<ReadonlyArray<DeliveryOutcome>>
}

/**
 * A fault in force.
 */
export interface InjectedFault {
  /** Packets that it has hit. */
  readonly hits: () => number
  /** Waits until it has hit this many packets; default 1. */
  readonly awaitHits: (count?: number) => Effect.Effect<void>
  readonly remove: Effect.Effect<void>
}

/**
 * When connections are cut.
 */
export interface CutOptions {
  /** Packets (of both directions) of a connection before it is cut: the bounds of a random number. */
  readonly packets: readonly [minimum: number, maximum: number]
  readonly seed: number
  /** Cuts after which it stops; default unlimited. */
  readonly limit?: number
  /** Cut at CONNECT and CONNACK too; default false. */
  readonly handshake?: boolean
  /** Only connections of this client. */
  readonly clientId?: string
}

/**
 * A random cutter at work.
 */
export interface RunningCutter {
  readonly cuts: () => number
  readonly awaitCuts: (count: number) => Effect.Effect<void>
  readonly stop: Effect.Effect<void>
}

/**
 * Which withheld packets go out: by default all of them, in their original order.
 */
export interface ReleaseOptions {
  readonly order?: ReleaseOrder
  readonly count?: number
}

/**
 * How often a refusal is repeated; default Infinity.
 */
export interface RefusalOptions {
  readonly times?: number
}

/**
 * What a scripted broker does. Queries are plain functions and values of this moment; commands are effects that have
 * acted when they succeed. A command dies with an `MqttError` for arguments and options that are wrong, since these are
 * mistakes of the test.
 */
export interface Service extends BrokerEndpoints {
  /** Connects in memory, whatever address is asked for. */
  readonly transport: Transport.Transport

  /** The record, oldest first. */
  readonly packets: ReadonlyArray<RecordedPacket>
  /** Packets that clients sent and the broker processed or dropped by a fault. */
  readonly received: <T extends Tag>(packet: T, clientId?: string) => ReadonlyArray<RecordedPacketOf<T>>
  /** Packets that the broker sent. */
  readonly sent: <T extends Tag>(packet: T, clientId?: string) => ReadonlyArray<RecordedPacketOf<T>>
  /** Waits for a packet that is in the record already, or comes. */
  readonly awaitPacket: <T extends Tag = Tag>(match: RecordMatch<T>) => Effect.Effect<RecordedPacketOf<T>>
  /** All connections so far, oldest first. (With the record off, at least the newest 1000.) */
  readonly connections: ReadonlyArray<ConnectionRecord>
  /** The connection that a client has now. */
  readonly connection: (target: Target) => ConnectionRecord | undefined
  /** Waits until this many connections have got a CONNACK that accepts, over the life of the broker. */
  readonly awaitConnections: (count: number, clientId?: string) => Effect.Effect<void>
  /** Waits until no connection is open. */
  readonly awaitNoConnections: Effect.Effect<void>
  /** Waits until a condition on the broker holds, looked at after everything that happens. */
  readonly awaitUntil: (condition: () => boolean) => Effect.Effect<void>
  /** Messages that publishers published: in order, and exactly once for QoS 2. */
  readonly published: ReadonlyArray<PublishedMessage>
  /** How deliveries to sessions ended, in order. */
  readonly deliveries: ReadonlyArray<DeliveryOutcome>
  /** Mistakes of clients, see `ClientViolation`. */
  readonly violations: ReadonlyArray<ClientViolation>
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Forgets the record, `published`, `deliveries` and `violations`. */
  readonly clearRecord: Effect.Effect<void>
  /** Turns recording on (true), off (false), or limits it. */
  readonly setRecord: (record: boolean | number) => Effect.Effect<void>

  readonly sessions: ReadonlyArray<SessionView>
  readonly session: (clientId: string) => SessionView | undefined
  readonly subscriptions: (clientId: string) => ReadonlyArray<SubscriptionView>
  readonly retained: ReadonlyArray<PublishedMessage>
  /** Waits until connected sessions have nothing queued and nothing in flight. */
  readonly awaitIdle: Effect.Effect<void>

  /** Publishes as the server. Dies with an `MqttError` for a topic or a payload that is none. */
  readonly publish: (
    topic: string,
    payload: Payload,
    options?: ServerPublishOptions
  ) => Effect.Effect<ServerPublication>
  /** Sends a packet that the broker's own state knows nothing about. */
  readonly sendPacket: (target: Target, packet: Packet) => Effect.Effect<void>
  readonly sendRaw: (target: Target, bytes: Uint8Array) => Effect.Effect<void>
  /**
   * Closes a connection as a server does: DISCONNECT with this reason code (MQTT 5), end. Default 0x8B, server shutting
   * down.
   */
  readonly disconnect: (target: Target, reasonCode?: number) => Effect.Effect<void>
  /** For connections from now on. */
  readonly setLimits: (limits: Partial<BrokerLimits>) => Effect.Effect<void>
  /** Forgets a session, as a server that lost it. */
  readonly forgetSession: (clientId: string) => Effect.Effect<boolean>

  readonly inject: (fault: Fault) => Effect.Effect<InjectedFault>
  /** Removes all faults and the cutter; withheld packets stay withheld. */
  readonly clearFaults: Effect.Effect<void>
  /** Ends a connection without a word, now. */
  readonly cut: (target: Target, options?: { readonly reset?: boolean }) => Effect.Effect<void>
  /** Cuts every connection after a random number of packets: before, after or (towards the client) inside a packet. */
  readonly cutEvery: (options: CutOptions) => Effect.Effect<RunningCutter>
  /** Sends withheld packets; answers how many. */
  readonly release: (target: Target, options?: ReleaseOptions) => Effect.Effect<number>
  /** Half open from now on: bytes are taken, and nothing is answered. */
  readonly goSilent: (target: Target) => Effect.Effect<void>
  readonly stopReading: (target: Target) => Effect.Effect<void>
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
  /** Accepts everything again that was refused by the three commands above. */
  readonly clearRefusals: Effect.Effect<void>
  /** Refuses network connections until `acceptNetwork`; those that exist go on. */
  readonly refuseNetwork: Effect.Effect<void>
  readonly acceptNetwork: Effect.Effect<void>
  /** Refuses network connections for a while, by Effect's Clock, and succeeds when they are accepted again. */
  readonly refuseNetworkFor: (duration: Duration.Input) => Effect.Effect<void>
  /**
   * Kills the broker: connections are reset, network connections refused, and state that is not in the journal is gone.
   */
  readonly crash: Effect.Effect<void>
  /** Starts it again after `crash`, with what the journal holds. */
  readonly start: Effect.Effect<void>
  /** `crash`, then `start`. */
  readonly restart: Effect.Effect<void>
}

/**
 * Options of a broker that listens.
 */
export interface ListenOptions extends ScriptedBrokerOptions {
  /** Listen for WebSockets too, on a port of their own (path `/mqtt`). Default false. */
  readonly webSocket?: boolean
}
