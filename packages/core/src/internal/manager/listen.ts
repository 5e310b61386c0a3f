/**
 * Routes that feed a stream. The subscriptions of all sessions fill one bounded queue, and the pulls of the stream's
 * consumer acknowledge the messages.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import { Closed, MqttError } from "../../MqttError.ts"
import type { ListenOptions } from "../../SessionRoute.ts"
import { backoff, delaysOf } from "../backoff.ts"
import { deadLetterTopics, FailedMessages, invalidFor, policiesOf } from "../messageFailures.ts"
import type { Session } from "../session/contract.ts"
import { withPurpose } from "../session/purpose.ts"
import { makePipeline, subscribeOptions } from "./pipeline.ts"
import type { RouteRunner } from "./routeRunner.ts"

type Batch = Arr.NonEmptyReadonlyArray<Message>

export const startListener = <E, R>(
  runner: RouteRunner<E>,
  options: ListenOptions<E, R>
): Effect.Effect<Stream.Stream<Message, E | MqttError>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Queue.bounded<Message, E | MqttError | Cause.Done>(options.capacity ?? 256)
    const subscribing = withPurpose({ ...subscribeOptions(options), ack: "manual" as const }, runner.purpose)

    yield* runner.start({
      attach: (membership) =>
        Effect.scoped(Effect.gen(function*() {
          const { session } = membership
          const subscription = yield* session.subscription(runner.options.filters, subscribing)
          runner.activate(membership, subscription)
          yield* Stream.runForEachArray(subscription.messages, makePump(runner, session, queue, options))
          // The session is draining: it waits for the acknowledgements of messages that the consumer has not received
          // yet.
          yield* membership.core.untilClosed
        })),
      onEnd: (exit) => {
        if (Exit.isSuccess(exit)) Queue.endUnsafe(queue)
        else Queue.failCauseUnsafe(queue, exit.cause)
      }
    })
    return options.ack === "manual" ? counted(runner, queue) : acknowledged(runner, queue)
  })

type Pump<E, R> = (messages: Batch) => Effect.Effect<void, E | MqttError, R>

/** Moves the messages of one array through the pipeline into the queue, and waits while the queue is full. */
const makePump = <E, R>(
  runner: RouteRunner<E>,
  session: Session,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>,
  options: ListenOptions<E, R>
): Pump<E, R> => {
  if (options.filter === undefined && options.transform === undefined) {
    return (messages) => {
      for (let i = 0; i < messages.length; i++) runner.received(messages[i]!)
      return Effect.asVoid(Queue.offerAll(queue, messages))
    }
  }
  const failures = new FailedMessages(session, runner.options.filters, options.consumer)
  const transform = makeTransform(runner, session, failures, options)
  const putAside = deadLetterTopics(policiesOf(options))

  return (messages) =>
    Effect.gen(function*() {
      for (let i = 0; i < messages.length; i++) runner.received(messages[i]!)
      let passed: Array<Message> = []
      for (let i = 0; i < messages.length; i++) {
        const message = messages[i]!
        // Messages that this route itself put aside are not its input.
        if (putAside.includes(message.topic)) {
          yield* message.ack
          continue
        }
        const exit = yield* Effect.exit(Effect.suspend(() => transform.once(message)))
        let changed: Message | undefined
        if (Exit.isSuccess(exit)) {
          changed = exit.value
        } else {
          // The earlier messages are offered first, because the next one may take long.
          if (passed.length > 0) yield* Queue.offerAll(queue, passed)
          passed = []
          const again = yield* transform.afterFailure(message, exit.cause)
          if (again === "givenUp") {
            yield* message.ack
            continue
          }
          changed = again
        }
        if (changed === undefined) {
          runner.dropped()
          yield* message.ack
        } else {
          passed.push(changed)
        }
      }
      if (passed.length > 0) yield* Queue.offerAll(queue, passed)
    })
}

interface Transform<E, R> {
  readonly once: (message: Message) => Effect.Effect<Message | undefined, E, R>
  /** Applies the failure policy, and may retry. A stream keeps its order, so that later messages wait. */
  readonly afterFailure: (
    message: Message,
    cause: Cause.Cause<E>
  ) => Effect.Effect<Message | "givenUp" | undefined, E | MqttError, R>
}

