/**
 * The publishing half of a session: single messages, accepted messages, and bulk.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { Closed, InvalidOptions, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type {
  EnqueueReceipt,
  OutgoingMessage,
  Payload,
  PublishOptions,
  PublishReceipt,
  PublishSummary
} from "../../Publication.ts"
import type { Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import { parseMillis } from "../options/durations.ts"
import { noSuchOption } from "../options/plain.ts"
import { kindOf } from "../valueNames.ts"
import type { Driver } from "./driver.ts"
import type { Hub } from "./hub.ts"
import { makeRequest, noOptions } from "./publishRequest.ts"
import { timeoutReason } from "./timeouts.ts"

const success: PublishReceipt = Object.freeze({ reasonCode: 0, reasonString: undefined })

const succeeded: Exit.Exit<PublishReceipt, MqttError> = Exit.succeed(success)

/** How many messages a bulk may have in the queue before it waits, and how often it looks. */
const bulkHighWater = 2048
const bulkInterval = 64

/**
 * Something that waits for room in the queue. `attempt` answers false when there still is none, and otherwise takes itself out of
 * the waiting room before it resumes anyone: a resumed fiber runs at once, and may come back for more.
 */
interface Parked {
  readonly attempt: () => boolean
  readonly fail: (error: MqttError) => void
}

export interface PublisherOptions {
  readonly session: string
  readonly protocolVersion: 4 | 5
  readonly publishTimeout: Duration.Duration | undefined
  readonly queueMessages: number
  /** Knows why something takes long, and is told of failures that nobody awaits. */
  readonly hub: Hub
}

export class Publisher {
  readonly driver: Driver
  readonly options: PublisherOptions
  #parked: Set<Parked> | undefined
  /** The latest of the operations that someone awaits: a list, since a set costs more than all the rest of the bookkeeping. */
  #awaited: Operation | undefined
  #closed = false
  #failure: MqttError | undefined

  constructor(driver: Driver, options: PublisherOptions) {
    this.driver = driver
    this.options = options
  }

  publish(
    topic: string,
    payload: Payload,
    options: PublishOptions = noOptions
  ): Effect.Effect<PublishReceipt, MqttError> {
    const effect = Effect.callback<PublishReceipt, MqttError>((resume) => {
      const operation = new Operation(this, topic, "publish")
      operation.resume = resume
      this.#submit(operation, payload, options)
      return operation
    })
    return this.#limited(effect, "publish", topic, options)
  }

  enqueue(
    topic: string,
    payload: Payload,
    options: PublishOptions = noOptions
  ): Effect.Effect<EnqueueReceipt, MqttError> {
    const effect = Effect.callback<EnqueueReceipt, MqttError>((resume) => {
      const operation = new Operation(this, topic, "enqueue")
      operation.accept = resume
      this.#submit(operation, payload, options)
      return operation
    })
    return this.#limited(effect, "enqueue", topic, options)
  }

  publishAll<E, R>(messages: Stream.Stream<OutgoingMessage, E, R>): Effect.Effect<PublishSummary, MqttError | E, R> {
    return Effect.suspend((): Effect.Effect<PublishSummary, MqttError | E, R> => {
      if (!Stream.isStream(messages)) return Effect.fail(this.error(noStream(messages), "publishAll"))
      const bulk = new Bulk(this)
      return Stream.runForEachArray(messages, (batch) => bulk.submit(batch)).pipe(
        Effect.andThen(bulk.settled),
        Effect.onExit((exit) => Effect.sync(() => bulk.finish(exit)))
      )
    })
  }

  get sink(): Sink.Sink<PublishSummary, OutgoingMessage, never, MqttError> {
    return Sink.unwrap(
      Effect.acquireRelease(
        Effect.sync(() => new Bulk(this)),
        (bulk, exit) => Effect.sync(() => bulk.finish(exit))
      ).pipe(
        Effect.map((bulk) =>
          Sink.forEachArray((batch: ReadonlyArray<OutgoingMessage>) => bulk.submit(batch)).pipe(
            Sink.mapEffect(() => bulk.settled)
          )
        )
      )
    )
  }

  /** The queue has room again: whoever came first goes first. */
  onSpace(): void {
    for (const parked of this.#parked ?? []) {
      if (!parked.attempt()) return
    }
  }

  park(parked: Parked): void {
    this.#parked ??= new Set()
    this.#parked.add(parked)
  }

  unpark(parked: Parked): void {
    if (this.isParking) this.#parked!.delete(parked)
  }

