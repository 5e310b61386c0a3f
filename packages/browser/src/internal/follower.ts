/**
 * What a tab without the session asks the tab that has it. Every request ends: by the answer, when the other tab is
 * lost, or after its time limit. `sharedTab.ts` calls it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import {
  type Answer,
  type Content,
  decodeFailure,
  type Of,
  type Request,
  type SharedFailure
} from "./channelMessage.ts"
import { SharedSessionError } from "./sharedError.ts"

/** The tab with the session keeps the time limit itself; its answer may take as much longer, in milliseconds. */
const answerTime = 1000

/** A message that leaves its stream. */
export interface Arrival {
  readonly content: Content
  readonly taken: Effect.Effect<void>
}

type Arrivals = Queue.Queue<Arrival, SharedFailure>

export class Follower {
  readonly #id: string
  readonly #post: (message: Request) => void
  readonly #publishing = new Map<number, (exit: Exit.Exit<void, SharedFailure>) => void>()
  readonly #subscriptions = new Map<number, { readonly owner: string; readonly arrivals: Arrivals }>()
  #last = 0

  constructor(id: string, post: (message: Request) => void) {
    this.#id = id
    this.#post = post
  }

  publish(owner: string, content: Content, timeout: number): Effect.Effect<void, SharedFailure> {
    return Effect.callback<void, SharedFailure>((resume) => {
      const id = ++this.#last
      this.#publishing.set(id, resume)
      this.#post({ _tag: "Publish", from: this.#id, owner, id, timeout, ...content })
      return Effect.sync(() => this.#publishing.delete(id))
    }).pipe(
      Effect.timeoutOrElse({
        duration: timeout + answerTime,
        orElse: () =>
          Effect.fail(
            new SharedSessionError({
              kind: "timeout",
              detail: `the tab with the session did not answer in ${timeout} ms`
            })
          )
      })
    )
  }

  /** The messages that the other tab hands over. Ends when that tab ends the subscription without a failure. */
  subscribe(
    owner: string,
    filters: ReadonlyArray<string>,
    qos: 0 | 1 | 2
  ): Stream.Stream<Arrival, SharedFailure> {
    return Stream.unwrap(Effect.map(
      Effect.acquireRelease(
        // Bounded by the window of the tab with the session.
        Effect.map(Queue.unbounded<Arrival, SharedFailure>(), (arrivals) => {
          const id = ++this.#last
          this.#subscriptions.set(id, { owner, arrivals })
          this.#post({ _tag: "Subscribe", from: this.#id, owner, id, filters, qos })
          return { id, arrivals }
        }),
        ({ id }) =>
          Effect.sync(() => {
            this.#subscriptions.delete(id)
            this.#post({ _tag: "Unsubscribe", from: this.#id, owner, id })
          })
      ),
      ({ arrivals }) => Stream.fromQueue(arrivals)
    ))
  }

  receive(message: Answer): void {
    const { id } = message
    switch (message._tag) {
      case "Published": {
        const resume = this.#publishing.get(id)
        this.#publishing.delete(id)
        return resume?.(message.failure === undefined ? Exit.void : Exit.fail(decodeFailure(message.failure)))
      }
      case "Delivery":
        return this.#deliver(message)
      case "Ended": {
        const { failure } = message
        // A tab that gives the session up is followed by another one.
        if (failure === undefined || (failure._tag === "Shared" && failure.kind === "ownerLost")) return
        const subscription = this.#subscriptions.get(id)
        if (subscription !== undefined) Queue.failCauseUnsafe(subscription.arrivals, causeOf(failure))
      }
    }
  }

  #deliver({ id, payload, properties, qos, retain, sequence, topic }: Of<"Delivery">): void {
    const subscription = this.#subscriptions.get(id)
    if (subscription === undefined) return
    const { arrivals, owner } = subscription
    Queue.offerUnsafe(arrivals, {
      content: { topic, payload, qos, retain, properties },
      taken: Effect.sync(() => this.#post({ _tag: "Taken", from: this.#id, owner, id, sequence }))
    })
  }

  /** The other tab has ended, or given the session up. */
  ownerLost(): void {
    const error = new SharedSessionError({
      kind: "ownerLost",
      detail: "the tab with the session ended before it answered"
    })
    for (const resume of this.#publishing.values()) resume(Exit.fail(error))
    this.#publishing.clear()
  }
}

const causeOf = (failure: NonNullable<Of<"Ended">["failure"]>) => Cause.fail(decodeFailure(failure))
