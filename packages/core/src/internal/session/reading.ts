/**
 * Decides when a session reads from the network. It pauses while its consumers hold more than the memory limit, or
 * while a queue asks for it.
 *
 * An answer of the server may be behind other packets. So while an operation waits for one, a paused session still
 * reads a chunk at intervals, up to a second bound, where it ends the connection. The engine loop calls it. It never
 * decides which messages matter.
 */
import * as Effect from "effect/Effect"
import * as ReasonCode from "../../ReasonCode.ts"
import type { Connection } from "../connection/contract.ts"
import type { EngineStats } from "../engine/contract.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"
import type { Background } from "./fibers.ts"

/** The engine loop, for its reading. */
export interface ReadingHost {
  readonly stats: EngineStats
  readonly queues: ReadonlySet<ConsumerQueue>
}

export interface ReadingHandlers {
  /** The memory limit has stopped reading for a second. Called once per pause. */
  readonly onReadingStalled: (used: number) => void
  /** Received messages take so many bytes that the connection ends. */
  readonly onMemoryExceeded: (used: number) => void
}

/** Milliseconds between two chunks that are read although reading is paused. */
const chunkInterval = 100
/** Number of intervals without reading after which `onStalled` is called. */
const stalledIntervals = 10
/** Reading resumes below this part of the limit. */
const resumeAt = 7 / 8
/** The part of the limit at which the connection ends. */
const endAt = 5 / 4

export class Reading {
  /** Memory limit of received messages until their consumers have finished, in bytes. */
  readonly limit: number
  readonly #host: ReadingHost
  readonly #fibers: Background
  readonly #handlers: ReadingHandlers
  #pausers: Set<ConsumerQueue> | undefined
  #connection: Connection | undefined
  /** Bytes of QoS 0 messages. The engine counts those of QoS 1 and 2. */
  #bytes = 0
  #isFull = false
  #isPaused = false
  #isTiming = false
  /** Number of intervals for which the limit has stopped reading. */
  #intervals = 0

  constructor(limit: number, host: ReadingHost, fibers: Background, handlers: ReadingHandlers) {
    this.limit = limit
    this.#host = host
    this.#fibers = fibers
    this.#handlers = handlers
  }

  /** Memory that received messages take, in bytes. */
  get used(): number {
    return this.#bytes + this.#host.stats.heldBytes
  }

  /** The limit has stopped reading, until a check finds enough free memory. */
  get isFull(): boolean {
    return this.#isFull
  }

  attach(connection: Connection | undefined): void {
    this.#connection = connection
    this.#isPaused = false
    this.#apply()
  }

  /** Adds bytes of QoS 0 messages; negative when consumers have finished them. */
  occupy(bytes: number): void {
    this.#bytes += bytes
  }

  pause(queue: ConsumerQueue): void {
    this.#pausers ??= new Set()
    this.#pausers.add(queue)
    this.#apply()
  }

  resume(queue: ConsumerQueue): void {
    if (this.#pausers?.delete(queue) === true) this.#apply()
  }

  /** Called after packets were received, and after each turn. */
  check(): void {
    const { limit } = this
    const { stats } = this.#host
    if (this.used > limit) this.#shed()
    this.#isFull = this.used > (this.#isFull ? resumeAt * limit : limit) ||
      (stats.isWindowExceeded && !this.#isAwaiting)
    this.#apply()
  }

  #apply(): void {
    const isPaused = this.#isFull || (this.#pausers !== undefined && this.#pausers.size > 0)
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    const connection = this.#connection
    if (!isPaused) {
      this.#intervals = 0
      return connection?.resume()
    }
    connection?.pause()
    this.#time()
  }

  /** Whether an operation waits for an answer of the server. */
  get #isAwaiting(): boolean {
    const { stats } = this.#host
    return stats.inflight > 0 || stats.pendingSubscriptions > 0
  }

  /** Drops messages of streams that allow it, from the fullest stream first, before any other stream has to wait. */
  #shed(): void {
    const goal = resumeAt * this.limit
    while (this.used > goal) {
      let fullest: ConsumerQueue | undefined
      for (const queue of this.#host.queues) {
        if (queue.droppableBytes > (fullest?.droppableBytes ?? 0)) fullest = queue
      }
      if (fullest === undefined) return
      fullest.shed(Math.min(this.used - goal, Math.ceil(fullest.droppableBytes / 2)))
    }
  }

  // Only one fiber, however often reading pauses: it outlives short pauses and checks the state when it wakes up.
  #time(): void {
    if (this.#isTiming) return
    this.#isTiming = true
    this.#fibers.fork(Effect.andThen(
      Effect.sleep(chunkInterval),
      Effect.sync(() => {
        this.#isTiming = false
        if (this.#connection === undefined || !this.#isPaused) return
        this.#passed(this.#connection)
        this.#time()
      })
    ))
  }

  #passed(connection: Connection): void {
    const { limit, used } = this
    if (this.#isFull && ++this.#intervals === stalledIntervals) this.#handlers.onReadingStalled(used)
    if (!this.#isAwaiting) return
    if (used > endAt * limit) {
      this.#connection = undefined
      this.#fibers.fork(connection.close(ReasonCode.quotaExceeded))
      return this.#handlers.onMemoryExceeded(used)
    }
    // Until the next check, which follows the packets that this brings.
    this.#isPaused = false
    connection.resume()
  }
}
