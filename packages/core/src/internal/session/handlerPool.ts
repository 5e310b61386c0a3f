/**
 * The handlers of one consumer: which message is handled when, and what happens to messages that fail.
 *
 * A message waits for a free handler and, with order `topic`, for the message before it on its topic. A failed message
 * blocks its topic until it is settled, but occupies no handler. A message that succeeds costs one fiber and no other
 * allocation, so this uses plain fields and loops.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Delivery } from "../engine/contract.ts"
import { deadLetterTopics, policiesOf } from "../messageFailures.ts"
import { FailedHandlers, type FailedHandlersHost, type Failing, type HandlerPoolParts } from "./failedHandlers.ts"
import { OneWaiter } from "./oneWaiter.ts"

/** Number of messages that may wait for a handler here, so that one busy topic does not stop the others at once. */
const lookAhead = 256

export class HandlerPool<E, R> implements FailedHandlersHost<E, R> {
  readonly #parts: HandlerPoolParts<E, R>
  readonly #concurrency: number
  readonly #isOrdered: boolean
  readonly #failed: FailedHandlers<E, R>
  /** Topics to which this consumer sends dead letters; messages on them are acknowledged, not handled. */
  readonly #deadLetterTopics: ReadonlyArray<string>
  /** Topics with a message that is handled or waits for it, each with the messages behind it. */
  readonly #topics = new Map<string, Array<Delivery>>()
  /** Messages whose topic is free, waiting for a handler. */
  readonly #ready: Array<Delivery> = []
  readonly #failing = new Map<Delivery, Failing<E, R>>()
  /** Topics that a failing message blocks. */
  readonly #held = new Set<string>()
  /** QoS 0 messages among the failing ones, oldest failure first. */
  readonly #unreliableFailing = new Set<Failing<E, R>>()
  /** Number of QoS 0 messages that failed, or wait behind one that failed. */
  #unreliable = 0
  #running = 0
  /** Number of messages that wait for a handler, without those behind a failing one. */
  #waiting = 0
  /** Number of messages that are not settled. */
  #open = 0
  #isStarting = false
  isStopped = false
  #isClosed = false
  readonly #room = new OneWaiter()
  readonly #idle = new OneWaiter()

  constructor(parts: HandlerPoolParts<E, R>) {
    const { options } = parts
    this.#parts = parts
    this.#concurrency = options.concurrency ?? 16
    this.#isOrdered = options.order !== "none"
    const policies = policiesOf(options)
    this.#failed = new FailedHandlers(parts, policies, this)
    this.#deadLetterTopics = deadLetterTopics(policies)
  }

  offer(delivery: Delivery): void {
    const { message } = delivery
    if (this.#deadLetterTopics.includes(message.topic)) return this.#acknowledge(delivery)
    this.#open++
    this.#parts.queue.retain(delivery)
    this.#parts.observer?.onReceived(message)
    if (this.#isOrdered) {
      const behind = this.#topics.get(message.topic)
      if (behind !== undefined) {
        if (this.#held.size > 0 && this.#held.has(message.topic)) return this.#hold(behind, delivery)
        this.#waiting++
        behind.push(delivery)
        return
      }
      this.#topics.set(message.topic, [])
    }
    this.#waiting++
    this.#ready.push(delivery)
    this.#changed()
  }

  /** Waits until more messages may be offered. */
  get room(): Effect.Effect<void> {
    return this.#room.until(() => this.#hasRoom)
  }

  /** Waits until every message is settled or left unacknowledged. */
  get idle(): Effect.Effect<void> {
    return this.#idle.until(() => this.#open === 0)
  }

  /**
   * The session begins to end. Running handlers may finish. Messages that wait for another attempt stay unacknowledged,
   * and so do the messages behind them on their topics.
   */
  stop(): void {
    this.isStopped = true
    for (const topic of this.#held) {
      const behind = this.#topics.get(topic)
      if (behind !== undefined) this.#leaveBehind(behind)
    }
    this.#changed()
  }

  /** The consumer has ended: results of its fibers are ignored. */
  close(): void {
    this.#isClosed = true
    for (const { token } of this.#failing.values()) this.#parts.failures.ledger.end(token)
    this.#failing.clear()
  }

  get #hasRoom(): boolean {
    const { queue } = this.#parts
    if (this.#waiting > 0 && queue.isLaden) return false
    return this.#waiting < lookAhead && !(queue.suspends && this.#unreliable > queue.buffer)
  }

  /**
   * Starts what may start, then resumes waiting fibers. Handlers that finish at once call this again; the outermost
   * call does the work.
   */
  #changed(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    while (this.#running < this.#concurrency && this.#ready.length > 0) {
      const delivery = this.#ready.shift()!
      this.#waiting--
      // The server sends a stale message again, and the new copy takes its place.
      if (delivery.stale) this.#settled(delivery)
      else this.#start(delivery)
    }
    this.#isStarting = false
    if (this.#room.isWaiting && this.#hasRoom) this.#room.wake()
    if (this.#idle.isWaiting && this.#open === 0) this.#idle.wake()
  }

  #start(delivery: Delivery): void {
    this.#running++
    const { fork, handler } = this.#parts
    // An observer, not a finalizer, because it must also see a handler that interrupts its own fiber.
    fork(Effect.exit(Effect.suspend(() => handler(delivery.message)))).addObserver((exit) =>
      this.#ended(delivery, Exit.isSuccess(exit) ? exit.value : exit)
    )
  }

  #ended(delivery: Delivery, exit: Exit.Exit<unknown, E>): void {
    if (this.#isClosed) return
    this.#running--
    if (Exit.isSuccess(exit)) {
      this.#acknowledge(delivery)
      this.#settled(delivery)
    } else {
      this.#onFailure(delivery, exit.cause)
    }
    this.#changed()
  }

  #acknowledge(delivery: Delivery): void {
    if (delivery.message.qos !== 0) this.#parts.acknowledge(delivery)
  }

  /** The message is finished here, acknowledged or not. */
  #settled(delivery: Delivery): void {
    const failing = this.#failing.size === 0 ? undefined : this.#failing.get(delivery)
    if (failing !== undefined) this.#forget(failing)
    if (failing?.isDetached !== true) this.#freeTopic(delivery.message.topic)
    this.#release(delivery)
  }

