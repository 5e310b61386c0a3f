/**
 * Routes that feed a stream: one bounded queue that the subscriptions of all sessions fill, acknowledged by what the consumer of the
 * stream does.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import type { ListenOptions } from "../../SessionRoute.ts"
import { cleanText } from "../peerText.ts"
import { makePipeline, subscribeOptions } from "./pipeline.ts"
import type { Place, RouteRunner } from "./routeRunner.ts"

type Batch = Arr.NonEmptyReadonlyArray<Message>

export const startListener = <E, R>(
  runner: RouteRunner<E>,
  options: ListenOptions<E, R>
): Effect.Effect<Stream.Stream<Message, E | MqttError>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Queue.bounded<Message, E | MqttError | Cause.Done>(options.capacity ?? 256)
    const subscribing = { ...subscribeOptions(options), ack: "manual" as const }
    const pump = makePump(runner, queue, options)

    yield* runner.start({
      attach: (place) =>
        Effect.scoped(Effect.gen(function*() {
          const { session } = place
          const subscription = yield* session.subscription(runner.options.filters, subscribing)
          runner.activate(place, subscription)
          yield* Stream.runForEachArray(subscription.messages, (messages) => pump(place, messages))
          // The session drains: it waits for the acknowledgements of what the consumer has not seen yet.
          yield* untilClosed(session)
        })),
      onEnd: (exit) => {
        if (Exit.isSuccess(exit)) Queue.endUnsafe(queue)
        else Queue.failCauseUnsafe(queue, exit.cause)
      }
    })
    return options.ack === "manual" ? counted(runner, queue) : acknowledged(runner, queue)
  })

/** Brings the messages of one array through the pipeline into the queue, and waits while that is full. */
const makePump = <E, R>(
  runner: RouteRunner<E>,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>,
  options: ListenOptions<E, R>
): (place: Place, messages: Batch) => Effect.Effect<void, E | MqttError, R> => {
  const pipeline = makePipeline(options)
  const plain = options.filter === undefined && options.transform === undefined
  const { onFailure = "skip" } = options

  const afterFailure = (
    { session }: Place,
    message: Message,
    cause: Cause.Cause<E>
  ): Effect.Effect<void, E | MqttError> => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
    runner.failed(cause)
    if (onFailure === "fail") {
      runner.fail(cause)
      return Effect.failCause(cause)
    }
    const report = Effect.logWarning("a message could not be transformed", Cause.pretty(cause)).pipe(
      Effect.annotateLogs({ session: session.name, topic: cleanText(message.topic) })
    )
    return onFailure === "skip"
      ? Effect.andThen(report, message.ack)
      : report.pipe(
        Effect.andThen(deadLetter(session, onFailure.deadLetter, message)),
        Effect.andThen(message.ack)
      )
  }

  return (place, messages) =>
    Effect.gen(function*() {
      for (let i = 0; i < messages.length; i++) runner.received(messages[i]!)
      if (plain) {
        yield* Queue.offerAll(queue, messages)
        return
      }
      const passed: Array<Message> = []
      for (let i = 0; i < messages.length; i++) {
        const message = messages[i]!
        const exit = yield* Effect.exit(Effect.suspend(() => pipeline(message)))
        if (Exit.isFailure(exit)) {
          yield* afterFailure(place, message, exit.cause)
        } else if (exit.value === undefined) {
          runner.dropped()
          yield* message.ack
        } else {
          passed.push(exit.value)
        }
      }
      if (passed.length > 0) yield* Queue.offerAll(queue, passed)
    })
}

const deadLetter = (session: Session, topic: string, message: Message): Effect.Effect<void, MqttError> => {
  const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...properties } = message.properties
  return Effect.asVoid(session.publish(topic, message.payload, {
    qos: message.qos,
    ...(session.options.protocolVersion === 5 ? { properties } : undefined)
  }))
}

const untilClosed = (session: Session): Effect.Effect<void> =>
  session.statusChanges.pipe(Stream.takeUntil(({ state }) => state === "closed"), Stream.runDrain)

/** The stream of a consumer that acknowledges by itself. */
const counted = <E>(
  runner: RouteRunner<E>,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>
): Stream.Stream<Message, E | MqttError> =>
  Stream.mapArray(Stream.fromQueue(queue), (messages) => {
    runner.delivered(messages.length)
    return messages
  }) as Stream.Stream<Message, E | MqttError>

/** Acknowledges an array when the next one is pulled, as a subscription does. */
const acknowledged = <E>(
  runner: RouteRunner<E>,
  queue: Queue.Queue<Message, E | MqttError | Cause.Done>
): Stream.Stream<Message, E | MqttError> => {
  let handed: ReadonlyArray<Message> = []
  let again: ReadonlyArray<Message> = []

  const acknowledge = Effect.suspend(() => {
    const done = handed
    handed = []
    return Effect.forEach(done, (message) => message.qos === 0 ? Effect.void : message.ack, { discard: true })
  })
  const pull: Pull.Pull<Batch, E | MqttError> = Effect.andThen(
    acknowledge,
    Effect.suspend((): Pull.Pull<Batch, E | MqttError> => {
      if (again.length > 0) {
        handed = again
        again = []
        return Effect.succeed(handed as Batch)
      }
      return Effect.map(Queue.takeAll(queue), (messages) => {
        runner.delivered(messages.length)
        handed = messages
        return messages
      })
    })
  )
  return Stream.scoped(Stream.fromPull(Effect.acquireRelease(
    Effect.succeed(pull),
    (_, exit) => {
      if (Exit.isSuccess(exit)) return acknowledge
      // What an interrupted run did not acknowledge comes first in the next run; QoS 0 was handed over for good.
      again = handed.filter((message) => message.qos !== 0).concat(again)
      handed = []
      return Effect.void
    }
  )))
}
