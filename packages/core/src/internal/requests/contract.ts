/**
 * What requests and their answers are described by; RequestResponse exports it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as PayloadCodec from "../../PayloadCodec.ts"
import type { UserProperty } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { TopicTemplate } from "../topicTemplate/contract.ts"
import type { Via } from "./convention.ts"

/**
 * A kind of request: its topic and the types of both directions. `RAsk` are the services that the asking side's codecs
 * need, `RAnswer` those of the answering side.
 */
export interface RequestTemplate<Params, Req, Res, Failure = never, RAsk = never, RAnswer = never> {
  readonly request: TopicTemplate<Params, Req, RAsk, RAnswer>
  readonly response: PayloadCodec.PayloadCodec<Res, RAnswer, RAsk>
  readonly failure: PayloadCodec.PayloadCodec<Failure, RAnswer, RAsk> | undefined
}

/**
 * How to ask.
 */
export interface RequestOptions {
  /** From the call to the answer, the wait for a connection included. Default 10 seconds. */
  readonly timeout?: Duration.Input
  /** Of the request. Default 1. */
  readonly qos?: QoS
  /** Of the request; MQTT 5. */
  readonly userProperties?: ReadonlyArray<UserProperty>
  /** Whether the content type of an answer on MQTT 5 must fit. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
  /** How the responder learns where the answer belongs. Default: `properties` on MQTT 5, `topic` on 3.1.1. */
  readonly via?: Via
}

/**
 * How to ask, and when to stop listening.
 */
export interface RequestManyOptions extends RequestOptions {
  /** The stream ends after this many answers. Default: no limit. */
  readonly count?: number
  /** The stream ends when, after the first answer, none came for this time. Default: only `timeout` ends it. */
  readonly idle?: Duration.Input
}

/**
 * How to answer.
 */
export interface RespondOptions<Params> {
  /** Only requests with these parameters. Default: all. */
  readonly params?: Partial<Params>
  /** The share name of several responders that divide the requests among them (MQTT 4.8.2). */
  readonly share?: string
  /** Handlers that run at the same time. Default 16. */
  readonly concurrency?: number
  /** `topic`: one request at a time for each topic, in order. Default `none`. */
  readonly order?: "topic" | "none"
  /** Of the subscription and of the answers. Default 1. */
  readonly qos?: QoS
  /** Whether the content type of a request on MQTT 5 must fit. Default `ifPresent`. */
  readonly contentType?: PayloadCodec.ContentTypePolicy
  /** Which kind of requests to answer. Default: `properties` on MQTT 5, `topic` on 3.1.1. */
  readonly via?: Via | "both"
  /** Runs once, when the server granted the subscription: from then on requests are answered. */
  readonly onSubscribed?: Effect.Effect<void>
}
