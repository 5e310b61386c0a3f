/**
 * The implementation of topic templates, on any session. Size: the methods of one public object over one pattern, one
 * set of parameter codecs and one payload codec; what they share stands below the class.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import {
  type InvalidFilter,
  InvalidOptions,
  InvalidPayload,
  InvalidTopic,
  MqttError,
  type MqttErrorReason
} from "../../MqttError.ts"
import * as PayloadCodec from "../../PayloadCodec.ts"
import type { MessageProperties } from "../../Properties.ts"
import type { OutgoingMessage, PublishOptions } from "../../Publication.ts"
import type { ConsumeOptions, SubscribeOptions } from "../../Subscription.ts"
import { FailedMessages } from "../messageFailures.ts"
import { type Check, type Checks, isRecord, oneOf, text } from "../options/plain.ts"
import { consumeChecks, policyIssues, refuseHandler, refuseOptions, subscribeChecks } from "../options/subscribing.ts"
import { parameterIssues } from "../templates.ts"
import * as TopicPattern from "../topicPattern.ts"
import { kindOf, nameOf } from "../valueNames.ts"
import {
  type FilterOptions,
  type InvalidMessage,
  type PublishingSession,
  type ResultSubscribeOptions,
  type TemplateSession,
  type TopicTemplate,
  type TypedConsumeOptions,
  type TypedMessage,
  type TypedSubscribeOptions,
  type TypedSubscription,
  TypeId
} from "./contract.ts"

type Schemas = { readonly [name: string]: Schema.ConstraintCodec<unknown, string> | undefined }

type Decoded<Params, A> = Result.Result<TypedMessage<Params, A>, InvalidMessage>

interface ParameterCodec {
  readonly encode: (value: unknown) => Result.Result<string, Schema.SchemaError>
  readonly decode: (text: unknown) => Result.Result<unknown, Schema.SchemaError>
}

export class TypedTopic<Params, A, RE, RD> implements TopicTemplate<Params, A, RE, RD> {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly path: string
  readonly filter: string
  readonly codec: PayloadCodec.PayloadCodec<A, RE, RD>
  readonly #pattern: TopicPattern.Pattern
  readonly #parameters: ReadonlyMap<string, ParameterCodec>
  readonly #announced: MessageProperties

  static make<Params, A, RE, RD>(
    path: string,
    codec: PayloadCodec.PayloadCodec<A, RE, RD>,
    schemas: Schemas
  ): Result.Result<TypedTopic<Params, A, RE, RD>, InvalidFilter | InvalidOptions> {
    const pattern = TopicPattern.parsePattern(path)
    if (Result.isFailure(pattern)) return Result.fail(pattern.failure)
    const issues = parameterIssues(pattern.success.names, schemas)
    return issues.length > 0
      ? Result.fail(new InvalidOptions({ issues }))
      : Result.succeed(new TypedTopic<Params, A, RE, RD>(path, pattern.success, codec, schemas))
  }

  private constructor(
    path: string,
    pattern: TopicPattern.Pattern,
    codec: PayloadCodec.PayloadCodec<A, RE, RD>,
    schemas: Schemas
  ) {
    const parameters = new Map<string, ParameterCodec>()
    for (const [name, schema] of Object.entries(schemas)) {
      if (schema === undefined) continue
      parameters.set(name, {
        encode: Schema.encodeUnknownResult(schema),
        decode: Schema.decodeUnknownResult(schema)
      })
    }
    this.path = path
    this.filter = pattern.filter
    this.codec = codec
    this.#pattern = pattern
    this.#parameters = parameters
    this.#announced = PayloadCodec.properties(codec)
  }

  readonly format = (params: Params): Result.Result<string, InvalidTopic> => this.#format(params, false)

  readonly parse = (topic: string): Params | undefined => {
    const texts = TopicPattern.matchPattern(this.#pattern, topic)
    if (texts === undefined || this.#parameters.size === 0) return texts as Params | undefined
    const params: Record<string, unknown> = { ...texts }
    for (const [name, { decode }] of this.#parameters) {
      const decoded = decode(texts[name])
      if (Result.isFailure(decoded)) return undefined
      params[name] = decoded.success
    }
    return params as Params
  }

  readonly filterFor = (options: FilterOptions<Params>): Result.Result<string, InvalidTopic | InvalidFilter> => {
    const mistake = refuseOptions(options, filterChecks)
    // The result type has no failure for this mistake.
    if (mistake !== undefined) throw new MqttError({ reason: mistake, method: "filterFor", topic: this.path })
    return this.#filterFor(options)
  }

  #filterFor({ params, share }: FilterOptions<Params>): Result.Result<string, InvalidTopic | InvalidFilter> {
    const filter = params === undefined ? Result.succeed(this.filter) : this.#format(params, true)
    return share === undefined
      ? filter
      : Result.flatMap(
        filter as Result.Result<string, InvalidTopic | InvalidFilter>,
        (inner) => TopicPattern.sharedFilter(share, inner)
      )
  }

  #format(params: Partial<Params>, partial: boolean): Result.Result<string, InvalidTopic> {
    // A program without types may pass any value. A value that is no record has no parameters.
    const given: { readonly [name: string]: unknown } = isRecord(params) ? params : {}
    if (this.#parameters.size === 0) {
      return TopicPattern.formatPattern(this.#pattern, given as TopicPattern.Texts, partial)
    }
    const texts: Record<string, string> = { ...given as TopicPattern.Texts }
    for (const [name, { encode }] of this.#parameters) {
      if (given[name] === undefined) continue
      const encoded = encode(given[name])
      if (Result.isFailure(encoded)) {
        return Result.fail(
          new InvalidTopic({
            topic: this.path,
            offset: this.path.search(new RegExp(`[:*]${name}(?:/|$)`)),
            detail: `the parameter ${name}: ${encoded.failure.message}`
          })
        )
      }
      texts[name] = encoded.success
    }
    return TopicPattern.formatPattern(this.#pattern, texts, partial)
  }

  readonly outgoing = (
    session: Pick<PublishingSession, "name" | "options">,
    params: Params,
    value: A,
    options: PublishOptions = {}
  ): Effect.Effect<OutgoingMessage, MqttError, RE> =>
    Effect.suspend((): Effect.Effect<OutgoingMessage, MqttError, RE> => {
      if (!isRecord(session) || !isRecord(session.options)) return Effect.fail(noSession(session, "publish"))
      const topic = this.format(params)
      if (Result.isFailure(topic)) return Effect.fail(failure(topic.failure, session.name, "publish", this.path))
      return Effect.mapBoth(this.codec.encode(value), {
        onFailure: (reason) => failure(reason, session.name, "publish", topic.success),
        onSuccess: (payload) => ({
          topic: topic.success,
          payload,
          options: session.options.protocolVersion === 5 ? this.#withAnnounced(options) : options
        })
      })
    })

  /** A value that is no record is passed on, and the session refuses it. */
  #withAnnounced(options: PublishOptions): PublishOptions {
    return isRecord(options) && (options.properties === undefined || isRecord(options.properties))
      ? { ...options, properties: { ...options.properties, ...this.#announced } }
      : options
  }

  readonly publish: TopicTemplate<Params, A, RE, RD>["publish"] = (session, params, value, options) =>
    Effect.flatMap(
      this.outgoing(session, params, value, options),
      (message) => session.publish(message.topic, message.payload, message.options)
    )

  readonly enqueue: TopicTemplate<Params, A, RE, RD>["enqueue"] = (session, params, value, options) =>
    Effect.flatMap(
      this.outgoing(session, params, value, options),
      (message) => session.enqueue(message.topic, message.payload, message.options)
    )

  readonly decode = (
    message: Message,
    contentType?: PayloadCodec.ContentTypePolicy
  ): Effect.Effect<TypedMessage<Params, A>, MqttError, RD> =>
    Effect.suspend((): Effect.Effect<TypedMessage<Params, A>, MqttError, RD> => {
      if (!isRecord(message) || !isRecord(message.properties)) return Effect.fail(noMessage(message))
      const params = this.parse(message.topic)
      if (params === undefined) {
        return Effect.fail(invalid(
          message,
          new InvalidTopic({ topic: message.topic, offset: 0, detail: `not of the template ${this.path}` })
        ))
      }
      const mismatch = PayloadCodec.mismatch(this.codec, message.properties, contentType)
      if (mismatch !== undefined) return Effect.fail(invalid(message, mismatch))
      return Effect.mapBoth(this.codec.decode(message.payload), {
        onFailure: (reason) => invalid(message, reason),
        onSuccess: (value) => ({ params, value, message })
      })
    })

  readonly handler: TopicTemplate<Params, A, RE, RD>["handler"] = (handle) => (message) =>
    Effect.flatMap(this.decode(message), handle)

  #decoded(
    session: TemplateSession,
    contentType: PayloadCodec.ContentTypePolicy | undefined
  ): (message: Message) => Effect.Effect<Decoded<Params, A>, never, RD> {
    // There is no content type on 3.1.1.
    const policy = session.options.protocolVersion === 5 ? contentType : "ignore"
    return (message) =>
      Effect.map(
        Effect.result(this.decode(message, policy)),
        (decoded) => Result.mapError(decoded, (error) => ({ error, message }))
      )
  }

  #filter(session: TemplateSession, options: FilterOptions<Params>): Effect.Effect<string, MqttError> {
    const filter = this.#filterFor(options)
    return Result.isFailure(filter)
      ? Effect.fail(failure(filter.failure, session.name, "subscribe", this.path))
      : Effect.succeed(filter.success)
  }

  readonly subscription = ((
    session: TemplateSession,
    options: TypedSubscribeOptions<Params> | ResultSubscribeOptions<Params> = {}
  ): Effect.Effect<
    TypedSubscription<TypedMessage<Params, A> | Decoded<Params, A>, RD>,
    MqttError,
    Scope.Scope
  > =>
    Effect.gen({ self: this }, function*() {
      const refusal = refusalOf(session, "subscribe", this.path, options, subscriptionChecks(), undefined)
      if (refusal !== undefined) return yield* refusal
      const { contentType, onInvalid = "skip", params: _params, share: _share, ...subscribeOptions } = options
      const filter = yield* this.#filter(session, options)
      yield* checkPolicy(session, filter, onInvalid)
      const { granted, messages, pending } = yield* session.subscription(filter, subscribeOptions as SubscribeOptions)
      const invalid = { count: 0 }
      const decode = this.#decoded(session, contentType)
      const deadLetterTopic = typeof onInvalid === "object" ? onInvalid.deadLetter : undefined
      const settle = this.#settleInvalid(session, filter, options.consumer, onInvalid)
      // Whole arrays, because the session acknowledges arrays. Undefined marks messages that this stream itself has put
      // aside.
      const results = Stream.mapArrayEffect(messages, (batch) =>
        Effect.gen(function*() {
          const decoded: Array<Decoded<Params, A> | undefined> = []
          for (let i = 0; i < batch.length; i++) {
            const message = batch[i]!
            if (message.topic === deadLetterTopic) {
              yield* message.ack
              decoded.push(undefined)
              continue
            }
            const result = yield* decode(message)
            decoded.push(result)
            if (Result.isFailure(result)) {
              invalid.count++
              yield* settle(result.failure)
            }
          }
          return decoded as [Decoded<Params, A> | undefined, ...Array<Decoded<Params, A> | undefined>]
        }))
      return {
        filter,
        granted: granted[0]!,
        pending,
        invalid: Effect.sync(() => invalid.count),
        messages: onInvalid === "result"
          ? results as Stream.Stream<Decoded<Params, A>, MqttError, RD>
          : onInvalid === "fail"
          ? Stream.mapEffect(results, (decoded) => Effect.fromResult(Result.mapError(decoded!, ({ error }) => error)))
          : Stream.filterMap(results, (decoded) => decoded ?? putAside)
      }
    })) as TopicTemplate<Params, A, RE, RD>["subscription"]

  /**
   * Applies the stream's policy to an invalid message. Fails when its dead letter cannot be published before the
   * session ends.
   */
  #settleInvalid(
    session: TemplateSession,
    filter: string,
    consumer: string | undefined,
    policy: StreamPolicy
  ): (invalid: InvalidMessage) => Effect.Effect<void, MqttError> {
    if (policy === "result" || policy === "fail") return () => Effect.void
    const failures = new FailedMessages(session, [filter], consumer)
    const { ledger } = failures
    return ({ error, message }) => {
      const cause = Cause.fail(error)
      ledger.failed()
      if (policy === "skip") {
        const report = failures.report("template", message, { outcome: "skip", attempt: 1, cause })
        return Effect.andThen(report, message.ack)
      }
      return Effect.suspend(() => {
        const failing = ledger.begin()
        return failures.deadLetter("template", message, policy, cause, 1).pipe(
          Effect.flatMap((failure) => failure === undefined ? message.ack : Effect.fail(failure)),
          Effect.ensuring(Effect.sync(() => ledger.end(failing)))
        )
      })
    }
  }

  readonly subscribe =
    ((session: TemplateSession, options?: TypedSubscribeOptions<Params>) =>
      Stream.unwrap(Effect.map(this.subscription(session, options), ({ messages }) => messages))) as TopicTemplate<
        Params,
        A,
        RE,
        RD
      >["subscribe"]

  readonly consume = <E, R>(
    session: TemplateSession,
    handler: (message: TypedMessage<Params, A>) => Effect.Effect<unknown, E, R>,
    options: TypedConsumeOptions<Params, E, R> = {}
  ): Effect.Effect<void, MqttError | E, R | RD> =>
    Effect.gen({ self: this }, function*() {
      const refusal = refusalOf(session, "consume", this.path, options, consumptionChecks(), handler)
      if (refusal !== undefined) return yield* refusal
      const { contentType, onSubscribed, params: _params, share: _share, ...consumeOptions } = options
      const filter = yield* this.#filter(session, options)
      const decode = this.#decoded(session, contentType)
      let invalid = 0
      // The result of decoding a failed message, so that each is decoded, or counted as invalid, only once.
      const known = new WeakMap<Message, TypedMessage<Params, A> | "invalid">()
      const handle = (message: Message, typed: TypedMessage<Params, A>): Effect.Effect<unknown, E, R> =>
        Effect.tapCause(Effect.suspend(() => handler(typed)), () => Effect.sync(() => known.set(message, typed)))
      return yield* session.consume<E | MqttError, R | RD>(
        filter,
        (message): Effect.Effect<unknown, E | MqttError, R | RD> => {
          const before = known.get(message)
          if (typeof before === "object") return handle(message, before)
          return Effect.flatMap(decode(message), (decoded): Effect.Effect<unknown, E | MqttError, R> => {
            if (Result.isSuccess(decoded)) return handle(message, decoded.success)
            if (before === undefined) {
              invalid++
              known.set(message, "invalid")
            }
            return Effect.fail(decoded.failure.error)
          })
        },
        {
          // The schedule retries errors of the handler only, not messages that cannot be decoded.
          ...consumeOptions as ConsumeOptions<E | MqttError, R>,
          ...(onSubscribed === undefined ? undefined : {
            onSubscribed: ({ granted, pending }) =>
              onSubscribed({ filter, granted: granted[0]!, pending, invalid: Effect.sync(() => invalid) })
          })
        }
      )
    })
}

