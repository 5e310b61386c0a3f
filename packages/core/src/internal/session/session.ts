/**
 * Makes a session: opens its store, restores the records and starts the connection. `MqttSession`, `SessionMap` and the
 * manager call it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { InvalidOptions, MqttError, NotSupported } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { LoadedRecords } from "../../SessionStore.ts"
import type { IdentityRecord } from "../../StoreRecord.ts"
import { makeEngine } from "../engine/engine.ts"
import { makeQueuedRecords } from "../engine/outboundMessage.ts"
import { withoutSpan } from "../spans.ts"
import { QueuedMessages } from "../store/queuedRecords.ts"
import { monotonicMillis } from "../time.ts"
import { SessionAssembly } from "./assembly.ts"
import { Connector } from "./connector.ts"
import { AccessSource } from "./credentials.ts"
import { engineOptions } from "./engineOptions.ts"
import { Fibers } from "./fibers.ts"
import { attachRecorder, Recorders } from "./flightRecord.ts"
import { chooseClientId, identityIn, randomToken, RecordedIdentity } from "./identity.ts"
import type { Observer } from "./lifecycle.ts"
import { storeOf } from "./persistence.ts"
import { Renewal } from "./renewal.ts"
import { Servers } from "./servers.ts"
import { Supervisor } from "./supervisor.ts"

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
  const queued = makeQueuedRecords()
  const { damage, records } = store === undefined
    ? nothingLoaded
    : yield* Effect.provideService(store.load, QueuedMessages, queued)
  const kept = records.length + queued.size
  const clientId = yield* chooseClientId(options, records)
  const fibers = new Fibers(withoutSpan(yield* Effect.context<never>()))
  const forEngine = engineOptions(options, yield* randomToken)
  const makeRecorder = options.flightRecorder === 0 ? undefined : yield* Recorders
  if (options.flightRecorder > 0 && makeRecorder === undefined) {
    const issues = [{ path: "flightRecorder", message: "needs FlightRecorder.layer" }]
    return yield* new MqttError({ session: options.name, method: "make", reason: new InvalidOptions({ issues }) })
  }
  const recorder = makeRecorder?.(makeEngine(forEngine), forEngine, {
    session: options.name,
    bytes: options.flightRecorder,
    clock,
    fork: (effect) => void fibers.fork(effect)
  })
  const engine = recorder?.engine ?? makeEngine(forEngine)
  const now = monotonicMillis(clock)
  engine.epochOffset = clock.currentTimeMillisUnsafe() - now
  engine.restore(records, now, queued)

  const scope = yield* Effect.scope
  const settings = yield* SessionLog
  const core = new SessionAssembly({
    options,
    clientId,
    engine,
    store,
    records,
    clock,
    fibers,
    settings,
    observer,
    recorder
  })
  if (recorder !== undefined) attachRecorder(core.session, recorder)
  connect(core, clock, addresses, identityIn(records))
  yield* Scope.addFinalizerExit(scope, ending(core))
  if (damage !== undefined) core.lifecycle.emit({ _tag: "StorageDamaged", kept, ...damage })
  return core
})

// A function of its own that makes the effect when it runs, so that the scope holds little of an idle session.
const ending = (core: SessionAssembly) => (): Effect.Effect<void> => core.end

/**
 * Starts the supervisor, which connects and reconnects the session. `known` is the identity that the store recorded.
 */
const connect = (
  core: SessionAssembly,
  clock: Clock.Clock,
  addresses: ReadonlyArray<ServerAddress.ServerAddress>,
  known: IdentityRecord | undefined
): void => {
  const { options } = core
  const source = new AccessSource(core)
  const renewal = source.isDynamic ? makeRenewal(core, source, clock) : undefined
  core.renewal = renewal
  const supervisor = new Supervisor(core, {
    servers: new Servers(addresses, options.redirects),
    connector: new Connector({
      session: core,
      access: renewal ?? source,
      isNewSession: known !== undefined && known.clientId !== core.clientId
    }),
    identity: core.isDurable ? new RecordedIdentity(core, known) : undefined
  })
  core.shutdown.begun(supervisor)
  supervisor.start()
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

const parseServers = (options: SessionOptions): Effect.Effect<ReadonlyArray<ServerAddress.ServerAddress>, MqttError> =>
  Effect.forEach(options.servers, (server) => {
    const parsed = ServerAddress.parse(server, { secure: options.secure })
    return parsed._tag === "Success"
      ? Effect.succeed({ ...parsed.success, query: parsed.success.query ?? options.webSocket.queries?.[server] })
      : Effect.fail(new MqttError({ session: options.name, method: "make", reason: parsed.failure }))
  })

const nothingLoaded: LoadedRecords = { records: [], damage: undefined }
