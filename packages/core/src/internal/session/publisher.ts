/**
 * Publishes messages of a session: single messages, accepted (enqueued) messages, and streams. It checks and submits;
 * the engine decides about sending. `facade.ts` calls it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
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
import type { PublishRequest } from "../engine/contract.ts"
import { parseMillis } from "../options/durations.ts"
import { kindOf } from "../valueNames.ts"
import { BulkPublish } from "./bulkPublish.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { Parked, PublisherOptions, PublishHost } from "./publishHost.ts"
import { PublishOperation, succeeded } from "./publishOperation.ts"
import { isRefusal, makeRequest, noOptions } from "./publishRequest.ts"
import { timeoutReason } from "./timeouts.ts"

export class Publisher implements PublishHost {
  readonly engineLoop: EngineLoop
  readonly options: PublisherOptions
  #parked: Set<Parked> | undefined
  /** The newest operation that a fiber awaits. A linked list, because a set costs more than all other bookkeeping. */
  #awaited: PublishOperation | undefined
  #closed = false
  #failure: MqttError | undefined

  constructor(engineLoop: EngineLoop, options: PublisherOptions) {
    this.engineLoop = engineLoop
    this.options = options
  }

  publish(
    topic: string,
    payload: Payload,
    options: PublishOptions = noOptions
  ): Effect.Effect<PublishReceipt, MqttError> {
    // Above QoS 0 the fiber waits in any case, and one effect costs less than an effect that makes another one.
    return options?.qos === 1 || options?.qos === 2 ?
      this.#publishWaiting(topic, payload, options)
      : new Publish(this, topic, payload, options)
  }

  #publishWaiting(topic: string, payload: Payload, options: PublishOptions): Effect.Effect<PublishReceipt, MqttError> {
    const effect = Effect.callback<PublishReceipt, MqttError>((resume) => {
      const request = this.#requestOf(topic, payload, options)
      return isRefusal(request) ? resume(this.#refused(request)) : this.#await(topic, request, resume)
    })
    return this.#limited(effect, "publish", topic, options)
  }

  /** Begins to publish a message, when the effect of `publish` runs. */
  begin(topic: string, payload: Payload, options: PublishOptions): Effect.Effect<PublishReceipt, MqttError> {
    const request = this.#requestOf(topic, payload, options)
    if (isRefusal(request)) return this.#refused(request)
    if (this.#isDirect(request)) return succeeded
    const effect = Effect.callback<PublishReceipt, MqttError>((resume) => this.#await(topic, request, resume))
    return this.#limited(effect, "publish", topic, options)
  }

  #requestOf(topic: string, payload: Payload, options: PublishOptions): PublishRequest | MqttError {
    if (this.#closed) return this.error(new Closed({}), "publish", topic)
    if (this.#failure !== undefined) return this.#failure
    const request = makeRequest(this.options.protocolVersion, topic, payload, options)
    return isRefusal(request) ? this.error(request, "publish", topic) : request
  }

  /** Submits a message for a fiber that waits. Answers the finalizer of its interruption. */
  #await(
    topic: string,
    request: PublishRequest,
    resume: (exit: Effect.Effect<PublishReceipt, MqttError>) => void
  ): PublishOperation {
    const operation = new PublishOperation(this, topic, "publish", request)
    operation.resume = resume
    this.#submit(operation)
    return operation
  }

  enqueue(
    topic: string,
    payload: Payload,
    options: PublishOptions = noOptions
  ): Effect.Effect<EnqueueReceipt, MqttError> {
    return Effect.suspend(() => {
      if (this.#closed) return this.#refused(this.error(new Closed({}), "enqueue", topic))
      const request = makeRequest(this.options.protocolVersion, topic, payload, options)
      if (isRefusal(request)) return this.#refused(this.error(request, "enqueue", topic))
      if (this.#isDirect(request)) return Effect.succeed(directReceipt)
      const owned = ownedBy(request, payload)
      const effect = Effect.callback<EnqueueReceipt, MqttError>((resume) => {
        const operation = new PublishOperation(this, topic, "enqueue", owned)
        operation.accept = resume
        this.#submit(operation)
        return operation
      })
      return this.#limited(effect, "enqueue", topic, options)
    })
  }

  publishAll<E, R>(messages: Stream.Stream<OutgoingMessage, E, R>): Effect.Effect<PublishSummary, MqttError | E, R> {
    return Effect.suspend((): Effect.Effect<PublishSummary, MqttError | E, R> => {
      if (!Stream.isStream(messages)) return Effect.fail(this.error(noStream(messages), "publishAll"))
      const bulk = new BulkPublish(this)
      return Stream.runForEachArray(messages, (batch) => bulk.submit(batch)).pipe(
        Effect.andThen(bulk.settled),
        Effect.onExit((exit) => Effect.sync(() => bulk.finish(exit)))
      )
    })
  }

  get sink(): Sink.Sink<PublishSummary, OutgoingMessage, never, MqttError> {
    return Sink.unwrap(
      Effect.acquireRelease(
        Effect.sync(() => new BulkPublish(this)),
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

  /** The queue has space again. The operation that waited longest tries first. */
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

  /** Why nothing can be published now; undefined: publishing is possible. */
  get refusal(): MqttError | undefined {
    return this.#closed ? this.error(new Closed({}), "publish") : this.#failure
  }

  /** Fails publishes that await an acknowledgement or queue space. Enqueued messages stay queued. */
  suspendAwaiting(failure: MqttError): void {
    this.#failure = failure
    // A resumed fiber runs at once, and what it publishes now fails. So the list only shrinks.
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

  /** Adds the timeout of the options, or that of the session. */
  #limited<A>(
    effect: Effect.Effect<A, MqttError>,
    method: "publish" | "enqueue",
    topic: string,
    options: PublishOptions
  ): Effect.Effect<A, MqttError> {
    // An invalid timeout is ignored here. `makeRequest` refuses it together with the other mistakes in the options.
    const timeout = options?.timeout === undefined ? this.options.publishTimeout : parseTimeout(options.timeout)
    if (timeout === undefined) return effect
    const late = (): MqttError =>
      this.error(timeoutReason(method, Duration.toMillis(timeout), this.options.lifecycle.current()), method, topic)
    return Effect.timeoutOrElse(effect, { duration: timeout, orElse: () => Effect.suspend(() => Effect.fail(late())) })
  }

  #failParked(error: MqttError): void {
    const all = this.#parked ?? []
    this.#parked = undefined
    for (const parked of all) {
      // A single message that waited for queue space was never accepted.
      if (parked instanceof PublishOperation) this.engineLoop.counters.refused(error.reason)
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

  track(operation: PublishOperation): void {
    const next = this.#awaited
    operation.isTracked = true
    operation.next = next
    if (next !== undefined) next.previous = operation
    this.#awaited = operation
  }

  untrack(operation: PublishOperation): void {
    if (!operation.isTracked) return
    const { next, previous } = operation
    operation.isTracked = false
    operation.next = operation.previous = undefined
    if (next !== undefined) next.previous = previous
    if (previous === undefined) this.#awaited = next
    else previous.next = next
  }

  /** Whether the message is in the write of this turn. Nothing waits before it, and it needs no outcome. */
  #isDirect(request: PublishRequest): boolean {
    return request.qos === 0 && !this.isParking && this.engineLoop.directWrites.publish(request)
  }

  #submit(operation: PublishOperation): void {
    if (this.isParking || !operation.attempt()) this.park(operation)
  }

  #refused(error: MqttError): Effect.Effect<never, MqttError> {
    this.engineLoop.counters.refused(error.reason)
    return Effect.fail(error)
  }
}

const directReceipt: EnqueueReceipt = Object.freeze({ acknowledged: succeeded })

/** The effect of `publish`: a class, because it costs less than a closure and a primitive of Effect. */
class Publish extends Effectable.Class<PublishReceipt, MqttError> {
  readonly #publisher: Publisher
  readonly #topic: string
  readonly #payload: Payload
  readonly #options: PublishOptions

  constructor(publisher: Publisher, topic: string, payload: Payload, options: PublishOptions) {
    super()
    this.#publisher = publisher
    this.#topic = topic
    this.#payload = payload
    this.#options = options
  }

  override asEffect(): Effect.Effect<PublishReceipt, MqttError> {
    return this.#publisher.begin(this.#topic, this.#payload, this.#options)
  }
}

/** A copy of the request that owns its bytes, so that the program may change its buffers. */
const ownedBy = (request: PublishRequest, given: Payload): PublishRequest => {
  const { payload, properties } = request
  const { correlationData } = properties
  return {
    ...request,
    // No other code holds the bytes of an encoded string. `new Uint8Array` copies; `slice` of a Buffer does not.
    payload: typeof given === "string" ? payload : new Uint8Array(payload),
    properties: correlationData === undefined
      ? properties
      : { ...properties, correlationData: new Uint8Array(correlationData) }
  }
}

const noStream = (messages: unknown): InvalidOptions =>
  new InvalidOptions({ issues: [{ path: "messages", message: `expected a Stream, got ${kindOf(messages)}` }] })

const parseTimeout = (timeout: unknown): Duration.Duration | undefined => {
  const millis = parseMillis(timeout)
  return millis === undefined ? undefined : Duration.millis(millis)
}
