/**
 * Subscribes for a session: registers consumers with the engine, makes their queues, and waits for SUBACK and UNSUBACK.
 * It never sends packets itself. `facade.ts`, routes and forwarders call it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Closed, MqttError, type MqttErrorReason, type UnsubscribeRefused } from "../../MqttError.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import {
  type ConsumeOptions,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionInfo,
  TypeId
} from "../../Subscription.ts"
import type { Consumer } from "../engine/contract.ts"
import { consumeChecks, filtersOf, refuseHandler, refuseOptions, subscribeChecks } from "../options/subscribing.ts"
import * as Topic from "../topics.ts"
import { ConsumerQueue, type ConsumerQueueOptions } from "./consumerQueue.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { Lifecycle } from "./lifecycle.ts"
import { purposeOf, rememberedPurpose, rememberPurpose } from "./purpose.ts"
import { shareFilters } from "./sharing.ts"
import { type Tap, TappedQueue } from "./tappedQueue.ts"
import { timeoutReason } from "./timeouts.ts"
import type { SessionTracing } from "./tracing.ts"
import type { Turns } from "./turns.ts"

/** The session, for its subscriber. */
export interface SubscriberHost {
  readonly options: SessionOptions
  readonly engineLoop: EngineLoop
  readonly lifecycle: Lifecycle
  readonly tracing: SessionTracing | undefined
  readonly turns: Turns
  /** Runs an effect in the background until the session ends. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Called for shared subscriptions, with their filters. */
  readonly onShared: (filters: ReadonlyArray<string>) => void
}

/** Two sums of the same times may differ by less than this, in milliseconds. */
const rounding = 0.001

type Joined = (exit: Exit.Exit<void, MqttError>) => void

/** A call of `unsubscribe` that waits for UNSUBACK. */
interface Unsubscription {
  readonly filter: string
  refusal: UnsubscribeRefused | undefined
}

export class Subscriber {
  readonly #host: SubscriberHost
  readonly #engineLoop: EngineLoop
  #joining: Map<ConsumerQueue, Joined> | undefined
  #unsubscribing: Set<Unsubscription> | undefined
  #closed = false
  #failure: MqttError | undefined

  constructor(host: SubscriberHost) {
    this.#host = host
    this.#engineLoop = host.engineLoop
  }

  /** Registers a consumer for the lifetime of the scope, and waits until the server granted its subscription. */
  subscription(
    filters: string | ReadonlyArray<string>,
    options: SubscribeOptions = {}
  ): Effect.Effect<Subscription, MqttError, Scope.Scope> {
    return Effect.map(
      this.#checked(filters, refuseOptions(options, subscribeChecks), () => this.join(filters, options)),
      (queue) => ({ [TypeId]: TypeId, ...describe(queue), messages: queue.messages, batches: queue.batches })
    )
  }

