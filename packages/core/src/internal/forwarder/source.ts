/**
 * The first stage of a forwarder: a session that it receives from. It takes deliveries while there is room for them,
 * and hands each to `messageFilter.ts`. When a message has an outcome, `inFlight.ts` acknowledges the delivery here.
 */
import * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { Delivery } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { Tap, TappedQueue } from "../session/tappedQueue.ts"
import type { Reader } from "./reader.ts"

export interface SourceParts {
  /** How many deliveries may be taken now. */
  readonly room: () => number
  /** Deliveries wait and there is no room. Call `pull` when there is. */
  readonly awaitRoom: () => void
  /** The next stage. */
  readonly receive: (source: Source, deliveries: ReadonlyArray<Delivery>, now: number) => void
  /** Every delivery for which there was room has been taken. */
  readonly onPulled: () => void
  /** The server of the source has released a QoS 2 packet identifier. */
  readonly onReleased: (session: string, packetIdentifier: number) => void
}

export class Source implements Tap {
  readonly session: SessionCore
  readonly reader: Reader
  readonly #parts: SourceParts
  queue: TappedQueue | undefined
  #isPulling = false
  #isDetached = false
  #failed: ((effect: Effect.Effect<never, MqttError>) => void) | undefined
  #failure: MqttError | undefined

  constructor(session: SessionCore, reader: Reader, parts: SourceParts) {
    this.session = session
    this.reader = reader
    this.#parts = parts
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

  /** Takes the deliveries for which there is room. With `all`, takes every waiting delivery. */
  pull(all: boolean = false): void {
    const queue = this.queue
    // A delivery that is taken in the middle of a batch would overtake the rest of it.
    if (queue === undefined || this.#isPulling || this.#isDetached) return
    this.#isPulling = true
    while (queue.size > 0) {
      const room = all ? Infinity : queue.isLaden ? 0 : this.#parts.room()
      if (room <= 0) {
        this.#parts.awaitRoom()
        break
      }
      const batch = queue.shift(room)!
      for (let i = 0; i < batch.length; i++) queue.retain(batch[i]!)
      this.#parts.receive(this, batch, this.session.engineLoop.clock.time)
    }
    this.#isPulling = false
    this.#parts.onPulled()
  }

  /** Acknowledges a delivery that has an outcome. */
  acknowledge(delivery: Delivery): void {
    const queue = this.queue!
    if (!this.#isDetached && delivery.message.qos !== 0) this.session.engineLoop.acknowledge(queue.consumer, delivery)
    queue.release(delivery)
  }

  /**
   * The delivery got its outcome after the forwarder stopped. It counts, unless another consumer has taken the message
   * since.
   */
  acknowledgeLate(delivery: Delivery): void {
    if (delivery.message.qos !== 0) this.session.engineLoop.acknowledge(this.queue!.consumer, delivery)
  }

  /** The delivery has no outcome. The server, or the next consumer, has to handle it. */
  giveBack(delivery: Delivery): void {
    this.queue!.release(delivery)
  }

  /** The origin of a message, by which its redelivery is recognised. */
  originOf({ message, packetIdentifier, use }: Delivery, forwarder: string): OriginKey | undefined {
    if (message.qos !== 2) return undefined
    return { forwarder, session: this.session.name, packetIdentifier, use }
  }

  /** The subscription has ended, so acknowledgements have no receiver. */
  detach(): void {
    this.#isDetached = true
    this.session.releaseListeners?.delete(this.#onReleased)
  }

  /** QoS 0 messages that were dropped because the forwarder did not take them in time. */
  get overflowed(): number {
    return this.queue?.dropped ?? 0
  }

  readonly #onReleased = (packetIdentifier: number): void => {
    this.#parts.onReleased(this.session.name, packetIdentifier)
  }
}
