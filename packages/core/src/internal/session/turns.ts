/**
 * Waits for events of turns: a condition that is checked after each turn, a write, or a commit.
 *
 * It starts no turn itself, except to write what has happened so far. All parts of a session use it.
 */
import * as Effect from "effect/Effect"
import type { EngineLoop } from "./engineLoop.ts"

/** The session, for its turns. */
export interface TurnsHost {
  /** Made later than the turns. It exists when the first effect runs. */
  readonly engineLoop: EngineLoop
}

export class Turns {
  readonly #host: TurnsHost
  #waiters: Set<() => void> | undefined

  constructor(host: TurnsHost) {
    this.#host = host
  }

  /** A turn is over. */
  turned(): void {
    if (this.#waiters === undefined) return
    for (const waiter of this.#waiters) waiter()
  }

  /** Waits for a condition, which is checked after each turn. */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const waiters = this.#waiters ??= new Set()
      const waiter = (): void => {
        if (!holds()) return
        this.#remove(waiter)
        resume(Effect.void)
      }
      waiters.add(waiter)
      return Effect.sync(() => this.#remove(waiter))
    })
  }

  /** An idle session keeps no empty set. */
  #remove(waiter: () => void): void {
    this.#waiters?.delete(waiter)
    if (this.#waiters?.size === 0) this.#waiters = undefined
  }

  /**
   * Waits until everything so far is written or its commit begins. A fiber that an output resumed gets here before the
   * next output is taken.
   */
  get untilFlushed(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { engineLoop } = this.#host
      const before = engineLoop.flushes
      engineLoop.flush()
      return this.until(() => engineLoop.flushes > before)
    })
  }

  /** Waits for the commits that concern everything so far: the running one, and the next. */
  get untilStored(): Effect.Effect<void> {
    return Effect.andThen(
      this.untilFlushed,
      Effect.suspend(() => {
        const { engineLoop } = this.#host
        const goal = engineLoop.commits + 2
        return this.until(() => !engineLoop.isCommitting || engineLoop.commits >= goal)
      })
    )
  }
}
