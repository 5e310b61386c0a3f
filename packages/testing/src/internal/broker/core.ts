/**
 * The broker's state machine, which processes one packet after the other (MQTT 3 and 4), see `BrokerCore` for the
 * contract.
 */
import { sizeOf, type Violation } from "@effect-mqttx/core/Codec"
import {
  type Packet,
  pingresp,
  type Puback,
  type Pubcomp,
  type Publish,
  type Pubrec,
  type Pubrel,
  type Subscribe,
  type Unsubscribe
} from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { BrokerCore, CoreOptions, SessionView } from "./contract.ts"
import { makeFilterTree } from "./filterTree.ts"
import {
  disconnect,
  fail,
  forgetSession,
  makeConnection,
  onAuth,
  onClosed,
  onConnect,
  onDisconnect,
  refuse,
  setWritable,
  tick
} from "./lifecycle.ts"
import { defaultLimits } from "./limits.ts"
import { onPuback, onPubcomp, onPubrec, queueLength } from "./outbound.ts"
import * as ReasonCodes from "./reasonCodes.ts"
import { restore } from "./restore.ts"
import { deliverRetained, publish, subscribe, unsubscribe } from "./routing.ts"
import {
  acknowledgement,
  type Connection,
  isJournaled,
  messageProperties,
  send,
  senderOf,
  type Session,
  type State,
  type Subscription,
  takeOutputs,
  violation
} from "./state.ts"

export { defaultLimits }

const receiveOne = (state: State, connection: Connection, packet: Packet, now: number): void => {
  const { session } = connection
  if (session === undefined) {
    if (packet._tag === "Connect" && connection.connect === undefined) return onConnect(state, connection, packet, now)
    if (packet._tag === "Auth" && connection.exchange !== undefined) return onAuth(state, connection, packet, now)
    return fail(state, connection, ReasonCodes.protocolError, `${packet._tag} before CONNECT`, now)
  }
  const { maximumPacketSize } = connection.limits
  if (maximumPacketSize !== undefined && sizeOf(packet, connection.protocolVersion) > maximumPacketSize) {
    return fail(
      state,
      connection,
      ReasonCodes.packetTooLarge,
      `${packet._tag} of more than ${maximumPacketSize} bytes`,
      now
    )
  }
  const verdict = state.options.guard?.judge(senderOf(session, connection), packet, now)
  if (verdict?._tag === "Ignore") return
  if (verdict?._tag === "Disconnect") return fail(state, connection, verdict.reasonCode, verdict.detail, now)
  process(state, session, connection, verdict?.packet ?? packet, now)
}

const process = (state: State, session: Session, connection: Connection, packet: Packet, now: number): void => {
  let error: string | undefined
  switch (packet._tag) {
    case "Publish":
      return onPublish(state, session, connection, packet, now)
    case "Puback":
      error = onPuback(state, session, connection, packet, now)
      break
    case "Pubrec":
      error = onPubrec(state, session, connection, packet, now)
      break
    case "Pubcomp":
      error = onPubcomp(state, session, connection, packet, now)
      break
    case "Pubrel":
      return onPubrel(state, session, connection, packet, now)
    case "Subscribe":
      return onSubscribe(state, session, connection, packet, now)
    case "Unsubscribe":
      return onUnsubscribe(state, session, connection, packet)
    case "Auth":
      return onAuth(state, connection, packet, now)
    case "Pingreq":
      return send(state, connection, pingresp)
    case "Disconnect":
      return onDisconnect(state, connection, packet, now)
    default:
      error = `${packet._tag} from a client that is connected`
  }
  if (error !== undefined) fail(state, connection, ReasonCodes.protocolError, error, now)
}

const onPublish = (state: State, session: Session, connection: Connection, packet: Publish, now: number): void => {
  const { limits } = connection
  const { packetIdentifier, properties, qos } = packet
  const topic = resolveTopic(connection, packet)
  if (topic === undefined) {
    return fail(state, connection, ReasonCodes.topicAliasInvalid, "PUBLISH with a topic alias that is not valid", now)
  }
  if (qos > limits.maximumQoS) {
    return fail(state, connection, ReasonCodes.qosNotSupported, `PUBLISH with QoS ${qos}`, now)
  }
  if (packet.retain && !limits.retainAvailable) {
    return fail(state, connection, ReasonCodes.retainNotSupported, "PUBLISH with RETAIN", now)
  }
  if (properties.subscriptionIdentifiers !== undefined) {
    return fail(state, connection, ReasonCodes.protocolError, "PUBLISH with a subscription identifier", now)
  }
  if (qos === 0) {
    judgeAndAccept(state, session, connection, topic, packet, now)
    return
  }
  const { unacknowledged } = connection
  if (unacknowledged.has(packetIdentifier)) {
    violation(
      state,
      connection,
      0x91,
      `PUBLISH ${packetIdentifier} was sent again while the connection lasts`,
      false,
      now
    )
  } else {
    const receiveMaximum = connection.protocolVersion === 5 ? limits.receiveMaximum : limits.receiveMaximum311
    if (receiveMaximum !== undefined && unacknowledged.size >= receiveMaximum) {
      return fail(
        state,
        connection,
        ReasonCodes.receiveMaximumExceeded,
        `more than ${receiveMaximum} publishes are unacknowledged`,
        now
      )
    }
    unacknowledged.add(packetIdentifier)
  }
  if (qos === 1) {
    const reasonCode = judgeAndAccept(state, session, connection, topic, packet, now)
    return acknowledge(state, connection, acknowledgement("Puback", packetIdentifier, reasonCode))
  }
  if (session.received.has(packetIdentifier)) {
    if (!packet.dup) {
      violation(
        state,
        connection,
        0x91,
        `PUBLISH ${packetIdentifier} with DUP 0 although its identifier is in use`,
        false,
        now
      )
    }
    return acknowledge(state, connection, acknowledgement("Pubrec", packetIdentifier, 0))
  }
  const reasonCode = judgeAndAccept(state, session, connection, topic, packet, now)
  if (reasonCode < 0x80) {
    session.received.set(packetIdentifier, 0)
    if (isJournaled(state, session)) {
      state.entries.push({ _tag: "Received", clientId: session.clientId, packetIdentifier })
    }
  }
  acknowledge(state, connection, acknowledgement("Pubrec", packetIdentifier, reasonCode))
}

