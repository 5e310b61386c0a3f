/**
 * The bounded buffer between the engine and one stream of a subscriber.
 *
 * QoS 1 and 2 deliveries are never refused: the acknowledgements that the stream withholds bound their number. The
 * option `buffer` bounds QoS 0 messages, except retained ones, which the server sends only once, when the subscription
 * begins.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Acknowledger, Message } from "../../Message.ts"
import { InvalidOptions, MqttError } from "../../MqttError.ts"
import type { Consumer, Delivery } from "../engine/contract.ts"
import { DeliveryDeque } from "./deliveryDeque.ts"
import { isDroppable, QueueLoad, type QueueLoadHost } from "./queueLoad.ts"

/**
 * The session, as the queue uses it.
 */
export interface ConsumerQueueHost extends QueueLoadHost {
  readonly acknowledge: (consumer: Consumer, delivery: Delivery) => void
  /** Stops and resumes reading from the network. Each queue counts once. */
  readonly pause: (queue: ConsumerQueue) => void
  readonly resume: (queue: ConsumerQueue) => void
  readonly dropped: (topic: string) => void
}

export interface ConsumerQueueOptions {
  readonly session: string
  readonly ack: "onReceive" | "manual"
  readonly buffer: number
  readonly onOverflow: "dropOldest" | "suspend"
  /** See `Acknowledger.effect`. */
  readonly acknowledgeEffect?: Acknowledger["effect"]
}

type Batch = Arr.NonEmptyReadonlyArray<Delivery>

type Take = Pull.Pull<Batch, MqttError>

const nothing: ReadonlyArray<never> = []

type Messages = Arr.NonEmptyReadonlyArray<Message>

/**
 * The queue of one consumer.
 */
export class ConsumerQueue {
  /** Set once, immediately after the engine registered the consumer. */
  consumer!: Consumer
  dropped = 0
  highWater = 0

  readonly #host: ConsumerQueueHost
  readonly #options: ConsumerQueueOptions
  readonly #items = new DeliveryDeque()
  readonly #load: QueueLoad
  #handed: ReadonlyArray<Delivery> = nothing
  /** Resumes the fiber that waits for deliveries. */
  #wakeUp: (() => void) | undefined
  #idle: (() => void) | undefined
  #end: "orderly" | MqttError | undefined
  #unsettled = 0
  /** The scope of the stream that runs. */
  #running: Scope.Scope | undefined
  #isPaused = false
  #isTouched = false

  constructor(host: ConsumerQueueHost, options: ConsumerQueueOptions) {
    this.#host = host
    this.#load = new QueueLoad(host)
    this.#options = options
  }

  get size(): number {
    return this.#items.size
  }

  /** How many QoS 0 messages may wait. */
  get buffer(): number {
    return this.#options.buffer
  }

  /** Whether more messages than `buffer` pause the network instead of being dropped. */
  get suspends(): boolean {
    return this.#options.onOverflow === "suspend"
  }

  /** Bytes of the waiting messages that may be dropped. */
  get droppableBytes(): number {
    return this.suspends ? 0 : this.#load.droppableBytes
  }

  /** Whether the consumer has enough to work on. */
  get isLaden(): boolean {
    return this.#load.isLaden
  }

  /** Whether nothing waits here and the consumer has finished everything that it took. */
  get isIdle(): boolean {
    return this.#items.size === 0 && this.#handed.length === 0 && this.#unsettled === 0
  }

