/**
 * The work of a running forwarder: what becomes of each delivery, from its source's queue to its acknowledgement.
 *
 * Everything here is synchronous and driven by the sessions: deliveries of one read are taken in one loop, and their requests leave with one write
 * of the target. Only a transformation has a fiber.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Random } from "effect/Random"
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { ForwarderHooks } from "../../ForwarderOptions.ts"
import type { Message } from "../../Message.ts"
import { Expired, InvalidTopic, type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import type { Delivery, Outbound, PublishOutcome } from "../engine/contract.ts"
import type { SessionSeam } from "../session/seam.ts"
import { monotonicMillis } from "../time.ts"
import { DeadLetters, smallerForm } from "./deadLetters.ts"
import type { Failures } from "./failures.ts"
import { Item, type ItemHost, ItemList } from "./item.ts"
import { LoopCheck, type LoopCheckParts } from "./loopCheck.ts"
import { checked, type CompiledRule } from "./mapping.ts"
import { Outgoing } from "./outgoing.ts"
import { Outlet, type OutletHost } from "./outlet.ts"
import type { Reader } from "./reader.ts"
import { makeSelection, type Test } from "./selection.ts"
import { Source, type SourceHost } from "./source.ts"
import type { Tally } from "./tally.ts"
import { TokenBucket } from "./tokenBucket.ts"
import { TopicPlans } from "./topicPlans.ts"
import { Transformations } from "./transformations.ts"

export interface RelayParts extends LoopCheckParts {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly hooks: ForwarderHooks<unknown>
  readonly tally: Tally
  readonly failures: Failures
  /** What earlier runs of the forwarder have published and did not see settled. */
  readonly published: Map<Delivery, Item>
  readonly clock: Clock.Clock
  readonly random: Random
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
}

/** The reasons with which publishing fails although the server may have the message. */
const unknownOutcomes: ReadonlySet<MqttErrorReason["_tag"]> = new Set<MqttErrorReason["_tag"]>([
  "Closed",
  "StorageFailed",
  "SessionLost",
  "Indeterminate",
  "PoisonMessage"
])

export class Relay implements ItemHost, OutletHost, SourceHost {
  readonly deadLetterTopic: string
  readonly target: Outlet
  readonly #deadLetters: Outlet | undefined
  readonly #letters: DeadLetters
  readonly #parts: RelayParts
  readonly #tally: Tally
  readonly #selection: Test | undefined
  readonly #filter: ((message: Message) => boolean) | undefined
  readonly #plans: TopicPlans
  readonly #loopCheck: LoopCheck
  readonly #sources = new Set<Source>()
  readonly #unfinished = new ItemList()
  readonly #transformations: Transformations | undefined
  #isStarved = false
  #isStopping = false
  #onIdle: (() => void) | undefined

