/**
 * What the tests of forwarders share: a manager with sessions on several brokers, each with its own address.
 */
import * as Forwarder from "@effect-mqttx/core/Forwarder"
import { droppedTotal, type ForwarderMetrics } from "@effect-mqttx/core/ForwarderMetrics"
import type { ForwarderHooks, ForwarderOptionsInput } from "@effect-mqttx/core/ForwarderOptions"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import type { Persistence } from "@effect-mqttx/core/SessionOptions"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { addSession, type Options, type StoreFor } from "./anySession.ts"
import { impatient } from "./managers.ts"

export interface Net {
  readonly manager: SessionManager.SessionManager["Service"]
  /** The brokers by name. */
  readonly brokers: Readonly<Record<string, ScriptedBroker.Service>>
  /** Adds a session at a broker, with the broker's name unless the options have another. */
  readonly add: <P extends Persistence = never>(
    broker: string,
    options?: Options<P>
  ) => Effect.Effect<Session, MqttError, StoreFor<P>>
  /** The same, and waits until it is ready. */
  readonly ready: Net["add"]
  readonly forward: <E = never, R = never>(
    options: Partial<ForwarderOptionsInput>,
    hooks?: ForwarderHooks<E, R>
  ) => Effect.Effect<Forwarder.Forwarder["Service"], MqttError, R | Scope.Scope>
}

/** A manager and brokers in memory, at addresses of their own. */
export const makeNet = Effect.fnUntraced(function*(
  names: ReadonlyArray<string>,
  brokerOptions: ScriptedBroker.ScriptedBrokerOptions = {}
): Effect.fn.Return<Net, MqttError, Scope.Scope> {
  const brokers: Record<string, ScriptedBroker.Service> = {}
  for (const name of names) brokers[name] = yield* ScriptedBroker.makeMemory({ record: false, ...brokerOptions })
  return yield* netOf(brokers)
})

/** A manager on given brokers: another "process" that meets the same servers. */
export const netOf = Effect.fnUntraced(function*(
  brokers: Readonly<Record<string, ScriptedBroker.Service>>
): Effect.fn.Return<Net, MqttError, Scope.Scope> {
  const manager = yield* SessionManager.make()
  const add: Net["add"] = <P extends Persistence = never>(broker: string, options?: Options<P>) =>
    addSession<P>(manager, {
      name: broker,
      servers: [`mqtt://${broker}.invalid:1883`],
      reconnect: impatient,
      ...options
    }, { transport: brokers[broker]!.transport })
  return {
    manager,
    brokers,
    add,
    ready: (broker, options) => Effect.tap(add(broker, options), ({ awaitReady }) => awaitReady),
    forward: (options, hooks) =>
      Effect.provideService(
        Forwarder.make({ name: "forwarder", sources: ["a"], filters: ["#"], target: "b", ...options }, hooks),
        SessionManager.SessionManager,
        manager
      )
  }
})

/** A net of two brokers "a" and "b" with ready sessions of these names. */
export const makePair = Effect.fnUntraced(function*<P extends Persistence = never>(
  options: Options<P> = {},
  brokerOptions: ScriptedBroker.ScriptedBrokerOptions = {}
): Effect.fn.Return<Net, MqttError, Scope.Scope | StoreFor<P>> {
  const net = yield* makeNet(["a", "b"], brokerOptions)
  yield* net.ready("a", options)
  yield* net.ready("b", options)
  return net
})

/**
 * What the session has sent before is with its broker now. No forwarder sees this message: wildcards do not match its
 * topic.
 */
export const roundTrip = (net: Net, name: string): Effect.Effect<unknown, MqttError> =>
  Effect.flatMap(net.manager.get(name), (session) => session.publish("$test/round-trip", "", { qos: 1 }))

/** Waits until the figures fulfil a condition. */
export const until = (
  forwarder: Forwarder.Forwarder["Service"],
  holds: (metrics: ForwarderMetrics) => boolean
): Effect.Effect<ForwarderMetrics> =>
  Effect.gen(function*() {
    while (true) {
      const metrics = yield* forwarder.metrics
      if (holds(metrics)) return metrics
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
    }
  })

/** The figures when nothing is in flight any more and so many messages were received. */
export const settled = (forwarder: Forwarder.Forwarder["Service"], received: number): Effect.Effect<ForwarderMetrics> =>
  Effect.tap(
    until(forwarder, (metrics) => metrics.received >= received && metrics.inFlight === 0),
    (metrics) => Effect.sync(() => assertSum(metrics))
  )

/** Every message has one fate. */
export const assertSum = (metrics: ForwarderMetrics): void => {
  const { deadLettered, duplicates, failed, filtered, forwarded, inFlight, received, returned } = metrics
  assert.strictEqual(
    forwarded + filtered + droppedTotal(metrics) + deadLettered + failed + duplicates + returned + inFlight,
    received,
    "the fates add up"
  )
}

/** What a broker has got, as `topic payload`. */
export const publishedAt = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.published.filter(({ publisher }) => publisher !== undefined).map(({ payload, topic }) =>
    `${topic} ${new TextDecoder().decode(payload)}`
  )
