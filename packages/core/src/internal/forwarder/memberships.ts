/**
 * Joins a forwarder to its sessions: subscribes at the sources, and gives each target queue the session that it
 * publishes by.
 *
 * A route runner joins each session every time it starts, and leaves it when it ends. A session that does not fit is
 * refused and becomes the last error of the metrics.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { SubscribeOptions } from "../../Subscription.ts"
import { definedOnly } from "../manager/pipeline.ts"
import type { Membership, RouteRunner } from "../manager/routeRunner.ts"
import type { SessionCore } from "../session/core.ts"
import { isSilent } from "../session/eventLog.ts"
import { withPurpose } from "../session/purpose.ts"
import type { Subscriber } from "../session/subscriber.ts"
import type { TappedQueue } from "../session/tappedQueue.ts"
import * as Topic from "../topics.ts"
import type { Failures } from "./failures.ts"
import type { LoopGuard } from "./loopGuard.ts"
import type { ForwarderOptions } from "./options.ts"
import { Reader } from "./reader.ts"
import type { Relay } from "./relay.ts"
import type { SessionChecks } from "./sessionChecks.ts"
import type { Source } from "./source.ts"

export interface MembershipsParts {
  readonly options: ForwarderOptions
  readonly filters: ReadonlyArray<string>
  readonly purpose: string
  readonly failures: Failures
  readonly sessionChecks: SessionChecks
  readonly guard: LoopGuard
  /** Time of the monotonic clock in milliseconds. */
  readonly now: () => number
}

/** The consumer name of a forwarder at its durable source sessions, see `SubscribeOptions.consumer`. */
export const consumerName = (forwarder: string): string => `forwarder ${forwarder}`

export class Memberships {
  readonly #parts: MembershipsParts
  readonly #readers = new Map<string, { readonly reader: Reader; readonly end: () => void }>()

  constructor(parts: MembershipsParts) {
    this.#parts = parts
  }

  /** The forwarder has ended. */
  end(): void {
    for (const { end } of this.#readers.values()) end()
  }

  source(runner: RouteRunner<unknown>, relay: Relay, membership: Membership): Effect.Effect<void, MqttError> {
    const { core: session } = membership
    const { filters, sessionChecks, purpose } = this.#parts
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const issue = sessionChecks.sourceIssue(session.options)
      if (issue !== undefined) {
        return yield* session.subscriber.refuse(filters, purpose, this.#errorOf(session.name, issue))
      }
      const reader = this.#readerAt(session)
      const source = yield* Effect.acquireRelease(
        Effect.sync(() => {
          reader.attach(session.engineLoop)
          return relay.addSource(session, reader)
        }),
        (source) =>
          Effect.sync(() => {
            relay.removeSource(source)
            reader.detach(session.engineLoop.now())
          })
      )
      const queue = yield* this.#subscribe(session.subscriber, source, this.#subscribeOptions(session))
      runner.activate(membership, {
        filters: queue.consumer.request.filters,
        granted: queue.consumer.granted,
        pending: Effect.sync(() => ({ messages: queue.size, dropped: queue.dropped, highWater: queue.highWater }))
      })
      yield* Effect.raceFirst(source.failure, session.untilClosed)
    })).pipe(Effect.tapError((error) => this.#noteError(error)))
  }

  target(runner: RouteRunner<unknown>, relay: Relay, membership: Membership): Effect.Effect<void, MqttError> {
    const { core: session } = membership
    const { sessionChecks, options } = this.#parts
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const issue = session.name === options.target ? sessionChecks.targetIssue(session.options) : undefined
      if (issue !== undefined) {
        const error = this.#errorOf(session.name, issue)
        yield* this.#logUnfit(error)
        return yield* error
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => relay.join(session)),
        () => Effect.sync(() => relay.leave(session))
      )
      runner.activate(membership)
      yield* session.untilClosed
    })).pipe(Effect.tapError((error) => this.#noteError(error)))
  }

  /**
   * The reader of a session name. It is kept across stops and starts, and when a new session of that name starts:
   * messages written meanwhile may be delivered then.
   */
  #readerAt({ options: session }: SessionCore): Reader {
    const { filters, guard, now, options } = this.#parts
    const brokers = guard.marks.of(session)
    const known = this.#readers.get(session.name)
    if (known?.reader.options.brokers === brokers && known.reader.options.protocolVersion === session.protocolVersion) {
      return known.reader
    }
    known?.end()
    const reader = new Reader({
      brokers,
      filters,
      protocolVersion: session.protocolVersion,
      share: options.share,
      isResumed: session.persistence !== "none"
    })
    this.#readers.set(session.name, { reader, end: guard.recentWrites.read(reader, now()) })
    return reader
  }

  /**
   * When another consumer has already subscribed to the filter with other options, the older subscription stays in
   * force.
   */
  #subscribe(
    subscriber: Subscriber,
    source: Source,
    subscribing: SubscribeOptions
  ): Effect.Effect<TappedQueue, MqttError, Scope.Scope> {
    const { filters } = this.#parts
    return Effect.catch(subscriber.tap(filters, subscribing, source), (error) => {
      const isSpecial = subscribing.noLocal === true || subscribing.retainAsPublished === true
      if (error.reason._tag !== "SubscriptionConflict" || !isSpecial) return Effect.fail(error)
      const common = { ...subscribing, noLocal: false, retainAsPublished: false }
      return Effect.andThen(this.#noteError(error), subscriber.tap(filters, common, source))
    })
  }

  #subscribeOptions({ options: session }: SessionCore): SubscribeOptions {
    const { filters, options, purpose } = this.#parts
    const isVersion5 = session.protocolVersion === 5
    const isShared = options.share !== undefined || filters.some(Topic.isShared)
    return withPurpose({
      ...definedOnly({
        share: options.share,
        consumer: session.persistence === "durable" ? consumerName(options.name) : undefined
      }),
      qos: options.subscribeQoS,
      retained: options.retained,
      buffer: options.buffer,
      onOverflow: options.onOverflow,
      noLocal: isVersion5 && !isShared && (options.noLocal ?? session.name === options.target),
      retainAsPublished: isVersion5 && options.retain === "keep"
    }, purpose)
  }

  #errorOf(session: string, reason: MqttErrorReason): MqttError {
    return new MqttError({
      reason,
      session,
      method: "Forwarder.start",
      context: { forwarder: this.#parts.options.name }
    })
  }

  #noteError(error: MqttError): Effect.Effect<void> {
    return Effect.sync(() => {
      if (error.reason._tag !== "Closed") this.#parts.failures.note(error)
    })
  }

  #logUnfit(error: MqttError): Effect.Effect<void> {
    const { name } = this.#parts.options
    return Effect.flatMap(SessionLog, (settings) =>
      isSilent(settings) ? Effect.void : Effect.annotateLogs(
        Effect.logError(`the target does not fit: ${error.reason.message}`),
        { forwarder: name, session: error.session, event: "TargetUnfit", reason: error.reason._tag }
      ))
  }
}
