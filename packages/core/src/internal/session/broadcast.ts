/**
 * Values for whoever listens: a slow listener misses the oldest ones and delays nobody, and all streams end with the broadcast.
 *
 * Each listener has a queue of its own: a shared PubSub that is full because of one slow listener would refuse the newest value
 * to all of them.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

export interface Broadcast<A> {
  readonly stream: Stream.Stream<A>
  readonly publish: (value: A) => void
  /** Ends the streams after what they have not seen yet. */
  readonly end: Effect.Effect<void>
}

/**
 * `capacity` values wait for one listener before it misses the oldest; `replay` values (at most the capacity) of the recent past
 * are shown to a listener that comes late.
 */
export const make = <A>(options: { readonly capacity: number; readonly replay: number }): Effect.Effect<Broadcast<A>> =>
  Effect.sync(() => {
    const { capacity, replay } = options
    const listeners = new Set<Queue.Queue<A, Cause.Done>>()
    let recent: Array<A> = []
    let ended = false

    const listen = Effect.suspend(() =>
      Effect.acquireRelease(
        Effect.map(Queue.sliding<A, Cause.Done>(capacity), (queue) => {
          Queue.offerAllUnsafe(queue, recent.slice(Math.max(0, recent.length - replay)))
          if (ended) Queue.endUnsafe(queue)
          else listeners.add(queue)
          return queue
        }),
        (queue) => Effect.sync(() => listeners.delete(queue))
      )
    )

    return {
      // Made when it is asked for: a stream takes more memory than all the rest.
      get stream() {
        return Stream.unwrap(Effect.map(listen, Stream.fromQueue))
      },
      publish: (value) => {
        if (ended) return
        if (replay > 0) {
          recent.push(value)
          // Cut once in a while: shifting the array for each value would cost more.
          if (recent.length >= 2 * replay) recent = recent.slice(recent.length - replay)
        }
        for (const listener of listeners) Queue.offerUnsafe(listener, value)
      },
      end: Effect.sync(() => {
        ended = true
        for (const listener of listeners) Queue.endUnsafe(listener)
        listeners.clear()
      })
    }
  })
