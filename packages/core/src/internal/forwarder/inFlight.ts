/**
 * The last stage of a forwarder: the messages in flight, at most `maxInFlight`. A message leaves when its source is
 * acknowledged, or when it is given back without an outcome. While there is no room the sources wait, and their
 * sessions hold the deliveries.
 *
 * It decides nothing about a message: `settlement.ts` does.
 */
import { type ForwardedMessage, ForwardedMessages } from "./forwardedMessage.ts"

export class InFlight {
  readonly #limit: number
  readonly #onRoom: () => void
  readonly #messages = new ForwardedMessages()
  #isRoomWanted = false
  #isClosed = false
  #onEmpty: (() => void) | undefined

  /** `onRoom` is called after `awaitRoom`, when half of the places are free. */
  constructor(limit: number, onRoom: () => void) {
    this.#limit = limit
    this.#onRoom = onRoom
  }

  get size(): number {
    return this.#messages.size
  }

  /** The message that arrived first. */
  get oldest(): ForwardedMessage | undefined {
    return this.#messages.head
  }

  /** How many deliveries may be taken now. */
  get room(): number {
    return this.#isClosed ? 0 : this.#limit - this.#messages.size
  }

  awaitRoom(): void {
    this.#isRoomWanted = true
  }

  /** Whether deliveries wait for room. */
  get isRoomWanted(): boolean {
    return this.#isRoomWanted
  }

  add(message: ForwardedMessage): void {
    this.#messages.append(message)
  }

  /** The outcome of a message is known. */
  acknowledge(message: ForwardedMessage): void {
    message.close("acknowledged")
    // Acknowledged first: a caller that waits for the last message resumes at once and ends the subscription.
    message.source.acknowledge(message.delivery)
    this.#remove(message)
  }

  /** The server, or the next consumer, has to handle the message. */
  giveBack(message: ForwardedMessage): void {
    message.close("returned")
    message.source.giveBack(message.delivery)
    this.#remove(message)
  }

  /** From now on there is no room. */
  close(): void {
    this.#isClosed = true
  }

  /** Calls back when no message is in flight, at once if there is none. The returned function cancels that. */
  whenEmpty(callback: () => void): () => void {
    if (this.#messages.size === 0) callback()
    else this.#onEmpty = callback
    return () => {
      this.#onEmpty = undefined
    }
  }

  #remove(message: ForwardedMessage): void {
    this.#messages.remove(message)
    if (this.#messages.size === 0) this.#onEmpty?.()
    // Waits until half of the places are free, instead of refilling one place at a time.
    if (this.#isRoomWanted && this.#messages.size * 2 <= this.#limit) {
      this.#isRoomWanted = false
      this.#onRoom()
    }
  }
}
