/**
 * The stage of a forwarder that runs the program's transformation. It works on many messages at a time, but on one
 * after the other for each topic, which keeps the order of the topic. Forwarders without a transformation do not have
 * it.
 *
 * `messageFilter.ts` hands it messages, and it hands them to `topicMapping.ts`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"
import type { Message } from "../../Message.ts"
import { MqttError } from "../../MqttError.ts"
import type { RouteTransformer } from "../../RouteTransformer.ts"
import { checkMessage } from "../session/publishRequest.ts"
import type { ForwardedMessage, Received } from "./forwardedMessage.ts"
import { dropped, failed, returned, type Settle } from "./outcome.ts"

export interface TransformationsParts {
  readonly transformer: RouteTransformer<unknown>
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  readonly onRetry: () => void
  /** The next stage. */
  readonly map: (message: Received) => void
  readonly settle: Settle
}

export class Transformations {
  readonly #parts: TransformationsParts
  /** Topics with a running transformation, each with the messages that wait for it. */
  readonly #chains = new Map<string, Array<Received>>()
  /** Messages whose transformation is due to start, and whether a start is scheduled. */
  readonly #due: Array<Received> = []
  #isStarting = false

  constructor(parts: TransformationsParts) {
    this.#parts = parts
  }

  add(message: Received): void {
    const { topic } = message.delivery.message
    const behind = this.#chains.get(topic)
    if (behind !== undefined) {
      behind.push(message)
      return
    }
    this.#chains.set(topic, [])
    this.#due.push(message)
    this.#startDue()
  }

  // A loop, not a recursion: a synchronous transformation ends before `fork` returns, and starts the next one.
  #startDue(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    for (let message = this.#due.shift(); message !== undefined; message = this.#due.shift()) {
      if (isReceived(message)) this.#start(message)
      else this.#follow(message)
    }
    this.#isStarting = false
  }

  #start(message: Received): void {
    const { fork, onRetry, retry, transformer } = this.#parts
    let attempts = 0
    const attempt = Effect.suspend(() => {
      if (attempts++ > 0) onRetry()
      return transformer.transform(message.message)
    })
    const repeated = retry === undefined ? attempt : Effect.retry(attempt, retry)
    fork(Effect.map(Effect.exit(Effect.flatMap(repeated, checked)), (exit) => {
      this.#follow(message)
      if (isReceived(message)) this.#transformed(message, exit)
      this.#startDue()
    }))
  }

  #follow(message: Received): void {
    const { topic } = message.delivery.message
    const next = this.#chains.get(topic)?.shift()
    if (next === undefined) this.#chains.delete(topic)
    else this.#due.push(next)
  }

  #transformed(message: Received, exit: Exit.Exit<Message | undefined, unknown>): void {
    const { map, settle } = this.#parts
    if (Exit.isFailure(exit)) {
      return settle(message, failed("the transformation failed", Cause.squash(exit.cause)))
    }
    if (message.delivery.stale) return settle(message, returned)
    if (exit.value === undefined) return settle(message, dropped("transformed"))
    message.transform(exit.value)
    map(message)
  }
}

/** False: the forwarder has given the message back since. */
const isReceived = (message: ForwardedMessage): boolean => message.state === "received"

/** Checks the result of a transformation, because untyped code may return any value. */
const checked = (message: unknown): Effect.Effect<Message | undefined, MqttError> => {
  if (message === undefined) return Effect.undefined
  const fit = checkMessage(message)
  return "_tag" in fit ? Effect.fail(new MqttError({ reason: fit })) : Effect.succeed(fit)
}
