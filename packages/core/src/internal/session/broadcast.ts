/**
 * Values for whoever listens: a slow listener misses the oldest ones and delays nobody, and all streams end with the
 * broadcast.
 *
 * Each listener has a queue of its own: a shared PubSub that is full because of one slow listener would refuse the
 * newest value to all of them.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface BroadcastOptions<in A> {
  /** Values that wait for one listener before it misses the oldest. */
  readonly capacity: number
  /** The same in bytes, for values whose size others choose; the last value waits in any case. */
  readonly memory?: { readonly limit: number; readonly bytesOf: (value: A) => number } | undefined
  /** Values of the recent past that a listener who comes late is shown; at most the capacity. */
  readonly replay: number
}

/** What waits for one listener. */
interface Listener<A> {
  readonly queue: Queue.Queue<A, Cause.Done>
  /** In bytes; always 0 without a bound for them. */
  waiting: number
}

/** A class, since every session has two of them: methods on a prototype cost nothing. */
export class Broadcast<A> {
  readonly #options: BroadcastOptions<A>
  #listeners: Set<Listener<A>> | undefined
  #recent: Array<A> = []
  #ended = false

  constructor(options: BroadcastOptions<A>) {
    this.#options = options
  }

  /** Listens from the moment it runs. */
  get stream(): Stream.Stream<A> {
    const { memory } = this.#options
    return Stream.unwrap(Effect.map(this.#listen, (listener) => {
      const values = Stream.fromQueue(listener.queue)
      return memory === undefined ? values : Stream.map(values, (value) => {
        listener.waiting -= memory.bytesOf(value)
        return value
      })
    }))
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
    for (const listener of this.#listeners) this.#offer(listener, value)
  }

  #offer(listener: Listener<A>, value: A): void {
    const { capacity, memory } = this.#options
    const { queue } = listener
    if (memory === undefined) {
      Queue.offerUnsafe(queue, value)
      return
    }
    const bytes = memory.bytesOf(value)
    // Here and not by the queue itself, which does not say what it drops.
    while (true) {
      const size = Queue.sizeUnsafe(queue)
      if (size === 0 || (size < capacity && listener.waiting + bytes <= memory.limit)) break
      const oldest = Queue.takeUnsafe(queue)
      if (oldest === undefined || oldest._tag === "Failure") break
      listener.waiting -= memory.bytesOf(oldest.value)
    }
    listener.waiting += bytes
    Queue.offerUnsafe(queue, value)
  }

  /** Ends the streams after what they have not seen yet. */
  end(): void {
    this.#ended = true
    for (const { queue } of this.#listeners ?? []) Queue.endUnsafe(queue)
    this.#listeners = undefined
  }

  get #listen(): Effect.Effect<Listener<A>, never, Scope.Scope> {
    const { capacity, replay } = this.#options
    return Effect.acquireRelease(
      Effect.map(Queue.sliding<A, Cause.Done>(capacity), (queue) => {
        const listener: Listener<A> = { queue, waiting: 0 }
        if (replay > 0) { for (const value of this.#recent.slice(-replay)) this.#offer(listener, value) }
        if (this.#ended) Queue.endUnsafe(queue)
        else (this.#listeners ??= new Set()).add(listener)
        return listener
      }),
      (listener) =>
        Effect.sync(() => {
          this.#listeners?.delete(listener)
          if (this.#listeners?.size === 0) this.#listeners = undefined
        })
    )
  }
}
