/**
 * Joins the session engine with a connection, a store and the clock. Once per turn of the event loop it takes the
 * output that the engine collected, commits it, and has `outputs.ts` carry it out. It makes no protocol decision: the
 * engine does.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { Connect, Packet } from "../../Packet.ts"
import type { SessionStoreHandle } from "../../SessionStore.ts"
import type { StoreRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { Connection } from "../connection/contract.ts"
import type {
  Admission,
  Consumer,
  ConsumerRequest,
  Delivery,
  EngineStats,
  Outbound,
  PublishRequest,
  ServerLimits,
  SessionEngine
} from "../engine/contract.ts"
import type { ConsumerQueue, ConsumerQueueHost } from "./consumerQueue.ts"
import { SessionCounters } from "./counters.ts"
import { CurrentConnection } from "./currentConnection.ts"
import { type DeadlineHost, DeadlineTimer } from "./deadlineTimer.ts"
import { DirectWrites, type DirectWritesHost } from "./directWrites.ts"
import { Durability, type DurabilityHandlers, type DurabilityHost, type DurabilityOptions } from "./durability.ts"
import { type OutputHandlers, Outputs } from "./outputs.ts"
import { Reading, type ReadingHandlers, type ReadingHost } from "./reading.ts"
import { TurnClock, type TurnHost } from "./turnClock.ts"

/**
 * The callbacks of the loop. All are synchronous and run at the end of a turn.
 */
export interface EngineLoopHandlers extends OutputHandlers, DurabilityHandlers, ReadingHandlers {
  /** Everything due in this turn is handed out. */
  readonly onTurn: () => void
}

export interface EngineLoopOptions extends DurabilityOptions {
  readonly engine: SessionEngine
  /** Present for a durable session. */
  readonly store: SessionStoreHandle | undefined
  /** Bound of received messages until their consumers have finished, in bytes. */
  readonly inboundLimit: number
  readonly handlers: EngineLoopHandlers
}

/** A read of at least this many packets is flushed immediately instead of at the end of the turn. */
const promptBatch = 256
/**
 * The same in bytes received since the last flush, because bytes that are not handed out yet count in no other limit.
 */
const promptBytes = 131_072

const noQueues: ReadonlySet<ConsumerQueue> = new Set()

/**
 * The loop of one session.
 */
