/**
 * The interfaces of a forwarder and of a manager of forwarders. `Forwarder` and `ForwarderManager` export them.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ForwarderFailure, ForwarderMetrics, ForwarderState } from "../../ForwarderMetrics.ts"
import type { MqttError } from "../../MqttError.ts"
import type { ForwarderHooks, ForwarderOptions, ForwarderOptionsInput } from "./options.ts"

/**
 * The operations of one forwarder.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Forwarding {
  /** The name of the forwarder. */
  readonly name: string
  /** Its options, all defaults filled in. */
  readonly options: ForwarderOptions
  /**
   * Starts to forward. The sessions need not exist or be connected yet: the forwarder joins each one when it appears.
   * Does nothing while the forwarder runs.
   *
   * Fails with `ForwarderFailed` when the forwarder would feed itself, or with `InvalidOptions` when the target cannot
   * do what the options require. Only the sessions that exist now are checked. A session that is added later and does
   * not fit is not joined, and becomes the `lastError` of the metrics.
   */
  readonly start: Effect.Effect<void, MqttError>
  /**
   * Takes no more messages and waits for the messages in flight, at most for the option `stopTimeout`. Messages that
   * are unfinished then are given back unacknowledged.
   */
  readonly stop: Effect.Effect<void>
  /** `stop`, then `start`. The counters are not reset. */
  readonly restart: Effect.Effect<void, MqttError>
  /** Its state now. */
  readonly state: Effect.Effect<ForwarderState>
  /** Succeeds when the subscription is in force at every source session that exists. Fails with the first refusal. */
  readonly active: Effect.Effect<void, MqttError>
  /** Its metrics now. */
  readonly metrics: Effect.Effect<ForwarderMetrics>
  /**
   * Messages that could not be forwarded, from now on and across stops and starts: those that went to the dead-letter
   * topic, and those that were given up. A slow listener misses the oldest failures.
   */
  readonly failures: Stream.Stream<ForwarderFailure>
}

/**
 * The operations of a manager of forwarders. Operations on an unknown name fail with `ForwarderNotFound`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Forwarders {
  /**
   * Adds a forwarder and starts it, unless `enabled` is false. Fails with `DuplicateForwarder`, `InvalidOptions`,
   * `InvalidFilter`, `ForwarderFailed` when it would feed itself, or `Closed`. After a failure the forwarder is not
   * registered.
   */
  readonly add: <E = never, R = never>(
    options: ForwarderOptionsInput | ForwarderOptions,
    hooks?: ForwarderHooks<E, R>
  ) => Effect.Effect<Forwarding, MqttError, R>
  /**
   * Stops the forwarder of this name, and puts one with other options in its place. Messages at durable sources wait
   * for the new one, so that no message of QoS 1 and 2 is lost or published twice. Sources that the new one does not
   * have stop keeping messages for it. The new one counts from zero.
   *
   * Fails as `add` does, and with `ForwarderNotFound`. After a failure the forwarder runs as before.
   */
  readonly replace: <E = never, R = never>(
    options: ForwarderOptionsInput | ForwarderOptions,
    hooks?: ForwarderHooks<E, R>
  ) => Effect.Effect<Forwarding, MqttError, R>
  /**
   * Stops a forwarder and removes its name. Its durable source sessions stop keeping messages for it
   * (`Session.forgetConsumer`).
   */
  readonly remove: (name: string) => Effect.Effect<void, MqttError>
  /** Returns a forwarder by its name. */
  readonly get: (name: string) => Effect.Effect<Forwarding, MqttError>
  /** The names, in the order in which they were added. */
  readonly list: Effect.Effect<ReadonlyArray<string>>
  /** `start` of a forwarder. */
  readonly start: (name: string) => Effect.Effect<void, MqttError>
  /** `stop` of a forwarder. */
  readonly stop: (name: string) => Effect.Effect<void, MqttError>
  /** `restart` of a forwarder. */
  readonly restart: (name: string) => Effect.Effect<void, MqttError>
  /** `metrics` of a forwarder. */
  readonly metrics: (name: string) => Effect.Effect<ForwarderMetrics, MqttError>
  /** The metrics of each forwarder, by name. */
  readonly allMetrics: Effect.Effect<ReadonlyMap<string, ForwarderMetrics>>
  /** Stops all forwarders at the same time. They can be started again. */
  readonly stopAll: Effect.Effect<void>
}
