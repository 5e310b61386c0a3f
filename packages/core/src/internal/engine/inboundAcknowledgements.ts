/**
 * Sends PUBACK and PUBREC in the order of the PUBLISH packets (MQTT 4.6), each when its message is complete. It does
 * not decide when that is: the other parts of the receiver do.
 */
import { none } from "../../Properties.ts"
import { AcknowledgementQueue } from "./acknowledgements.ts"
import type { EngineCore } from "./core.ts"
import type { Exchange, InboundDelivery } from "./inboundDelivery.ts"
import type { InboundExchanges } from "./inboundExchanges.ts"
import type { ReceiveWindow } from "./receiveWindow.ts"

export class InboundAcknowledgements {
  readonly #core: EngineCore
  readonly #window: ReceiveWindow
  readonly #exchanges: InboundExchanges
  readonly pubacks = new AcknowledgementQueue<InboundDelivery>()
  readonly pubrecs = new AcknowledgementQueue<Exchange>()
  /** Deliveries that need no acknowledgement: the session was lost, or the server released the identifier early. */
  #detached: Set<InboundDelivery> | undefined

  constructor(core: EngineCore, window: ReceiveWindow, exchanges: InboundExchanges) {
    this.#core = core
    this.#window = window
    this.#exchanges = exchanges
  }

  /** Number of messages that wait to be acknowledged. */
  get size(): number {
    return this.pubacks.size + this.pubrecs.size
  }

  /** Sends at most one PUBREC per connection, however often the server repeats PUBLISH. */
  queuePubrec(exchange: Exchange): void {
    const { connection } = this.#core
    if (exchange.queuedOn === connection) return
    exchange.queuedOn = connection
    this.pubrecs.push(exchange)
  }

  completeOnce(delivery: InboundDelivery): void {
    if (!delivery.isDone) this.complete(delivery)
  }

  /**
   * Marks a delivery as complete. Its acknowledgement goes out after all earlier ones, if the server still expects it.
   */
  complete(delivery: InboundDelivery): void {
    const { exchange } = delivery
    delivery.isDone = true
    if (delivery.message.qos !== 0 && !delivery.stale) this.#core.heldBytes -= delivery.bytes
    if (this.#detached !== undefined && this.#detached.size > 0) this.#detached.delete(delivery)
    if (exchange === undefined) return this.#flushPubacks()
    if (exchange.isReleased) return
    exchange.isDone = true
    exchange.reasonCode = this.#core.isVersion5 ? delivery.reasonCode : 0
    if (exchange.reasonCode < 0x80) this.#exchanges.put(exchange)
    this.flushPubrecs()
  }

  /** Gives up deliveries: they have no consumer, and the engine waits for none. */
  giveUp(deliveries: ReadonlyArray<InboundDelivery>): void {
    for (const delivery of deliveries) {
      // The server sends it again, and the router then looks for consumers.
      if (delivery.stale) continue
      this.#core.emit({ _tag: "UnclaimedDropped", message: delivery.message })
      if (!delivery.isOwed) this.completeOnce(delivery)
    }
  }

  /** Ends an exchange. Consumers may still finish its message. */
  forget(exchange: Exchange): void {
    if (exchange.delivery !== undefined) this.detach(exchange.delivery)
    this.#exchanges.end(exchange)
  }

  /** The server expects no acknowledgement of this delivery. */
  detach(delivery: InboundDelivery): void {
    if (delivery.isDone) return
    this.#detached ??= new Set()
    this.#detached.add(delivery)
  }

  forEachDetached(f: (delivery: InboundDelivery) => void): void {
    this.#detached?.forEach(f)
  }

  /** The connection has ended. What waited is not acknowledged. */
  disconnected(): void {
    this.pubacks.clear()
    this.pubrecs.clear()
  }

  flushPubrecs(): void {
    const queue = this.pubrecs
    for (let exchange = queue.head; exchange !== undefined; exchange = queue.head) {
      if (!exchange.isReleased) {
        if (!exchange.isDone) return
        const { packetIdentifier, reasonCode } = exchange
        exchange.delivery = undefined
        if (reasonCode >= 0x80) this.#exchanges.end(exchange)
        this.#core.send({ _tag: "Pubrec", packetIdentifier, reasonCode, properties: none })
      }
      queue.shift()
      exchange.queuedOn = 0
    }
  }

  #flushPubacks(): void {
    const queue = this.pubacks
    for (let delivery = queue.head; delivery !== undefined && delivery.isDone; delivery = queue.head) {
      queue.shift()
      this.#window.vacate()
      const { packetIdentifier } = delivery
      const reasonCode = this.#core.isVersion5 ? delivery.reasonCode : 0
      this.#core.send({ _tag: "Puback", packetIdentifier, reasonCode, properties: none })
    }
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { detached: this.#detached }
  }

  set privateState(state) {
    this.#detached = state.detached
  }
}
