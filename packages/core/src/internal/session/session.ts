/**
 * Puts a session together: engine, driver, store, supervisor, and the two halves that users see.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import { Closed, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { MessageDropped } from "../../SessionEvent.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { ConnectionInfo, SessionStatus } from "../../SessionStatus.ts"
import { type LoadedRecords, SessionStore } from "../../SessionStore.ts"
import { weighPublish } from "../codec/weigh.ts"
import type { EngineEvent } from "../engine/contract.ts"
import { makeEngine } from "../engine/engine.ts"
import { registerLedger } from "../messageFailures.ts"
import { monotonicMillis } from "../time.ts"
import * as Broadcast from "./broadcast.ts"
import { makeConnector } from "./connector.ts"
import * as Consume from "./consume.ts"
import { makeDefectLog } from "./defectLog.ts"
import { Driver } from "./driver.ts"
import { engineOptions, inboundLimitOf } from "./engineOptions.ts"
import { logModeOf } from "./eventLog.ts"
import { SessionFailures } from "./failureLedger.ts"
import { Fibers } from "./fibers.ts"
import * as Hub from "./hub.ts"
import { chooseClientId, identityIn, identityOf, isSameIdentity, randomToken } from "./identity.ts"
import { OriginLedger } from "./originLedger.ts"
import { Publisher } from "./publisher.ts"
import { Reconnect, type ReconnectSchedule } from "./reconnect.ts"
import * as Seam from "./seam.ts"
import { Servers } from "./servers.ts"
import { Subscriber } from "./subscriber.ts"
import * as Supervisor from "./supervisor.ts"
import { protectionOf, warnAssigned } from "./trust.ts"

/** Messages without a consumer that wait for one listener, and the part of the memory for received messages that they take. */
const unclaimedMessages = 1024
const unclaimedShare = 1 / 8

/**
 * Makes a session from valid options, see `MqttSession.make`.
 */
