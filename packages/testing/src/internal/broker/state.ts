/**
 * The broker's state, and the operations that all its parts share: queue a packet, write the journal, close.
 */
import type {
  Connect,
  Packet,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  SubscribeFilter,
  Will
} from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import type { JournalEntry } from "../../Journal.ts"
import type {
  BrokerLimits,
  ClientInfo,
  ConnectionOutput,
  CoreOptions,
  DeliveryOutcome,
  Publication,
  PublishedMessage
} from "./contract.ts"
import type { FilterTree } from "./filterTree.ts"
import type { Sender } from "./guard.ts"

export interface TrackedPublication extends Publication {
  deliveries: number
  outstanding: number
  /** The message is in the journal. */
  journaled: boolean
}

/**
 * A message on its way to one session.
 */
export interface Outgoing {
  readonly publication: TrackedPublication
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: ReadonlyArray<number>
  /** Unique in the session. */
  readonly delivery: number
  packetIdentifier: number
  /** The connection on which it was sent last; 0: not sent in this life of the broker. */
  sentOn: number
  /** Position among the publishes of that connection. */
  position: number
}

export interface Subscription extends SubscribeFilter {
  readonly session: Session
  /** The filter without `$share/name/`. */
  readonly plainFilter: string
  readonly share: string | undefined
  readonly subscriptionIdentifier: number
}

/**
 * The members of one shared subscription. `turn` is the index of the next one.
 */
export interface ShareGroup {
  readonly members: Array<Subscription>
  turn: number
}

export type Route = Subscription | ShareGroup

export interface Session {
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
  /** Seconds; Infinity: never. */
  sessionExpiryInterval: number
  connection: Connection | undefined
  readonly subscriptions: Map<string, Subscription>
  queue: Array<Outgoing>
  queueHead: number
  /** By packet identifier, in the order of the first sending. */
  readonly publishing: Map<number, Outgoing>
  /** By packet identifier, in the order in which PUBREC arrived. */
  readonly releasing: Map<number, Outgoing>
  /** Publishes of earlier connections that are to be sent again, in order. */
  resend: Array<Outgoing>
  /**
   * QoS 2 packet identifiers from the client that are not released, with the position of the last PUBREC.
   */
  readonly received: Map<number, number>
  /**
   * Counts the PUBRECs of the session. PUBRELs on a resumed connection also answer those of earlier connections, in
   * this order.
   */
  recPosition: number
  nextPacketIdentifier: number
  nextDelivery: number
  will: Will | undefined
  /** The time when the delayed will is due. */
  willAt: number
  /** The time when the session ends. */
  endsAt: number
}

/** The exchange in progress on a connection. */
export interface Exchange {
  readonly method: string
  readonly isRenewal: boolean
  /** Number of packets of the client so far. */
  round: number
}

export interface Connection extends ClientInfo {
  readonly connection: number
  clientId: string
  protocolVersion: ProtocolVersion
  username: string | undefined
  /** Undefined before CONNECT. */
  session: Session | undefined
  limits: BrokerLimits
  connect: Connect | undefined
  /** The enhanced authentication in progress. */
  exchange: Exchange | undefined
  /** Milliseconds of silence that are allowed; 0: no limit. */
  patience: number
  lastReceivedAt: number
  /** The client's Receive Maximum. */
  receiveMaximum: number
  maximumPacketSize: number | undefined
  topicAliasMaximum: number
  readonly aliasesIn: Map<number, string>
  readonly aliasesOut: Map<string, number>
  /** Unacknowledged publishes from the client. */
  readonly unacknowledged: Set<number>
  held: Array<Puback | Pubrec | Pubcomp>
  writable: boolean
  packets: Array<Packet>
  dirty: boolean
  closed: boolean
  /**
   * Counts the publishes sent, and holds the position of the last acknowledged ones, to detect acknowledgements out of
   * order.
   */
  position: number
  lastPuback: number
  lastPubrec: number
  lastPubrel: number
}

export interface State {
  readonly options: CoreOptions
  limits: BrokerLimits
  readonly connections: Map<number, Connection>
  readonly sessions: Map<string, Session>
  readonly tree: FilterTree<Route>
  readonly groups: Map<string, ShareGroup>
  readonly retained: Map<string, TrackedPublication>
  dirty: Array<Connection>
  entries: Array<JournalEntry>
  /** A lower bound of the next deadline; Infinity: none. */
  deadline: number
  sequence: number
  assignedClientIds: number
  outstanding: number
}

