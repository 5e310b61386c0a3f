/**
 * Passes unfinished messages from a consumer that has left to the consumer that joins after it. It decides neither who
 * joins nor how long messages are held: `subscriptions.ts` and `heldMessages.ts` do. `engine.ts` calls it.
 */
import * as Topic from "../topics.ts"
import type { EngineCore } from "./core.ts"
import { Departed, type HeldMessages } from "./heldMessages.ts"
import type { InboundAcknowledgements } from "./inboundAcknowledgements.ts"
import { hasFinished, type InboundDelivery } from "./inboundDelivery.ts"
import type { InboundExchanges } from "./inboundExchanges.ts"
import type { Redelivery } from "./redelivery.ts"
import type { Router } from "./router.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"
import type { Keep } from "./subscriptions.ts"

export class Handover {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #held: HeldMessages
  readonly #acknowledgements: InboundAcknowledgements
  readonly #exchanges: InboundExchanges
  readonly #redelivery: Redelivery

  constructor(
    core: EngineCore,
    router: Router,
    held: HeldMessages,
    acknowledgements: InboundAcknowledgements,
    exchanges: InboundExchanges,
    redelivery: Redelivery
  ) {
    this.#core = core
    this.#router = router
    this.#held = held
    this.#acknowledgements = acknowledgements
    this.#exchanges = exchanges
    this.#redelivery = redelivery
  }

  /**
   * A consumer has joined. It gets the messages that wait for any consumer, and those of the absent consumer whose name
   * it has. Messages of the absent one that no filter of the new one matches count as finished.
   */
  joined(consumer: EngineConsumer, absent: EngineConsumer | undefined): void {
    const claimed = [...this.#held.claim((delivery) => {
      const { message: { properties, topic } } = delivery
      return !delivery.has(consumer) && !hasFinished(consumer, delivery.exchange) &&
        this.#router.claims(consumer, topic, properties.subscriptionIdentifiers)
    })]
    if (claimed.length > 0) this.#held.expectConsumer()
    if (absent !== undefined) {
      const isClaimed = new Set(claimed)
      for (const delivery of this.unfinishedBy(absent)) {
        delivery.remove(absent)
        if (isClaimed.has(delivery)) continue
        const { topic } = delivery.message
        if (consumer.request.filters.some((filter) => Topic.matches(filter, topic))) claimed.push(delivery)
        else if (!delivery.isOwed) this.#acknowledgements.completeOnce(delivery)
      }
      claimed.sort((a, b) => a.sequence - b.sequence)
    }
    for (const delivery of claimed) {
      delivery.add(consumer)
      // A stale delivery reaches it when the server sends the message again.
      if (!delivery.stale) this.#core.output.deliveries.push({ consumer, delivery })
    }
  }

  /** A consumer has left. Its unfinished deliveries are held for its successor. */
  left(consumer: EngineConsumer, filters: ReadonlyArray<string>, keep: Keep, now: number): void {
    const left: Array<InboundDelivery> = []
    for (const delivery of this.unfinishedBy(consumer)) {
      delivery.remove(consumer)
      if (!delivery.isRetainedCopy) left.push(delivery)
      else if (!delivery.isOwed) this.#acknowledgements.completeOnce(delivery)
    }
    const hold = keep === "session" ? Infinity : keep === "hold" ? this.#held.holdMillis : 0
    if (hold <= 0) return this.#acknowledgements.giveUp(left)
    if (left.length > 0) this.#held.expectConsumer()
    this.#held.leave(left, new Departed(consumer, filters), now + hold)
  }

  /** A subscription was ended. The messages that its former consumers left unfinished are given up. */
  unsubscribed(filter: string): void {
    this.#acknowledgements.giveUp(this.#held.unsubscribed(filter))
  }

  /** The deliveries that a consumer has not finished, in the order of arrival. */
  unfinishedBy(consumer: EngineConsumer): ReadonlyArray<InboundDelivery> {
    const unfinished: Array<InboundDelivery> = []
    const visit = (delivery: InboundDelivery): void => {
      if (!delivery.isDone && delivery.has(consumer)) unfinished.push(delivery)
    }
    this.#acknowledgements.pubacks.forEachPending(visit)
    for (const { delivery } of this.#exchanges.values()) {
      if (delivery !== undefined) visit(delivery)
    }
    this.#redelivery.forEach(visit)
    this.#acknowledgements.forEachDetached(visit)
    return unfinished.sort((a, b) => a.sequence - b.sequence)
  }
}
