/**
 * Routes published messages to the subscribed sessions: subscriptions, shared subscriptions and retained messages (MQTT
 * 3.3.1.3, 3.8, 4.8).
 */
import type { SubscribeFilter } from "@effect-mqttx/core/Packet"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { QoS } from "@effect-mqttx/core/QoS"
import type { ServerMessage } from "./contract.ts"
import { hasWildcard, matches, type ParsedFilter, parseFilter } from "./filterTree.ts"
import { deliver } from "./outbound.ts"
import * as ReasonCodes from "./reasonCodes.ts"
import {
  type Connection,
  isJournaled,
  journalMessage,
  makePublication,
  noIdentifiers,
  senderOf,
  type Session,
  type ShareGroup,
  type State,
  type Subscription,
  type TrackedPublication
} from "./state.ts"

const noProperties: MessageProperties = {}

/**
 * Accepts a message and delivers it to every session with a matching subscription.
 */
export const publish = (
  state: State,
  publisher: string | undefined,
  message: ServerMessage,
  now: number
): TrackedPublication => {
  const properties = message.properties ?? noProperties
  const interval = properties.messageExpiryInterval
  const publication = makePublication({
    sequence: ++state.sequence,
    at: now,
    publisher,
    topic: message.topic,
    payload: message.payload,
    qos: message.qos ?? 0,
    retain: message.retain ?? false,
    properties,
    expiresAt: interval === undefined ? undefined : now + interval * 1000
  })
  state.options.onPublished?.(publication.message)
  if (publication.message.retain) retain(state, publication)
  route(state, publication, now)
  return publication
}

const retain = (state: State, publication: TrackedPublication): void => {
  const { payload, topic } = publication.message
  if (payload.length === 0) state.retained.delete(topic)
  else state.retained.set(topic, publication)
  if (state.options.journal !== undefined) {
    const message = payload.length === 0 ? 0 : journalMessage(state, publication)
    state.entries.push({ _tag: "Retained", topic, message })
  }
}

const lower = (a: QoS, b: QoS): QoS => a < b ? a : b

const route = (state: State, publication: TrackedPublication, now: number): void => {
  const { topic } = publication.message
  const { guard } = state.options
  const matching = state.tree.match(topic)
  const routes = guard === undefined ? matching : matching.filter((each) => guard.delivers(filterOf(each), topic))
  if (routes.length === 0) return
  if (routes.length === 1) {
    const subscription = pick(routes[0]!, publication)
    if (subscription !== undefined) deliverTo(state, subscription, publication, now)
    return
  }
  const merge = state.options.overlapping !== "separate"
  const bySession = merge ? new Map<Session, Array<Subscription>>() : undefined
  for (const candidate of routes) {
    const subscription = pick(candidate, publication)
    if (subscription === undefined) continue
    // A shared subscription is separate, and never merged with the client's other ones (MQTT 4.8.2).
    if (
      bySession === undefined || subscription.share !== undefined ||
      guard?.separatesOverlapping(subscription.session.protocolVersion) === true
    ) {
      deliverTo(state, subscription, publication, now)
      continue
    }
    const others = bySession.get(subscription.session)
    if (others === undefined) bySession.set(subscription.session, [subscription])
    else others.push(subscription)
  }
  if (bySession === undefined) return
  for (const [session, subscriptions] of bySession) {
    if (subscriptions.length === 1) {
      deliverTo(state, subscriptions[0]!, publication, now)
      continue
    }
    let granted: QoS = 0
    let retainAsPublished = false
    const identifiers: Array<number> = []
    for (const subscription of subscriptions) {
      if (subscription.qos > granted) granted = subscription.qos
      if (subscription.retainAsPublished) retainAsPublished = true
      if (subscription.subscriptionIdentifier > 0) identifiers.push(subscription.subscriptionIdentifier)
    }
    const { message } = publication
    deliver(
      state,
      session,
      publication,
      lower(message.qos, granted),
      retainAsPublished && message.retain,
      identifiers,
      now
    )
  }
}

/** The filter of a route, without `$share/name/`. */
const filterOf = (route: Subscription | ShareGroup): string =>
  ("members" in route ? route.members[0]! : route).plainFilter

const identifiersOf = (subscription: Subscription): ReadonlyArray<number> =>
  subscription.subscriptionIdentifier > 0 ? [subscription.subscriptionIdentifier] : noIdentifiers

const deliverTo = (
  state: State,
  subscription: Subscription,
  publication: TrackedPublication,
  now: number
): void => {
  const { message } = publication
  const retained = subscription.retainAsPublished && message.retain
  deliver(
    state,
    subscription.session,
    publication,
    lower(message.qos, subscription.qos),
    retained,
    identifiersOf(subscription),
    now
  )
}

/**
 * The subscription that receives the message: the route itself, or the next member of a group, members without a
 * connection last.
 */
const pick = (route: Subscription | ShareGroup, publication: TrackedPublication): Subscription | undefined => {
  if (!("members" in route)) {
    return route.noLocal && route.session.clientId === publication.message.publisher ? undefined : route
  }
  const { members } = route
  for (let i = 0; i < members.length; i++) {
    const candidate = members[(route.turn + i) % members.length]!
    if (candidate.session.connection !== undefined) {
      route.turn = (route.turn + i + 1) % members.length
      return candidate
    }
  }
  const offline = members[route.turn % members.length]!
  route.turn = (route.turn + 1) % members.length
  return offline
}

