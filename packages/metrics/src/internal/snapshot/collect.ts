/**
 * Collects a snapshot from its sources.
 */
import * as Forwarder from "@effect-mqttx/core/Forwarder"
import type { ForwarderMetrics, ForwarderSession } from "@effect-mqttx/core/ForwarderMetrics"
import { isMqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { SessionState } from "@effect-mqttx/core/SessionEvent"
import { type SessionManager, totalMetrics } from "@effect-mqttx/core/SessionManager"
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import type { Route } from "@effect-mqttx/core/SessionRoute"
import type {
  ConnectionInfo,
  NamedConsumer,
  SessionMetrics,
  SessionStatus,
  StorageStatus
} from "@effect-mqttx/core/SessionStatus"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { causesOf } from "./readiness.ts"
import type {
  ForwarderSessionSnapshot,
  ForwarderSnapshot,
  MqttSnapshot,
  Problem,
  RouteSnapshot,
  SessionSnapshot,
  StorageSnapshot,
  StoreSnapshot,
  TotalsSnapshot
} from "./schema.ts"

/**
 * The sources of the metrics.
 */
export interface Sources {
  readonly manager: SessionManager["Service"] | undefined
  /** Sessions without a manager. */
  readonly sessions: ReadonlyArray<Session>
  readonly forwarders: { readonly allMetrics: Effect.Effect<ReadonlyMap<string, ForwarderMetrics>> } | undefined
}

/**
 * Names that identify routes while they exist. A free name is reused for the next route, so that there are no more
 * series than routes at one time.
 */
export class RouteNames {
  #names = new Map<Route<unknown>, string>()

  /** The names of all current routes. */
  of(routes: ReadonlyArray<Route<unknown>>): ReadonlyMap<Route<unknown>, string> {
    const present = new Set(routes)
    for (const route of this.#names.keys()) if (!present.has(route)) this.#names.delete(route)
    const taken = new Set(this.#names.values())
    for (const route of routes) {
      if (this.#names.has(route)) continue
      const { description } = route
      let name = description ?? "route 1"
      for (let number = 2; taken.has(name); number++) {
        name = description === undefined ? `route ${number}` : `${description} (${number})`
      }
      taken.add(name)
      this.#names.set(route, name)
    }
    return this.#names
  }
}

export const collect = (
  { forwarders, manager, sessions }: Sources,
  routeNames: RouteNames,
  at: () => number
): Effect.Effect<MqttSnapshot> =>
  Effect.gen(function*() {
    const managed = manager === undefined ? [] : yield* managedSessions(manager)
    const single = yield* Effect.forEach(sessions, singleSession)
    const all = [...managed, ...single]
    const names = routeNames.of(manager === undefined ? [] : yield* manager.routes)
    const routes = yield* Effect.forEach(names, ([route, name]) => routeSnapshot(route, name))
    const metrics = forwarderSnapshots(
      forwarders === undefined ? [] : Array.from((yield* forwarders.allMetrics).values()),
      manager === undefined ? [] : yield* Forwarder.metricsOf(manager)
    )
    const states: { [State in SessionState]: number } = {
      disconnected: 0,
      connecting: 0,
      connected: 0,
      reconnecting: 0,
      closed: 0
    }
    let ready = 0
    for (const session of all) {
      states[session.state]++
      if (session.ready) ready++
    }
    const each = yield* Effect.forEach(sessions, ({ metrics }) => metrics)
    if (manager !== undefined) each.unshift((yield* manager.metrics).totals)
    const totals: TotalsSnapshot = {
      sessions: all.length,
      ready,
      states,
      routes: routes.length,
      forwarders: metrics.length,
      metrics: totalMetrics(each)
    }
    const stores = all.filter(({ persistence }) => persistence === "durable").map(storeSnapshot)
    const unready = causesOf({ sessions: all, routes, forwarders: metrics })
    return { at: at(), totals, sessions: all, routes, stores, forwarders: metrics, unready }
  })

const managedSessions = (manager: SessionManager["Service"]): Effect.Effect<ReadonlyArray<SessionSnapshot>> =>
  Effect.gen(function*() {
    const { bySession } = yield* manager.metrics
    const found: Array<SessionSnapshot> = []
    for (const [name, metrics] of bySession) {
      // A session that is removed at this moment is left out.
      const parts = yield* Effect.option(Effect.all([manager.status(name), manager.options(name)]))
      if (Option.isNone(parts)) continue
      const [status, options] = parts.value
      const session = Option.getOrUndefined(yield* Effect.option(manager.get(name)))
      const info = session === undefined ? Option.none() : yield* session.connectionInfo
      const consumers = session === undefined ? [] : yield* session.consumers
      found.push(sessionSnapshot(options, status, info, consumers, metrics))
    }
    return found
  })

const singleSession = (session: Session): Effect.Effect<SessionSnapshot> =>
  Effect.gen(function*() {
    const { connectionInfo, consumers, metrics, options, status } = session
    return sessionSnapshot(options, yield* status, yield* connectionInfo, yield* consumers, yield* metrics)
  })

const sessionSnapshot = (
  { name, persistence, protocolVersion, reconnect }: SessionOptions,
  { attempt, clientId, failure, lastError, ready, server, since, state, storage, subscriptionFailures, tls }:
    SessionStatus,
  info: Option.Option<ConnectionInfo>,
  consumers: ReadonlyArray<NamedConsumer>,
  metrics: SessionMetrics
): SessionSnapshot => ({
  name,
  state,
  since,
  ready,
  clientId,
  server,
  tls,
  attempt,
  lastError: problemOf(lastError),
  failure: problemOf(failure),
  connection: Option.isNone(info) ? undefined : {
    server: info.value.server,
    clientId: info.value.clientId,
    protocolVersion,
    sessionPresent: info.value.sessionPresent,
    keepAlive: info.value.keepAlive,
    ...(info.value.certificates.length === 0 ? undefined : { certificates: info.value.certificates }),
    receiveMaximum: info.value.receiveMaximum,
    maximumQoS: info.value.maximumQoS,
    maximumPacketSize: info.value.maximumPacketSize,
    retainAvailable: info.value.retainAvailable,
    sharedSubscriptionAvailable: info.value.sharedSubscriptionAvailable
  },
  ...(storage === undefined ? undefined : { storage: storageSnapshot(storage) }),
  subscriptionFailures: Array.from(subscriptionFailures, ([filter, error]) => ({ filter, error: problemOf(error)! })),
  absentConsumers: consumers.filter(({ isAbsent, unfinished }) => isAbsent && unfinished > 0).map(
    ({ name: consumer, unfinished }) => ({ name: consumer, unfinished })
  ),
  persistence,
  persistent: persistence !== "none",
  cleanSession: persistence !== "durable",
  autoReconnect: reconnect.enabled,
  metrics
})

const storeSnapshot = ({ metrics, name }: SessionSnapshot): StoreSnapshot => ({
  session: name,
  commits: metrics.commits.latency,
  failures: metrics.commits.failures
})

const routeSnapshot = (route: Route<unknown>, name: string): Effect.Effect<RouteSnapshot> =>
  Effect.gen(function*() {
    const { lastError, ...metrics } = yield* route.metrics
    const sessions = Array.from(yield* route.sessions, ([session, { error, state }]) => ({
      name: session,
      state,
      error: problemOf(error)
    }))
    const { description, filters, session } = route
    const failure = problemOf(yield* route.failure)
    return {
      name,
      filters,
      session,
      description,
      sessions,
      ...(failure === undefined ? undefined : { failure }),
      ...metrics,
      lastError: problemOf(lastError)
    }
  })

/** The forwarders of the source, and further ones that the manager knows. Equal names get a number. */
const forwarderSnapshots = (
  named: ReadonlyArray<ForwarderMetrics>,
  announced: ReadonlyArray<ForwarderMetrics>
): ReadonlyArray<ForwarderSnapshot> => {
  const known = new Set(named.map(({ name }) => name))
  const all = named.map(forwarderSnapshot)
  const taken = new Set(known)
  for (const metrics of announced) {
    if (known.has(metrics.name)) continue
    let { name } = metrics
    for (let number = 2; taken.has(name); number++) name = `${metrics.name} (${number})`
    taken.add(name)
    all.push(forwarderSnapshot({ ...metrics, name }))
  }
  return all
}

const forwarderSnapshot = ({ lastError, sources, targets, ...metrics }: ForwarderMetrics): ForwarderSnapshot => ({
  ...metrics,
  sources: sources.map(forwarderSession),
  targets: targets.map(forwarderSession),
  lastError: problemOf(lastError)
})

const forwarderSession = ({ error, name, state }: ForwarderSession): ForwarderSessionSnapshot => ({
  name,
  state,
  ...(error === undefined ? undefined : { error: problemOf(error) })
})

const storageSnapshot = ({ durability, failure, volatile }: StorageStatus): StorageSnapshot => ({
  durability,
  volatile,
  ...(failure === undefined ? undefined : { failure: problemOf(failure) })
})

/**
 * An error of this library contains no secret. Any other error comes from a handler and may contain anything, so only
 * its name is used.
 */
const problemOf = (error: unknown): Problem | undefined => {
  if (error === undefined) return undefined
  if (isMqttError(error)) return { reason: error.reason._tag, message: error.message }
  return { reason: "Unknown", message: error instanceof Error ? error.name : "an error of the program's own" }
}
