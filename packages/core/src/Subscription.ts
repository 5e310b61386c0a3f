/**
 * Options of subscribing and consuming, and the subscription that results.
 */
import type * as Arr from "effect/Array"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { Message } from "./Message.ts"
import type { MqttError } from "./MqttError.ts"
import type { QoS } from "./QoS.ts"

/**
 * The property by which `isSubscription` knows a subscription.
 *
 * @stability stable
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId = "~effect-mqttx/core/Subscription"

/**
 * Options of a subscription.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SubscribeOptions {
  /** The maximum quality of service of the deliveries. Default 0. */
  readonly qos?: QoS
  /**
   * Subscribes as a member of this group: each message goes to one member (MQTT 4.8.2), across sessions and programs.
   * The same as filters `$share/group/filter`. Servers of MQTT 3.1.1 may support it too.
   */
  readonly share?: string
  /** MQTT 5: no messages that this session published itself (MQTT 3.8.3.1). Default false. */
  readonly noLocal?: boolean
  /** MQTT 5: keep the retain flag as published. Default false. */
  readonly retainAsPublished?: boolean
  /**
   * Which streams get retained messages: `each` one that joins (default), only those of the `first` subscription on the
   * filter, or `none`.
   */
  readonly retained?: "each" | "first" | "none"
  /**
   * `onReceive` (default): a message that the consumer got is acknowledged when the next one is pulled or the stream
   * ends normally. `manual`: by `message.ack`.
   */
  readonly ack?: "onReceive" | "manual"
  /**
   * A name by which the session knows this consumer when it comes back, unique in the session. Its unfinished messages,
   * and QoS 1 and 2 messages that arrive while it is away, wait for it without acknowledgement, so they take places in
   * the receive window. A durable session stores the name. After a restart, only consumers that had not finished a QoS
   * 2 message get it again. Messages wait until the consumer comes back, or until `Session.forgetConsumer`. Default:
   * none; see `Session.consumers`.
   */
  readonly consumer?: string
  /** Keep the subscription at the server after the stream ended. Default false; a `durable` session always keeps it. */
  readonly keep?: boolean
  /** Maximum number of QoS 0 messages that wait for the consumer. Default: the session's `streamBuffer`. */
  readonly buffer?: number
  /** What to do with QoS 0 messages above `buffer`. Default: the session's `onOverflow`. */
  readonly onOverflow?: "dropOldest" | "suspend"
}

/**
 * Information about a granted subscription.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionInfo {
  /** The topic filters, in the order in which they were given. */
  readonly filters: ReadonlyArray<string>
  /** The granted quality of service of each filter, which may be lower than requested (MQTT 3.9.3). */
  readonly granted: ReadonlyArray<QoS>
  /** Number of messages that wait for the consumer, and of QoS 0 messages dropped because the consumer was too slow. */
  readonly pending: Effect.Effect<{ readonly messages: number; readonly dropped: number; readonly highWater: number }>
}

/**
 * A subscription that the server granted.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Subscription extends SubscriptionInfo {
  readonly [TypeId]: typeof TypeId
  /**
   * The messages, through reconnects, until the subscription's scope ends. Only one run at a time; a later run
   * continues where the earlier one ended. Messages that an interrupted or failed run got and did not acknowledge come
   * again.
   */
  readonly messages: Stream.Stream<Message, MqttError>
  /**
   * The same messages in arrays of all that wait, for consumers that work on many at once, for example with one
   * statement for many rows. An array is acknowledged as a whole, when the next one is pulled or the stream ends
   * normally. Only one of `messages` and `batches` runs at a time.
   */
  readonly batches: Stream.Stream<Arr.NonEmptyReadonlyArray<Message>, MqttError>
}

/**
 * Whether a value is a subscription that the server granted.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isSubscription = (u: unknown): u is Subscription => Predicate.hasProperty(u, TypeId)

/**
 * A topic for messages that could not be handled.
 *
 * The dead letter has the payload, the quality of service and, on MQTT 5, the properties of the message. The user
 * properties `mqttx-session`, `mqttx-topic` and `mqttx-error` say where the message came from and why it failed. Then
 * the message is acknowledged. Messages that arrive on the dead-letter topic are never given to the consumer whose dead
 * letters go there. The dead letter of a message that the consumer has had before is not dead-lettered again.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface DeadLetterPolicy {
  /** A topic name. It must not be one of the consumer's filters, but a filter with wildcards may match it. */
  readonly deadLetter: string
  /**
   * The policy for a message whose dead letter is refused permanently: it is too large, or the session may not publish
   * to the topic. `skip` (default): acknowledged, counted as given up, and reported as an error. `retry`: the message
   * stays unacknowledged, and its dead letter is published again after a growing delay. After a temporary refusal the
   * dead letter is always published again.
   */
  readonly onRefused?: "skip" | "retry"
}

/**
 * The policy for a message that a handler, a transformer or a codec failed to process.
 *
 * `retry`: tried again without limit, after one second, then after twice as long each time up to a minute; each delay
 * is random between half and all of it. The message stays unacknowledged, and later messages on its topic wait. Other
 * topics continue until the receive window is full of messages behind it, because acknowledgements leave in the order
 * of arrival (MQTT 4.6). `skip`: acknowledged, and counted as given up. `fail`: the consumer fails with the error, and
 * the message stays unacknowledged. A record: the message goes to a dead-letter topic.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type FailurePolicy = "retry" | "skip" | "fail" | DeadLetterPolicy

/**
 * The outcome of a failed message. `deadLetterRetry`: the dead letter was refused and is published again.
 * `deadLetterRefused`: the dead letter was refused permanently, and the message was given up. The others are as in
 * `FailurePolicy`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type FailureOutcome = "retry" | "skip" | "fail" | "deadLetter" | "deadLetterRetry" | "deadLetterRefused"

/**
 * How `consume` calls the handler.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ConsumeOptions<E = never, R = never> extends Omit<SubscribeOptions, "ack"> {
  /**
   * Maximum number of handlers that run at the same time. A message that waits for its next attempt does not count.
   * Default 16.
   */
  readonly concurrency?: number
  /** `topic` (default): one handler at a time for each topic, in order. `none`: any order. */
  readonly order?: "topic" | "none"
  /**
   * Tries a message again by this schedule, before `onFailure` decides. Does not apply to a handler that dies. Default:
   * none.
   */
  readonly retry?: Schedule.Schedule<unknown, E, never, R>
  /**
   * The policy for a message whose handler failed, after `retry`. A handler that dies, throws or interrupts itself has
   * failed. Default `retry`: no QoS 1 or 2 message is lost. At most `buffer` QoS 0 messages wait for an attempt, their
   * own or that of a message before them. More are dropped, oldest first, and counted, or they pause the network, as
   * `onOverflow` says.
   */
  readonly onFailure?: FailurePolicy
  /**
   * The policy for a message that cannot be read: its handler fails with `InvalidPayload` or `InvalidTopic` of
   * `Message.decode`, `TopicTemplate.decode` or a transformer. The option `retry` does not apply. Default: as
   * `onFailure`, but `skip` where that is `retry`, because no further attempt could read the message, and it would
   * block all messages behind it.
   */
  readonly onInvalid?: FailurePolicy
  /** Runs once, when the server granted the subscription and before the first message is handled. */
  readonly onSubscribed?: (subscription: SubscriptionInfo) => Effect.Effect<void>
}
