/**
 * Callbacks of `consume` about messages, for routes.
 */
import type * as Cause from "effect/Cause"
import type { Message } from "../../Message.ts"

/**
 * Called by `consume` about its messages, in addition to the handler.
 */
export interface ConsumeObserver {
  /** A message was taken from the queue. */
  readonly onReceived: (message: Message) => void
  /** A message failed, and its failure policy applies for the first time. */
  readonly onFailed: (cause: Cause.Cause<unknown>) => void
  /** A message failed under the policy `fail`. */
  readonly onEnded: (cause: Cause.Cause<unknown>) => void
}
