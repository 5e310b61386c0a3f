/**
 * Typed requests and answers.
 *
 * **On MQTT 5** a request carries a Response Topic and Correlation Data (MQTT 4.10), and expires with its timeout. The
 * answers to all requests of a session arrive through one subscription, which lasts as long as requests or requesters
 * need it. Its topic is `<response information>/responses/<client identifier>` where the server gave Response
 * Information (ask for it with the option `requestResponseInformation`), otherwise `mqttx/responses/<client
 * identifier>`. A responder publishes the answer to the response topic with the correlation data. Any MQTT 5 program
 * can be the other side.
 *
 * **On 3.1.1** messages have no properties, so the topics carry these values. The request goes to
 * `mqttx/requests/<client identifier>/<correlation>/<request topic>`, the answer to `mqttx/responses/<client
 * identifier>/<correlation>/<status>`. The option `via: "topic"` does the same on MQTT 5, and a responder with `via:
 * "both"` serves both kinds. (In these topics `%`, `/`, `+` and `#` of the client identifier are written as `%25`,
 * `%2f`, `%2b`, `%23`.)
 *
 * **Failures.** The answer has a status: the user property `mqttx-status`, absent for success, or the last level of the
 * topic. `failure`: the handler failed with a value of the template's `failure` type, and the request fails with that
 * value. `invalid`: the request could not be read. `error`: the handler failed with any other error, or died. After
 * `invalid` and `error` the request fails with `RequestFailed`. The responder logs unexpected failures and does not
 * send their details.
 *
 * A request is acknowledged after its answer was published. A responder that dies in between gets the request again, so
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
 * The payloads of a request template. Each is a codec, or a schema whose encoded form is text.
 */
export interface RequestPayloads<Req, Res, Failure, RAsk, RAnswer, Schemas> {
  readonly request: PayloadOf<Req, RAsk, RAnswer>
  readonly response: PayloadOf<Res, RAnswer, RAsk>
  /** Failures of the handler that the requester gets as its own failure. Default: none. */
  readonly failure?: PayloadOf<Failure, RAnswer, RAsk>
  /** Schemas of the topic's parameters, see `TopicTemplate.make`. */
  readonly params?: Schemas
}

/**
 * Makes a request template. Its text is that of a topic template, see `TopicTemplate`.
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
 * Sends a request, and succeeds with the answer.
 *
 * Fails with the handler's failure if the template has a type for it; with `RequestFailed` when there is no responder
 * (MQTT 5 servers may report this) or the responder could not answer; with `Timeout`; with `InvalidPayload` for an
 * answer of another type; and as `Session.publish` and `Session.subscription` do. Interrupting withdraws a request that
 * was not sent yet.
 *
 * For frequent requests use a `requester`: it keeps the subscription to the answers between requests.
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
 * Sends a request to every responder. The stream ends with the timeout, after the silence or the number of answers that
 * the options give, and at once when the server reports that there is no responder. It fails when the request could not
 * be sent. The failure of one responder is a failure among the results.
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
 * Answers requests; runs until interrupted. With a template that has a `failure` type, handlers may fail with that type
 * only; with others, with any.
 *
 * Messages without a return address are not requests, and are ignored. A handler runs once for each delivery of a
 * request. An answer that cannot be published is published again after a growing delay, as long as its refusal may pass
 * and, on MQTT 5, the request has not expired. Otherwise the answer is given up: it is reported and counted (see
 * `HandlerMetrics`), and its request is acknowledged.
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
 * Counters of the answers that reached a session.
 */
export interface RequesterStats {
  /** Requests that wait for an answer. */
  readonly waiting: number
  readonly answered: number
  /** Answers to requests that had ended: too late, or a second answer. They are ignored. */
  readonly late: number
  /** Messages to the response topic that answer no request of this session. They are ignored. */
  readonly foreign: number
  /** Answers beyond the 4,096 that a stream of `requestMany` holds for a slow consumer. */
  readonly dropped: number
}

/**
 * The requesting side of a session, subscribed to the answers.
 */
export interface Requester {
  /** The topic of the answers; with `via: "topic"` its first levels. */
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
  /** Since the subscription was made, for all requesters of the session. */
  readonly stats: Effect.Effect<RequesterStats>
}

/**
 * Subscribes to the answers of a session for the lifetime of the scope. All requesters of the session share the
 * subscription. Waits until the session is ready.
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