const makeTransform = <E, R>(
  runner: RouteRunner<E>,
  session: Session,
  failures: FailedMessages,
  options: ListenOptions<E, R>
): Transform<E, R> => {
  const once = makePipeline(options)
  const policies = policiesOf(options)
  const { ledger } = failures

  const decide = Effect.fnUntraced(function*(
    message: Message,
    first: Cause.Cause<E>
  ): Effect.fn.Return<Message | "givenUp" | undefined, E | MqttError, R> {
    const nextDelay = yield* delaysOf(backoff)
    let cause = first
    for (let attempt = 1;; attempt++) {
      ledger.failed()
      if (attempt === 1) runner.failed(cause)
      const policy = invalidFor(cause) !== undefined ? policies.onInvalid : policies.onFailure
      if (policy === "fail") {
        yield* failures.report("transformer", message, { outcome: "fail", attempt, cause })
        runner.fail(cause)
        return yield* Effect.failCause(cause)
      }
      if (policy === "skip") {
        yield* failures.report("transformer", message, { outcome: "skip", attempt, cause })
        return "givenUp"
      }
      if (typeof policy === "object") {
        const error = yield* failures.deadLetter("transformer", message, policy, cause, attempt)
        return error === undefined ? "givenUp" : yield* Effect.fail(error)
      }
      const delay = (yield* nextDelay(undefined)) ?? 0
      yield* failures.report("transformer", message, { outcome: "retry", attempt, delay, cause })
      if (yield* failures.isStoppingWithin(delay)) {
        // Fails without the message, which stays unacknowledged.
        return yield* Effect.fail(new MqttError({ session: session.name, method: "listen", reason: new Closed({}) }))
      }
      ledger.retried()
      const exit = yield* Effect.exit(Effect.suspend(() => once(message)))
      if (Exit.isSuccess(exit)) return exit.value
      cause = exit.cause
    }
  })

  return {
    once,
    afterFailure: (message, cause) =>
      Effect.suspend(() => {
        const failing = ledger.begin()
        return Effect.ensuring(decide(message, cause), Effect.sync(() => ledger.end(failing)))
      })
  }
}

/** The stream of a consumer that acknowledges by itself. */
const counted = <E>(
  runner: RouteRunner<E>,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>
): Stream.Stream<Message, E | MqttError> =>
  Stream.mapArray(Stream.fromQueue(queue), (messages) => {
    runner.delivered(messages.length)
    return messages
  }) as Stream.Stream<Message, E | MqttError>

/**
 * Acknowledges the pulled messages at the next pull, as a subscription does. A stream does not tell which elements of
 * an array its consumer has taken, so QoS 1 and 2 are emitted one by one.
 */
const acknowledged = <E>(
  runner: RouteRunner<E>,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>
): Stream.Stream<Message, E | MqttError> => {
  let handed: ReadonlyArray<Message> = []
  /** Taken from the queue, and not handed over. */
  let waiting: ReadonlyArray<Message> = []
  /** The number of those that are emitted again. */
  let again = 0

  const acknowledge = Effect.suspend(() => {
    const done = handed
    handed = []
    return Effect.forEach(done, (message) => message.qos === 0 ? Effect.void : message.ack, { discard: true })
  })
  const hand = (): Batch => {
    let end = 0
    while (end < waiting.length && waiting[end]!.qos === 0) end++
    end = Math.max(1, end)
    handed = waiting.slice(0, end)
    waiting = waiting.slice(end)
    runner.delivered(Math.max(0, end - again))
    again = Math.max(0, again - end)
    return handed as Batch
  }
  const pull: Pull.Pull<Batch, E | MqttError> = Effect.andThen(
    acknowledge,
    Effect.suspend((): Pull.Pull<Batch, E | MqttError> => {
      if (waiting.length > 0) return Effect.succeed(hand())
      return Effect.map(Queue.takeAll(queue), (messages) => {
        waiting = messages
        return hand()
      })
    })
  )
  return Stream.scoped(Stream.fromPull(Effect.acquireRelease(
    Effect.succeed(pull),
    (_, exit) => {
      if (Exit.isSuccess(exit)) return acknowledge
      // Messages that an interrupted run did not acknowledge come first in the next run. QoS 0 messages are not emitted
      // again.
      const unfinished = handed.filter((message) => message.qos !== 0)
      waiting = unfinished.concat(waiting)
      again += unfinished.length
      handed = []
      return Effect.void
    }
  )))
}
