/**
 * Restores sessions, retained messages and unfinished flows from a journal.
 */
import type { Journal, JournalEntry } from "../../Journal.ts"
import { parseFilter } from "./filterTree.ts"
import { makeSession } from "./lifecycle.ts"
import { addSubscription, removeRoute } from "./routing.ts"
import {
  arm,
  makePublication,
  type Outgoing,
  type Session,
  sessionEntry,
  type State,
  type TrackedPublication
} from "./state.ts"

/**
 * Restores the state, and replaces the journal by one with only the remaining state. All connections are lost: the
 * clocks of session expiry and delayed wills start now, and a will without delay is due now (MQTT 3.1.2.5 allows both).
 */
export const restore = (state: State, journal: Journal, now: number): void => {
  const entries = journal.load()
  const messages = new Map<number, TrackedPublication>()
  const deliveries = new Map<string, Map<number, Outgoing>>()
  for (const entry of entries) apply(state, messages, deliveries, entry)
  for (const session of state.sessions.values()) {
    const waiting = [...(deliveries.get(session.clientId)?.values() ?? [])]
    for (const outgoing of waiting) {
      if (outgoing.packetIdentifier === 0) session.queue.push(outgoing)
      outgoing.publication.deliveries++
      outgoing.publication.outstanding++
      state.outstanding++
    }
    session.endsAt = now + session.sessionExpiryInterval * 1000
    if (session.will !== undefined) session.willAt = now + (session.will.properties.willDelayInterval ?? 0) * 1000
    arm(state, Math.min(session.endsAt, session.willAt))
  }
  journal.replace(snapshot(state))
}

const apply = (
  state: State,
  messages: Map<number, TrackedPublication>,
  deliveries: Map<string, Map<number, Outgoing>>,
  entry: JournalEntry
): void => {
  switch (entry._tag) {
    case "Message": {
      const { _tag, ...message } = entry
      messages.set(entry.sequence, { ...makePublication(message), journaled: true })
      state.sequence = Math.max(state.sequence, entry.sequence)
      return
    }
    case "Retained": {
      const publication = messages.get(entry.message)
      if (publication === undefined) state.retained.delete(entry.topic)
      else state.retained.set(entry.topic, publication)
      return
    }
    case "Session": {
      let session = state.sessions.get(entry.clientId)
      if (session === undefined) {
        session = makeSession(entry.clientId, entry.protocolVersion)
        state.sessions.set(entry.clientId, session)
        deliveries.set(entry.clientId, new Map())
      }
      session.sessionExpiryInterval = entry.sessionExpiryInterval ?? Infinity
      session.will = entry.will
      return
    }
    case "SessionEnded": {
      const session = state.sessions.get(entry.clientId)
      if (session === undefined) return
      for (const subscription of session.subscriptions.values()) removeRoute(state, subscription)
      state.sessions.delete(entry.clientId)
      deliveries.delete(entry.clientId)
      return
    }
    default: {
      const session = state.sessions.get(entry.clientId)
      if (session !== undefined) applyToSession(state, session, messages, deliveries.get(entry.clientId)!, entry)
    }
  }
}

type SessionChange = Exclude<JournalEntry, { readonly _tag: "Message" | "Retained" | "Session" | "SessionEnded" }>

const applyToSession = (
  state: State,
  session: Session,
  messages: Map<number, TrackedPublication>,
  deliveries: Map<number, Outgoing>,
  entry: SessionChange
): void => {
  switch (entry._tag) {
    case "Subscribed": {
      const known = session.subscriptions.get(entry.filter)
      if (known !== undefined) removeRoute(state, known)
      const { filter, noLocal, qos, retainAsPublished } = entry
      const requested = { filter, qos, noLocal, retainAsPublished, retainHandling: 0 as const }
      addSubscription(state, session, requested, parseFilter(filter)!, entry.subscriptionIdentifier)
      return
    }
    case "Unsubscribed": {
      const known = session.subscriptions.get(entry.filter)
      if (known !== undefined) removeRoute(state, known)
      session.subscriptions.delete(entry.filter)
      return
    }
    case "Queued": {
      const { delivery, qos, retain, subscriptionIdentifiers } = entry
      const publication = messages.get(entry.message)!
      deliveries.set(delivery, {
        publication,
        qos,
        retain,
        subscriptionIdentifiers,
        delivery,
        packetIdentifier: 0,
        sentOn: 0,
        position: 0
      })
      session.nextDelivery = delivery + 1
      return
    }
    case "Sent": {
      const outgoing = deliveries.get(entry.delivery)!
      outgoing.packetIdentifier = entry.packetIdentifier
      session.publishing.set(entry.packetIdentifier, outgoing)
      session.nextPacketIdentifier = entry.packetIdentifier === 65_535 ? 1 : entry.packetIdentifier + 1
      return
    }
    case "Releasing": {
      const outgoing = deliveries.get(entry.delivery)!
      session.publishing.delete(outgoing.packetIdentifier)
      session.releasing.set(outgoing.packetIdentifier, outgoing)
      return
    }
    case "Done": {
      const outgoing = deliveries.get(entry.delivery)
      if (outgoing === undefined) return
      deliveries.delete(entry.delivery)
      session.publishing.delete(outgoing.packetIdentifier)
      session.releasing.delete(outgoing.packetIdentifier)
      return
    }
    case "Received":
      session.received.set(entry.packetIdentifier, 0)
      return
    case "Released":
      session.received.delete(entry.packetIdentifier)
  }
}

const snapshot = (state: State): ReadonlyArray<JournalEntry> => {
  const entries: Array<JournalEntry> = []
  const written = new Set<number>()
  const message = (publication: TrackedPublication): number => {
    const { sequence } = publication.message
    if (!written.has(sequence)) {
      written.add(sequence)
      entries.push({ _tag: "Message", ...publication.message })
    }
    return sequence
  }
  for (const [topic, publication] of state.retained) {
    const sequence = message(publication)
    entries.push({ _tag: "Retained", topic, message: sequence })
  }
  for (const session of state.sessions.values()) {
    const { clientId } = session
    entries.push(sessionEntry(session))
    for (const { filter, noLocal, qos, retainAsPublished, subscriptionIdentifier } of session.subscriptions.values()) {
      entries.push({ _tag: "Subscribed", clientId, filter, qos, noLocal, retainAsPublished, subscriptionIdentifier })
    }
    const queued = (outgoing: Outgoing): void => {
      const { delivery, qos, retain, subscriptionIdentifiers } = outgoing
      const sequence = message(outgoing.publication)
      entries.push({ _tag: "Queued", clientId, delivery, message: sequence, qos, retain, subscriptionIdentifiers })
    }
    for (const outgoing of [...session.releasing.values(), ...session.publishing.values()]) {
      const { delivery, packetIdentifier } = outgoing
      queued(outgoing)
      entries.push({ _tag: "Sent", clientId, delivery, packetIdentifier })
    }
    for (const { delivery } of session.releasing.values()) entries.push({ _tag: "Releasing", clientId, delivery })
    session.queue.forEach(queued)
    for (const packetIdentifier of session.received.keys()) {
      entries.push({ _tag: "Received", clientId, packetIdentifier })
    }
  }
  return entries
}
