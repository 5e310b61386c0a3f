/**
 * The implementation of request templates: their parts, and their operations on any session. `RequestResponse` makes
 * them.
 */
import * as Effect from "effect/Effect"
import type * as PayloadCodec from "../../PayloadCodec.ts"
import type { TopicTemplate } from "../topicTemplate/contract.ts"
import { type RequestTemplate, TypeId } from "./contract.ts"
import { request, requestMany } from "./request.ts"
import { respond } from "./respond.ts"

export class TypedRequest<Params, Req, Res, Failure, RAsk, RAnswer>
  implements RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>
{
  readonly [TypeId]: typeof TypeId = TypeId
  readonly topic: TopicTemplate<Params, Req, RAsk, RAnswer>
  readonly response: PayloadCodec.PayloadCodec<Res, RAnswer, RAsk>
  readonly failure: PayloadCodec.PayloadCodec<Failure, RAnswer, RAsk> | undefined

  constructor(
    topic: TopicTemplate<Params, Req, RAsk, RAnswer>,
    response: PayloadCodec.PayloadCodec<Res, RAnswer, RAsk>,
    failure: PayloadCodec.PayloadCodec<Failure, RAnswer, RAsk> | undefined
  ) {
    this.topic = topic
    this.response = response
    this.failure = failure
  }

  readonly request: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>["request"] = (
    session,
    params,
    value,
    options = {}
  ) => Effect.withSpan(request(session, this, params, value, options), "RequestTemplate.request")

  readonly requestMany: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>["requestMany"] = (
    session,
    params,
    value,
    options = {}
  ) => requestMany(session, this, params, value, options)

  readonly respond: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>["respond"] = (
    session,
    handler,
    options = {}
  ) => respond(session, this, handler, options)
}
