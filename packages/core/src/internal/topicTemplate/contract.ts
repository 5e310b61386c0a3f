/**
 * The interface of a topic template. `TopicTemplate` exports it.
 */
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import { type InvalidFilter, type InvalidTopic, type MqttError } from "../../MqttError.ts"
import type * as PayloadCodec from "../../PayloadCodec.ts"
import type { EnqueueReceipt, OutgoingMessage, Payload, PublishOptions, PublishReceipt } from "../../Publication.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import type { ConsumeOptions, FailurePolicy, SubscribeOptions, Subscription } from "../../Subscription.ts"

export const TypeId = "~effect-mqttx/core/TopicTemplate"

/**
 * A message whose topic and payload match the template.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TypedMessage<Params, A> {
  /** The parameters of the topic. */
  readonly params: Params
  /** The decoded payload. */
  readonly value: A
  /** The message itself. */
  readonly message: Message
}

/**
 * A message that does not match the template: `InvalidPayload`, or `InvalidTopic` when a level is empty or a parameter
 * does not match its schema.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface InvalidMessage {
  /** Why it does not match. */
  readonly error: MqttError
  /** The message itself. */
  readonly message: Message
}

/**
 * The parts of a session that a template needs to publish. Every `Session` has them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishingSession {
  /** See `Session.name`. */
  readonly name: string
  /** See `Session.options`. */
  readonly options: { readonly protocolVersion: ProtocolVersion }
  /** See `Session.publish`. */
  readonly publish: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError>
}

/**
 * The parts of a session that a template needs for all its operations. Every `Session` has them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TemplateSession extends PublishingSession {
  /** See `Session.enqueue`. */
  readonly enqueue: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<EnqueueReceipt, MqttError>
  /** See `Session.subscription`. */
  readonly subscription: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Effect.Effect<Subscription, MqttError, Scope.Scope>
  /** See `Session.consume`. */
  readonly consume: <E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions<E, R>
  ) => Effect.Effect<void, MqttError | E, R>
}

/**
 * Selects the messages of a template.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface FilterOptions<Params> {
  /**
   * Only messages with these parameters: `{ room: "kitchen" }` subscribes to `sensors/kitchen/temperature`. Default:
   * all.
   */
  readonly params?: Partial<Params>
  /** The share name of a shared subscription: each message goes to one of its subscribers (MQTT 4.8.2). */
  readonly share?: string
}

/**
 * How messages are decoded.
 */
export interface DecodeOptions {
  /** Whether the content type of MQTT 5 messages must match. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
}

/**
 * Options of a subscription to a template.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TypedSubscribeOptions<Params> extends SubscribeOptions, FilterOptions<Params>, DecodeOptions {
  /**
   * What happens to a message that does not match the template. `skip` (default): it is acknowledged, counted as given
   * up, reported by the event HandlerFailed, and logged. `fail`: the stream fails with the error after the messages
   * before it, and the message stays unacknowledged. `deadLetter`: it is published to that topic, then acknowledged;
   * while its refusal may be temporary, the stream waits.
   */
  readonly onInvalid?: Exclude<FailurePolicy, "retry">
}

/**
 * Options of a subscription whose stream also emits invalid messages.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ResultSubscribeOptions<Params> extends Omit<TypedSubscribeOptions<Params>, "onInvalid"> {
  /**
   * Messages are results, and those that do not match the template are failures among them. They are acknowledged like
   * the others.
   */
  readonly onInvalid: "result"
}

/**
 * How `consume` calls the handler of a template. `retry` and `onFailure` apply to the handler, `onInvalid` to messages
 * that cannot be decoded.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TypedConsumeOptions<Params, E = never, R = never>
  extends Omit<ConsumeOptions<E, R>, "onSubscribed">, FilterOptions<Params>, DecodeOptions
{
  /** Runs once, when the server has granted the subscription and before the first message is handled. */
  readonly onSubscribed?: (subscription: Omit<TypedSubscription<never>, "messages">) => Effect.Effect<void>
}

/**
 * A subscription to a template that the server granted.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TypedSubscription<M, R = never> {
  /** The topic filter of the subscription. */
  readonly filter: string
  /** The granted quality of service, which may be lower than requested (MQTT 3.9.3). */
  readonly granted: QoS
  /** See `Subscription.messages`. */
  readonly messages: Stream.Stream<M, MqttError, R>
  /** See `SubscriptionInfo.pending`. */
  readonly pending: Subscription["pending"]
  /** Number of messages so far that did not match the template. */
  readonly invalid: Effect.Effect<number>
}

