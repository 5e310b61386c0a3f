/**
 * The background fibers of a session. They run with the context in which the session was made, and end with the
 * session.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Starts effects that outlive their caller. */
export interface Background {
  /** Starts at once. The effect is interrupted when the session ends. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** Used instead of a FiberSet, which takes a kilobyte even in an idle session. */
export class Fibers implements Background {
  readonly #context: Context.Context<never>
  #running: Set<Fiber.Fiber<unknown, unknown>> | undefined
  #ended = false

  constructor(context: Context.Context<never>) {
    this.#context = context
  }

  /** Starts at once. After `end`, nothing starts any more. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const runFork = Effect.runForkWith(this.#context)
    if (this.#ended) return runFork(Effect.interrupt)
    const fiber = runFork(effect)
    if (fiber.pollUnsafe() !== undefined) return fiber
    const running = this.#running ??= new Set()
    running.add(fiber)
    fiber.addObserver(() => {
      running.delete(fiber)
      if (running.size === 0 && this.#running === running) this.#running = undefined
    })
    return fiber
  }

  /** Interrupts all fibers, and waits for their end. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#ended = true
      return Fiber.interruptAll(this.#running ?? [])
    })
  }
}
