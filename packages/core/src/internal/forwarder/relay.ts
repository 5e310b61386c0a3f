/**
 * The work of a running forwarder: takes each delivery from its source's queue, publishes it, and acknowledges it.
 *
 * Everything here is synchronous and driven by the sessions. The deliveries of one read are taken in one loop, and
 * their requests leave with one write of the target. Only a transformation has a fiber.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Random } from "effect/Random"
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { Message } from "../../Message.ts"
import { Expired, InvalidTopic, type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import type { Delivery, Outbound, PublishOutcome } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import { monotonicMillis } from "../time.ts"
import type { Counters } from "./counters.ts"
import { smallerForm } from "./deadLetterForm.ts"
import { DeadLetters } from "./deadLetters.ts"
import type { Failures } from "./failures.ts"
import { ForwardedMessage, type ForwardedMessageHost, ForwardedMessages } from "./forwardedMessage.ts"
import { LoopCheck, type LoopCheckParts } from "./loopCheck.ts"
import { checked, type CompiledRule } from "./mapping.ts"
import type { ForwarderHooks } from "./options.ts"
import { Outgoing } from "./outgoing.ts"
import type { Reader } from "./reader.ts"
import { makeSelection, type Test } from "./selection.ts"
import { Source, type SourceHost } from "./source.ts"
import { TargetQueue, type TargetQueueHost } from "./targetQueue.ts"
import { TokenBucket } from "./tokenBucket.ts"
import { TopicPlans } from "./topicPlans.ts"
import { Transformations } from "./transformations.ts"

export interface RelayParts extends LoopCheckParts {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly hooks: ForwarderHooks<unknown>
  readonly counters: Counters
  readonly failures: Failures
  /** Messages that earlier runs of the forwarder have published and whose outcome is still open. */
  readonly published: Map<Delivery, ForwardedMessage>
  readonly clock: Clock.Clock
  readonly random: Random
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
}

/** The reasons of failed publishes after which the server may still have the message. */
const unknownOutcomes: ReadonlySet<MqttErrorReason["_tag"]> = new Set<MqttErrorReason["_tag"]>([
  "Closed",
  "StorageFailed",
  "SessionLost",
  "Indeterminate",
  "PoisonMessage"
])

export class Relay implements ForwardedMessageHost, TargetQueueHost, SourceHost {
  readonly deadLetterTopic: string
  readonly target: TargetQueue
  readonly #deadLetters: TargetQueue | undefined
  readonly #deadLetterRules: DeadLetters
  readonly #parts: RelayParts
  readonly #counters: Counters
  readonly #selection: Test | undefined
  readonly #filter: ((message: Message) => boolean) | undefined
  readonly #plans: TopicPlans
  readonly #loopCheck: LoopCheck
  readonly #sources = new Set<Source>()
  readonly #unfinished = new ForwardedMessages()
  readonly #transformations: Transformations | undefined
  #isStarved = false
  #isStopping = false
  #onIdle: (() => void) | undefined