/** Undefined for an invalid alias (MQTT 3.3.2.3.4). */
const resolveTopic = (connection: Connection, packet: Publish): string | undefined => {
  const alias = packet.properties.topicAlias
  if (alias === undefined) return packet.topic
  if (alias === 0 || alias > connection.limits.topicAliasMaximum) return undefined
  if (packet.topic === "") return connection.aliasesIn.get(alias)
  connection.aliasesIn.set(alias, packet.topic)
  return packet.topic
}

const judgeAndAccept = (
  state: State,
  session: Session,
  connection: Connection,
  topic: string,
  packet: Publish,
  now: number
): number => {
  const judged = state.options.authorizePublish?.(connection, topic === packet.topic ? packet : { ...packet, topic }) ??
    0
  // 3.1.1 cannot refuse a publish: it is acknowledged and not delivered (MQTT 3.1.1, 3.3.5).
  if (judged >= 0x80) return connection.protocolVersion === 5 ? judged : 0
  const deliveries = accept(state, session, topic, packet, now)
  return deliveries === 0 && connection.protocolVersion === 5 ? ReasonCodes.noMatchingSubscribers : 0
}

const accept = (state: State, session: Session, topic: string, packet: Publish, now: number): number => {
  const { payload, properties, qos, retain } = packet
  const message = { topic, payload, qos, retain, properties: messageProperties(properties) }
  return publish(state, session.clientId, message, now).deliveries
}

const acknowledge = (state: State, connection: Connection, packet: Puback | Pubrec | Pubcomp): void => {
  const { holdAcknowledgement } = state.options
  if (holdAcknowledgement !== undefined && holdAcknowledgement(connection, packet)) {
    connection.held.push(packet)
    return
  }
  sendAcknowledgement(state, connection, packet)
}

const sendAcknowledgement = (state: State, connection: Connection, packet: Puback | Pubrec | Pubcomp): void => {
  if (packet._tag !== "Pubrec" || packet.reasonCode >= 0x80) connection.unacknowledged.delete(packet.packetIdentifier)
  if (packet._tag === "Pubrec" && packet.reasonCode < 0x80) {
    const session = connection.session!
    session.received.set(packet.packetIdentifier, ++session.recPosition)
  }
  send(state, connection, packet)
}

const onPubrel = (state: State, session: Session, connection: Connection, packet: Pubrel, now: number): void => {
  const { packetIdentifier } = packet
  const position = session.received.get(packetIdentifier)
  if (position === undefined) {
    const reasonCode = connection.protocolVersion === 5 ? ReasonCodes.packetIdentifierNotFound : 0
    return acknowledge(state, connection, acknowledgement("Pubcomp", packetIdentifier, reasonCode))
  }
  if (position > 0) {
    if (position < connection.lastPubrel) {
      violation(state, connection, 0x82, `PUBREL ${packetIdentifier} is out of order`, false, now)
    }
    connection.lastPubrel = position
  }
  session.received.delete(packetIdentifier)
  if (isJournaled(state, session)) {
    state.entries.push({ _tag: "Released", clientId: session.clientId, packetIdentifier })
  }
  acknowledge(state, connection, acknowledgement("Pubcomp", packetIdentifier, 0))
}

