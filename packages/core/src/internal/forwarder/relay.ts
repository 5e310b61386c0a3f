/**
 * Puts the stages of a running forwarder together. A message goes through them in one direction:
 *
 * `source.ts` (deliveries for which there is room) -> `messageFilter.ts` (loops, filters, samples) ->
 * `transformations.ts` (the program's function) -> `topicMapping.ts` -> `batching.ts` or `splitting.ts` (one message of
 * several, several of one) -> `targetQueue.ts` (waits for the target, and publishes) -> `settlement.ts` (what follows
 * from the outcome) -> `inFlight.ts` (acknowledges the source).
 *
 * A stage knows the next one. Besides, it knows one function, to which it gives the `Outcome` of a message that goes no
 * further. The relay itself handles no message: it adds and removes sources, and stops.
 */
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Random } from "effect/Random"
import * as RouteFilter from "../../RouteFilter.ts"
import { parseMillis } from "../options/durations.ts"
import type { SessionCore } from "../session/core.ts"
import { monotonicMillis } from "../time.ts"
import { Batching } from "./batching.ts"
import type { Counters } from "./counters.ts"
import { DeadLetters } from "./deadLetters.ts"
import type { EarlierRuns } from "./earlierRuns.ts"
import type { Failures } from "./failures.ts"
import { type ForwardedMessage, membersOf, type Published, type Received } from "./forwardedMessage.ts"
import { InFlight } from "./inFlight.ts"
import { LoopCheck, type LoopCheckParts } from "./loopCheck.ts"
import type { CompiledRule } from "./mapping.ts"
import { MessageFilter } from "./messageFilter.ts"
import type { ForwarderBatch, ForwarderHooks } from "./options.ts"
import { canPassThrough, PassThrough } from "./passThrough.ts"
import type { Reader } from "./reader.ts"
import { makeSelection } from "./selection.ts"
import { Settlement } from "./settlement.ts"
import { Source } from "./source.ts"
import { Splitting } from "./splitting.ts"
import { TargetQueue, type TargetQueueParts } from "./targetQueue.ts"
import { TokenBucket } from "./tokenBucket.ts"
import { TopicMapping } from "./topicMapping.ts"
import { TopicPlans } from "./topicPlans.ts"
import { Transformations } from "./transformations.ts"

export interface RelayParts extends LoopCheckParts {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly hooks: ForwarderHooks<unknown>
  readonly counters: Counters
  readonly failures: Failures
  readonly earlierRuns: EarlierRuns
  readonly clock: Clock.Clock
  readonly random: Random
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
}

export class Relay {
  readonly target: TargetQueue
  readonly #deadLetterQueue: TargetQueue | undefined
  readonly #parts: RelayParts
  readonly #filter: MessageFilter
  readonly #inFlight: InFlight
  readonly #batching: Batching | undefined
  readonly #sources = new Set<Source>()

