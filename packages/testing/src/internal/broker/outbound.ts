/**
 * Messages to clients: the queue, the window, and the sender's side of QoS 1 and 2 (MQTT 4.3, 4.4, 4.6, 4.9).
 */
import { sizeOf } from "@effect-mqttx/core/Codec"
import type { Puback, Pubcomp, Publish, Pubrec } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as ReasonCodes from "./reasonCodes.ts"
import {
  acknowledgement,
  type Connection,
  isJournaled,
  journalMessage,
  type Outgoing,
  send,
  type Session,
  settle,
  type State,
  type TrackedPublication,
  violation
} from "./state.ts"

export const queueLength = (session: Session): number => session.queue.length - session.queueHead

const pushQueue = (session: Session, outgoing: Outgoing): void => {
  session.queue.push(outgoing)
}

const shiftQueue = (session: Session): Outgoing => {
  const outgoing = session.queue[session.queueHead++]!
  if (session.queueHead > 1024 && session.queueHead * 2 > session.queue.length) {
    session.queue = session.queue.slice(session.queueHead)
    session.queueHead = 0
  }
  return outgoing
}

/**
 * Adds a message for one session: it is sent at once if the window allows, and queued otherwise.
 */
export const deliver = (
  state: State,
  session: Session,
  publication: TrackedPublication,
  qos: QoS,
  retain: boolean,
  subscriptionIdentifiers: ReadonlyArray<number>,
  now: number
): void => {
  publication.deliveries++
  publication.outstanding++
  state.outstanding++
  const { connection } = session
  if (qos === 0) {
    if (connection !== undefined) {
      return deliverAtMostOnce(state, session, connection, publication, retain, subscriptionIdentifiers, now)
    }
    if (state.options.queueQoS0 !== true) return settle(state, session, publication, 0, "Dropped", 0)
  }
  if (queueLength(session) >= state.limits.maximumQueued) {
    return settle(state, session, publication, qos, "Dropped", 0x97)
  }
  const outgoing: Outgoing = {
    publication,
    qos,
    retain,
    subscriptionIdentifiers,
    delivery: session.nextDelivery++,
    packetIdentifier: 0,
    sentOn: 0,
    position: 0
  }
  pushQueue(session, outgoing)
  if (isJournaled(state, session)) {
    const message = journalMessage(state, publication)
    state.entries.push({
      _tag: "Queued",
      clientId: session.clientId,
      delivery: outgoing.delivery,
      message,
      qos,
      retain,
      subscriptionIdentifiers
    })
  }
  if (connection !== undefined) pump(state, session, connection, now)
}

const deliverAtMostOnce = (
  state: State,
  session: Session,
  connection: Connection,
  publication: TrackedPublication,
  retain: boolean,
  subscriptionIdentifiers: ReadonlyArray<number>,
  now: number
): void => {
  if (!connection.writable) return settle(state, session, publication, 0, "Dropped", 0)
  if (isExpired(publication, now)) return settle(state, session, publication, 0, "Expired", 0)
  const packet = makePublish(connection, publication, 0, retain, false, 0, subscriptionIdentifiers, now)
  if (isTooLarge(connection, packet)) return settle(state, session, publication, 0, "Dropped", 0x95)
  send(state, connection, withAlias(state, connection, packet))
  settle(state, session, publication, 0, "Sent", 0)
}

const isExpired = (publication: TrackedPublication, now: number): boolean =>
  publication.message.expiresAt !== undefined && publication.message.expiresAt <= now

const isTooLarge = (connection: Connection, packet: Publish): boolean =>
  connection.maximumPacketSize !== undefined &&
  sizeOf(packet, connection.protocolVersion) > connection.maximumPacketSize

const makePublish = (
  connection: Connection,
  publication: TrackedPublication,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetIdentifier: number,
  subscriptionIdentifiers: ReadonlyArray<number>,
  now: number
): Publish => {
  const { expiresAt, payload, properties, topic } = publication.message
  let sent: Publish["properties"] = Properties.none
  if (connection.protocolVersion === 5) {
    sent = properties
    if (subscriptionIdentifiers.length > 0) sent = { ...sent, subscriptionIdentifiers }
    if (expiresAt !== undefined) {
      // MQTT 3.3.2.3.3: the interval is reduced by the time that the message has waited here.
      sent = { ...sent, messageExpiryInterval: Math.max(1, Math.ceil((expiresAt - now) / 1000)) }
    }
  }
  return { _tag: "Publish", topic, payload, qos, retain, dup, packetIdentifier, properties: sent }
}

