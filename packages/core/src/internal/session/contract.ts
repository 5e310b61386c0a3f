/**
 * The `Session` interface that programs use; `MqttSession` exports it. It contains types and the name of the type:
 * `facade.ts` implements it.
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type {
  EnqueueReceipt,
  OutgoingMessage,
  Payload,
  PublishOptions,
  PublishReceipt,
  PublishSummary
} from "../../Publication.ts"
import type { SessionEvent } from "../../SessionEvent.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { ConnectionInfo, NamedConsumer, SessionMetrics, SessionStatus } from "../../SessionStatus.ts"
import type { ConsumeOptions, SubscribeOptions, Subscription } from "../../Subscription.ts"

export const TypeId = "~effect-mqttx/core/Session"

/**
 * One MQTT session, see the module `MqttSession`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Session {
  readonly [TypeId]: typeof TypeId
  /** The name of the session, unique in its manager and its store. */
  readonly name: string
  /** Its options, all defaults filled in. */
  readonly options: SessionOptions

  /**
   * Publishes a message: QoS 0 succeeds when its bytes are in the write at the end of this turn of the event loop, QoS
   * 1 and 2 when the server completed the handshake (MQTT 4.3). A QoS 0 message whose connection ends before that write
   * is sent on the next one. The program may change the bytes of the payload when `publish` has succeeded.
   *
   * The message waits in the queue while there is no connection or the server's Receive Maximum is used up.
   * Interrupting withdraws a message that was not sent yet. Fails with `InvalidTopic`, `PacketTooLarge`,
   * `NotSupported`, `PublishRefused`, `QueueFull`, `Dropped`, `Expired`, `SessionLost`, `Timeout`, `Closed` or the
   * permanent failure of the session.
   *
   * **Example** (Publishing a retained message)
   *
   * ```ts
   * import { MqttSession } from "@effect-mqttx/core"
   * import { Effect } from "effect"
   *
   * export const program = Effect.gen(function*() {
   *   const session = yield* MqttSession.MqttSession
   *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1, retain: true })
   * })
   * ```
   */
  readonly publish: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError>

  /**
   * Adds a message to the queue. Succeeds when the session has accepted it, with a durable store when it is stored.
   * Returns a receipt, whose `acknowledged` can be awaited.
   *
   * **Example** (Adding a message now, waiting later)
   *
   * ```ts
   * import { MqttSession } from "@effect-mqttx/core"
   * import { Effect } from "effect"
   *
   * export const program = Effect.gen(function*() {
   *   const session = yield* MqttSession.MqttSession
   *   const { acknowledged } = yield* session.enqueue("sensors/room1/temperature", "23.5", { qos: 1 })
   *   // Other work, while the message is sent.
   *   yield* acknowledged
   * })
   * ```
   */
  readonly enqueue: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<EnqueueReceipt, MqttError>

  /**
   * Publishes a stream of messages at full speed in bounded memory. Succeeds when all messages are acknowledged, and
   * fails with the first failure.
   *
   * **Example** (Publishing a stream)
   *
   * ```ts
   * import { MqttSession } from "@effect-mqttx/core"
   * import { Effect, Stream } from "effect"
   *
   * export const program = Effect.gen(function*() {
   *   const session = yield* MqttSession.MqttSession
   *   const messages = Stream.map(Stream.range(1, 100), (n) => ({ topic: "counter", payload: String(n) }))
   *   yield* session.publishAll(messages)
   * })
   * ```
   */
  readonly publishAll: <E, R>(
    messages: Stream.Stream<OutgoingMessage, E, R>
  ) => Effect.Effect<PublishSummary, MqttError | E, R>

  /** `publishAll` as a sink. */
  readonly sink: Sink.Sink<PublishSummary, OutgoingMessage, never, MqttError>

  /**
   * Subscribes, and succeeds when the server granted it. The subscription lasts as long as the scope. Subscriptions on
   * the same filter share one subscription at the server.
   *
   * **Example** (Subscribing before publishing)
   *
   * ```ts
   * import { MqttSession } from "@effect-mqttx/core"
   * import { Effect, Stream } from "effect"
   *
   * export const program = Effect.gen(function*() {
   *   const session = yield* MqttSession.MqttSession
   *   const { messages } = yield* session.subscription("sensors/#", { qos: 1 })
   *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
   *   yield* messages.pipe(Stream.take(1), Stream.runForEach((message) => Effect.log(message.text)))
   * })
   * ```
   */
  readonly subscription: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Effect.Effect<Subscription, MqttError, Scope.Scope>

  /**
   * The messages of a subscription that lasts as long as the stream runs.
   *
   * **Example** (Reading messages as a stream)
   *
   * ```ts
   * import type { MqttSession } from "@effect-mqttx/core"
   * import { Effect, Stream } from "effect"
   *
   * export const print = (session: MqttSession.Session) =>
   *   session.subscribe("sensors/#", { qos: 1 }).pipe(
   *     Stream.runForEach((message) => Effect.log(message.topic, message.text))
   *   )
   * ```
   */
  readonly subscribe: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Stream.Stream<Message, MqttError>

  /**
   * Calls a handler for each message and acknowledges the message after the handler's success. Runs until interrupted.
   * By default up to 16 handlers run at a time, and one for each topic. A message whose handler fails is tried again,
   * or treated as `ConsumeOptions.onFailure` says. Fails with `InvalidOptions` before it subscribes, and as
   * `subscription` does.
   *
   * **Example** (Handling messages, four at a time)
   *
   * ```ts
   * import type { MqttSession } from "@effect-mqttx/core"
   * import { Effect } from "effect"
   *
   * export const print = (session: MqttSession.Session) =>
   *   session.consume("sensors/#", (message) => Effect.log(message.topic, message.text), { qos: 1, concurrency: 4 })
   * ```
   */
  readonly consume: <E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions<E, R>
  ) => Effect.Effect<void, MqttError | E, R>

  /**
   * Removes the subscription on a filter at the server, kept subscriptions included. Streams on it get no more
   * messages. Fails with `UnsubscribeRefused` when the server refuses it with a reason code of UNSUBACK (MQTT 5,
   * 3.11.3). Messages that the server still sends are then unclaimed.
   */
  readonly unsubscribe: (filter: string) => Effect.Effect<void, MqttError>

  /** The named consumers (`SubscribeOptions.consumer`), absent ones included. */
  readonly consumers: Effect.Effect<ReadonlyArray<NamedConsumer>>

  /**
   * Forgets the name of a consumer. Messages that wait for it are acknowledged, dropped and counted as unclaimed. A
   * consumer that is present continues without a name. Succeeds with whether the name was known.
   */
  readonly forgetConsumer: (name: string) => Effect.Effect<boolean>

  /** Messages that were dropped because no consumer claimed them in time, from the moment the stream runs. */
  readonly unclaimed: Stream.Stream<Message>

  /** The status now. */
  readonly status: Effect.Effect<SessionStatus>
  /** The status now, and whenever it changes. */
  readonly statusChanges: Stream.Stream<SessionStatus>
  /**
   * The events of the session. A late listener first gets the last 16 events. A slow listener misses the oldest events
   * and delays no other listener.
   *
   * **Example** (Waiting for the next loss of the connection)
   *
   * ```ts
   * import type { MqttSession } from "@effect-mqttx/core"
   * import { Stream } from "effect"
   *
   * export const lost = (session: MqttSession.Session) =>
   *   session.events.pipe(Stream.filter(({ _tag }) => _tag === "Disconnected"), Stream.take(1), Stream.runDrain)
   * ```
   */
  readonly events: Stream.Stream<SessionEvent>
  /** The metrics now. */
  readonly metrics: Effect.Effect<SessionMetrics>
  /** What the server granted; `None` while there is no connection. */
  readonly connectionInfo: Effect.Effect<Option.Option<ConnectionInfo>>

  /**
   * Succeeds when the session is connected and its subscriptions are granted. Fails with a permanent failure, or
   * `Closed`.
   */
  readonly awaitReady: Effect.Effect<void, MqttError>

  /**
   * Asks the program for new credentials now, for example because a file with them has changed. Succeeds when they are
   * in force: on the open connection where the session authenticates (MQTT 4.12.1), otherwise after a planned reconnect
   * that loses no message. Without a connection, or without `credentials` and `authentication`, it succeeds at once. It
   * fails as the provider does, and the connection stays.
   */
  readonly refreshCredentials: Effect.Effect<void, MqttError>

  /**
   * Finishes the messages in flight, acknowledges the messages that streams have taken, disconnects and ends the
   * session. The option `drainTimeout` bounds this. Messages that could not be finished fail with `Closed`; a durable
   * store keeps them. The end of the session's scope does the same.
   */
  readonly drain: Effect.Effect<void>
}
