/**
 * Runs the program's transformations: many at a time, but one after the other for each topic, which keeps the order of
 * the topic.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"
import type { Message } from "../../Message.ts"
import { MqttError } from "../../MqttError.ts"
import type { RouteTransformer } from "../../RouteTransformer.ts"
import { checkMessage } from "../session/publishRequest.ts"
import type { ForwardedMessage } from "./forwardedMessage.ts"

export interface TransformationsParts {
  readonly transformer: RouteTransformer<unknown>
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  readonly onRetry: () => void
  readonly onDone: (item: ForwardedMessage, exit: Exit.Exit<Message | undefined, unknown>) => void
}

export class Transformations {
  readonly #parts: TransformationsParts
  /** Topics with a running transformation, each with the messages that wait for it. */
  readonly #chains = new Map<string, Array<ForwardedMessage>>()
  /** Messages whose transformation is due to start, and whether a start is scheduled. */
  readonly #due: Array<ForwardedMessage> = []
  #isStarting = false

  constructor(parts: TransformationsParts) {
    this.#parts = parts
  }

  add(item: ForwardedMessage): void {
    const { topic } = item.delivery.message
    const behind = this.#chains.get(topic)
    if (behind !== undefined) {
      behind.push(item)
      return
    }
    this.#chains.set(topic, [])
    this.#due.push(item)
    this.#startDue()
  }

  // A loop, not a recursion: a synchronous transformation ends before `fork` returns, and starts the next one.
  #startDue(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    for (let item = this.#due.shift(); item !== undefined; item = this.#due.shift()) {
      if (item.isDone) this.#follow(item)
      else this.#start(item)
    }
    this.#isStarting = false
  }

  #start(item: ForwardedMessage): void {
    const { fork, onDone, onRetry, retry, transformer } = this.#parts
    const attempt = Effect.suspend(() => {
      if (item.attempts++ > 0) onRetry()
      return transformer.transform(item.message)
    })
    const repeated = retry === undefined ? attempt : Effect.retry(attempt, retry)
    fork(Effect.map(Effect.exit(Effect.flatMap(repeated, checked)), (exit) => {
      this.#follow(item)
      if (!item.isDone) onDone(item, exit)
      this.#startDue()
    }))
  }

  #follow(item: ForwardedMessage): void {
    const { topic } = item.delivery.message
    const next = this.#chains.get(topic)?.shift()
    if (next === undefined) this.#chains.delete(topic)
    else this.#due.push(next)
  }
}

/** Checks the result of a transformation, because untyped code may return any value. */
const checked = (message: unknown): Effect.Effect<Message | undefined, MqttError> => {
  if (message === undefined) return Effect.undefined
  const fit = checkMessage(message)
  return "_tag" in fit ? Effect.fail(new MqttError({ reason: fit })) : Effect.succeed(fit)
}