const withAlias = (state: State, connection: Connection, packet: Publish): Publish => {
  if (state.options.assignTopicAliases !== true || connection.topicAliasMaximum === 0) return packet
  const known = connection.aliasesOut.get(packet.topic)
  if (known !== undefined) return { ...packet, topic: "", properties: { ...packet.properties, topicAlias: known } }
  if (connection.aliasesOut.size >= connection.topicAliasMaximum) return packet
  const topicAlias = connection.aliasesOut.size + 1
  connection.aliasesOut.set(packet.topic, topicAlias)
  return { ...packet, properties: { ...packet.properties, topicAlias } }
}

/**
 * Sends as many messages as the window allows: first the publishes of earlier connections, then the queue.
 *
 * A message in the PUBREL stage occupies a place until its PUBCOMP, across connections too. This satisfies both
 * readings: that of MQTT 4.9 (the quota restarts with the connection) and that of 3.3.4-9 (never more than Receive
 * Maximum without PUBCOMP).
 */
export const pump = (state: State, session: Session, connection: Connection, now: number): void => {
  if (!connection.writable) return
  const window = Math.min(connection.receiveMaximum, connection.limits.maximumInflight)
  while (session.publishing.size - session.resend.length + session.releasing.size < window) {
    const again = session.resend.shift()
    if (again !== undefined) {
      sendPublish(state, connection, again, true, now)
      continue
    }
    if (session.queueHead === session.queue.length) return
    const next = session.queue[session.queueHead]!
    if (isExpired(next.publication, now)) {
      shiftQueue(session)
      finish(state, session, next, "Expired", 0)
      continue
    }
    if (next.qos === 0) {
      shiftQueue(session)
      sendQueuedAtMostOnce(state, session, connection, next, now)
      continue
    }
    if (!assignPacketIdentifier(session, next)) return
    shiftQueue(session)
    session.publishing.set(next.packetIdentifier, next)
    if (isJournaled(state, session)) {
      const { delivery, packetIdentifier } = next
      state.entries.push({ _tag: "Sent", clientId: session.clientId, delivery, packetIdentifier })
    }
    sendPublish(state, connection, next, false, now)
  }
}

const sendQueuedAtMostOnce = (
  state: State,
  session: Session,
  connection: Connection,
  outgoing: Outgoing,
  now: number
): void => {
  const packet = makePublish(
    connection,
    outgoing.publication,
    0,
    outgoing.retain,
    false,
    0,
    outgoing.subscriptionIdentifiers,
    now
  )
  if (isTooLarge(connection, packet)) return finish(state, session, outgoing, "Dropped", 0x95)
  send(state, connection, withAlias(state, connection, packet))
  finish(state, session, outgoing, "Sent", 0)
}

const sendPublish = (state: State, connection: Connection, outgoing: Outgoing, dup: boolean, now: number): void => {
  const { packetIdentifier, publication, qos, retain, subscriptionIdentifiers } = outgoing
  const packet = makePublish(connection, publication, qos, retain, dup, packetIdentifier, subscriptionIdentifiers, now)
  if (isTooLarge(connection, packet)) {
    // MQTT 3.1.2-25: discarded, and then treated as delivered.
    const session = connection.session!
    session.publishing.delete(packetIdentifier)
    return finish(state, session, outgoing, "Dropped", 0x95)
  }
  outgoing.sentOn = connection.connection
  outgoing.position = ++connection.position
  send(state, connection, withAlias(state, connection, packet))
}

const assignPacketIdentifier = (session: Session, outgoing: Outgoing): boolean => {
  for (let tries = 0; tries < 65_535; tries++) {
    const candidate = session.nextPacketIdentifier
    session.nextPacketIdentifier = candidate === 65_535 ? 1 : candidate + 1
    if (!session.publishing.has(candidate) && !session.releasing.has(candidate)) {
      outgoing.packetIdentifier = candidate
      return true
    }
  }
  return false
}

const finish = (
  state: State,
  session: Session,
  outgoing: Outgoing,
  outcome: "Sent" | "Acknowledged" | "Refused" | "Expired" | "Dropped",
  reasonCode: number
): void => {
  if (isJournaled(state, session)) {
    state.entries.push({ _tag: "Done", clientId: session.clientId, delivery: outgoing.delivery })
  }
  settle(state, session, outgoing.publication, outgoing.qos, outcome, reasonCode)
}

/**
 * Starts a resumed connection: PUBREL is sent again at once, PUBLISH (with DUP) as the window of this connection
 * allows, both in their original order (MQTT 4.4, 4.6).
 */