const contentTypePolicy = oneOf("ifPresent", "required", "ignore")

const parameters: Check = (value) =>
  isRecord(value) ? undefined : `must be a record of parameters, got ${kindOf(value)}`

const filterChecks: Checks<FilterOptions<unknown>> = { params: parameters, share: text }

// Functions, because the modules of topics and of these checks import each other.
const subscriptionChecks = (): Checks<TypedSubscribeOptions<unknown>> => ({
  ...subscribeChecks,
  params: parameters,
  contentType: contentTypePolicy,
  onInvalid: (value) => value === "retry" ? "a stream cannot try a message again" : undefined
})

const consumptionChecks = (): Checks<TypedConsumeOptions<unknown, unknown, unknown>> => ({
  ...consumeChecks,
  params: parameters,
  contentType: contentTypePolicy
})

/** Why these options cannot make a subscription to the template; undefined: they can. */
const refusalOf = (
  session: unknown,
  method: "subscribe" | "consume",
  path: string,
  options: unknown,
  checks: { readonly [name: string]: Check },
  handler: unknown
): MqttError | undefined => {
  if (!isRecord(session) || !isRecord(session["options"])) return noSession(session, method)
  const reason = (method === "consume" ? refuseHandler(handler) : undefined) ?? refuseOptions(options, checks)
  return reason === undefined ? undefined : failure(reason, nameOf(session["name"]), method, path)
}

