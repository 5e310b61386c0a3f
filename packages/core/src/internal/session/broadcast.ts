/**
 * Values for whoever listens: a slow listener misses the oldest ones and delays nobody, and all streams end with the broadcast.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

const end = Symbol("end")

export interface Broadcast<A> {
  readonly stream: Stream.Stream<A>
  readonly publish: (value: A) => void
  /** Ends the streams after what they have not seen yet. */
  readonly end: Effect.Effect<void>
}

/**
 * `replay` values of the recent past are shown to a listener that comes late.
 */
export const make = <A>(options: { readonly capacity: number; readonly replay: number }): Effect.Effect<Broadcast<A>> =>
  Effect.map(PubSub.sliding<A | typeof end>(options), (pubsub) => ({
    stream: Stream.fromPubSub(pubsub).pipe(
      Stream.takeUntil((value) => value === end),
      Stream.filter((value): value is A => value !== end)
    ),
    publish: (value) => {
      PubSub.publishUnsafe(pubsub, value)
    },
    end: Effect.asVoid(PubSub.end(pubsub, end))
  }))
