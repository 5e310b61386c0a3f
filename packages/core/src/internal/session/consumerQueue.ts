/**
 * The bounded buffer between the engine and one stream of a subscriber.
 *
 * QoS 1 and 2 deliveries are never refused: their number is bounded by the acknowledgements that the stream withholds.
 * QoS 0 messages are bounded here, but for retained ones: they are sent once, when the subscription begins, and do not
 * come again. What QoS 0 messages take of memory is told to the session until the consumer is done with them.
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
import { DeliveryDeque } from "./deliveryDeque.ts"

/**
 * What the queue asks of the session.
 */
export interface ConsumerQueueHost {
  readonly acknowledge: (consumer: Consumer, delivery: Delivery) => void
  /** Asks to stop and go on reading from the network; each queue counts once. */
  readonly pause: (queue: ConsumerQueue) => void
  readonly resume: (queue: ConsumerQueue) => void
  readonly dropped: (topic: string) => void
  /** QoS 0 messages take so many bytes more, or less when below 0. */
  readonly occupy: (bytes: number) => void
  /** For what all consumers have received, in bytes. */
  readonly inboundLimit: number
}

export interface ConsumerQueueOptions {
  readonly session: string
  readonly ack: "onReceive" | "manual"
  readonly buffer: number
  readonly onOverflow: "dropOldest" | "suspend"
}

type Batch = Arr.NonEmptyReadonlyArray<Delivery>

type Take = Pull.Pull<Batch, MqttError>

type Messages = Arr.NonEmptyReadonlyArray<Message>

/** The part of the memory limit that messages take which a consumer works on and which nothing but QoS 0 bounds. */
const workShare = 1 / 8

