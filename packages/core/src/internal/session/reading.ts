/**
 * Decides when a session reads from the network: not while its consumers hold more than its memory limit allows, or ask
 * it to wait.
 *
 * Who waits for an answer of the server needs the packets before it: then a session that does not read takes a chunk
 * from time to time, up to a second bound, where it ends the connection. Called by the driver; never decides what a
 * message is worth.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Connection } from "../connection/contract.ts"
import type { EngineStats } from "../engine/contract.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"

export interface ReadingOptions {
  /** For received messages until their consumers have finished, in bytes. */
  readonly limit: number
  readonly stats: EngineStats
  readonly queues: () => ReadonlySet<ConsumerQueue>
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** The limit has stopped the reading for a second; once until it goes on. */
  readonly onStalled: (used: number) => void
  /** So much is used that the connection has to end. */
  readonly onExceeded: (connection: Connection, used: number) => void
}

/** Milliseconds between two chunks that are read although the session should not. */
const chunkInterval = 100
/** So many intervals without reading are worth telling. */
const stalledIntervals = 10
/** Reading goes on below this part of the limit. */
const resumeAt = 7 / 8
/** The part of the limit at which the connection ends. */
const endAt = 5 / 4

export class Reading {
  readonly #options: ReadingOptions
  #pausers: Set<ConsumerQueue> | undefined
  #connection: Connection | undefined
  /** QoS 0 messages with consumers; those of QoS 1 and 2 are the engine's. */
  #bytes = 0
  #isFull = false
  #isPaused = false
  #isTiming = false
  /** Intervals for which the limit has stopped the reading. */
  #intervals = 0

  constructor(options: ReadingOptions) {
    this.#options = options
  }

  get limit(): number {
    return this.#options.limit
  }

  /** What received messages take, in bytes. */
  get used(): number {
    return this.#bytes + this.#options.stats.heldBytes
  }

  /** The limit stops the reading, until a check finds that enough is free. */
  get isFull(): boolean {
    return this.#isFull
  }

  attach(connection: Connection | undefined): void {
    this.#connection = connection
    this.#isPaused = false
    this.#apply()
  }

  /** A consumer has taken in so many bytes of QoS 0 messages, or is done with them when less than 0. */
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

  /** After packets were taken in, and after each turn. */
  check(): void {
    const { limit, stats } = this.#options
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

  /** The server owes an answer that somebody waits for. */
  get #isAwaiting(): boolean {
    const { stats } = this.#options
    return stats.inflight > 0 || stats.pendingSubscriptions > 0
  }

  /** Streams that may drop messages do, the fullest first, before anybody else has to wait. */
  #shed(): void {
    const goal = resumeAt * this.limit
    while (this.used > goal) {
      let fullest: ConsumerQueue | undefined
      for (const queue of this.#options.queues()) {
        if (queue.droppableBytes > (fullest?.droppableBytes ?? 0)) fullest = queue
      }
      if (fullest === undefined) return
      fullest.shed(Math.min(this.used - goal, Math.ceil(fullest.droppableBytes / 2)))
    }
  }

  // One fiber however often the reading pauses: it outlives short pauses, and sees in the end what became of them.
  #time(): void {
    if (this.#isTiming) return
    this.#isTiming = true
    this.#options.fork(Effect.andThen(
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
    const { limit, onExceeded, onStalled } = this.#options
    const { used } = this
    if (this.#isFull && ++this.#intervals === stalledIntervals) onStalled(used)
    if (!this.#isAwaiting) return
    if (used > endAt * limit) {
      this.#connection = undefined
      return onExceeded(connection, used)
    }
    // Until the next check, which follows whatever it brings.
    this.#isPaused = false
    connection.resume()
  }
}