  /**
   * Buffers a delivery. Returns true if this is the first since the last `pushed()`; the caller must then call
   * `pushed()`.
   */
  push(delivery: Delivery): boolean {
    if (this.#end !== undefined) return false
    this.#items.push(delivery)
    if (delivery.message.qos === 0) this.#load.occupy(delivery, 1)
    if (this.#isTouched) return false
    this.#isTouched = true
    return true
  }

  /** Wakes the consumer, then applies the bound to the messages that it did not take. */
  pushed(): void {
    this.#isTouched = false
    if (this.#items.size > this.highWater) this.highWater = this.#items.size
    this.#wake()
    if (this.#load.droppable > this.#options.buffer) this.#overflow()
  }

  /** Drops the oldest messages that may be dropped, until this many bytes are free. */
  shed(bytes: number): void {
    this.#drop(0, bytes)
  }

  /** Drops the stale deliveries that still wait here: the server sends them again in the resumed session. */
  purgeStale(): void {
    this.#items.retain((delivery) => !delivery.stale)
  }

  /** Takes the oldest deliveries: at most `limit`, and at most 1 MiB unless the first one is larger. */
  shift(limit: number = Infinity): Batch | undefined {
    if (this.#items.size === 0 || limit <= 0) return undefined
    const taken = this.#items.take(this.#items.batch(limit))
    this.#load.took(taken)
    if (this.#load.droppable <= this.#options.buffer) this.#unpause()
    return taken as unknown as Batch
  }

  /** Counts a delivery that left the queue and is in work, until `release`. */
  retain(delivery: Delivery): void {
    this.#unsettled++
    if (delivery.message.qos === 0) this.#load.work(delivery.bytes)
  }

  release(delivery: Delivery): void {
    this.#unsettled--
    if (delivery.message.qos === 0) this.#load.work(-delivery.bytes)
    this.#notifyIdle()
  }

  /**
   * Accepts no more deliveries. The stream ends when the consumer has seen the waiting ones. `whenIdle` is called when
   * the queue is idle, immediately if it already is.
   */
  end(end: "orderly" | MqttError, whenIdle?: () => void): void {
    this.#end ??= end
    this.#idle = whenIdle
    this.#unpause()
    this.#wake()
    this.#notifyIdle()
  }

  /** Ends at once and drops the waiting deliveries. */
  close(): void {
    this.removed()
    this.#items.take(Infinity)
    this.#load.droppable = 0
    this.#handed = nothing
    this.#unsettled = 0
    this.end("orderly")
  }

  /** Stops counting for the session and gives all counted bytes back. */
  removed(): void {
    this.#load.removed()
  }

  /** Takes all waiting deliveries, up to 1 MiB, and waits until there is one. Acknowledges nothing. */
  get take(): Take {
    const take: Take = Effect.suspend(() => {
      const batch = this.shift()
      if (batch !== undefined) return Effect.succeed(batch)
      return this.#end === undefined ? this.#untilWoken(take) : this.#endOf(this.#end)
    })
    return take
  }

  /** Waits for deliveries or the end, and then continues with this effect. */
  #untilWoken<A>(next: Pull.Pull<A, MqttError>): Pull.Pull<A, MqttError> {
    return Effect.callback<A, MqttError | Cause.Done>((resume) => {
      this.#wakeUp = () => resume(next)
      return Effect.sync(() => {
        this.#wakeUp = undefined
      })
    })
  }

  #endOf(end: "orderly" | MqttError): Pull.Pull<never, MqttError> {
    return end === "orderly" ? Cause.done() : Effect.fail(end)
  }

  /**
   * The stream of a subscription, see `SubscribeOptions.ack`. QoS 1 and 2 messages leave one by one: a stream does not
   * tell which elements of an array its consumer has seen, and an unseen message must not be acknowledged.
   */
  get messages(): Stream.Stream<Message, MqttError> {
    return this.#run(false)
  }

  /** The same as arrays, each of which is acknowledged as a whole. */
  get batches(): Stream.Stream<Messages, MqttError> {
    return Stream.chunks(this.#run(true))
  }

  /** Only one run at a time, of either stream. */
  #run(isWhole: boolean): Stream.Stream<Message, MqttError> {
    // Neither `Stream.scoped` nor a bracket: they keep a scope and several frames in the fiber of an idle stream.
    return Stream.fromChannel(
      Channel.fromTransform((_upstream, scope) =>
        Effect.suspend(() =>
          // The finalizer first: no interruption can come between it and the mark that only it takes away.
          Effect.flatMap(Scope.addFinalizerExit(scope, finishing(this, scope)), () => {
            if (this.#running !== undefined) return Effect.fail(alreadyRunning(this.#options.session))
            this.#running = scope
            return Effect.succeed(this.#pull(isWhole))
          })
        )
      )
    )
  }

  /** One effect for all that a pull does, so that little is kept while it waits. */
  #pull(isWhole: boolean): Pull.Pull<Messages, MqttError> {
    const isManual = this.#options.ack === "manual"
    const pull: Pull.Pull<Messages, MqttError> = Effect.suspend(() => {
      if (isManual) this.#load.forgetHanded()
      else this.#acknowledgeHanded()
      const batch = this.#items.size === 0 ? undefined : this.shift(isWhole ? Infinity : this.#items.run)
      if (batch === undefined) {
        if (this.#end === undefined) return this.#untilWoken(pull)
        // The stream may go on with something else, and its scope with it.
        this.#running = undefined
        return this.#endOf(this.#end)
      }
      this.#load.hand()
      if (isManual) return Effect.succeed(batch.map((delivery) => this.#withAcknowledger(delivery)) as never)
      this.#handed = batch
      const messages: Array<Message> = []
      for (let i = 0; i < batch.length; i++) messages.push(batch[i]!.message)
      return Effect.succeed(messages as unknown as Messages)
    })
    return pull
  }

  /** The stream that ran in this scope has ended. */
  finishRun(scope: Scope.Scope, exit: Exit.Exit<unknown, unknown>): void {
    if (this.#running !== scope) return
    this.#running = undefined
    this.#load.forgetHanded()
    if (Exit.isSuccess(exit)) return this.#acknowledgeHanded()
    // What the interrupted run did not acknowledge comes first in the next run. QoS 0 messages are not handed out
    // again.
    const again = this.#handed.filter((delivery) => delivery.message.qos !== 0 && !delivery.stale)
    this.#handed = nothing
    if (again.length > 0) this.#items.putBack(again)
    this.#notifyIdle()
  }

  #acknowledgeHanded(): void {
    this.#load.forgetHanded()
    const handed = this.#handed
    if (handed.length === 0) return
    this.#handed = nothing
    for (let i = 0; i < handed.length; i++) {
      if (handed[i]!.message.qos !== 0) this.#host.acknowledge(this.consumer, handed[i]!)
    }
    this.#notifyIdle()
  }

  #withAcknowledger(delivery: Delivery): Message {
    const { message } = delivery
    if (message.qos === 0) return message
    let isDone = false
    this.retain(delivery)
    return new Message(message, {
      acknowledge: () => {
        if (isDone) return
        isDone = true
        this.#host.acknowledge(this.consumer, delivery)
        this.release(delivery)
      },
      effect: this.#options.acknowledgeEffect
    })
  }

  #overflow(): void {
    // Nothing takes from a queue before SUBACK, which reading alone can bring: it must not stop for this queue.
    if (this.#options.onOverflow === "suspend" && this.consumer.state !== "joining") {
      if (!this.#isPaused) {
        this.#isPaused = true
        this.#host.pause(this)
      }
      return
    }
    this.#drop(this.#load.droppable - this.#options.buffer, 0)
  }

  /** Drops the oldest messages: at least this number, and at least this many bytes. */
  #drop(messages: number, bytes: number): void {
    const leastMessages = this.#load.droppable - messages
    const leastBytes = this.#load.droppableBytes - bytes
    this.#items.retain((delivery) => {
      if (this.#load.droppable <= leastMessages && this.#load.droppableBytes <= leastBytes) return true
      if (!isDroppable(delivery)) return true
      this.#load.occupy(delivery, -1)
      this.dropped++
      this.#host.dropped(delivery.message.topic)
      return false
    })
  }

  #unpause(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#host.resume(this)
  }

  #wake(): void {
    const wakeUp = this.#wakeUp
    if (wakeUp === undefined) return
    this.#wakeUp = undefined
    // The fiber runs at once, and takes the waiting deliveries.
    wakeUp()
  }

  #notifyIdle(): void {
    if (this.#idle === undefined || this.#end === undefined || !this.isIdle) return
    const idle = this.#idle
    this.#idle = undefined
    idle()
  }
}

// A function of its own, so that the finalizer of an idle stream holds nothing else.
const finishing =
  (queue: ConsumerQueue, scope: Scope.Scope) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
    Effect.sync(() => queue.finishRun(scope, exit))

const alreadyRunning = (session: string): MqttError =>
  new MqttError({
    session,
    reason: new InvalidOptions({
      issues: [{
        path: "messages",
        message: "the messages of a subscription are already running; subscribe once more for a second stream"
      }]
    })
  })
