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
 * **Example** (Asking and answering)
 *
 * ```ts
 * import { MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
 * import { Deferred, Effect, Schema } from "effect"
 *
 * const setLamp = RequestResponse.template("rooms/:room/lamp/set", {
 *   request: PayloadCodec.json(Schema.Struct({ on: Schema.Boolean })),
 *   response: PayloadCodec.json(Schema.Struct({ watts: Schema.Finite })),
 *   failure: PayloadCodec.json(Schema.Literal("burnt out"))
 * })
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   const ready = yield* Deferred.make<void>()
 *   yield* setLamp.respond(
 *     session,
 *     ({ params, value }) =>
 *       params.room === "cellar"
 *         ? Effect.fail("burnt out" as const)
 *         : Effect.succeed({ watts: value.on ? 7 : 0 }),
 *     { onSubscribed: Effect.asVoid(Deferred.succeed(ready, undefined)) }
 *   ).pipe(Effect.forkScoped)
 *   yield* Deferred.await(ready)
 *   return yield* setLamp.request(session, { room: "kitchen" }, { on: true }, { timeout: "2 seconds" })
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { isRecord, refusal } from "./internal/options/plain.ts"
import { refuseRequester, refuseTemplate } from "./internal/requests/checks.ts"
import {
  type RequestManyOptions,
  type RequestOptions,
  type RequestTemplate,
  TypeId
} from "./internal/requests/contract.ts"
import { use } from "./internal/requests/exchanges.ts"
import { viaOf } from "./internal/requests/request.ts"
import { TypedRequest } from "./internal/requests/requestTemplate.ts"
import { codecOf, requestIssues } from "./internal/templates.ts"
import type { MqttError } from "./MqttError.ts"
import type { Session } from "./MqttSession.ts"
import type * as PayloadCodec from "./PayloadCodec.ts"
import type { CheckedPath, ParameterSchemas, TemplateParameters } from "./TopicTemplate.ts"
import * as TopicTemplateModule from "./TopicTemplate.ts"
export type {
  HandlerFailure,
  RequestManyOptions,
  RequestOptions,
  RequestTemplate,
  RespondOptions
} from "./internal/requests/contract.ts"

type PayloadOf<A, RE, RD> = PayloadCodec.PayloadCodec<A, RE, RD> | Schema.ConstraintCodec<A, string, RD, RE>

/**
 * The payloads of a request template. Each is a codec, or a schema whose encoded form is text.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RequestPayloads<Req, Res, Failure, RAsk, RAnswer, Schemas> {
  /** The payload of the request. */
  readonly request: PayloadOf<Req, RAsk, RAnswer>
  /** The payload of the answer. */
  readonly response: PayloadOf<Res, RAnswer, RAsk>
  /** Failures of the handler that the requester gets as its own failure. Default: none. */
  readonly failure?: PayloadOf<Failure, RAnswer, RAsk>
  /** Schemas of the topic's parameters, see `TopicTemplate.make`. */
  readonly params?: Schemas
}

/**
 * Makes a request template. Its text is that of a topic template, see `TopicTemplate`.
 *
 * **Example** (Describing a request)
 *
 * ```ts
 * import { PayloadCodec, RequestResponse } from "@effect-mqttx/core"
 * import { Schema } from "effect"
 *
 * const add = RequestResponse.template("calculators/:name/add", {
 *   request: PayloadCodec.json(Schema.Struct({ a: Schema.Finite, b: Schema.Finite })),
 *   response: PayloadCodec.json(Schema.Finite)
 * })
 *
 * add.topic.filter // => "calculators/+/add"
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
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
  return new TypedRequest(
    TopicTemplateModule.make<Path, Req, RAsk, RAnswer, Schemas>(
      path,
      codecOf(payloads.request),
      (payloads.params === undefined ? {} : { params: payloads.params }) as {}
    ),
    codecOf(payloads.response),
    payloads.failure === undefined ? undefined : codecOf(payloads.failure)
  )
}

/**
 * Whether a value is a request template.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isRequestTemplate = (
  u: unknown
): u is RequestTemplate<unknown, unknown, unknown, unknown, unknown, unknown> => Predicate.hasProperty(u, TypeId)

/**
 * Counters of the answers that reached a session.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RequesterMetrics {
  /** Requests that wait for an answer. */
  readonly waiting: number
  /** Answers that reached their request. */
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
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Requester {
  /** The topic of the answers; with `via: "topic"` its first levels. */
  readonly responseTopic: string
  /** See `RequestTemplate.request`. */
  readonly request: <Params, Req, Res, Failure, RAsk, RAnswer>(
    template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
    params: Params,
    value: Req,
    options?: Omit<RequestOptions, "via">
  ) => Effect.Effect<Res, MqttError | Failure, RAsk>
  /** See `RequestTemplate.requestMany`. */
  readonly requestMany: <Params, Req, Res, Failure, RAsk, RAnswer>(
    template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
    params: Params,
    value: Req,
    options?: Omit<RequestManyOptions, "via">
  ) => Stream.Stream<Result.Result<Res, MqttError | Failure>, MqttError, RAsk>
  /** Since the subscription was made, for all requesters of the session. */
  readonly metrics: Effect.Effect<RequesterMetrics>
}

/**
 * Subscribes to the answers of a session for the lifetime of the scope. All requesters of the session share the
 * subscription. Waits until the session is ready.
 *
 * **Example** (Sending many requests)
 *
 * ```ts
 * import { type MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * const echo = RequestResponse.template("echo", { request: PayloadCodec.text(), response: PayloadCodec.text() })
 *
 * export const ask = (session: MqttSession.Session, questions: ReadonlyArray<string>) =>
 *   Effect.gen(function*() {
 *     const requester = yield* RequestResponse.requester(session)
 *     return yield* Effect.forEach(questions, (question) => requester.request(echo, {}, question))
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
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
      request: (template, params, value, given = {}) => {
        const mistake = refuseTemplate(template, session.name, "request")
        return mistake === undefined
          ? template.request(session, params, value, isRecord(given) ? { ...given, via } : given)
          : Effect.fail(mistake)
      },
      requestMany: (template, params, value, given = {}) => {
        const mistake = refuseTemplate(template, session.name, "request")
        return mistake === undefined
          ? template.requestMany(session, params, value, isRecord(given) ? { ...given, via } : given)
          : Stream.fail(mistake)
      },
      metrics: Effect.sync(() => ({ ...exchanges.counts, waiting: exchanges.size }))
    }))
  })
