/**
 * The bounded buffer between the engine and one stream of a subscriber.
 *
 * QoS 1 and 2 deliveries are never refused: their number is bounded by the acknowledgements that the stream withholds. QoS 0
 * messages are bounded here.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { Message } from "../../Message.ts"
import { InvalidOptions, MqttError } from "../../MqttError.ts"
import type { Consumer, Delivery } from "../engine/contract.ts"

/**
 * What the queue asks of the session.
 */
export interface ConsumerQueueHost {
  readonly acknowledge: (consumer: Consumer, delivery: Delivery) => void
  /** Asks to stop and go on reading from the network; each queue counts once. */
  readonly pause: (queue: ConsumerQueue) => void
  readonly resume: (queue: ConsumerQueue) => void
  readonly dropped: (topic: string) => void
}

export interface ConsumerQueueOptions {
  readonly session: string
  readonly ack: "onReceive" | "manual"
  readonly buffer: number
  readonly onOverflow: "dropOldest" | "suspend"
}

type Take = Pull.Pull<Arr.NonEmptyReadonlyArray<Delivery>, MqttError>

/**
 * The queue of one consumer.
 */
export class ConsumerQueue {
  /** Set once, right after the engine registered the consumer. */
  consumer!: Consumer
  dropped = 0
  highWater = 0

  readonly #host: ConsumerQueueHost
  readonly #options: ConsumerQueueOptions
  #items: Array<Delivery> = []
  #unreliable = 0
  #handed: ReadonlyArray<Delivery> = []
  #waiter: ((take: Take) => void) | undefined
  #idle: (() => void) | undefined
  #end: "orderly" | MqttError | undefined
  #unsettled = 0
  #running = false
  #paused = false
  #touched = false

  constructor(host: ConsumerQueueHost, options: ConsumerQueueOptions) {
    this.#host = host
    this.#options = options
  }

  get size(): number {
    return this.#items.length
  }

  /** Nothing waits and nothing is in the hands of the consumer. */
  get isIdle(): boolean {
    return this.#items.length === 0 && this.#handed.length === 0 && this.#unsettled === 0
  }