  constructor(parts: RelayParts) {
    const { clock, hooks, options, random, tally } = parts
    this.#parts = parts
    this.#tally = tally
    this.#plans = new TopicPlans(options, parts.rules)
    this.#loopCheck = new LoopCheck(parts)
    this.#selection = makeSelection(options, random)
    this.#filter = hooks.filter === undefined ? undefined : RouteFilter.compile(hooks.filter)
    if (hooks.transform !== undefined) {
      this.#transformations = new Transformations({
        transformer: hooks.transform,
        retry: hooks.retry,
        fork: parts.fork,
        onRetry: () => tally.retried++,
        onDone: (item, exit) => this.#transformed(item, exit)
      })
    }
    const bucket = options.rateLimit === undefined
      ? undefined
      : new TokenBucket(options.rateLimit, monotonicMillis(clock))
    this.target = new Outlet(options.target, this, true, bucket)
    this.#letters = new DeadLetters(options, parts.brokersOf)
    const { deadLetter } = options
    this.deadLetterTopic = deadLetter?.topic ?? ""
    if (deadLetter !== undefined) {
      this.#deadLetters = deadLetter.session === options.target
        ? this.target
        : new Outlet(deadLetter.session, this, false, undefined)
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

  /** QoS 0 messages that the queues of the present sources dropped. */
  get overflowed(): number {
    let overflowed = 0
    for (const source of this.#sources) overflowed += source.overflowed
    return overflowed
  }

  addSource(session: Session, seam: SessionSeam, reader: Reader): Source {
    const source = new Source(session, seam, reader, this)
    this.#sources.add(source)
    this.#forgetOrigins(source)
    return source
  }

  /** What the source has finished is not delivered again. */
  #forgetOrigins({ seam, session }: Source): void {
    const useOf = (packetIdentifier: number): string | undefined => seam.driver.inboundUse(packetIdentifier)
    this.target.seam?.origins?.retain(this.#parts.options.name, session.name, useOf)
  }

  removeSource(source: Source): void {
    source.detach()
    if (!this.#sources.delete(source)) return
    this.#tally.received += source.overflowed
    this.#tally.dropped.overflow += source.overflowed
  }

  /** The outlets of a session, one or none. */
  outletsOf(session: string): ReadonlyArray<Outlet> {
    const outlets = [this.target]
    if (this.#deadLetters !== undefined && this.#deadLetters !== this.target) outlets.push(this.#deadLetters)
    return outlets.filter(({ name }) => name === session)
  }

  /** Takes what has been delivered, waits until it has a fate, and gives back what has none after the time. */
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
      const { outbound, outlet } = item
      if (outbound === undefined) {
        const predecessor = this.#parts.published.get(item.delivery)
        if (predecessor !== undefined) predecessor.successor = undefined
      } else if (!outlet!.isDurable && outlet!.seam?.driver.withdraw(outbound) === true) {
        item.written?.discard()
        item.written = undefined
      } else if (!item.isAccepted || item.ledger === undefined) {
        // It goes on, and the next run must not publish it again. Where it is in the ledger, that tells.
        this.#parts.published.set(item.delivery, item)
      }
      item.isGivenBack = true
      if (item.delivery.message.qos === 0) this.#tally.dropped.stopped++
      else this.#tally.returned++
      this.#leave(item)
      item.source.giveBack(item.delivery)
    }
    this.target.close()
    this.#deadLetters?.close()
  }

  // ItemHost

  onAccepted(item: Item): void {
    item.isAccepted = true
    const outlet = item.outlet!
    if (item.origin !== undefined) item.ledger?.add(item.origin)
    if (item.isDone || !outlet.isDurable || this.#parts.options.acceptance === "acknowledged") return
    if (item.failure === undefined) this.#forwarded(item)
    else this.#deadLettered(item)
  }

  onSettled(item: Item, outbound: Outbound): void {
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
        // The store has it, and the next session of that name sends it.
        if (item.isAccepted && item.outlet!.isDurable) {
          if (item.failure === undefined) this.#forwarded(item)
          else this.#deadLettered(item)
          return
        }
        return this.#again(item)
      case "SessionLost":
        item.disown()
        return this.#again(item)
      case "Expired":
        return this.onExpired(item)
      case "Dropped":
        return this.#droppedByQueue(item, reason)
      default:
        return this.onRefused(item, reason)
    }
  }

  #settledAfterStop(item: Item, outcome: PublishOutcome): void {
    const { successor } = item
    if (successor !== undefined) successor.host.onPredecessorSettled(successor, outcome)
    else if (outcome._tag === "Acknowledged" && item.failure === undefined) item.source.acknowledgeLate(item.delivery)
  }

  onPredecessorSettled(item: Item, outcome: PublishOutcome): void {
    if (item.isDone) return
    if (item.delivery.stale) return this.onStale(item)
    if (outcome._tag === "Acknowledged") this.#forwarded(item)
    else this.#select(item, item.source.seam.driver.now())
  }

  /** What the server has, or may have, may come back from now on. */
  #endWritten(item: Item, outcome: PublishOutcome): void {
    const { source, written } = item
    if (written === undefined) return
    item.written = undefined
    if (outcome._tag === "Acknowledged" || unknownOutcomes.has(outcome.reason._tag)) {
      written.settle(source.seam.driver.now())
    } else written.discard()
  }

  /** The target's queue had accepted it, and the source is acknowledged: what remains is to say so. */
  #settledLater(item: Item, reason: MqttErrorReason): void {
    if (reason._tag === "Closed" || reason._tag === "StorageFailed") return
    if (item.isGivenBack) return
    if (reason._tag === "SessionLost") return this.#again(item)
    const { failures } = this.#parts
    const error = failures.refused(item, reason)
    if (item.failure !== undefined) {
      if (!this.#smaller(item, reason)) failures.tell(item, item.failure, "failed", error)
      return
    }
    this.#tally.refusedLater++
    const isOver = reason._tag === "Expired" || reason._tag === "Dropped"
    if (isOver || !this.#letters.isWanted(item)) return failures.tell(item, error, "failed")
    this.#toDeadLetters(item, error)
  }

  // OutletHost

  onDuplicate(item: Item): void {
    this.#tally.duplicates++
    this.#finish(item)
  }

  onExpired(item: Item): void {
    if (item.failure === undefined) this.#drop(item, "expired")
    else this.#failed(item, item.failure, this.#parts.failures.refused(item, new Expired({})))
  }

  onStale(item: Item): void {
    this.#tally.returned++
    item.source.giveBack(item.delivery)
    this.#leave(item)
  }

  onRefused(item: Item, reason: MqttErrorReason): void {
    if (item.isDone) return this.#settledLater(item, reason)
    if (reason._tag === "Dropped") return this.#droppedByQueue(item, reason)
    this.#fail(item, this.#parts.failures.refused(item, reason))
  }

  onPublished(item: Item, outlet: Outlet): void {
    const { echoes } = this.#parts.guard
    const outgoing = outlet.outgoing!
    if (!echoes.isNeeded(outgoing.isVersion5 ? 5 : 4)) return
    const now = item.source.seam.driver.now()
    item.written = echoes.note(outgoing.brokers, item.outbound!, outgoing.routeOf(item), outgoing.isVersion5, now)
  }

  onLooped(item: Item): void {
    this.#drop(item, "looped")
  }

  hasReached(item: Item): boolean {
    return this.#loopCheck.hasReached(item)
  }

  onJoined(): void {
    for (const source of this.#sources) this.#forgetOrigins(source)
  }

  makeOutgoing(session: Session): Outgoing {
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
    for (const { reader, seam } of this.#sources) reader.waitingSince ??= seam.driver.now()
  }

  onPulled(): void {
    this.target.seam?.driver.flush()
  }

  onReleased(session: string, packetIdentifier: number): void {
    this.target.seam?.origins?.release({ forwarder: this.#parts.options.name, session, packetIdentifier })
  }

  receive(source: Source, delivery: Delivery, now: number): void {
    const tally = this.#tally
    tally.received++
    tally.receivedRate.add(now)
    const route = this.#loopCheck.routeOf(source, delivery, now)
    const item = new Item(this, source, delivery, route, source.originOf(delivery, this.#parts.options.name))
    this.#unfinished.append(item)
    const predecessor = this.#parts.published.get(delivery)
    if (predecessor === undefined) return this.#select(item, now)
    predecessor.successor = item
  }

  /** What is to be done with a message that has just arrived. */
  #select(item: Item, now: number): void {
    const tally = this.#tally
    const { delivery: { message }, source } = item
    const stop = this.#loopCheck.stops(item)
    if (stop !== undefined) return this.#drop(item, stop)
    if (message.topic === this.deadLetterTopic && this.#letters.isOne(source, message)) {
      return this.#drop(item, "looped")
    }
    let passes: boolean
    try {
      passes = !this.#plans.of(message.topic).isExcluded && (this.#filter === undefined || this.#filter(message)) &&
        (this.#selection === undefined || this.#selection(message, now))
    } catch (cause) {
      return this.#fail(item, this.#parts.failures.died(item, "the filter died", cause))
    }
    if (!passes) {
      tally.filtered++
      return this.#finish(item)
    }
    if (this.#transformations === undefined) this.#map(item)
    else this.#transformations.add(item)
  }

  #map(item: Item): void {
    const { hooks, options } = this.#parts
    const { topic } = item.delivery.message
    let mapped = this.#plans.of(topic).mapped
    if (mapped === undefined && hooks.map !== undefined) {
      try {
        const answer = hooks.map(item.message)
        if (answer !== undefined) mapped = checked(answer)
      } catch (cause) {
        return this.#fail(item, this.#parts.failures.died(item, "the mapping died", cause))
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

  #transformed(item: Item, exit: Exit.Exit<Message | undefined, unknown>): void {
    if (Exit.isFailure(exit)) {
      const cause = Cause.squash(exit.cause)
      return this.#fail(item, this.#parts.failures.died(item, "the transformation failed", cause))
    }
    if (item.isStale) return this.onStale(item)
    if (exit.value === undefined) return this.#drop(item, "transformed")
    item.message = exit.value
    this.#map(item)
  }

  #forwarded(item: Item): void {
    const tally = this.#tally
    const now = item.outlet?.seam?.driver.now() ?? this.#now
    tally.forwarded++
    tally.forwardedRate.add(now)
    tally.bytesForwarded += item.message.payload.length
    tally.lastForwardedAt = this.#parts.clock.currentTimeMillisUnsafe()
    this.#finish(item)
  }

  #deadLettered(item: Item): void {
    this.#tally.deadLettered++
    this.#parts.failures.tell(item, item.failure!, "deadLetter")
    this.#finish(item)
  }

  #failed(item: Item, error: MqttError, deadLetterError?: MqttError): void {
    this.#tally.failed++
    this.#parts.failures.tell(item, error, "failed", deadLetterError)
    this.#finish(item)
  }

  /** By the policy of its outlet's session, before or after it had been accepted. */
  #droppedByQueue(item: Item, reason: MqttErrorReason): void {
    if (item.failure === undefined) this.#drop(item, "targetQueue")
    else this.#failed(item, item.failure, this.#parts.failures.refused(item, reason))
  }

  #drop(item: Item, reason: keyof ForwarderDrops): void {
    this.#tally.dropped[reason]++
    this.#finish(item)
  }

  #again(item: Item): void {
    const outlet = item.outlet!
    this.#tally.retried++
    outlet.putBack(item)
    // When all that failed together are back in their places.
    outlet.pumpLater()
  }

  #fail(item: Item, error: MqttError): void {
    if (item.failure === undefined) {
      if (!this.#letters.isWanted(item)) return this.#failed(item, error)
      item.disown()
      return this.#toDeadLetters(item, error)
    }
    // Whatever becomes of a dead letter, no other message waits for it.
    if (!this.#smaller(item, error.reason)) this.#failed(item, item.failure, error)
  }

  /** Publishes a dead letter in a smaller form; false: there is none. */
  #smaller(item: Item, reason: MqttErrorReason): boolean {
    // Without user properties the smaller forms say nothing.
    const form = this.#deadLetters!.outgoing!.isVersion5 ? smallerForm(item.letter, reason) : undefined
    if (form === undefined) return false
    item.letter = form
    this.#toDeadLetters(item, item.failure!)
    return true
  }

  #toDeadLetters(item: Item, failure: MqttError): void {
    item.failure = failure
    item.request = undefined
    item.outbound = undefined
    item.isAccepted = false
    this.#deadLetters!.push(item)
  }

  /** The fate of an item is counted: its source hears of it. */
  #finish(item: Item): void {
    // First: whoever waits for the last item goes on at once, and ends the subscription.
    item.source.acknowledge(item.delivery)
    this.#leave(item)
  }

  /** Nothing waits at the sources any more. */
  #caughtUp(): void {
    for (const { reader } of this.#sources) reader.waitingSince = undefined
  }

  #leave(item: Item): void {
    item.isDone = true
    this.#unfinished.remove(item)
    if (this.#unfinished.size === 0) this.#onIdle?.()
    // Half of the room at once, not a place at a time.
    if (this.#isStarved && this.#unfinished.size * 2 <= this.#parts.options.maxInFlight) {
      this.#isStarved = false
      for (const source of this.#sources) source.pull()
      if (!this.#isStarved) this.#caughtUp()
    }
  }
}
