/**
 * The start and the end of connections and sessions, wills, and time (MQTT 3.1, 3.14, 4.1).
 */
import type { Auth, Connect, Disconnect } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import * as Authentication from "./authentication.ts"
import { announce } from "./limits.ts"
import { abandon, pump, resume } from "./outbound.ts"
import * as ReasonCodes from "./reasonCodes.ts"
import { publish, removeRoute } from "./routing.ts"
import { arm, type Connection, isJournaled, send, type Session, sessionEntry, type State, violation } from "./state.ts"

const never = 0xffff_ffff

export const makeConnection = (state: State, connection: number, now: number): Connection => ({
  connection,
  clientId: "",
  protocolVersion: 4,
  username: undefined,
  session: undefined,
  limits: state.limits,
  connect: undefined,
  exchange: undefined,
  patience: 0,
  lastReceivedAt: now,
  receiveMaximum: 65_535,
  maximumPacketSize: undefined,
  topicAliasMaximum: 0,
  aliasesIn: new Map(),
  aliasesOut: new Map(),
  unacknowledged: new Set(),
  held: [],
  writable: true,
  packets: [],
  dirty: false,
  closed: false,
  position: 0,
  lastPuback: 0,
  lastPubrec: 0,
  lastPubrel: 0
})

export const makeSession = (clientId: string, protocolVersion: ProtocolVersion): Session => ({
  clientId,
  protocolVersion,
  sessionExpiryInterval: 0,
  connection: undefined,
  subscriptions: new Map(),
  queue: [],
  queueHead: 0,
  publishing: new Map(),
  releasing: new Map(),
  resend: [],
  received: new Map(),
  recPosition: 0,
  nextPacketIdentifier: 1,
  nextDelivery: 1,
  will: undefined,
  willAt: Infinity,
  endsAt: Infinity
})

export const onConnect = (state: State, connection: Connection, packet: Connect, now: number): void => {
  connection.protocolVersion = packet.protocolVersion
  connection.connect = packet
  connection.username = packet.username
  connection.limits = state.limits
  const { guard } = state.options
  const is5 = packet.protocolVersion === 5
  let { clientId } = packet
  if (clientId === "" && (is5 || packet.cleanStart) && (guard?.assignsClientIds ?? true)) {
    clientId = `assigned-${++state.assignedClientIds}`
  }
  connection.clientId = clientId
  const refusal = judge(state, packet, clientId, now)
  if (refusal !== 0) return refuse(state, connection, refusal)
  if (packet.properties.authenticationMethod === undefined) {
    return accept(state, connection, packet, Properties.none, now)
  }
  return authenticated(state, connection, Authentication.begin(state, connection, packet), now)
}

/** Carries out a step of the authentication of a connection without a session. */
const authenticated = (
  state: State,
  connection: Connection,
  step: Authentication.AuthenticationStep,
  now: number
): void => {
  switch (step._tag) {
    case "Waiting":
      return
    case "Refused":
      return refuse(state, connection, step.reasonCode)
    case "Breach":
      return fail(state, connection, ReasonCodes.protocolError, step.detail, now)
    case "Accepted":
      return accept(state, connection, connection.connect!, {
        authenticationMethod: step.method,
        ...(step.data === undefined ? undefined : { authenticationData: step.data })
      }, now)
  }
}

/** An AUTH arrived. */
export const onAuth = (state: State, connection: Connection, packet: Auth, now: number): void => {
  const step = Authentication.onAuth(state, connection, packet)
  if (connection.session === undefined) return authenticated(state, connection, step, now)
  if (step._tag === "Refused") return disconnect(state, connection, step.reasonCode, now)
  if (step._tag === "Breach") fail(state, connection, ReasonCodes.protocolError, step.detail, now)
}

const accept = (
  state: State,
  connection: Connection,
  packet: Connect,
  authentication: Properties.ConnackProperties,
  now: number
): void => {
  const { clientId, limits } = connection
  const { guard } = state.options
  const is5 = packet.protocolVersion === 5
  const previous = state.sessions.get(clientId)
  if (previous?.connection !== undefined) takeOver(state, previous.connection, packet.cleanStart, now)
  // The takeover may have ended the session, so it is looked up again.
  let known = state.sessions.get(clientId)
  if (known !== undefined && (packet.cleanStart || known.protocolVersion !== packet.protocolVersion)) {
    endSession(state, known, now)
    known = undefined
  }
  const session = known ?? makeSession(clientId, packet.protocolVersion)
  state.sessions.set(clientId, session)
  attach(state, connection, session, packet, now)
  send(state, connection, {
    _tag: "Connack",
    sessionPresent: known !== undefined,
    reasonCode: 0,
    properties: is5
      ? {
        ...announce(limits),
        ...(limits.serverKeepAlive === undefined && guard !== undefined &&
          guard.keepAlive(packet.keepAlive) !== packet.keepAlive &&
          { serverKeepAlive: guard.keepAlive(packet.keepAlive) }),
        ...authentication,
        ...(packet.clientId === "" && { assignedClientIdentifier: clientId }),
        ...(limits.maximumSessionExpiryInterval !== undefined &&
          expiryOf(packet) > limits.maximumSessionExpiryInterval &&
          { sessionExpiryInterval: limits.maximumSessionExpiryInterval })
      }
      : Properties.none
  })
  if (known !== undefined) resume(state, session, connection, now)
}

