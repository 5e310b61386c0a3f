/**
 * Keeps one sleeping fiber for the engine's next deadline, at which it tells the engine the time. `engineLoop.ts` arms
 * it after each turn.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { SessionEngine } from "../engine/contract.ts"
import type { Background } from "./fibers.ts"
import type { TurnClock } from "./turnClock.ts"

/** The engine loop, for its timer. */
export interface DeadlineHost {
  readonly engine: SessionEngine
  readonly clock: TurnClock
  readonly schedule: () => void
  readonly flush: () => void
}

export class DeadlineTimer {
  readonly #fibers: Background
  readonly #host: DeadlineHost
  #armed: { readonly deadline: number; readonly fiber: Fiber.Fiber<void> } | undefined

  constructor(fibers: Background, host: DeadlineHost) {
    this.#fibers = fibers
    this.#host = host
  }

  /** Sees to the next deadline. One after the deadline that is slept for is found when that is reached. */
  arm(): void {
    const { clock, engine } = this.#host
    const deadline = engine.nextDeadline()
    if (deadline === undefined) return
    // Most turns end here, without a look at the clock.
    if (this.#armed !== undefined && this.#armed.deadline <= deadline) return
    const now = clock.now()
    if (deadline <= now) {
      // There is more to send than one output holds, or something is due: use the next turn, without a fiber.
      engine.tick(now)
      return this.#host.schedule()
    }
    this.#armed?.fiber.interruptUnsafe()
    const fiber = this.#fibers.fork(Effect.andThen(
      Effect.sleep(Math.ceil(deadline - now)),
      Effect.sync(() => {
        this.#armed = undefined
        engine.tick(clock.now())
        this.#host.flush()
      })
    ))
    this.#armed = { deadline, fiber }
  }
}
