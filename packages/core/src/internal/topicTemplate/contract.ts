/**
 * What a topic template does; TopicTemplate exports it.
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

/**
 * A message whose topic and payload are what the template says.
 */
export interface TypedMessage<Params, A> {
  readonly params: Params
  readonly value: A
  readonly message: Message
}

/**
 * A message that is not what the template says: `InvalidPayload`, or `InvalidTopic` where a level is empty or a
 * parameter does not fit its schema.
 */
export interface InvalidMessage {
  readonly error: MqttError
  readonly message: Message
}

/**
 * What a template needs of a session to publish. Every `Session` has it.
 */
export interface PublishingSession {
  readonly name: string
  readonly options: { readonly protocolVersion: ProtocolVersion }
  readonly publish: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError>
}

/**
 * What a template needs of a session for everything it does. Every `Session` has it.
 */
export interface TemplateSession extends PublishingSession {
  readonly enqueue: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<EnqueueReceipt, MqttError>
  readonly subscription: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Effect.Effect<Subscription, MqttError, Scope.Scope>
  readonly consume: <E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions<E, R>
  ) => Effect.Effect<void, MqttError | E, R>
}

/**
 * Which of the template's messages a subscription is about.
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

export interface DecodeOptions {
  /** Whether the content type of MQTT 5 messages must fit. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
}

/**
 * How to subscribe to a template.
 */
export interface TypedSubscribeOptions<Params> extends SubscribeOptions, FilterOptions<Params>, DecodeOptions {
  /**
   * What becomes of a message that is not what the template says. `skip` (default): acknowledged, counted as given up,
   * told by the event HandlerFailed, and logged. `fail`: the stream fails with the error after the messages before it,
   * and the message stays unacknowledged. `deadLetter`: published to that topic, then acknowledged; while its refusal
   * may pass, the stream waits.
   */
  readonly onInvalid?: Exclude<FailurePolicy, "retry">
}

/**
 * How to subscribe to a template where the stream shall bring what is invalid, too.
 */
export interface ResultSubscribeOptions<Params> extends Omit<TypedSubscribeOptions<Params>, "onInvalid"> {
  /**
   * Messages are results, and those that are not what the template says are failures among them. They are acknowledged
   * like the others.
   */
  readonly onInvalid: "result"
}

/**
 * How `consume` calls the handler of a template. `retry` and `onFailure` are for the handler, `onInvalid` is for what
 * cannot be decoded.
 */
export interface TypedConsumeOptions<Params, E = never, R = never>
  extends Omit<ConsumeOptions<E, R>, "onSubscribed">, FilterOptions<Params>, DecodeOptions
{
  /** Runs once, when the server granted the subscription and before the first message is handled. */
  readonly onSubscribed?: (subscription: Omit<TypedSubscription<never>, "messages">) => Effect.Effect<void>
}

/**
 * A subscription to a template that the server granted.
 */
export interface TypedSubscription<M, R = never> {
  readonly filter: string
  readonly granted: QoS
  /** See `Subscription.messages`. */
  readonly messages: Stream.Stream<M, MqttError, R>
  readonly pending: Subscription["pending"]
  /** Messages so far that were not what the template says. */
  readonly invalid: Effect.Effect<number>
}

/**
 * A topic with named parameters and a payload of a type. `RE` and `RD` are the services that encoding and decoding the
 * payload need.
 */
export interface TopicTemplate<Params, A, RE = never, RD = never> {
  readonly path: string
  /** The topic filter of all topics of the template, for example `sensors/+/temperature`. */
  readonly filter: string
  readonly codec: PayloadCodec.PayloadCodec<A, RE, RD>

  /**
   * The topic with these parameters. Fails when one is missing or empty, has a `/`, a wildcard or U+0000 in it, or does
   * not fit its schema.
   */
  readonly format: (params: Params) => Result.Result<string, InvalidTopic>

  /** The parameters of a topic; undefined for a topic that `format` does not make. */
  readonly parse: (topic: string) => Params | undefined

  /** The topic filter for some of the parameters, shared or not. Throws an `MqttError` for options that are none. */
  readonly filterFor: (options: FilterOptions<Params>) => Result.Result<string, InvalidTopic | InvalidFilter>

  /**
   * Publishes a value. On MQTT 5 the message says its content type and payload format. Fails as `Session.publish` does,
   * with `InvalidTopic` for the parameters, and with `InvalidPayload` for a value that does not fit the schema.
   *
   * @example
   * temperature.publish(session, { room: "kitchen" }, { celsius: 21.5 }, { qos: 1 })
   */
  readonly publish: (
    session: PublishingSession,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError, RE>

  /** Hands a value over, see `Session.enqueue`. */
  readonly enqueue: (
    session: TemplateSession,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<EnqueueReceipt, MqttError, RE>

  /** The message that `publish` sends, for `Session.publishAll` and whoever else publishes. */
  readonly outgoing: (
    session: Pick<PublishingSession, "name" | "options">,
    params: Params,
    value: A,
    options?: PublishOptions
  ) => Effect.Effect<OutgoingMessage, MqttError, RE>

  /** What a message says in the template's terms; fails with `InvalidTopic` or `InvalidPayload`. */
  readonly decode: (
    message: Message,
    contentType?: PayloadCodec.ContentTypePolicy
  ) => Effect.Effect<TypedMessage<Params, A>, MqttError, RD>

  /**
   * A handler of messages made of one of typed messages, for routes and whoever else handles messages; fails as
   * `decode` does where the message is not what the template says.
   *
   * @example
   * manager.handle(
   *   temperature.filter,
   *   temperature.handler(({ params, value }) => store(params.room, value)),
   *   { qos: 1 }
   * )
   */
  readonly handler: <B, E, R>(
    handle: (message: TypedMessage<Params, A>) => Effect.Effect<B, E, R>
  ) => (message: Message) => Effect.Effect<B, MqttError | E, R | RD>

  /**
   * Subscribes, and succeeds when the server granted it; the subscription lasts as long as the scope. See
   * `Session.subscription`.
   *
   * @example
   * const kitchen = yield* temperature.subscription(session, { qos: 1, params: { room: "kitchen" } })
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
   * @example
   * temperature.subscribe(session, { share: "workers" }).pipe(Stream.runForEach(({ value }) => store(value)))
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
   * Calls a handler for each message, and acknowledges after its success; runs until interrupted. See
   * `Session.consume`.
   *
   * @example
   * temperature.consume(session, ({ params, value }) => store(params.room, value), {
   *   qos: 1,
   *   onInvalid: { deadLetter: "dead" }
   * })
   */
  readonly consume: <E, R>(
    session: TemplateSession,
    handler: (message: TypedMessage<Params, A>) => Effect.Effect<unknown, E, R>,
    options?: TypedConsumeOptions<Params, E, R>
  ) => Effect.Effect<void, MqttError | E, R | RD>
}
