/**
 * Requests and answers with types on both sides.
 *
 * **On MQTT 5** a request carries a Response Topic and Correlation Data (MQTT 4.10), and expires with its timeout. The
 * answers of all requests of a session come by one subscription, which lasts as long as someone asks: to
 * `<response information>/responses/<client identifier>` where the server gave Response Information (ask for it by the
 * option `requestResponseInformation`), else to `mqttx/responses/<client identifier>`. A responder publishes the answer
 * to the response topic with the correlation data; any MQTT 5 program can be the other side.
 *
 * **On 3.1.1** messages have no properties, and the topics carry what is needed: the request goes to
 * `mqttx/requests/<client identifier>/<correlation>/<request topic>`, the answer to
 * `mqttx/responses/<client identifier>/<correlation>/<status>`. The option `via: "topic"` does the same on MQTT 5, and
 * a responder with `via: "both"` serves both kinds. (In these topics `%`, `/`, `+` and `#` of the client identifier are
 * written as `%25`, `%2f`, `%2b`, `%23`.)
 *
 * **Failures.** The answer has a status: the user property `mqttx-status`, absent for success, or the last level of the
 * topic. `failure`: the handler failed with a value of the template's `failure` type; the request fails with it.
 * `invalid`: the request could not be read, and `error`: the handler failed with anything else, or died; the request
 * fails with `RequestFailed`. What an unexpected failure was is logged by the responder, and not told.
 *
 * A request is acknowledged after its answer was published: a responder that dies in between gets it again, so that
 * handlers see each request at least once.
 *
 * @example
 * const setLamp = RequestResponse.template("rooms/:room/lamp/set", {
 *   request: PayloadCodec.json(Schema.Struct({ on: Schema.Boolean })),
 *   response: PayloadCodec.json(Schema.Struct({ watts: Schema.Finite })),
 *   failure: PayloadCodec.json(Schema.Literal("burnt out"))
 * })
 * const responder = RequestResponse.respond(session, setLamp, ({ params, value }) => switchLamp(params.room, value.on))
 * const answer = RequestResponse.request(session, setLamp, { room: "kitchen" }, { on: true }, { timeout: "2 seconds" })
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { isRecord, refusal } from "./internal/options/plain.ts"
import { refuseRequester } from "./internal/requests/checks.ts"
import type {
  RequestManyOptions,
  RequestOptions,
  RequestTemplate,
  RespondOptions
} from "./internal/requests/contract.ts"
import { use } from "./internal/requests/exchanges.ts"
import { request as ask, requestMany as askMany, viaOf } from "./internal/requests/request.ts"
import { respond as answer } from "./internal/requests/respond.ts"
import { codecOf, requestIssues } from "./internal/templates.ts"
import type { MqttError } from "./MqttError.ts"
import type { Session } from "./MqttSession.ts"
import type * as PayloadCodec from "./PayloadCodec.ts"
import type { CheckedPath, ParameterSchemas, TemplateParameters, TypedMessage } from "./TopicTemplate.ts"
import * as TopicTemplateModule from "./TopicTemplate.ts"
export type {
  RequestManyOptions,
  RequestOptions,
  RequestTemplate,
  RespondOptions
} from "./internal/requests/contract.ts"

type PayloadOf<A, RE, RD> = PayloadCodec.PayloadCodec<A, RE, RD> | Schema.ConstraintCodec<A, string, RD, RE>

/**
 * The payloads of a request template, each a codec or a schema whose encoded form is text.
 */
export interface RequestPayloads<Req, Res, Failure, RAsk, RAnswer, Schemas> {
  readonly request: PayloadOf<Req, RAsk, RAnswer>
  readonly response: PayloadOf<Res, RAnswer, RAsk>
  /** What a handler may fail with, so that whoever asked fails with the same. Default: nothing. */
  readonly failure?: PayloadOf<Failure, RAnswer, RAsk>
  /** Schemas of the topic's parameters, see `TopicTemplate.make`. */
  readonly params?: Schemas
}

/**
 * Makes a request template; the text is that of a topic template, see `TopicTemplate`.
 *
 * @example
 * const add = RequestResponse.template("calculator/add", {
 *   request: PayloadCodec.json(Schema.Struct({ a: Schema.Finite, b: Schema.Finite })),
 *   response: PayloadCodec.json(Schema.Finite)
 * })
 */
export const template = <
  const Path extends string,
  Req,
  Res,
  Failure = never,
  RAsk = never,
  RAnswer = never,
  const Schemas extends ParameterSchemas<Path> = {}
>(
  path: Path & CheckedPath<Path>,
  payloads: RequestPayloads<Req, Res, Failure, RAsk, RAnswer, Schemas>
): RequestTemplate<TemplateParameters<Path, Schemas>, Req, Res, Failure, RAsk, RAnswer> => {
  const mistake = refusal(requestIssues(payloads), "template")
  if (mistake !== undefined) throw mistake
  return {
    request: TopicTemplateModule.make<Path, Req, RAsk, RAnswer, Schemas>(
      path,
      codecOf(payloads.request),
      (payloads.params === undefined ? {} : { params: payloads.params }) as {}
    ),
    response: codecOf(payloads.response),
    failure: payloads.failure === undefined ? undefined : codecOf(payloads.failure)
  }
}