  constructor(parts: RelayParts) {
    const { clock, hooks, options, random, counters } = parts
    this.#parts = parts
    this.#counters = counters
    this.#plans = new TopicPlans(options, parts.rules)
    this.#loopCheck = new LoopCheck(parts)
    this.#selection = makeSelection(options, random)
    this.#filter = hooks.filter === undefined ? undefined : RouteFilter.compile(hooks.filter)
    if (hooks.transform !== undefined) {
      this.#transformations = new Transformations({
        transformer: hooks.transform,
        retry: hooks.retry,
        fork: parts.fork,
        onRetry: () => counters.retried++,
        onDone: (item, exit) => this.#transformed(item, exit)
      })
    }
    const bucket = options.rateLimit === undefined
      ? undefined
      : new TokenBucket(options.rateLimit, monotonicMillis(clock))
    this.target = new TargetQueue(options.target, this, true, bucket)
    this.#deadLetterRules = new DeadLetters(options, parts.brokersOf)
    const { deadLetter } = options
    this.deadLetterTopic = deadLetter?.topic ?? ""
    if (deadLetter !== undefined) {
      this.#deadLetters = deadLetter.session === options.target
        ? this.target
        : new TargetQueue(deadLetter.session, this, false, undefined)
    }
  }

  get #now(): number {
    return monotonicMillis(this.#parts.clock)
  }

  get inFlight(): number {
    return this.#unfinished.size
  }

  /** Milliseconds. */
  lag(now: number): number {
    const oldest = this.#unfinished.head
    return oldest === undefined ? 0 : Math.max(0, now - oldest.delivery.arrivedAt)
  }

  /** QoS 0 messages that the queues of the current sources dropped. */
  get overflowed(): number {
    let overflowed = 0
    for (const source of this.#sources) overflowed += source.overflowed
    return overflowed
  }

  addSource(session: SessionCore, reader: Reader): Source {
    const source = new Source(session, reader, this)
    this.#sources.add(source)
    this.#forgetOrigins(source)
    return source
  }

  /** The source has finished these messages, so they are not delivered again. */
  #forgetOrigins({ session }: Source): void {
    const useOf = (packetIdentifier: number): string | undefined => session.engineLoop.inboundUse(packetIdentifier)
    this.target.session?.origins?.retain(this.#parts.options.name, session.name, useOf)
  }

  removeSource(source: Source): void {
    source.detach()
    if (!this.#sources.delete(source)) return
    this.#counters.received += source.overflowed
    this.#counters.dropped.overflow += source.overflowed
  }

  /** The target queues of a session, one or none. */
  targetQueuesOf(session: string): ReadonlyArray<TargetQueue> {
    const targetQueues = [this.target]
    if (this.#deadLetters !== undefined && this.#deadLetters !== this.target) targetQueues.push(this.#deadLetters)
    return targetQueues.filter(({ name }) => name === session)
  }

  /** Handles what has been delivered, waits for the outcomes, and gives back what has none after the timeout. */
  stop(timeout: Duration.Duration): Effect.Effect<void> {
    const idle = Effect.callback<void>((resume) => {
      this.#isStopping = true
      for (const source of this.#sources) source.pull(true)
      if (this.#unfinished.size === 0) return resume(Effect.void)
      this.#onIdle = () => resume(Effect.void)
      return Effect.sync(() => {
        this.#onIdle = undefined
      })
    })
    return Effect.andThen(Effect.timeoutOption(idle, timeout), Effect.sync(() => this.#giveUp()))
  }

  #giveUp(): void {
    for (let item = this.#unfinished.head; item !== undefined; item = this.#unfinished.head) {
      const { outbound, targetQueue } = item
      if (outbound === undefined) {
        const predecessor = this.#parts.published.get(item.delivery)
        if (predecessor !== undefined) predecessor.successor = undefined
      } else if (!targetQueue!.isDurable && targetQueue!.session?.engineLoop.withdraw(outbound) === true) {
        item.written?.discard()
        item.written = undefined
      } else if (!item.isAccepted || item.ledger === undefined) {
        // The publish continues, and the next run must not publish the message again. Where the origin is in the
        // ledger, the ledger prevents that.
        this.#parts.published.set(item.delivery, item)
      }
      item.isGivenBack = true
      if (item.delivery.message.qos === 0) this.#counters.dropped.stopped++
      else this.#counters.returned++
      this.#leave(item)
      item.source.giveBack(item.delivery)
    }
    this.target.close()
    this.#deadLetters?.close()
  }

  // ForwardedMessageHost

  onAccepted(item: ForwardedMessage): void {
    item.isAccepted = true
    const targetQueue = item.targetQueue!
    if (item.origin !== undefined) item.ledger?.add(item.origin)
    if (item.isDone || !targetQueue.isDurable || this.#parts.options.acceptance === "acknowledged") return
    if (item.failure === undefined) this.#forwarded(item)
    else this.#deadLettered(item)
  }

  onSettled(item: ForwardedMessage, outbound: Outbound): void {
    const outcome = outbound.outcome!
    this.#endWritten(item, outcome)
    if (item.isGivenBack && this.#parts.published.delete(item.delivery)) return this.#settledAfterStop(item, outcome)
    if (outcome._tag === "Acknowledged") {
      if (item.isDone) return
      if (item.failure === undefined) this.#forwarded(item)
      else this.#deadLettered(item)
      return
    }
    const { reason } = outcome
    if (item.isDone) return this.#settledLater(item, reason)
    switch (reason._tag) {
      case "Closed":
      case "StorageFailed":
        // The store has the message, and the next session of that name sends it.
        if (item.isAccepted && item.targetQueue!.isDurable) {
          if (item.failure === undefined) this.#forwarded(item)
          else this.#deadLettered(item)
          return
        }
        return this.#again(item)
      case "SessionLost":
        item.releaseOrigin()
        return this.#again(item)
      case "Expired":
        return this.onExpired(item)
      case "Dropped":
        return this.#droppedByQueue(item, reason)
      default:
        return this.onRefused(item, reason)
    }
  }

  #settledAfterStop(item: ForwardedMessage, outcome: PublishOutcome): void {
    const { successor } = item
    if (successor !== undefined) successor.host.onPredecessorSettled(successor, outcome)
    else if (outcome._tag === "Acknowledged" && item.failure === undefined) item.source.acknowledgeLate(item.delivery)
  }

  onPredecessorSettled(item: ForwardedMessage, outcome: PublishOutcome): void {
    if (item.isDone) return
    if (item.delivery.stale) return this.onStale(item)
    if (outcome._tag === "Acknowledged") this.#forwarded(item)
    else this.#select(item, item.source.session.engineLoop.now())
  }

  /** What the server has, or may have, may come back from now on. */
  #endWritten(item: ForwardedMessage, outcome: PublishOutcome): void {
    const { source, written } = item
    if (written === undefined) return
    item.written = undefined
    if (outcome._tag === "Acknowledged" || unknownOutcomes.has(outcome.reason._tag)) {
      written.settle(source.session.engineLoop.now())
    } else written.discard()
  }

  /** The target's queue had accepted the message, and the source is acknowledged. Only the report remains. */
  #settledLater(item: ForwardedMessage, reason: MqttErrorReason): void {
    if (reason._tag === "Closed" || reason._tag === "StorageFailed") return
    if (item.isGivenBack) return
    if (reason._tag === "SessionLost") return this.#again(item)
    const { failures } = this.#parts
    const error = failures.refused(item, reason)
    if (item.failure !== undefined) {
      if (!this.#smaller(item, reason)) failures.report(item, item.failure, "failed", error)
      return
    }
    this.#counters.refusedLater++
    const isOver = reason._tag === "Expired" || reason._tag === "Dropped"
    if (isOver || !this.#deadLetterRules.isWanted(item)) return failures.report(item, error, "failed")
    this.#toDeadLetters(item, error)
  }

  // TargetQueueHost

  onDuplicate(item: ForwardedMessage): void {
    this.#counters.duplicates++
    this.#finish(item)
  }

  onExpired(item: ForwardedMessage): void {
    if (item.failure === undefined) this.#drop(item, "expired")
    else this.#failed(item, item.failure, this.#parts.failures.refused(item, new Expired({})))
  }

  onStale(item: ForwardedMessage): void {
    this.#counters.returned++
    item.source.giveBack(item.delivery)
    this.#leave(item)
  }

  onRefused(item: ForwardedMessage, reason: MqttErrorReason): void {
    if (item.isDone) return this.#settledLater(item, reason)
    if (reason._tag === "Dropped") return this.#droppedByQueue(item, reason)
    this.#fail(item, this.#parts.failures.refused(item, reason))
  }

  onPublished(item: ForwardedMessage, targetQueue: TargetQueue): void {
    const { recentWrites } = this.#parts.guard
    const outgoing = targetQueue.outgoing!
    if (!recentWrites.isNeeded(outgoing.isVersion5 ? 5 : 4)) return
    const now = item.source.session.engineLoop.now()
    item.written = recentWrites.note(outgoing.brokers, item.outbound!, outgoing.routeOf(item), outgoing.isVersion5, now)
  }

  onLooped(item: ForwardedMessage): void {
    this.#drop(item, "looped")
  }

  hasReached(item: ForwardedMessage): boolean {
    return this.#loopCheck.hasReached(item)
  }

  onJoined(): void {
    for (const source of this.#sources) this.#forgetOrigins(source)
  }

  makeOutgoing(session: SessionCore): Outgoing {
    const { guard, options } = this.#parts
    return new Outgoing(options, session.options, guard.marks.of(session.options), this.#loopCheck.signer)
  }

  wake(millis: number, callback: () => void): void {
    this.#parts.fork(Effect.andThen(Effect.sleep(millis), Effect.sync(callback)))
  }

  // SourceHost

  room(): number {
    return this.#isStopping ? 0 : this.#parts.options.maxInFlight - this.#unfinished.size
  }

  onStarved(): void {
    this.#isStarved = true
    for (const { reader, session } of this.#sources) reader.waitingSince ??= session.engineLoop.now()
  }

  onPulled(): void {
    this.target.session?.engineLoop.flush()
  }

  onReleased(session: string, packetIdentifier: number): void {
    this.target.session?.origins?.release({ forwarder: this.#parts.options.name, session, packetIdentifier })
  }

  receive(source: Source, delivery: Delivery, now: number): void {
    const counters = this.#counters
    counters.received++
    counters.receivedRate.add(now)
    const route = this.#loopCheck.routeOf(source, delivery, now)
    const item = new ForwardedMessage(
      this,
      source,
      delivery,
      route,
      source.originOf(delivery, this.#parts.options.name)
    )
    this.#unfinished.append(item)
    const predecessor = this.#parts.published.get(delivery)
    if (predecessor === undefined) return this.#select(item, now)
    predecessor.successor = item
  }

  /** Decides what to do with a message that has just arrived. */
  #select(item: ForwardedMessage, now: number): void {
    const counters = this.#counters
    const { delivery: { message }, source } = item
    const stop = this.#loopCheck.stops(item)
    if (stop !== undefined) return this.#drop(item, stop)
    if (message.topic === this.deadLetterTopic && this.#deadLetterRules.isOne(source, message)) {
      return this.#drop(item, "looped")
    }
    let passes: boolean
    try {
      passes = !this.#plans.of(message.topic).isExcluded && (this.#filter === undefined || this.#filter(message)) &&
        (this.#selection === undefined || this.#selection(message, now))
    } catch (cause) {
      return this.#fail(item, this.#parts.failures.programFailed(item, "the filter died", cause))
    }
    if (!passes) {
      counters.filtered++
      return this.#finish(item)
    }
    if (this.#transformations === undefined) this.#map(item)
    else this.#transformations.add(item)
  }

  #map(item: ForwardedMessage): void {
    const { hooks, options } = this.#parts
    const { topic } = item.delivery.message
    let mapped = this.#plans.of(topic).mapped
    if (mapped === undefined && hooks.map !== undefined) {
      try {
        const answer = hooks.map(item.message)
        if (answer !== undefined) mapped = checked(answer)
      } catch (cause) {
        return this.#fail(item, this.#parts.failures.programFailed(item, "the mapping died", cause))
      }
    }
    if (mapped === undefined) {
      if (options.unmapped === "drop") return this.#drop(item, "unmapped")
      mapped = topic.startsWith("$") ? checked(topic) : topic
    }
    if (mapped instanceof InvalidTopic) return this.onRefused(item, mapped)
    item.topic = mapped
    this.target.push(item)
  }

  #transformed(item: ForwardedMessage, exit: Exit.Exit<Message | undefined, unknown>): void {
    if (Exit.isFailure(exit)) {
      const cause = Cause.squash(exit.cause)
      return this.#fail(item, this.#parts.failures.programFailed(item, "the transformation failed", cause))
    }
    if (item.isStale) return this.onStale(item)
    if (exit.value === undefined) return this.#drop(item, "transformed")
    item.message = exit.value
    this.#map(item)
  }

  #forwarded(item: ForwardedMessage): void {
    const counters = this.#counters
    const now = item.targetQueue?.session?.engineLoop.now() ?? this.#now
    counters.forwarded++
    counters.forwardedRate.add(now)
    counters.bytesForwarded += item.message.payload.length
    counters.lastForwardedAt = this.#parts.clock.currentTimeMillisUnsafe()
    this.#finish(item)
  }

  #deadLettered(item: ForwardedMessage): void {
    this.#counters.deadLettered++
    this.#parts.failures.report(item, item.failure!, "deadLetter")
    this.#finish(item)
  }

  #failed(item: ForwardedMessage, error: MqttError, deadLetterError?: MqttError): void {
    this.#counters.failed++
    this.#parts.failures.report(item, error, "failed", deadLetterError)
    this.#finish(item)
  }

  /** Dropped by the policy of the target session's queue, before or after it was accepted. */
  #droppedByQueue(item: ForwardedMessage, reason: MqttErrorReason): void {
    if (item.failure === undefined) this.#drop(item, "targetQueue")
    else this.#failed(item, item.failure, this.#parts.failures.refused(item, reason))
  }

  #drop(item: ForwardedMessage, reason: keyof ForwarderDrops): void {
    this.#counters.dropped[reason]++
    this.#finish(item)
  }

  #again(item: ForwardedMessage): void {
    const targetQueue = item.targetQueue!
    this.#counters.retried++
    targetQueue.putBack(item)
    // Runs after all messages that failed together are back in their positions.
    targetQueue.pumpLater()
  }

  #fail(item: ForwardedMessage, error: MqttError): void {
    if (item.failure === undefined) {
      if (!this.#deadLetterRules.isWanted(item)) return this.#failed(item, error)
      item.releaseOrigin()
      return this.#toDeadLetters(item, error)
    }
    // Whatever the outcome of a dead letter, no other message waits for it.
    if (!this.#smaller(item, error.reason)) this.#failed(item, item.failure, error)
  }

  /** Publishes a dead letter in a smaller form; false: there is none. */
  #smaller(item: ForwardedMessage, reason: MqttErrorReason): boolean {
    // Without user properties the smaller forms say nothing.
    const form = this.#deadLetters!.outgoing!.isVersion5 ? smallerForm(item.letter, reason) : undefined
    if (form === undefined) return false
    item.letter = form
    this.#toDeadLetters(item, item.failure!)
    return true
  }

  #toDeadLetters(item: ForwardedMessage, failure: MqttError): void {
    item.failure = failure
    item.request = undefined
    item.outbound = undefined
    item.isAccepted = false
    this.#deadLetters!.push(item)
  }

  /** Counts the outcome of an item and acknowledges it at its source. */
  #finish(item: ForwardedMessage): void {
    // Acknowledged first: a caller that waits for the last item resumes at once and ends the subscription.
    item.source.acknowledge(item.delivery)
    this.#leave(item)
  }

  /** Records that no messages wait at the sources. */
  #caughtUp(): void {
    for (const { reader } of this.#sources) reader.waitingSince = undefined
  }

  #leave(item: ForwardedMessage): void {
    item.isDone = true
    this.#unfinished.remove(item)
    if (this.#unfinished.size === 0) this.#onIdle?.()
    // Waits until half of the places are free, instead of refilling one place at a time.
    if (this.#isStarved && this.#unfinished.size * 2 <= this.#parts.options.maxInFlight) {
      this.#isStarved = false
      for (const source of this.#sources) source.pull()
      if (!this.#isStarved) this.#caughtUp()
    }
  }
}