  #release(delivery: Delivery): void {
    this.#open--
    this.#parts.queue.release(delivery)
  }

  #freeTopic(topic: string): void {
    if (!this.#isOrdered) return
    if (this.#held.size > 0 && this.#held.has(topic)) {
      // Messages left at the stop must come before later ones.
      if (this.isStopped) return
      this.#held.delete(topic)
      const held = this.#topics.get(topic)!
      this.#waiting += held.length
      this.#unreliable -= unreliableOf(held)
    }
    const behind = this.#topics.get(topic)!
    const following = behind.shift()
    if (following === undefined) this.#topics.delete(topic)
    else this.#ready.push(following)
  }

  // Failures

  #onFailure(delivery: Delivery, cause: Cause.Cause<E>): void {
    const { failures, fork } = this.#parts
    const failing = this.#failing.get(delivery) ?? this.#begin(delivery)
    failing.attempts++
    failures.ledger.failed()
    const attempt = failing.attempts
    const fiber = fork(this.#failed.decide(failing, cause))
    // A fiber that has already ended may have led to the next attempt and its failure.
    if (fiber.pollUnsafe() === undefined && failing.attempts === attempt) failing.fiber = fiber
  }

  #begin(delivery: Delivery): Failing<E, R> {
    const { message } = delivery
    const failing: Failing<E, R> = {
      delivery,
      token: this.#parts.failures.ledger.begin(),
      attempts: 0,
      scheduled: undefined,
      backoff: undefined,
      isDue: false,
      isDetached: false,
      fiber: undefined
    }
    this.#failing.set(delivery, failing)
    if (message.qos === 0) {
      this.#unreliableFailing.add(failing)
      this.#unreliable++
    }
    let behind: Array<Delivery> = []
    if (this.#isOrdered) {
      behind = this.#topics.get(message.topic)!
      this.#held.add(message.topic)
      this.#waiting -= behind.length
      this.#unreliable += unreliableOf(behind)
      if (this.isStopped) this.#leaveBehind(behind)
    }
    this.#dropExcess(behind)
    return failing
  }

  #forget(failing: Failing<E, R>): void {
    this.#failing.delete(failing.delivery)
    if (this.#unreliableFailing.delete(failing)) this.#unreliable--
    this.#parts.failures.ledger.end(failing.token)
  }

  tryAgain(failing: Failing<E, R>): void {
    const { delivery } = failing
    if (this.isStopped || delivery.stale) return this.leave(failing)
    this.#parts.failures.ledger.retried()
    failing.fiber = undefined
    this.#waiting++
    this.#ready.push(delivery)
    this.#changed()
  }

  /** Leaves the message unacknowledged. If the server has sent it again, its copy comes next. */
  leave(failing: Failing<E, R>): void {
    this.#settled(failing.delivery)
    this.#changed()
  }

  finish({ delivery }: Failing<E, R>): void {
    this.#acknowledge(delivery)
    this.#settled(delivery)
    this.#changed()
  }

  detach(failing: Failing<E, R>): void {
    this.#freeTopic(failing.delivery.message.topic)
    failing.isDetached = true
    this.#changed()
  }

  // Behind a failing message

  #hold(behind: Array<Delivery>, delivery: Delivery): void {
    if (this.isStopped) return this.#release(delivery)
    behind.push(delivery)
    if (delivery.message.qos !== 0) return
    this.#unreliable++
    this.#dropExcess(behind)
  }

  #leaveBehind(behind: Array<Delivery>): void {
    this.#unreliable -= unreliableOf(behind)
    for (let i = 0; i < behind.length; i++) this.#release(behind[i]!)
    behind.length = 0
  }

  /** Keeps the bound of QoS 0 messages. Drops the oldest one of this topic first, then those that failed. */
  #dropExcess(behind: Array<Delivery>): void {
    const { queue } = this.#parts
    while (!queue.suspends && (this.#unreliable > queue.buffer || (this.#unreliable > 1 && queue.isLaden))) {
      const index = behind.findIndex(({ message }) => message.qos === 0)
      if (index >= 0) {
        const [dropped] = behind.splice(index, 1)
        this.#unreliable--
        this.#noteDrop(dropped!)
        this.#release(dropped!)
      } else if (!this.#dropFailing()) {
        return
      }
    }
  }

  #dropFailing(): boolean {
    for (const failing of this.#unreliableFailing) {
      const { delivery, fiber } = failing
      if (fiber === undefined) continue
      this.#noteDrop(delivery)
      this.#settled(delivery)
      fiber.interruptUnsafe()
      return true
    }
    return false
  }

  #noteDrop({ message }: Delivery): void {
    this.#parts.queue.dropped++
    this.#parts.onDropped(message.topic)
  }
}

const unreliableOf = (deliveries: ReadonlyArray<Delivery>): number => {
  let count = 0
  for (let i = 0; i < deliveries.length; i++) if (deliveries[i]!.message.qos === 0) count++
  return count
}