/** Whether the bound of the buffer is for it. */
const isDroppable = ({ message }: Delivery): boolean => message.qos === 0 && !message.retain

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
  readonly #items = new DeliveryDeque()
  /** Those for which the bound is. */
  #droppable = 0
  /** What they take, and all QoS 0 messages that wait, in bytes. */
  #droppableBytes = 0
  #waitingBytes = 0
  /** What QoS 0 messages take that the consumer has. */
  #workBytes = 0
  /** Those of them that a stream handed out last. */
  #handedBytes = 0
  /** What QoS 0 messages take that were taken out last. */
  #takenBytes = 0
  #isRemoved = false
  #handed: ReadonlyArray<Delivery> = []
  #waiter: { readonly resume: (take: Take) => void; readonly take: Take } | undefined
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
    return this.#items.size
  }

  /** QoS 0 messages that may wait for the consumer. */
  get buffer(): number {
    return this.#options.buffer
  }

  /** More of them pause the network, and are not dropped. */
  get suspends(): boolean {
    return this.#options.onOverflow === "suspend"
  }

  /** What those of the waiting messages take that may be dropped, in bytes. */
  get droppableBytes(): number {
    return this.suspends ? 0 : this.#droppableBytes
  }

  /** The consumer has enough to work on: what it has not taken can be dropped, what it has taken cannot. */
  get isLaden(): boolean {
    return this.#workBytes > workShare * this.#host.inboundLimit
  }

  /** Nothing waits and nothing is in the hands of the consumer. */
  get isIdle(): boolean {
    return this.#items.size === 0 && this.#handed.length === 0 && this.#unsettled === 0
  }

  /** Takes a delivery in; true for the first one since `pushed`, which has to follow. */
  push(delivery: Delivery): boolean {
    if (this.#end !== undefined) return false
    this.#items.push(delivery)
    if (delivery.message.qos === 0) this.#occupy(delivery, 1)
    if (this.#touched) return false
    this.#touched = true
    return true
  }

  /** A waiting consumer takes all that was pushed; the bound is for what nobody takes. */
  pushed(): void {
    this.#touched = false
    if (this.#items.size > this.highWater) this.highWater = this.#items.size
    this.#wake()
    if (this.#droppable > this.#options.buffer) this.#overflow()
  }

  /** Drops the oldest messages that may be dropped, until so many bytes are free. */
  shed(bytes: number): void {
    this.#drop(0, bytes)
  }

  /**
   * Forgets the deliveries that the server sends again in the resumed session and that the consumer has not seen.
   */
  purgeStale(): void {
    this.#items.retain((delivery) => !delivery.stale)
  }

  /** Takes what waits, from the oldest on: so many at most, and a MiB or one message. */
  shift(limit: number = Infinity): Batch | undefined {
    if (this.#items.size === 0 || limit <= 0) return undefined
    const taken = this.#items.take(this.#items.batch(limit))
    const before = this.#waitingBytes
    if (before > 0) {
      for (let i = 0; i < taken.length; i++) if (taken[i]!.message.qos === 0) this.#occupy(taken[i]!, -1)
    }
    this.#takenBytes = before - this.#waitingBytes
    if (this.#droppable <= this.#options.buffer) this.#unpause()
    return taken as unknown as Batch
  }

  /** Counts a delivery that left the queue and is being worked on, until `release`. */
  retain(delivery: Delivery): void {
    this.#unsettled++
    if (delivery.message.qos === 0) this.#work(delivery.bytes)
  }

  release(delivery: Delivery): void {
    this.#unsettled--
    if (delivery.message.qos === 0) this.#work(-delivery.bytes)
    this.#notifyIdle()
  }

  /**
   * Takes nothing more in; the stream ends when the consumer has seen what waits here. `whenIdle` is called then, at
   * once if it is so already.
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
    this.removed()
    this.#items.take(Infinity)
    this.#droppable = 0
    this.#handed = []
    this.#unsettled = 0
    this.end("orderly")
  }

  /** The session counts nothing here any more. */
  removed(): void {
    if (this.#isRemoved) return
    this.#isRemoved = true
    this.#host.occupy(-this.#waitingBytes - this.#workBytes)
  }

  #takeUpTo(limit: () => number): Take {
    const take: Take = Effect.suspend((): Take => {
      const batch = this.#items.size === 0 ? undefined : this.shift(limit())
      if (batch !== undefined) return Effect.succeed(batch)
      if (this.#end !== undefined) return this.#end === "orderly" ? Cause.done() : Effect.fail(this.#end)
      return Effect.callback<Batch, MqttError | Cause.Done>((resume) => {
        this.#waiter = { resume, take }
        return Effect.sync(() => {
          this.#waiter = undefined
        })
      })
    })
    return take
  }

  /**
   * The deliveries as arrays: all that wait, as soon as there is one, up to a MiB. Without acknowledgement of any kind.
   */
  readonly take: Take = this.#takeUpTo(() => Infinity)

  /**
   * The stream of a subscription, see `SubscribeOptions.ack`. A stream does not tell what its consumer has taken out of
   * an array: QoS 1 and 2 go out one by one, so that what was not seen is not acknowledged.
   */
  get messages(): Stream.Stream<Message, MqttError> {
    return this.#run(() => this.#takeUpTo(() => this.#items.run))
  }

  /** The same in arrays, each of which is acknowledged as a whole. */
  get batches(): Stream.Stream<Messages, MqttError> {
    return Stream.chunks(this.#run(() => this.take))
  }

  /** One run at a time, of either stream. */
  #run(take: () => Take): Stream.Stream<Message, MqttError> {
    return Stream.scoped(Stream.fromPull(
      Effect.acquireRelease(
        Effect.suspend(() => {
          if (this.#running) return Effect.fail(this.#alreadyRunning())
          this.#running = true
          return Effect.succeed(this.#pullMessages(take()))
        }),
        (_, exit) => Effect.sync(() => this.#finishRun(exit))
      )
    ))
  }

  #pullMessages(take: Take): Pull.Pull<Messages, MqttError> {
    if (this.#options.ack === "manual") {
      return Effect.suspend(() => {
        this.#forgetHanded()
        return Effect.map(take, (batch) => {
          this.#hand()
          return batch.map((delivery) => this.#withAcknowledger(delivery)) as never
        })
      })
    }
    return Effect.suspend(() => {
      this.acknowledgeHanded()
      return Effect.map(take, (batch) => {
        this.#handed = batch
        this.#hand()
        const messages: Array<Message> = []
        for (let i = 0; i < batch.length; i++) messages.push(batch[i]!.message)
        return messages as unknown as Messages
      })
    })
  }

  acknowledgeHanded(): void {
    this.#forgetHanded()
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
    this.#forgetHanded()
    if (Exit.isSuccess(exit)) return this.acknowledgeHanded()
    // What the interrupted run did not acknowledge comes first in the next run; QoS 0 was handed over for good.
    const again = this.#handed.filter((delivery) => delivery.message.qos !== 0 && !delivery.stale)
    this.#handed = []
    if (again.length > 0) this.#items.putBack(again)
    this.#notifyIdle()
  }

  #withAcknowledger(delivery: Delivery): Message {
    const { message } = delivery
    if (message.qos === 0) return message
    let done = false
    this.retain(delivery)
    return new Message(message, {
      acknowledge: () => {
        if (done) return
        done = true
        this.#host.acknowledge(this.consumer, delivery)
        this.release(delivery)
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
    this.#drop(this.#droppable - this.#options.buffer, 0)
  }

  /** Drops the oldest: so many messages, and so many bytes. */
  #drop(messages: number, bytes: number): void {
    const leastMessages = this.#droppable - messages
    const leastBytes = this.#droppableBytes - bytes
    this.#items.retain((delivery) => {
      if (this.#droppable <= leastMessages && this.#droppableBytes <= leastBytes) return true
      if (!isDroppable(delivery)) return true
      this.#occupy(delivery, -1)
      this.dropped++
      this.#host.dropped(delivery.message.topic)
      return false
    })
  }

  /** A QoS 0 message waits here from now on, or no longer. */
  #occupy(delivery: Delivery, sign: 1 | -1): void {
    if (this.#isRemoved) return
    const bytes = sign * delivery.bytes
    this.#waitingBytes += bytes
    if (isDroppable(delivery)) {
      this.#droppable += sign
      this.#droppableBytes += bytes
    }
    this.#host.occupy(bytes)
  }

  /** The consumer has QoS 0 messages of so many bytes, or is done with them when below 0. */
  #work(bytes: number): void {
    if (bytes === 0 || this.#isRemoved) return
    this.#workBytes += bytes
    this.#host.occupy(bytes)
  }

  /** A stream hands out what was taken last. */
  #hand(): void {
    this.#handedBytes = this.#takenBytes
    this.#work(this.#handedBytes)
  }

  /** The batch that a stream handed out last is done with. */
  #forgetHanded(): void {
    this.#work(-this.#handedBytes)
    this.#handedBytes = 0
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
    // The fiber runs at once, and takes what waits.
    waiter.resume(waiter.take)
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
