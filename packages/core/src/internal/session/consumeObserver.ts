/**
 * What consume tells a route about its messages besides the handler.
 */
import type * as Cause from "effect/Cause"
import type { Message } from "../../Message.ts"

/**
 * Whom `consume` tells about its messages besides the handler.
 */
export interface ConsumeObserver {
  /** A message was taken from the queue. */
  readonly onReceived: (message: Message) => void
  /** A message failed, and its policy has become due for the first time. */
  readonly onFailed: (cause: Cause.Cause<unknown>) => void
  /** A message failed under the policy `fail`. */
  readonly onEnded: (cause: Cause.Cause<unknown>) => void
}
