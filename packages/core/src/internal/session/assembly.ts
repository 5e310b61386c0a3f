/**
 * Makes the parts of a session, connects their callbacks, and runs the work that follows each turn. It contains no
 * protocol logic. `session.ts` calls it.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { SessionLogOptions } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import type { SessionStoreHandle } from "../../SessionStore.ts"
import type { StoreRecord } from "../../StoreRecord.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import { weighPublish } from "../codec/weigh.ts"
import type { Consumer, EngineEvent, SessionEngine } from "../engine/contract.ts"
import { Broadcast } from "./broadcast.ts"
import * as Consume from "./consume.ts"
import type { ConsumeObserver } from "./consumeObserver.ts"
import type { Session } from "./contract.ts"
import type { SessionCore } from "./core.ts"
import { makeDefectLog } from "./defectLog.ts"
import { DroppedMessages } from "./droppedMessages.ts"
import { onEngineEvent } from "./engineEvents.ts"
import { EngineLoop, type EngineLoopHandlers } from "./engineLoop.ts"
import { inboundLimitOf } from "./engineOptions.ts"
import { logModeOf } from "./eventLog.ts"
import { makeSessionFacade } from "./facade.ts"
import { SessionFailures } from "./failureLedger.ts"
import type { Fibers } from "./fibers.ts"
import type { SessionRecorder } from "./flightRecord.ts"
import { Lifecycle, type LifecycleState, type Observer } from "./lifecycle.ts"
import { OriginLedger } from "./originLedger.ts"
import { Publisher } from "./publisher.ts"
import type { Renewal } from "./renewal.ts"
import { Shutdown } from "./shutdown.ts"
import { Subscriber, type SubscriberHost } from "./subscriber.ts"
import { SessionTracing } from "./tracing.ts"
import { protectionOf } from "./trust.ts"
import { Turns } from "./turns.ts"

/**
 * What must exist before the session: options, engine, store, clock and fibers.
 */
export interface SessionParts {
  readonly options: SessionOptions
  readonly clientId: string
  readonly engine: SessionEngine
  readonly store: SessionStoreHandle | undefined
  readonly records: ReadonlyArray<StoreRecord>
  readonly clock: Clock.Clock
  readonly fibers: Fibers
  readonly settings: SessionLogOptions
  readonly observer: Observer | undefined
  /** Present with the option `flightRecorder`. */
  readonly recorder: SessionRecorder | undefined
}

/**
 * Bounds of the dropped messages that wait for one listener of `unclaimed`: their number, and their share of the memory
 * limit of received messages.
 */
const unclaimedMessages = 1024
const unclaimedShare = 1 / 8

// It handles the callbacks of its parts itself: a record of functions for each part would be a large part of an idle
// session.
export class SessionAssembly implements SessionCore, EngineLoopHandlers, SubscriberHost {
  readonly options: SessionOptions
  /** Empty until the server has assigned one. */
  clientId: string
  readonly engineLoop: EngineLoop
  readonly lifecycle: Lifecycle
  readonly publisher: Publisher
  readonly subscriber: Subscriber
  readonly failures: SessionFailures
  readonly turns: Turns
  readonly tracing: SessionTracing | undefined
  readonly dropped = new DroppedMessages()
  #unclaimed: Broadcast<Message> | undefined
  readonly shutdown: Shutdown
  readonly origins: OriginLedger | undefined
  readonly releaseListeners: Set<(packetIdentifier: number) => void> | undefined
  readonly session: Session
  /** Present where credentials are asked for before each attempt. */
  renewal: Renewal | undefined
  readonly recorder: SessionRecorder | undefined
  readonly #store: SessionStoreHandle | undefined
  readonly #fibers: Fibers
  readonly #protection: SessionStatus["tls"]
  readonly #clock: Clock.Clock
  #reportDefect: ((cause: unknown) => Effect.Effect<void>) | undefined

  constructor(parts: SessionParts) {
    const { clientId, clock, engine, fibers, observer, options, recorder, records, settings, store } = parts
    const inboundLimit = inboundLimitOf(options)
    const log = logModeOf(options, settings)
    this.options = options
    this.clientId = clientId
    this.#store = store
    this.#fibers = fibers
    this.#clock = clock
    this.recorder = recorder
    this.#protection = protectionOf(options)
    this.tracing = options.tracing === "off" ? undefined : new SessionTracing(this)
    this.turns = new Turns(this)
    this.lifecycle = new Lifecycle(options.name, clock, observer, {
      log,
      settings,
      fibers
    })
    this.engineLoop = new EngineLoop({
      session: options.name,
      engine,
      store,
      onStorageFailure: options.onStorageFailure,
      inboundLimit,
      clock,
      fibers,
      handlers: this
    })
    this.engineLoop.counters.accepted(this.engineLoop.stats.queuedMessages + this.engineLoop.stats.inflight)
    this.publisher = new Publisher(this.engineLoop, {
      session: options.name,
      protocolVersion: options.protocolVersion,
      publishTimeout: options.publishTimeout,
      queueMessages: options.queue.messages,
      lifecycle: this.lifecycle
    })
    this.subscriber = new Subscriber(this)
    this.failures = new SessionFailures(this, log === "off")
    this.shutdown = new Shutdown(this)
    this.origins = this.isDurable ? new OriginLedger(this.engineLoop, records) : undefined
    this.releaseListeners = this.isDurable ? new Set() : undefined
    this.session = makeSessionFacade(this)
  }

