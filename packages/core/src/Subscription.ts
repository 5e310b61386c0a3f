/**
 * How to subscribe, and what a subscription is.
 */
import type * as Arr from "effect/Array"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { Message } from "./Message.ts"
import type { MqttError } from "./MqttError.ts"
import type { QoS } from "./QoS.ts"

/**
 * How to subscribe.
 */
export interface SubscribeOptions {
  /** The maximum quality of service of the deliveries. Default 0. */
  readonly qos?: QoS
  /**
   * Subscribes as a member of this group: each message goes to one of the members (MQTT 4.8.2), whatever sessions and
   * programs they are in. The same as filters `$share/group/filter`; servers of MQTT 3.1.1 may have it too.
   */
  readonly share?: string
  /** MQTT 5: not what this session published itself (MQTT 3.8.3.1). Default false. */
  readonly noLocal?: boolean
  /** MQTT 5: keep the retain flag as published. Default false. */
  readonly retainAsPublished?: boolean
  /**
   * Which streams get retained messages: `each` one that joins (default), only those of the `first` subscription on the
   * filter, or `none`.
   */
  readonly retained?: "each" | "first" | "none"
  /**
   * `onReceive` (default): a message that was handed to the consumer is acknowledged when the next one is pulled or the
   * stream ends normally. `manual`: by `message.ack`.
   */
  readonly ack?: "onReceive" | "manual"
  /**
   * A name by which the session knows this consumer when it comes back, unique in the session. What it has not finished
   * when it leaves, and what arrives while it is away (QoS 1 and 2), waits for it: unacknowledged, so that it takes its
   * part of the receive window. A durable session stores the name, and after a restart only those consumers get a QoS 2
   * message again that had not finished it. It waits until the consumer is back, or until `Session.forgetConsumer`.
   * Default: none; see `Session.consumers`.
   */
  readonly consumer?: string
  /** Keep the subscription at the server after the stream ended. Default false; a `durable` session always does. */
  readonly keep?: boolean
  /** QoS 0 messages that wait for the consumer. Default: the session's `streamBuffer`. */
  readonly buffer?: number
  /** What happens to QoS 0 messages over the bound. Default: the session's `onOverflow`. */
  readonly onOverflow?: "dropOldest" | "suspend"
}

/**
 * What is known of a subscription that the server granted.
 */
export interface SubscriptionInfo {
  readonly filters: ReadonlyArray<string>
  /** The granted quality of service of each filter, which may be lower than asked for (MQTT 3.9.3). */
  readonly granted: ReadonlyArray<QoS>
  /** Messages that wait for the consumer, and QoS 0 messages that were dropped because it was too slow. */
  readonly pending: Effect.Effect<{ readonly messages: number; readonly dropped: number; readonly highWater: number }>
}

/**
 * A subscription that the server granted.
 */
export interface Subscription extends SubscriptionInfo {
  /**
   * The messages, through reconnects, until the subscription's scope ends. Run it once at a time: a second run goes on
   * where the first one ended. What an interrupted or failed run was handed and had not acknowledged comes again.
   */
  readonly messages: Stream.Stream<Message, MqttError>
  /**
   * The same messages in arrays of all that wait, for consumers that work on many at once, such as one statement for
   * many rows: an array is acknowledged as a whole, when the next one is pulled or the stream ends normally. One of
   * `messages` and `batches` runs at a time.
   */
  readonly batches: Stream.Stream<Arr.NonEmptyReadonlyArray<Message>, MqttError>
}

/**
 * A topic for messages that could not be handled.
 *
 * The dead letter is published with the payload, the quality of service and, on MQTT 5, the properties of the message,
 * and with the user properties `mqttx-session`, `mqttx-topic` and `mqttx-error`, which say where the message came from
 * and why it failed. Then the message is acknowledged. What arrives on the topic itself is never given to the consumer
 * whose dead letters go there, and the dead letter of a message that the consumer has had before is not dead-lettered
 * once more.
 */
export interface DeadLetterPolicy {
  /** A topic name, which must not be one of the consumer's filters; a filter with wildcards may match it. */
  readonly deadLetter: string
  /**
   * What becomes of a message whose dead letter is refused for good: it is too large, or the session may not publish to
   * the topic. `skip` (default): acknowledged, counted as given up, and reported as an error. `retry`: it stays
   * unacknowledged, and its dead letter is published again after a growing delay. A refusal that may pass is always
   * followed by another attempt.
   */
  readonly onRefused?: "skip" | "retry"
}

/**
 * What becomes of a message that a handler, a transformer or a codec could not take.
 *
 * `retry`: tried again for ever, after one second, then twice as long each time up to a minute, at random between half
 * and all of it. The message stays unacknowledged, and the messages behind it on its topic wait; all others go on,
 * until the receive window is full of messages behind it, since acknowledgements leave in the order of arrival (MQTT
 * 4.6). `skip`: acknowledged, and counted as given up. `fail`: the consumer fails with the error, and the message stays
 * unacknowledged. Otherwise a dead letter.
 */
export type FailurePolicy = "retry" | "skip" | "fail" | DeadLetterPolicy

/**
 * What became of a failed message: `deadLetterRetry` is a dead letter that was refused and is published again,
 * `deadLetterRefused` one that was refused for good, so that its message was given up. The others are as in
 * `FailurePolicy`.
 */
export type FailureOutcome = "retry" | "skip" | "fail" | "deadLetter" | "deadLetterRetry" | "deadLetterRefused"

/**
 * How `consume` calls the handler.
 */
export interface ConsumeOptions<E = never, R = never> extends Omit<SubscribeOptions, "ack"> {
  /** Handlers that run at the same time. A message that waits for its next attempt is none of them. Default 16. */
  readonly concurrency?: number
  /** `topic` (default): one handler at a time for each topic, in order. `none`: any order. */
  readonly order?: "topic" | "none"
  /**
   * Tries a message again by this schedule, before `onFailure` decides. A handler that dies is not tried again by it.
   * Default: none.
   */
  readonly retry?: Schedule.Schedule<unknown, E, never, R>
  /**
   * What becomes of a message whose handler failed, after `retry`. A handler that dies, throws or interrupts itself has
   * failed. Default `retry`: nothing at QoS 1 and 2 is lost. Of QoS 0 messages that wait for an attempt, their own or
   * one before them, `buffer` at most are kept; more are dropped from the oldest on and counted, or pause the network,
   * as `onOverflow` says.
   */
  readonly onFailure?: FailurePolicy
  /**
   * What becomes of a message that cannot be read: its handler fails with `InvalidPayload` or `InvalidTopic` of
   * `Message.decode`, `TopicTemplate.decode` or a transformer. `retry` (the option) does not apply. Default: as
   * `onFailure`, but `skip` where that is `retry`, since no attempt makes it readable, and it would stop all messages
   * behind it.
   */
  readonly onInvalid?: FailurePolicy
  /** Runs once, when the server granted the subscription and before the first message is handled. */
  readonly onSubscribed?: (subscription: SubscriptionInfo) => Effect.Effect<void>
}
