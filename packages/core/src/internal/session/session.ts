/**
 * Makes a session: opens its store, restores the records and starts the connection. `MqttSession`, `SessionMap` and the
 * manager call it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { MqttError, NotSupported } from "../../MqttError.ts"
import type { Connack } from "../../Packet.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { LoadedRecords } from "../../SessionStore.ts"
import type { IdentityRecord } from "../../StoreRecord.ts"
import { makeEngine } from "../engine/engine.ts"
import { withoutSpan } from "../spans.ts"
import { monotonicMillis } from "../time.ts"
import { SessionAssembly } from "./assembly.ts"
import { type Connector, makeConnector } from "./connector.ts"
import { AccessSource } from "./credentials.ts"
import { engineOptions } from "./engineOptions.ts"
import { Fibers } from "./fibers.ts"
import { chooseClientId, identityIn, identityOf, isSameIdentity, randomToken } from "./identity.ts"
import type { Observer } from "./lifecycle.ts"
import { storeOf } from "./persistence.ts"
import { Reconnect } from "./reconnect.ts"
import { Renewal } from "./renewal.ts"
import { Servers } from "./servers.ts"
import * as Supervisor from "./supervisor.ts"
import { protectionOf, warnAssigned } from "./trust.ts"

/**
 * Makes a session from valid options, see `MqttSession.make`.
 */
export const makeSession = Effect.fnUntraced(function*(
  options: SessionOptions,
  observer?: Observer
): Effect.fn.Return<SessionAssembly, MqttError, Scope.Scope> {
  const clock = yield* Clock.Clock
  if (options.authentication !== undefined && options.protocolVersion === 4) {
    return yield* new MqttError({
      session: options.name,
      method: "make",
      reason: new NotSupported({ feature: "enhanced authentication", detail: "it needs MQTT 5" })
    })
  }
  const addresses = yield* parseServers(options)
  const store = options.persistence === "durable"
    ? yield* (yield* storeOf(options.name, "make")).open(options.name)
    : undefined
  const { damage, records } = store === undefined ? nothingLoaded : yield* store.load
  const clientId = yield* chooseClientId(options, records)
  const engine = makeEngine(engineOptions(options, yield* randomToken))
  const now = monotonicMillis(clock)
  engine.epochOffset = clock.currentTimeMillisUnsafe() - now
  engine.restore(records, now)

  const scope = yield* Effect.scope
  const fibers = new Fibers(withoutSpan(yield* Effect.context<never>()))
  yield* Scope.addFinalizer(scope, fibers.end)
  const settings = yield* SessionLog
  const core = new SessionAssembly({ options, clientId, engine, store, records, clock, fibers, settings, observer })
  connect(core, {
    clock,
    servers: new Servers(addresses, options.redirects),
    isStored: store !== undefined,
    identity: identityIn(records)
  })
  yield* Scope.addFinalizer(scope, core.shutdown.drain)
  if (damage !== undefined) core.lifecycle.emit({ _tag: "StorageDamaged", kept: records.length, ...damage })
  return core
})

interface Beginning {
  readonly clock: Clock.Clock
  readonly servers: Servers
  readonly isStored: boolean
  /** The identity that the store recorded; undefined: none. */
  readonly identity: IdentityRecord | undefined
}

/** Starts the supervisor, which connects and reconnects the session. */
const connect = (core: SessionAssembly, { clock, identity, isStored, servers }: Beginning): void => {
  const { engineLoop, lifecycle, name, options, publisher, shutdown, subscriber } = core
  const source = new AccessSource(options, () => core.clientId)
  const renewal = source.isDynamic ? makeRenewal(core, source, clock) : undefined
  core.renewal = renewal
  const connector = makeConnector({
    options,
    clientId: () => core.clientId,
    access: (address, lastError) =>
      renewal === undefined ? source.get(address, lastError) : renewal.access(address, lastError),
    isNewSession: identity !== undefined && identity.clientId !== core.clientId
  })
  let known = identity

  const onConnected = (connack: Connack): void => {
    connector.connected()
    const assigned = connack.properties.assignedClientIdentifier
    // The server's session and the stored records stay under the identifier that CONNECT carried, unless it was empty.
    if (core.clientId === "" && assigned !== undefined) core.clientId = assigned
    if (assigned !== undefined && assigned !== core.clientId) {
      core.fork(warnAssigned(name, lifecycle.current().server, assigned))
    }
    if (isStored) {
      const before = known
      known = identityOf(options, core.clientId, connack, before, clock.currentTimeMillisUnsafe())
      if (before === undefined || !isSameIdentity(before, known)) engineLoop.record(known)
    }
    publisher.recover()
    subscriber.recover()
  }

  const supervise = Supervisor.run({
    session: name,
    engineLoop,
    lifecycle,
    servers,
    reconnect: new Reconnect(options),
    now: () => engineLoop.now(),
    stableAfter: Duration.toMillis(options.reconnect.stableAfter),
    isUnverified: protectionOf(options) === "unverified",
    certificateThresholds: options.certificateThresholds,
    persistent: options.persistence !== "none",
    autoReconnect: options.reconnect.enabled,
    isStopping: () => shutdown.isStopping,
    connector,
    renewal,
    returnAfter: options.reconnect.returnAfter === undefined
      ? undefined
      : Duration.toMillis(options.reconnect.returnAfter),
    onViolation: ({ kind }) => {
      if (kind === "session-present") discardServerSession(core, connector)
    },
    onConnected,
    onFailure: (failure, isPermanent) =>
      Effect.sync(() => {
        publisher.suspendAwaiting(failure)
        subscriber.suspendAwaiting(failure, isPermanent)
      })
  })
  // Begins in the next turn, when the caller has the session.
  const supervisor = core.fork(Effect.andThen(Effect.yieldNow, supervise))
  shutdown.begun({ supervisor, forget: connector.forget })
}

const makeRenewal = (
  { engineLoop, lifecycle, turns }: SessionAssembly,
  source: AccessSource,
  clock: Clock.Clock
): Renewal =>
  new Renewal(source, {
    finishInFlight: Effect.suspend(() => {
      engineLoop.holdPublishes()
      return Effect.ignore(Effect.timeout(turns.until(() => engineLoop.stats.inflight === 0), "1 second"))
    }),
    now: () => clock.currentTimeMillisUnsafe(),
    onRenewed: (expiresAt) => lifecycle.emit({ _tag: "CredentialsRefreshed", expiresAt }),
    onFailure: (error, expiresAt) =>
      Effect.sync(() => lifecycle.emit({ _tag: "CredentialsNotRefreshed", error, expiresAt }))
  })

const discardServerSession = ({ lifecycle }: SessionAssembly, connector: Connector): void => {
  connector.discardServerSession()
  lifecycle.emit({ _tag: "SessionLost", unacknowledged: 0, subscriptions: 0 })
}

const parseServers = (options: SessionOptions): Effect.Effect<ReadonlyArray<ServerAddress.ServerAddress>, MqttError> =>
  Effect.forEach(options.servers, (server) => {
    const parsed = ServerAddress.parse(server, { secure: options.secure })
    return parsed._tag === "Success"
      ? Effect.succeed({ ...parsed.success, query: parsed.success.query ?? options.webSocket.queries?.[server] })
      : Effect.fail(new MqttError({ session: options.name, method: "make", reason: parsed.failure }))
  })

const nothingLoaded: LoadedRecords = { records: [], damage: undefined }
