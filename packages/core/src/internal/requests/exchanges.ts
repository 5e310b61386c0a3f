/**
 * The requests of one session that wait for answers, and the one subscription that receives the answers.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as RcRef from "effect/RcRef"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import { Closed, isMqttError, MqttError } from "../../MqttError.ts"
import type { Session } from "../session/contract.ts"
import { rooted } from "../spans.ts"
import * as Topic from "../topics.ts"
import * as Convention from "./convention.ts"

/** A message that answers a request. */
export interface Answer {
  readonly status: Convention.Status
  readonly message: Message
}

/** One request that waits for answers. */
export interface Exchange {
  readonly correlation: string
  /** Whether it accepts further answers. */
  readonly many: boolean
  readonly onAnswer: (answer: Answer) => void
  readonly onFailure: (error: MqttError) => void
}

export interface Counts {
  answered: number
  late: number
  foreign: number
  dropped: number
}

export class Exchanges {
  readonly session: Session
  readonly via: Convention.Via
  /** The topic of the answers; with the convention by topic, its first levels. */
  readonly base: string
  readonly clientId: string
  readonly counts: Counts = { answered: 0, late: 0, foreign: 0, dropped: 0 }
  readonly #waiting = new Map<string, Exchange>()
  readonly #nonce: string
  #count = 0
  #failure: MqttError | undefined

  constructor(session: Session, via: Convention.Via, base: string, clientId: string, nonce: string) {
    this.session = session
    this.via = via
    this.base = base
    this.clientId = clientId
    this.#nonce = nonce
  }

  get size(): number {
    return this.#waiting.size
  }

  get failure(): MqttError | undefined {
    return this.#failure
  }

  /** Starts to wait for the answers of a new request. */
  begin(handlers: Omit<Exchange, "correlation">): Exchange {
    const exchange = { ...handlers, correlation: `${this.#nonce}-${(++this.#count).toString(36)}` }
    if (this.#failure === undefined) this.#waiting.set(exchange.correlation, exchange)
    else exchange.onFailure(this.#failure)
    return exchange
  }

  end(exchange: Exchange): void {
    this.#waiting.delete(exchange.correlation)
  }

  receive(message: Message): void {
    const label = Convention.labelOf(message, this.base, this.via)
    const exchange = label === undefined ? undefined : this.#waiting.get(label.correlation)
    if (label === undefined || exchange === undefined) {
      if (label?.correlation.startsWith(`${this.#nonce}-`) === true) this.counts.late++
      else this.counts.foreign++
      return
    }
    this.counts.answered++
    if (!exchange.many) this.#waiting.delete(label.correlation)
    exchange.onAnswer({ status: label.status, message })
  }

  /** No more answers will arrive. */
  fail(error: MqttError): void {
    this.#failure = error
    for (const exchange of this.#waiting.values()) exchange.onFailure(error)
    this.#waiting.clear()
  }
}

/** Subscribes to the answers for the life of the scope. */
const make = Effect.fnUntraced(function*(
  session: Session,
  via: Convention.Via
): Effect.fn.Return<Exchanges, MqttError, Scope.Scope> {
  yield* session.awaitReady
  const { clientId } = yield* session.status
  const nonce = (yield* Random.nextIntBetween(0, 36 ** 8)).toString(36).padStart(8, "0")
  const base = (via === "properties" ? informed(session, clientId, yield* session.connectionInfo) : undefined) ??
    Convention.responsesTo(clientId)
  const filter = via === "properties" ? base : `${base}/+/+`
  const exchanges = new Exchanges(session, via, base, clientId, nonce)
  if (session.options.persistence === "durable") {
    // The consumer would otherwise keep the subscription, and receive answers that no request waits for.
    yield* Effect.addFinalizer(() =>
      Effect.interruptible(session.unsubscribe(filter)).pipe(Effect.timeoutOption("1 second"), Effect.ignore)
    )
  }
  const { messages } = yield* session.subscription(filter, { qos: 1, retained: "none", ack: "manual" })
  // Acknowledged first: the requester may end the subscription when it gets the answer.
  yield* Stream.runForEachArray(
    messages,
    Effect.fnUntraced(function*(batch) {
      for (let i = 0; i < batch.length; i++) yield* batch[i]!.ack
      for (let i = 0; i < batch.length; i++) exchanges.receive(batch[i]!)
    })
  ).pipe(
    Effect.onExit((exit) => Effect.sync(() => exchanges.fail(failureOf(session, exit)))),
    Effect.exit,
    Effect.forkScoped({ startImmediately: true })
  )
  return exchanges
})

/** The response topic from the server's Response Information, if the server sent some (MQTT 4.10.1). */
const informed = (
  session: Session,
  clientId: string,
  info: Effect.Success<Session["connectionInfo"]>
): string | undefined => {
  const given = session.options.requestResponseInformation && Option.isSome(info)
    ? info.value.properties.responseInformation
    : undefined
  if (given === undefined) return undefined
  const topic = `${given.endsWith("/") ? given.slice(0, -1) : given}/responses/${Convention.levelOf(clientId)}`
  return Result.isSuccess(Topic.validateName(topic)) ? topic : undefined
}

const failureOf = (session: Session, exit: Exit.Exit<void, MqttError>): MqttError => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Exit.findErrorOption(exit)) : undefined
  return isMqttError(error)
    ? error
    : new MqttError({ reason: new Closed({}), session: session.name, method: "request" })
}

type Shared = { readonly [Via in Convention.Via]?: RcRef.RcRef<Exchanges, MqttError> }

// One subscription for all requests of a session. The entry is garbage-collected with its session.
const shared = new WeakMap<Session, Shared>()

const sharedBy = Effect.fnUntraced(function*(session: Session, via: Convention.Via) {
  const existing = shared.get(session)?.[via]
  if (existing !== undefined) return existing
  // The reference counts its users and ends with the last one, so it needs no explicit end.
  const ref = yield* Scope.provide(RcRef.make({ acquire: rooted(make(session, via)) }), Scope.makeUnsafe())
  const entry = shared.get(session)
  const other = entry?.[via]
  if (other !== undefined) return other
  shared.set(session, { ...entry, [via]: ref })
  return ref
})

/** The session's exchanges, whose subscription lasts as long as it has users. */
export const use = Effect.fnUntraced(function*(
  session: Session,
  via: Convention.Via
): Effect.fn.Return<Exchanges, MqttError, Scope.Scope> {
  const ref = yield* sharedBy(session, via)
  const exchanges = yield* RcRef.get(ref)
  if (exchanges.failure === undefined) return exchanges
  yield* RcRef.invalidate(ref)
  return yield* RcRef.get(ref)
})