const attach = (state: State, connection: Connection, session: Session, packet: Connect, now: number): void => {
  const { limits } = connection
  session.connection = connection
  session.willAt = Infinity
  session.endsAt = Infinity
  session.will = packet.will
  session.resend = []
  session.sessionExpiryInterval = Math.min(expiryOf(packet), limits.maximumSessionExpiryInterval ?? Infinity)
  if (isJournaled(state, session)) state.entries.push(sessionEntry(session))
  // With an expiry interval of 0 the session would not survive a crash.
  else if (state.options.journal !== undefined) state.entries.push({ _tag: "SessionEnded", clientId: session.clientId })
  connection.session = session
  connection.receiveMaximum = packet.properties.receiveMaximum ?? 65_535
  connection.maximumPacketSize = packet.properties.maximumPacketSize
  connection.topicAliasMaximum = packet.properties.topicAliasMaximum ?? 0
  connection.lastReceivedAt = now
  const granted = state.options.guard?.keepAlive(packet.keepAlive) ?? packet.keepAlive
  const keepAlive = connection.protocolVersion === 5 ? limits.serverKeepAlive ?? granted : granted
  connection.patience = state.options.enforceKeepAlive === false ? 0 : keepAlive * 1500
  if (connection.patience > 0) arm(state, now + connection.patience)
}

const expiryOf = (packet: Connect): number => {
  if (packet.protocolVersion !== 5) return packet.cleanStart ? 0 : Infinity
  const interval = packet.properties.sessionExpiryInterval ?? 0
  return interval === never ? Infinity : interval
}

const judge = (state: State, packet: Connect, clientId: string, now: number): number => {
  const { limits } = state
  if (clientId === "") return ReasonCodes.clientIdentifierNotValid
  if (packet.will !== undefined && packet.will.qos > limits.maximumQoS) return ReasonCodes.qosNotSupported
  if (packet.will !== undefined && packet.will.retain && !limits.retainAvailable) return ReasonCodes.retainNotSupported
  return (state.options.guard?.judgeConnect(packet, now) ?? 0) || (state.options.authenticate?.(packet) ?? 0)
}

/**
 * Answers CONNECT with a refusal and closes (MQTT 3.2.2.2).
 */
export const refuse = (state: State, connection: Connection, reasonCode: number): void => {
  send(state, connection, {
    _tag: "Connack",
    sessionPresent: false,
    reasonCode: connection.protocolVersion === 5 ? reasonCode : ReasonCodes.toReturnCode(reasonCode),
    properties: Properties.none
  })
  forget(state, connection)
}

const takeOver = (state: State, old: Connection, cleanStart: boolean, now: number): void => {
  if (old.protocolVersion === 5) send(state, old, disconnectPacket(ReasonCodes.sessionTakenOver))
  forget(state, old)
  const session = old.session!
  session.connection = undefined
  // MQTT 3.1.4-3 and 3.1.3.2.2: the old connection is lost, so its will is published, unless it is delayed and the
  // session continues. For a clean start onConnect ends the session, which publishes a delayed will too.
  if (session.will !== undefined && (session.will.properties.willDelayInterval ?? 0) === 0) {
    publishWill(state, session, now)
  }
  if (!cleanStart && session.sessionExpiryInterval === 0) endSession(state, session, now)
}

const disconnectPacket = (reasonCode: number): Disconnect => ({
  _tag: "Disconnect",
  reasonCode,
  properties: Properties.none
})

/** The connection is closed for the core. Its remaining packets are sent before the owner closes it. */
const forget = (state: State, connection: Connection): void => {
  connection.closed = true
  connection.held = []
  state.options.guard?.closed(connection.connection)
  state.connections.delete(connection.connection)
  if (!connection.dirty) {
    connection.dirty = true
    state.dirty.push(connection)
  }
}

/**
 * The server closes a connection: DISCONNECT (MQTT 5), and the effects of a lost connection on will and session.
 */
export const disconnect = (state: State, connection: Connection, reasonCode: number, now: number): void => {
  if (connection.protocolVersion === 5 && connection.session !== undefined) {
    send(state, connection, disconnectPacket(reasonCode))
  }
  forget(state, connection)
  detach(state, connection, true, now)
}

