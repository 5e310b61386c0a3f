/**
 * Sends values to any number of listeners. A slow listener misses the oldest values and delays no other listener. All
 * streams end with the broadcast.
 *
 * Each listener has its own queue: a shared PubSub that is full because of one slow listener would refuse the newest
 * value for all of them.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface BroadcastOptions<in A> {
  /** Number of values that may wait for one listener; beyond it the listener misses the oldest. */
  readonly capacity: number
  /** The same bound in bytes, for values whose size peers choose. The last value is always kept. */
  readonly memory?: { readonly limit: number; readonly bytesOf: (value: A) => number } | undefined
  /** Number of recent values that a late listener gets first; at most the capacity. */
  readonly replay: number
}

/** The values that wait for one listener. */
interface Listener<A> {
  readonly queue: Queue.Queue<A, Cause.Done>
  /** Bytes of the waiting values; always 0 without a bound in bytes. */
  waiting: number
}

/** A class, because every session has two of them and methods on a prototype cost no memory. */
export class Broadcast<A> {
  readonly #options: BroadcastOptions<A>
  #listeners: Set<Listener<A>> | undefined
  #recent: Array<A> = []
  #ended = false

  constructor(options: BroadcastOptions<A>) {
    this.#options = options
  }

  /** Values from the moment the stream runs, after the replayed ones. */
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
      // Cut only occasionally, because shifting the array for each value would cost more.
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
    // Dropped here and not by the queue, which does not tell what it drops.
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

  /** Ends the streams after the values that still wait. */
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
