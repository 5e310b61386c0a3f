/**
 * A session that a forwarder receives from: takes deliveries while there is room for them, and acknowledges them when
 * they have a fate.
 */
import * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { Delivery } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { Tap, TappedQueue } from "../session/tappedQueue.ts"
import type { Reader } from "./reader.ts"

export interface SourceHost {
  /** How many deliveries may be taken now. */
  readonly room: () => number
  /** Deliveries wait and there is no room: `pull` is to be called when there is. */
  readonly onStarved: () => void
  readonly receive: (source: Source, delivery: Delivery, now: number) => void
  /** All that there was room for is on its way. */
  readonly onPulled: () => void
  readonly onReleased: (session: string, packetIdentifier: number) => void
}

export class Source implements Tap {
  readonly session: SessionCore
  readonly reader: Reader
  readonly #host: SourceHost
  queue: TappedQueue | undefined
  #isPulling = false
  #isDetached = false
  #failed: ((effect: Effect.Effect<never, MqttError>) => void) | undefined
  #failure: MqttError | undefined

  constructor(session: SessionCore, reader: Reader, host: SourceHost) {
    this.session = session
    this.reader = reader
    this.#host = host
    session.releaseListeners?.add(this.#onReleased)
  }

  /** The marks of the broker that it is at. */
  get brokers(): ReadonlyArray<string> {
    return this.reader.options.brokers
  }

  /** Fails when the subscription does. */
  readonly failure: Effect.Effect<never, MqttError> = Effect.callback((resume) => {
    if (this.#failure !== undefined) return resume(Effect.fail(this.#failure))
    this.#failed = resume
    return Effect.sync(() => {
      this.#failed = undefined
    })
  })

  onDeliveries(queue: TappedQueue): void {
    this.queue = queue
    this.pull()
  }

  onEnd(): void {
    this.pull()
  }

  onFailure(error: MqttError): void {
    this.#failure = error
    this.#failed?.(Effect.fail(error))
  }

  /** Takes what there is room for; with `all` what waits now in any case. */
  pull(all: boolean = false): void {
    const queue = this.queue
    // What is taken in the middle of a batch would overtake the rest of it.
    if (queue === undefined || this.#isPulling || this.#isDetached) return
    this.#isPulling = true
    while (queue.size > 0) {
      const room = all ? Infinity : queue.isLaden ? 0 : this.#host.room()
      if (room <= 0) {
        this.#host.onStarved()
        break
      }
      const batch = queue.shift(room)!
      const now = this.session.engineLoop.now()
      for (let i = 0; i < batch.length; i++) {
        queue.retain(batch[i]!)
        this.#host.receive(this, batch[i]!, now)
      }
    }
    this.#isPulling = false
    this.#host.onPulled()
  }

  /** The delivery has its fate. */
  acknowledge(delivery: Delivery): void {
    const queue = this.queue!
    if (!this.#isDetached && delivery.message.qos !== 0) this.session.engineLoop.acknowledge(queue.consumer, delivery)
    queue.release(delivery)
  }

  /**
   * The delivery has its fate although the forwarder has stopped: it counts, unless another consumer has taken the
   * message since.
   */
  acknowledgeLate(delivery: Delivery): void {
    if (delivery.message.qos !== 0) this.session.engineLoop.acknowledge(this.queue!.consumer, delivery)
  }

  /** The delivery has none: the server, or whoever comes next, has to deal with it. */
  giveBack(delivery: Delivery): void {
    this.queue!.release(delivery)
  }

  /** Where a message comes from, by which a redelivery of it is recognised. */
  originOf({ message, packetIdentifier, use }: Delivery, forwarder: string): OriginKey | undefined {
    if (message.qos !== 2) return undefined
    return { forwarder, session: this.session.name, packetIdentifier, use }
  }

  /** The subscription is over: acknowledgements have nobody to go to. */
  detach(): void {
    this.#isDetached = true
    this.session.releaseListeners?.delete(this.#onReleased)
  }

  /** QoS 0 messages that were lost because nobody took them in time. */
  get overflowed(): number {
    return this.queue?.dropped ?? 0
  }

  readonly #onReleased = (packetIdentifier: number): void => {
    this.#host.onReleased(this.session.name, packetIdentifier)
  }
}
