/**
 * Implements `Session`, which programs get, over the parts of a session. Each member calls the part that does the work,
 * and adds only spans and the order of a few steps.
 */
import type * as Array from "effect/Array"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { Closed, MqttError } from "../../MqttError.ts"
import type { ConnectionInfo, SessionStatus } from "../../SessionStatus.ts"
import { ledgerKey } from "../messageFailures.ts"
import { type Session, TypeId } from "./contract.ts"
import type { SessionCore } from "./core.ts"

type StreamChannel<A> = Channel.Channel<Array.NonEmptyReadonlyArray<A>>

// No member is a getter, because V8 makes a slow record of an object with getters: larger, and slower at each publish.
export const makeSessionFacade = (core: SessionCore): Session => {
  const { engineLoop, lifecycle, publisher, shutdown, subscriber, tracing, turns } = core
  const facade = {
    [TypeId]: TypeId,
    [ledgerKey]: core.failures,
    name: core.name,
    options: core.options,
    publish: tracing === undefined
      ? (topic, payload, options) => publisher.publish(topic, payload, options)
      : (topic, payload, options) =>
        tracing.publish(topic, payload, options, (injected) => publisher.publish(topic, payload, injected)),
    enqueue: tracing === undefined
      ? (topic, payload, options) => publisher.enqueue(topic, payload, options)
      : (topic, payload, options) =>
        tracing.publish(topic, payload, options, (injected) => publisher.enqueue(topic, payload, injected)),
    publishAll: (messages) => publisher.publishAll(tracing === undefined ? messages : tracing.injected(messages)),
    sink: Sink.suspend(() => publisher.sink),
    subscription: (filters, options) =>
      Effect.withSpan(subscriber.subscription(filters, options), "MqttSession.subscription"),
    subscribe: (filters, options) =>
      Stream.unwrap(Effect.map(subscriber.subscription(filters, options), ({ messages }) => messages)),
    consume: (filters, handler, options = {}) => core.consume(filters, handler, options),
    unsubscribe: (filter) => Effect.withSpan(unsubscribe(core, filter), "MqttSession.unsubscribe"),
    consumers: Effect.sync(() => engineLoop.engine.namedConsumers()),
    forgetConsumer: (name) =>
      Effect.andThen(
        Effect.sync(() => engineLoop.forgetConsumer(name)),
        (isKnown) => Effect.as(turns.untilStored, isKnown)
      ),
    unclaimed: whenRun(() => Stream.toChannel(core.unclaimed.stream)),
    status: Effect.sync(() => core.statusOf(lifecycle.current())),
    statusChanges: whenRun(() => Stream.toChannel(statusChanges(core))),
    events: whenRun(() => Stream.toChannel(lifecycle.events)),
    metrics: Effect.sync(() =>
      engineLoop.counters.metrics(engineLoop, lifecycle, core.failures, core.options.memoryLimit)
    ),
    connectionInfo: Effect.sync(() => infoOf(core)),
    awaitReady: Effect.suspend(() => awaitReady(core)),
    refreshCredentials: Effect.suspend(() => core.renewal?.request ?? Effect.void),
    drain: shutdown.drain
  } satisfies Session & { readonly [ledgerKey]: unknown }
  return facade
}

/** As `Stream.suspend`, which would keep one more function for each stream of an idle session. */
const whenRun = <A>(evaluate: () => StreamChannel<A>): Stream.Stream<A> => Stream.fromChannel(Channel.suspend(evaluate))

const statusChanges = (core: SessionCore): Stream.Stream<SessionStatus> =>
  core.lifecycle.changes.pipe(
    Stream.map((state) => core.statusOf(state)),
    Stream.takeUntil(({ state }) => state === "closed")
  )

const unsubscribe = (core: SessionCore, filter: string): Effect.Effect<void, MqttError> => {
  const { lifecycle, shutdown, subscriber, turns } = core
  return subscriber.unsubscribe(
    filter,
    () => shutdown.storageLost !== undefined || lifecycle.current().state === "closed"
  ).pipe(
    Effect.tap(() => Effect.sync(() => lifecycle.subscriptionSettled([filter], false))),
    Effect.andThen(turns.untilStored),
    Effect.andThen(
      Effect.suspend(() => shutdown.storageLost === undefined ? Effect.void : Effect.fail(shutdown.storageLost))
    )
  )
}

const awaitReady = ({ lifecycle, name }: SessionCore): Effect.Effect<void, MqttError> =>
  lifecycle.changes.pipe(
    Stream.filter(({ failure, ready, state }) => ready || failure !== undefined || state === "closed"),
    Stream.take(1),
    Stream.runForEach(({ failure, ready }) => {
      if (ready) return Effect.void
      return Effect.fail(failure ?? new MqttError({ session: name, method: "awaitReady", reason: new Closed({}) }))
    })
  )

const infoOf = ({ clientId, engineLoop, lifecycle }: SessionCore): Option.Option<ConnectionInfo> => {
  const { connection, limits } = engineLoop
  if (connection === undefined || limits === undefined) return Option.none()
  const { authenticationData: _secret, ...properties } = connection.connack.properties
  return Option.some({
    ...limits,
    server: lifecycle.current().server ?? "",
    clientId,
    sessionPresent: connection.connack.sessionPresent,
    keepAlive: connection.keepAlive,
    certificates: connection.certificates,
    properties
  })
}
