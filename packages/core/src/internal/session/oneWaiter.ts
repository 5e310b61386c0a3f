/**
 * One fiber that waits for a condition. The code that changes the condition wakes it.
 */
import * as Effect from "effect/Effect"

export class OneWaiter {
  #resume: (() => void) | undefined

  get isWaiting(): boolean {
    return this.#resume !== undefined
  }

  /** Waits, unless the condition holds now. */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (holds()) return resume(Effect.void)
      this.#resume = () => resume(Effect.void)
      return Effect.sync(() => {
        this.#resume = undefined
      })
    })
  }

  wake(): void {
    const resume = this.#resume
    // Before the call: the fiber runs at once, and may wait again.
    this.#resume = undefined
    resume?.()
  }
}