export const noIdentifiers: ReadonlyArray<number> = []

export const senderOf = (session: Session, { connection, protocolVersion }: Connection): Sender => ({
  connection,
  clientId: session.clientId,
  protocolVersion,
  subscriptions: session.subscriptions
})

/**
 * Appends a packet to the output of the connection.
 */
export const send = (state: State, connection: Connection, packet: Packet): void => {
  connection.packets.push(packet)
  if (!connection.dirty) {
    connection.dirty = true
    state.dirty.push(connection)
  }
}

export const takeOutputs = (state: State): ReadonlyArray<ConnectionOutput> => {
  if (state.entries.length > 0) {
    const entries = state.entries
    state.entries = []
    state.options.journal!.append(entries)
  }
  if (state.dirty.length === 0) return noOutputs
  const dirty = state.dirty
  state.dirty = []
  const outputs: Array<ConnectionOutput> = []
  for (const connection of dirty) {
    outputs.push({ connection: connection.connection, packets: connection.packets, close: connection.closed })
    connection.packets = []
    connection.dirty = false
  }
  return outputs
}

const noOutputs: ReadonlyArray<ConnectionOutput> = []

/**
 * Whether the session's changes are written to the journal: the session would survive the loss of its connection, and
 * was not discarded.
 */
export const isJournaled = (state: State, session: Session): boolean =>
  state.options.journal !== undefined && session.sessionExpiryInterval > 0 &&
  state.sessions.get(session.clientId) === session

export const journalMessage = (state: State, publication: TrackedPublication): number => {
  if (!publication.journaled) {
    publication.journaled = true
    state.entries.push({ _tag: "Message", ...publication.message })
  }
  return publication.message.sequence
}

export const sessionEntry = (session: Session): JournalEntry => ({
  _tag: "Session",
  clientId: session.clientId,
  protocolVersion: session.protocolVersion,
  sessionExpiryInterval: session.sessionExpiryInterval === Infinity ? undefined : session.sessionExpiryInterval,
  will: session.will
})

export const arm = (state: State, at: number): void => {
  if (at < state.deadline) state.deadline = at
}

/**
 * One delivery has ended.
 */
export const settle = (
  state: State,
  session: Session,
  publication: TrackedPublication,
  qos: QoS,
  outcome: DeliveryOutcome["outcome"],
  reasonCode: number
): void => {
  state.outstanding--
  publication.outstanding--
  const { onDelivery, onPublicationSettled } = state.options
  if (onDelivery !== undefined) {
    onDelivery({ message: publication.message, clientId: session.clientId, qos, outcome, reasonCode })
  }
  if (publication.outstanding === 0 && onPublicationSettled !== undefined) onPublicationSettled(publication)
}

export const violation = (
  state: State,
  connection: Connection,
  reasonCode: number,
  detail: string,
  fatal: boolean,
  now: number
): void => {
  state.options.onViolation?.({
    at: now,
    connection: connection.connection,
    clientId: connection.clientId,
    reasonCode,
    detail,
    fatal
  })
}

export const makePublication = (message: PublishedMessage): TrackedPublication => ({
  message,
  deliveries: 0,
  outstanding: 0,
  journaled: false,
  owner: undefined
})

/**
 * The properties of a publish that belong to the message and are forwarded with it.
 */
export const messageProperties = (properties: Publish["properties"]): Publish["properties"] => {
  if (properties.topicAlias === undefined && properties.subscriptionIdentifiers === undefined) return properties
  const { topicAlias: _alias, subscriptionIdentifiers: _identifiers, ...rest } = properties
  return rest
}

export const acknowledgement = <Tag extends "Puback" | "Pubrec" | "Pubrel" | "Pubcomp">(
  _tag: Tag,
  packetIdentifier: number,
  reasonCode: number
): { _tag: Tag; packetIdentifier: number; reasonCode: number; properties: typeof Properties.none } => ({
  _tag,
  packetIdentifier,
  reasonCode,
  properties: Properties.none
})