  /** Takes a delivery in; true for the first one since `pushed`, which has to follow. */
  push(delivery: Delivery): boolean {
    if (this.#end !== undefined) return false
    this.#items.push(delivery)
    if (delivery.message.qos === 0) this.#unreliable++
    if (this.#touched) return false
    this.#touched = true
    return true
  }

  /** A waiting consumer takes all that was pushed; the bound is for what nobody takes. */
  pushed(): void {
    this.#touched = false
    if (this.#items.length > this.highWater) this.highWater = this.#items.length
    this.#wake()
    if (this.#unreliable > this.#options.buffer) this.#overflow()
  }

  /**
   * Forgets the deliveries that the server sends again in the resumed session and that the consumer has not seen.
   */
  purgeStale(): void {
    this.#items = this.#items.filter((delivery) => !delivery.stale)
  }

  /** Takes what waits, from the oldest on and so many at most. */
  shift(limit: number = Infinity): Arr.NonEmptyReadonlyArray<Delivery> | undefined {
    const items = this.#items
    if (items.length === 0 || limit <= 0) return undefined
    if (items.length <= limit) {
      this.#items = []
      this.#unreliable = 0
      this.#unpause()
      return items as unknown as Arr.NonEmptyReadonlyArray<Delivery>
    }
    const taken = items.splice(0, limit)
    for (let i = 0; i < taken.length; i++) if (taken[i]!.message.qos === 0) this.#unreliable--
    if (this.#unreliable <= this.#options.buffer) this.#unpause()
    return taken as unknown as Arr.NonEmptyReadonlyArray<Delivery>
  }

  /** Counts a delivery that left the queue and is being worked on, until `release`. */
  retain(): void {
    this.#unsettled++
  }

  release(): void {
    this.#unsettled--
    this.#notifyIdle()
  }

  /**
   * Takes nothing more in; the stream ends when the consumer has seen what waits here. `whenIdle` is called then, at once if
   * it is so already.
   */
  end(end: "orderly" | MqttError, whenIdle?: () => void): void {
    this.#end ??= end
    this.#idle = whenIdle
    this.#unpause()
    this.#wake()
    this.#notifyIdle()
  }

  /**
   * Ends at once and drops what waits.
   */
  close(): void {
    this.#items = []
    this.#handed = []
    this.#unreliable = 0
    this.#unsettled = 0
    this.end("orderly")
  }

  /**
   * The deliveries as arrays: all that wait, as soon as there is one. Without acknowledgement of any kind.
   */
  readonly take: Take = Effect.suspend((): Take => {
    const batch = this.shift()
    if (batch !== undefined) return Effect.succeed(batch)
    if (this.#end !== undefined) return this.#end === "orderly" ? Cause.done() : Effect.fail(this.#end)
    return Effect.callback<Arr.NonEmptyReadonlyArray<Delivery>, MqttError | Cause.Done>((resume) => {
      this.#waiter = resume
      return Effect.sync(() => {
        this.#waiter = undefined
      })
    })
  })

  /**
   * The stream of a subscription, see `SubscribeOptions.ack`.
   */
  readonly messages: Stream.Stream<Message, MqttError> = Stream.scoped(Stream.fromPull(
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (this.#running) return Effect.fail(this.#alreadyRunning())
        this.#running = true
        return Effect.succeed(this.#pullMessages)
      }),
      (_, exit) => Effect.sync(() => this.#finishRun(exit))
    )
  ))

  get #pullMessages(): Pull.Pull<Arr.NonEmptyReadonlyArray<Message>, MqttError> {
    if (this.#options.ack === "manual") {
      return Effect.map(this.take, (batch) => batch.map((delivery) => this.#withAcknowledger(delivery)) as never)
    }
    return Effect.suspend(() => {
      this.acknowledgeHanded()
      return Effect.map(this.take, (batch) => {
        this.#handed = batch
        const messages: Array<Message> = []
        for (let i = 0; i < batch.length; i++) messages.push(batch[i]!.message)
        return messages as unknown as Arr.NonEmptyReadonlyArray<Message>
      })
    })
  }

  acknowledgeHanded(): void {
    const handed = this.#handed
    if (handed.length === 0) return
    this.#handed = []
    for (let i = 0; i < handed.length; i++) {
      if (handed[i]!.message.qos !== 0) this.#host.acknowledge(this.consumer, handed[i]!)
    }
    this.#notifyIdle()
  }

  #finishRun(exit: Exit.Exit<unknown, unknown>): void {
    this.#running = false
    if (Exit.isSuccess(exit)) return this.acknowledgeHanded()
    // What the interrupted run did not acknowledge comes first in the next run; QoS 0 was handed over for good.
    const again = this.#handed.filter((delivery) => delivery.message.qos !== 0 && !delivery.stale)
    this.#handed = []
    if (again.length > 0) this.#items = again.concat(this.#items)
    this.#notifyIdle()
  }

  #withAcknowledger(delivery: Delivery): Message {
    const { message } = delivery
    if (message.qos === 0) return message
    let done = false
    this.retain()
    return new Message(message, {
      acknowledge: () => {
        if (done) return
        done = true
        this.#host.acknowledge(this.consumer, delivery)
        this.release()
      }
    })
  }

  #overflow(): void {
    if (this.#options.onOverflow === "suspend") {
      if (!this.#paused) {
        this.#paused = true
        this.#host.pause(this)
      }
      return
    }
    let excess = this.#unreliable - this.#options.buffer
    this.#unreliable -= excess
    this.dropped += excess
    this.#items = this.#items.filter((delivery) => {
      if (excess === 0 || delivery.message.qos !== 0) return true
      excess--
      this.#host.dropped(delivery.message.topic)
      return false
    })
  }

  #unpause(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#host.resume(this)
  }

  #wake(): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    this.#waiter = undefined
    // The fiber runs at once, and takes all that waits.
    waiter(this.take)
  }

  #notifyIdle(): void {
    if (this.#idle === undefined || this.#end === undefined || !this.isIdle) return
    const idle = this.#idle
    this.#idle = undefined
    idle()
  }

  #alreadyRunning(): MqttError {
    return new MqttError({
      session: this.#options.session,
      reason: new InvalidOptions({
        issues: [{
          path: "messages",
          message: "the messages of a subscription are already running; subscribe once more for a second stream"
        }]
      })
    })
  }
}
