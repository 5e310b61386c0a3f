/**
 * Routes: they bring the messages of several sessions, present and future ones, to one handler or one stream.
 *
 * **Example** (Reading the metrics of a route)
 *
 * ```ts
 * import { SessionManager } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const manager = yield* SessionManager.SessionManager
 *   const route = yield* manager.handle("sensors/#", (message) => Effect.log(message.text), {
 *     qos: 1,
 *     description: "readings"
 *   })
 *   yield* route.active
 *   const { delivered, received } = yield* route.metrics
 *   yield* Effect.log(`${delivered} of ${received} messages`)
 * }).pipe(Effect.scoped)
 * ```
 */
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { Message } from "./Message.ts"
import type { MqttError } from "./MqttError.ts"
import type { QoS } from "./QoS.ts"
import type { RouteFilter } from "./RouteFilter.ts"
import type { RouteTransformer } from "./RouteTransformer.ts"
import type { FailurePolicy, SubscribeOptions } from "./Subscription.ts"

/**
 * How a route subscribes, and how it changes messages before its handler or stream: first the filter, then the
 * transformer.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RouteOptions<E = never, R = never> extends Omit<SubscribeOptions, "ack"> {
  /** Messages that do not pass are acknowledged, dropped and counted. Default: all pass. */
  readonly filter?: RouteFilter
  /** Changes or drops messages. Default: none. */
  readonly transform?: RouteTransformer<E, R>
  /** The policy for a message whose transformer or handler failed. Default `retry`; `fail` ends the whole route. */
  readonly onFailure?: FailurePolicy
  /**
   * The policy for a message that cannot be read: a transformer, or a handler that decodes, fails with `InvalidPayload`
   * or `InvalidTopic`. Default: as `onFailure`, but `skip` where that is `retry`, see `ConsumeOptions.onInvalid`.
   */
  readonly onInvalid?: FailurePolicy
  /** For logs and status pages. */
  readonly description?: string
}

/**
 * How a route calls its handler.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface HandleOptions<E = never, R = never, E2 = never, R2 = never> extends RouteOptions<E2, R2> {
  /** Maximum number of handlers that run at the same time, for each session. Default 16. */
  readonly concurrency?: number
  /** `topic` (default): one handler at a time for each topic of a session, in order. `none`: any order. */
  readonly order?: "topic" | "none"
  /** Tries a message again by this schedule, with its transformation, before `onFailure` decides. Default: none. */
  readonly retry?: Schedule.Schedule<unknown, E | E2, never, R>
}

/**
 * How a route feeds its stream. The stream keeps its order: while a transformation is tried again (`onFailure:
 * "retry"`), or a dead letter is refused temporarily, later messages of the same session wait.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions<E = never, R = never> extends RouteOptions<E, R> {
  /**
   * `onReceive` (default): an array of messages that the consumer got is acknowledged when the next one is pulled or
   * the stream ends normally. `manual`: by `message.ack`.
   */
  readonly ack?: "onReceive" | "manual"
  /**
   * Number of messages of all sessions together that wait for the consumer. In addition, each session has its own
   * `buffer`. Default 256.
   */
  readonly capacity?: number
}

/**
 * The metrics of a route since it was made, over all its sessions.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RouteMetrics {
  /** Messages that arrived. */
  readonly received: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** Messages that a handler processed successfully, or that the consumer took from the stream. */
  readonly delivered: number
  /** Messages that the filter or the transformer dropped. */
  readonly dropped: number
  /** QoS 0 messages that were lost because buffers were full. */
  readonly overflowed: number
  /**
   * Messages whose transformer or handler failed, after `retry` if there is one. Each counts once, whatever the number
   * of attempts.
   */
  readonly failures: number
  /** Milliseconds since the epoch; undefined: none yet. */
  readonly lastMessageAt: number | undefined
  /** When `lastError` occurred, in milliseconds since the epoch; undefined: none yet. */
  readonly lastErrorAt: number | undefined
  /** The last failure of a message, or of a subscription. */
  readonly lastError: unknown
}

/**
 * The state of a route at one session. `joining`: until the server granted the subscription, also without a connection.
 * `failed`: the subscription was refused; lasts until the next attempt.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RouteSession {
  /** See `RouteSession`. */
  readonly state: "joining" | "active" | "failed"
  /** The granted quality of service of each filter, once active. */
  readonly granted: ReadonlyArray<QoS>
  /** Why the subscription was refused. Kept while it is tried again. */
  readonly error: MqttError | undefined
}

/**
 * A running route. It runs until its scope ends.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Route<out E = never> {
  /** The topic filters to which it subscribes. */
  readonly filters: ReadonlyArray<string>
  /** The session of a route for a single session; undefined for a route over all sessions. */
  readonly session: string | undefined
  /** The option `description`; undefined: none. */
  readonly description: string | undefined
  /** Its metrics now. */
  readonly metrics: Effect.Effect<RouteMetrics>
  /**
   * The earlier name of `metrics`.
   *
   * @deprecated use `metrics`
   */
  readonly statistics: Effect.Effect<RouteMetrics>
  /** The sessions of the route, by name. */
  readonly sessions: Effect.Effect<ReadonlyMap<string, RouteSession>>
  /**
   * Succeeds when the subscription is in force at every session of the route, which includes the time to connect. Fails
   * with the first refusal.
   */
  readonly active: Effect.Effect<void, MqttError>
  /** Why the route has ended. Undefined while it runs, and after an orderly end. */
  readonly failure: Effect.Effect<unknown>
  /**
   * Waits for the end. Succeeds when the scope of the route, its session or the manager has ended. Fails with a
   * message's failure under the policy `fail`, and with the refusal of its session when there is only one.
   */
  readonly await: Effect.Effect<void, E | MqttError>
}

/**
 * A route that feeds a stream.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Listener<out E = never> extends Route<E> {
  /**
   * The messages of all its sessions, each session's in order. Only one run at a time; a later run continues where the
   * earlier one ended. It ends with the session or the manager, and fails as `await` does.
   */
  readonly messages: Stream.Stream<Message, E | MqttError>
}