  get isParking(): boolean {
    return this.#parked !== undefined && this.#parked.size > 0
  }

  /** Why nothing can be published now. */
  get refusal(): MqttError | undefined {
    return this.#closed ? this.error(new Closed({}), "publish") : this.#failure
  }

  /** Whoever awaits an acknowledgement, or room, fails; what is only accepted goes on waiting for better times. */
  suspendAwaiting(failure: MqttError): void {
    this.#failure = failure
    // A resumed fiber runs at once, and what it publishes now fails: the list only shrinks.
    while (this.#awaited !== undefined) this.#awaited.abort(failure)
    this.#failParked(failure)
  }

  recover(): void {
    this.#failure = undefined
  }

  close(): void {
    this.#closed = true
    this.#failParked(this.error(new Closed({}), "publish"))
  }

  /** Gives the operation up after its time limit, or the session's. */
  #limited<A>(
    effect: Effect.Effect<A, MqttError>,
    method: "publish" | "enqueue",
    topic: string,
    options: PublishOptions
  ): Effect.Effect<A, MqttError> {
    // A timeout that is none is refused with the other mistakes, before anything waits for it.
    const timeout = options?.timeout === undefined ? this.options.publishTimeout : parseTimeout(options.timeout)
    if (timeout === undefined) return effect
    const late = (): MqttError =>
      this.error(timeoutReason(method, Duration.toMillis(timeout), this.options.hub.current()), method, topic)
    return Effect.timeoutOrElse(effect, { duration: timeout, orElse: () => Effect.suspend(() => Effect.fail(late())) })
  }

  #failParked(error: MqttError): void {
    const all = this.#parked ?? []
    this.#parked = undefined
    for (const parked of all) {
      // A single message that waited for room was never taken in.
      if (parked instanceof Operation) this.driver.figures.refused(error.reason)
      parked.fail(error)
    }
  }

  error(reason: MqttErrorReason, method: string, topic?: string): MqttError {
    return new MqttError({
      reason,
      session: this.options.session,
      method,
      ...(typeof topic === "string" ? { topic } : undefined)
    })
  }

  track(operation: Operation): void {
    const next = this.#awaited
    operation.isTracked = true
    operation.next = next
    if (next !== undefined) next.previous = operation
    this.#awaited = operation
  }

  untrack(operation: Operation): void {
    if (!operation.isTracked) return
    const { next, previous } = operation
    operation.isTracked = false
    operation.next = operation.previous = undefined
    if (next !== undefined) next.previous = previous
    if (previous === undefined) this.#awaited = next
    else previous.next = next
  }

  #submit(operation: Operation, payload: Payload, options: PublishOptions): void {
    if (this.#closed) return this.#refuse(operation, this.error(new Closed({}), operation.method, operation.topic))
    // An accepted message may wait until the failure is mended; an awaited one must not.
    if (this.#failure !== undefined && operation.method === "publish") return this.#refuse(operation, this.#failure)
    const request = makeRequest(this.options.protocolVersion, operation.topic, payload, options)
    if ("_tag" in request) return this.#refuse(operation, this.error(request, operation.method, operation.topic))
    operation.request = operation.method === "enqueue" ? ownedBy(request, payload) : request
    if (this.isParking || !operation.attempt()) this.park(operation)
  }

  #refuse(operation: Operation, error: MqttError): void {
    this.driver.figures.refused(error.reason)
    operation.fail(error)
  }
}

/** The request with bytes of its own, so that the program may change what it has handed over. */
const ownedBy = (request: PublishRequest, given: Payload): PublishRequest => {
  const { payload, properties } = request
  const { correlationData } = properties
  return {
    ...request,
    // The bytes of a text are nobody else's. A typed array of another one is a copy, which `slice` of a Buffer is not.
    payload: typeof given === "string" ? payload : new Uint8Array(payload),
    properties: correlationData === undefined
      ? properties
      : { ...properties, correlationData: new Uint8Array(correlationData) }
  }
}

const noStream = (messages: unknown): InvalidOptions =>
  new InvalidOptions({ issues: [{ path: "messages", message: `expected a Stream, got ${kindOf(messages)}` }] })

// `{ topic, payload, qos: 1 }` would be sent at QoS 0 without this.
const messageIssues = (message: unknown): ReadonlyArray<OptionsIssue> | undefined => {
  if (typeof message !== "object" || message === null) {
    return [{ path: "", message: `expected a message with a topic and a payload, got ${kindOf(message)}` }]
  }
  for (const key in message) {
    if (key !== "topic" && key !== "payload" && key !== "options") {
      return [{ path: key, message: `${noSuchOption}: a message has topic, payload and options` }]
    }
  }
  return undefined
}

