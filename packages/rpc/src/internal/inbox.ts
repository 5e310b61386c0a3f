/**
 * Hands the frames of one call to Effect's RPC one after the other, without a wait of any other call for it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Budget } from "./assembly.ts"

/** More frames than this do not wait: a sender that keeps the rules waits for acknowledgements. */
const mostWaiting = 64

export class Inbox {
  readonly #budget: Budget
  readonly #scope: Scope.Scope
  readonly #waiting: Array<{ readonly bytes: number; readonly task: Effect.Effect<void> }> = []
  #isRunning = false

  constructor(budget: Budget, scope: Scope.Scope) {
    this.#budget = budget
    this.#scope = scope
  }

  /** Runs the task after those before it; false: too much waits. */
  offer(bytes: number, task: Effect.Effect<void>): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (this.#isRunning) {
        if (this.#waiting.length >= mostWaiting || !this.#budget.take(bytes)) return Effect.succeed(false)
        this.#waiting.push({ bytes, task })
        return Effect.succeed(true)
      }
      this.#isRunning = true
      return Effect.as(Effect.forkIn(this.#run(task), this.#scope, { startImmediately: true }), true)
    })
  }

  #run(first: Effect.Effect<void>): Effect.Effect<void> {
    let task: Effect.Effect<void> | undefined = first
    return Effect.whileLoop({
      while: () => task !== undefined,
      body: () => task!,
      step: () => {
        const next = this.#waiting.shift()
        if (next === undefined) {
          this.#isRunning = false
        } else {
          this.#budget.give(next.bytes)
        }
        task = next?.task
      }
    })
  }
}
