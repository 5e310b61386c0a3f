/**
 * Implements `Session`, which programs get, over the parts of a session. Each member calls the part that does the work,
 * and adds only spans and the order of a few steps.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Closed, MqttError } from "../../MqttError.ts"
import type { ConnectionInfo, SessionStatus } from "../../SessionStatus.ts"
import { ledgerKey } from "../messageFailures.ts"
import { type Session, TypeId } from "./contract.ts"
import type { SessionCore } from "./core.ts"

/** The hidden property of a facade with the session that it stands for. */
const coreKey: unique symbol = Symbol("core")

interface Facade {
  readonly [coreKey]: SessionCore
}

/** What every session holds. */
type Own = Pick<Session, typeof TypeId | "name" | "options">

/** The other members. */
type Members = Omit<Session, keyof Own>

// Each is the getter of one member, which makes the member when it is used: an idle session would keep some forty
// functions and effects otherwise.
const members: { readonly [Member in keyof Members]: (this: Facade) => Members[Member] } = {
  publish() {
    const { publisher, tracing } = this[coreKey]
    return tracing === undefined
      ? (topic, payload, options) => publisher.publish(topic, payload, options)
      : (topic, payload, options) =>
        tracing.publish(topic, payload, options, (injected) => publisher.publish(topic, payload, injected))
  },
  enqueue() {
    const { publisher, tracing } = this[coreKey]
    return tracing === undefined
      ? (topic, payload, options) => publisher.enqueue(topic, payload, options)
      : (topic, payload, options) =>
        tracing.publish(topic, payload, options, (injected) => publisher.enqueue(topic, payload, injected))
  },
  publishAll() {
    const { publisher, tracing } = this[coreKey]
    return (messages) => publisher.publishAll(tracing === undefined ? messages : tracing.injected(messages))
  },
  sink() {
    return this[coreKey].publisher.sink
  },
  subscription() {
    const { subscriber } = this[coreKey]
    return (filters, options) => Effect.withSpan(subscriber.subscription(filters, options), "MqttSession.subscription")
  },
  subscribe() {
    const { subscriber } = this[coreKey]
    return (filters, options) =>
      Stream.unwrap(Effect.map(subscriber.subscription(filters, options), ({ messages }) => messages))
  },
  consume() {
    const core = this[coreKey]
    return (filters, handler, options = {}) => core.consume(filters, handler, options)
  },
  unsubscribe() {
    const core = this[coreKey]
    return (filter) => Effect.withSpan(unsubscribe(core, filter), "MqttSession.unsubscribe")
  },
  consumers() {
    const { engineLoop } = this[coreKey]
    return Effect.sync(() => engineLoop.engine.namedConsumers())
  },
  forgetConsumer() {
    const { engineLoop, turns } = this[coreKey]
    return (name) =>
      Effect.andThen(
        Effect.sync(() => engineLoop.forgetConsumer(name)),
        (isKnown) => Effect.as(turns.untilStored, isKnown)
      )
  },
  unclaimed() {
    const core = this[coreKey]
    return Stream.suspend(() => core.unclaimed.stream)
  },
  status() {
    const core = this[coreKey]
    return Effect.sync(() => core.statusOf(core.lifecycle.current()))
  },
  statusChanges() {
    const core = this[coreKey]
    return Stream.suspend(() => statusChanges(core))
  },
  events() {
    const { lifecycle } = this[coreKey]
    return Stream.suspend(() => lifecycle.events)
  },
  metrics() {
    const { engineLoop, failures, lifecycle, options } = this[coreKey]
    return Effect.sync(() => engineLoop.counters.metrics(engineLoop, lifecycle, failures, options.memoryLimit))
  },
  connectionInfo() {
    const core = this[coreKey]
    return Effect.sync(() => infoOf(core))
  },
  awaitReady() {
    const core = this[coreKey]
    return Effect.suspend(() => awaitReady(core))
  },
  refreshCredentials() {
    const core = this[coreKey]
    return Effect.suspend(() => core.renewal?.request ?? Effect.void)
  },
  drain() {
    return this[coreKey].shutdown.drain
  }
}

// Own properties, because programs copy a session to wrap it (`{ ...session, publish }`). Their getters are the same
// functions for all sessions: where each session had its own, V8 would make it a slow record.
const getters: PropertyDescriptorMap = Object.fromEntries(
  Object.entries(members).map(([name, get]) => [name, { enumerable: true, configurable: true, get }])
)

// A session equals itself only. Effect would compare and hash it by all that it reaches, which is its whole state: for
// seconds when a thousand messages wait.
const identity: PropertyDescriptorMap = {
  [Hash.symbol]: {
    value(this: Facade): number {
      return Hash.random(this)
    }
  },
  [Equal.symbol]: {
    value(this: Facade, that: unknown): boolean {
      return this === that
    }
  }
}

export const makeSessionFacade = (core: SessionCore): Session => {
  const facade: Own & Partial<Members> & { readonly [ledgerKey]: unknown } = {
    [TypeId]: TypeId,
    [ledgerKey]: core.failures,
    name: core.name,
    options: core.options
  }
  Object.defineProperties(facade, identity)
  Object.defineProperty(facade, coreKey, { value: core })
  return Object.defineProperties(facade, getters) as Own & Members
}

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