/**
 * A violation that ends the connection.
 */
export const fail = (state: State, connection: Connection, reasonCode: number, detail: string, now: number): void => {
  violation(state, connection, reasonCode, detail, true, now)
  disconnect(state, connection, reasonCode, now)
}

/**
 * The network connection has ended.
 */
export const onClosed = (state: State, connection: Connection, now: number): void => {
  connection.closed = true
  state.options.guard?.closed(connection.connection)
  state.connections.delete(connection.connection)
  if (connection.dirty) state.dirty.splice(state.dirty.indexOf(connection), 1)
  connection.dirty = false
  detach(state, connection, true, now)
}

export const onDisconnect = (state: State, connection: Connection, packet: Disconnect, now: number): void => {
  const session = connection.session!
  const interval = packet.properties.sessionExpiryInterval
  if (interval !== undefined) {
    if (interval > 0 && expiryOf(connection.connect!) === 0) {
      return fail(
        state,
        connection,
        ReasonCodes.protocolError,
        "DISCONNECT revives a session expiry interval of 0",
        now
      )
    }
    session.sessionExpiryInterval = interval === never ? Infinity : interval
    if (isJournaled(state, session)) state.entries.push(sessionEntry(session))
  }
  forget(state, connection)
  detach(state, connection, packet.reasonCode !== 0, now)
}

const detach = (state: State, connection: Connection, lost: boolean, now: number): void => {
  const { session } = connection
  if (session === undefined || session.connection !== connection) return
  session.connection = undefined
  session.resend = []
  if (!lost) session.will = undefined
  if (state.sessions.get(session.clientId) !== session || session.sessionExpiryInterval === 0) {
    return endSession(state, session, now)
  }
  session.endsAt = now + session.sessionExpiryInterval * 1000
  arm(state, session.endsAt)
  if (session.will !== undefined) {
    const delay = session.will.properties.willDelayInterval ?? 0
    if (delay === 0) publishWill(state, session, now)
    else {
      session.willAt = now + delay * 1000
      arm(state, session.willAt)
    }
  }
  if (isJournaled(state, session)) state.entries.push(sessionEntry(session))
}

const publishWill = (state: State, session: Session, now: number): void => {
  const { will } = session
  if (will === undefined) return
  session.will = undefined
  session.willAt = Infinity
  const { willDelayInterval: _delay, ...properties } = will.properties
  const { payload, qos, retain, topic } = will
  publish(state, session.clientId, { topic, payload, qos, retain, properties }, now)
}

/**
 * Ends a session: its will is due now at the latest (MQTT 3.1.3.2.2), and its deliveries end.
 */
export const endSession = (state: State, session: Session, now: number): void => {
  publishWill(state, session, now)
  if (state.sessions.get(session.clientId) === session) {
    if (state.options.journal !== undefined) state.entries.push({ _tag: "SessionEnded", clientId: session.clientId })
    state.sessions.delete(session.clientId)
  }
  clearSession(state, session)
}

const clearSession = (state: State, session: Session): void => {
  for (const subscription of session.subscriptions.values()) removeRoute(state, subscription)
  session.subscriptions.clear()
  session.received.clear()
  abandon(state, session)
}

/**
 * Discards a session's state in the server. A live connection continues with an empty session, which ends with it.
 */
export const forgetSession = (state: State, clientId: string): boolean => {
  const session = state.sessions.get(clientId)
  if (session === undefined) return false
  state.sessions.delete(clientId)
  if (state.options.journal !== undefined) state.entries.push({ _tag: "SessionEnded", clientId })
  clearSession(state, session)
  const { connection } = session
  if (connection === undefined) return true
  const empty = makeSession(clientId, session.protocolVersion)
  empty.connection = connection
  empty.will = session.will
  connection.session = empty
  state.sessions.set(clientId, empty)
  return true
}

/**
 * Runs due work, and computes the next deadline.
 */
export const tick = (state: State, now: number): void => {
  if (now < state.deadline) return
  state.deadline = Infinity
  for (const connection of state.connections.values()) {
    if (connection.patience === 0) continue
    const due = connection.lastReceivedAt + connection.patience
    if (due > now) arm(state, due)
    else disconnect(state, connection, ReasonCodes.keepAliveTimeout, now)
  }
  for (const session of state.sessions.values()) {
    if (session.connection !== undefined) continue
    if (session.willAt <= now) publishWill(state, session, now)
    if (session.endsAt <= now) endSession(state, session, now)
    else arm(state, Math.min(session.willAt, session.endsAt))
  }
}

export const setWritable = (state: State, connection: Connection, writable: boolean, now: number): void => {
  connection.writable = writable
  if (writable && connection.session !== undefined) pump(state, connection.session, connection, now)
}
