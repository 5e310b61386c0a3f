/**
 * A consumer queue that calls its consumer instead of waking a fiber. There is no fiber, no stream and no array of
 * messages between the network and the consumer. Forwarders use it.
 */
import type { MqttError } from "../../MqttError.ts"
import { ConsumerQueue, type ConsumerQueueHost, type ConsumerQueueOptions } from "./consumerQueue.ts"

/**
 * The callbacks of the consumer. All are synchronous.
 */
export interface Tap {
  /** Deliveries wait. Take all or some of them with `shift`, now or later. */
  readonly onDeliveries: (queue: TappedQueue) => void
  /** No more deliveries come. The session waits until the buffered ones are taken and released. */
  readonly onEnd: () => void
  /** The subscription failed. */
  readonly onFailure: (error: MqttError) => void
}

export class TappedQueue extends ConsumerQueue {
  readonly #tap: Tap
  #isEnding = false

  constructor(host: ConsumerQueueHost, options: ConsumerQueueOptions, tap: Tap) {
    super(host, options)
    this.#tap = tap
  }

  override pushed(): void {
    // Before the bound is applied, which is only for messages that the consumer does not take.
    this.#tap.onDeliveries(this)
    super.pushed()
  }

  override end(end: "orderly" | MqttError, whenIdle?: () => void): void {
    super.end(end, whenIdle)
    if (this.#isEnding) return
    this.#isEnding = true
    if (end === "orderly") this.#tap.onEnd()
    else this.#tap.onFailure(end)
  }
}