export const makeSession = Effect.fnUntraced(function*(
  options: SessionOptions,
  schedule: ReconnectSchedule | undefined,
  observer?: Hub.Observer
): Effect.fn.Return<Session, MqttError, Scope.Scope> {
  const { name } = options
  const clock = yield* Clock.Clock
  const addresses = yield* parseServers(options)
  const protection = protectionOf(options)
  const durable = options.persistence === "durable"

  const store = durable ? yield* (yield* SessionStore).open(name) : undefined
  const { damage, records } = store === undefined ? nothingLoaded : yield* store.load
  const clientId = yield* chooseClientId(options, records)
  const engine = makeEngine(engineOptions(options, yield* randomToken))
  const inboundLimit = inboundLimitOf(options)
  const now = monotonicMillis(clock)
  engine.epochOffset = clock.currentTimeMillisUnsafe() - now
  engine.restore(records, now)

  const unclaimed = new Broadcast.Broadcast<Message>({
    capacity: unclaimedMessages,
    memory: { limit: unclaimedShare * inboundLimit, bytesOf: weighPublish },
    replay: 0
  })
  const scope = yield* Effect.scope
  const fibers = new Fibers(yield* Effect.context<never>())
  yield* Scope.addFinalizer(scope, fibers.end)
  const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> => fibers.fork(effect)
  const settings = yield* SessionLog
  const log = logModeOf(options, settings)
  const hub = new Hub.Hub(name, clock, observer, { log, settings, fork })
  const reportDefect = makeDefectLog(name, clock)
  const driver = new Driver({
    session: name,
    engine,
    store,
    onStorageFailure: options.onStorageFailure,
    inboundLimit,
    clock,
    fork,
    handlers: {
      onEvent: (event) => onEngineEvent(event),
      onConsumer: (consumer) => subscriber.onConsumer(consumer),
      onSpace: () => publisher.onSpace(),
      onTurn: () => onTurn(),
      onStorage: (error) => {
        hub.emit(error === undefined ? { _tag: "StorageRecovered" } : { _tag: "StorageDegraded", error })
        hub.set({ storageFailure: error })
        // Whoever waits for room learns that nothing is accepted.
        publisher.onSpace()
      },
      onStorageLost: (error) => {
        fork(endWithoutStorage(error))
      },
      onOverflow: (topic, count) =>
        hub.emit({ _tag: "MessageDropped", direction: "inbound", cause: "streamOverflow", topic, count }),
      onReadingStalled: (bytes) =>
        hub.emit({ _tag: "MemoryLimitReached", bytes, limit: inboundLimit, isClosing: false }),
      onMemoryExceeded: (bytes) =>
        hub.emit({ _tag: "MemoryLimitReached", bytes, limit: inboundLimit, isClosing: true }),
      onDefect: (cause) => {
        fork(reportDefect(cause))
      }
    }
  })
  driver.figures.accepted(driver.stats.queuedMessages + driver.stats.inflight)
  const publisher = new Publisher(driver, {
    session: name,
    protocolVersion: options.protocolVersion,
    publishTimeout: options.publishTimeout,
    queueMessages: options.queue.messages,
    hub
  })
  const subscriber = new Subscriber(driver, {
    session: name,
    streamBuffer: options.streamBuffer,
    onOverflow: options.onOverflow,
    subscribeTimeout: options.subscribeTimeout,
    until: (holds) => untilTurn(holds),
    hub,
    onShared: (filters) => {
      const { persistence } = options
      if (persistence === "none" || Duration.isZero(options.sessionExpiry)) return
      hub.emit({ _tag: "SharedSubscriptionAtRisk", filters, persistence })
    }
  })
  const failures = new SessionFailures({
    now: () => driver.now(),
    isSilent: log === "off",
    schedule: () => driver.schedule(),
    emit: (event) => hub.emit(event),
    onFailing: (failingSince) => hub.set({ failingSince })
  })

  let stopping = false
  let identity = identityIn(records)
  const connector = makeConnector({
    options,
    clientId,
    startsAnew: identity !== undefined && identity.clientId !== clientId
  })
  let storageLost: MqttError | undefined
  const releaseListeners = durable ? new Set<(packetIdentifier: number) => void>() : undefined
  const origins = durable ? new OriginLedger(driver, records) : undefined
  let turnWaiters: Set<() => void> | undefined

  // What was dropped in this turn, one event for each cause however many there were.
  let drops:
    | Map<MessageDropped["cause"], { direction: MessageDropped["direction"]; topic: string; count: number }>
    | undefined

  const noteDrop = (direction: MessageDropped["direction"], cause: MessageDropped["cause"], topic: string): void => {
    drops ??= new Map()
    const drop = drops.get(cause)
    if (drop === undefined) drops.set(cause, { direction, topic, count: 1 })
    else {
      drop.topic = topic
      drop.count++
    }
  }

  const onTurn = (): void => {
    failures.turned()
    if (drops !== undefined) {
      for (const [cause, drop] of drops) hub.emit({ _tag: "MessageDropped", cause, ...drop })
      drops = undefined
    }
    hub.turned(durable)
    if (publisher.isParking) publisher.onSpace()
    const current = hub.current()
    if (
      current.state === "connected" && !current.ready && driver.connection !== undefined &&
      driver.stats.pendingSubscriptions === 0
    ) {
      // The event first: whoever awaits readiness finds it in the past.
      hub.emit({ _tag: "Ready", subscriptions: driver.stats.subscriptions })
      hub.set({ ready: true })
    }
    for (const waiter of turnWaiters ?? []) waiter()
  }

  const onEngineEvent = (event: EngineEvent): void => {
    switch (event._tag) {
      case "SessionLost":
        return hub.emit(event)
      case "OutboundDropped":
        return noteDrop("outbound", event.reason, event.topic)
      case "UnclaimedDropped":
        unclaimed.publish(event.message)
        return noteDrop("inbound", "unclaimed", event.message.topic)
      case "SlowConsumer":
        return hub.emit({
          _tag: "SlowConsumer",
          filters: event.filters,
          absent: event.absent,
          topic: event.message.topic,
          waiting: event.waiting
        })
      case "ConsumerForgotten":
        return hub.emit({
          _tag: "ConsumerForgotten",
          consumer: event.name,
          error: error(event.reason, "subscribe")
        })
      case "OrphanFailed":
        return hub.messageFailed(event.topic, event.reason)
      case "SubscriptionRefused":
        return hub.subscriptionFailed([event.reason.filter], undefined, error(event.reason, "subscribe"))
      case "UnsubscribeRefused":
        return subscriber.onUnsubscribeRefused(event.reason)
      case "InboundReleased":
        for (const listener of releaseListeners ?? []) listener(event.packetIdentifier)
        return
      case "ReconnectWanted":
        if (driver.connection !== undefined) fork(driver.connection.close(0x83))
        return
      case "ReceiveMaximumExceeded":
        return hub.emit(event)
      case "UnknownPacketIdentifier":
        return
    }
  }

  /** What has happened so far is written, or about to be committed. A fiber that an output has resumed gets here before the next output is taken. */
  const untilFlushed = Effect.suspend(() => {
    const before = driver.flushes
    driver.flush()
    return untilTurn(() => driver.flushes > before)
  })

  /** Waits for the end of every commit that has something to do with what has happened so far: the one on its way, and the next. */
  const untilStored = Effect.andThen(
    untilFlushed,
    Effect.suspend(() => {
      const goal = driver.commits + 2
      return untilTurn(() => !driver.isCommitting || driver.commits >= goal)
    })
  )

  /** Waits for a condition that is looked at after each turn. */
  const untilTurn = (holds: () => boolean): Effect.Effect<void> =>
    Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const waiters = turnWaiters ??= new Set()
      const waiter = (): void => {
        if (!holds()) return
        waiters.delete(waiter)
        resume(Effect.void)
      }
      waiters.add(waiter)
      return Effect.sync(() => waiters.delete(waiter))
    })

  const consume: Seam.SessionSeam["consume"] = (filters, handler, consumeOptions, observer) =>
    Effect.scoped(Effect.flatMap(
      subscriber.consumer(filters, consumeOptions, handler),
      (queue) =>
        Consume.run(
          {
            driver,
            session,
            ledger: failures,
            onDropped: (topic) => {
              noteDrop("inbound", "streamOverflow", topic)
              driver.schedule()
            }
          },
          queue,
          handler,
          consumeOptions,
          observer
        )
    ))

  const error = (reason: MqttErrorReason, method: string): MqttError => new MqttError({ session: name, method, reason })

  // Begins in the next turn, when whoever made the session has it.
  const supervisor = fork(Effect.andThen(
    Effect.yieldNow,
    Supervisor.run({
      session: name,
      driver,
      hub,
      servers: new Servers(addresses),
      reconnect: new Reconnect(schedule, options.reconnect),
      now: () => driver.now(),
      isUnverified: protection === "unverified",
      persistent: options.persistence !== "none",
      autoReconnect: options.reconnect.enabled,
      isStopping: () => stopping,
      connect: connector.packet,
      open: connector.open,
      onViolation: ({ kind }) => {
        if (kind === "session-present") {
          connector.discardServerSession()
          hub.emit({ _tag: "SessionLost", unacknowledged: 0, subscriptions: 0 })
        }
      },
      onConnected: (connack) => {
        connector.connected()
        const assigned = connack.properties.assignedClientIdentifier
        // Every CONNECT of ours has an identifier. The server's session is kept under that one, and so is what is
        // stored here.
        if (assigned !== undefined && assigned !== clientId) {
          fork(warnAssigned(name, hub.current().server, assigned))
        }
        if (store !== undefined) {
          const before = identity
          identity = identityOf(options, clientId, connack, before, clock.currentTimeMillisUnsafe())
          if (before === undefined || !isSameIdentity(before, identity)) driver.record(identity)
        }
        publisher.recover()
        subscriber.recover()
      },
      onFailure: (failure, forGood) =>
        Effect.sync(() => {
          publisher.suspendAwaiting(failure)
          subscriber.suspendAwaiting(failure, forGood)
        })
    })
  ))

  const finishWork = () =>
    Effect.gen(function*() {
      // A session that ends at the server needs no deliveries any more; a durable one gets the rest when it comes back.
      if (!durable) {
        const filters = new Set(Array.from(driver.queues).flatMap((queue) => queue.consumer.request.filters))
        for (const filter of filters) driver.unsubscribe(filter)
        yield* untilTurn(() => driver.connection === undefined || driver.stats.pendingSubscriptions === 0)
      }
      for (const queue of driver.queues) queue.end("orderly", () => driver.schedule())
      yield* untilTurn(() => {
        if (driver.connection === undefined) return true
        for (const queue of driver.queues) if (!queue.isIdle) return false
        return driver.stats.queuedMessages + driver.stats.inflight === 0
      })
      yield* untilStored
    })

  const shutdown = () =>
    Effect.gen(function*() {
      publisher.close()
      subscriber.close()
      failures.stop()
      yield* Effect.timeoutOption(finishWork(), options.drainTimeout)
      stopping = true
      yield* untilFlushed
      const { connection } = driver
      if (connection !== undefined) {
        yield* connection.close(0, options.persistence === "process" ? 0 : undefined)
        hub.emit({ _tag: "Disconnected", error: undefined })
        yield* connector.forget
      }
      supervisor.interruptUnsafe()
      for (const queue of driver.queues) queue.close()
      driver.end(new Closed({}))
      if (driver.isReleasing) {
        // Asked for by what a turn has resumed: the rest of that turn, and what has just been settled, is told before
        // the end.
        yield* Effect.yieldNow
        driver.flush()
      }
      hub.set({ state: "closed", ready: false, server: undefined })
      hub.end()
      unclaimed.end()
    })
  // In a fiber of its own: whoever waits for it may be interrupted, the shutdown goes on.
  let shuttingDown: Fiber.Fiber<unknown, unknown> | undefined
  const drain = Effect.suspend(() => {
    shuttingDown ??= fork(shutdown())
    return Effect.asVoid(Fiber.await(shuttingDown))
  })
  yield* Scope.addFinalizer(scope, drain)

  /** The store will never take anything again: the session has nothing more to do, and says why. */
  const endWithoutStorage = (failure: MqttError): Effect.Effect<void> =>
    Effect.gen(function*() {
      storageLost = failure
      const isShuttingDown = stopping
      stopping = true
      if (hub.current().storageFailure === undefined) hub.emit({ _tag: "StorageDegraded", error: failure })
      publisher.suspendAwaiting(failure)
      subscriber.suspendAwaiting(failure, true)
      const { connection } = driver
      if (connection !== undefined && !isShuttingDown) {
        yield* connection.close(ReasonCode.implementationSpecificError)
        hub.emit({ _tag: "Disconnected", error: failure })
      }
      yield* Fiber.interrupt(supervisor)
      const isClosed = hub.current().state === "closed"
      hub.set({
        ...(isClosed ? undefined : { state: "disconnected" as const }),
        ready: false,
        server: undefined,
        lastError: failure,
        failure,
        storageFailure: failure
      })
      for (const waiter of turnWaiters ?? []) waiter()
    })

  if (damage !== undefined) hub.emit({ _tag: "StorageDamaged", kept: records.length, ...damage })

  const status = ({ failingSince: _since, storageFailure, ...state }: Hub.HubState): SessionStatus => ({
    clientId,
    ...state,
    tls: protection,
    handlers: {
      failing: failures.failing,
      since: failures.since === undefined ? undefined : driver.toEpoch(failures.since)
    },
    storage: store === undefined
      ? undefined
      : { durability: store.durability, volatile: store.durability === "session", failure: storageFailure }
  })

  // Idle sessions are many: what is a tower of streams, or remembers where it was written, is made when it is asked for.
  const session: Session = {
    name,
    options,
    publish: (topic, payload, publishOptions) => publisher.publish(topic, payload, publishOptions),
    enqueue: (topic, payload, publishOptions) => publisher.enqueue(topic, payload, publishOptions),
    publishAll: (messages) => publisher.publishAll(messages),
    get sink() {
      return publisher.sink
    },
    subscription: (filters, subscribeOptions) =>
      Effect.withSpan(subscriber.subscription(filters, subscribeOptions), "MqttSession.subscription"),
    subscribe: (filters, subscribeOptions) =>
      Stream.unwrap(
        Effect.map(subscriber.subscription(filters, subscribeOptions), (subscription) => subscription.messages)
      ),
    consume: (filters, handler, consumeOptions = {}) => consume(filters, handler, consumeOptions),
    unsubscribe: (filter) =>
      Effect.withSpan(
        subscriber.unsubscribe(
          filter,
          () => storageLost !== undefined || hub.current().state === "closed"
        ).pipe(
          Effect.tap(() => Effect.sync(() => hub.subscriptionSettled([filter], false))),
          Effect.andThen(untilStored),
          Effect.andThen(Effect.suspend(() => storageLost === undefined ? Effect.void : Effect.fail(storageLost)))
        ),
        "MqttSession.unsubscribe"
      ),
    consumers: Effect.sync(() => driver.namedConsumers),
    forgetConsumer: (name) =>
      Effect.andThen(Effect.sync(() => driver.forgetConsumer(name)), (isKnown) => Effect.as(untilStored, isKnown)),
    get unclaimed() {
      return unclaimed.stream
    },
    status: Effect.sync(() => status(hub.current())),
    get statusChanges() {
      return hub.changes.pipe(Stream.map(status), Stream.takeUntil(({ state }) => state === "closed"))
    },
    get events() {
      return hub.events
    },
    metrics: Effect.sync(() => driver.figures.metrics(driver, hub, failures, options.memoryLimit)),
    connectionInfo: Effect.sync(() => infoOf(driver, hub, clientId)),
    awaitReady: Effect.suspend(() =>
      hub.changes.pipe(
        Stream.filter((state) => state.ready || state.failure !== undefined || state.state === "closed"),
        Stream.take(1),
        Stream.runForEach((state) =>
          state.ready ? Effect.void : Effect.fail(state.failure ?? error(new Closed({}), "awaitReady"))
        )
      )
    ),
    drain
  }
  registerLedger(session, failures)
  Seam.register(session, {
    driver,
    publisher,
    subscriber,
    consume,
    origins,
    releaseListeners
  })
  return session
})

const parseServers = (options: SessionOptions): Effect.Effect<ReadonlyArray<ServerAddress.ServerAddress>, MqttError> =>
  Effect.forEach(options.servers, (server) => {
    const parsed = ServerAddress.parse(server, { secure: options.secure })
    return parsed._tag === "Success"
      ? Effect.succeed({ ...parsed.success, query: parsed.success.query ?? options.webSocket.queries?.[server] })
      : Effect.fail(new MqttError({ session: options.name, method: "make", reason: parsed.failure }))
  })

const nothingLoaded: LoadedRecords = { records: [], damage: undefined }

const infoOf = (driver: Driver, hub: Hub.Hub, clientId: string): Option.Option<ConnectionInfo> => {
  const { connection, limits } = driver
  if (connection === undefined || limits === undefined) return Option.none()
  return Option.some({
    ...limits,
    server: hub.current().server ?? "",
    clientId,
    sessionPresent: connection.connack.sessionPresent,
    keepAlive: connection.keepAlive,
    properties: connection.connack.properties
  })
}
