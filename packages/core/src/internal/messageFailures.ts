/**
 * Handles messages that a handler, a transformer or a codec rejected: counts them, reports them, and publishes their
 * dead letters, the same way for `consume`, streams and routes.
 *
 * It never acknowledges a message and never runs a handler; its callers do.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Message } from "../Message.ts"
import { Closed, isMqttError, MqttError } from "../MqttError.ts"
import { none, type UserProperty } from "../Properties.ts"
import type { Payload, PublishOptions } from "../Publication.ts"
import type { ProtocolVersion } from "../QoS.ts"
import type { DeadLetterPolicy, FailureOutcome, FailurePolicy } from "../Subscription.ts"
import { backoff, delaysOf } from "./backoff.ts"
import { carriedProperties, comesBack, deadLetterProperties, remember, topicsBehind } from "./deadLetter.ts"
import { cleanText } from "./peerText.ts"
import { monotonicMillis } from "./time.ts"

/**
 * The outcome of one failed message, for an event.
 */
export interface FailureReport {
  readonly outcome: FailureOutcome
  readonly topic: string
  /** How many times the message has failed. */
  readonly attempt: number
  /** Milliseconds until the next attempt. */
  readonly delay?: number | undefined
  readonly cause: Cause.Cause<unknown>
  /** Why its dead letter was refused. */
  readonly error?: MqttError | undefined
  /** The message already was a dead letter, and is not published once more. */
  readonly isDeadLetter?: boolean
}

/**
 * A message that has failed and is not settled yet.
 */
export interface FailingMessage {
  /** Milliseconds since the epoch. */
  readonly since: number
}

/**
 * Where a session counts failed messages.
 */
export interface FailureLedger {
  /** A message has failed for the first time. The caller must call `end` later. */
  readonly begin: () => FailingMessage
  readonly end: (message: FailingMessage) => void
  readonly failed: () => void
  readonly retried: () => void
  readonly note: (report: FailureReport) => void
  /** The session writes no log. */
  readonly isSilent: boolean
  /** Calls back when the session begins to end, or at once if it already has, until the returned function is called. */
  readonly onStopping: (listener: () => void) => () => void
}

const noLedger: FailureLedger = {
  begin: () => ({ since: 0 }),
  end: () => {},
  failed: () => {},
  retried: () => {},
  note: () => {},
  isSilent: false,
  onStopping: () => () => {}
}

/**
 * The property of a session that holds its ledger. A program that wraps a session keeps it (`{ ...session, publish }`).
 */
export const ledgerKey: unique symbol = Symbol.for("@effect-mqttx/core/FailureLedger")

/**
 * The parts of a session that are needed here. Every `Session` has them.
 */
export interface FailingSession {
  readonly name: string
  readonly options: { readonly protocolVersion: ProtocolVersion; readonly servers?: ReadonlyArray<string> }
  readonly publish: (topic: string, payload: Payload, options?: PublishOptions) => Effect.Effect<unknown, MqttError>
  readonly [ledgerKey]?: FailureLedger
}

/**
 * The part that rejected a message, for the log.
 */
export type Failed = "handler" | "transformer" | "codec" | "template" | "answer"

const texts: { readonly [Kind in Failed]: string } = {
  handler: "a message handler failed",
  transformer: "a message could not be transformed",
  codec: "a message could not be decoded",
  template: "a message is not what its topic template says",
  answer: "the answer to a request could not be published"
}

const noPayload = new Uint8Array(0)

/** At most one line is logged for each consumer and outcome in this many milliseconds. */
const logInterval = 10_000

/**
 * The failed messages of one consumer.
 */
export class FailedMessages {
  readonly ledger: FailureLedger
  readonly #session: FailingSession
  readonly #filters: ReadonlyArray<string>
  readonly #servers: string
  /** The user properties that identify the consumer that rejected a message. */
  readonly #consumer: ReadonlyArray<UserProperty>
  #logged: Map<FailureOutcome, { at: number; untold: number }> | undefined

  /**
   * @param filters of the consumer
   * @param consumer its name, if it has one
   */
  constructor(session: FailingSession, filters: ReadonlyArray<string>, consumer?: string) {
    this.ledger = session[ledgerKey] ?? noLedger
    this.#consumer = consumer === undefined ? [] : [["mqttx-consumer", consumer]]
    this.#session = session
    this.#filters = filters
    this.#servers = session.options.servers?.join(" ") ?? ""
  }