  /** The same for `consume`, which takes from the queue itself. Checks its options and handler. */
  consumer<E, R>(
    filters: string | ReadonlyArray<string>,
    options: ConsumeOptions<E, R>,
    handler: unknown
  ): Effect.Effect<ConsumerQueue, MqttError, Scope.Scope> {
    const refusal = refuseHandler(handler) ?? refuseOptions(options, consumeChecks, filtersOf(filters))
    return this.#checked(filters, refusal, () => {
      const joined = this.join(filters, options)
      const { onSubscribed } = options
      return onSubscribed === undefined ? joined : Effect.tap(joined, (queue) => onSubscribed(describe(queue)))
    })
  }

  #checked<A, R>(
    filters: unknown,
    refusal: MqttErrorReason | undefined,
    join: () => Effect.Effect<A, MqttError, R>
  ): Effect.Effect<A, MqttError, R> {
    return Effect.suspend(() =>
      refusal === undefined
        ? join()
        : Effect.fail(this.#error(refusal, typeof filters === "string" ? [filters] : []))
    )
  }

  /** The same for a consumer that takes deliveries without a fiber, see `TappedQueue`. */
  tap(
    filters: ReadonlyArray<string>,
    options: SubscribeOptions,
    tap: Tap
  ): Effect.Effect<TappedQueue, MqttError, Scope.Scope> {
    return this.join(filters, options, (queueOptions) => new TappedQueue(this.#engineLoop, queueOptions, tap))
  }

  join<Queue extends ConsumerQueue = ConsumerQueue>(
    filters: string | ReadonlyArray<string>,
    options: SubscribeOptions,
    make?: (options: ConsumerQueueOptions) => Queue
  ): Effect.Effect<Queue, MqttError, Scope.Scope>
  join(
    filters: string | ReadonlyArray<string>,
    options: SubscribeOptions,
    make = (queueOptions: ConsumerQueueOptions): ConsumerQueue => new ConsumerQueue(this.#engineLoop, queueOptions)
  ): Effect.Effect<ConsumerQueue, MqttError, Scope.Scope> {
    return Effect.suspend(() => {
      const given = filtersOf(filters)
      if ("_tag" in given) return Effect.fail(this.#error(given, typeof filters === "string" ? [filters] : []))
      const shares = shareFilters(given, options.share)
      if ("_tag" in shares) return Effect.fail(this.#error(shares, given))
      // A share name can make a valid filter invalid.
      const list = filtersOf(shares)
      if ("_tag" in list) return Effect.fail(this.#error(list, given))
      const shared = list.filter(Topic.isShared)
      if (shared.length > 0) this.#host.onShared(shared)
      return Effect.flatMap(Effect.scope, (scope) =>
        Effect.uninterruptible(Effect.tap(
          Effect.suspend(() => this.#register(list, options, make)),
          // Not `acquireRelease`, which would keep the span of this call as long as the subscription.
          (queue) => Scope.addFinalizerExit(scope, leaving(this, queue))
        ))).pipe(
          Effect.tap((queue) => this.#awaitGrant(queue)),
          Effect.tapError((error) =>
            Effect.sync(() => {
              // The session reports a failure or an end of its own.
              if (error === this.#failure || error.reason._tag === "Closed") return
              // A conflict with another subscription concerns only the caller, which may ask for something else.
              if (error.reason._tag === "SubscriptionConflict") return
              this.#host.lifecycle.subscriptionFailed(list, purposeOf(options), error)
            })
          )
        )
    })
  }

  /** The scope of the subscription has ended. */
  leave(queue: ConsumerQueue): void {
    this.#takeJoined(queue)
    queue.close()
    this.#engineLoop.removeConsumer(queue)
  }

  /** Fails a subscription without asking the server, and reports it like any other failure. */
  refuse(filters: ReadonlyArray<string>, consumer: string, error: MqttError): Effect.Effect<never, MqttError> {
    return Effect.suspend(() => {
      this.#host.lifecycle.subscriptionFailed(filters, consumer, error)
      return Effect.fail(error)
    })
  }

  #register(
    filters: ReadonlyArray<string>,
    options: SubscribeOptions,
    make: (options: ConsumerQueueOptions) => ConsumerQueue
  ): Effect.Effect<ConsumerQueue, MqttError> {
    if (this.#closed) return Effect.fail(this.#error(new Closed({}), filters))
    const { options: session, tracing } = this.#host
    const queue = make({
      session: session.name,
      ack: options.ack ?? "onReceive",
      buffer: options.buffer ?? session.streamBuffer,
      onOverflow: options.onOverflow ?? session.onOverflow,
      acknowledgeEffect: tracing === undefined
        ? undefined
        : (message, acknowledge) => tracing.settled(message, acknowledge)
    })
    rememberPurpose(queue, options)
    const refusal = this.#engineLoop.addConsumer({
      filters,
      qos: options.qos ?? 0,
      noLocal: options.noLocal ?? false,
      retainAsPublished: options.retainAsPublished ?? false,
      retained: options.retained ?? "each",
      keep: options.keep ?? false,
      name: options.consumer
    }, queue)
    return refusal === undefined ? Effect.succeed(queue) : Effect.fail(this.#error(refusal, filters))
  }

  #awaitGrant(queue: ConsumerQueue): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => {
      const { consumer } = queue
      if (consumer.state === "active") return Effect.void
      if (consumer.state !== "joining") return Effect.fail(this.#failureOf(consumer))
      if (this.#failure !== undefined) return Effect.fail(this.#failure)
      let timer: Fiber.Fiber<void> | undefined
      // No race: its fibers would be most of the memory of a session that is being opened.
      return Effect.onExit(
        Effect.callback<void, MqttError>((resume) => {
          this.#joining ??= new Map()
          this.#joining.set(queue, resume)
          timer = this.#host.fork(Effect.catch(
            this.#timeout("subscribe", consumer.request.filters),
            (error) => Effect.sync(() => resume(Effect.fail(error)))
          ))
        }),
        () =>
          Effect.sync(() => {
            this.#takeJoined(queue)
            timer?.interruptUnsafe()
          })
      )
    })
  }

  /** The call that waits for the grant of this queue, which it does no longer. An idle session keeps no empty map. */
  #takeJoined(queue: ConsumerQueue): Joined | undefined {
    const joined = this.#joining?.get(queue)
    this.#joining?.delete(queue)
    if (this.#joining?.size === 0) this.#joining = undefined
    return joined
  }

  /** Fails after the server has been connected for the whole timeout, over any number of connections. */
  #timeout(operation: "subscribe" | "unsubscribe", filters: ReadonlyArray<string>): Effect.Effect<never, MqttError> {
    const { engineLoop, lifecycle, options: { subscribeTimeout } } = this.#host
    const millis = Duration.toMillis(subscribeTimeout)
    return Effect.suspend(() =>
      Effect.andThen(
        this.#untilConnectedFor(engineLoop.current.connectedFor(engineLoop.now()) + millis),
        Effect.suspend(() =>
          Effect.fail(this.#error(timeoutReason(operation, millis, lifecycle.current()), filters, operation))
        )
      )
    )
  }

  /** Sleeps until the session was connected for so many milliseconds. Connections that end meanwhile do not wake it. */
  #untilConnectedFor(goal: number): Effect.Effect<void> {
    const { engineLoop, turns } = this.#host
    return Effect.suspend(() => {
      const left = goal - engineLoop.current.connectedFor(engineLoop.now())
      if (left < rounding) return Effect.void
      return Effect.andThen(
        engineLoop.connection === undefined
          ? turns.until(() => engineLoop.connection !== undefined)
          : Effect.sleep(Math.ceil(left)),
        this.#untilConnectedFor(goal)
      )
    })
  }

  /**
   * Ends a subscription at the server. Fails when the server refuses or takes too long. `isOver` tells that the session
   * has ended.
   */
  unsubscribe(filter: string, isOver: () => boolean): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => {
      const valid = Topic.validateFilter(filter)
      if (valid._tag === "Failure") return Effect.fail(this.#error(valid.failure, [], "unsubscribe"))
      const requests = this.#unsubscribing ??= new Set()
      const request: Unsubscription = { filter, refusal: undefined }
      requests.add(request)
      this.#engineLoop.unsubscribe(filter)
      const settled = this.#host.turns.until(() =>
        request.refusal !== undefined || this.#engineLoop.engine.isSettled(filter) || isOver()
      )
      return Effect.raceFirst(settled, this.#timeout("unsubscribe", [filter])).pipe(
        Effect.ensuring(Effect.sync(() => requests.delete(request))),
        Effect.andThen(Effect.suspend(() => {
          const reason = request.refusal
          return reason === undefined ? Effect.void : Effect.fail(this.#error(reason, [filter], "unsubscribe"))
        }))
      )
    })
  }

  /** Without a caller that waits, the stream has ended, and messages that the server still sends are unclaimed. */
  onUnsubscribeRefused(refusal: UnsubscribeRefused): void {
    for (const request of this.#unsubscribing ?? []) {
      if (request.filter === refusal.filter) request.refusal = refusal
    }
  }

  /** The engine settled a consumer: its subscription is granted, or has failed. */
  onConsumer(consumer: Consumer): void {
    const queue = consumer.owner as ConsumerQueue
    if (consumer.state === "active") {
      const joined = this.#takeJoined(queue)
      this.#host.lifecycle.subscriptionSettled(consumer.request.filters, true)
      joined?.(Exit.void)
    } else if (consumer.state === "failed") {
      const joined = this.#takeJoined(queue)
      const failure = this.#failureOf(consumer)
      if (joined === undefined) {
        this.#host.lifecycle.subscriptionFailed(consumer.request.filters, rememberedPurpose(queue), failure)
      } else joined(Exit.fail(failure))
      queue.end(failure)
    }
  }

  /**
   * Fails subscriptions that wait for a grant. Granted ones keep waiting for a connection, unless the failure is
   * permanent (`isPermanent`).
   */
  suspendAwaiting(failure: MqttError, isPermanent: boolean): void {
    this.#failure = failure
    for (const joined of this.#joining?.values() ?? []) joined(Exit.fail(failure))
    this.#joining = undefined
    if (isPermanent) { for (const queue of this.#engineLoop.queues) queue.end(failure) }
  }

  recover(): void {
    this.#failure = undefined
  }

  /** Refuses new subscriptions. Streams end when their consumers have seen the waiting messages. */
  close(): void {
    this.#closed = true
    for (const joined of this.#joining?.values() ?? []) joined(Exit.fail(this.#error(new Closed({}), [])))
    this.#joining = undefined
  }

  #failureOf(consumer: Consumer): MqttError {
    return this.#error(consumer.reason ?? new Closed({}), consumer.request.filters)
  }

  #error(
    reason: MqttErrorReason,
    filters: ReadonlyArray<string>,
    method: "subscribe" | "unsubscribe" = "subscribe"
  ): MqttError {
    return new MqttError({
      reason,
      session: this.#host.options.name,
      method,
      ...(filters.length === 1 ? { topic: filters[0]! } : undefined)
    })
  }
}

// A function of its own that makes the effect when it runs, so that the scope holds little of an idle subscription.
const leaving = (subscriber: Subscriber, queue: ConsumerQueue) => (): Effect.Effect<void> =>
  Effect.sync(() => subscriber.leave(queue))

const describe = (queue: ConsumerQueue): SubscriptionInfo => ({
  filters: queue.consumer.request.filters,
  granted: queue.consumer.granted,
  pending: Effect.sync(() => ({ messages: queue.size, dropped: queue.dropped, highWater: queue.highWater }))
})