const onSubscribe = (state: State, session: Session, connection: Connection, packet: Subscribe, now: number): void => {
  const reasonCodes: Array<number> = []
  const retained: Array<Subscription> = []
  const identifier = packet.properties.subscriptionIdentifier ?? 0
  const { guard } = state.options
  for (const requested of packet.filters) {
    if (requested.noLocal && requested.filter.startsWith("$share/")) {
      return fail(state, connection, ReasonCodes.protocolError, "SUBSCRIBE with no local on a shared subscription", now)
    }
    const { reasonCode, subscription, wantsRetained } = subscribe(state, connection, session, requested, identifier)
    reasonCodes.push(reasonCode)
    if (wantsRetained && (guard?.bringsRetained(subscription!.plainFilter) ?? true)) retained.push(subscription!)
  }
  const { packetIdentifier } = packet
  const before = state.options.retainedBeforeSuback === true
  if (!before) send(state, connection, { _tag: "Suback", packetIdentifier, reasonCodes, properties: Properties.none })
  for (const subscription of retained) deliverRetained(state, subscription, now)
  if (before) send(state, connection, { _tag: "Suback", packetIdentifier, reasonCodes, properties: Properties.none })
}

const onUnsubscribe = (state: State, session: Session, connection: Connection, packet: Unsubscribe): void => {
  const codes = packet.filters.map((filter) => unsubscribe(state, session, filter))
  send(state, connection, {
    _tag: "Unsuback",
    packetIdentifier: packet.packetIdentifier,
    reasonCodes: connection.protocolVersion === 5 ? codes : [],
    properties: Properties.none
  })
}

const view = (session: Session): SessionView => ({
  clientId: session.clientId,
  protocolVersion: session.protocolVersion,
  connection: session.connection?.connection,
  sessionExpiryInterval: session.sessionExpiryInterval,
  subscriptions: [...session.subscriptions.values()].map(
    ({ filter, noLocal, qos, retainAsPublished, retainHandling, subscriptionIdentifier }) => ({
      filter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      subscriptionIdentifier
    })
  ),
  queued: queueLength(session),
  inflight: session.publishing.size + session.releasing.size,
  unreleased: [...session.received.keys()],
  will: session.will
})

export const makeBrokerCore = (options: CoreOptions, startedAt: number): BrokerCore => {
  const state: State = {
    options,
    limits: { ...defaultLimits, ...options.limits },
    connections: new Map(),
    sessions: new Map(),
    tree: makeFilterTree(),
    groups: new Map(),
    retained: new Map(),
    dirty: [],
    entries: [],
    deadline: Infinity,
    sequence: (options.firstSequence ?? 1) - 1,
    assignedClientIds: 0,
    outstanding: 0
  }
  if (options.journal !== undefined) restore(state, options.journal, startedAt)
  return {
    get limits() {
      return state.limits
    },
    setLimits: (limits) => {
      state.limits = { ...state.limits, ...limits }
    },
    connectionOpened: (id, now) => {
      state.connections.set(id, makeConnection(state, id, now))
    },
    receive: (id, packets, now) => {
      const connection = state.connections.get(id)
      // Bytes of an incomplete packet do not keep a connection alive (MQTT 3.1.2.10).
      if (connection === undefined || packets.length === 0) return
      connection.lastReceivedAt = now
      for (const packet of packets) {
        if (connection.closed) return
        receiveOne(state, connection, packet, now)
      }
    },
    malformed: (id: number, { detail, reasonCode }: Violation, now) => {
      const connection = state.connections.get(id)
      if (connection === undefined) return
      if (
        connection.session === undefined &&
        (reasonCode === ReasonCodes.unsupportedProtocolVersion || reasonCode === ReasonCodes.clientIdentifierNotValid)
      ) {
        violation(state, connection, reasonCode, detail, true, now)
        return refuse(state, connection, reasonCode)
      }
      fail(state, connection, reasonCode, detail, now)
    },
    connectionClosed: (id, now) => {
      const connection = state.connections.get(id)
      if (connection !== undefined) onClosed(state, connection, now)
    },
    setWritable: (id, writable, now) => {
      const connection = state.connections.get(id)
      if (connection !== undefined) setWritable(state, connection, writable, now)
    },
    take: () => takeOutputs(state),
    nextDeadline: () => state.deadline === Infinity ? undefined : state.deadline,
    tick: (now) => tick(state, now),
    publish: (message, now) => publish(state, undefined, message, now),
    disconnect: (id, reasonCode, now) => {
      const connection = state.connections.get(id)
      if (connection !== undefined) disconnect(state, connection, reasonCode, now)
    },
    forgetSession: (clientId) => forgetSession(state, clientId),
    releaseAcknowledgements: (id, choose) => {
      const connection = state.connections.get(id)
      if (connection === undefined) return 0
      const chosen = choose === undefined ? connection.held : choose(connection.held)
      connection.held = connection.held.filter((packet) => !chosen.includes(packet))
      for (const packet of chosen) sendAcknowledgement(state, connection, packet)
      return chosen.length
    },
    session: (clientId) => {
      const session = state.sessions.get(clientId)
      return session === undefined ? undefined : view(session)
    },
    sessions: () => [...state.sessions.values()].map(view),
    retained: () => [...state.retained.values()].map((publication) => publication.message),
    outstanding: () => state.outstanding,
    outstandingConnected: () => {
      let total = 0
      for (const { session } of state.connections.values()) {
        if (session !== undefined) total += queueLength(session) + session.publishing.size + session.releasing.size
      }
      return total
    }
  }
}
