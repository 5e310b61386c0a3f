/**
 * Waiting for what turns bring: a condition that is looked at after each turn, what is written, what is stored.
 *
 * Never begins a turn by itself, but to write what has happened so far. Used by all parts of a session.
 */
import * as Effect from "effect/Effect"
import type { EngineLoop } from "./engineLoop.ts"

export class Turns {
  readonly #engineLoop: () => EngineLoop
  #waiters: Set<() => void> | undefined

  /** The driver exists once the first effect runs. */
  constructor(engineLoop: () => EngineLoop) {
    this.#engineLoop = engineLoop
  }

  /** A turn is over. */
  turned(): void {
    if (this.#waiters === undefined) return
    for (const waiter of this.#waiters) waiter()
  }

  /** Waits for a condition that is looked at after each turn. */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const waiters = this.#waiters ??= new Set()
      const waiter = (): void => {
        if (!holds()) return
        waiters.delete(waiter)
        resume(Effect.void)
      }
      waiters.add(waiter)
      return Effect.sync(() => waiters.delete(waiter))
    })
  }

  /**
   * What has happened so far is written, or about to be committed. A fiber that an output has resumed gets here before
   * the next output is taken.
   */
  get untilFlushed(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const engineLoop = this.#engineLoop()
      const before = engineLoop.flushes
      engineLoop.flush()
      return this.until(() => engineLoop.flushes > before)
    })
  }

  /**
   * Waits for the end of every commit that has something to do with what has happened so far: the one on its way, and
   * the next.
   */
  get untilStored(): Effect.Effect<void> {
    return Effect.andThen(
      this.untilFlushed,
      Effect.suspend(() => {
        const engineLoop = this.#engineLoop()
        const goal = engineLoop.commits + 2
        return this.until(() => !engineLoop.isCommitting || engineLoop.commits >= goal)
      })
    )
  }
}