const noSession = (session: unknown, method: string): MqttError =>
  new MqttError({
    reason: new InvalidOptions({ issues: [{ path: "session", message: `must be a session, got ${kindOf(session)}` }] }),
    method
  })

const noMessage = (message: unknown): MqttError =>
  new MqttError({
    reason: new InvalidPayload({ detail: `expected a Message, got ${kindOf(message)}` }),
    method: "decode"
  })

type StreamPolicy = NonNullable<(TypedSubscribeOptions<unknown> | ResultSubscribeOptions<unknown>)["onInvalid"]>

/** Stands for a message that was put aside and is not emitted. */
const putAside = Result.fail(undefined)

/** A dead letter must not return to the subscription. */
const checkPolicy = (
  session: TemplateSession,
  filter: string,
  onInvalid: StreamPolicy
): Effect.Effect<void, MqttError> => {
  const issues = onInvalid === "result" ? [] : policyIssues({ onInvalid }, [filter])
  return issues.length === 0
    ? Effect.void
    : Effect.fail(failure(new InvalidOptions({ issues }), session.name, "subscribe", filter))
}

const failure = (reason: MqttErrorReason, session: string, method: string, topic: string): MqttError =>
  new MqttError({ reason, session, method, topic })

const invalid = (message: Message, reason: MqttErrorReason): MqttError =>
  new MqttError({ reason, session: message.session, method: "decode", topic: message.topic })
