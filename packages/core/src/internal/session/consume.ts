/**
 * Calls a handler for each message: bounded concurrency, order per topic, acknowledgement after success.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import type { Delivery } from "../engine/contract.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"
import type { Driver } from "./driver.ts"

/**
 * What the consumer needs besides its queue.
 */
export interface ConsumeHost {
  readonly driver: Driver
  readonly deadLetter: (topic: string, message: Message) => Effect.Effect<void, MqttError>
  readonly onHandlerFailure: (message: Message, cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

/** Messages that one loop may hold beyond those in the handlers, so that one busy topic does not stop the others at once. */
const lookAhead = 256

/**
 * Runs until the subscription ends, or a handler fails under the policy `fail`.
 */
export const run = <E, R>(
  host: ConsumeHost,
  queue: ConsumerQueue,
  handler: (message: Message) => Effect.Effect<unknown, E, R>,
  options: ConsumeOptions<E, R>
): Effect.Effect<void, MqttError | E, R> =>
  Effect.scoped(Effect.gen(function*() {
    const failed = yield* Deferred.make<never, MqttError | E>()
    const work = new Work(host, queue, handler, options, failed)
    const fibers = yield* FiberSet.make<void, never>()
    const fork = yield* FiberSet.runtime(fibers)<R | Scope.Scope>()
    work.start = (delivery) => fork(work.handle(delivery))
    const pull = Effect.gen(function*() {
      while (true) {
        const batch = yield* queue.take
        for (let i = 0; i < batch.length; i++) work.offer(batch[i]!)
        yield* work.room
      }
    }).pipe(Pull.catchDone(() => work.idle))
    yield* Effect.raceFirst(pull, Deferred.await(failed))
  }))

class Work<E, R> {
  start!: (delivery: Delivery) => void
  readonly #host: ConsumeHost
  readonly #queue: ConsumerQueue
  readonly #handler: (message: Message) => Effect.Effect<unknown, E, R>
  readonly #options: ConsumeOptions<E, R>
  readonly #failed: Deferred.Deferred<never, MqttError | E>
  readonly #concurrency: number
  readonly #ordered: boolean
  /** Topics with a running handler, each with the messages that wait behind it. */
  readonly #topics = new Map<string, Array<Delivery>>()
  /** Messages whose topic is free, waiting for one of the handlers. */
  readonly #ready: Array<Delivery> = []
  #running = 0
  #waiting = 0
  #onRoom: (() => void) | undefined
  #onIdle: (() => void) | undefined

  constructor(
    host: ConsumeHost,
    queue: ConsumerQueue,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options: ConsumeOptions<E, R>,
    failed: Deferred.Deferred<never, MqttError | E>
  ) {
    this.#host = host
    this.#queue = queue
    this.#handler = handler
    this.#options = options
    this.#failed = failed
    this.#concurrency = options.concurrency ?? 16
    this.#ordered = options.order !== "none"
  }

  offer(delivery: Delivery): void {
    this.#waiting++
    this.#queue.retain()
    if (this.#ordered) {
      const behind = this.#topics.get(delivery.message.topic)
      if (behind !== undefined) {
        behind.push(delivery)
        return
      }
      this.#topics.set(delivery.message.topic, [])
    }
    this.#ready.push(delivery)
    this.#next()
  }

  get room(): Effect.Effect<void> {
    return this.#until(() => this.#waiting < lookAhead, (resume) => {
      this.#onRoom = resume
    })
  }

  get idle(): Effect.Effect<void> {
    return this.#until(() => this.#waiting === 0 && this.#running === 0, (resume) => {
      this.#onIdle = resume
    })
  }

  readonly handle = (delivery: Delivery): Effect.Effect<void, never, R> =>
    Effect.suspend(() => this.#handler(delivery.message)).pipe(
      (effect) => this.#options.retry === undefined ? effect : Effect.retry(effect, this.#options.retry),
      Effect.exit,
      Effect.flatMap((exit) =>
        Exit.isSuccess(exit) ? this.#acknowledge(delivery) : this.#afterFailure(delivery, exit.cause)
      ),
      Effect.ensuring(Effect.sync(() => this.#finished(delivery)))
    )

  #afterFailure(delivery: Delivery, cause: Cause.Cause<E>): Effect.Effect<void> {
    // A handler that interrupts itself has failed too; the interruption of this fiber never gets here.
    const policy = this.#options.onFailure ?? "skip"
    const { message } = delivery
    const report = this.#host.onHandlerFailure(message, cause)
    if (policy === "fail") return Effect.andThen(report, Effect.asVoid(Deferred.failCause(this.#failed, cause)))
    if (policy === "skip") return Effect.andThen(report, this.#acknowledge(delivery))
    return report.pipe(
      Effect.andThen(this.#host.deadLetter(policy.deadLetter, message)),
      Effect.andThen(this.#acknowledge(delivery)),
      Effect.catch((error) => Effect.asVoid(Deferred.fail(this.#failed, error)))
    )
  }

  #acknowledge(delivery: Delivery): Effect.Effect<void> {
    return Effect.sync(() => {
      if (delivery.message.qos !== 0) this.#host.driver.acknowledge(this.#queue.consumer, delivery)
    })
  }

  #next(): void {
    while (this.#running < this.#concurrency && this.#ready.length > 0) {
      this.#running++
      this.#waiting--
      this.start(this.#ready.shift()!)
    }
    if (this.#waiting < lookAhead) this.#notify()
  }

  #finished(delivery: Delivery): void {
    this.#running--
    this.#queue.release()
    if (this.#ordered) {
      const behind = this.#topics.get(delivery.message.topic)!
      const following = behind.shift()
      if (following === undefined) this.#topics.delete(delivery.message.topic)
      else this.#ready.push(following)
    }
    this.#next()
    if (this.#running === 0 && this.#waiting === 0) {
      this.#onIdle?.()
      this.#onIdle = undefined
    }
  }

  #notify(): void {
    const onRoom = this.#onRoom
    // Before the call: the fiber runs at once, and may wait for room again.
    this.#onRoom = undefined
    onRoom?.()
  }

  #until(holds: () => boolean, register: (resume: (() => void) | undefined) => void): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (holds()) return resume(Effect.void)
      register(() => resume(Effect.void))
      return Effect.sync(() => register(undefined))
    })
  }
}
