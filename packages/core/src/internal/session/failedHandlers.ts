/**
 * Decides what happens to a message whose handler failed: another attempt after a delay, a dead letter, or what the
 * policy says. It owns no topics and no fibers of handlers: `handlerPool.ts` calls it and carries out the decision.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Message } from "../../Message.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import { backoff, delaysOf, type NextDelay } from "../backoff.ts"
import type { Delivery } from "../engine/contract.ts"
import { type FailedMessages, type FailingMessage, type FailurePolicies, invalidFor } from "../messageFailures.ts"
import type { ConsumeObserver } from "./consumeObserver.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"

export interface HandlerPoolParts<E, R> {
  readonly queue: ConsumerQueue
  readonly handler: (message: Message) => Effect.Effect<unknown, E, R>
  readonly options: ConsumeOptions<E, R>
  readonly observer: ConsumeObserver | undefined
  readonly failures: FailedMessages
  readonly acknowledge: (delivery: Delivery) => void
  readonly onDropped: (topic: string) => void
  /** Ends the consumer. */
  readonly fail: (cause: Cause.Cause<E>) => void
  readonly fork: <A>(effect: Effect.Effect<A, never, R>) => Fiber.Fiber<A>
}

/** A message that failed and is not settled. */
export interface Failing<E, R> {
  readonly delivery: Delivery
  readonly token: FailingMessage
  attempts: number
  /** The delays of the option `retry`; undefined after the last one. */
  scheduled: NextDelay<E, R> | undefined
  backoff: NextDelay<void, never> | undefined
  /** The failure policy has already decided about it. */
  isDue: boolean
  /** Its topic continues without it. */
  isDetached: boolean
  /** The fiber in which it waits; undefined while its handler runs. */
  fiber: Fiber.Fiber<void> | undefined
}

/** The pool, for the decisions about its failed messages. */
export interface FailedHandlersHost<E, R> {
  /** The session has begun to end. */
  readonly isStopped: boolean
  readonly tryAgain: (failing: Failing<E, R>) => void
  /** Leaves the message unacknowledged. */
  readonly leave: (failing: Failing<E, R>) => void
  /** The topic of the message continues without it. */
  readonly detach: (failing: Failing<E, R>) => void
  /** Acknowledges the message. */
  readonly finish: (failing: Failing<E, R>) => void
}

export class FailedHandlers<E, R> {
  readonly #parts: HandlerPoolParts<E, R>
  readonly #policies: FailurePolicies
  readonly #host: FailedHandlersHost<E, R>

  constructor(parts: HandlerPoolParts<E, R>, policies: FailurePolicies, host: FailedHandlersHost<E, R>) {
    this.#parts = parts
    this.#policies = policies
    this.#host = host
  }

  decide(failing: Failing<E, R>, cause: Cause.Cause<E>): Effect.Effect<void, never, R> {
    return Effect.gen({ self: this }, function*() {
      const host = this.#host
      const { fail, failures, observer } = this.#parts
      const { delivery } = failing
      const { message } = delivery
      const invalid = invalidFor(cause)
      const isInvalid = invalid !== undefined
      const kind = invalid ?? "handler"
      const policy = isInvalid ? this.#policies.onInvalid : this.#policies.onFailure
      let delay = isInvalid ? undefined : yield* this.#scheduledDelay(failing, cause)
      if (delay === undefined && !failing.isDue) {
        failing.isDue = true
        observer?.onFailed(cause)
      }
      if (delay === undefined && policy === "retry") {
        failing.backoff ??= yield* delaysOf(backoff)
        delay = yield* failing.backoff()
      }
      const attempt = failing.attempts
      if (delay !== undefined) {
        if (host.isStopped) return host.leave(failing)
        yield* failures.report(kind, message, { outcome: "retry", attempt, delay, cause })
        yield* failures.isStoppingWithin(delay)
        return host.tryAgain(failing)
      }
      if (policy === "fail") {
        yield* failures.report(kind, message, { outcome: "fail", attempt, cause })
        observer?.onEnded(cause)
        return fail(cause)
      }
      if (typeof policy === "object") {
        // The message is not handled any more: its topic continues.
        host.detach(failing)
        const isWanted = (): boolean => !delivery.stale
        const error = yield* failures.deadLetter(kind, message, policy, cause, attempt, isWanted)
        if (error !== undefined) return host.leave(failing)
      } else {
        yield* failures.report(kind, message, { outcome: "skip", attempt, cause })
      }
      host.finish(failing)
    })
  }

  /**
   * The delay that the option `retry` asks for. The schedule sees typed failures only. It ends when it fails itself.
   */
  #scheduledDelay(failing: Failing<E, R>, cause: Cause.Cause<E>): Effect.Effect<number | undefined, never, R> {
    const { retry } = this.#parts.options
    const error = Cause.findErrorOption(cause)
    if (retry === undefined || Option.isNone(error)) return Effect.succeed(undefined)
    const next = failing.scheduled === undefined
      ? Effect.flatMap(delaysOf(retry), (nextDelay) => {
        failing.scheduled = nextDelay
        return nextDelay(error.value)
      })
      : failing.scheduled(error.value)
    return Effect.catchCause(next, () => Effect.succeed(undefined))
  }
}
