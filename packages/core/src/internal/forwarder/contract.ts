/**
 * What forwarders do for programs; `Forwarder` and `ForwarderManager` export it.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ForwarderFailure, ForwarderMetrics, ForwarderState } from "../../ForwarderMetrics.ts"
import type { MqttError } from "../../MqttError.ts"
import type { ForwarderHooks, ForwarderOptions, ForwarderOptionsInput } from "./options.ts"

/**
 * What a forwarder does.
 */
export interface Forwarding {
  readonly name: string
  readonly options: ForwarderOptions
  /**
   * Begins to forward, also when the sessions do not exist yet or have no connection: they join when they come. Does
   * nothing while it runs.
   *
   * Fails with `ForwarderFailed` when it would feed itself, or with `InvalidOptions` when the target cannot do what the
   * options say, as far as the sessions are known; a session that comes later and does not fit is not joined, and is
   * the `lastError` of the metrics.
   */
  readonly start: Effect.Effect<void, MqttError>
  /**
   * Takes no more messages and finishes what is in flight, within the option `stopTimeout`; what has no fate then is
   * given back unacknowledged.
   */
  readonly stop: Effect.Effect<void>
  /** `stop`, then `start`; the figures go on. */
  readonly restart: Effect.Effect<void, MqttError>
  readonly state: Effect.Effect<ForwarderState>
  /** Succeeds when the subscription is in force at every source session that there is; fails with the first refusal. */
  readonly active: Effect.Effect<void, MqttError>
  readonly metrics: Effect.Effect<ForwarderMetrics>
  /**
   * Messages that could not be forwarded, from now on, through stops and starts: those that went to the dead-letter
   * topic, and those that were given up. A listener who is slow misses the oldest.
   */
  readonly failures: Stream.Stream<ForwarderFailure>
}

/**
 * What a manager of forwarders does. Operations on a name that it does not have fail with `ForwarderNotFound`.
 */
export interface Forwarders {
  /**
   * Adds a forwarder and starts it, unless `enabled` is false. Fails with `DuplicateForwarder`, `InvalidOptions`,
   * `InvalidFilter`, `ForwarderFailed` when it would feed itself, or `Closed`; after a failure there is nothing of it.
   */
  readonly add: <E = never, R = never>(
    options: ForwarderOptionsInput | ForwarderOptions,
    hooks?: ForwarderHooks<E, R>
  ) => Effect.Effect<Forwarding, MqttError, R>
  /**
   * Stops a forwarder and forgets its name, also at the durable sessions that it receives from: they wait for it no
   * longer (`Session.forgetConsumer`).
   */
  readonly remove: (name: string) => Effect.Effect<void, MqttError>
  readonly get: (name: string) => Effect.Effect<Forwarding, MqttError>
  /** The names, in the order in which they were added. */
  readonly list: Effect.Effect<ReadonlyArray<string>>
  readonly start: (name: string) => Effect.Effect<void, MqttError>
  readonly stop: (name: string) => Effect.Effect<void, MqttError>
  readonly restart: (name: string) => Effect.Effect<void, MqttError>
  readonly metrics: (name: string) => Effect.Effect<ForwarderMetrics, MqttError>
  /** The figures of each forwarder, by name. */
  readonly allMetrics: Effect.Effect<ReadonlyMap<string, ForwarderMetrics>>
  /** Stops all at the same time; they can be started again. */
  readonly stopAll: Effect.Effect<void>
}
