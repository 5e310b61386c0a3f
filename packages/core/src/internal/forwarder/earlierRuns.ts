/**
 * Messages that earlier runs of a forwarder have published and given back, and whose outcome is still open. The next
 * run must not publish them again: a delivery that comes once more waits here for the outcome of the earlier publish.
 */
import type { Delivery, PublishOutcome } from "../engine/contract.ts"
import type { ForwardedMessage } from "./forwardedMessage.ts"

export class EarlierRuns {
  /** What waits for the outcome of a delivery's publish; undefined: the delivery has not come again. */
  readonly #open = new Map<Delivery, ((outcome: PublishOutcome) => void) | undefined>()

  /** The run ends, and the publish of a message continues. */
  add(delivery: Delivery): void {
    this.#open.set(delivery, undefined)
  }

  /** Whether an earlier run has published a delivery, and the outcome is still open. */
  has(delivery: Delivery): boolean {
    return this.#open.size > 0 && this.#open.has(delivery)
  }

  /** Calls back with the outcome of a delivery's publish. */
  follow(delivery: Delivery, onOutcome: (outcome: PublishOutcome) => void): void {
    this.#open.set(delivery, onOutcome)
  }

  unfollow(delivery: Delivery): void {
    if (this.has(delivery)) this.#open.set(delivery, undefined)
  }

  /** The publish of an earlier run has an outcome. False: the message is none of them. */
  settle({ deadLetter, delivery, source }: ForwardedMessage, outcome: PublishOutcome): boolean {
    if (!this.has(delivery)) return false
    const onOutcome = this.#open.get(delivery)
    this.#open.delete(delivery)
    if (onOutcome !== undefined) onOutcome(outcome)
    else if (outcome._tag === "Acknowledged" && deadLetter === undefined) source.acknowledgeLate(delivery)
    return true
  }
}