/**
 * One filter of a SUBSCRIBE: its reason code, and the retained messages that it asks for.
 */
export interface SubscribeOutcome {
  readonly reasonCode: number
  readonly subscription: Subscription | undefined
  readonly wantsRetained: boolean
}

const refused = (reasonCode: number): SubscribeOutcome => ({
  reasonCode,
  subscription: undefined,
  wantsRetained: false
})

export const subscribe = (
  state: State,
  connection: Connection,
  session: Session,
  requested: SubscribeFilter,
  subscriptionIdentifier: number
): SubscribeOutcome => {
  const parsed = parseFilter(requested.filter)
  const refusal = refuse(state, connection, session, requested, parsed, subscriptionIdentifier)
  if (parsed === undefined || refusal !== 0) return refused(connection.protocolVersion === 5 ? refusal : 0x80)
  const known = session.subscriptions.get(requested.filter)
  if (known !== undefined) removeRoute(state, known)
  const subscription = addSubscription(
    state,
    session,
    {
      ...requested,
      qos: lower(requested.qos, connection.limits.maximumQoS)
    },
    parsed,
    subscriptionIdentifier
  )
  if (isJournaled(state, session)) {
    const { filter, noLocal, qos, retainAsPublished } = subscription
    state.entries.push({
      _tag: "Subscribed",
      clientId: session.clientId,
      filter,
      qos,
      noLocal,
      retainAsPublished,
      subscriptionIdentifier
    })
  }
  const wantsRetained = parsed.share === undefined &&
    (requested.retainHandling === 0 || (requested.retainHandling === 1 && known === undefined))
  return { reasonCode: subscription.qos, subscription, wantsRetained }
}

const refuse = (
  state: State,
  connection: Connection,
  session: Session,
  requested: SubscribeFilter,
  parsed: ParsedFilter | undefined,
  subscriptionIdentifier: number
): number => {
  if (parsed === undefined) return ReasonCodes.topicFilterInvalid
  const { limits } = connection
  if (parsed.share !== undefined && !limits.sharedSubscriptionAvailable) {
    return ReasonCodes.sharedSubscriptionsNotSupported
  }
  if (!limits.wildcardSubscriptionAvailable && hasWildcard(parsed.filter)) {
    return ReasonCodes.wildcardSubscriptionsNotSupported
  }
  if (!limits.subscriptionIdentifiersAvailable && subscriptionIdentifier > 0) {
    return ReasonCodes.subscriptionIdentifiersNotSupported
  }
  return (state.options.guard?.judgeFilter(senderOf(session, connection), requested) ?? 0) ||
    (state.options.authorizeSubscribe?.(connection, requested) ?? 0)
}

export const addSubscription = (
  state: State,
  session: Session,
  requested: SubscribeFilter,
  parsed: ParsedFilter,
  subscriptionIdentifier: number
): Subscription => {
  const subscription: Subscription = {
    ...requested,
    session,
    plainFilter: parsed.filter,
    share: parsed.share,
    subscriptionIdentifier
  }
  session.subscriptions.set(requested.filter, subscription)
  if (parsed.share === undefined) {
    state.tree.insert(parsed.filter, subscription)
    return subscription
  }
  const group = state.groups.get(requested.filter)
  if (group !== undefined) {
    group.members.push(subscription)
    return subscription
  }
  const created: ShareGroup = { members: [subscription], turn: 0 }
  state.groups.set(requested.filter, created)
  state.tree.insert(parsed.filter, created)
  return subscription
}

export const removeRoute = (state: State, subscription: Subscription): void => {
  if (subscription.share === undefined) {
    state.tree.remove(subscription.plainFilter, subscription)
    return
  }
  const group = state.groups.get(subscription.filter)
  if (group === undefined) return
  const index = group.members.indexOf(subscription)
  if (index >= 0) group.members.splice(index, 1)
  if (group.members.length > 0) return
  state.groups.delete(subscription.filter)
  state.tree.remove(subscription.plainFilter, group)
}

/**
 * Returns the reason code of UNSUBACK.
 */
export const unsubscribe = (state: State, session: Session, filter: string): number => {
  const subscription = session.subscriptions.get(filter)
  if (subscription === undefined) {
    return parseFilter(filter) === undefined ? ReasonCodes.topicFilterInvalid : ReasonCodes.noSubscriptionExisted
  }
  removeRoute(state, subscription)
  session.subscriptions.delete(filter)
  if (isJournaled(state, session)) state.entries.push({ _tag: "Unsubscribed", clientId: session.clientId, filter })
  return 0
}

/**
 * Sends the retained messages that a new subscription asks for, with RETAIN 1 (MQTT 3.3.1.3).
 */
export const deliverRetained = (state: State, subscription: Subscription, now: number): void => {
  for (const [topic, publication] of state.retained) {
    const { expiresAt, publisher, qos } = publication.message
    if (expiresAt !== undefined && expiresAt <= now) {
      state.retained.delete(topic)
      continue
    }
    if (!matches(subscription.plainFilter, topic)) continue
    if (subscription.noLocal && publisher === subscription.session.clientId) continue
    deliver(
      state,
      subscription.session,
      publication,
      lower(qos, subscription.qos),
      true,
      identifiersOf(subscription),
      now
    )
  }
}
