/**
 * What a session does in the background: fibers that run with the context of its birth, and end with it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** In place of a FiberSet, which is a kilobyte in a session that does nothing. */
export class Fibers {
  readonly #context: Context.Context<never>
  #running: Set<Fiber.Fiber<unknown, unknown>> | undefined
  #ended = false

  constructor(context: Context.Context<never>) {
    this.#context = context
  }

  /** Starts at once; after the end, nothing starts any more. */
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

  /** Interrupts what runs, and waits until it is gone. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#ended = true
      return Fiber.interruptAll(this.#running ?? [])
    })
  }
}