export const resume = (state: State, session: Session, connection: Connection, now: number): void => {
  for (const packetIdentifier of session.releasing.keys()) {
    send(state, connection, acknowledgement("Pubrel", packetIdentifier, 0))
  }
  session.resend = [...session.publishing.values()]
  pump(state, session, connection, now)
}

/** Removes a publish that was acknowledged although it still waits to be sent again on this connection. */
const dropResend = (session: Session, connection: Connection, outgoing: Outgoing): void => {
  if (outgoing.sentOn === connection.connection) return
  const index = session.resend.indexOf(outgoing)
  if (index >= 0) session.resend.splice(index, 1)
}

/**
 * Each handler returns a protocol error that closes the connection, or undefined.
 */
export const onPuback = (
  state: State,
  session: Session,
  connection: Connection,
  packet: Puback,
  now: number
): string | undefined => {
  const outgoing = session.publishing.get(packet.packetIdentifier)
  // An acknowledgement without a matching packet identifier is no error in MQTT 5 (4.13 does not list it), nor in
  // 3.1.1.
  if (outgoing === undefined) return undefined
  if (outgoing.qos !== 1) return `PUBACK ${packet.packetIdentifier} for a QoS 2 PUBLISH`
  if (outgoing.sentOn === connection.connection) {
    if (outgoing.position < connection.lastPuback) {
      violation(state, connection, 0x82, `PUBACK ${packet.packetIdentifier} is out of order`, false, now)
    }
    connection.lastPuback = outgoing.position
  }
  session.publishing.delete(packet.packetIdentifier)
  dropResend(session, connection, outgoing)
  finish(state, session, outgoing, packet.reasonCode >= 0x80 ? "Refused" : "Acknowledged", packet.reasonCode)
  pump(state, session, connection, now)
  return undefined
}

export const onPubrec = (
  state: State,
  session: Session,
  connection: Connection,
  packet: Pubrec,
  now: number
): string | undefined => {
  const { packetIdentifier } = packet
  const outgoing = session.publishing.get(packetIdentifier)
  if (outgoing === undefined) {
    if (packet.reasonCode >= 0x80) return undefined
    const known = session.releasing.has(packetIdentifier)
    const reasonCode = known || session.protocolVersion !== 5 ? 0 : ReasonCodes.packetIdentifierNotFound
    send(state, connection, acknowledgement("Pubrel", packetIdentifier, reasonCode))
    return undefined
  }
  if (outgoing.qos !== 2) return `PUBREC ${packetIdentifier} for a QoS 1 PUBLISH`
  if (outgoing.sentOn === connection.connection) {
    if (outgoing.position < connection.lastPubrec) {
      violation(state, connection, 0x82, `PUBREC ${packetIdentifier} is out of order`, false, now)
    }
    connection.lastPubrec = outgoing.position
  }
  session.publishing.delete(packetIdentifier)
  dropResend(session, connection, outgoing)
  if (packet.reasonCode >= 0x80) {
    finish(state, session, outgoing, "Refused", packet.reasonCode)
    pump(state, session, connection, now)
    return undefined
  }
  session.releasing.set(packetIdentifier, outgoing)
  if (isJournaled(state, session)) {
    state.entries.push({ _tag: "Releasing", clientId: session.clientId, delivery: outgoing.delivery })
  }
  send(state, connection, acknowledgement("Pubrel", packetIdentifier, 0))
  return undefined
}

export const onPubcomp = (
  state: State,
  session: Session,
  connection: Connection,
  packet: Pubcomp,
  now: number
): string | undefined => {
  const outgoing = session.releasing.get(packet.packetIdentifier)
  if (outgoing === undefined) {
    return session.publishing.has(packet.packetIdentifier)
      ? `PUBCOMP ${packet.packetIdentifier} for a PUBLISH that was not released`
      : undefined
  }
  session.releasing.delete(packet.packetIdentifier)
  finish(state, session, outgoing, packet.reasonCode >= 0x80 ? "Refused" : "Acknowledged", packet.reasonCode)
  pump(state, session, connection, now)
  return undefined
}

/**
 * Settles all remaining deliveries of the session.
 */
export const abandon = (state: State, session: Session): void => {
  const { publishing, queue, releasing } = session
  const left = [...releasing.values(), ...publishing.values(), ...queue.slice(session.queueHead)]
  publishing.clear()
  releasing.clear()
  session.resend = []
  session.queue = []
  session.queueHead = 0
  for (const outgoing of left) settle(state, session, outgoing.publication, outgoing.qos, "SessionEnded", 0)
}