/**
 * A topic with named parameters and a typed payload. `RE` and `RD` are the services that encoding and decoding the
 * payload need.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TopicTemplate<Params, A, RE = never, RD = never> {
  readonly [TypeId]: typeof TypeId
  /** The text of the template, for example `sensors/:room/temperature`. */
  readonly path: string
  /** The topic filter of all topics of the template, for example `sensors/+/temperature`. */
  readonly filter: string
  /** The codec of the payload. */
  readonly codec: PayloadCodec.PayloadCodec<A, RE, RD>

  /**
   * The topic with these parameters. Fails when a parameter is missing or empty, contains a `/`, a wildcard or U+0000,
   * or does not match its schema.
   */
  readonly format: (params: Params) => Result.Result<string, InvalidTopic>

  /** The parameters of a topic; undefined for a topic that `format` does not make. */
  readonly parse: (topic: string) => Params | undefined

  /** The topic filter for some of the parameters, shared or not. Throws an `MqttError` for invalid options. */
  readonly filterFor: (options: FilterOptions<Params>) => Result.Result<string, InvalidTopic | InvalidFilter>

  /**
   * Publishes a value. On MQTT 5 the message carries its content type and payload format. Fails as `Session.publish`
   * does, with `InvalidTopic` for invalid parameters, and with `InvalidPayload` for a value that does not match the
   * schema.
   *
   * **Example** (Publishing a value)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
   * import { Schema } from "effect"
   *
   * const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text(Schema.FiniteFromString))
   *
   * export const publish = (session: MqttSession.Session) =>
   *   temperature.publish(session, { room: "kitchen" }, 21.5, { qos: 1 })
   * ```
   */
  readonly publish: (
    session: PublishingSession,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError, RE>

  /** Enqueues a value, see `Session.enqueue`. */
  readonly enqueue: (
    session: TemplateSession,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<EnqueueReceipt, MqttError, RE>

  /** The message that `publish` sends, for `Session.publishAll` and other ways to publish. */
  readonly outgoing: (
    session: Pick<PublishingSession, "name" | "options">,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<OutgoingMessage, MqttError, RE>

  /** Decodes a message. Fails with `InvalidTopic` or `InvalidPayload`. */
  readonly decode: (
    message: Message,
    contentType?: PayloadCodec.ContentTypePolicy
  ) => Effect.Effect<TypedMessage<Params, A>, MqttError, RD>

  /**
   * Converts a handler of typed messages to a handler of messages, for routes and other consumers. It fails as `decode`
   * does for a message that does not match the template.
   *
   * **Example** (Routing the messages of all sessions)
   *
   * ```ts
   * import { PayloadCodec, SessionManager, TopicTemplate } from "@effect-mqttx/core"
   * import { Effect, Schema } from "effect"
   *
   * const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text(Schema.FiniteFromString))
   *
   * export const program = Effect.gen(function*() {
   *   const manager = yield* SessionManager.SessionManager
   *   yield* manager.handle(
   *     temperature.filter,
   *     temperature.handler(({ params, value }) => Effect.log(params.room, value)),
   *     { qos: 1 }
   *   )
   * })
   * ```
   */
  readonly handler: <B, E, R>(
    handle: (message: TypedMessage<Params, A>) => Effect.Effect<B, E, R>
  ) => (message: Message) => Effect.Effect<B, MqttError | E, R | RD>

  /**
   * Subscribes, and succeeds when the server has granted the subscription, which lasts as long as the scope. See
   * `Session.subscription`.
   *
   * **Example** (Subscribing to one room)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
   * import { Effect, Schema, Stream } from "effect"
   *
   * const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text(Schema.FiniteFromString))
   *
   * export const kitchen = (session: MqttSession.Session) =>
   *   Effect.gen(function*() {
   *     const { messages } = yield* temperature.subscription(session, { qos: 1, params: { room: "kitchen" } })
   *     yield* Stream.runForEach(messages, ({ value }) => Effect.log(value))
   *   })
   * ```
   */
  readonly subscription: {
    (
      session: TemplateSession,
      options: ResultSubscribeOptions<Params>
    ): Effect.Effect<
      TypedSubscription<Result.Result<TypedMessage<Params, A>, InvalidMessage>, RD>,
      MqttError,
      Scope.Scope
    >
    (
      session: TemplateSession,
      options?: TypedSubscribeOptions<Params>
    ): Effect.Effect<TypedSubscription<TypedMessage<Params, A>, RD>, MqttError, Scope.Scope>
  }

  /**
   * The messages of a subscription that lasts as long as the stream runs.
   *
   * **Example** (Sharing the messages with other programs)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
   * import { Effect, Schema, Stream } from "effect"
   *
   * const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text(Schema.FiniteFromString))
   *
   * export const worker = (session: MqttSession.Session) =>
   *   temperature.subscribe(session, { qos: 1, share: "workers" }).pipe(
   *     Stream.runForEach(({ params, value }) => Effect.log(params.room, value))
   *   )
   * ```
   */
  readonly subscribe: {
    (
      session: TemplateSession,
      options: ResultSubscribeOptions<Params>
    ): Stream.Stream<Result.Result<TypedMessage<Params, A>, InvalidMessage>, MqttError, RD>
    (
      session: TemplateSession,
      options?: TypedSubscribeOptions<Params>
    ): Stream.Stream<TypedMessage<Params, A>, MqttError, RD>
  }

  /**
   * Calls a handler for each message, and acknowledges the message when the handler succeeds. Runs until interrupted.
   * See `Session.consume`.
   *
   * **Example** (Handling values)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
   * import { Effect, Schema } from "effect"
   *
   * const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text(Schema.FiniteFromString))
   *
   * export const store = (session: MqttSession.Session) =>
   *   temperature.consume(session, ({ params, value }) => Effect.log(params.room, value), {
   *     qos: 1,
   *     onInvalid: { deadLetter: "dead" }
   *   })
   * ```
   */
  readonly consume: <E, R>(
    session: TemplateSession,
    handler: (message: TypedMessage<Params, A>) => Effect.Effect<unknown, E, R>,
    options?: TypedConsumeOptions<Params, E, R>
  ) => Effect.Effect<void, MqttError | E, R | RD>
}
