/**
 * A consumer's queue whose consumer is called instead of woken: no fiber, no stream and no array of messages between
 * the network and it.
 */
import type { MqttError } from "../../MqttError.ts"
import { ConsumerQueue, type ConsumerQueueHost, type ConsumerQueueOptions } from "./consumerQueue.ts"

/**
 * The consumer. All calls are synchronous.
 */
export interface Tap {
  /** Something waits: take it by `shift`, all or some, now or later. */
  readonly onDeliveries: (queue: TappedQueue) => void
  /** Nothing more comes in. The session waits until what is here is taken and released. */
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
    // First: the bound is for what nobody takes.
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