export class EngineLoop
  implements ConsumerQueueHost, DeadlineHost, DirectWritesHost, DurabilityHost, ReadingHost, TurnHost
{
  readonly engine: SessionEngine
  readonly current = new CurrentConnection()
  readonly directWrites = new DirectWrites(this)
  readonly clock: TurnClock
  readonly outputs: Outputs
  readonly counters: SessionCounters
  readonly reading: Reading
  refusal: Admission | undefined
  readonly #options: EngineLoopOptions
  readonly #timer: DeadlineTimer
  readonly #durability: Durability | undefined
  #queues: Set<ConsumerQueue> | undefined
  /** There were inputs since the last flush. */
  #isDue = false
  /** The session has ended: nothing is stored or sent any more. */
  #hasEnded = false
  #flushes = 0
  /** The last turn threw. */
  #isFailing = false

  constructor(options: EngineLoopOptions) {
    this.engine = options.engine
    this.#options = options
    this.clock = new TurnClock(options.clock, options.engine, this)
    this.#timer = new DeadlineTimer(options.fibers, this)
    this.counters = new SessionCounters(this.now())
    this.outputs = new Outputs(options.engine, this.current, this.clock, this.counters, options.handlers)
    this.reading = new Reading(options.inboundLimit, this, options.fibers, options.handlers)
    this.#durability = options.store === undefined ? undefined : new Durability(options.store, options, this)
  }

  get stats(): EngineStats {
    return this.engine.stats
  }

  get limits(): ServerLimits | undefined {
    return this.engine.limits
  }

  get connection(): Connection | undefined {
    return this.current.connection
  }

  get queues(): ReadonlySet<ConsumerQueue> {
    return this.#queues ?? noQueues
  }

  /** MQTT packet bytes of all connections so far, including attempts that failed before CONNACK. */
  get bytes(): { readonly sent: number; readonly received: number } {
    return { sent: this.current.bytesSent, received: this.current.bytesReceived }
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return this.clock.now()
  }

  /** Converts a moment of `now` to milliseconds since the epoch. */
  toEpoch(moment: number): number {
    return this.clock.toEpoch(moment)
  }

  /** Begins an attempt. Until `attach` or `detach`, output of the engine waits for the connection to be handed over. */
  opening({ cleanStart, properties }: Connect): void {
    this.current.opening()
    this.engine.connecting(cleanStart, properties.receiveMaximum)
  }

  attach(connection: Connection): void {
    this.current.attach(connection, this.now())
    this.reading.attach(connection)
    this.schedule()
  }

  /**
   * The connection has ended, or an attempt failed. `endedByServer` describes how, when a packet that the server was
   * sent may be the reason.
   */
  detach(endedByServer?: string, isOverQuota?: boolean): void {
    this.directWrites.detach()
    this.current.detach(this.now())
    this.reading.attach(undefined)
    this.engine.disconnected(this.clock.time, endedByServer, this.current.hasSent, isOverQuota)
    this.schedule()
  }

  receive(packets: ReadonlyArray<Packet>): Violation | undefined {
    const isTurnScheduled = this.clock.hold()
    try {
      const violation = this.engine.receive(packets, this.clock.time)
      if (packets[0]!._tag === "Connack") {
        this.engine.setWritable(true, this.clock.time)
        for (const queue of this.queues) queue.purgeStale()
      }
      // Each large chunk is handed out before the next: memory stays short-lived, and streams run before more arrives.
      const isMuch = packets.length >= promptBatch || this.current.unflushed >= promptBytes
      if (violation === undefined && isMuch) this.flush()
      else if (violation !== undefined || this.#durability !== undefined || !this.outputs.handOutRead()) this.schedule()
      this.reading.check()
      return violation
    } finally {
      this.clock.unhold(isTurnScheduled)
    }
  }

  writable(): void {
    this.engine.setWritable(true, this.clock.time)
    this.schedule()
  }

  /** Sends no more PUBLISH on this connection, which is about to be replaced. Acknowledgements are still sent. */
  holdPublishes(): void {
    this.engine.setWritable(false, this.clock.time)
    this.schedule()
  }

  publish(request: PublishRequest): Admission {
    const admission = this.refusal ?? this.engine.publish(request, this.clock.time)
    if (admission._tag === "Accepted") this.counters.accepted()
    else if (admission._tag === "Refused") this.counters.refused(admission.reason)
    this.schedule()
    return admission
  }

  withdraw(outbound: Outbound): boolean {
    const withdrawn = this.engine.withdraw(outbound, this.clock.time)
    if (withdrawn) this.counters.withdrawn()
    this.schedule()
    return withdrawn
  }

  get isCommitting(): boolean {
    return this.#durability?.isCommitting === true
  }

  /** Number of times that the engine's output was carried out or its commit began. */
  get flushes(): number {
    return this.#flushes
  }

  /** How many commits have ended. */
  get commits(): number {
    return this.#durability?.commits ?? 0
  }

  /**
   * Settles everything that is not settled yet. Nothing is stored or sent afterwards. Acceptances in a running commit
   * fail, because their outcome could not be observed.
   */
  end(reason: MqttErrorReason): void {
    if (this.#hasEnded) return
    const durability = this.#durability
    const now = this.clock.time
    this.#hasEnded = true
    this.refusal = { _tag: "Refused", reason }
    const committing = durability?.stop()
    if (durability !== undefined) this.engine.reject(committing, durability.failure?.reason ?? reason, now)
    // First takes back what the engine believes to be sent and never will be.
    if (durability !== undefined || this.current.isBroken) this.engine.disconnected(now)
    this.engine.abandon(reason, now)
    if (committing !== undefined) this.outputs.settle(committing)
    this.flush()
  }

  addConsumer(request: ConsumerRequest, queue: ConsumerQueue): MqttErrorReason | undefined {
    const consumer = this.engine.addConsumer(request, this.clock.time)
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
    this.counters.buffered(queue.highWater)
    this.engine.removeConsumer(queue.consumer, this.clock.time)
    queue.removed()
    this.resume(queue)
    this.schedule()
  }

  unsubscribe(filter: string): void {
    this.engine.unsubscribe(filter, this.clock.time)
    this.schedule()
  }

  /** Whether a consumer of this name was known. */
  forgetConsumer(name: string): boolean {
    const isKnown = this.engine.forgetConsumer(name, this.clock.time)
    this.schedule()
    return isKnown
  }

  /** The use of a packet identifier that the server has not released, see `Delivery.use`. */
  inboundUse(packetIdentifier: number): string | undefined {
    return this.engine.inboundUse(packetIdentifier)
  }

  acknowledge(consumer: Consumer, delivery: Delivery, reasonCode?: number): void {
    this.engine.acknowledge(consumer, delivery, this.clock.time, reasonCode)
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
    this.outputs.dropped(topic)
  }

  /** Stores a record that does not belong to the engine, with the next changes. */
  record(record: StoreRecord): void {
    this.#durability?.record(record)
    this.schedule()
  }

  /** Deletes a record that does not belong to the engine, with the next changes. */
  forget(key: string): void {
    this.#durability?.forget(key)
    this.schedule()
  }

  schedule(): void {
    this.#isDue = true
    this.clock.schedule()
  }

  endTurn(): void {
    if (!this.#isDue && !this.outputs.hasHandedOut) return
    this.clock.read()
    this.#tryFlush()
  }

  /**
   * Carries out what the engine collected: at the end of a turn, or immediately before a connection is closed. Never
   * throws, because it runs in a callback of the event loop, where an exception would end the process.
   */
  flush(): void {
    this.#isDue = true
    this.#tryFlush()
  }

  #tryFlush(): void {
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
    const isDue = this.#isDue
    this.#isDue = this.outputs.hasHandedOut = false
    if (this.outputs.isWaiting && !this.#hasEnded) return
    // A fiber that the last output resumed called this. Outputs are handed out one after the other.
    if (this.outputs.isReleasing) return this.schedule()
    this.#flushes++
    this.current.flushed()
    if (this.#durability !== undefined && !this.#hasEnded) {
      this.#durability.flush()
    } else if (isDue) {
      const output = this.engine.take()
      // What a durable session could not store any more is not sent either.
      if (output !== undefined && this.#durability !== undefined) this.outputs.settle(output)
      else if (output !== undefined) this.outputs.release(output, this.current.epoch)
      this.outputs.writeDirect()
    }
    this.reading.check()
    this.counters.turned(this.clock.time, this.stats.received, this.current.bytesSent + this.current.bytesReceived)
    if (!this.#hasEnded) this.#timer.arm()
    this.#options.handlers.onTurn()
  }
}
