/**
 * The counts of one session engine, and the name of its server's session, read from its parts. It changes nothing.
 * Getters, because callers often need one count only and some have to be counted.
 */
import type { EngineStats } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import type { InboundFlow } from "./inbound.ts"
import type { OutboundMessages } from "./outboundMessages.ts"
import type { Subscriptions } from "./subscriptions.ts"

export class Stats implements EngineStats {
  readonly #core: EngineCore
  readonly #outbound: OutboundMessages
  readonly #inbound: InboundFlow
  readonly #subscriptions: Subscriptions

  constructor(core: EngineCore, outbound: OutboundMessages, inbound: InboundFlow, subscriptions: Subscriptions) {
    this.#core = core
    this.#outbound = outbound
    this.#inbound = inbound
    this.#subscriptions = subscriptions
  }

  get serverSession(): string {
    return this.#core.serverSession
  }

  get queuedMessages(): number {
    return this.#outbound.queue.size
  }

  get queuedBytes(): number {
    return this.#outbound.queue.bytes
  }

  get oldestQueuedAt(): number | undefined {
    return this.#outbound.queue.acceptedAt
  }

  get isQueueFull(): boolean {
    return this.#outbound.queue.isFull
  }

  get received(): number {
    return this.#inbound.received
  }

  get inflight(): number {
    return this.#outbound.inflight
  }

  get inflightBytes(): number {
    return this.#outbound.publishing.bytes
  }

  get heldBytes(): number {
    return this.#inbound.heldBytes
  }

  get isWindowExceeded(): boolean {
    return this.#inbound.isWindowExceeded
  }

  get unacknowledged(): number {
    return this.#inbound.unacknowledged
  }

  get unclaimed(): number {
    return this.#inbound.unclaimed
  }

  get subscriptions(): number {
    return this.#subscriptions.table.known
  }

  get consumers(): number {
    return this.#subscriptions.consumers
  }

  get pendingSubscriptions(): number {
    return this.#subscriptions.table.pending
  }
}