  constructor(parts: RelayParts) {
    const { counters, earlierRuns, hooks, options, random } = parts
    this.#parts = parts
    this.#inFlight = new InFlight(options.maxInFlight, () => this.#resumeSources())
    const deadLetters = new DeadLetters(options, parts.brokersOf)
    const settlement = new Settlement({ ...parts, deadLetters, inFlight: this.#inFlight })
    const { settle } = settlement
    const loopCheck = new LoopCheck(parts)
    const plans = new TopicPlans(options, parts.rules)
    const queueParts: TargetQueueParts = { ...parts, loopCheck, wake: this.#wake, join: hooks.batch?.join, settle }
    this.target = new TargetQueue(options.target, queueParts, true, makeBucket(parts))
    this.#deadLetterQueue = options.deadLetter === undefined || options.deadLetter.session === options.target
      ? undefined
      : new TargetQueue(options.deadLetter.session, queueParts, false, undefined)
    if (options.deadLetter !== undefined) settlement.deadLetterQueue = this.#deadLetterQueue ?? this.target
    const next = (message: Received): void => this.target.push(message)
    this.#batching = hooks.batch === undefined ? undefined : this.#makeBatching(hooks.batch, next)
    const splitting = hooks.split === undefined ? undefined : new Splitting({ split: hooks.split, next, settle })
    const mapping = new TopicMapping({
      options,
      map: hooks.map,
      plans,
      next: this.#batching?.add ?? splitting?.add ?? next,
      settle
    })
    const selection = makeSelection(options, random)
    const isPlain = selection === undefined && canPassThrough(options, hooks)
    this.#filter = new MessageFilter({
      options,
      counters,
      inFlight: this.#inFlight,
      earlierRuns,
      loopCheck,
      deadLetters,
      plans,
      filter: hooks.filter === undefined ? undefined : RouteFilter.compile(hooks.filter),
      selection,
      passThrough: isPlain
        ? new PassThrough({ ...parts, inFlight: this.#inFlight, plans, target: this.target })
        : undefined,
      next: this.#makeTransformations(mapping, settlement) ?? mapping.map,
      settle
    })
  }

  readonly #wake = (millis: number, callback: () => void): void => {
    this.#parts.fork(Effect.andThen(Effect.sleep(millis), Effect.sync(callback)))
  }

  #makeBatching({ bytes, messages, time }: ForwarderBatch, next: (batch: Received) => void): Batching {
    const { clock } = this.#parts
    return new Batching({
      messages: messages ?? Infinity,
      bytes: bytes ?? defaultBatchBytes,
      time: parseMillis(time ?? defaultBatchTime)!,
      now: () => monotonicMillis(clock),
      wake: this.#wake,
      next
    })
  }

  #makeTransformations({ map }: TopicMapping, { settle }: Settlement): ((message: Received) => void) | undefined {
    const { counters, fork, hooks: { retry, transform } } = this.#parts
    if (transform === undefined) return undefined
    const onRetry = (): void => {
      counters.retried++
    }
    const transformations = new Transformations({ transformer: transform, retry, fork, onRetry, map, settle })
    return (message) => transformations.add(message)
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Milliseconds. */
  lag(now: number): number {
    const { oldest } = this.#inFlight
    return oldest === undefined ? 0 : Math.max(0, now - oldest.delivery.arrivedAt)
  }

  /** QoS 0 messages that the queues of the current sources dropped. */
  get overflowed(): number {
    let overflowed = 0
    for (const source of this.#sources) overflowed += source.overflowed
    return overflowed
  }

  addSource(session: SessionCore, reader: Reader): Source {
    const source = new Source(session, reader, {
      room: () => this.#inFlight.room,
      awaitRoom: () => this.#awaitRoom(),
      receive: (from, deliveries, now) => this.#filter.receive(from, deliveries, now),
      onPulled: () => this.target.flush(),
      onReleased: (name, packetIdentifier) =>
        this.target.session?.origins?.release({ forwarder: this.#parts.options.name, session: name, packetIdentifier })
    })
    this.#sources.add(source)
    this.#forgetOrigins(source, this.target.session)
    return source
  }

  removeSource(source: Source): void {
    source.detach()
    if (!this.#sources.delete(source)) return
    this.#parts.counters.received += source.overflowed
    this.#parts.counters.dropped.overflow += source.overflowed
  }

  /** A session of a target begins. */
  join(session: SessionCore): void {
    if (session.name === this.target.name) {
      for (const source of this.#sources) this.#forgetOrigins(source, session)
      this.target.join(session)
    }
    if (session.name === this.#deadLetterQueue?.name) this.#deadLetterQueue.join(session)
  }

  leave(session: SessionCore): void {
    this.target.leave(session)
    this.#deadLetterQueue?.leave(session)
  }

  /** The source has finished the messages that it does not know any more, so they are not delivered again. */
  #forgetOrigins({ session: source }: Source, target: SessionCore | undefined): void {
    const useOf = (packetIdentifier: number): string | undefined => source.engineLoop.inboundUse(packetIdentifier)
    target?.origins?.retain(this.#parts.options.name, source.name, useOf)
  }

  /** All sources share the room. */
  #awaitRoom(): void {
    this.#inFlight.awaitRoom()
    // Not at once: a source that has just found no room looks again only when it is told.
    if (this.#batching !== undefined) queueMicrotask(() => this.#batching!.flush())
    for (const { reader, session } of this.#sources) reader.waitingSince ??= session.engineLoop.now()
  }

  #resumeSources(): void {
    for (const source of this.#sources) source.pull()
    if (this.#inFlight.isRoomWanted) return
    for (const { reader } of this.#sources) reader.waitingSince = undefined
  }

  /** Handles what has been delivered, waits for the outcomes, and gives back what has none after the timeout. */
  stop(timeout: Duration.Duration): Effect.Effect<void> {
    const empty = Effect.callback<void>((resume) => {
      this.#inFlight.close()
      for (const source of this.#sources) source.pull(true)
      this.#batching?.end()
      return Effect.sync(this.#inFlight.whenEmpty(() => resume(Effect.void)))
    })
    // A message may wait again although its source is acknowledged. What the target refuses becomes a dead letter.
    const queues = [this.target, ...(this.#deadLetterQueue === undefined ? [] : [this.#deadLetterQueue])]
    const nothingOwed = Effect.forEach(
      queues,
      (queue) => Effect.callback<void>((resume) => Effect.sync(queue.whenNothingOwed(() => resume(Effect.void))))
    )
    return Effect.andThen(
      Effect.timeoutOption(Effect.andThen(empty, nothingOwed), timeout),
      Effect.sync(() => this.#giveBackAll())
    )
  }

  #giveBackAll(): void {
    const { counters, earlierRuns } = this.#parts
    for (let message = this.#inFlight.oldest; message !== undefined; message = this.#inFlight.oldest) {
      const carrier = message.group?._tag === "Member" ? message.group.batch : message
      if (isPublished(carrier)) this.#leavePublished(carrier)
      else earlierRuns.unfollow(message.delivery)
      if (message.group?._tag === "Whole") message.group.parts.forEach(leavePart)
      if (message.delivery.message.qos === 0) counters.dropped.stopped++
      else counters.returned++
      this.#inFlight.giveBack(message)
    }
    this.target.close()
    this.#deadLetterQueue?.close()
  }

  /** The forwarder ends before a publish has an outcome. */
  #leavePublished(message: Published): void {
    if (message.sourceState !== "open" || message.queue.withdraw(message)) return
    // The publish continues, and the next run must not publish the message again. Where the origin is in the ledger,
    // the ledger prevents that.
    if (message.state === "published" || message.ledger === undefined) {
      for (const { delivery } of membersOf(message)) this.#parts.earlierRuns.add(delivery)
    }
    if (message.group?._tag === "Batch") message.close("returned")
  }
}

const isPublished = (message: ForwardedMessage): message is Published =>
  message.state === "published" || message.state === "accepted"

/** The redelivery of its message publishes it again, so it is published now only where that cannot be prevented. */
const leavePart = (part: ForwardedMessage): void => {
  if (isPublished(part) && part.sourceState === "open") part.queue.withdraw(part)
  part.close("returned")
}

const defaultBatchBytes = 65_536

const defaultBatchTime = "1 second"

const makeBucket = ({ clock, options }: RelayParts): TokenBucket | undefined =>
  options.rateLimit === undefined ? undefined : new TokenBucket(options.rateLimit, monotonicMillis(clock))