const parseTimeout = (timeout: unknown): Duration.Duration | undefined => {
  const millis = parseMillis(timeout)
  return millis === undefined ? undefined : Duration.millis(millis)
}

/**
 * One message and whoever waits for it. As an effect it gives the message up: what an interruption runs, without an effect and
 * a function more for each message.
 */
class Operation extends Effectable.Class<void> implements OutboundOwner, Parked {
  readonly topic: string
  readonly method: "publish" | "enqueue"
  readonly #publisher: Publisher
  request: PublishRequest | undefined
  resume: ((exit: Effect.Effect<PublishReceipt, MqttError>) => void) | undefined
  accept: ((exit: Effect.Effect<EnqueueReceipt, MqttError>) => void) | undefined
  isTracked = false
  next: Operation | undefined
  previous: Operation | undefined
  #outbound: Outbound | undefined
  #outcome: PublishOutcome | undefined
  #listeners: Set<(exit: Effect.Effect<PublishReceipt, MqttError>) => void> | undefined

  constructor(publisher: Publisher, topic: string, method: "publish" | "enqueue") {
    super()
    this.#publisher = publisher
    this.topic = topic
    this.method = method
  }

  attempt(): boolean {
    const admission = this.#publisher.driver.publish(this.request!)
    if (admission._tag === "Full") return false
    this.#publisher.unpark(this)
    switch (admission._tag) {
      case "Refused":
        this.fail(this.#error(admission.reason))
        return true
      case "Accepted":
        this.#outbound = admission.outbound
        admission.outbound.owner = this
        if (this.method === "publish") this.#publisher.track(this)
        return true
    }
  }

  onAccepted(): void {
    const accept = this.accept
    if (accept === undefined) return
    this.accept = undefined
    accept(Effect.succeed({ acknowledged: this.#acknowledged }))
  }

  onSettled(outbound: Outbound): void {
    const outcome = outbound.outcome!
    if (this.method === "publish") {
      this.#publisher.untrack(this)
      this.resume?.(this.#exit(outcome))
      this.resume = undefined
      return
    }
    // An error is made for those who want to know only: a full queue may drop a million messages.
    this.#outcome = outcome
    // A message that is refused before its acceptance is committed was never accepted.
    if (this.accept !== undefined && outcome._tag === "Failed") {
      this.accept(Exit.fail(this.#error(outcome.reason)))
      this.accept = undefined
    } else if (this.#listeners === undefined && outcome._tag === "Failed") {
      this.#publisher.options.hub.messageFailed(this.topic, outcome.reason)
    }
    if (this.#listeners !== undefined) {
      const exit = this.#exit(outcome)
      for (const listener of this.#listeners) listener(exit)
      this.#listeners = undefined
    }
  }

  #exit(outcome: PublishOutcome): Exit.Exit<PublishReceipt, MqttError> {
    if (outcome._tag === "Failed") return Exit.fail(this.#error(outcome.reason))
    const { reasonCode, reasonString } = outcome
    return reasonCode === 0 && reasonString === undefined ? succeeded : Exit.succeed({ reasonCode, reasonString })
  }

  #error(reason: MqttErrorReason): MqttError {
    return this.#publisher.error(reason, this.method, this.topic)
  }

  get #acknowledged(): Effect.Effect<PublishReceipt, MqttError> {
    return Effect.callback((resume) => {
      if (this.#outcome !== undefined) return resume(this.#exit(this.#outcome))
      const listeners = this.#listeners ??= new Set()
      listeners.add(resume)
      return Effect.sync(() => listeners.delete(resume))
    })
  }

  fail(error: MqttError): void {
    this.resume?.(Effect.fail(error))
    this.resume = undefined
    this.accept?.(Effect.fail(error))
    this.accept = undefined
  }

  /** The session cannot go on for now: withdrawn while unsent, unawaited otherwise. */
  abort(error: MqttError): void {
    this.#withdraw()
    this.fail(error)
  }

  override asEffect(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.resume = undefined
      this.accept = undefined
      this.#publisher.unpark(this)
      this.#withdraw()
    })
  }

  #withdraw(): void {
    this.#publisher.untrack(this)
    if (this.#outbound !== undefined) this.#publisher.driver.withdraw(this.#outbound)
  }
}

/**
 * Many messages with one owner: counts instead of callbacks.
 */
class Bulk implements OutboundOwner, Parked {
  readonly #publisher: Publisher
  readonly #highWater: number
  readonly onAccepted = undefined
  #outbounds: Array<Outbound> = []
  #compactAt = 4096
  #outstanding = 0
  #published = 0
  #failure: MqttError | undefined
  #batch: ReadonlyArray<OutgoingMessage> = []
  #index = 0
  #resume: ((exit: Effect.Effect<void, MqttError>) => void) | undefined
  #whenSettled: ((exit: Effect.Effect<PublishSummary, MqttError>) => void) | undefined

  constructor(publisher: Publisher) {
    this.#publisher = publisher
    this.#highWater = Math.min(bulkHighWater, Math.max(1, publisher.options.queueMessages >> 1))
  }

  submit(batch: ReadonlyArray<OutgoingMessage>): Effect.Effect<void, MqttError> {
    return Effect.callback((resume) => {
      this.#batch = batch
      this.#index = 0
      this.#resume = resume
      if (this.#publisher.isParking || !this.attempt()) this.#publisher.park(this)
      return Effect.sync(() => {
        this.#resume = undefined
        this.#publisher.unpark(this)
      })
    })
  }

  /** A plain loop over the batch, which stops when the queue has enough. */
  attempt(): boolean {
    const batch = this.#batch
    const publisher = this.#publisher
    const { driver } = publisher
    const refusal = publisher.refusal
    if (this.#failure !== undefined) return this.#finishBatch(Effect.fail(this.#failure))
    if (refusal !== undefined) return this.#refuse(refusal)
    while (this.#index < batch.length) {
      if (this.#index % bulkInterval === 0 && driver.stats.queuedMessages >= this.#highWater) return false
      const message = batch[this.#index]!
      if (message?.options === undefined) {
        const issues = messageIssues(message)
        if (issues !== undefined) return this.#refuse(publisher.error(new InvalidOptions({ issues }), "publishAll"))
      }
      const { options = noOptions, payload, topic } = message
      const request = makeRequest(publisher.options.protocolVersion, topic, payload, options)
      if ("_tag" in request) return this.#refuse(publisher.error(request, "publishAll", topic))
      const admission = driver.publish(request)
      if (admission._tag === "Full") return false
      if (admission._tag === "Refused") {
        return this.#finishBatch(Effect.fail(publisher.error(admission.reason, "publishAll", topic)))
      }
      admission.outbound.owner = this
      this.#track(admission.outbound)
      this.#index++
    }
    return this.#finishBatch(Effect.void)
  }

  fail(error: MqttError): void {
    this.#finishBatch(Effect.fail(error))
  }

  #refuse(error: MqttError): true {
    this.#publisher.driver.figures.refused(error.reason)
    return this.#finishBatch(Effect.fail(error))
  }

  onSettled(outbound: Outbound): void {
    this.#outstanding--
    const outcome = outbound.outcome!
    if (outcome._tag === "Acknowledged") this.#published++
    else this.#failure ??= this.#publisher.error(outcome.reason, "publishAll", outbound.request.topic)
    if (this.#outstanding === 0) this.#whenSettled?.(this.#summary)
  }

  get settled(): Effect.Effect<PublishSummary, MqttError> {
    return Effect.callback((resume) => {
      if (this.#outstanding === 0) return resume(this.#summary)
      this.#whenSettled = resume
      return Effect.sync(() => {
        this.#whenSettled = undefined
      })
    })
  }

  /** After a failure or an interruption what was not sent is withdrawn. */
  finish(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const outbound of this.#outbounds) {
      if (outbound.state === "queued") this.#publisher.driver.withdraw(outbound)
    }
    this.#outbounds = []
  }

  get #summary(): Effect.Effect<PublishSummary, MqttError> {
    return this.#failure === undefined
      ? Effect.succeed({ published: this.#published })
      : Effect.fail(this.#failure)
  }

  #track(outbound: Outbound): void {
    this.#outstanding++
    this.#outbounds.push(outbound)
    if (this.#outbounds.length < this.#compactAt) return
    this.#outbounds = this.#outbounds.filter((each) => each.state === "queued")
    this.#compactAt = Math.max(4096, this.#outbounds.length * 2)
  }

  #finishBatch(exit: Effect.Effect<void, MqttError>): true {
    const resume = this.#resume
    this.#resume = undefined
    this.#publisher.unpark(this)
    resume?.(exit)
    return true
  }
}
