/**
 * `consume`: takes the deliveries of one consumer from its queue and gives them to a pool of handlers.
 *
 * Everything about a single message is in `handlerPool.ts`. The session and the manager's routes call `run`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import { FailedMessages, type FailingSession, type FailureLedger } from "../messageFailures.ts"
import type { ConsumeObserver } from "./consumeObserver.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"
import type { EngineLoop } from "./engineLoop.ts"
import { HandlerPool } from "./handlerPool.ts"

/**
 * What `run` needs besides the queue.
 */
export interface ConsumeHost {
  readonly engineLoop: EngineLoop
  readonly session: FailingSession
  readonly ledger: FailureLedger
  /** A QoS 0 message was dropped. */
  readonly onDropped: (topic: string) => void
}

/**
 * Runs until the subscription ends, or until a handler fails under the policy `fail`.
 */
export const run = <E, R>(
  host: ConsumeHost,
  queue: ConsumerQueue,
  handler: (message: Message) => Effect.Effect<unknown, E, R>,
  options: ConsumeOptions<E, R>,
  observer: ConsumeObserver | undefined
): Effect.Effect<void, MqttError | E, R> =>
  Effect.scoped(Effect.gen(function*() {
    const failed = yield* Deferred.make<never, MqttError | E>()
    const fibers = yield* FiberSet.make<unknown, never>()
    const fork = yield* FiberSet.runtime(fibers)<R | Scope.Scope>()
    const pool = new HandlerPool<E, R>({
      queue,
      handler,
      options,
      observer,
      failures: new FailedMessages(host.session, queue.consumer.request.filters, options.consumer),
      acknowledge: (delivery) => host.engineLoop.acknowledge(queue.consumer, delivery),
      onDropped: host.onDropped,
      fail: (cause) => Deferred.doneUnsafe(failed, Effect.failCause(cause)),
      fork
    })
    // Closes the pool before its fibers are interrupted: otherwise they would look like handlers that interrupted
    // themselves.
    yield* Effect.addFinalizer(() => Effect.sync(() => pool.close()))
    yield* Effect.acquireRelease(
      Effect.sync(() => host.ledger.onStopping(() => pool.stop())),
      (forget) => Effect.sync(forget)
    )
    const { take } = queue
    const pull = Effect.gen(function*() {
      while (true) {
        const batch = yield* take
        for (let i = 0; i < batch.length; i++) pool.offer(batch[i]!)
        yield* pool.room
      }
    }).pipe(Pull.catchDone(() => pool.idle))
    yield* Effect.raceFirst(pull, Deferred.await(failed))
  }))
