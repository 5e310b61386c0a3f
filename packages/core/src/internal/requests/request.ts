/**
 * Publishes requests, and reads one answer or many.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { MqttError, type MqttErrorReason, RequestFailed } from "../../MqttError.ts"
import * as PayloadCodec from "../../PayloadCodec.ts"
import type { MessageProperties } from "../../Properties.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { parseMillis } from "../options/durations.ts"
import { cleanText } from "../peerText.ts"
import type { Session } from "../session/contract.ts"
import { standingOf, timeoutReason } from "../session/timeouts.ts"
import { monotonicMillis } from "../time.ts"
import { refuseRequest } from "./checks.ts"
import type { RequestManyOptions, RequestOptions, RequestTemplate } from "./contract.ts"
import * as Convention from "./convention.ts"
import { type Answer, type Exchange, type Exchanges, use } from "./exchanges.ts"

const defaultTimeout = Duration.seconds(10)
const second = Duration.seconds(1)
/**
 * The number of answers that one stream may buffer. All streams of a session share its subscription, so no stream may
 * block it.
 */
const maximumWaiting = 4096
const encoder = new TextEncoder()

/** How the session sends requests, if the options do not say. */
export const viaOf = (session: Session, via: Convention.Via | undefined): Convention.Via =>
  via ?? (session.options.protocolVersion === 5 ? "properties" : "topic")

const errorOf = (session: Session, topic: string, reason: MqttErrorReason): MqttError =>
  new MqttError({ reason, session: session.name, method: "request", topic })

/** The parts of one request that do not depend on its answers. */
class Question<Params, Req, Res, Failure, RAsk, RAnswer> {
  readonly session: Session
  readonly via: Convention.Via
  readonly timeout: Duration.Duration
  readonly #template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>
  readonly #params: Params
  readonly #value: Req
  readonly #options: RequestOptions

  constructor(
    session: Session,
    template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
    params: Params,
    value: Req,
    options: RequestOptions
  ) {
    this.session = session
    this.via = viaOf(session, options.via)
    // Checked with the other options.
    this.timeout = options.timeout === undefined ? defaultTimeout : Duration.millis(parseMillis(options.timeout) ?? 0)
    this.#template = template
    this.#params = params
    this.#value = value
    this.#options = options
  }

  error(reason: MqttErrorReason): MqttError {
    return errorOf(this.session, this.#template.topic.path, reason)
  }

  get late(): Effect.Effect<MqttError> {
    return Effect.map(
      this.session.status,
      (status) => this.error(timeoutReason("request", Duration.toMillis(this.timeout), standingOf(status)))
    )
  }

  /** Publishes the request. Fails if the server reports that it has no subscriber. */
  publish(exchanges: Exchanges, { correlation }: Exchange): Effect.Effect<void, MqttError, RAsk> {
    const { session, timeout, via } = this
    const { qos = 1, userProperties } = this.#options
    const version5 = session.options.protocolVersion === 5
    // Longer than the timeout of the request, so that only that timeout can expire, and not one of the queue or the
    // publisher.
    const patience = Duration.sum(timeout, second)
    const properties: MessageProperties = {
      ...(version5 && Duration.isFinite(timeout) ? { messageExpiryInterval: expiryOf(timeout) } : undefined),
      ...(userProperties === undefined ? undefined : { userProperties }),
      ...(via === "properties"
        ? { responseTopic: exchanges.base, correlationData: encoder.encode(correlation) }
        : undefined)
    }
    return this.#template.topic.outgoing(session, this.#params, this.#value, {
      qos,
      properties,
      timeout: patience,
      ...(Duration.isFinite(patience) ? { expiresAfter: patience } : undefined)
    }).pipe(
      Effect.flatMap(({ options, payload, topic }) =>
        session.publish(
          via === "topic" ? Convention.requestTopic(exchanges.clientId, correlation, topic) : topic,
          payload,
          options
        )
      ),
      Effect.flatMap(({ reasonCode }) =>
        reasonCode === ReasonCode.noMatchingSubscribers
          ? Effect.fail(this.error(new RequestFailed({ status: "noResponder" })))
          : Effect.void
      )
    )
  }

  /** Decodes an answer. */
  read({ message, status }: Answer): Effect.Effect<Res, MqttError | Failure, RAsk> {
    const { contentType } = this.#options
    const policy = this.session.options.protocolVersion === 5 ? contentType : "ignore"
    const { failure, response } = this.#template
    const decode = <A>(codec: PayloadCodec.PayloadCodec<A, RAnswer, RAsk>): Effect.Effect<A, MqttError, RAsk> => {
      const mismatch = PayloadCodec.mismatch(codec, message.properties, policy)
      return Effect.mapError(
        mismatch === undefined ? codec.decode(message.payload) : Effect.fail(mismatch),
        (reason) => this.error(reason)
      )
    }
    if (status === "ok") return decode(response)
    if (status === "failure" && failure !== undefined) return Effect.flatMap(decode(failure), Effect.fail)
    return Effect.fail(this.error(
      new RequestFailed({
        status: status === "invalid" ? "invalid" : "error",
        detail: status === "failure" || message.payload.length === 0 ? undefined : cleanText(message.text)
      })
    ))
  }
}

