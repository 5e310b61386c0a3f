/**
 * What one consumer queue holds in QoS 0 messages: how many may be dropped, and the bytes that wait for the consumer or
 * are in its work. The session counts the bytes until the consumer has finished the messages. It drops nothing:
 * `consumerQueue.ts` does.
 */
import type { Delivery } from "../engine/contract.ts"

/**
 * The session, as the count of a queue uses it.
 */
export interface QueueLoadHost {
  /** Adds to the bytes that QoS 0 messages take; negative when they are freed. */
  readonly occupy: (bytes: number) => void
  /** Memory limit for received messages of all consumers together, in bytes. */
  readonly inboundLimit: number
}

/** A consumer that works on more than this share of the memory limit in QoS 0 messages is laden. */
const workShare = 1 / 8

/** Whether the message counts against `buffer` and may be dropped. */
export const isDroppable = ({ message }: Delivery): boolean => message.qos === 0 && !message.retain

export class QueueLoad {
  readonly #host: QueueLoadHost
  /** Number and bytes of the waiting messages that may be dropped. */
  droppable = 0
  droppableBytes = 0
  /** Bytes of all waiting QoS 0 messages. */
  #waitingBytes = 0
  /** Bytes of the QoS 0 messages that the consumer has taken and not finished. */
  #workBytes = 0
  /** The part of `#workBytes` that a stream handed out last. */
  #handedBytes = 0
  /** Bytes of the QoS 0 messages that were taken last. */
  #takenBytes = 0
  #isRemoved = false

  constructor(host: QueueLoadHost) {
    this.#host = host
  }

  /**
   * Whether the consumer has enough to work on. Messages that wait can be dropped; messages that it has taken cannot.
   */
  get isLaden(): boolean {
    return this.#workBytes > workShare * this.#host.inboundLimit
  }

  /** A QoS 0 message begins (1) or stops (-1) waiting. */
  occupy(delivery: Delivery, sign: 1 | -1): void {
    if (this.#isRemoved) return
    const bytes = sign * delivery.bytes
    this.#waitingBytes += bytes
    if (isDroppable(delivery)) {
      this.droppable += sign
      this.droppableBytes += bytes
    }
    this.#host.occupy(bytes)
  }

  /** These messages were taken out of the queue. */
  took(taken: ReadonlyArray<Delivery>): void {
    const before = this.#waitingBytes
    if (before > 0) {
      for (let i = 0; i < taken.length; i++) if (taken[i]!.message.qos === 0) this.occupy(taken[i]!, -1)
    }
    this.#takenBytes = before - this.#waitingBytes
  }

  /** The consumer has taken QoS 0 messages of this many bytes; negative: it has finished them. */
  work(bytes: number): void {
    if (bytes === 0 || this.#isRemoved) return
    this.#workBytes += bytes
    this.#host.occupy(bytes)
  }

  /** Counts the messages taken last as handed out by a stream. */
  hand(): void {
    this.#handedBytes = this.#takenBytes
    this.work(this.#handedBytes)
  }

  /** The consumer has finished the QoS 0 messages of the batch that a stream handed out last. */
  forgetHanded(): void {
    this.work(-this.#handedBytes)
    this.#handedBytes = 0
  }

  /** Stops counting for the session and gives all counted bytes back. */
  removed(): void {
    if (this.#isRemoved) return
    this.#isRemoved = true
    this.#host.occupy(-this.#waitingBytes - this.#workBytes)
  }
}
