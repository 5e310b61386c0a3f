/**
 * Values for whoever listens: a slow listener misses the oldest ones and delays nobody, and all streams end with the broadcast.
 *
 * Each listener has a queue of its own: a shared PubSub that is full because of one slow listener would refuse the newest value
 * to all of them.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface BroadcastOptions {
  /** Values that wait for one listener before it misses the oldest. */
  readonly capacity: number
  /** Values of the recent past that a listener who comes late is shown; at most the capacity. */
  readonly replay: number
}

/** A class, since every session has two of them: methods on a prototype cost nothing. */
export class Broadcast<A> {
  readonly #options: BroadcastOptions
  #listeners: Set<Queue.Queue<A, Cause.Done>> | undefined
  #recent: Array<A> = []
  #ended = false

  constructor(options: BroadcastOptions) {
    this.#options = options
  }

  /** Listens from the moment it runs. */
  get stream(): Stream.Stream<A> {
    return Stream.unwrap(Effect.map(this.#listen, Stream.fromQueue))
  }

  publish(value: A): void {
    if (this.#ended) return
    const { replay } = this.#options
    if (replay > 0) {
      this.#recent.push(value)
      // Cut once in a while: shifting the array for each value would cost more.
      if (this.#recent.length >= 2 * replay) this.#recent = this.#recent.slice(-replay)
    }
    if (this.#listeners === undefined) return
    for (const listener of this.#listeners) Queue.offerUnsafe(listener, value)
  }

  /** Ends the streams after what they have not seen yet. */
  end(): void {
    this.#ended = true
    for (const listener of this.#listeners ?? []) Queue.endUnsafe(listener)
    this.#listeners = undefined
  }

  get #listen(): Effect.Effect<Queue.Queue<A, Cause.Done>, never, Scope.Scope> {
    const { capacity, replay } = this.#options
    return Effect.acquireRelease(
      Effect.map(Queue.sliding<A, Cause.Done>(capacity), (queue) => {
        if (replay > 0) Queue.offerAllUnsafe(queue, this.#recent.slice(-replay))
        if (this.#ended) Queue.endUnsafe(queue)
        else (this.#listeners ??= new Set()).add(queue)
        return queue
      }),
      (queue) =>
        Effect.sync(() => {
          this.#listeners?.delete(queue)
          if (this.#listeners?.size === 0) this.#listeners = undefined
        })
    )
  }
}