const expiryOf = (timeout: Duration.Duration): number =>
  Math.min(0xffffffff, Math.max(1, Math.ceil(Duration.toMillis(timeout) / 1000)))

export const request = <Params, Req, Res, Failure, RAsk, RAnswer>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  params: Params,
  value: Req,
  options: RequestOptions
): Effect.Effect<Res, MqttError | Failure, RAsk> =>
  Effect.suspend(() => {
    const refusal = refuseRequest(session, options, false)
    if (refusal !== undefined) return Effect.fail(refusal)
    const question = new Question(session, template, params, value, options)
    const ask = (exchanges: Exchanges): Effect.Effect<Answer, MqttError, RAsk> =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const answer = Deferred.makeUnsafe<Answer, MqttError>()
          const exchange = exchanges.begin({
            many: false,
            onAnswer: (given) => Deferred.doneUnsafe(answer, Effect.succeed(given)),
            onFailure: (error) => Deferred.doneUnsafe(answer, Effect.fail(error))
          })
          return { answer, exchange }
        }),
        // An answer may overtake the acknowledgement of its request.
        ({ answer, exchange }) =>
          Effect.raceFirst(
            Deferred.await(answer),
            Effect.andThen(question.publish(exchanges, exchange), Effect.never)
          ),
        ({ exchange }) => Effect.sync(() => exchanges.end(exchange))
      )
    return Effect.scoped(Effect.flatMap(use(session, question.via), ask)).pipe(
      Effect.timeoutOrElse({ duration: question.timeout, orElse: () => Effect.flatMap(question.late, Effect.fail) }),
      Effect.flatMap((answer) => question.read(answer))
    )
  })

type Answers = Queue.Queue<Answer, MqttError | Cause.Done>

export const requestMany = <Params, Req, Res, Failure, RAsk, RAnswer>(
  session: Session,
  template: RequestTemplate<Params, Req, Res, Failure, RAsk, RAnswer>,
  params: Params,
  value: Req,
  options: RequestManyOptions
): Stream.Stream<Result.Result<Res, MqttError | Failure>, MqttError, RAsk> => {
  const ask = Effect.gen(function*() {
    const refusal = refuseRequest(session, options, true)
    if (refusal !== undefined) return Stream.fail(refusal)
    const question = new Question(session, template, params, value, options)
    const { count, idle } = options
    const answers: Answers = yield* Queue.bounded<Answer, MqttError | Cause.Done>(maximumWaiting)
    const clock = yield* Clock.Clock
    const progress = { published: false, received: 0, lastAt: 0 }
    const first = Deferred.makeUnsafe<void>()
    yield* Effect.forkScoped(
      Effect.andThen(
        Effect.sleep(question.timeout),
        Effect.suspend(() =>
          progress.published || progress.received > 0
            ? Queue.end(answers)
            : Effect.flatMap(question.late, (late) => Queue.fail(answers, late))
        )
      ),
      { startImmediately: true }
    )
    if (idle !== undefined) {
      const quiet = parseMillis(idle) ?? 0
      yield* Effect.forkScoped(Effect.gen(function*() {
        yield* Deferred.await(first)
        while (true) {
          const left = progress.lastAt + quiet - monotonicMillis(clock)
          if (left <= 0) return yield* Queue.end(answers)
          yield* Effect.sleep(left)
        }
      }))
    }
    const publishing = Effect.gen(function*() {
      const exchanges = yield* use(session, question.via)
      const exchange = yield* Effect.acquireRelease(
        Effect.sync(() =>
          exchanges.begin({
            many: true,
            onAnswer: (answer) => {
              progress.lastAt = monotonicMillis(clock)
              if (progress.received++ === 0) Deferred.doneUnsafe(first, Effect.void)
              if (!Queue.offerUnsafe(answers, answer)) exchanges.counts.dropped++
              if (progress.received === count) Queue.endUnsafe(answers)
            },
            onFailure: (error) => fail(answers, error)
          })
        ),
        (begun) => Effect.sync(() => exchanges.end(begun))
      )
      yield* question.publish(exchanges, exchange)
      progress.published = true
    })
    yield* publishing.pipe(
      Effect.catch((error) =>
        Effect.sync(() => {
          // No responder means an empty stream, not a failure.
          if (error.reason._tag === "RequestFailed") Queue.endUnsafe(answers)
          else fail(answers, error)
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    return Stream.mapEffect(Stream.fromQueue(answers), (answer) => Effect.result(question.read(answer)))
  })
  return Stream.unwrap(ask as Effect.Effect<Effect.Success<typeof ask>, never, RAsk | Scope.Scope>)
}

const fail = (answers: Answers, error: MqttError): void => {
  Queue.failCauseUnsafe(answers, Cause.fail(error))
}
