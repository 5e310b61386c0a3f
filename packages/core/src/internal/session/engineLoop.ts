/**
 * Joins the session engine with a connection, a store and the clock. Once per turn of the event loop it takes the
 * output that the engine collected, commits it, writes it and hands it out. It makes no protocol decision: the engine
 * does.
 */
import { scheduleTurn } from "#transport"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { type MqttError, type MqttErrorReason, Unexpected } from "../../MqttError.ts"
import type { Connect, Packet } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { NamedConsumer } from "../../SessionStatus.ts"
import type { SessionStoreHandle } from "../../SessionStore.ts"
import type { StoreChange, StoreRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { Connection, ConnectionCounters, NotSent } from "../connection/contract.ts"
import type {
  Admission,
  Consumer,
  ConsumerRequest,
  Delivery,
  DeliveryFor,
  EngineEvent,
  EngineStats,
  IndependentOutput,
  Outbound,
  Output,
  PublishRequest,
  ServerLimits,
  SessionEngine
} from "../engine/contract.ts"
import { monotonicMillis } from "../time.ts"
import { Commits } from "./commits.ts"
import type { ConsumerQueue, ConsumerQueueHost } from "./consumerQueue.ts"
import { each } from "./each.ts"
import { Figures } from "./figures.ts"
import { Reading } from "./reading.ts"

/**
 * The callbacks of the loop. All are synchronous and run at the end of a turn.
 */
export interface EngineLoopHandlers {
  readonly onEvent: (event: EngineEvent) => void
  readonly onConsumer: (consumer: Consumer) => void
  /** The outbound queue has space again. */
  readonly onSpace: () => void
  /** Everything due in this turn is handed out. */
  readonly onTurn: () => void
  /** The store has begun to fail, or takes commits again. Called once per change. */
  readonly onStorage: (error: MqttError | undefined) => void
  /** The store has failed permanently. Everything is settled, and nothing is stored any more. */
  readonly onStorageLost: (error: MqttError) => void
  /** Number of inbound QoS 0 messages that streams dropped in this turn. */
  readonly onOverflow: (topic: string, count: number) => void
  /** Received messages have taken this many bytes for a second. Reading waits for their consumers. */
  readonly onReadingStalled: (bytes: number) => void
  /** Received messages take so many bytes that the connection ends. */
  readonly onMemoryExceeded: (bytes: number) => void
  /** An unexpected exception in a turn. The rest of the turn is carried out. */
  readonly onDefect: (cause: unknown) => void
}

export interface EngineLoopOptions {
  readonly session: string
  readonly engine: SessionEngine
  /** Present for a durable session. */
  readonly store: SessionStoreHandle | undefined
  readonly onStorageFailure: "wait" | "fail"
  /** Bound of received messages until their consumers have finished, in bytes. */
  readonly inboundLimit: number
  readonly clock: Clock.Clock
  /** Runs background work in the session's scope, with its context. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly handlers: EngineLoopHandlers
}

/** A read of at least this many packets is flushed immediately instead of at the end of the turn. */
const promptBatch = 256
/**
 * The same in bytes received since the last flush, because bytes that are not handed out yet count in no other limit.
 */
const promptBytes = 131_072

const noQueues: ReadonlySet<ConsumerQueue> = new Set()

/** Whether the packet is sent for the first time. */
const isNewPublish = (packet: Packet): boolean => packet._tag === "Publish" && !packet.dup

/**
 * The loop of one session.
 */
export class EngineLoop implements ConsumerQueueHost {
  readonly #engine: SessionEngine
  readonly #options: EngineLoopOptions
  #queues: Set<ConsumerQueue> | undefined
  #connection: Connection | undefined
  /** Counts connections. An output that was taken for one connection is never written to another. */
  #epoch = 0
  #opening = false
  /** The network got bytes of the previous connection or attempt. */
  #hasSent = false
  /** The connection failed to send, and its end has not been reported yet. */
  #isBroken = false
  #scheduled = false
  /** Present in a durable session. */
  readonly #commits: Commits | undefined
  /** Why nothing more is accepted; undefined: publishes are accepted. */
  #refusal: Admission | undefined
  /** The session has ended: nothing is stored or sent any more. */
  #ended = false
  #ownChanges: Array<StoreChange> = []
  #releasing = false
  #flushes = 0
  /** The last turn threw. */
  #isFailing = false
  #timed: number | undefined
  #armed: { readonly deadline: number; readonly fiber: Fiber.Fiber<void> } | undefined
  #overflowTopic = ""
  #overflowCount = 0
  readonly figures: Figures
  readonly reading: Reading
  #bytesSent = 0
  #bytesReceived = 0
  #receivedAtFlush = 0
  /** Of the current connection, until `gone`. */
  #counters: ConnectionCounters | undefined

  constructor(options: EngineLoopOptions) {
    this.#engine = options.engine
    this.#options = options
    this.figures = new Figures(this.now())
    this.reading = this.#makeReading()
    this.#commits = options.store === undefined ? undefined : this.#makeCommits(options.store)
  }

  get stats(): EngineStats {
    return this.#engine.stats
  }

  get limits(): ServerLimits | undefined {
    return this.#engine.limits
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  get queues(): ReadonlySet<ConsumerQueue> {
    return this.#queues ?? noQueues
  }

  /** MQTT packet bytes of all connections so far, including attempts that failed before CONNACK. */
  get bytes(): { readonly sent: number; readonly received: number } {
    return { sent: this.#bytesSent + (this.#counters?.bytesSent ?? 0), received: this.#received }
  }

  get #received(): number {
    return this.#bytesReceived + (this.#counters?.bytesReceived ?? 0)
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return monotonicMillis(this.#options.clock)
  }

  /** Converts a moment of `now` to milliseconds since the epoch. */
  toEpoch(moment: number): number {
    return Math.round(moment - this.now() + this.#options.clock.currentTimeMillisUnsafe())
  }

  /**
   * The time for an input of the engine. The clocks are read once per turn of the event loop: every input schedules a
   * turn, and the turn clears the cached time.
   */
  #time(): number {
    if (this.#timed !== undefined) return this.#timed
    const now = this.now()
    this.#engine.epochOffset = this.#options.clock.currentTimeMillisUnsafe() - now
    this.#timed = now
    this.schedule()
    return now
  }

  /** Begins an attempt. Until `attach` or `detach`, output of the engine waits for the connection to be handed over. */
  opening({ cleanStart, properties }: Connect): void {
    this.#opening = true
    this.#hasSent = false
    this.#engine.connecting(cleanStart, properties.receiveMaximum)
  }

  attach(connection: Connection): void {
    this.#opening = false
    this.#connection = connection
    this.#counters = connection.counters
    this.reading.attach(connection)
    this.schedule()
  }

  /**
   * The connection has ended, or an attempt failed. `endedByServer` describes how, when a packet that the server was
   * sent may be the reason.
   */
  detach(endedByServer?: string): void {
    this.#opening = false
    this.#isBroken = false
    this.#connection = undefined
    this.reading.attach(undefined)
    this.#epoch++
    this.#engine.disconnected(this.#time(), endedByServer, this.#hasSent)
    this.schedule()
  }

  /** The network of a connection, or of an attempt, is closed. */
  gone({ bytesReceived, bytesSent }: ConnectionCounters): void {
    this.#counters = undefined
    this.#hasSent = bytesSent > 0
    this.#bytesSent += bytesSent
    this.#bytesReceived += bytesReceived
  }

  receive(packets: ReadonlyArray<Packet>): Violation | undefined {
    const violation = this.#engine.receive(packets, this.#time())
    if (packets[0]!._tag === "Connack") {
      this.#engine.setWritable(true, this.#time())
      for (const queue of this.queues) queue.purgeStale()
    }
    // A turn of a busy network may bring many chunks. Each large chunk is handed out before the next: memory stays
    // short-lived, and streams get a chance to run before more arrives.
    const isMuch = packets.length >= promptBatch || this.#received - this.#receivedAtFlush >= promptBytes
    if (violation === undefined && isMuch) this.flush()
    else this.schedule()
    this.reading.check()
    return violation
  }

  writable(): void {
    this.#engine.setWritable(true, this.#time())
    this.schedule()
  }

  /** Sends no more PUBLISH on this connection, which is about to be replaced. Acknowledgements are still sent. */
  holdPublishes(): void {
    this.#engine.setWritable(false, this.#time())
    this.schedule()
  }

  publish(request: PublishRequest): Admission {
    const admission = this.#refusal ?? this.#engine.publish(request, this.#time())
    if (admission._tag === "Accepted") this.figures.accepted()
    else if (admission._tag === "Refused") this.figures.refused(admission.reason)
    this.schedule()
    return admission
  }

  withdraw(outbound: Outbound): boolean {
    const withdrawn = this.#engine.withdraw(outbound, this.#time())
    if (withdrawn) this.figures.withdrawn()
    this.schedule()
    return withdrawn
  }

  /** An output is being handed out by a caller further up the stack. */
  get isReleasing(): boolean {
    return this.#releasing
  }

  /** Whether something waits for the store. */
  get isCommitting(): boolean {
    return this.#commits?.isRunning === true
  }

  /** Number of times that the engine's output was carried out or its commit began. */
  get flushes(): number {
    return this.#flushes
  }

  /** How many commits have ended. */
  get commits(): number {
    return this.#commits?.ended ?? 0
  }

  /**
   * Settles everything that is not settled yet. Nothing is stored or sent afterwards. Acceptances in a running commit
   * fail, because their outcome could not be observed.
   */
  end(reason: MqttErrorReason): void {
    if (this.#ended) return
    const commits = this.#commits
    const now = this.#time()
    this.#ended = true
    this.#refusal = { _tag: "Refused", reason }
    const committing = commits?.stop()
    if (commits !== undefined) this.#engine.reject(committing, commits.failure?.reason ?? reason, now)
    // First takes back what the engine believes to be sent and never will be.
    if (commits !== undefined || this.#isBroken) this.#engine.disconnected(now)
    this.#engine.abandon(reason, now)
    if (committing !== undefined) this.#settle(committing)
    this.flush()
  }

  addConsumer(request: ConsumerRequest, queue: ConsumerQueue): MqttErrorReason | undefined {
    const consumer = this.#engine.addConsumer(request, this.#time())
    if ("_tag" in consumer) return consumer.reason
    consumer.owner = queue
    queue.consumer = consumer
    this.#queues ??= new Set()
    this.#queues.add(queue)
    this.schedule()
    return undefined
  }

  removeConsumer(queue: ConsumerQueue): void {
    if (this.#queues?.delete(queue) !== true) return
    this.figures.buffered(queue.highWater)
    this.#engine.removeConsumer(queue.consumer, this.#time())
    queue.removed()
    this.resume(queue)
    this.schedule()
  }

  isSettled(filter: string): boolean {
    return this.#engine.isSettled(filter)
  }

  unsubscribe(filter: string): void {
    this.#engine.unsubscribe(filter, this.#time())
    this.schedule()
  }

  /** Whether a consumer of this name was known. */
  forgetConsumer(name: string): boolean {
    const isKnown = this.#engine.forgetConsumer(name, this.#time())
    this.schedule()
    return isKnown
  }

  get namedConsumers(): ReadonlyArray<NamedConsumer> {
    return this.#engine.namedConsumers()
  }

  /** The use of a packet identifier that the server has not released, see `Delivery.use`. */
  inboundUse(packetIdentifier: number): string | undefined {
    return this.#engine.inboundUse(packetIdentifier)
  }

  acknowledge(consumer: Consumer, delivery: Delivery, reasonCode?: number): void {
    this.#engine.acknowledge(consumer, delivery, this.#time(), reasonCode)
    this.schedule()
  }

  // ConsumerQueueHost

  get inboundLimit(): number {
    return this.reading.limit
  }

  occupy(bytes: number): void {
    this.reading.occupy(bytes)
    // No other input may follow when a consumer finishes QoS 0 messages, so this schedules the turn.
    if (bytes < 0 && this.reading.isFull) this.schedule()
  }

  pause(queue: ConsumerQueue): void {
    this.reading.pause(queue)
  }

  resume(queue: ConsumerQueue): void {
    this.reading.resume(queue)
  }

  dropped(topic: string): void {
    this.#overflowTopic = topic
    this.#overflowCount++
  }

  /** Stores a record that does not belong to the engine, with the next changes. */
  record(record: StoreRecord): void {
    this.#ownChanges.push({ _tag: "Put", record })
    this.schedule()
  }

  /** Deletes a record that does not belong to the engine, with the next changes. */
  forget(key: string): void {
    this.#ownChanges.push({ _tag: "Delete", key })
    this.schedule()
  }

  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    scheduleTurn(this.#turn)
  }

  readonly #turn = (): void => {
    this.#scheduled = false
    this.#timed = undefined
    this.flush()
  }

  /**
   * Carries out what the engine collected: at the end of a turn, or immediately before a connection is closed. Never
   * throws, because it runs in a callback of the event loop, where an exception would end the process.
   */
  flush(): void {
    try {
      this.#flush()
      this.#isFailing = false
    } catch (cause) {
      this.#options.handlers.onDefect(cause)
      // Another turn does the rest of the work. If it fails too, the rest waits for the next input.
      if (!this.#isFailing) this.schedule()
      this.#isFailing = true
    }
  }

  #flush(): void {
    // The engine already knows the connection, but the connection is not handed over yet.
    if (this.#opening && this.#engine.limits !== undefined && !this.#ended) return
    if (this.#isBroken && !this.#ended) return
    // A fiber that the last output resumed called this. Outputs are handed out one after the other.
    if (this.#releasing) return this.schedule()
    this.#flushes++
    this.#receivedAtFlush = this.#received
    const commits = this.#commits
    if (commits === undefined) {
      const output = this.#engine.take()
      if (output !== undefined) this.#release(output, this.#epoch)
    } else if (commits.isRunning) {
      this.#releaseIndependent(this.#engine.takeIndependent())
    } else {
      this.#takeStored(commits)
    }
    this.reading.check()
    this.#count()
    this.#arm()
    this.#options.handlers.onTurn()
  }

  #takeStored(commits: Commits): void {
    const output = this.#engine.take()
    if (this.#ended) return output === undefined ? undefined : this.#settle(output)
    const changes = output === undefined ? this.#ownChanges : this.#ownChanges.concat(output.changes)
    this.#ownChanges = []
    if (changes.length === 0) return output === undefined ? undefined : this.#release(output, this.#epoch)
    // Split before any consumer runs, so that later output does not overtake this one.
    const independent = output === undefined ? undefined : this.#engine.takeIndependent(output)
    commits.run(changes, output, this.#epoch)
    this.#releaseIndependent(independent)
  }

  #releaseIndependent(independent: IndependentOutput | undefined): void {
    if (independent !== undefined) this.#release(independent, undefined)
  }

  #makeReading(): Reading {
    const { fork, handlers, inboundLimit } = this.#options
    return new Reading({
      limit: inboundLimit,
      stats: this.stats,
      queues: () => this.queues,
      fork,
      onStalled: (bytes) => handlers.onReadingStalled(bytes),
      onExceeded: (connection, bytes) => {
        fork(connection.close(ReasonCode.quotaExceeded))
        handlers.onMemoryExceeded(bytes)
      }
    })
  }

  #makeCommits(store: SessionStoreHandle): Commits {
    const { clock, fork, handlers, onStorageFailure, session } = this.#options
    return new Commits({
      session,
      store,
      clock,
      fork,
      figures: this.figures,
      handlers: {
        onCommitted: (output, epoch) => {
          if (output !== undefined) this.#release(output, epoch)
          this.schedule()
        },
        onFailing: (error, output) => {
          const keys = onStorageFailure === "fail" ? this.#reject(error.reason, output) : []
          handlers.onStorage(error)
          return keys
        },
        onInvalid: (error, output) => {
          this.schedule()
          return this.#engine.reject(output, error.reason, this.now())
        },
        onRecovered: () => {
          this.#refusal = undefined
          handlers.onStorage(undefined)
        },
        onLost: (error) => {
          this.end(error.reason)
          handlers.onStorageLost(error)
        }
      }
    })
  }

  /** Refuses everything that this commit would have accepted, and every publish from now on. */
  #reject(reason: MqttErrorReason, output: Output | undefined): ReadonlyArray<string> {
    this.#refusal = { _tag: "Refused", reason }
    this.schedule()
    return this.#engine.reject(output, reason, this.#time())
  }

  /** Hands out outcomes and events only; the rest of the output is discarded. */
  #settle(output: Output): void {
    const { events, settled, spaceAvailable } = output
    this.#release({ deliveries: [], events, settled, spaceAvailable }, undefined)
  }

  /** Hands an output out. Packets are sent only if the connection of this epoch still lives. */
  #release(output: Output | IndependentOutput, epoch: number | undefined): void {
    const isInner = this.#releasing
    this.#releasing = true
    try {
      if ("packets" in output) this.#handOutStored(output, epoch)
      this.#handOut(output)
    } finally {
      // Reset in every case: while it is set, every turn postpones its work.
      this.#releasing = isInner
    }
  }

  #handOutStored({ accepted, packets }: Output, epoch: number | undefined): void {
    const connection = this.#connection
    if (connection !== undefined && epoch === this.#epoch) {
      const result = packets.length === 0 ? undefined : connection.send(packets)
      if (result?._tag === "NotSent") {
        this.#break(packets, result)
      } else {
        if (result?._tag === "Congested") this.#engine.setWritable(false, this.#time())
        this.#engine.written()
      }
    }
    each(accepted, (outbound) => outbound.owner?.onAccepted?.(outbound), this.#options.handlers.onDefect)
  }

  /** The connection is about to end by itself. Until then the engine keeps its packets, and nothing is handed out. */
  #break(packets: ReadonlyArray<Packet>, { failure, sent }: NotSent): void {
    const refused = packets[sent]
    this.#engine.partlyWritten(
      packets.slice(0, sent).filter(isNewPublish).length,
      failure !== undefined && refused !== undefined && isNewPublish(refused)
        ? new Unexpected({ detail: `cannot encode ${failure.packet}: ${failure.detail}` })
        : undefined
    )
    this.#engine.setWritable(false, this.#time())
    this.#isBroken = true
  }

  #handOut(output: Output | IndependentOutput): void {
    const { handlers } = this.#options
    const { deliveries, events, settled } = output
    const now = settled.length > 0 ? this.now() : 0
    each(settled, (outbound) => {
      // A QoS 0 message whose connection ended before the write is queued again and has no outcome.
      const { outcome } = outbound
      if (outcome === undefined) return
      this.figures.settled(outbound, now)
      if (outbound.owner !== undefined) outbound.owner.onSettled?.(outbound)
      else if (outcome._tag === "Failed") {
        handlers.onEvent({ _tag: "OrphanFailed", topic: outbound.request.topic, reason: outcome.reason })
      }
    }, handlers.onDefect)
    if (deliveries.length > 0) this.#deliver(deliveries)
    if ("consumers" in output) {
      const { consumers } = output
      each(consumers, handlers.onConsumer, handlers.onDefect)
    }
    each(events, handlers.onEvent, handlers.onDefect)
    if (output.spaceAvailable) handlers.onSpace()
    if (this.#overflowCount > 0) {
      const count = this.#overflowCount
      this.#overflowCount = 0
      handlers.onOverflow(this.#overflowTopic, count)
    }
  }

  /** Fills all queues before it wakes any consumer, because a woken consumer runs at once. */
  #deliver(deliveries: ReadonlyArray<DeliveryFor>): void {
    const queues: Array<ConsumerQueue> = []
    this.figures.delivered(deliveries.length)
    for (let i = 0; i < deliveries.length; i++) {
      const { consumer, delivery } = deliveries[i]!
      const queue = consumer.owner as ConsumerQueue
      if (queue.push(delivery)) queues.push(queue)
    }
    each(queues, (queue) => queue.pushed(), this.#options.handlers.onDefect)
  }

  /** Updates the rates, once per turn. */
  #count(): void {
    const counters = this.#counters
    const bytes = counters === undefined ? 0 : counters.bytesSent + counters.bytesReceived
    this.figures.turned(this.now(), this.stats.received, this.#bytesSent + this.#bytesReceived + bytes)
  }

  /**
   * Keeps one sleeping fiber for the engine's next deadline. A later deadline is found when the earlier one is reached.
   */
  #arm(): void {
    if (this.#ended) return
    const deadline = this.#engine.nextDeadline()
    if (deadline === undefined) return
    const now = this.now()
    if (deadline <= now) {
      // There is more to send than one output holds, or something is due: use the next turn, without a fiber.
      this.#engine.tick(now)
      return this.schedule()
    }
    if (this.#armed !== undefined) {
      if (this.#armed.deadline <= deadline) return
      this.#armed.fiber.interruptUnsafe()
    }
    const fiber = this.#options.fork(Effect.andThen(
      Effect.sleep(Math.ceil(deadline - now)),
      Effect.sync(() => {
        this.#armed = undefined
        this.#engine.tick(this.now())
        this.flush()
      })
    ))
    this.#armed = { deadline, fiber }
  }
}
