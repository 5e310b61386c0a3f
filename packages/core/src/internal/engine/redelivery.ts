/**
 * QoS 1 messages that a lost connection left unacknowledged. In a resumed session the server sends them again (MQTT
 * 4.4), as new messages under the same packet identifiers. This file remembers which consumers had not finished them.
 * It sends nothing: `inbound.ts` calls it.
 */
import { type EngineCore, retainInPlace } from "./core.ts"
import type { HeldMessages } from "./heldMessages.ts"
import type { InboundAcknowledgements } from "./inboundAcknowledgements.ts"
import type { InboundDelivery } from "./inboundDelivery.ts"

export class Redelivery {
  readonly #core: EngineCore
  readonly #held: HeldMessages
  readonly #acknowledgements: InboundAcknowledgements
  /** Deliveries of a lost connection, until it is known whether the server sends them again. */
  #interrupted: Array<InboundDelivery> = []
  /**
   * Stale deliveries by packet identifier, with the consumers that have not finished them, until the server has sent
   * them again.
   */
  #awaited: Map<number, InboundDelivery> | undefined

  constructor(core: EngineCore, held: HeldMessages, acknowledgements: InboundAcknowledgements) {
    this.#core = core
    this.#held = held
    this.#acknowledgements = acknowledgements
  }

  get hasInterrupted(): boolean {
    return this.#interrupted.length > 0
  }

  /** The connection has ended. */
  disconnected(): void {
    this.#acknowledgements.pubacks.forEachPending((delivery) => this.#interrupted.push(delivery))
  }

  /** The server sends again what is not acknowledged. */
  resume(): void {
    const { output, taken } = this.#core
    for (const delivery of this.#interrupted) {
      if (delivery.isDone) continue
      delivery.stale = true
      this.#core.heldBytes -= delivery.bytes
      this.#await(delivery)
    }
    if (this.#interrupted.length > 0) {
      this.#interrupted = []
      this.#held.forgetStale()
      retainInPlace(output.deliveries, ({ delivery }) => !delivery.stale)
      if (taken !== undefined) retainInPlace(taken.deliveries, ({ delivery }) => !delivery.stale)
    }
  }

  /** The server has no session, and sends nothing again. */
  sessionLost(now: number): void {
    for (const delivery of this.#awaited?.values() ?? []) this.#held.forget(delivery)
    this.#awaited = undefined
    this.#held.sessionLost(now)
    for (const delivery of this.#interrupted) this.#acknowledgements.detach(delivery)
    this.#interrupted = []
  }

  /**
   * The server sent a message under the identifier of a stale delivery. If it is the same message (MQTT 4.4), it takes
   * the place of the stale one for the successors of the consumers that left.
   */
  received(delivery: InboundDelivery): void {
    const stale = this.#awaited?.get(delivery.packetIdentifier)
    if (stale === undefined) return
    this.#awaited!.delete(delivery.packetIdentifier)
    if (stale.vacancies === 0) return
    if (delivery.message.dup) this.#held.redelivered(stale, delivery)
    else this.#held.forget(stale)
  }

  forEach(f: (delivery: InboundDelivery) => void): void {
    this.#interrupted.forEach(f)
    this.#awaited?.forEach(f)
  }

  /** Keeps which consumers have not finished a message that the server will send again, without its payload. */
  #await(delivery: InboundDelivery): void {
    const stub = delivery.toStub()
    if (delivery.vacancies > 0) this.#held.redelivered(delivery, stub)
    this.#awaited ??= new Map()
    this.#awaited.set(delivery.packetIdentifier, stub)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { interrupted: this.#interrupted, awaited: this.#awaited }
  }

  set privateState(state) {
    this.#interrupted = state.interrupted
    this.#awaited = state.awaited
  }
}
