/**
 * The types of requests and their answers. `RequestResponse` exports them.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as PayloadCodec from "../../PayloadCodec.ts"
import type { UserProperty } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { TopicTemplate } from "../topicTemplate/contract.ts"
import type { Via } from "./convention.ts"

/**
 * A kind of request: its topic and the types of both directions. `RAsk` are the services that the requester's codecs
 * need, `RAnswer` those of the responder.
 */
export interface RequestTemplate<Params, Req, Res, Failure = never, RAsk = never, RAnswer = never> {
  readonly request: TopicTemplate<Params, Req, RAsk, RAnswer>
  readonly response: PayloadCodec.PayloadCodec<Res, RAnswer, RAsk>
  readonly failure: PayloadCodec.PayloadCodec<Failure, RAnswer, RAsk> | undefined
}

/**
 * Options of a request.
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
 */
export interface RequestManyOptions extends RequestOptions {
  /** The stream ends after this many answers. Default: no limit. */
  readonly count?: number
  /** The stream ends when, after the first answer, no answer arrives for this time. Default: only `timeout` ends it. */
  readonly idle?: Duration.Input
}

/**
 * Options of a responder.
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
