/**
 * Finds consumers that block the acknowledgements of others or the receive window, reports them, and does after
 * `ackDeadline` what `onAckDeadline` says. Times are those of the engine's inputs. `inbound.ts` and `engine.ts` call
 * it.
 */
import type { AcknowledgementQueue } from "./acknowledgements.ts"
import type { EngineEvent } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import type { HeldMessages } from "./heldMessages.ts"
import type { InboundAcknowledgements } from "./inboundAcknowledgements.ts"
import { Exchange, type InboundDelivery } from "./inboundDelivery.ts"
import type { ReceiveWindow } from "./receiveWindow.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"

type Queue = AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>

/** A window that stays full for this long, in milliseconds, was not just filled by one burst. */
const fullWindowGrace = 1000

export class SlowConsumers {
  readonly #core: EngineCore
  readonly #window: ReceiveWindow
  readonly #acknowledgements: InboundAcknowledgements
  readonly #held: HeldMessages
  #reconnectWanted = false

  constructor(
    core: EngineCore,
    window: ReceiveWindow,
    acknowledgements: InboundAcknowledgements,
    held: HeldMessages
  ) {
    this.#core = core
    this.#window = window
    this.#acknowledgements = acknowledgements
    this.#held = held
  }

  connected(): void {
    this.#reconnectWanted = false
  }

  /** The engine calls it after every input. */
  watch(now: number): void {
    const { isFull } = this.#window
    this.#acknowledgements.pubacks.watch(now, isFull)
    this.#acknowledgements.pubrecs.watch(now, isFull)
  }

  nextDeadline(): number | undefined {
    const pubacks = this.#deadlineOf(this.#acknowledgements.pubacks)
    const pubrecs = this.#deadlineOf(this.#acknowledgements.pubrecs)
    return pubacks === undefined || (pubrecs !== undefined && pubrecs < pubacks) ? pubrecs : pubacks
  }

  tick(now: number): void {
    this.watch(now)
    this.#tickQueue(this.#acknowledgements.pubacks, now)
    this.#tickQueue(this.#acknowledgements.pubrecs, now)
  }

  #deadlineOf(queue: Queue): number | undefined {
    const { blockedSince, isOverdue, wasReported } = queue
    if (blockedSince === Infinity) return undefined
    const delivery = deliveryOf(queue.head)
    if (delivery !== undefined && delivery.remaining === 0 && this.#held.hasDeadline(delivery)) return undefined
    const { ackDeadline, onAckDeadline } = this.#core.options
    if (!wasReported) return blockedSince + this.#reportAfter
    return isOverdue || onAckDeadline === "wait" ? undefined : blockedSince + ackDeadline
  }

  get #reportAfter(): number {
    const half = this.#core.options.ackDeadline / 2
    return this.#window.isFull ? Math.min(half, fullWindowGrace) : half
  }

  #tickQueue(queue: Queue, now: number): void {
    const deadline = this.#deadlineOf(queue)
    if (deadline === undefined || now < deadline) return
    const delivery = deliveryOf(queue.head)!
    if (!queue.wasReported) {
      queue.wasReported = true
      this.#core.emit(this.#slowConsumer(delivery, queue.size - 1))
    }
    const { ackDeadline, onAckDeadline } = this.#core.options
    if (queue.isOverdue || now < queue.blockedSince + ackDeadline) return
    queue.isOverdue = true
    if (onAckDeadline === "acknowledge") {
      this.#acknowledgeOverdue(queue, delivery.consumers, now)
    } else if (onAckDeadline === "reconnect" && !this.#reconnectWanted) {
      this.#reconnectWanted = true
      this.#core.emit({ _tag: "ReconnectWanted" })
    }
  }

  #slowConsumer(delivery: InboundDelivery, waiting: number): EngineEvent {
    const { consumers, message } = delivery
    const filters = consumers.flatMap(({ request }) => request.filters).concat(this.#held.filtersOf(delivery))
    const absent = consumers.flatMap(({ name, state }) => state === "absent" && name !== undefined ? [name] : [])
    return { _tag: "SlowConsumer", filters: Array.from(new Set(filters)), absent, message, waiting }
  }

  /**
   * Acknowledges the head, and the deliveries directly behind it that have waited as long for the same consumers: those
   * consumers have made no progress.
   */
  #acknowledgeOverdue(queue: Queue, stalled: ReadonlyArray<EngineConsumer>, now: number): void {
    this.#acknowledgements.complete(deliveryOf(queue.head)!)
    for (let next = deliveryOf(queue.head); next !== undefined; next = deliveryOf(queue.head)) {
      const isOverdue = next.isOwed && next.arrivedAt + this.#core.options.ackDeadline <= now &&
        next.consumers.every((consumer) => stalled.includes(consumer))
      if (!isOverdue) return
      this.#acknowledgements.complete(next)
    }
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { reconnectWanted: this.#reconnectWanted }
  }

  set privateState(state) {
    this.#reconnectWanted = state.reconnectWanted
  }
}

const deliveryOf = (head: InboundDelivery | Exchange | undefined): InboundDelivery | undefined =>
  head instanceof Exchange ? head.delivery : head