  get name(): string {
    return this.options.name
  }

  get isDurable(): boolean {
    return this.options.persistence === "durable"
  }

  /** Made with the first message or listener: most sessions have neither. */
  get unclaimed(): Broadcast<Message> {
    return this.#unclaimed ??= new Broadcast<Message>({
      capacity: unclaimedMessages,
      memory: { limit: unclaimedShare * this.engineLoop.inboundLimit, bytesOf: weighPublish },
      replay: 0
    })
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return this.#fibers.fork(effect)
  }

  consume<E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options: ConsumeOptions<E, R>,
    observer?: ConsumeObserver
  ): Effect.Effect<void, MqttError | E, R> {
    return Effect.scoped(Effect.flatMap(this.subscriber.consumer(filters, options, handler), (queue) =>
      Consume.run(
        {
          engineLoop: this.engineLoop,
          session: this.session,
          ledger: this.failures,
          onDropped: (topic) => {
            this.dropped.note("inbound", "streamOverflow", topic)
            this.engineLoop.schedule()
          }
        },
        queue,
        this.tracing === undefined ? handler : this.tracing.handled(handler),
        options,
        observer
      )))
  }

  /** Ends the session in order, and then all of its fibers. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.ensuring(this.shutdown.drain, Effect.andThen(this.shutdown.disconnected, this.#fibers.end))
    )
  }

  get untilClosed(): Effect.Effect<void> {
    return Stream.runDrain(Stream.takeUntil(this.lifecycle.changes, ({ state }) => state === "closed"))
  }

  statusOf({ failingSince: _since, storageFailure, ...state }: LifecycleState): SessionStatus {
    const { failures } = this
    const store = this.#store
    return {
      clientId: this.clientId,
      ...state,
      tls: this.#protection,
      handlers: {
        failing: failures.failing,
        since: failures.since === undefined ? undefined : this.engineLoop.toEpoch(failures.since)
      },
      storage: store === undefined
        ? undefined
        : { durability: store.durability, volatile: store.durability === "session", failure: storageFailure }
    }
  }

  // Callbacks of the engine loop.

  onEvent(event: EngineEvent): void {
    onEngineEvent(this, event)
  }

  onConsumer(consumer: Consumer): void {
    this.subscriber.onConsumer(consumer)
  }

  onSpace(): void {
    this.publisher.onSpace()
  }

  onOverflow(topic: string, count: number): void {
    this.lifecycle.emit({ _tag: "MessageDropped", direction: "inbound", cause: "streamOverflow", topic, count })
  }

  onReadingStalled(bytes: number): void {
    this.lifecycle.emit({ _tag: "MemoryLimitReached", bytes, limit: this.engineLoop.inboundLimit, isClosing: false })
  }

  onMemoryExceeded(bytes: number): void {
    this.lifecycle.emit({ _tag: "MemoryLimitReached", bytes, limit: this.engineLoop.inboundLimit, isClosing: true })
  }

  onDefect(cause: unknown): void {
    this.#reportDefect ??= makeDefectLog(this.name, this.#clock)
    this.fork(this.#reportDefect(cause))
    this.recorder?.defect(cause)
  }

  onStorageLost(error: MqttError): void {
    this.fork(this.shutdown.endWithoutStorage(error))
  }

  onTurn(): void {
    const { engineLoop, lifecycle, publisher } = this
    this.failures.turned()
    this.dropped.tell((event) => lifecycle.emit(event))
    lifecycle.turned(this.isDurable)
    // A bulk waits below the bound of the queue. At the bound the engine tells when there is space: trying now would
    // only bring another turn, and so on.
    if (publisher.isParking && !engineLoop.stats.isQueueFull) publisher.onSpace()
    const { ready, state } = lifecycle.current()
    const holds = engineLoop.connection !== undefined && engineLoop.stats.pendingSubscriptions === 0
    if (state === "connected" && !ready && holds) {
      // Emit first: a program that awaits readiness then finds the event in the past.
      lifecycle.emit({ _tag: "Ready", subscriptions: engineLoop.stats.subscriptions })
      lifecycle.set({ ready: true })
    }
    this.turns.turned()
  }

  onStorage(error: MqttError | undefined): void {
    this.lifecycle.emit(error === undefined ? { _tag: "StorageRecovered" } : { _tag: "StorageDegraded", error })
    this.lifecycle.set({ storageFailure: error })
    // Publishers that wait for queue space must learn that nothing is accepted.
    this.publisher.onSpace()
  }

  // Callback of the subscriber.

  onShared(filters: ReadonlyArray<string>): void {
    const { persistence, sessionExpiry } = this.options
    if (persistence === "none" || Duration.isZero(sessionExpiry)) return
    this.lifecycle.emit({ _tag: "SharedSubscriptionAtRisk", filters, persistence })
  }
}