  /** Counts an outcome, emits its event, and logs it unless the same outcome was logged recently. */
  report(kind: Failed, message: Message, report: Omit<FailureReport, "topic">): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      const { attempt, cause, delay, error, outcome } = report
      this.ledger.note({ outcome, topic: message.topic, attempt, delay, cause, error })
      if (this.ledger.isSilent) return Effect.void
      const now = monotonicMillis(clock)
      const logged = this.#logged?.get(outcome)
      if (logged !== undefined && now - logged.at < logInterval) {
        logged.untold++
        return Effect.void
      }
      this.#logged ??= new Map()
      this.#logged.set(outcome, { at: now, untold: 0 })
      const words = wordsOf(report)
      const log = outcome === "deadLetterRefused" ? Effect.logError : Effect.logWarning
      // A logger that throws must not keep the message from being settled.
      return log(
        kind === "template" ? texts.template : `${texts[kind]}: ${words}`,
        kind === "template" || kind === "codec" ? textOf(cause) : Cause.pretty(cause)
      ).pipe(
        Effect.annotateLogs({
          session: this.#session.name,
          topic: cleanText(message.topic),
          outcome: kind === "template" ? words : outcome,
          ...(attempt === 1 ? undefined : { attempt }),
          ...(error === undefined ? undefined : { reason: error.reason._tag }),
          ...(logged === undefined || logged.untold === 0 ? undefined : { others: logged.untold })
        }),
        Effect.catchCause(() => Effect.void)
      )
    })
  }

  /** Waits. Returns early with true if the session begins to end meanwhile. */
  isStoppingWithin(millis: number): Effect.Effect<boolean> {
    const stopping = Effect.callback<boolean>((resume) => {
      const stop = this.ledger.onStopping(() => resume(Effect.succeed(true)))
      return Effect.sync(stop)
    })
    return Effect.raceFirst(
      stopping,
      Effect.as(millis > 0 ? Effect.sleep(Duration.millis(millis)) : Effect.yieldNow, false)
    )
  }

  /**
   * Publishes the dead letter of a message, and retries while its refusal may be temporary. Returns undefined when the
   * message is settled: its dead letter is published, or given up. Returns an error when the message must stay
   * unacknowledged, because the session ends or `isWanted` says that no consumer waits for it any more.
   */
  deadLetter(
    kind: Failed,
    message: Message,
    policy: DeadLetterPolicy,
    cause: Cause.Cause<unknown>,
    attempt: number,
    isWanted: () => boolean = () => true
  ): Effect.Effect<MqttError | undefined> {
    const { deadLetter: topic, onRefused = "skip" } = policy
    return Effect.gen({ self: this }, function*() {
      const behind = topicsBehind(message, this.#servers)
      if (comesBack(message, behind, this.#filters, topic)) {
        yield* this.report(kind, message, { outcome: "skip", attempt, cause, isDeadLetter: true })
        return undefined
      }
      const nextDelay = yield* delaysOf(backoff)
      while (true) {
        const published = yield* Effect.result(this.#publish(message, topic, behind, cause))
        if (Result.isSuccess(published)) {
          yield* this.report(kind, message, { outcome: "deadLetter", attempt, cause })
          return undefined
        }
        const error = published.failure
        if (error.reason._tag === "Closed") return error
        if (onRefused === "skip" && isRefusedForGood(error)) {
          if (error.reason._tag === "PacketTooLarge") yield* this.#publishMarks(message, topic, behind, cause)
          yield* this.report(kind, message, { outcome: "deadLetterRefused", attempt, cause, error })
          return undefined
        }
        const delay = (yield* nextDelay(undefined)) ?? 0
        yield* this.report(kind, message, { outcome: "deadLetterRetry", attempt, delay, cause, error })
        const isStopping = yield* this.isStoppingWithin(delay)
        if (isStopping || !isWanted()) {
          return isStopping ? new MqttError({ session: this.#session.name, reason: new Closed({}) }) : error
        }
      }
    })
  }

  #publish(
    message: Message,
    topic: string,
    behind: ReadonlyArray<string>,
    cause: Cause.Cause<unknown>
  ): Effect.Effect<unknown, MqttError> {
    const { options, publish } = this.#session
    // Remembered before the publish, because the server may deliver it before it acknowledges it.
    remember(this.#servers, topic, message.payload, [...behind, message.topic])
    if (options.protocolVersion === 4) return publish(topic, message.payload, { qos: message.qos })
    const marked = publish(topic, message.payload, {
      qos: message.qos,
      properties: deadLetterProperties(message, behind, textOf(cause), this.#consumer)
    })
    // The marks may be the part that is too large.
    return Effect.catchIf(
      marked,
      ({ reason }) => reason._tag === "PacketTooLarge",
      () => publish(topic, message.payload, { qos: message.qos, properties: carriedProperties(message) })
    )
  }

  /**
   * For a message that is too large for a dead letter: publishes the marks only, if the server accepts at least that.
   */
  #publishMarks(
    message: Message,
    topic: string,
    behind: ReadonlyArray<string>,
    cause: Cause.Cause<unknown>
  ): Effect.Effect<void> {
    const { options, publish } = this.#session
    if (options.protocolVersion === 4) return Effect.void
    const bytes: UserProperty = ["mqttx-payload-bytes", String(message.payload.length)]
    const more = [...this.#consumer, bytes]
    return Effect.ignore(publish(topic, noPayload, {
      qos: message.qos,
      properties: deadLetterProperties(message.with({ properties: none }), behind, textOf(cause), more)
    }))
  }
}

/**
 * The part that found the message itself to be invalid, permanently: `decode` or a transformer. Undefined for all other
 * failures.
 */
export const invalidFor = (cause: Cause.Cause<unknown>): "codec" | "transformer" | undefined => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (!isMqttError(error)) return undefined
  if (error.reason._tag !== "InvalidPayload" && error.reason._tag !== "InvalidTopic") return undefined
  return error.method === "decode" ? "codec" : error.method === "transform" ? "transformer" : undefined
}

/**
 * What to do with invalid messages, and with all other failed messages.
 */
export interface FailurePolicies {
  readonly onFailure: FailurePolicy
  readonly onInvalid: FailurePolicy
}

/**
 * The policies with their defaults. An invalid message is not retried by default.
 */
export const policiesOf = (
  { onFailure = "retry", onInvalid }: {
    readonly onFailure?: FailurePolicy | undefined
    readonly onInvalid?: FailurePolicy | undefined
  }
): FailurePolicies => ({ onFailure, onInvalid: onInvalid ?? (onFailure === "retry" ? "skip" : onFailure) })

/** The topics that a consumer's dead letters go to. Messages on them are not the consumer's input. */
export const deadLetterTopics = ({ onFailure, onInvalid }: FailurePolicies): ReadonlyArray<string> =>
  [onFailure, onInvalid].flatMap((policy) => typeof policy === "object" ? [policy.deadLetter] : [])

/**
 * Whether the refusal of a publish concerns the message itself and would recur. Every other refusal may be temporary.
 */
export const isRefusedForGood = (error: MqttError): boolean => {
  if (error.isRetryable) return false
  switch (error.reason._tag) {
    case "Expired":
    case "InvalidPayload":
    case "InvalidTopic":
    case "NotSupported":
    case "PacketTooLarge":
    case "PoisonMessage":
    case "PublishRefused":
      return true
    default:
      return false
  }
}

const wordsOf = ({ delay, error, isDeadLetter, outcome }: Omit<FailureReport, "topic">): string => {
  const refusal = error?.reason.message ?? ""
  switch (outcome) {
    case "retry":
      return `it is tried again in ${delay} ms`
    case "skip":
      return isDeadLetter === true
        ? "it is among the dead letters already, and is acknowledged"
        : "the message is given up and acknowledged"
    case "fail":
      return "the consumer ends, and the message stays unacknowledged"
    case "deadLetter":
      return "the message went to the dead letters"
    case "deadLetterRetry":
      return `its dead letter was refused and is published again in ${delay} ms: ${refusal}`
    case "deadLetterRefused":
      return `its dead letter was refused, and the message is given up and acknowledged: ${refusal}`
  }
}

/** The failure in one sentence. */
const textOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (isMqttError(error)) return error.reason.message
  if (error instanceof Error) return error.message === "" ? error.name : error.message
  return typeof error === "string" ? error : Cause.pretty(cause).split("\n")[0]!
}
