/**
 * Receives requests, runs the handler, and publishes the answers.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Message } from "../../Message.ts"
import { type InvalidFilter, type InvalidTopic, MqttError } from "../../MqttError.ts"
import * as PayloadCodec from "../../PayloadCodec.ts"
import { type Payload, toBytes } from "../../Publication.ts"
import { FailedMessages, isRefusedForGood } from "../messageFailures.ts"
import { cleanText } from "../peerText.ts"
import type { Session } from "../session/contract.ts"
import { monotonicNow } from "../time.ts"
import * as TopicPattern from "../topicPattern.ts"
import type { TypedMessage } from "../topicTemplate/contract.ts"
import { refuseRespond } from "./checks.ts"
import type { RequestTemplate, RespondOptions } from "./contract.ts"
import * as Convention from "./convention.ts"
import { viaOf } from "./request.ts"

/** An answer before it is published. */
interface Reply {
  readonly status: Convention.Status
  readonly payload: Payload
  readonly codec: Pick<PayloadCodec.PayloadCodec<never>, "contentType" | "payloadFormatIndicator">
}

/** An answer that is not published yet. A retry does not run its handler again. */
interface Unpublished {
  readonly reply: Reply
  /** Milliseconds since the epoch; undefined: the request does not say how long the requester waits. */
  readonly until: number | undefined
  attempts: number
}

const note = (status: "invalid" | "error", detail: string): Reply => ({ status, payload: detail, codec: noteCodec })

const noteCodec = PayloadCodec.text()

export const respond = <Params, Req, Res, Failure, RAsk, RAnswer, E, R>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  handler: (request: TypedMessage<Params, Req>) => Effect.Effect<Res, E, R>,
  options: RespondOptions<Params>
): Effect.Effect<void, MqttError, R | RAnswer> =>
  Effect.suspend(() => {
    const refusal = refuseRespond(session, handler, options)
    if (refusal !== undefined) return Effect.fail(refusal)
    const { concurrency, contentType, onSubscribed, order = "none", params, qos = 1, share, via } = options
    const filters = filtersOf(template, via ?? viaOf(session, undefined), params, share)
    if (Result.isFailure(filters)) {
      return Effect.fail(
        new MqttError({
          reason: filters.failure,
          session: session.name,
          method: "respond",
          topic: template.topic.path
        })
      )
    }
    const policy = session.options.protocolVersion === 5 ? contentType : "ignore"

    const reply = Effect.fnUntraced(function*(message: Message): Effect.fn.Return<Reply, never, R | RAnswer> {
      const decoded = yield* Effect.result(template.topic.decode(message, policy))
      if (Result.isFailure(decoded)) {
        yield* report(message, "a request could not be read", decoded.failure.reason.message)
        return note("invalid", decoded.failure.reason.message)
      }
      const exit = yield* Effect.exit(Effect.suspend(() => handler(decoded.success)))
      if (Exit.isSuccess(exit)) return yield* encoded("ok", template.response, exit.value, message)
      const failure = Exit.findErrorOption(exit)
      if (template.failure !== undefined && Option.isSome(failure)) {
        return yield* encoded("failure", template.failure, failure.value as unknown as Failure, message)
      }
      // The requester does not learn the details of an internal error.
      yield* report(message, "the handler of a request failed", Cause.pretty(exit.cause))
      return note("error", "")
    })

    const encoded = <A>(
      status: Convention.Status,
      codec: PayloadCodec.PayloadCodec<A, RAnswer, RAsk>,
      value: A,
      message: Message
    ): Effect.Effect<Reply, never, RAnswer> =>
      Effect.matchEffect(Effect.flatMap(codec.encode(value), (payload) => Effect.fromResult(toBytes(payload))), {
        onFailure: (reason) =>
          Effect.as(report(message, "an answer could not be written", reason.message), note("error", "")),
        onSuccess: (payload) => Effect.succeed({ status, payload, codec })
      })

    const failures = new FailedMessages(session, filters.success)
    const report = (message: Message, ...what: ReadonlyArray<string>): Effect.Effect<void> =>
      failures.ledger.isSilent ? Effect.void : Effect.logWarning(...what).pipe(
        Effect.annotateLogs({ session: session.name, topic: cleanText(message.topic) })
      )
    const unpublished = new WeakMap<Message, Unpublished>()

    const answer = Effect.fnUntraced(function*(
      message: Message,
      address: Convention.ReturnAddress
    ): Effect.fn.Return<void, MqttError, R | RAnswer> {
      let made = unpublished.get(message)
      if (made === undefined) {
        const { messageExpiryInterval } = message.properties
        const now = yield* monotonicNow
        const until = messageExpiryInterval === undefined ? undefined : now + messageExpiryInterval * 1000
        made = { reply: yield* reply(address.message), until, attempts: 0 }
        unpublished.set(message, made)
      }
      const { reply: { codec, payload, status }, until } = made
      made.attempts++
      const published = yield* Effect.result(session.publish(address.topic(status), payload, {
        qos,
        ...(session.options.protocolVersion === 5
          ? { properties: propertiesOf(address, status, codec) }
          : undefined)
      }))
      if (Result.isSuccess(published)) return
      const error = published.failure
      const isAwaited = until === undefined || (yield* monotonicNow) < until
      if (isAwaited && !isRefusedForGood(error)) return yield* Effect.fail(error)
      failures.ledger.failed()
      yield* failures.report("answer", message, {
        outcome: "skip",
        attempt: made.attempts,
        cause: Cause.fail(error)
      })
    })

    return session.consume(
      filters.success,
      (message) => {
        const address = Convention.returnAddress(message)
        if (address === undefined) {
          return Effect.logDebug("a message without a response topic is no request").pipe(
            Effect.annotateLogs({ session: session.name, topic: cleanText(message.topic) })
          )
        }
        return answer(message, address)
      },
      {
        qos,
        order,
        retained: "none",
        ...(concurrency === undefined ? undefined : { concurrency }),
        ...(onSubscribed === undefined ? undefined : {
          onSubscribed: () => onSubscribed
        })
      }
    )
  })

const filtersOf = <Params, Req, Res, Failure, RAsk, RAnswer>(
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  via: Convention.Via | "both",
  params: Partial<Params> | undefined,
  share: string | undefined
): Result.Result<ReadonlyArray<string>, InvalidTopic | InvalidFilter> =>
  Result.gen(function*() {
    const filter = yield* template.topic.filterFor(params === undefined ? {} : { params })
    const filters = via === "both"
      ? [filter, Convention.requestFilter(filter)]
      : [via === "topic" ? Convention.requestFilter(filter) : filter]
    if (share === undefined) return filters
    const sharing: Array<string> = []
    for (const each of filters) sharing.push(yield* TopicPattern.sharedFilter(share, each))
    return sharing
  })

const propertiesOf = (
  { correlationData, message, via }: Convention.ReturnAddress,
  status: Convention.Status,
  codec: Reply["codec"]
) => {
  const { messageExpiryInterval } = message.properties
  return {
    ...PayloadCodec.properties(codec),
    // The answer expires with the request.
    ...(messageExpiryInterval === undefined ? undefined : { messageExpiryInterval }),
    ...(correlationData === undefined ? undefined : { correlationData }),
    ...(via === "properties" ? Convention.statusProperties(status) : undefined)
  }
}
