/**
 * The types of requests and their answers. `RequestResponse` exports them.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { MqttError } from "../../MqttError.ts"
import type * as PayloadCodec from "../../PayloadCodec.ts"
import type { UserProperty } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { Session } from "../session/contract.ts"
import type { TopicTemplate, TypedMessage } from "../topicTemplate/contract.ts"
import type { Via } from "./convention.ts"

export const TypeId = "~effect-mqttx/core/RequestTemplate"

/**
 * A kind of request: its topic and the types of both directions. `RAsk` are the services that the requester's codecs
 * need, `RAnswer` those of the responder.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RequestTemplate<Params, Req, Res, Failure = never, RAsk = never, RAnswer = never> {
  readonly [TypeId]: typeof TypeId
  /** The typed topic of the requests. */
  readonly topic: TopicTemplate<Params, Req, RAsk, RAnswer>
  /** The payload of an answer. */
  readonly response: PayloadCodec.PayloadCodec<Res, RAnswer, RAsk>
  /** The payload of an answer with the status `failure`; undefined: handlers have no failure of a type. */
  readonly failure: PayloadCodec.PayloadCodec<Failure, RAnswer, RAsk> | undefined

  /**
   * Sends a request, and succeeds with the answer.
   *
   * Fails with the handler's failure if the template has a type for it; with `RequestFailed` when there is no responder
   * (MQTT 5 servers may report this) or the responder could not answer; with `Timeout`; with `InvalidPayload` for an
   * answer of another type; and as `Session.publish` and `Session.subscription` do. Interrupting withdraws a request
   * that was not sent yet.
   *
   * For frequent requests use a `requester`: it keeps the subscription to the answers between requests.
   *
   * **Example** (Asking for a value)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
   * import { Schema } from "effect"
   *
   * const add = RequestResponse.template("calculator/add", {
   *   request: PayloadCodec.json(Schema.Struct({ a: Schema.Finite, b: Schema.Finite })),
   *   response: PayloadCodec.json(Schema.Finite)
   * })
   *
   * export const three = (session: MqttSession.Session) =>
   *   add.request(session, {}, { a: 1, b: 2 }, { timeout: "2 seconds" })
   * ```
   */
  readonly request: (
    session: Session,
    params: Params,
    value: Req,
    options?: RequestOptions
  ) => Effect.Effect<Res, MqttError | Failure, RAsk>

  /**
   * Sends a request to every responder. The stream ends with the timeout, after the silence or the number of answers
   * that the options give, and at once when the server reports that there is no responder. It fails when the request
   * could not be sent. The failure of one responder is a failure among the results.
   *
   * At QoS 1 an answer can come twice after a reconnect.
   *
   * **Example** (Asking everyone)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
   * import { Stream } from "effect"
   *
   * const version = RequestResponse.template("version", {
   *   request: PayloadCodec.text(),
   *   response: PayloadCodec.text()
   * })
   *
   * export const versions = (session: MqttSession.Session) =>
   *   version.requestMany(session, {}, "", { timeout: "2 seconds", idle: "200 millis" }).pipe(
   *     Stream.filterMap((answer) => answer),
   *     Stream.runCollect
   *   )
   * ```
   */
  readonly requestMany: (
    session: Session,
    params: Params,
    value: Req,
    options?: RequestManyOptions
  ) => Stream.Stream<Result.Result<Res, MqttError | Failure>, MqttError, RAsk>

  /**
   * Answers requests; runs until interrupted. With a template that has a `failure` type, handlers may fail with that
   * type only; with others, with any.
   *
   * Messages without a return address are not requests, and are ignored. A handler runs once for each delivery of a
   * request. An answer that cannot be published is published again after a growing delay, as long as its refusal may
   * pass and, on MQTT 5, the request has not expired. Otherwise the answer is given up: it is reported and counted (see
   * `HandlerMetrics`), and its request is acknowledged.
   *
   * **Example** (Answering until interrupted)
   *
   * ```ts
   * import { type MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
   * import { Effect, Schema } from "effect"
   *
   * const add = RequestResponse.template("calculator/add", {
   *   request: PayloadCodec.json(Schema.Struct({ a: Schema.Finite, b: Schema.Finite })),
   *   response: PayloadCodec.json(Schema.Finite)
   * })
   *
   * export const calculator = (session: MqttSession.Session) =>
   *   add.respond(session, ({ value }) => Effect.succeed(value.a + value.b))
   * ```
   */
  readonly respond: <R>(
    session: Session,
    handler: (request: TypedMessage<Params, Req>) => Effect.Effect<Res, HandlerFailure<Failure>, R>,
    options?: RespondOptions<Params>
  ) => Effect.Effect<void, MqttError, R | RAnswer>
}

/**
 * What the handler of a request may fail with: the failure that the template describes, or anything if it describes
 * none.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type HandlerFailure<Failure> = [Failure] extends [never] ? unknown : Failure

/**
 * Options of a request.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RequestOptions {
  /** From the call to the answer, including the wait for a connection. Default 10 seconds. */
  readonly timeout?: Duration.Input
  /** The quality of service of the request. Default 1. */
  readonly qos?: QoS
  /** User properties of the request. MQTT 5. */
  readonly userProperties?: ReadonlyArray<UserProperty>
  /** Whether the content type of an answer on MQTT 5 must match. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
  /** How the responder learns the return address. Default: `properties` on MQTT 5, `topic` on 3.1.1. */
  readonly via?: Via
}

/**
 * Options of a request with several answers, and its end.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RequestManyOptions extends RequestOptions {
  /** The stream ends after this many answers. Default: no limit. */
  readonly count?: number
  /** The stream ends when, after the first answer, no answer arrives for this time. Default: only `timeout` ends it. */
  readonly idle?: Duration.Input
}

/**
 * Options of a responder.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RespondOptions<Params> {
  /** Only requests with these parameters. Default: all. */
  readonly params?: Partial<Params>
  /** The share name of several responders that divide the requests among them (MQTT 4.8.2). */
  readonly share?: string
  /** The number of handlers that run at the same time. Default 16. */
  readonly concurrency?: number
  /** `topic`: one request at a time for each topic, in order. Default `none`. */
  readonly order?: "topic" | "none"
  /** The quality of service of the subscription and of the answers. Default 1. */
  readonly qos?: QoS
  /** Whether the content type of a request on MQTT 5 must match. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
  /** The kind of requests to answer. Default: `properties` on MQTT 5, `topic` on 3.1.1. */
  readonly via?: Via | "both"
  /** Runs once, when the server has granted the subscription. Requests are answered from then on. */
  readonly onSubscribed?: Effect.Effect<void>
}