/**
 * Asks, and succeeds with the answer.
 *
 * Fails with the handler's failure if the template has a type for it, with `RequestFailed` (nobody answers, which MQTT
 * 5 servers may tell, or the responder could not), `Timeout`, `InvalidPayload` for an answer that is not of the type,
 * and as `Session.publish` and `Session.subscription` do. Interrupting withdraws a request that was not sent yet.
 *
 * Whoever asks often holds a `requester`: it keeps the subscription to the answers from one request to the next.
 *
 * @example
 * const answer = RequestResponse.request(session, add, {}, { a: 1, b: 2 }, { timeout: "2 seconds" })
 */
export const request = <Params, Req, Res, Failure, RAsk, RAnswer>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  params: Params,
  value: Req,
  options: RequestOptions = {}
): Effect.Effect<Res, MqttError | Failure, RAsk> =>
  Effect.withSpan(ask(session, template, params, value, options), "RequestResponse.request")

/**
 * Asks everyone who answers. The stream ends with the timeout, the silence or the number of answers that the options
 * say, and at once when the server tells that nobody answers. It fails when the request could not be sent; what one
 * responder failed with is a failure among the results.
 *
 * At QoS 1 an answer can come twice after a reconnect.
 *
 * @example
 * const versions = RequestResponse.requestMany(session, version, {}, undefined, {
 *   timeout: "2 seconds",
 *   idle: "200 millis"
 * })
 */
export const requestMany = <Params, Req, Res, Failure, RAsk, RAnswer>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  params: Params,
  value: Req,
  options: RequestManyOptions = {}
): Stream.Stream<Result.Result<Res, MqttError | Failure>, MqttError, RAsk> =>
  askMany(session, template, params, value, options)

/**
 * Answers requests; runs until interrupted. A template with a `failure` type takes handlers that fail with that only,
 * others take any.
 *
 * Messages without a return address are no requests, and are passed over. A handler runs once for each delivery of a
 * request: an answer that cannot be published is published again after a growing delay, while its refusal may pass and,
 * on MQTT 5, the request has not expired. Otherwise it is given up: reported, counted (see `HandlerMetrics`), and its
 * request acknowledged.
 *
 * @example
 * yield* RequestResponse.respond(session, add, ({ value }) => Effect.succeed(value.a + value.b)).pipe(
 *   Effect.forkScoped
 * )
 */
export const respond = <Params, Req, Res, Failure, RAsk, RAnswer, R>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  handler: (
    request: TypedMessage<Params, Req>
  ) => Effect.Effect<Res, [Failure] extends [never] ? unknown : NoInfer<Failure>, R>,
  options: RespondOptions<Params> = {}
): Effect.Effect<void, MqttError, R | RAnswer> => answer(session, template, handler, options)

/**
 * The answers that came to a session.
 */
export interface RequesterStats {
  /** Requests that wait for an answer. */
  readonly waiting: number
  readonly answered: number
  /** Answers to requests that were over: too late, or a second one. They are ignored. */
  readonly late: number
  /** Messages to the response topic that answer no request of ours. They are ignored. */
  readonly foreign: number
  /** Answers beyond the 4,096 that a stream of `requestMany` holds for a slow consumer. */
  readonly dropped: number
}

/**
 * The asking side of a session, subscribed to the answers.
 */
export interface Requester {
  /** Where the answers come to; with `via: "topic"` the first levels of it. */
  readonly responseTopic: string
  /** See `request`. */
  readonly request: <Params, Req, Res, Failure, RAsk, RAnswer>(
    template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
    params: Params,
    value: Req,
    options?: Omit<RequestOptions, "via">
  ) => Effect.Effect<Res, MqttError | Failure, RAsk>
  /** See `requestMany`. */
  readonly requestMany: <Params, Req, Res, Failure, RAsk, RAnswer>(
    template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
    params: Params,
    value: Req,
    options?: Omit<RequestManyOptions, "via">
  ) => Stream.Stream<Result.Result<Res, MqttError | Failure>, MqttError, RAsk>
  /** Since the subscription was made, for all who ask on the session. */
  readonly stats: Effect.Effect<RequesterStats>
}

/**
 * Subscribes to the answers of a session for the life of the scope; shared with all others who ask on the session.
 * Waits until the session is ready.
 *
 * @example
 * const requester = yield* RequestResponse.requester(session)
 * const three = yield* requester.request(add, {}, { a: 1, b: 2 })
 */
export const requester = (
  session: Session,
  options: Pick<RequestOptions, "via"> = {}
): Effect.Effect<Requester, MqttError, Scope.Scope> =>
  Effect.suspend(() => {
    const refusal = refuseRequester(session, options)
    if (refusal !== undefined) return Effect.fail(refusal)
    const via = viaOf(session, options.via)
    return Effect.map(use(session, via), (exchanges) => ({
      responseTopic: exchanges.base,
      request: (template, params, value, given = {}) =>
        request(session, template, params, value, isRecord(given) ? { ...given, via } : given),
      requestMany: (template, params, value, given = {}) =>
        requestMany(session, template, params, value, isRecord(given) ? { ...given, via } : given),
      stats: Effect.sync(() => ({ ...exchanges.counts, waiting: exchanges.size }))
    }))
  })
